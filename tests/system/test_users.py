"""The users file: what the daemon makes of it, and `ftctl user`, which edits it."""
import ctypes
import json
import os
import pty
import pwd
import re
import select
import signal
import stat
import subprocess
import termios
import time

import pytest

from harness import FTCTL, FTD, PATIENCE, Daemon, hashed, run, served, until

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


# --- ftctl user

def hashes_to(password, hashed):
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    return crypt(password.encode(), hashed.encode()) == hashed.encode()


@pytest.fixture
def file(tmp_path):
    """A users file of no daemon, and ftctl on it."""
    class File:
        path = tmp_path / "users"
        command = [FTCTL, "-s", tmp_path / "none", "user"]

        def __call__(self, *args, check=True, text=None):
            more = {"input": text} if text is not None else {"stdin": subprocess.DEVNULL}
            done = subprocess.run([*self.command, *args, "--file", self.path], capture_output=True, text=True,
                                  timeout=60 * PATIENCE, check=False, **more)
            assert not check or done.returncode == 0, f"{args}: {done.returncode} {done.stderr}"
            return done

        def show(self, name):
            return json.loads(self("show", name, "--json").stdout)

        def lines(self):
            return self.path.read_text().splitlines()
    return File()


def test_every_edit(file):
    assert "alice: added" in file("add", "alice", "--stdin", text="open sesame\n").stdout
    name, hashed = file.lines()[0].split(":")
    assert name == "alice" and hashed.startswith("$y$") and hashes_to("open sesame", hashed)
    file("add", "bob", "--no-password", "--certificate", "--account", "bob_s")
    assert file.lines()[1] == "bob:*:certificate,account=bob_s"
    file("key", "add", "bob", KEY, "--label", "nas")
    file("key", "add", "bob", KEY2.upper())
    assert file.lines()[1] == f"bob:*:certificate,account=bob_s,key={KEY}/nas,key={KEY2}"
    shown = file.show("bob")
    assert shown["keys"] == [{"key": KEY, "label": "nas"}, {"key": KEY2, "label": None}]
    assert (shown["password"], shown["certificate"], shown["account"], shown["line"]) == (False, True, "bob_s", 2)
    text = file("show", "bob").stdout
    assert re.search(rf"^key +{KEY}  nas$", text, re.M) and f"{file.path}:2" in text
    file("disable", "bob")
    assert file.show("bob")["disabled"] and "disabled" in file("show", "bob").stdout
    file("disable", "bob")
    file("enable", "bob")
    assert not file.show("bob")["disabled"]
    file("passwd", "bob", "--stdin", text="gr\u00fc\u00df dich")  # no end of line, not ASCII
    assert hashes_to("gr\u00fc\u00df dich", file.lines()[1].split(":")[1])
    file("passwd", "bob", "--pam")
    assert file.lines()[1].split(":")[1] == "pam"
    file("passwd", "bob", "--no-password")
    file("key", "remove", "bob", KEY2)
    file("key", "remove", "bob", "nas")
    assert file.lines()[1] == "bob:*:certificate,account=bob_s"
    file("remove", "alice")
    assert file.lines() == ["bob:*:certificate,account=bob_s"]
    file("remove", "bob")
    assert file.path.read_text() == ""


def test_what_is_not_done(file):
    file("add", "bob", "--no-password")
    file("key", "add", "bob", KEY, "--label", "nas")
    before = file.path.read_bytes()
    for status, says, args in (
            (1, "bob is in", ["add", "bob", "--no-password"]),
            (2, "no user name", ["add", "Bob", "--no-password"]),
            (2, "no user name", ["add", "a:b", "--no-password"]),
            (2, "no user name", ["add", "a\nroot", "--no-password"]),
            (2, "no name of a system user", ["add", "zoe", "--no-password", "--account", "a,disabled"]),
            (2, "contradict", ["add", "zoe", "--no-password", "--stdin"]),
            (2, "contradict", ["add", "zoe", "--no-password", "--pam"]),
            (2, "the password is empty", ["add", "zoe", "--stdin"]),
            (2, "no terminal", ["add", "zoe"]),
            (7, "no user zoe", ["passwd", "zoe", "--stdin"]),
            (7, "no user zoe", ["remove", "zoe"]),
            (7, "no user zoe", ["disable", "zoe"]),
            (7, "no user zoe", ["enable", "zoe"]),
            (7, "no user zoe", ["show", "zoe"]),
            (7, "no user zoe", ["key", "add", "zoe", KEY]),
            (7, "no such key", ["key", "remove", "bob", KEY2]),
            (2, "64 hex digits", ["key", "add", "bob", KEY[:-1]]),
            (2, "64 hex digits", ["key", "add", "bob", KEY2 + "/x"]),
            (2, "twice", ["key", "add", "bob", KEY]),
            (2, "two keys", ["key", "add", "bob", KEY2, "--label", "nas"]),
            (2, "label", ["key", "add", "bob", KEY2, "--label", "a,b"]),
            (2, "argument is missing", ["key", "add", "bob"]),
            (2, "does not take --label", ["show", "bob", "--label", "x"])):
        done = subprocess.run([*file.command, *args, "--file", file.path], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60, check=False, start_new_session=True)
        assert done.returncode == status and says in done.stderr, (args, done)
        assert file.path.read_bytes() == before
    assert file("add", "zoe", "--stdin", check=False, text="a\0b").returncode == 2
    assert "longer than 511" in file("add", "zoe", "--stdin", check=False, text="x" * 512).stderr
    answer = json.loads(file("show", "zoe", "--json", check=False).stdout)
    assert (answer["status"], answer["code"]) == ("error", "not_found")
    for i in range(15):
        file("key", "add", "bob", f"{i:064x}")
    assert "16 keys" in file("key", "add", "bob", KEY2, check=False).stderr


