"""The clients from before there was a hello: what they send and when they read stays as it was."""
import json
import os
import socket
import struct
import threading
import time

import pytest

import wire
from harness import PATIENCE, until


def packed(header):
    """As those clients do it: the machine's own int, then json.dumps()."""
    raw = json.dumps(header).encode()
    return struct.pack("i", len(raw)) + raw


def connect(ftd):
    return socket.create_connection(("127.0.0.1", ftd.port), timeout=20)


def stored(ftd, name, data):
    """The file is there, complete: the moment its name appears."""
    path = ftd.root / name
    until(path.exists, 10, f"{name} being published")
    assert path.read_bytes() == data


def send_file(ftd, name, data, chunk=1024):
    """The first tutorial client: header, content by chunks, no answer read, closed at once."""
    with connect(ftd) as sock:
        sock.sendall(packed({"opt": "upload", "filename": name, "filesize": len(data)}))
        for start in range(0, len(data), chunk):
            sock.sendall(data[start:start + chunk])


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1025, 300_000, 5_000_000])
def test_packed_header_and_no_answer_read(ftd, size):
    data = os.urandom(size)
    send_file(ftd, "movie.mp4", data)
    stored(ftd, "movie.mp4", data)


@pytest.mark.parametrize("name, length", [
    ("\u4f60" * 11 + ".mp4", 123),
    ("n" * 225, 278),
    ("n" * 200 + "/" + "m" * 125, 379),
])
def test_header_lengths(ftd, name, length):
    """123 is also an open brace, 278 begins like a TLS record: both are lengths."""
    data = os.urandom(123_456)
    header = packed({"opt": "upload", "filename": name, "filesize": len(data)})
    assert len(header) == 4 + length
    (ftd.root / name).parent.mkdir(exist_ok=True)
    with connect(ftd) as sock:
        sock.sendall(header + data)
    stored(ftd, name, data)


@pytest.mark.parametrize("length", [*range(14, 31), 123, 278, 379, 0x0a0d, 0x0316, 65535, 65536])
def test_every_length_is_a_length(shared_ftd, length):
    """A request of exactly so many bytes, some of which look like a TLS record or a PROXY header."""
    raw = b'{"opt":"ping"}'.ljust(length)
    assert len(raw) == length
    with shared_ftd.connect() as client:
        assert client.ask(raw)["status"] == "ok"


def test_bare_header(ftd):
    """The object alone, wait for two bytes, the content, then the server closes."""
    data = os.urandom(700_000)
    with connect(ftd) as sock:
        sock.sendall(json.dumps({"opt": "upload", "filename": "bare.bin", "filesize": len(data)}).encode())
        assert sock.recv(1024) == b"ok"
        sock.sendall(data)
        assert sock.recv(1024) == b""
    stored(ftd, "bare.bin", data)


def test_bare_header_in_single_bytes(ftd):
    raw = json.dumps({"opt": "upload", "filename": "a}{\"b", "filesize": 3}).encode()
    with connect(ftd) as sock:
        for i in range(len(raw)):
            sock.sendall(raw[i:i + 1])
        assert sock.recv(1024) == b"ok"
        sock.sendall(b"abc")
        assert sock.recv(1024) == b""
    stored(ftd, 'a}{"b', b"abc")


def test_bare_header_that_does_not_wait(ftd):
    data = os.urandom(100_000)
    with connect(ftd) as sock:
        sock.sendall(json.dumps({"opt": "upload", "filename": "eager", "filesize": len(data)}).encode() + data)
        assert sock.recv(1024) == b"ok"
    stored(ftd, "eager", data)


def test_bare_header_refused(ftd):
    with connect(ftd) as sock:
        sock.sendall(json.dumps({"opt": "upload", "filename": "../x", "filesize": 3}).encode())
        answer = b""
        while data := sock.recv(1024):
            answer += data
    assert json.loads(answer)["code"] == "bad_name"


def test_nothing_is_said_before_the_last_byte(ftd):
    """Not even an error: who never reads would lose what is on its way."""
    data = os.urandom(200_000)
    with connect(ftd) as sock:
        sock.sendall(packed({"opt": "upload", "filename": "/no/such/directory/f", "filesize": len(data)}) + data[:-1])
        sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.sendall(data[-1:])
        sock.settimeout(20)
        client = wire.Wire(sock)
        assert client.answer()[0]["code"] == "not_found"


