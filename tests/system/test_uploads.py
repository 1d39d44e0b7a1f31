"""What an administrator sees of uploads that have not ended, and how one ends them; also where a share cannot be asked."""
import os
import signal
import socket
import stat
import subprocess
import time

import pytest

import harness
from harness import PATIENCE, children, hashed, name_of, until
from resumable import MIB, begin, content, ok, part

NOBODY = "u" + "0" * 32


def keepers(ftd):
    return until(lambda: [p for p in children(ftd.pid) if name_of(p) == "ftd-keeper"], 10, "a keeper")


def keeper(ftd):
    return keepers(ftd)[0]


def listed(ftd, **more):
    return ftd.ftctl("list-uploads", json_out=True, **more)


def one(ftd):
    rows = listed(ftd)["uploads"]
    assert len(rows) == 1, rows
    return rows[0]


def test_none(ftd):
    assert listed(ftd) == {"v": 1, "status": "ok", "uploads": [], "unknown": []}
    assert "0 unfinished uploads" in ftd.ftctl("list-uploads").stdout


def test_what_is_told(make_ftd):
    ftd = make_ftd({"uploads": {"keep": "1h"}})
    ftd.write_users(f"alice:{hashed('a')}")
    ftd.ftctl("reload", "--users")
    with ftd.client() as alice:
        ok(alice.login("alice", "a"))
        upload = ok(begin(alice, "/box/big", 3 * MIB, mtime_ns=1, parents=True))["upload"]
        ok(part(alice, upload, 0, content(MIB)))
        ok(part(alice, upload, 2 * MIB, content(1000)))
        row = one(ftd)
        assert (row["user"], row["path"], row["size"]) == ("alice", "/box/big", 3 * MIB)
        assert row["held"] == MIB + 1000 and row["state"] == "waiting" and row["session"] is None
        assert row["id"] == upload[:33] and upload[33:] not in str(listed(ftd)), "the claim is the client's secret"
        last, expires = (time.mktime(time.strptime(row[k][:19], "%Y-%m-%dT%H:%M:%S")) for k in ("last_byte", "expires"))
        assert expires - last == 3600
    shown = ftd.ftctl("show", row["id"], json_out=True)["upload"]
    assert shown == {**row, "pieces": 2}
    assert ftd.ftctl("show", upload, json_out=True)["upload"] == shown, "whole, as its client has it"
    text = ftd.ftctl("show", row["id"]).stdout
    assert "in 2 pieces" in text and "/box/big" in text
    text = ftd.ftctl("list-uploads").stdout
    assert row["id"] in text and "1 unfinished upload\n" in text


def test_the_id_that_is_shown_opens_nothing(ftd):
    """Who may look, and has no more, does not take an upload over."""
    with ftd.client() as c, ftd.client() as other:
        upload = ok(begin(c, "/big", MIB))["upload"]
        guess = one(ftd)["id"] + "0" * 16
        for opt in ("upload-begin", "upload-part", "upload-status", "upload-end", "upload-abort"):
            answer = other.ask({"opt": opt, "upload": guess, "offset": 0, "filesize": 0})
            assert answer.get("code") == "taken_over", (opt, answer)
        ok(part(c, upload, 0, content(MIB)))


def test_who_sends_it(ftd):
    with ftd.client() as c:
        session = c.hello()["session"]
        upload = ok(begin(c, "/big", 4 * MIB))["upload"]
        ask = {"opt": "upload-part", "upload": upload, "offset": 0, "filesize": 4 * MIB}
        c.send(ask)
        c.sock.sendall(content(MIB))
        row = until(lambda: [r for r in listed(ftd)["uploads"] if r["state"] == "writing"], 10, "a writer")[0]
        assert row["session"] == session
        moving = until(ftd.transfers, 10, "the transfer")[0]
        assert moving["upload"] == row["id"] and moving["opt"] == "upload-part"
    until(lambda: one(ftd)["state"] == "waiting", 10, "its end")
    assert one(ftd)["held"] == MIB


