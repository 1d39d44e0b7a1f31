"""What rests on the kernel, on the oldest one that counts: Debian 12's own 6.1, in a machine that is emulated."""
import os
import re
import subprocess

import pytest

from harness import SANITIZED, SOURCE

pytestmark = [pytest.mark.guest, pytest.mark.skipif(SANITIZED, reason="emulated and sanitized takes too long")]

# Of a file of Python tests those whose names have a part of this.
SANDBOX = "(to_be_read or within or memory or kernel or sockets or looks) and not bounded"
TESTS = {
    "system/test_tls.py": "not five_thousand and not slow_reader",
    "system/test_ft_tls.py": "travel or vouches or another_certificate or client_can",
    "system/test_digests.py": "test",
    "system/test_run_as.py": "test",
    "fault/test_full_disk.py": "ext4",
    "hostile/test_taken_gate.py": SANDBOX,
    "hostile/test_taken_session.py": SANDBOX,
    **dict.fromkeys((
        "role/test_gate", "role/test_gate_tls", "role/test_session", "role/test_session_ends", "role/test_session_names",
        "role/test_upload", "unit/test_atrest", "unit/test_entry", "unit/test_keypair", "unit/test_path", "unit/test_publish",
        "unit/test_staging", "unit/test_sweep", "unit/test_tls_client", "unit/test_walk"), "all"),
}
# Two at once: more of them keep each other waiting, and what waits looks around all the time. Where one fails there is
# time in it, perhaps, of which an emulated machine that others load has too little: it is tried once more alone.
COMMANDS = """
export FTD_PATIENCE=5
one='said=/root/$(echo "$0" | tr / _)
! grep -qs "=== $0 0" "$said.status" || exit 0
case $0 in
*.py) set -- python3 -m pytest -q -c /source/tests/pytest.ini -m "not heavy" -k "$1" "/source/tests/$0" ;;
*) set -- "/build/tests/$0" ;;
esac
"$@" >"$said" 2>&1
echo "=== $0 $?" >"$said.status"'
cat >/root/list <<'EOF'
%s
EOF
xargs -P 2 -n 2 sh -c "$one" </root/list
xargs -n 2 sh -c "$one" </root/list
uname -r
for status in /root/*.status; do
	cat "$status"
	tail -c 20000 "${status%%.status}"
done
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What was said in the guest: {name: (status, output)}, and under "" its kernel's release."""
    commands = tmp_path_factory.mktemp("guest") / "commands"
    commands.write_text(COMMANDS % "\n".join(f"'{name}' '{part}'" for name, part in TESTS.items()))
    done = subprocess.run([SOURCE / "tests/guest", commands], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", env={**os.environ, "TERM": "dumb"}, timeout=1500)
    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    first, *parts = re.split(r"^=== (\S+) (\d+)\n", done.stdout, flags=re.M)
    assert done.returncode == 0 and parts, done.stdout[-4000:] + done.stderr
    return {"": first.strip(), **{n: (int(s), text) for n, s, text in zip(parts[::3], parts[1::3], parts[2::3])}}


def test_kernel_is_debians(said):
    assert re.fullmatch(r"6\.1\.\d.*", said[""].splitlines()[-1])


@pytest.mark.parametrize("name", TESTS)
def test_there_too(said, name):
    status, text = said[name]
    assert status == 0, text
