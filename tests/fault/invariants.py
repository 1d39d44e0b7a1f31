"""What holds after every fault, once the daemon has had a moment: nothing of what went wrong is left, neither
processes nor slots, staging files, locks or reservations; and what is left of resumable uploads can be told, is gone on
with, or expires."""
import contextlib
import fcntl
import os
import signal
import struct
import time
from pathlib import Path

from harness import PATIENCE, children, in_sessions, name_of, until

HELPERS = {"ftd-gatehouse", "ftd-sessionhous", "ftd-keeper", "ftd-beacon"}
LONG_AGO = 30 * 86400  # s: older than any upload is kept
FLOCK = struct.Struct("hhqqi")  # struct flock


def beneath(root):
    """All files there; some may vanish meanwhile."""
    found = []
    for where, _, names in os.walk(root):
        found += [Path(where) / name for name in names]
    return found


def own(root):
    """The files of the daemon's own, and no user's."""
    return [p for p in beneath(root) if any(part.startswith(".ftd") for part in p.relative_to(root).parts)]


# --- what may be left

def uploads(root):
    """Unfinished uploads: the ids of all that has content, where their content lies."""
    place = root / ".ftd/uploads"
    here = {p.name: p for p in place.iterdir() if "." not in p.name} if place.is_dir() else {}
    elsewhere = {p.name[len(".ftd-"):]: p for p in own(root) if p.name.startswith(".ftd-")}
    return {**here, **{n: p for n, p in elsewhere.items() if (place / f"{n}.at").exists()}}


def staged(root):
    """Staging files, which have no business there when nobody is at work."""
    kept = set(uploads(root).values())
    return [p for p in own(root) if p.relative_to(root).parts[:2] not in ((".ftd", "quota"), (".ftd", "uploads")) and
            p not in kept]


def is_locked(path):
    """Whether somebody holds any lock on it."""
    try:
        with open(path, "r+b") as file:
            got = fcntl.fcntl(file, fcntl.F_OFD_GETLK, FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except FileNotFoundError:
        return False
    return FLOCK.unpack(got)[0] != fcntl.F_UNLCK


def locked(root):
    return [p for p in own(root) if is_locked(p)]


def reserved(root):
    """The records of ledgers whose upload is not there any more: (file, id)."""
    found, kept = [], set(uploads(root))
    for path in (root / ".ftd/quota").glob("*") if (root / ".ftd/quota").is_dir() else ():
        if "~" in path.name:
            continue
        data = path.read_bytes()
        for at in range(64, len(data) - 63, 64):
            record = data[at:at + 64]
            name = "%016x-%d" % struct.unpack_from("<QQ", record, 8)
            if any(record) and name not in kept:
                found.append((path.name, name))
    return found


def roles(ftd):
    """The daemon's processes, those of a supervisor that was killed among them."""
    return {*children(ftd.pid), *in_sessions(ftd.lost)}


def at_work(ftd):
    """Processes that a connection has."""
    names = (name_of(p) for p in roles(ftd))
    return [name for name in names if name and name not in HELPERS]


# --- what a test asks at its end

def what_is_left(ftd):
    left = {"sessions": ftd.sessions(), "transfers": ftd.transfers(), "processes": at_work(ftd),
            "staging files": staged(ftd.root), "locks": locked(ftd.root), "reservations": reserved(ftd.root)}
    return {what: found for what, found in left.items() if found}


def nothing_left(ftd, seconds=15):
    """Once the keeper has been round, only unfinished uploads are there, and nobody holds them."""
    left = {}

    def clean():
        nonlocal left
        left = what_is_left(ftd)
        return not left

    try:
        until(clean, seconds)
    except AssertionError:
        raise AssertionError(f"left after {seconds * PATIENCE} s: {left}\n{ftd.errors[-4000:]}") from None


def all_expires(ftd):
    """What nobody goes on with goes when it is old, to the last file, and with it what was reserved for it."""
    def kept():
        return list((ftd.root / ".ftd/uploads").glob("*"))

    for path in kept():
        with contextlib.suppress(FileNotFoundError):  # just swept
            os.utime(path, (time.time() - LONG_AGO,) * 2)
    send_round(ftd)
    try:
        until(lambda: not kept(), 15)
    except AssertionError:
        raise AssertionError(f"does not expire: {kept()}\n{ftd.errors[-4000:]}") from None
    nothing_left(ftd)
    assert not uploads(ftd.root)


def send_round(ftd):
    """A session that dies badly has the keeper look after everything."""
    def client_now():
        """None while a house that was killed is replaced."""
        client = ftd.connect()
        if client.ask({"opt": "hello"})["status"] == "ok":
            return client
        client.close()
        return None

    with until(client_now, 10, "a house that takes a connection") as client:
        client.ask({"opt": "stat", "filename": "/"})
        for session in ftd.sessions():
            os.kill(session["pid"], signal.SIGKILL)
