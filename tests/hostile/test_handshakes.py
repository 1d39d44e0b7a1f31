"""Handshakes that are none, that stop and that never end: nobody else waits, and all end."""
import os
import socket
import ssl
import time
from subprocess import PIPE, Popen

import pytest

import wire
from harness import PATIENCE, children, name_of, served, until

LOGIN_SEC = 2
CHAOS = [
    b"\x16\x03\x01\x00\x05hello",                     # a record that holds no handshake
    b"\x16\x03\x01\xff\xff" + b"A" * 2000,            # longer than any record may be
    b"\x16\x03\x03\x00\x04\x01\xff\xff\xff",          # a hello of 16 MiB
    b"\x16\x03\x01\x00\x01\x01" * 500,                # a hello in crumbs
    b"\x16\x03" + os.urandom(4000),
    b"\x16\x03\x00\x00\x00" * 1000,                   # empty records
]


@pytest.fixture(name="quick")
def quick_fixture(make_ftd):
    return make_ftd({"limits": {"login_timeout": f"{LOGIN_SEC}s"}})


def hello_of_a_client():
    """The first flight of a good client, as bytes."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = wire.tls_context().wrap_bio(into, out)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


def gone(ftd):
    until(lambda: not [p for p in children(ftd.pid) if name_of(p) == "ftd-gate"], LOGIN_SEC + 8,
          "the end of every gate")


@pytest.mark.parametrize("garbage", CHAOS)
def test_garbage_ends_by_the_deadline(quick, garbage):
    with quick.connect() as client:
        client.sock.sendall(garbage)
        served(quick)
        client.sock.settimeout((LOGIN_SEC + 5) * PATIENCE)
        try:
            while client.sock.recv(4096):
                pass
        except ConnectionError:
            pass
    gone(quick)


def test_every_truncation_of_a_hello_ends(quick):
    hello = hello_of_a_client()
    clients = []
    for n in list(range(4, 40)) + list(range(40, len(hello), 37)):
        client = quick.connect()
        client.sock.sendall(hello[:n])
        clients.append(client)
    served(quick)
    for client in clients:
        client.close()
    gone(quick)


def test_slow_hello_meets_the_login_timeout(quick):
    hello = hello_of_a_client()
    begin = time.monotonic()
    with quick.connect() as client:
        try:
            for i in range(len(hello)):
                client.sock.sendall(hello[i:i + 1])
                time.sleep(0.1)
        except OSError:
            pass
        assert time.monotonic() - begin < (LOGIN_SEC + 5) * PATIENCE
    gone(quick)


def test_handshake_without_a_request_meets_the_login_timeout(quick):
    with wire.Wire.tls(quick.port, timeout=(LOGIN_SEC + 5) * PATIENCE) as client:
        assert client.answer()[0]["code"] == "timeout"
    gone(quick)


def test_bit_flipped_behind_the_handshake_ends_the_connection_only(quick):
    sock = socket.create_connection(("127.0.0.1", quick.port))
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = wire.tls_context().wrap_bio(into, out)
    sock.settimeout(10)
    while True:
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            sock.sendall(out.read())
            into.write(sock.recv(65536))
    sock.sendall(out.read())
    client.write(wire.encode({"opt": "upload", "filename": "/flipped", "filesize": 1000}))
    sock.sendall(out.read())
    until(quick.transfers)
    client.write(b"x" * 1000)
    record = bytearray(out.read())
    record[100] ^= 1
    sock.sendall(record)
    try:
        while sock.recv(65536):
            pass
    except ConnectionError:
        pass
    sock.close()
    until(lambda: not quick.sessions())
    assert not (quick.root / "flipped").exists()
    served(quick)
    gone(quick)


def test_gates_share_no_random_numbers(quick):
    """They are clones of one process, asked in the same words."""
    hello, answers = hello_of_a_client(), []
    for _ in range(3):
        with quick.connect() as client:
            client.sock.sendall(hello)
            answer = client.read(150)
            assert answer[:3] == b"\x16\x03\x03" and answer[5] == 2  # a ServerHello
            answers.append(answer)
    assert len({a[11:43] for a in answers}) == 3  # its random number
    assert len({a[-32:] for a in answers}) == 3  # and within its share of the key


def test_renegotiation_is_refused(make_ftd):
    """With 1.2, the one version that had it."""
    ftd = make_ftd({"tls": {"min_version": "1.2"}})
    process = Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{ftd.port}", "-alpn", "ftd/1", "-tls1_2",
                     "-no_ign_eof"], stdin=PIPE, stdout=PIPE, stderr=PIPE)
    process.stdin.write(b"R\n")
    process.stdin.flush()
    time.sleep(0.5)
    _, errors = process.communicate(b"Q\n", timeout=20 * PATIENCE)
    assert b"no renegotiation" in errors.lower() or process.returncode != 0, errors
    served(ftd)


def test_plain_text_behind_the_first_byte_of_tls_is_not_served(quick):
    with quick.connect() as client:
        client.sock.sendall(b"\x16\x03\x01\x00" + wire.encode({"opt": "upload", "filename": "/x", "filesize": 1}, b"x"))
        client.sock.settimeout((LOGIN_SEC + 5) * PATIENCE)
        try:
            seen = client.sock.recv(4096)
        except ConnectionError:
            seen = b""
        assert b"status" not in seen
    assert not (quick.root / "x").exists()
    gone(quick)


def test_frames_only_inside(quick):
    for inside in (b'{"opt":"list"}', b"\r\n\r\n\0\r\nQUIT\n", hello_of_a_client(), b"GET / HTTP/1.0\r\n\r\n"):
        with wire.Wire.tls(quick.port) as client:
            client.sock.sendall(inside)
            assert client.answer()[0]["code"] == "bad_frame"
    gone(quick)
