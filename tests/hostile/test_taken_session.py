"""A session that a stranger has taken over tries everything: nothing of it may work, and others do not notice."""
import contextlib
import os
import socket

import pytest

import taken
from harness import children, name_of, until


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


def test_names(ftd, capsys):
    """Files outside, of hidden shares, of shares to be read only, of the daemon, of other processes."""
    results, run = taken.Results(), ftd.control.parent
    with taken.undisturbed(ftd), sibling(ftd) as other:
        forbidden = [
            "/etc/passwd", "/etc/shadow", ftd.conf, run / "orders", run / "reports", run / "public", run / "ftd.pid",
            ftd.control, "/tmp", "/tmp/new", "/dev/shm", "/dev/mem", "/", "/proc/self/mem", "/proc/1/environ",
            f"/proc/{ftd.pid}/mem", f"/proc/{ftd.pid}/fd/0", f"/proc/{other}/mem", f"/proc/{other}/maps"]
        forbidden += [ftd.dir / name / file for name in ("outside", "hidden") for file in ("file", "", "new")]
        for path in map(str, forbidden):
            taken.attempts(ftd, taken.session, results, "paths", path, path=path)
        results.show(capsys)


def test_share_to_be_read(ftd, capsys):
    results, readable = taken.Results(), ftd.dir / "shown/file"
    with taken.undisturbed(ftd):
        for path in (readable, ftd.dir / "shown/new", ftd.dir / "shown"):
            taken.attempts(ftd, taken.session, results, "paths", str(path), path=str(path))
    read = {f"openat2 to read {readable}", f"openat2 to read {readable.parent}", f"a handle as a directory {readable.parent}"}
    assert set(results.worked) == read
    results.worked = []
    results.show(capsys, also={"openat2 to read": "ENOENT", "a handle as a directory": "ENOENT"})


def test_processes(ftd, capsys):
    results = taken.Results()
    with taken.undisturbed(ftd), sibling(ftd) as other:
        for pid in (ftd.pid, other, *children(ftd.pid), os.getpid()):
            taken.attempts(ftd, taken.session, results, "processes", f"{name_of(pid)} {pid}", pid=pid)
    results.show(capsys)


def test_memory(ftd, capsys):
    results = taken.Results()
    with taken.undisturbed(ftd):
        taken.attempts(ftd, taken.session, results, "memory")
    results.show(capsys)


def test_kernel(ftd, capsys):
    results = taken.Results()
    with taken.undisturbed(ftd):
        taken.attempts(ftd, taken.session, results, "kernel")
    results.show(capsys)


def test_sockets(ftd, capsys):
    results = taken.Results()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal, socket.create_server(("127.0.0.1", 0)) as server:
        path = str(ftd.dir / "outside/journal")
        journal.bind(path)
        os.chmod(path, 0o777)
        with taken.undisturbed(ftd):
            taken.attempts(ftd, taken.session, results, "sockets", path=path, port=server.getsockname()[1])
        results.show(capsys, also={"connect by fast open": "EISCONN"})
        for sock in (journal, server):
            sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            journal.recv(100)
        with pytest.raises(BlockingIOError):
            server.accept()
    with ftd.client() as client:
        client.put("/told", b"x")
    until(lambda: "upload /told" in ftd.errors, 5, "a word in the log")
