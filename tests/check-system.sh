#!/bin/sh
# The real programs, each in a directory of its own.
exec "$(dirname "$0")/run-pytest.sh" system