def test_the_rest_of_the_file_stays(file):
    file.path.write_text("# ours\n\nalice:*:key=" + KEY.upper() + "\n# end\nbob:pam")
    file.path.chmod(0o640)
    file("add", "carol", "--no-password")
    file("disable", "bob")
    assert file.path.read_text() == f"# ours\n\nalice:*:key={KEY.upper()}\n# end\nbob:pam:disabled\ncarol:*\n"
    file("remove", "alice")
    assert file.path.read_text() == "# ours\n\n# end\nbob:pam:disabled\ncarol:*\n"


def test_owner_and_mode_stay(file):
    file("add", "alice", "--no-password")
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o640
    file.path.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(file.path, pwd.getpwnam("nobody").pw_uid, 12345)
    before = file.path.stat()
    file("add", "bob", "--no-password")
    after = file.path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino
    link = file.path.with_name("link")
    link.symlink_to(file.path)
    run(*file.command, "add", "carol", "--no-password", "--file", link)
    assert link.is_symlink() and [line[:5] for line in file.lines()] == ["alice", "bob:*", "carol"]


def test_a_bad_file_is_not_edited(file):
    for text, mode, says in (("alice:*\nbob\n", 0o640, ":2: a user is name:password"),
                             ("alice:*\n", 0o666, ": others than its owner may write it")):
        file.path.write_text(text)
        file.path.chmod(mode)
        done = file("add", "carol", "--no-password", check=False)
        assert done.returncode != 0 and f"{file.path}{says}" in done.stderr
        assert file.path.read_text() == text


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become somebody else")
def test_only_who_may_write(file):
    file("add", "alice", "--no-password")
    for path in file.path.parents:  # that of pytest is closed to others
        if not path.stat().st_mode & stat.S_IXOTH:
            path.chmod(path.stat().st_mode | stat.S_IXOTH)
    file.path.chmod(0o644)
    before = file.path.read_bytes()
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *file.command, "add", "eve",
                           "--no-password", "--file", file.path], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 4 and "root may" in done.stderr
    assert file.path.read_bytes() == before


def test_ten_editors_at_once(file):
    """Each adds its users and takes one of them out again: nothing is lost."""
    script = 'i=$1; shift; for k in 1 2 3 4 5; do "$@" add "u$i.$k" --no-password --file "$F" || exit 1; done; ' \
             '"$@" remove "u$i.3" --file "$F"'
    editors = [subprocess.Popen(["sh", "-c", script, "sh", str(i), *file.command], env={**os.environ, "F": file.path},
                                stdout=subprocess.DEVNULL) for i in range(10)]
    for editor in editors:
        assert editor.wait(120 * PATIENCE) == 0
    assert sorted(file.lines()) == sorted(f"u{i}.{k}:*" for i in range(10) for k in (1, 2, 4, 5))
    assert sorted(os.listdir(file.path.parent)) == ["users", "users.lock"]


def test_a_killed_editor(file):
    """Whenever it is killed, the file is the old or the new one, and the next editor goes on."""
    rest = "".join(f"user{i}:*:key={i:064x}/label\n" for i in range(20_000))
    file.path.write_text(rest + "last:*\n")
    file.path.chmod(0o640)
    killed = 0
    for i in range(40):
        editor = subprocess.Popen([*file.command, "disable" if i % 2 else "enable", "last", "--file", file.path],
                                  stdout=subprocess.DEVNULL)
        time.sleep(i * 0.001)
        editor.kill()
        killed += editor.wait() == -9
        assert file.path.read_text() in (rest + "last:*\n", rest + "last:*:disabled\n")
    assert killed > 0
    file.path.with_name("users.new").write_text("left by one that was killed")
    file("disable", "last")
    assert file.path.read_text() == rest + "last:*:disabled\n"
    assert not file.path.with_name("users.new").exists()


