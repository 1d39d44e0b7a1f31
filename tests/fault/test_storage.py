"""The storage of a share goes away while the daemon runs, and comes back: removed, renamed away, unmounted, another file
system in its place, read-only. Clients are told io_error and never that a name is not there; the log and `ftctl status`
say what it is; the rest goes on, and so does the share when the cause is gone."""
import subprocess

import pytest

import resumable
from harness import run, until

DATA = b"of the share" * 100


def mount(root, *options):
    done = run("mount", "-t", "tmpfs", "-o", ",".join(("size=16M,mode=0755", *options)), "none", root, check=False)
    if done.returncode != 0:
        pytest.skip("file systems cannot be mounted here")


def umount(root):
    run("umount", "-l", root, check=False)


@pytest.fixture
def two(make_ftd):
    """A daemon with a share at /other beside the one at /, which stays as it is; its root is .other."""
    ftd = make_ftd(start=False)
    ftd.other = ftd.dir / "other"
    ftd.other.mkdir()
    share = ftd.settings["shares"][0]
    ftd.write_conf({"shares": [share, {**share, "path": "/other", "root": str(ftd.other)}]})
    yield ftd.start()
    umount(ftd.other)


def store(ftd, name="/other/file"):
    with ftd.client() as client:
        return client.put(name, DATA)


def warnings(ftd):
    """As status has them: the disks are looked at once a second."""
    return " ".join(ftd.ask("status")["warnings"])


def warned(ftd, what):
    until(lambda: what in warnings(ftd), 5, f"the warning {what}")


def refuses_everything(client, code="io_error"):
    for request in ({"opt": "stat", "filename": "/other/file"}, {"opt": "list", "filename": "/other"},
                    {"opt": "list", "filename": "/other", "recursive": True},
                    {"opt": "download", "filename": "/other/file"}, {"opt": "digest", "filename": "/other/file"},
                    {"opt": "mkdir", "filename": "/other/made", "parents": True},
                    {"opt": "remove", "filename": "/other/file"}, {"opt": "space", "filename": "/other"},
                    {"opt": "rename", "filename": "/other/file", "to": "/other/new"},
                    {"opt": "copy", "filename": "/there", "to": "/other/new"},
                    {"opt": "upload-begin", "filename": "/other/new", "filesize": 10, "mtime_ns": 1}):
        answer = client.ask(request)
        assert answer.get("code") == code, (request, answer)
    assert client.put("/other/new", DATA)["code"] == code
    assert client.put("/other/a/b/new", DATA, parents=True)["code"] == code
    assert client.put("/other/new", resumable.content(300_000))["code"] == code


def others_go_on(client):
    assert client.put("/there", DATA)["status"] == "ok" and client.get("/there") == DATA


def gone_in_the_middle(two, go):
    """Refused in a session that is old and in one that is new; an upload under way ends, too."""
    with two.client() as old, two.client() as busy:
        others_go_on(old)
        assert old.put("/other/file", DATA)["status"] == "ok"
        data = resumable.content(4 << 20)
        busy.send({"opt": "upload", "filename": "/other/busy", "filesize": len(data)}, data[:1 << 20])
        until(lambda: any(t["offset"] >= 1 << 20 for t in two.transfers()), 5, "the transfer")
        go()
        said = len(two.errors)
        refuses_everything(old)
        others_go_on(old)
        busy.sock.sendall(data[1 << 20:])
        answer = busy.answer()[0]
        assert answer["code"] == "io_error", answer
        others_go_on(busy)
    with two.client() as new:
        refuses_everything(new)
        others_go_on(new)
    until(lambda: "io_error" in two.errors[said:] and str(two.other) in two.errors[said:], 5, "the log")


def test_removed_and_made_again(two):
    gone_in_the_middle(two, lambda: run("rm", "-r", two.other))
    warned(two, f"share root {two.other} cannot be reached")
    two.other.mkdir()
    assert store(two)["status"] == "ok"
    until(lambda: not warnings(two), 5, "the end of the warning")


def test_removed_while_nobody_looks(two):
    """The reserved directory alone: it is made again."""
    with two.client() as client:
        assert client.put("/other/file", DATA)["status"] == "ok"
        resumable.resume(client, "/other/large", DATA, mtime_ns=1)
        run("rm", "-r", two.other / ".ftd")
        assert client.put("/other/file", DATA + DATA)["status"] == "ok"
        assert client.get("/other/file") == DATA + DATA
        resumable.resume(client, "/other/large", DATA + DATA, mtime_ns=1)
        assert client.get("/other/large") == DATA + DATA


