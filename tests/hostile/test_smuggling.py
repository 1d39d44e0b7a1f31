"""Bodies that look like requests are bodies."""
import wire
from harness import served

EVIL = wire.encode({"opt": "mkdir", "filename": "/smuggled", "id": 666})


def test_body_of_an_unknown_operation(ftd):
    with ftd.client() as client:
        assert client.ask({"opt": "append", "filename": "/x", "body": len(EVIL), "id": 1}, EVIL)["code"] == "unsupported"
        assert client.ask({"opt": "ping", "id": 2})["id"] == 2
    assert not (ftd.root / "smuggled").exists()


def test_pieces_of_an_unknown_operation(ftd):
    with ftd.client() as client:
        client.send({"opt": "append", "filename": "/x", "more": True, "body": len(EVIL), "id": 1}, EVIL)
        client.send({"more": True, "body": len(EVIL)}, EVIL)
        client.send({"opt": "mkdir", "filename": "/smuggled"})  # the trailer: what it says of an operation is nothing
        assert client.answer()[0]["code"] == "unsupported"
        assert client.ask({"opt": "ping", "id": 2})["id"] == 2
    assert not (ftd.root / "smuggled").exists()


def test_body_of_an_operation_without_one(ftd):
    with ftd.client() as client:
        assert client.ask({"opt": "ping", "body": len(EVIL), "id": 1}, EVIL)["id"] == 1
        assert client.ask({"opt": "ping", "id": 2})["id"] == 2
    assert not (ftd.root / "smuggled").exists()


def test_body_behind_need(ftd):
    with ftd.client() as client:
        header = client.ask({"opt": "upload", "filename": "/x", "filesize": len(EVIL), "need": ["telepathy"]}, EVIL)
        assert header["code"] == "unsupported"
        assert client.ask({"opt": "ping", "id": 2})["id"] == 2
    assert not (ftd.root / "smuggled").exists() and not (ftd.root / "x").exists()


def test_body_of_a_refused_upload(ftd):
    with ftd.client() as client:
        header = client.ask({"opt": "upload", "filename": "/no/where", "filesize": len(EVIL)}, EVIL)
        assert header["code"] == "not_found"
        assert client.ask({"opt": "ping", "id": 2})["id"] == 2
    assert not (ftd.root / "smuggled").exists()


def test_body_and_filesize_that_differ(ftd):
    """A whole upload has one size; two that differ are no request."""
    with ftd.client() as client:
        header = client.ask({"opt": "upload", "filename": "/x", "filesize": 1, "body": 2}, b"xy")
        assert header["code"] in ("bad_request", "size_mismatch")
    assert not (ftd.root / "x").exists()


def test_wrong_order_of_pieces(ftd):
    """A request in the middle of an upload in pieces is a piece's header, nothing else."""
    with ftd.client() as client:
        client.send({"opt": "upload", "filename": "/x", "more": True})
        client.send({"opt": "mkdir", "filename": "/smuggled", "more": True, "body": 3}, b"abc")
        client.send({"digest": wire.digest(b"abc")})
        assert client.answer()[0]["status"] == "ok"
    assert not (ftd.root / "smuggled").exists()
    served(ftd)