def test_answer_that_meets_a_reset_loses_nothing(ftd):
    """SO_LINGER 0 after the last byte has been taken: the answer finds nobody, the file is there."""
    data = os.urandom(100_000)
    sock = connect(ftd)
    sock.sendall(packed({"opt": "upload", "filename": "reset", "filesize": len(data)}) + data[:-1])
    time.sleep(0.3)
    sock.sendall(data[-1:])
    time.sleep(0.3)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    stored(ftd, "reset", data)


def test_cut_short_is_never_a_file(ftd):
    with connect(ftd) as sock:
        sock.sendall(packed({"opt": "upload", "filename": "short", "filesize": 1000}) + bytes(999))
    until(lambda: not ftd.sessions(), 10, "the session's end")
    assert not (ftd.root / "short").exists()
    assert not ftd.staged()


def test_browse_and_download(ftd):
    """The picture browser: list the absolute path, walk down, ask for a file, read while it is read."""
    (ftd.root / "pictures/2026").mkdir(parents=True)
    picture = os.urandom(3_000_000)
    (ftd.root / "pictures/2026/a.jpg").write_bytes(picture)
    (ftd.root / "pictures/empty").mkdir()
    with ftd.connect() as client:
        assert client.names("/") == {"pictures"}
        kinds = {e["name"]: e["type"] for e in client.list("/pictures")}
        assert kinds == {"2026": "dir", "empty": "dir"}
        (entry,) = client.list("/pictures/2026")
        assert (entry["name"], entry["type"], entry["filesize"]) == ("a.jpg", "file", len(picture))
        assert client.get("/pictures/2026/a.jpg") == picture


def test_conversation_until_quit(ftd):
    with ftd.connect() as client:
        for i in range(50):
            assert client.put(f"/talk-{i}", b"x" * i)["status"] == "ok"
            assert client.get(f"/talk-{i}") == b"x" * i
        assert client.ask({"opt": "quit"})["status"] == "ok"
        assert client.at_end()


def test_half_closed_still_gets_every_answer(ftd):
    with ftd.connect() as client:
        for i in range(20):
            client.send({"opt": "upload", "filename": f"/h{i}", "filesize": 1, "id": i}, b"x")
        client.sock.shutdown(socket.SHUT_WR)
        assert [client.answer()[0]["id"] for _ in range(20)] == list(range(20))
        assert client.at_end()


def test_fifty_at_once_and_datagrams_meanwhile(ftd):
    """Fifty uploads under way together; UDP answers whoever asks while they are."""
    data = {f"c{i}.bin": os.urandom(200_000) for i in range(50)}
    half = threading.Barrier(51)
    failures = []

    def upload(name, content):
        try:
            with connect(ftd) as sock:
                sock.sendall(packed({"opt": "upload", "filename": name, "filesize": len(content)}))
                sock.sendall(content[:1000])
                half.wait(30 * PATIENCE)
                half.wait(30 * PATIENCE)
                sock.sendall(content[1000:])
        except Exception as error:  # noqa: BLE001  (told below, with the name)
            failures.append((name, error))

    threads = [threading.Thread(target=upload, args=item) for item in data.items()]
    for thread in threads:
        thread.start()
    half.wait(30 * PATIENCE)
    until(lambda: len(ftd.transfers()) == 50, 20, "fifty transfers at once")
    for i in range(100):
        reply = wire.datagram(ftd.port, json.dumps({"nonce": str(i)}).encode())
        assert len(reply) <= 1024
        assert json.loads(reply)["nonce"] == str(i)
    until(lambda: json.loads(wire.datagram(ftd.port))["transfers"] == 50, 5, "fifty transfers in the status")
    half.wait(30 * PATIENCE)
    for thread in threads:
        thread.join(30 * PATIENCE)
    assert not failures
    for name, content in data.items():
        stored(ftd, name, content)


def test_datagrams_from_many_at_once(ftd):
    """Twenty who ask before anybody reads: each gets its own answer."""
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(20)]
    try:
        for i, sock in enumerate(socks):
            sock.settimeout(5 * PATIENCE)
            sock.sendto(json.dumps({"nonce": f"n{i}"}).encode(), ("127.0.0.1", ftd.port))
        for i, sock in enumerate(socks):
            reply = json.loads(sock.recv(2048))
            assert (reply["nonce"], reply["status"]) == (f"n{i}", "ready")
    finally:
        for sock in socks:
            sock.close()


@pytest.mark.parametrize("payload", [b"", b"hello", b"\xff" * 1472, b"{", b'{"nonce":5}', b'{"nonce":"' + b"x" * 65 + b'"}'])
def test_any_datagram_is_answered(shared_ftd, payload):
    reply = json.loads(wire.datagram(shared_ftd.port, payload))
    assert reply["status"] == "ready" and "nonce" not in reply
