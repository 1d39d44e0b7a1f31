#!/bin/sh
# Calls that are not used here: those that cannot be bounded, those that take a path where only a held
# directory may be used, and those that a few files have for all. Comments and strings do not count.
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
may_take_paths="$may_take_paths|daemon/(keeper/(disk|keeper)|supervisor/[a-z_]+)\.c|ctl/[a-z_]+\.c|client/[a-z_]+\.c):"

# "calls: the files that have them": programs that are started, what a signal may run, questions to the network
# about names.
few='
exec[a-z]*|fexecve|posix_spawnp?|v?fork: ^(daemon/supervisor/spawn|daemon/main|client/password)\.c:
signal|sigaction|alarm|setitimer|timer_create|siglongjmp|longjmp: ^(daemon/common/role|daemon/session/session|daemon/supervisor/supervisor|client/interrupt)\.c:
getaddrinfo|getnameinfo|gethostby[a-z]*|res_query|syslog|openlog: ^(lib/wire_connect|client/ping)\.c:
'

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
	printf '%s\n' "$few" | while IFS= read -r row; do
		[ -z "$row" ] || printf '%s\n' "$all" | grep -Ev "${row#*: }" |
			grep -E "(^|[^A-Za-z0-9_.>])(${row%%: *}) ?\(" || true
	done
)
if [ -n "$found" ]; then
	printf '%s\n' "$found"
	exit 1
fi
echo "$(echo "$files" | wc -l) files without a banned call"