def test_upload_with_keep(ftd):
    with ftd.client() as c:
        c.send({"opt": "upload", "filename": "/kept", "filesize": 4 * MIB, "mtime_ns": 1,
                "keep": True})
        c.sock.sendall(content(MIB))
        row = until(lambda: [r for r in listed(ftd)["uploads"] if r["session"]], 10, "a writer")[0]
        assert row["path"] == "/kept" and ftd.transfers()[0]["upload"] == row["id"]
    until(lambda: one(ftd)["held"] == MIB, 10, "its end")


def test_what_has_ended_is_not_listed(ftd):
    with ftd.client() as c:
        data = content(1000)
        upload = ok(begin(c, "/small", len(data)))["upload"]
        ok(part(c, upload, 0, data))
        ok(c.ask({"opt": "upload-end", "upload": upload}))
        assert listed(ftd)["uploads"] == []
        gone = ftd.ftctl("show", upload, check=False)
        assert gone.returncode == 7 and "no such unfinished upload" in gone.stderr


def test_many(ftd):
    """More than fit a frame or are asked for at once; each is told once."""
    names = {f"/{i:04}-{'x' * 200}" for i in range(700)}
    with ftd.client() as c:
        for name in names:
            c.send({"opt": "upload-begin", "filename": name, "filesize": MIB, "mtime_ns": 1})
        for _ in names:
            ok(c.answer()[0])
    rows = listed(ftd)["uploads"]
    assert sorted(r["path"] for r in rows) == sorted(names)
    assert [r["id"] for r in rows] == sorted(r["id"] for r in rows)


def test_a_reader_that_is_slow(ftd):
    """Its answers wait for it; the daemon and others do not."""
    with ftd.client() as c:
        for i in range(300):
            ok(begin(c, f"/{i:04}-{'y' * 250}/{'z' * 250}", MIB, parents=True))
    slow = socket.socket(socket.AF_UNIX)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(str(ftd.control))
    slow.sendall(len(b'{"opt":"list-uploads"}').to_bytes(4, "little") + b'{"opt":"list-uploads"}')
    assert len(listed(ftd)["uploads"]) == 300
    slow.settimeout(10 * PATIENCE)
    raw = b""
    while b'"unknown"' not in raw:
        raw += slow.recv(65536)
    assert raw.count(b'"state"') == 300
    slow.close()


def test_discard(ftd):
    with ftd.client() as c:
        upload = ok(begin(c, "/big", 2 * MIB, mtime_ns=1))["upload"]
        ok(part(c, upload, 0, content(MIB)))
        done = ftd.ftctl("upload", "discard", upload[:33], json_out=True)
        assert done["upload"]["path"] == "/big" and done["upload"]["held"] == MIB
        assert listed(ftd)["uploads"] == []
        assert os.listdir(ftd.root / ".ftd/uploads") == []
        assert part(c, upload, MIB, content(MIB))["code"] == "upload_unknown"
    again = ftd.ftctl("upload", "discard", upload[:33], check=False)
    assert again.returncode == 7


def test_discard_ends_who_writes(ftd):
    """The one that sends has stopped before the answer comes, and hears why."""
    with ftd.client() as c:
        upload = ok(begin(c, "/big", 8 * MIB))["upload"]
        c.send({"opt": "upload-part", "upload": upload, "offset": 0, "filesize": 8 * MIB})
        c.sock.sendall(content(MIB))
        until(lambda: one(ftd)["state"] == "writing", 10, "a writer")
        ftd.ftctl("upload", "discard", upload)
        assert os.listdir(ftd.root / ".ftd/uploads") == []
        c.sock.sendall(content(7 * MIB))
        assert c.answer()[0]["code"] == "taken_over"
        assert c.put("/other", b"goes on")["status"] == "ok"
    assert not (ftd.root / "big").exists()


