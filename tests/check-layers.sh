#!/bin/sh
# Who may include whom. A folder is a role and what it may touch, so its row is its wall:
# "folder: prefixes of the project's headers that its files may include".
set -eu
cd "$(dirname "$0")/.."

rows='
lib:               lib/
daemon/config:     lib/ daemon/config/
daemon/common:     lib/ daemon/config/ daemon/common/
daemon/supervisor: lib/ daemon/config/ daemon/common/ daemon/supervisor/
daemon/gate:       lib/ daemon/config/ daemon/common/ daemon/gate/
daemon/session:    lib/ daemon/config/ daemon/common/ daemon/session/
daemon/keeper:     lib/ daemon/config/ daemon/common/ daemon/keeper/
daemon/beacon:     lib/ daemon/config/ daemon/common/ daemon/beacon/
daemon/verifier:   lib/ daemon/config/ daemon/common/ daemon/verifier/
daemon:            lib/ daemon/
ctl:               lib/ ctl/
client:            lib/ client/
'

bad=0
headers=$(mktemp)
trap 'rm -f "$headers"' EXIT
files=$(find lib daemon ctl client -name '*.[ch]' | sort)
for file in $files; do
	row=$(printf '%s' "$rows" | sed -n "s|^$(dirname "$file"): *||p")
	if [ -z "$row" ]; then
		echo "$file: its folder has no row in tests/check-layers.sh"
		bad=1
		continue
	fi
	sed -n 's|^[ \t]*#[ \t]*include[ \t]*"\([^"]*\)".*|\1|p' "$file" >"$headers"
	while read -r header; do
		allowed=no
		[ "$header" = config.h ] && allowed=yes
		for prefix in $row; do
			case $header in "$prefix"*) allowed=yes ;; esac
		done
		if [ "$allowed" = no ]; then
			echo "$file includes $header; it may include only: $row"
			bad=1
		fi
	done <"$headers"
done

# Only main.c, which hands over to a role, sees them all.
for file in $(printf "%s\n" "$files" | grep -E "^daemon/[^/]*$" || true); do
	[ "$file" = daemon/main.c ] || { echo "$file: only main.c stands in daemon/ itself"; bad=1; }
done
[ "$bad" -eq 0 ] || exit 1
echo "$(echo "$files" | wc -l) files keep to their rows"
