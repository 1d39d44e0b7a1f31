"""No upload is ever more than a plain file: no set-user-ID, no device, nothing that runs as somebody else."""
import os
import stat

import pytest

from harness import served

SPECIAL = 0o7000


def mode_of(path):
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("mode", [0o1644, 0o2755, 0o4755, 0o6777, 0o7777, 0o100644, 0o20666, 0o60666, 2**31, 2**63 - 1])
def test_bits_that_a_client_asks_for(ftd, mode):
    """Refused, or not there afterwards; and whatever a file is, it is a regular one."""
    (ftd.root / "there").write_bytes(b"x")
    with ftd.client() as client:
        client.put("/new", b"x", mode=mode)
        client.ask({"opt": "set", "filename": "/there", "mode": mode})
        client.put("/there", b"y", mode=mode)
    for path in ftd.root.iterdir():
        if path.name != ".ftd":
            assert stat.S_ISREG(path.lstat().st_mode) and not mode_of(path) & SPECIAL, path
    served(ftd)


@pytest.mark.parametrize("mode", [0o4755, 0o6755, 0o2755, 0o1777])
def test_bits_that_a_file_has(ftd, mode):
    """They are not handed on: not by a new version, not by a copy, not by a change of mode."""
    for name in ("replaced", "copied", "changed"):
        (ftd.root / name).write_bytes(b"x")
        (ftd.root / name).chmod(mode)
    with ftd.client() as client:
        assert client.put("/replaced", b"y")["status"] == "ok"
        assert client.ask({"opt": "copy", "filename": "/copied", "to": "/copy"})["status"] == "ok"
        assert client.ask({"opt": "set", "filename": "/changed", "mode": 0o600})["status"] == "ok"
    assert not any(mode_of(ftd.root / name) & SPECIAL for name in ("replaced", "copy", "changed"))
    assert mode_of(ftd.root / "changed") == 0o600


def test_what_nobody_asked_for(ftd):
    """Without a mode the umask decides, and nothing that came in can be executed."""
    umask = os.umask(0)
    os.umask(umask)
    with ftd.client() as client:
        assert client.put("/f", b"#!/bin/sh")["status"] == "ok"
        assert client.ask({"opt": "mkdir", "filename": "/d"})["status"] == "ok"
    assert mode_of(ftd.root / "f") == 0o666 & ~umask and mode_of(ftd.root / "d") == 0o777 & ~umask
