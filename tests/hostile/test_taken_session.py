"""A session that a stranger has taken over tries everything: nothing of it may work, and others do not notice."""
import contextlib
import ctypes
import itertools
import json
import os
import pwd
import shutil
import signal
import socket
import struct
import time

import pytest

import taken
import wire
from harness import PATIENCE, SANITIZED, children, hashed, name_of, served, until

LANDLOCK_CREATE_RULESET = 444


@pytest.fixture
def ftd(make_ftd):
    return taken.daemon(make_ftd)


@contextlib.contextmanager
def sibling(ftd):
    """Another's session: its process."""
    before = set(children(ftd.pid))
    with ftd.client() as client:
        client.names("/")
        yield next(p for p in children(ftd.pid) if p not in before and name_of(p) == "ftd-session")


@pytest.mark.release
def test_names(ftd, capsys):
    """Files outside, of shares that are another user's, of the daemon, of other processes."""
    results, run = taken.Results(), ftd.control.parent
    with taken.undisturbed(ftd), sibling(ftd) as other:
        forbidden = [
            "/etc/passwd", "/etc/shadow", ftd.conf, ftd.dir / "users", run / "orders", run / "reports", run / "public", run / "ftd.pid",
            ftd.control, "/tmp", "/tmp/new", "/dev/shm", "/dev/mem", "/", "/proc/self/mem", "/proc/1/environ",
            f"/proc/{ftd.pid}/mem", f"/proc/{ftd.pid}/fd/0", f"/proc/{other}/mem", f"/proc/{other}/maps"]
        forbidden += [ftd.dir / name / file for name in ("outside", "hidden") for file in ("file", "", "new")]
        for path in map(str, forbidden):
            taken.attempts(ftd, taken.session, results, "paths", path, path=path)
            taken.attempts(ftd, taken.session, results, "emptying", path, path=path)
        results.show(capsys)


@pytest.mark.release
def test_share_to_be_read(ftd, capsys):
    results, readable = taken.Results(), ftd.dir / "shown/file"
    with taken.undisturbed(ftd):
        for path in (readable, ftd.dir / "shown/new", ftd.dir / "shown"):
            taken.attempts(ftd, taken.session, results, "paths", str(path), path=str(path))
    read = {f"openat2 to read {readable}", f"openat2 to read {readable.parent}", f"a handle as a directory {readable.parent}"}
    assert set(results.worked) == read
    results.worked = []
    results.show(capsys, also={"openat2 to read": "ENOENT", "a handle as a directory": "ENOENT"})


@pytest.mark.release
def test_share_to_be_read_is_not_emptied(ftd, capsys):
    """Linux 6.1 lets it happen, where the daemon's user may write: SECURITY-MODEL.md says so."""
    results, readable = taken.Results(), ftd.dir / "shown/file"
    taken.attempts(ftd, taken.session, results, "emptying", str(readable), path=str(readable))
    if ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, 1) >= 3:
        results.show(capsys)
        assert readable.read_bytes() == taken.CONTENT
    else:
        assert results.worked and readable.read_bytes() == b""


@pytest.mark.release
def test_processes(ftd, capsys):
    results = taken.Results()
    with taken.undisturbed(ftd), sibling(ftd) as other:
        for pid in (ftd.pid, other, *children(ftd.pid), os.getpid()):
            taken.attempts(ftd, taken.session, results, "processes", f"{name_of(pid)} {pid}", pid=pid)
    results.show(capsys)


@pytest.mark.release
@pytest.mark.parametrize("what", ["memory", "kernel"])
def test_memory_and_kernel(ftd, capsys, what):
    results = taken.Results()
    with taken.undisturbed(ftd):
        taken.attempts(ftd, taken.session, results, what)
    results.show(capsys)


@pytest.mark.release
def test_sockets(ftd, capsys):
    taken.sockets(ftd, taken.session, capsys, also={"connect by fast open": "EISCONN"})
    with ftd.client() as client:
        client.put("/told", b"x")
    until(lambda: "upload /told" in ftd.errors, 5, "a word in the log")


