#!/bin/sh
# Calls that are not used here: those that cannot be bounded, and those that take a path where only a
# held directory may be used. Comments and strings do not count.
set -eu
cd "$(dirname "$0")/.."

unbounded='strcpy|stpcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atoll|atof'
unbounded="$unbounded|strtol|strtoul|strtoll|strtoull|system|popen|alloca|mktemp|tmpnam"
# lib/num.c is the one reader of numbers.
may_read_numbers='^lib/num\.c:'

paths='open|open64|creat|fopen|freopen|stat|lstat|chmod|chown|lchown|truncate|rename|unlink|rmdir|mkdir'
paths="$paths|link|symlink|readlink|realpath|opendir|utimes|utime|access|mknod|mkfifo|chdir|chroot|remove"
paths="$paths|setxattr|getxattr|nftw|ftw|glob|scandir"
# Names that come from the command line, the configuration or /proc, never from a peer.
may_take_paths='^(lib/path\.c|daemon/main\.c|daemon/config/[a-z_]+\.c|daemon/common/(role|sandbox|board)\.c'
may_take_paths="$may_take_paths|daemon/(keeper/keeper|supervisor/[a-z_]+)\.c|ctl/[a-z_]+\.c|client/[a-z_]+\.c):"

files=$(find lib daemon ctl client -name '*.[ch]' | sort)
# Prints file:line:code with comments and strings blanked.
code() {
	awk '
	FNR == 1 { inside = 0 }
	{
		line = $0; out = ""
		while (line != "") {
			if (inside) {
				i = index(line, "*/")
				if (!i) break
				line = substr(line, i + 2); inside = 0
			} else if (match(line, /\/\*|\/\/|"([^"\\]|\\.)*"/)) {
				out = out substr(line, 1, RSTART - 1)
				token = substr(line, RSTART, 2)
				line = substr(line, RSTART + RLENGTH)
				if (token == "//") break
				if (token == "/*") inside = 1
				else out = out "\"\""
			} else { out = out line; break }
		}
		print FILENAME ":" FNR ":" out
	}' "$@"
}
# shellcheck disable=SC2086  # one word a file
all=$(code $files)
found=$(
	printf '%s\n' "$all" | grep -Ev "$may_read_numbers" | grep -E "(^|[^A-Za-z0-9_.>])($unbounded) ?\(" || true
	printf '%s\n' "$all" | grep -Ev "$may_take_paths" | grep -E "(^|[^A-Za-z0-9_.>])($paths) ?\(" || true
)
if [ -n "$found" ]; then
	printf '%s\n' "$found"
	exit 1
fi
echo "$(echo "$files" | wc -l) files without a banned call"