def test_discard_where_a_writer_does_not_let_go(ftd):
    with ftd.client() as c:
        session = int(c.hello()["session"][1:])
        upload = ok(begin(c, "/big", 8 * MIB))["upload"]
        c.send({"opt": "upload-part", "upload": upload, "offset": 0, "filesize": 8 * MIB})
        c.sock.sendall(content(MIB))
        until(lambda: one(ftd)["state"] == "writing", 10, "a writer")
        pid = next(s["pid"] for s in ftd.sessions() if s["id"] == f"s{session}")
        os.kill(pid, signal.SIGSTOP)
        try:
            refused = ftd.ftctl("upload", "discard", upload, check=False)
            assert refused.returncode == 1 and "does not let go" in refused.stderr
        finally:
            os.kill(pid, signal.SIGCONT)
        until(lambda: one(ftd)["state"] == "waiting", 10, "its end")  # its claim is void
        ftd.ftctl("upload", "discard", upload)
    assert listed(ftd)["uploads"] == []


def test_discard_beside_its_target(ftd):
    """Content that waits in the directory of its target goes, too."""
    box = ftd.root / "box"
    box.mkdir()
    box.chmod(0o2775)
    with ftd.client() as c:
        upload = ok(begin(c, "/box/big", MIB))["upload"]
        ok(part(c, upload, 0, content(1000)))
    if not stat.S_IMODE(box.stat().st_mode) & stat.S_ISGID or not list(box.iterdir()):
        pytest.skip("this machine does not keep setgid, so nothing waits beside its target")
    ftd.ftctl("upload", "discard", upload[:33])
    assert list(box.iterdir()) == [] and os.listdir(ftd.root / ".ftd/uploads") == []


def test_discard_gives_the_quota_back(make_ftd):
    ftd = make_ftd(share={"quota": "10M", "anonymous": "never"})
    ftd.write_users(f"alice:{hashed('a')}")
    ftd.ftctl("reload", "--users")
    with ftd.client() as c:
        ok(c.login("alice", "a"))
        upload = until(lambda: begin(c, "/big", 8 * MIB).get("upload"), 10, "the first count")
        assert ok(c.ask({"opt": "space", "filename": "/"}))["free"] < 3 * MIB
        ftd.ftctl("upload", "discard", upload)
        assert c.put("/other", content(8 * MIB))["status"] == "ok"


def test_wrong_ids(ftd):
    for wrong in ("u1", "u" + "g" * 32, NOBODY[:-1], NOBODY + "0", "u../../../etc/passwd"):
        for words in (("show",), ("upload", "discard")):
            assert ftd.ftctl(*words, wrong, check=False).returncode == 2, (words, wrong)
    for words in (("show",), ("upload", "discard")):
        assert ftd.ftctl(*words, NOBODY, check=False).returncode == 7, words
    assert ftd.ftctl("cancel", NOBODY, check=False).returncode == 2


def test_damaged(ftd):
    with ftd.client() as c:
        upload = ok(begin(c, "/big", MIB))["upload"]
        ok(part(c, upload, 0, content(1000)))
    record, = (ftd.root / ".ftd/uploads").glob("*.rec")
    with open(record, "r+b") as f:
        f.write(b"\0" * 100)
    row = one(ftd)
    assert row["id"] == upload[:33] and row["state"] == "damaged"
    assert row["path"] is None and row["user"] is None and row["held"] is None
    ftd.ftctl("upload", "discard", row["id"])
    assert os.listdir(ftd.root / ".ftd/uploads") == []


def test_expired(make_ftd):
    """What has expired is gone at the next sweep, and says so until then."""
    ftd = make_ftd({"uploads": {"keep": "1h"}})
    with ftd.client() as c:
        ok(begin(c, "/old", MIB))
    record, = (ftd.root / ".ftd/uploads").glob("*.rec")
    then = time.time() - 3600 + 3 * PATIENCE  # later than the first sweep of the keeper
    os.utime(record, (then, then))
    until(lambda: one(ftd)["expires"] < time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()), 10, "the end of its time")
    listed_none = {"v": 1, "status": "ok", "uploads": [], "unknown": []}
    ftd.ftctl("reload")  # another keeper, which sweeps when it starts
    until(lambda: listed(ftd, check=False) == listed_none, 20, "the sweep")