@pytest.mark.release
def test_what_it_holds(ftd):
    """Nothing that is open is a board, another's connection or another's share."""
    with taken.session(ftd) as client:
        held = client.attack("descriptors")
    # log, privilege socket, connection; the roots of its shares are handles (O_PATH), which poll() does not see
    assert sorted(kind for fd, kind in held if fd > 2) == sorted(
        [socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_STREAM]), held


@pytest.mark.release
def test_looks(ftd, capsys):
    """What names outside tell without being opened: Landlock has no say in it, so only permissions close it."""
    closed = ftd.dir / "closed"
    closed.mkdir(mode=0o700)  # root's, where the daemon is nobody's
    (closed / "file").write_bytes(taken.CONTENT)
    told = {}
    for path in ("/etc/passwd", str(ftd.dir / "outside/file"), "/nowhere", str(closed / "file")):
        with taken.session(ftd) as client:
            told[path] = {result for _, result in client.attack("looks", path=path)}
    with capsys.disabled():
        print("", *(f"told of {path}: {sorted(results)}" for path, results in told.items()), sep="\n")
    own = 0 if taken.USER is None else -13
    assert list(told.values()) == [{0}, {0}, {-2}, {own}]


@pytest.mark.release
def test_within_its_shares(ftd, capsys):
    """What all users share is one user's to the kernel: there, uids of their own close it, and nothing else does."""
    staging = ftd.root / ".ftd/staging"
    with ftd.client() as bob, taken.session(ftd) as client:
        assert bob.login("bob", "bob")["status"] == "ok"
        bob.send({"opt": "upload", "filename": "/of-bob", "filesize": 10}, b"half")
        (name,) = until(lambda: [p for p in staging.glob("*") if p.stat().st_size], 5)
        found = dict(client.attack("paths", path=str(name)))
        bob.sock.sendall(b" of it")
        bob.answer()
    reached = {attempt for attempt, result in found.items() if result is not None and result >= 0}
    with capsys.disabled():
        print("", *(f"reached in a share of both: {attempt}" for attempt in sorted(reached)), sep="\n")
    assert "openat2 to read" in reached and not reached & {"fchmodat", "truncate", "setxattr", "linkat into the share"}


@pytest.mark.release
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_uids_of_their_own_close_it(make_ftd):
    """With accounts of the system for its users (own-uids.conf) even what they share is not one user's."""
    nobody = pwd.getpwnam("nobody")
    keeps = [f"--{which}-caps=+kill,+setgid,+setuid" for which in ("inh", "ambient")]
    ftd = make_ftd(user="nobody", start=False, program=taken.TAKEN, wrapper=[
        "setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", *keeps])
    ftd.root.chmod(0o1777)
    ftd.write_users(f"alice:{hashed('alice')}:account=games", f"bob:{hashed('bob')}:account=mail")
    os.chown(ftd.dir / "users", 0, nobody.pw_gid)
    ftd.start()
    with ftd.client() as bob, taken.session(ftd) as client:
        assert bob.login("bob", "bob")["status"] == "ok"
        assert bob.put("/of-bob", b"mine alone", mode=0o600)["status"] == "ok"
        for what, aim in (("paths", {"path": str(ftd.root / "of-bob")}), ("processes", {"pid": ftd.pid})):
            found = client.attack(what, **aim)
            assert found and not [attempt for attempt, result in found if result is not None and result >= 0]
        assert bob.get("/of-bob") == b"mine alone"


def test_a_crash_replaces_its_house(ftd):
    """What was learnt of a house's memory is worth nothing for the next session."""
    house = next(p for p in children(ftd.pid) if name_of(p) == "ftd-sessionhous")
    taken.attempts(ftd, taken.session, taken.Results(), "kernel")
    until(lambda: house not in children(ftd.pid), 10, "the end of the house")
    served(ftd)


# --- what the supervisor hears of it

REPORT = struct.Struct("<QQIIQQQqQQQII1024s24sQQQQQQQQQ")  # struct board_report, and the struct board_result at its end:
RESULT = struct.Struct("<QQQQ24s32s128sI1024s")
U64 = 2**64 - 1
VERSION = itertools.count(2, 2)  # of the page: what has not changed is not looked at again


def now_usec():
    return int(time.monotonic() * 1_000_000)


