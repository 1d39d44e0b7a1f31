#!/bin/sh
# Runs one suite of Python tests for `make check`: run-pytest.sh FOLDER.
# FTD_BUILD: the build directory. FTD_PYTEST_MARK: a marker expression, e.g. "not heavy".
# Debian's own python3 is used: it is the one that has python3-pytest.
set -eu
suite=$(cd "$(dirname "$0")/$1" && pwd)
python=${FTD_PYTHON:-/usr/bin/python3}
if ! "$python" -c 'import pytest, xxhash' 2>/dev/null; then
	echo "SKIP: $python lacks pytest or xxhash (packages python3-pytest, python3-xxhash)"
	exit 77
fi
export PYTHONDONTWRITEBYTECODE=1
status=0
"$python" -m pytest -q -c "$suite/../pytest.ini" --rootdir="$suite/.." \
	${FTD_PYTEST_MARK:+-m "$FTD_PYTEST_MARK"} "$suite" || status=$?
# 5: every test was deselected
[ "$status" -ne 5 ] || status=77
exit "$status"