def test_two_shares(make_ftd, scratch):
    """One of them cannot be reached: what is known is told, and what is not, too."""
    roots = [scratch / n for n in ("a", "b")]
    for root in roots:
        root.mkdir()
    share = {"anonymous": "loopback", "rights": "full", "durability": "none"}
    ftd = make_ftd({"shares": [{**share, "path": f"/{r.name}", "root": str(r)} for r in roots]})
    with ftd.client() as c:
        for name in ("/a/x", "/b/y"):
            ok(begin(c, name, MIB))
    assert sorted(r["path"] for r in listed(ftd)["uploads"]) == ["/a/x", "/b/y"]
    roots[0].rename(scratch / "away")
    before = keepers(ftd)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(set(keepers(ftd)) - set(before)) == 2, 20, "others")
    answer = listed(ftd, check=False)
    assert [r["path"] for r in answer["uploads"]] == ["/b/y"]
    assert [u["root"] for u in answer["unknown"]] == [str(roots[0])]
    shown = ftd.ftctl("list-uploads", check=False)
    assert shown.returncode == 1 and f"not known: those in {roots[0]}: No such file" in shown.stdout
    (scratch / "away").rename(roots[0])


def test_keeper_that_stands_still(ftd):
    """A file system that hangs takes nothing but what lies there: everything else is answered, and the rest not made up."""
    with ftd.client() as c:
        upload = ok(begin(c, "/big", MIB))["upload"]
    pid = keeper(ftd)
    os.kill(pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        answer = listed(ftd, check=False)
        assert time.monotonic() - begun < 8 * PATIENCE
        assert answer["uploads"] == [] and answer["unknown"][0]["root"] == str(ftd.root)
        shown = ftd.ftctl("show", upload, check=False)
        assert shown.returncode == 5 and "does not answer" in shown.stderr
        assert ftd.ask("status")["state"] == "ready" and ftd.ask("list-sessions")["sessions"] == []
        if os.environ.get("FTD_FULL") == "1":
            refused = ftd.ftctl("upload", "discard", upload, check=False, timeout=30)
            assert refused.returncode == 5 and "not known" in refused.stderr
        asked = [subprocess.Popen([harness.FTCTL, "-s", ftd.control, "list-uploads"], stdout=subprocess.DEVNULL)
                 for _ in range(7)]
        assert [p.wait(10 * PATIENCE) for p in asked] == [1] * 7
    finally:
        os.kill(pid, signal.SIGCONT)
    assert one(ftd)["path"] == "/big", "what was given up is not done later"


def test_keeper_that_is_replaced(ftd):
    """While it is asked: the next one answers, or it is said that nobody did."""
    with ftd.client() as c:
        ok(begin(c, "/big", MIB))
    pid = keeper(ftd)
    os.kill(pid, signal.SIGSTOP)
    asking = subprocess.Popen([harness.FTCTL, "-s", ftd.control, "--json", "list-uploads"], stdout=subprocess.PIPE,
                              text=True)
    time.sleep(0.3)
    ftd.ftctl("reload")
    os.kill(pid, signal.SIGKILL)
    assert "/big" in asking.communicate(timeout=20 * PATIENCE)[0] and asking.returncode == 0


def test_names_of_any_bytes(ftd):
    with ftd.client() as c:
        ok(c.ask({"opt": "upload-begin", "filename_hex": "2f61ff1b", "filesize": 5}))
    assert one(ftd)["path_hex"] == "2f61ff1b"
    assert "\x1b" not in ftd.ftctl("list-uploads").stdout
