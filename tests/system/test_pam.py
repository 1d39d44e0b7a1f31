"""Users whose password PAM knows; with a module that reads a file, in a mount namespace of the daemon's own."""
import glob
import os
import shutil
import subprocess

import pytest

from harness import FTD, hashed, until

MATRIX = glob.glob("/usr/lib/*/pam_wrapper/pam_matrix.so")
BUILT_IN = "libpam" in subprocess.run(["ldd", FTD], capture_output=True, text=True).stdout


def can_mount():
    return os.geteuid() == 0 and shutil.which("unshare") and subprocess.run(
        ["unshare", "-m", "true"], capture_output=True).returncode == 0


@pytest.fixture
def ftd(make_ftd, tmp_path):
    if not can_mount():
        pytest.skip("may not make a mount namespace here")
    directory = tmp_path / "pam.d"
    directory.mkdir()
    matrix = MATRIX[0] if MATRIX else "pam_permit.so"
    (tmp_path / "passwords").write_text("alice:of pam:ftd\nlate:of pam:ftd\n")
    (directory / "ftd").write_text(f"auth required {matrix} passdb={tmp_path}/passwords\naccount required pam_permit.so\n")
    hide = ["unshare", "-m", "sh", "-ec", 'mount --bind "$0" /etc/pam.d && exec "$@"', str(directory)]
    daemon = make_ftd(start=False, wrapper=hide)
    daemon.write_users("alice:pam", "late:pam:disabled", f"bob:{hashed('of bob')}", "stranger:pam")
    return daemon.start()


def code(ftd, user, password):
    with ftd.client() as client:
        answer = client.login(user, password)
        return answer["status"] if answer["status"] == "ok" else answer["code"]


@pytest.mark.skipif(not BUILT_IN or not MATRIX, reason="this ftd does not ask PAM (configure --with-pam), or no pam_matrix "
                    "(package libpam-wrapper)")
def test_pam_is_asked(ftd):
    assert code(ftd, "alice", "of pam") == "ok"
    assert code(ftd, "alice", "of bob") == "auth_failed"
    assert code(ftd, "late", "of pam") == "account_disabled"
    assert code(ftd, "late", "x") == "auth_failed"
    assert code(ftd, "stranger", "of pam") == "auth_failed"  # in our file, not in PAM's
    # others are not PAM's, and nobody is who is in its file alone
    assert code(ftd, "bob", "of bob") == "ok"
    assert code(ftd, "bob", "of pam") == "auth_failed"
    assert code(ftd, "root", "of pam") == "auth_failed"


@pytest.mark.skipif(BUILT_IN, reason="this ftd asks PAM")
def test_without_it_such_users_have_no_password(ftd):
    assert code(ftd, "alice", "of pam") == "auth_failed"
    until(lambda: "PAM is to be asked, which was not built in" in ftd.errors, 5)
    assert code(ftd, "bob", "of bob") == "ok"
