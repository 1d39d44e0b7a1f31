#!/bin/sh
# A row of operations or commands that does not say who may is no program: it does not compile.
set -eu
cd "$(dirname "$0")/.."
cc=${CC:-cc}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/lib"
bad=0

# compiles TABLE FILE SED-EXPRESSION: the file, with the table changed like this
compiles() {
	sed -E "$3" "lib/$1" >"$dir/lib/$1"
	$cc -std=gnu11 -fsyntax-only -D_GNU_SOURCE -DPACKAGE_VERSION='""' -iquote "$dir" -iquote . "$2" 2>"$dir/said"
}
expect_error() { # the same, and what must be said
	if compiles "$1" "$2" "$3"; then
		echo "$2 compiles although lib/$1 was changed by: $3"
		bad=1
	elif ! grep -q "$4" "$dir/said"; then
		echo "$2 does not say \"$4\" but:"
		cat "$dir/said"
		bad=1
	fi
}

operations=daemon/common/access.c
commands=daemon/supervisor/control_command.c
compiles operations.def $operations '' || { cat "$dir/said"; exit 1; }
compiles control.def $commands '' || { cat "$dir/said"; exit 1; }
expect_error operations.def $operations 's/^(OPERATION\("download", download, )RIGHT_READ/\10/' \
	'the operation download lacks its rights'
expect_error operations.def $operations 's/^(OPERATION\("rename",.*), RIGHT_CREATE[^,]*,/\1, 0,/' \
	'the operation rename lacks its rights'
expect_error operations.def $operations 's/^(OPERATION\("download", download), RIGHT_READ/\1/' 'OPERATION'
expect_error control.def $commands 's/^(COMMAND\("kick".*) OPERATOR/\1 NOBODY/' 'the command kick lacks its role'
expect_error control.def $commands 's/^(COMMAND\("kick".*) OPERATOR,/\1/' 'COMMAND'
[ "$bad" -eq 0 ] || exit 1
echo "no row without rights or role compiles"
