"""Bytes that are no protocol at all, and JSON that is none, too deep or too clever."""
import os
import random
import struct

import pytest

import wire
from harness import PATIENCE, served, until


@pytest.fixture(scope="module", name="shared_ftd")
def make_daemon(make_shared_ftd):
    """Who does not say what it wants is not waited for long."""
    return make_shared_ftd({"limits": {"login_timeout": f"{2 * PATIENCE}s"}})


def swallow(client):
    """What the server says, to its end."""
    answer = b""
    try:
        while data := client.sock.recv(65536):
            answer += data
    except ConnectionError:
        pass
    return answer


@pytest.mark.parametrize("seed", range(5))
def test_a_megabyte_of_it(shared_ftd, seed):
    garbage = random.Random(seed).randbytes(1 << 20)
    with shared_ftd.connect() as client:
        try:
            client.sock.sendall(garbage)
        except ConnectionError:
            pass
        client.sock.settimeout(30)
        if not (1 <= struct.unpack("<i", garbage[:4])[0] <= 65536):
            swallow(client)
    served(shared_ftd)


@pytest.mark.parametrize("first", [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12),
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
    b"{" * 65537,
    b"[" * 70000,
    b"\xff" * 70000,
])
def test_other_protocols(shared_ftd, first):
    with shared_ftd.connect() as client:
        try:
            client.sock.sendall(first)
        except ConnectionError:
            pass
        swallow(client)
    served(shared_ftd)


def test_megabyte_behind_a_good_request(shared_ftd):
    with shared_ftd.client() as client:
        client.send({"opt": "ping", "id": 1})
        try:
            client.sock.sendall(b"\xff" * (1 << 20))
        except ConnectionError:
            pass
        assert client.answer()[0]["id"] == 1
        assert client.answer()[0]["code"] == "bad_frame"
    served(shared_ftd)


@pytest.mark.parametrize("raw", [
    b"{" * 10000,
    b'{"a":' * 10000 + b"1" + b"}" * 10000,
    b'{"opt":"ping","a":' + b"[" * 10000 + b"]" * 10000 + b"}",
    b'{"a":' * 9 + b"1" + b"}" * 9,
    b'{"opt":"ping","opt":"quit"}',
    b'{"opt":"ping","a":{"x":1,"x":2}}',
    b"[1]", b"1", b"null", b'"x"', b"{", b"{}{}", b'{"opt":"ping"} x', b"\xff\xfe", b'{"opt":"\xff"}',
    b'{"opt":"\xed\xa0\x80"}', b'{"opt":1}', b'{"opt":null}', b'{}', b'{"opt":"ping","id":1.5}',
    b'{"opt":"ping","id":"' + b"x" * 65 + b'"}', b'{"opt":"ping","id":[]}',
    b'{"opt":"ping","n":1e999}', b'{"opt":"ping","n":' + b"9" * 400 + b"}", b"\0" * 100, b'{"opt":"ping"}\0',
    b'{"opt":"pi\\u0000ng","x":1}',
])
def test_json(shared_ftd, raw):
    for hello in (False, True):
        with (shared_ftd.client() if hello else shared_ftd.connect()) as client:
            client.sock.sendall(wire.encode(raw))
            header, _ = client.answer()
            assert header["status"] == "error", header
            assert header["code"] in ("bad_request", "unsupported"), header
    served(shared_ftd)


def test_reals_where_numbers_stand(shared_ftd):
    """A fraction is no size; elsewhere an unknown key may hold one."""
    with shared_ftd.client() as client:
        assert client.ask({"opt": "ping", "whatever": 1.5})["status"] == "ok"
        assert client.ask({"opt": "list", "filename": "/", "limit": 1.5})["code"] == "bad_request"


def test_garbage_leaves_no_session(ftd):
    for _ in range(30):
        with ftd.connect() as client:
            client.sock.sendall(os.urandom(100))
    until(lambda: not ftd.sessions(), 15, "the sessions' end")
