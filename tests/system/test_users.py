"""The users file: what the daemon makes of it."""
import os
import pwd

import pytest

from harness import FTD, Daemon, run, served

HASH = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7"
KEY, KEY2 = "0123456789abcdef" * 4, "ff" * 32


@pytest.fixture
def users(ftd):
    """The daemon's users file, written by put()."""
    class File:
        path = ftd.dir / "users"

        def put(self, text, mode=0o640):
            self.path.write_text(text)
            self.path.chmod(mode)
    return File()


def listed(ftd):
    return {u["user"]: u for u in ftd.rows("list-users", "users")}


# --- what the daemon reads

def test_no_file_is_no_users(ftd):
    assert ftd.ftctl("list-users", json_out=True)["users"] == []
    assert "0 users" in ftd.ftctl("list-users").stdout
    served(ftd)


def test_list_users(ftd, users):
    users.put(f"# who\nbob:*:key={KEY}/nas,key={KEY2},account=bob\nalice:{HASH}:certificate\n\ncarol:pam:disabled\n")
    ftd.ftctl("reload", "--users")
    assert ftd.ftctl("list-users", json_out=True)["users"] == [
        {"user": "alice", "disabled": False, "password": True, "keys": 0, "certificate": True, "account": None,
         "sessions": 0},
        {"user": "bob", "disabled": False, "password": False, "keys": 2, "certificate": False, "account": "bob",
         "sessions": 0},
        {"user": "carol", "disabled": True, "password": True, "keys": 0, "certificate": False, "account": None,
         "sessions": 0}]
    rows = [line.split() for line in ftd.ftctl("list-users").stdout.splitlines()]
    assert rows[1:] == [["alice", "enabled", "password,", "certificate", "-", "0"],
                        ["bob", "enabled", "2", "keys", "bob", "0"],
                        ["carol", "disabled", "password", "-", "0"], ["3", "users"]]


def test_many_users_in_pages(ftd, users):
    users.put("".join(f"user{i}:*\n" for i in range(3000)))
    ftd.ftctl("reload", "--users")
    names = [u["user"] for u in ftd.rows("list-users", "users")]
    assert names == sorted(f"user{i}" for i in range(3000))


def test_every_reload_reads_it(ftd, users):
    users.put("alice:*\n")
    ftd.ftctl("reload")
    assert list(listed(ftd)) == ["alice"]
    users.put("bob:*\n")
    ftd.ftctl("reload", "--users", "--dry-run")
    assert list(listed(ftd)) == ["alice"]
    other = ftd.dir / "others"
    other.write_text("carol:*\n")
    ftd.write_conf({"users": str(other)})
    ftd.ftctl("reload")
    assert list(listed(ftd)) == ["carol"]


def test_a_bad_file_changes_nothing(ftd, users):
    users.put("alice:*\n")
    ftd.ftctl("reload")
    users.put("alice:*\nbob:*:disable\n")
    for command in (["reload", "--users"], ["reload"], ["reload", "--dry-run"]):
        done = ftd.ftctl(*command, check=False)
        assert done.returncode == 1
        assert f'{users.path}:2: unknown option "disable": is "disabled" meant?' in done.stderr
        assert list(listed(ftd)) == ["alice"]
    users.put("alice:*\nbob:*\nalice:*\n")
    assert f"{users.path}:3: alice is in the file twice" in ftd.ftctl("reload", "--users", check=False).stderr
    users.put("alice:*\nbob:*\n", 0o660)
    assert f"{users.path}: others than its owner may write it" in ftd.ftctl("reload", "--users", check=False).stderr
    assert list(listed(ftd)) == ["alice"]
    users.put("bob:*\n")
    ftd.ftctl("reload", "--users")
    assert list(listed(ftd)) == ["bob"]


@pytest.mark.parametrize("text, mode, says", [
    ("alice:*\nAlice:*\n", 0o640, ':2: "Alice" is no user name'),
    ("alice:secret\n", 0o640, ":1: the password of alice is neither"),
    ("alice:*\n", 0o646, ": others than its owner may write it"),
])
def test_no_start_with_a_bad_file(text, mode, says):
    daemon = Daemon()
    try:
        path = daemon.dir / "users"
        path.write_text(text)
        path.chmod(mode)
        for how in (["--config", daemon.conf], ["--check", daemon.conf]):
            done = run(FTD, *how, check=False)
            assert done.returncode == 2 and f"{path}{says}" in done.stderr, done.stderr
            assert "secret" not in done.stderr
    finally:
        daemon.remove()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_owner_and_reader():
    """It is read as run_as; root's file in its group, or its own, not that of another."""
    daemon = Daemon(user="nobody")
    nobody = pwd.getpwnam("nobody")
    path = daemon.dir / "users"
    path.write_text("alice:*\n")
    path.chmod(0o640)
    try:
        os.chown(path, 0, 0)
        for how in ("--check", "--config"):
            done = run(FTD, how, daemon.conf, check=False)
            assert done.returncode == 2 and str(path) in done.stderr
        os.chown(path, 1, nobody.pw_gid)
        for how in ("--check", "--config"):
            assert "it belongs neither to root nor to who reads it" in run(FTD, how, daemon.conf, check=False).stderr
        for owner in (nobody.pw_uid, 0):
            os.chown(path, owner, nobody.pw_gid)
            run(FTD, "--check", daemon.conf)
            daemon.start()
            assert list(listed(daemon)) == ["alice"]
            daemon.stop()
    finally:
        daemon.remove()
