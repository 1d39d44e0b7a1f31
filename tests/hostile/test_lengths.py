"""Lengths that no frame has: answered, closed, nothing allocated for them."""
import struct

import pytest

import wire
from harness import served, until

BAD = [-1, 0, 2**31 - 1, -2**31, 65537, 1 << 24]


def refused(client, code):
    header, _ = client.answer()
    assert (header["status"], header["code"], header["close"]) == ("error", code, True)
    assert client.at_end()


@pytest.mark.parametrize("length", BAD)
def test_first_frame(shared_ftd, length):
    with shared_ftd.connect() as client:
        client.sock.sendall(struct.pack("<i", length) + b"{}" * 50)
        refused(client, "bad_frame")
    served(shared_ftd)


@pytest.mark.parametrize("length", BAD)
def test_later_frame(shared_ftd, length):
    with shared_ftd.client() as client:
        client.sock.sendall(struct.pack("<i", length) + b"{}" * 50)
        refused(client, "bad_frame")
    served(shared_ftd)


@pytest.mark.parametrize("length", BAD)
def test_on_the_control_socket(shared_ftd, length):
    with wire.Wire.unix(str(shared_ftd.control)) as peer:
        peer.sock.sendall(struct.pack("<i", length) + b"{}" * 50)
        try:
            assert peer.answer()[0]["status"] == "error"
            assert peer.at_end()
        except (wire.Closed, ConnectionError):
            pass  # no answer is one, too
    assert shared_ftd.ask("status")["state"] == "ready"


@pytest.mark.parametrize("sent", [1, 3, 4, 5, 100, 199])
def test_truncated(shared_ftd, sent):
    """A frame that ends in the middle: the session ends quietly, nothing is carried out."""
    frame = struct.pack("<i", 196) + b'{"opt":"mkdir","filename":"/made"}'.ljust(196)
    assert len(frame) == 200
    for hello in (False, True):
        with (shared_ftd.client() if hello else shared_ftd.connect()) as client:
            client.sock.sendall(frame[:sent])
    until(lambda: not shared_ftd.sessions(), 10, "the sessions' end")
    assert not (shared_ftd.root / "made").exists()
    served(shared_ftd)


@pytest.mark.parametrize("filesize", [-1, 2**63, 2**64, 1.5, 1e3, "5", None, [], True])
def test_filesize(shared_ftd, filesize):
    with shared_ftd.client() as client:
        header = client.ask({"opt": "upload", "filename": "/f", "filesize": filesize})
        assert header["code"] == "bad_request" and header["close"] is True
        assert client.at_end()
    assert not (shared_ftd.root / "f").exists()
    served(shared_ftd)


@pytest.mark.parametrize("body", [-1, 2**63, 1.5, "5", None])
def test_body(shared_ftd, body):
    with shared_ftd.client() as client:
        header = client.ask({"opt": "ping", "body": body})
        assert header["code"] == "bad_request" and header["close"] is True
        assert client.at_end()
    served(shared_ftd)


def test_filesize_that_cannot_be(ftd):
    """2^63-1 bytes are a number and no promise that the disk can keep."""
    with ftd.client() as client:
        client.send({"opt": "upload", "filename": "/f", "filesize": 2**63 - 1, "expect": True})
        assert client.answer()[0]["code"] in ("disk_full", "file_too_large")
        assert client.ask({"opt": "ping"})["status"] == "ok"
    assert not (ftd.root / "f").exists()


@pytest.mark.parametrize("body", [0, (64 << 20) + 1, 2**62])
def test_piece_sizes(ftd, body):
    """A piece of nothing is a sign of life; one over 64 MiB is not allowed."""
    with ftd.client() as client:
        client.send({"opt": "upload", "filename": "/p", "more": True})
        client.send({"more": True, "body": body})
        if body == 0:
            client.send({})
            assert client.answer()[0]["status"] == "ok"
        else:
            assert client.answer()[0]["code"] == "bad_request"
            assert client.at_end()
    assert (ftd.root / "p").exists() == (body == 0)