def test_the_staged_file_is_removed(two):
    with two.client() as client:
        data = resumable.content(4 << 20)
        client.send({"opt": "upload", "filename": "/other/file", "filesize": len(data)}, data[:1 << 20])
        until(lambda: any(t["offset"] >= 1 << 20 for t in two.transfers()), 5, "the transfer")
        run("rm", "-r", two.other / ".ftd")
        client.sock.sendall(data[1 << 20:])
        assert client.answer()[0]["code"] == "io_error"
        assert not (two.other / "file").exists()
        assert client.put("/other/file", data)["status"] == "ok"


def test_renamed_away(two):
    """Who has begun goes where the directory went; others are refused; and all is well when it is back."""
    with two.client() as old:
        assert old.put("/other/file", DATA)["status"] == "ok"
        away = two.dir / "away"
        two.other.rename(away)
        assert old.put("/other/more", DATA)["status"] == "ok" and (away / "more").read_bytes() == DATA
        with two.client() as new:
            others_go_on(new)
            refuses_everything(new)
        warned(two, "cannot be reached")
        away.rename(two.other)
        with two.client() as new:
            assert new.get("/other/more") == DATA


def test_not_there_at_start(make_ftd):
    ftd = make_ftd(start=False)
    other, share = ftd.dir / "other", ftd.settings["shares"][0]
    ftd.write_conf({"shares": [share, {**share, "path": "/other", "root": str(other)}]})
    ftd.start()
    with ftd.client() as client:
        others_go_on(client)
        refuses_everything(client)
    warned(ftd, f"share root {other} cannot be reached")
    other.mkdir()
    assert store(ftd)["status"] == "ok"
    until(lambda: not warnings(ftd), 5, "the end of the warning")


def test_unmounted(two):
    """What lies under the mount is not the share: nothing is stored there. A reload says that it is meant."""
    mount(two.other)
    two.ftctl("reload")
    assert store(two)["status"] == "ok"
    umount(two.other)
    with two.client() as client:
        others_go_on(client)
        refuses_everything(client)
    assert not [p for p in two.other.rglob("*") if p.is_file()]
    two.told("another file system")
    warned(two, f"another file system is at {two.other}")
    two.ftctl("reload")
    assert store(two)["status"] == "ok" and (two.other / "file").read_bytes() == DATA
    until(lambda: not warnings(two), 5, "the end of the warning")


def test_read_only_in_the_middle(two):
    mount(two.other)
    two.ftctl("reload")
    with two.client() as client, two.client() as reader:
        data = resumable.content(2 << 20)
        assert client.put("/other/file", DATA)["status"] == "ok"
        begun = resumable.ok(resumable.begin(client, "/other/parts", len(data), mtime_ns=1))
        resumable.ok(resumable.part(client, begun["upload"], 0, data[:1 << 20]))
        run("mount", "-o", "remount,ro", two.other)
        said = len(two.errors)
        assert client.put("/other/new", DATA)["code"] == "io_error"
        assert client.ask({"opt": "mkdir", "filename": "/other/made"})["code"] == "io_error"
        assert client.ask({"opt": "remove", "filename": "/other/file"})["code"] == "io_error"
        assert client.ask({"opt": "set", "filename": "/other/file", "mode": 0o600})["code"] == "io_error"
        assert resumable.end(client, begun["upload"], data)["status"] == "error"
        assert reader.get("/other/file") == DATA
        assert sorted(reader.names("/other")) == ["file"]
        others_go_on(client)
        until(lambda: two.errors[said:].count("io_error") >= 4, 5, "the log")
        warned(two, f"{two.other} is read-only")
        run("mount", "-o", "remount,rw", two.other)
        receipt, again = resumable.resume(client, "/other/parts", data, mtime_ns=1)
        assert again["ranges"] == [[0, 1 << 20]] and receipt["status"] == "ok"
        assert client.put("/other/new", DATA)["status"] == "ok"
    until(lambda: not warnings(two), 5, "the end of the warning")


def test_no_room_for_files(two):
    mount(two.other, "nr_inodes=20")
    two.ftctl("reload")
    for i in range(30):
        if subprocess.run(["touch", two.other / f"f{i}"], capture_output=True, check=False).returncode != 0:
            break
    assert store(two)["code"] == "disk_full"
    warned(two, f"{two.other} has no room for another file")
    run("rm", two.other / "f0", two.other / "f1", two.other / "f2", two.other / "f3", two.other / "f4")
    assert store(two)["status"] == "ok"
