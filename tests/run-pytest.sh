#!/bin/sh
# Runs one file of Python tests for `make check`: run-pytest.sh FILE.
# FTD_BUILD: the build directory. FTD_PYTEST_MARK: a marker expression, e.g. "not heavy".
# Debian's own python3 is used: it is the one that has python3-pytest.
set -eu
tests=$(cd "$(dirname "$0")" && pwd)
python=${FTD_PYTHON:-/usr/bin/python3}
if ! "$python" -c 'import pytest, xxhash' 2>/dev/null; then
	echo "SKIP: $python lacks pytest or xxhash (packages python3-pytest, python3-xxhash)"
	exit 77
fi
export PYTHONDONTWRITEBYTECODE=1
status=0
"$python" -m pytest -q -c "$tests/pytest.ini" --rootdir="$tests" \
	${FTD_PYTEST_MARK:+-m "$FTD_PYTEST_MARK"} "$@" || status=$?
if [ "$status" -eq 5 ]; then
	echo "SKIP $1: all its tests are left out by \"${FTD_PYTEST_MARK-}\""
	status=77
fi
exit "$status"