def report(seq=None, state=1, transfer=1, path=b"/a", path_len=None, opt=b"upload", number=0, moved=None, counters=(0,) * 6,
           result=b"ok"):
    length = len(path) if path_len is None else path_len
    if moved is None:
        moved = number or now_usec()
    page = REPORT.pack(seq or next(VERSION), number, state, 0, number, transfer, number, number - 2**63 if number else 0, number, number,
                       moved, 1, length, path.ljust(1024, b"\xff"), opt.ljust(24, b"\xff"), number, number, *counters, number)
    last = RESULT.pack(transfer, number, number, number, opt.ljust(24, b"\xff"), result.ljust(32, b"\xff"), path[:128].ljust(128, b"\xff"),
                       length, path.ljust(1024, b"\xff"))
    return (page + last).hex()


def reports():
    yield report()
    yield report(seq=U64, number=U64)  # ever torn
    yield report(number=U64, counters=(U64,) * 6, state=2**32 - 1)
    yield report(number=2**63, counters=(2**63,) * 6)
    yield report(path=b"\x1b]0;owned\x07\r\n\xe2\x80\xae\xff\x00", opt=b"\x1b[2J\n\xff")
    yield report(path=b"/", path_len=2**32 - 1)
    yield report(path=b"", opt=b"")
    yield report(transfer=U64, path=b"x" * 1024)
    yield "ff" * 4096
    yield "00" * 4096
    yield report()


def sane(value):
    """Every number in it can be a number of bytes or of milliseconds, every string can be shown."""
    if isinstance(value, dict):
        return all(sane(v) for v in value.values())
    if isinstance(value, list):
        return all(sane(v) for v in value)
    return not isinstance(value, int) or 0 <= value < 2**63


def test_reports(ftd):
    """Whatever its page says, ftctl tells bounded numbers and escaped names, at once."""
    first = time.monotonic()
    with taken.undisturbed(ftd), taken.session(ftd) as client:
        for page in reports():
            client.send({"opt": "commit", "attack": "report", "hex": page, "offset": 0})
            for command in ("status", "list-sessions", "list-transfers", "metrics"):
                begin = time.monotonic()
                text = ftd.ftctl(command).stdout
                assert time.monotonic() - begin < 3 * PATIENCE
                assert not any(c in text for c in "\x1b\x07\r\u202e\x00"), repr(text)
            for rows in (ftd.sessions(), ftd.transfers(), [ftd.ask("status")]):
                json.dumps(rows, allow_nan=False)
                assert sane(rows), rows
            assert client.answer()[0]["attack"] is True
        for n in range(50):  # growing by so much every time that it is looked at
            client.attack("report", hex=report(counters=(n << 32,) * 2 + (n << 16,) * 4), offset=0)
            ftd.sessions()
    # 32 KiB a microsecond, and a little to begin with: nobody moves more
    assert ftd.ask("status")["bytes_in_total"] < (time.monotonic() - first) * 2**35 + 2**31
    assert ftd.ask("status")["uploads_total"] < (time.monotonic() - first) * 1_000_000


def test_last_words_to_the_next_supervisor(ftd):
    """It writes of the last transfer what the page says: one line, which begins with whose it is."""
    with taken.session(ftd) as client:
        client.attack("report", offset=0, hex=report(
            number=5, moved=now_usec(),  # who has not moved since the machine started is ended at once
            path=b"a\ns1 203.0.113.1 forged\x1b[2J", opt=b"\n\x1bforged", result=b"forged"))
        ftd.lose()
        ftd.start()
        line = until(lambda: [line for line in ftd.errors.splitlines() if "forged" in line], 10, "the line")[0]
        assert line.split(" ")[1] == client.number and ": internal, 5 B in " in line and "\x1b" not in line, line
        assert ftd.errors.count(line) == 1 and f"{client.number}: 4 records of transfers are lost" in ftd.errors
    until(lambda: not ftd.sessions(), 10, "the end of the session")
    served(ftd)


def record(kind=0, level=6, path=b"", text=b"", transfer=1, dropped=0, opt=b"upload", result=b"ok", **lengths):
    """struct rolelog_record and what follows it."""
    return struct.pack("<IIIIQQQQQ24s32s", kind, level, lengths.get("path_len", len(path)),
                       lengths.get("text_len", len(text)), transfer, 5, 5, 1, dropped, opt, result) + path + text


