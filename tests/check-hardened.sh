#!/bin/sh
# The programs have what the hardening flags should have given them: a flag that the compiler or the linker
# no longer takes is dropped by configure without a word.
set -eu
export LC_ALL=C
if [ -z "${FTD_HARDENED-}" ]; then
	echo "SKIP: built without hardening"
	exit 77
fi

status=0
# has PROGRAM WHAT PATTERN READELF-OPTION...
has() {
	program=$1 what=$2 pattern=$3
	shift 3
	readelf -W "$@" "$FTD_BUILD/$program" | grep -qE -e "$pattern" || {
		echo "$program: no $what"
		status=1
	}
}

for each in daemon/ftd client/ft ctl/ftctl; do
	has $each "position-independent code" 'Flags:.* PIE' --dynamic
	has $each "read-only relocations" ' GNU_RELRO ' --segments
	has $each "binding at start" 'Flags: NOW' --dynamic
	has $each "stack that cannot be executed" ' GNU_STACK .* RW  ' --segments
	has $each "stack protector" ' __stack_chk_fail' --dyn-syms
	has $each "checked string functions" ' __[a-z]+_chk(@|$)' --dyn-syms
done
exit $status
