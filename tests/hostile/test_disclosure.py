"""No answer holds bytes that are not its own: of memory beside a buffer, of others, of what was there before."""
import os
import random

import pytest

import wire
from harness import served

MARK = b"of-somebody-else-" + bytes(range(65, 91))


@pytest.mark.parametrize("algorithm", ["xxh3", "sha256"])
def test_short_digests_are_no_digests(ftd, algorithm):
    """Its length follows from its name; one that is right as far as it goes is compared with nothing."""
    right = wire.digest(b"content", algorithm)
    digits = right.split(":")[1]
    with ftd.client() as client:
        for n in [*range(len(digits)), len(digits) + 1, len(digits) + 2, 4096]:
            wrong = f"{algorithm}:{(digits * 70)[:n]}"
            if n > 0:
                assert client.put("/f", b"content", digest=wrong)["code"] in ("bad_request", "unsupported"), n
        assert client.put("/f", b"content", digest=right[:-1] + ("0" if right[-1] != "0" else "1"))["code"] == "digest_mismatch"
        assert not (ftd.root / "f").exists()
        assert client.put("/f", b"content", digest=right)["digest"] == right
    served(ftd)


def test_holes_are_zeros(ftd):
    """What was not sent is nothing, whatever lay on the disk or in memory before."""
    with ftd.client() as client:
        client.put("/old", MARK * 50_000)
        client.ask({"opt": "remove", "filename": "/old"})
        client.send({"opt": "upload", "filename": "/new", "filesize": None, "more": True})
        client.send({"more": True, "body": 1}, b"a")
        client.send({"more": True, "hole": 999_998})
        client.send({"more": True, "body": 1}, b"z")
        client.send({"digest": wire.digest(b"a" + bytes(999_998) + b"z")})
        assert client.answer()[0]["status"] == "ok"
        assert client.get("/new") == b"a" + bytes(999_998) + b"z"


def test_beyond_the_end_is_nothing(ftd):
    (ftd.root / "f").write_bytes(b"0123456789")
    with ftd.client() as client:
        for offset, length in ((0, 2**63 - 1), (9, 2), (10, 1), (11, 1), (2**62, 2**62), (2**63 - 1, 1)):
            first, content, last = client.pieces({"opt": "download", "filename": "/f", "offset": offset, "length": length})
            assert b"0123456789".endswith(content) if last["status"] == "ok" else not content, (first, last)


@pytest.mark.parametrize("seed", range(4))
def test_nothing_of_others_in_any_answer(ftd, seed):
    """Somebody's names, content and secrets pass through the daemon; a stranger's odd requests bring none of it back."""
    random.seed(seed)
    with ftd.secure() as somebody, ftd.client() as plain:
        for client in (somebody, plain):
            client.put("/" + MARK.decode() + ("s" if client is somebody else "p"), MARK * 1000)
            client.ask({"opt": "ping", "id": MARK.decode()})
        for _ in range(60):
            request = bytearray(wire.encode({"opt": random.choice(["stat", "list", "download", "hello", "digest", "x"]),
                                             "filename": "/nowhere", "id": "a" * random.randrange(64)}))
            for _ in range(random.randrange(4)):
                request[random.randrange(4, len(request))] = random.randrange(256)
            with ftd.connect(timeout=5) as stranger:
                stranger.sock.sendall(request + os.urandom(random.randrange(100)))
                stranger.sock.shutdown(1)
                said = b""
                try:
                    while data := stranger.sock.recv(65536):
                        said += data
                except ConnectionError:
                    pass
                assert MARK not in said
    served(ftd)
