"""doc/client.py: a whole checking client that fits on a page."""
import os
import sys

from harness import SOURCE, run

CLIENT = SOURCE / "doc/client.py"


def client(ftd, *args, check=True):
    return run(sys.executable, CLIENT, "127.0.0.1", ftd.port, *args, check=check)


def test_is_short():
    assert len(CLIENT.read_text().splitlines()) <= 25


def test_put_get_ls(ftd, scratch):
    data = os.urandom(5_000_000)
    (scratch / "in").write_bytes(data)
    client(ftd, "put", scratch / "in", "/notes.bin")
    assert (ftd.root / "notes.bin").read_bytes() == data
    assert client(ftd, "ls", "/").stdout == "file\t5000000\tnotes.bin\n"
    client(ftd, "get", "/notes.bin", scratch / "out")
    assert (scratch / "out").read_bytes() == data


def test_says_why_not(ftd, scratch):
    missing = client(ftd, "get", "/missing", scratch / "out", check=False)
    assert missing.returncode != 0 and "no such" in missing.stderr.lower()
    assert not (scratch / "out").exists()
