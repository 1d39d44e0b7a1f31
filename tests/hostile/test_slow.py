"""One byte a second: a header that never comes to its end costs nobody else anything, and ends."""
import time

import pytest

import wire
from harness import served, until


def test_header_by_the_second_meets_the_login_timeout(make_ftd):
    ftd = make_ftd({"limits": {"login_timeout": "3s"}})
    raw = wire.encode({"opt": "ping"})
    with ftd.connect() as client:
        begin = time.monotonic()
        with pytest.raises(OSError):
            for i in range(len(raw) - 1):
                client.sock.sendall(raw[i:i + 1])
                time.sleep(1)
                served(ftd)
                if client.sock.recv(1000) == b"":
                    raise ConnectionError("closed")
        assert time.monotonic() - begin < 10


def test_silent_connections_meet_the_login_timeout(make_ftd):
    ftd = make_ftd({"limits": {"login_timeout": "2s"}})
    clients = [ftd.connect() for _ in range(20)]
    for client in clients:
        client.sock.sendall(b"\x10")
    served(ftd)
    for client in clients:
        client.sock.settimeout(15)
        assert client.at_end() or b"timeout" in client.sock.recv(1000)
        client.close()


def test_body_that_stops_meets_the_stall_timeout(make_ftd):
    ftd = make_ftd({"limits": {"stall_timeout": "2s"}})
    with ftd.client() as client:
        client.send({"opt": "upload", "filename": "/stalled", "filesize": 1000}, b"x" * 10)
        served(ftd)
        until(lambda: not ftd.sessions(), 15, "the stalled session's end")
    assert not (ftd.root / "stalled").exists()
    assert not ftd.staged()


def test_reader_that_stops_meets_the_stall_timeout(make_ftd):
    ftd = make_ftd({"limits": {"stall_timeout": "2s"}})
    (ftd.root / "large").write_bytes(bytes(64 << 20))
    with ftd.client(rcvbuf=4096) as client:
        client.send({"opt": "download", "filename": "/large"})
        served(ftd)
        until(lambda: not ftd.sessions(), 15, "the stalled session's end")


def test_slow_body_goes_on(make_ftd):
    """Slow is no fault: a byte now and then is progress."""
    ftd = make_ftd({"limits": {"stall_timeout": "2s"}})
    with ftd.client() as client:
        client.send({"opt": "upload", "filename": "/slow", "filesize": 5})
        for byte in b"patie":
            time.sleep(1)
            client.sock.sendall(bytes([byte]))
        assert client.answer()[0]["status"] == "ok"
    assert (ftd.root / "slow").read_bytes() == b"patie"


def test_idle_meets_the_idle_timeout(make_ftd):
    ftd = make_ftd({"limits": {"idle_timeout": "2s"}})
    with ftd.client() as client:
        client.list("/")
        begin = time.monotonic()
        header, _ = client.frame()
        assert header["code"] == "timeout" and header["close"] is True
        assert client.at_end()
        assert 1 < time.monotonic() - begin < 15
