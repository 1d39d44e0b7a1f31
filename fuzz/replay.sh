#!/bin/sh
# Runs every fuzz target over its corpus and the beginnings of it.
set -eu
here=$(dirname "$0")
for source in "$here"/fuzz_*.c; do
	name=${source##*/fuzz_}
	name=${name%.c}
	"fuzz/fuzz_$name" "$here/corpus/$name"
done
