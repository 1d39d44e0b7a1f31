"""Names that no keyboard has: any bytes but '/' and NUL are a name, and come back as they went."""
import os

import pytest

from harness import served

ODD = [b"new\nline", b"tab\t", b"\x1b[31mred", b"\x7f", b"\xff\xfe", b"\x80", b"caf\xe9", "é".encode(), b"'\"$(reboot)`",
       b"-rf", b"*", b" ", b"...", b"..x", b"%s%n", b"\\", "\u202e\u2066".encode(), "\U0001f600".encode(), b"x" * 255,
       b"\xed\xa0\x80", b"ftd", b".ft"]


def key(name, field="filename"):
    try:
        return {field: "/" + name.decode()}
    except UnicodeDecodeError:
        return {field + "_hex": (b"/" + name).hex()}


@pytest.mark.parametrize("name", ODD)
def test_round(shared_ftd, name):
    with shared_ftd.client() as client:
        assert client.ask({"opt": "upload", **key(name), "filesize": 3}, b"odd")["status"] == "ok"
        assert os.listdir(os.fsencode(shared_ftd.root)).count(name) == 1
        (entry,) = client.list("/")
        told = entry["name"].encode() if "name" in entry else bytes.fromhex(entry["name_hex"])
        assert told == name
        _, content, last = client.pieces({"opt": "download", **key(name)})
        assert (content, last["status"]) == (b"odd", "ok")
        answer = client.ask({"opt": "rename", **key(name), **key(name[:200] + b"2", "to")})
        assert answer["status"] == "ok"
        assert client.ask({"opt": "remove", **key(name[:200] + b"2")})["status"] == "ok"
    assert [n for n in os.listdir(shared_ftd.root) if not n.startswith(".ftd")] == []


def test_hex_of_what_is_utf8(ftd):
    """Either key names the same file; both at once are no request."""
    with ftd.client() as client:
        assert client.ask({"opt": "upload", "filename_hex": b"/plain".hex(), "filesize": 0})["status"] == "ok"
        assert client.ask({"opt": "stat", "filename": "/plain"})["name"] == "plain"
        assert client.ask({"opt": "stat", "filename": "/plain", "filename_hex": "2f78"})["code"] == "bad_request"


@pytest.mark.parametrize("text", ["", "2", "zz", "2f7", "2f2e2e", "2f00", "2f782f", "2f2e667464", "2F78" * 5000])
def test_bad_hex(shared_ftd, text):
    with shared_ftd.client() as client:
        answer = client.ask({"opt": "upload", "filename_hex": text, "filesize": 0})
        assert answer["code"] in ("bad_request", "bad_name"), answer
    served(shared_ftd)


def test_control_bytes_do_not_reach_logs_or_tables(ftd):
    """What a client calls a file is shown escaped to the administrator."""
    with ftd.client() as client:
        client.send({"opt": "upload", "filename": "/\x1b[2Jhidden\nftd: forged line", "filesize": 10}, b"x")
        table = ftd.ftctl("list-transfers").stdout
        assert "\x1b" not in table and "\nftd: forged" not in table
        client.sock.sendall(b"x" * 9)
        assert client.answer()[0]["status"] == "ok"
    ftd.stop()
    assert "\x1b" not in ftd.errors and "\nftd: forged" not in ftd.errors


def test_deepest_name(ftd):
    """4,095 bytes in one request, made, listed and removed."""
    name = "/".join(["d" * 254] * 15 + ["f" * 200])
    with ftd.client() as client:
        assert client.put("/" + name, b"deep", parents=True)["status"] == "ok"
        assert name in client.names("/", recursive=True)
        assert client.get("/" + name) == b"deep"
        assert client.ask({"opt": "remove", "filename": "/" + "d" * 254, "recursive": True})["status"] == "ok"
