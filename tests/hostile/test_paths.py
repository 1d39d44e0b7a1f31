"""Names that lead elsewhere: every spelling is refused, and nothing outside the share is touched."""
import os

import pytest

from harness import served

CLIMBING = ["..", "../x", "/..", "/../x", "a/../../x", "/a/..", "/a/../b", "./x", "/.", "/a/./b", "a//b", "//", "/a/", "",
            "/a\0b", "/" + "n" * 256, "/" + "a/" * 2047 + "bb"]
RESERVED = ["/.ftd", "/.ftd/staging", "/.ftd/staging/x", "/.ftd-abc", "/d/.ftd", "/d/.ftd-1", "/.ftdx/y"]


def requests(name):
    yield {"opt": "upload", "filename": name, "filesize": 0}
    yield {"opt": "upload", "filename": name, "filesize": 0, "parents": True}
    yield {"opt": "download", "filename": name}
    yield {"opt": "download-tree", "filename": name}
    yield {"opt": "list", "filename": name}
    yield {"opt": "stat", "filename": name}
    yield {"opt": "digest", "filename": name}
    yield {"opt": "mkdir", "filename": name}
    yield {"opt": "mkdir", "filename": name, "parents": True}
    yield {"opt": "remove", "filename": name}
    yield {"opt": "remove", "filename": name, "recursive": True}
    yield {"opt": "rename", "filename": name, "to": "/renamed"}
    yield {"opt": "rename", "filename": "/own", "to": name}
    yield {"opt": "copy", "filename": name, "to": "/copied"}
    yield {"opt": "copy", "filename": "/own", "to": name}
    yield {"opt": "set", "filename": name, "mode": 0o777}


@pytest.fixture
def victim(ftd):
    """A directory outside the share that nothing may touch; checked afterwards."""
    outside = ftd.dir / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (outside / "secret").chmod(0o600)
    before = snapshot(outside)
    (ftd.root / "own").write_text("own")
    (ftd.root / "d").mkdir()
    yield outside
    assert snapshot(outside) == before


def snapshot(directory):
    return sorted((p.name, p.lstat().st_mode, p.lstat().st_mtime_ns, p.lstat().st_ino) for p in
                  [directory, *directory.rglob("*")])


@pytest.mark.parametrize("name", CLIMBING + RESERVED)
def test_refused_at_the_door(ftd, victim, name):
    root_names = ("//", "")
    with ftd.client() as client:
        for request in requests(name):
            header = client.ask(request)
            assert header["status"] == "error", (request, header)
            assert header["code"] == "bad_name" or name in root_names, (request, header)
    assert (ftd.root / "own").read_text() == "own"
    served(ftd)


@pytest.mark.parametrize("target", ["../outside", "{outside}", "..", "/", "/proc/self/cwd", "own", "missing"])
def test_links_are_not_followed(ftd, victim, target):
    """A link in the middle or at the end, to the outside or the inside: no operation goes through it."""
    os.symlink(target.format(outside=victim), ftd.root / "link")
    with ftd.client() as client:
        for name in ("/link/secret", "/link/new", "/link/outside/secret"):
            for request in requests(name):
                header = client.ask(request)
                assert header["status"] == "error", (request, header)
                assert header["code"] in ("link_refused", "not_found", "not_a_directory"), (request, header)
        for opt in ("download", "download-tree", "list", "digest", "set"):
            header = client.ask({"opt": opt, "filename": "/link", **({"mode": 0o777} if opt == "set" else {})})
            assert header["status"] == "error", (opt, header)
        # the link itself can be seen, replaced by a file and removed, never what it points at
        assert client.ask({"opt": "stat", "filename": "/link"})["type"] == "link"
        assert client.put("/link", b"a file now")["status"] == "ok"
        assert client.ask({"opt": "remove", "filename": "/link"})["status"] == "ok"
    assert not (ftd.root / "link").exists() and not os.path.islink(ftd.root / "link")
    served(ftd)


def test_links_are_not_walked(ftd, victim):
    (ftd.root / "tree/sub").mkdir(parents=True)
    (ftd.root / "tree/sub/f").write_text("f")
    os.symlink(victim, ftd.root / "tree/out")
    os.symlink("..", ftd.root / "tree/sub/up")
    with ftd.client() as client:
        names = client.names("/tree", recursive=True)
        assert not [n for n in names if n.startswith(("out/", "sub/up/"))]
        assert {"sub", "sub/f"} <= names
        client.send({"opt": "download-tree", "filename": "/tree"})
        content = b""
        while True:
            header, body = client.answer()
            content += body
            if not header.get("more"):
                break
        assert b"secret" not in content
        assert client.ask({"opt": "remove", "filename": "/tree", "recursive": True})["status"] == "ok"
    assert not (ftd.root / "tree").exists()


def test_absolute_names_are_those_of_the_share(ftd, victim):
    with ftd.client() as client:
        assert client.ask({"opt": "download", "filename": "/etc/passwd"})["code"] == "not_found"
        assert client.ask({"opt": "download", "filename": str(victim / "secret")})["code"] == "not_found"
        assert client.ask({"opt": "stat", "filename": "/"})["type"] == "dir"


def test_other_things_than_files(ftd):
    """A FIFO or a device cannot hang or be read; it is no file."""
    os.mkfifo(ftd.root / "fifo")
    with ftd.client(timeout=10) as client:
        for request in ({"opt": "download", "filename": "/fifo"}, {"opt": "digest", "filename": "/fifo"},
                        {"opt": "copy", "filename": "/fifo", "to": "/c"}):
            assert client.ask(request)["status"] == "error"
        assert client.ask({"opt": "stat", "filename": "/fifo"})["type"] == "other"
    served(ftd)


def test_root_can_not_be_removed(ftd):
    (ftd.root / "kept").write_text("kept")
    with ftd.client() as client:
        for request in ({"opt": "remove", "filename": "/", "recursive": True},
                        {"opt": "rename", "filename": "/", "to": "/x"}, {"opt": "mkdir", "filename": "/"},
                        {"opt": "upload", "filename": "/", "filesize": 0}):
            assert client.ask(request)["status"] == "error", request
    assert (ftd.root / "kept").read_text() == "kept"
