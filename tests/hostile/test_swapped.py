"""A directory and a link to the outside change places while requests go through the name."""
import ctypes
import os
import threading
import time

import pytest

from harness import served, until

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, RENAME_EXCHANGE = -100, 2
SECONDS = 3


def exchange(a, b):
    if LIBC.renameat2(AT_FDCWD, os.fsencode(a), AT_FDCWD, os.fsencode(b), RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), "renameat2")


@pytest.fixture
def swapping(ftd):
    """/dir is a directory with files or, as often, a link to the outside, thousands of times a second."""
    outside = ftd.dir / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"SECRET")
    (ftd.root / "dir").mkdir()
    (ftd.root / "dir/secret").write_bytes(b"public")
    os.symlink("../outside", ftd.root / "swap")
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            exchange(ftd.root / "dir", ftd.root / "swap")
            time.sleep(0.0001)

    thread = threading.Thread(target=swap)
    thread.start()
    yield ftd
    stop.set()
    thread.join()
    assert sorted(os.listdir(outside)) == ["secret"]
    assert (outside / "secret").read_bytes() == b"SECRET"
    served(ftd)


def rounds(request):
    end, count = time.monotonic() + SECONDS, {}
    while time.monotonic() < end:
        answer = request()
        count[answer] = count.get(answer, 0) + 1
    return count


def test_upload(swapping):
    with swapping.client() as client:
        count = rounds(lambda: client.put("/dir/new", b"x" * 100, if_exists="replace").get("code", "ok"))
    assert count.get("ok") and set(count) <= {"ok", "link_refused", "not_a_directory", "not_found"}, count


def test_upload_makes_no_parents_outside(swapping):
    with swapping.client() as client:
        count = rounds(lambda: client.put("/dir/deep/er", b"x", parents=True).get("code", "ok"))
    assert count.get("ok"), count


def test_download(swapping):
    with swapping.client() as client:
        def one():
            _, content, last = client.pieces({"opt": "download", "filename": "/dir/secret"})
            assert content in (b"", b"public")
            return last.get("code", "ok")
        count = rounds(one)
    assert count.get("ok"), count


def test_list(swapping):
    with swapping.client() as client:
        def one():
            header = client.ask({"opt": "list", "filename": "/dir"})
            return header.get("code") or ",".join(e["name"] for e in header["entries"])
        count = rounds(one)
    assert set(count) - {"secret"} <= {"link_refused", "not_a_directory", "not_found"}, count


def test_list_recursively(swapping):
    (swapping.dir / "outside/only-outside").touch()
    try:
        with swapping.client() as client:
            count = rounds(lambda: "only-outside" in "".join(map(str, client.names("/", recursive=True))))
    finally:
        (swapping.dir / "outside/only-outside").unlink()
    assert set(count) == {False}, count


def test_remove_and_rename(swapping):
    with swapping.client() as client:
        def one():
            client.put("/dir/gone", b"x")
            client.ask({"opt": "rename", "filename": "/dir/gone", "to": "/dir/secret", "if_exists": "replace"})
            return client.ask({"opt": "remove", "filename": "/dir/secret"}).get("code", "ok")
        rounds(one)


def test_set(swapping):
    before = os.stat(swapping.dir / "outside/secret")
    with swapping.client() as client:
        rounds(lambda: client.ask({"opt": "set", "filename": "/dir/secret", "mode": 0o777, "mtime_ns": 5}).get("code"))
    after = os.stat(swapping.dir / "outside/secret")
    assert (before.st_mode, before.st_mtime_ns) == (after.st_mode, after.st_mtime_ns)


def test_leaf_swapped_with_a_link(ftd):
    """The file itself and a link to the outside change places."""
    secret = ftd.dir / "secret"
    secret.write_bytes(b"SECRET")
    (ftd.root / "f").write_bytes(b"public")
    os.symlink(secret, ftd.root / "g")
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            exchange(ftd.root / "f", ftd.root / "g")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        with ftd.client() as client:
            def one():
                _, content, last = client.pieces({"opt": "download", "filename": "/f"})
                assert content in (b"", b"public")
                return last.get("code", "ok")
            rounds(one)
    finally:
        stop.set()
        thread.join()
    until(lambda: secret.read_bytes() == b"SECRET", 1)
    served(ftd)
