#!/bin/bash
# Every test stands in a makefile fragment, where "make check" finds it, and every source where "make dist" does.
set -eu
cd "$(dirname "$0")/.."
shopt -s nullglob
bad=0 n=0
for file in tests/*.py tests/*/*.py tests/*/*.[ch] fuzz/*.c {lib,ctl,client,daemon,daemon/*}/*.[ch]; do
	n=$((n + 1))
	cat -- */Makefile.am.inc */*.am.inc daemon/*/*.am.inc | grep -qF "${file%.c}" || {
		echo "$file is in no Makefile.am.inc"
		bad=1
	}
done
[ "$bad" -eq 0 ] || exit 1
echo "$n files are in their lists"