def test_the_password_is_asked_for(file):
    """Twice, on the terminal, which shows nothing of it."""
    def session(*typed):
        go, ready = os.pipe()
        pid, fd = pty.fork()
        if pid == 0:
            os.read(go, 1)
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job has it ignored
            os.execv(FTCTL, [str(a) for a in [*file.command, "add", "alice", "--file", file.path]])
        before, output = termios.tcgetattr(fd), ""
        os.write(ready, b"x")
        os.close(go)
        os.close(ready)
        for word in typed:
            output += read_until(fd, "password of alice: ")
            os.write(fd, word)
        until(lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT), 20, "the end of ftctl")
        after = termios.tcgetattr(fd)
        try:
            output += os.read(fd, 4096).decode()
        except OSError:  # nothing is left to be read
            pass
        _, status = os.waitpid(pid, 0)
        os.close(fd)
        assert before == after and "sesame" not in output
        return os.waitstatus_to_exitcode(status), output

    assert session(b"open sesame\n", b"sesame\n")[0] == 2
    assert session(b"open sesame\n", b"\x03")[0] == -signal.SIGINT
    assert not file.path.exists()
    status, output = session(b"open sesame\n", b"open sesame\n")
    assert status == 0 and "added" in output
    assert hashes_to("open sesame", file.lines()[0].split(":")[1])


def read_until(fd, end):
    text = ""
    while not text.lower().endswith(end):
        assert select.select([fd], [], [], 20 * PATIENCE)[0], text
        text += os.read(fd, 1).decode()
    return text


# --- and the daemon follows

def test_the_daemon_follows(ftd, users):
    """It tells where the file is, and knows of a change when ftctl ends."""
    done = ftd.ftctl("user", "add", "alice", "--no-password", check=False)
    assert done.returncode == 7 and f"make it with --file {users.path}" in done.stderr
    answer = ftd.ftctl("user", "add", "alice", "--no-password", "--file", users.path, json_out=True)
    assert (answer["user"], answer["done"], answer["file"], answer["reloaded"]) == ("alice", "added", str(users.path), True)
    assert not listed(ftd)["alice"]["disabled"]
    ftd.ftctl("user", "disable", "alice")
    assert listed(ftd)["alice"]["disabled"]
    ftd.write_conf({"limits": {"sessions": 0}})  # what is wrong elsewhere keeps nobody in
    ftd.ftctl("user", "remove", "alice")
    assert listed(ftd) == {}


def test_a_daemon_that_does_not_follow(ftd, users):
    users.put("alice:*\n")
    ftd.ftctl("reload", "--users")
    other = ftd.dir / "other"
    other.write_text("alice:*\n")
    users.put("broken\n")
    done = ftd.ftctl("user", "disable", "alice", "--file", other, check=False)
    assert done.returncode == 1 and "ftd goes on with the users it knew" in done.stderr and f"{users.path}:1" in done.stderr
    assert not listed(ftd)["alice"]["disabled"]


@pytest.mark.parametrize("how", ["disable", "remove"])
def test_sessions_of_who_is_gone_end(make_ftd, how):
    """What is under way is finished; others do not notice."""
    ftd = make_ftd(start=False)
    ftd.write_users(f"alice:{hashed('a')}", f"bob:{hashed('b')}")
    ftd.start()
    with ftd.client() as idle, ftd.client() as busy, ftd.connect() as other, ftd.client() as nobody:
        for client, user in ((idle, "alice"), (busy, "alice"), (other, "bob")):
            assert client.login(user, user[0])["status"] == "ok"
        busy.send({"opt": "upload", "filename": "/half", "filesize": 6}, b"abc")
        until(lambda: [t["user"] for t in ftd.transfers()] == ["alice"], 10)
        assert listed(ftd)["alice"]["sessions"] == 2
        ftd.ftctl("user", how, "alice")
        notice = idle.frame()[0]
        assert (notice["code"], notice["message"]) == ("draining", "the account is disabled")
        assert "retry_after_ms" not in notice and idle.at_end()
        busy.sock.sendall(b"def")
        assert busy.answer()[0]["status"] == "ok"
        until(lambda: [s["user"] for s in ftd.sessions()] == ["bob"], 10)
        for client in (other, nobody):
            assert client.get("/half") == b"abcdef"
        with ftd.connect() as again:
            assert again.login("alice", "a")["code"] == ("account_disabled" if how == "disable" else "auth_failed")


def test_completion_of_users(ftd, users):
    users.put("alice:*\nbob:*\n")
    ftd.ftctl("reload", "--users")

    def offers(*words):
        return run(FTCTL, "complete", "--", "-s", ftd.control, *words).stdout.split()
    assert offers("user", "key", "") == ["add", "remove"]
    assert offers("user", "disable", "") == ["alice", "bob"]
    assert offers("user", "key", "add", "b") == ["bob"]
    assert "--label" in offers("user", "key", "add", "--") and "--stdin" not in offers("user", "key", "add", "--")
