"""The control socket: peers that flood, hang or never read take nothing from others."""
import json
import struct
import time

import pytest

import wire
from harness import PATIENCE, SANITIZED, private_kb, served, until


def answers(ftd):
    begin = time.monotonic()
    assert ftd.ask("status")["state"] == "ready"
    assert time.monotonic() - begin < 2 * PATIENCE


def peer(ftd):
    return wire.Wire.unix(str(ftd.control))


def test_half_frames(shared_ftd):
    peers = [peer(shared_ftd) for _ in range(4)]
    for n, half in enumerate(peers):
        half.sock.sendall(wire.encode({"opt": "status"})[:n + 2])
    answers(shared_ftd)
    served(shared_ftd)
    for half in peers:
        half.sock.settimeout(15 * PATIENCE)
        while half.sock.recv(65536):
            pass
        half.close()
    answers(shared_ftd)


def test_quiet_peer_may_stay(shared_ftd):
    with peer(shared_ftd) as quiet:
        time.sleep(11)
        assert quiet.ask({"opt": "status"})["state"] == "ready"


def test_flood_of_peers(ftd):
    """More than are allowed: those beyond are refused, and the place comes back."""
    peers = []
    for _ in range(64):
        try:
            peers.append(peer(ftd))
        except OSError:
            break
    served(ftd)
    for each in peers:
        each.close()
    until(lambda: ftd.ask("status").get("state") == "ready", 5)


def test_flood_of_requests_without_reading(ftd):
    before = private_kb(ftd.pid)
    with peer(ftd) as mute:
        mute.sock.setblocking(False)
        data = memoryview(wire.encode({"opt": "metrics"}) * 50_000)
        sent, end = 0, time.monotonic() + 3
        while sent < len(data) and time.monotonic() < end:
            try:
                sent += mute.sock.send(data[sent:sent + 65536])
            except BlockingIOError:
                time.sleep(0.02)
            except OSError:
                break
        answers(ftd)
        served(ftd)
        if not SANITIZED:
            assert private_kb(ftd.pid) - before < 2048
        mute.sock.settimeout(20 * PATIENCE)
        try:
            while mute.sock.recv(65536):
                pass
        except (ConnectionError, TimeoutError):
            pass
    answers(ftd)


@pytest.mark.parametrize("raw", [
    b"{", b"[]", b"{}", b'{"opt":5}', b'{"opt":"no-such"}', b'{"opt":"status","opt":"reload"}', b"\xff" * 100,
    b'{"opt":' + b"[" * 5000, b'{"opt":"show"}', b'{"opt":"show","id":"s0"}', b'{"opt":"show","id":5}',
    b'{"opt":"kick"}', b'{"opt":"kick","id":"s999999999999999999999"}', b'{"opt":"kick","from":"1.2.3"}',
    b'{"opt":"wait","state":"never"}', b'{"opt":"config-show","key":"' + b"x" * 5000 + b'"}',
    b'{"opt":"shutdown","grace":"-1"}', b'{"opt":"shutdown","grace":5}',
])
def test_bad_requests(shared_ftd, raw):
    with peer(shared_ftd) as client:
        client.sock.sendall(wire.encode(raw))
        header, _ = client.answer()
        assert header["status"] == "error" and header["code"] and header["message"], header
    answers(shared_ftd)


def test_files_are_read_by_the_tool_not_by_the_daemon(ftd):
    """A viewer cannot have the daemon read a file for them: its name is only what problems are told under."""
    with peer(ftd) as client:
        header = client.ask({"opt": "config-check", "file": "/etc/passwd"})
        assert "root:" not in json.dumps(header)
        header = client.ask({"opt": "config-check", "file": "/etc/passwd", "text": "sandboxx = 1;"})
        assert "root:" not in json.dumps(header) and "sandbox" in json.dumps(header)


def test_frames_split_anywhere(shared_ftd):
    raw = wire.encode({"opt": "version"})
    with peer(shared_ftd) as client:
        for byte in raw:
            client.sock.sendall(bytes([byte]))
            time.sleep(0.002)
        assert client.answer()[0]["status"] == "ok"


def test_many_requests_in_one_write(shared_ftd):
    with peer(shared_ftd) as client:
        client.sock.sendall(wire.encode({"opt": "version"}) * 100)
        for _ in range(100):
            assert client.answer()[0]["status"] == "ok"


def test_length_of_nonsense_then_silence(shared_ftd):
    with peer(shared_ftd) as client:
        client.sock.sendall(struct.pack("<i", 65536))
        answers(shared_ftd)