def test_log_records_are_its_own(ftd):
    """Forged names, lines and fields: each line begins with whose it is, and none is more than one line."""
    forged = [record(text=b"x\n2026-01-01T00:00:00.000Z s1 forged"), record(text=b"s1 203.0.113.1 forged \x1b[2J"),
              record(kind=1, path=b"a\ns1 forged", text=b"forged\r\n"), record(kind=1, opt=b"\n\x1bforged" * 2, result=b"forged"),
              record(level=0, text=b"forged to all terminals"), record(kind=2, text=b"forged refusal")]
    broken = [b"", b"forged", record(kind=3), record(path_len=4097), record(text_len=2**32 - 1), record()[:-1],
              record(text=b"x" * 2000), b"\xff" * 16000]
    with taken.undisturbed(ftd), taken.session(ftd) as client:
        for bytes_ in forged + broken:
            client.attack("log", hex=bytes_.hex())
        until(lambda: ftd.errors.count("forged") >= len(forged), 10, "the lines")
    for line in ftd.errors.splitlines():
        assert line.startswith("20") or line.startswith(str(ftd.conf)), line
        if "forged" in line:
            assert line.split(" ")[1] == client.number and "\x1b" not in line, line
    assert ftd.errors.count("sent a log record that is none") == len(broken)


@pytest.mark.parametrize("what", [record(text=b"flood"), record(kind=1, path=b"flood"), b"none"], ids=["text", "transfer", "broken"])
def test_flood_of_log_records(ftd, what):
    """It costs others neither their answers nor their words."""
    with taken.undisturbed(ftd), taken.session(ftd) as client:
        client.send({"opt": "commit", "attack": "log", "hex": what.hex(), "seconds": 3})
        end, longest, answers = time.monotonic() + 3, 0, 0
        while time.monotonic() < end:
            begin = time.monotonic()
            assert ftd.ask("status")["state"] == "ready"
            longest, answers = max(longest, time.monotonic() - begin), answers + 1
        sent = client.answer()[0]["attack"]["sent"]
        assert longest < 1.5 * PATIENCE and answers > 3
    until(lambda: "left out" in ftd.errors or what[:1] == b"\x01", 5, "the word that something was left out")
    assert sent > 1000 and ftd.errors.count("\n") < 100_000


def test_privilege_socket(ftd):
    """Nobody listens to a session there: packets of every size, also with descriptors, change nothing."""
    with taken.undisturbed(ftd):
        for size in (1, 15, 16, 17, 24, 100, 1384, 4096, 8192):
            with taken.session(ftd) as client:
                assert client.attack("packet", hex="01" * size, times=1000, wait=False)["answer"] == ""
        with taken.session(ftd) as client:
            client.attack("packet", hex="01" * 16, times=1000, descriptors=250, wait=False)
        open_ = len(os.listdir(f"/proc/{ftd.pid}/fd"))
        assert open_ < 200


# --- hunger

@pytest.mark.skipif(SANITIZED, reason="a sanitizer's own memory is not bounded")
def test_memory_is_bounded(ftd):
    with taken.undisturbed(ftd), taken.session(ftd) as client:
        assert 1 << 20 <= client.attack("hoard", bytes=1 << 30) < 256 << 20


def test_threads_disturb_nobody(ftd):
    """Threads are the one thing that it can have many of; the unit's TasksMax bounds them, and they end with it."""
    with taken.undisturbed(ftd):
        with taken.session(ftd) as client:
            assert client.attack("crowd", threads=500) == 500
            ftd.ftctl("kick", client.number)
        assert client.number not in {row["id"] for row in ftd.sessions()}


def test_who_does_not_obey_is_ended(ftd):
    with taken.undisturbed(ftd), taken.session(ftd) as client:
        client.send({"opt": "commit", "attack": "hold", "seconds": 60})
        ftd.ftctl("kick", client.number, "--reason", "enough")
        assert client.number not in {row["id"] for row in ftd.sessions()}
        until(lambda: f"{client.number} was killed (signal {int(signal.SIGKILL)})" in ftd.errors, 10)
