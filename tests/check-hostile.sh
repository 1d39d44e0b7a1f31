#!/bin/sh
# One attack a file.
exec "$(dirname "$0")/run-pytest.sh" hostile
