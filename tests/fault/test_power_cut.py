"""The power fails at a random moment: whatever was answered with ok by then is there, with its content; whatever was
not is absent, as it was, or whole. On a disk image, while clients upload, replace, rename, remove and mirror."""
import hashlib
import os
import random
import tempfile
import threading
import time
from pathlib import Path

import pytest

import disk
import wire
from harness import SCRATCH, until

FULL = os.environ.get("FTD_FULL") == "1"
CUTS = 25 if FULL else 2  # for each file system and each kind of durability
PAUSE = 1.0  # s, at most, between two cuts


class Client(threading.Thread):
    """Works in a directory of its own, and keeps of each name what it was to have and which of that was acknowledged:
    that, or what was asked for later, is there. Where names are not durable, what was there before may be, too."""

    def __init__(self, ftd, work, names_last):
        super().__init__(daemon=True)
        self.ftd, self.name_, self.work, self.names_last = ftd, work.__name__, work, names_last
        self.random = random.Random(self.name_)
        self.lock, self.states, self.sure, self.ends, self.failed = threading.Lock(), {}, {}, False, None

    def run(self):
        try:
            with self.ftd.client() as client:
                for number in range(1_000_000):
                    if self.ends:
                        return
                    self.work(self, client, number)
        except Exception as error:  # told by stop()
            self.failed = error

    def stop(self):
        self.ends = True
        self.join(30)
        assert not self.is_alive() and self.failed is None, self.failed

    # --- what is known

    def begins(self, name, after):
        """A request is on its way that makes of `name` `after` (a digest; None: nothing)."""
        with self.lock:
            self.states.setdefault(name, [None]).append(after)

    def acknowledged(self, *names):
        """Nothing before the last can be there any more."""
        with self.lock:
            for name in names if self.names_last else ():
                self.sure[name] = len(self.states[name]) - 1

    def acknowledged_by_now(self):
        """Of each name the number of the first state that may be there."""
        with self.lock:
            return {name: self.sure.get(name, 0) for name in self.states}

    def asked_by_now(self):
        """Of each name all the states that it was to have, in their order."""
        with self.lock:
            return {name: list(states) for name, states in self.states.items()}

    def put(self, client, name, data, **more):
        self.begins(name, hashlib.sha256(data).digest())
        answer = client.put(name, data, **more)
        assert answer["status"] == "ok", answer
        self.acknowledged(name)

    def content(self, size):
        return self.random.randbytes(size)


def small_in_groups(c, client, number):
    """A batch of small files in one piece, as a client that mirrors sends them."""
    batch = [(f"/{c.name_}/{number}/{i}", c.content(c.random.randrange(20_000))) for i in range(40)]
    for name, data in batch:
        c.begins(name, hashlib.sha256(data).digest())
    frames = [wire.encode({"opt": "upload", "filename": name, "filesize": len(data), "parents": True}, data)
              for name, data in batch]
    client.sock.sendall(b"".join(frames))
    for name, _ in batch:
        answer = client.answer()[0]
        assert answer["status"] == "ok", answer
        c.acknowledged(name)
    if number >= 8:  # the disk is small
        forget(c, client, f"/{c.name_}/{number - 8}", [f"/{c.name_}/{number - 8}/{i}" for i in range(40)])


def forget(c, client, tree, names):
    for name in names:
        c.begins(name, None)
    assert client.ask({"opt": "remove", "filename": tree, "recursive": True})["status"] == "ok"
    c.acknowledged(*names)


def large(c, client, number):
    c.put(client, f"/{c.name_}/{number % 4}", c.content(c.random.randrange(1 << 20, 9 << 20)), parents=True)


def replace_and_rename(c, client, number):
    """One after another: a small file is replaced, renamed over another, removed."""
    a, b = f"/{c.name_}/a{number % 20}", f"/{c.name_}/deep/er/b{number % 7}"
    data = c.content(3000)
    c.put(client, a, data, parents=True)
    c.put(client, b, c.content(2000), parents=True)
    c.begins(b, hashlib.sha256(data).digest())
    c.begins(a, None)
    request = {"opt": "rename", "filename": a, "to": b, "if_exists": "replace"}
    assert client.ask(request)["status"] == "ok"
    c.acknowledged(a, b)
    if number % 3 == 0:
        c.begins(b, None)
        assert client.ask({"opt": "remove", "filename": b})["status"] == "ok"
        c.acknowledged(b)


def tree(c, client, number):
    """What `ft put -r` has sent is acknowledged when it ends well."""
    with tempfile.TemporaryDirectory(prefix="ftd-tree-", dir=SCRATCH) as local:
        top = Path(local) / f"tree{number % 3}"
        names = []
        for i in range(30):
            path = top / f"d{i % 5}/{i}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(c.content(c.random.randrange(50_000)))
            names.append(f"/{path.relative_to(local)}")
            c.begins(names[-1], state(path))
        c.ftd.ft("put", "-r", top, c.ftd.url)
        c.acknowledged(*names)


WORK = (small_in_groups, large, replace_and_rename, tree)


def state(path):
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except (FileNotFoundError, NotADirectoryError):
        return None


def lost(before, after, where):
    """What the disk has and should not: `before` was acknowledged before the cut, `after` asked for by its end."""
    wrong = []
    for name, states in after.items():
        found = state(where / name[1:])
        if found not in states[before.get(name, 0):]:
            wrong.append(f"{name}: {'gone' if found is None else 'not its content'}")
    return wrong


def cut(drive, clients, chance):
    time.sleep(chance.uniform(0.05, PAUSE))
    before = {name: number for c in clients for name, number in c.acknowledged_by_now().items()}
    copy = drive.freeze()
    after = {name: states for c in clients for name, states in c.asked_by_now().items()}
    with drive.found(copy) as where:
        return len(before), lost(before, after, where)


def cuts(make_ftd, kind, durability, n):
    """n cuts of one life: (names looked at, what was lost)."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with disk.disk(kind) as drive:
        ftd = make_ftd({"log": {"level": "warning"}}, share={"root": str(drive.root), "durability": durability})
        clients = [Client(ftd, work, durability != "file") for work in WORK]
        for c in clients:
            c.start()
        until(lambda: all(c.states or c.failed for c in clients), 10, "the first requests")
        total, wrong = 0, []
        for i in range(n):
            looked, found = cut(drive, clients, chance)
            total += looked
            wrong += [f"cut {i}: {what}" for what in found]
        for c in clients:
            c.stop()
        ftd.stop()
    print(f"{n} cuts on {kind}, durability {durability}: {total} names, {len(wrong)} wrong")
    return total, wrong


@pytest.mark.parametrize("durability", ["full", "file"])
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_acknowledged_is_kept(make_ftd, kind, durability):
    total, wrong = cuts(make_ftd, kind, durability, CUTS)
    assert total > 0
    assert not wrong, "\n".join(wrong[:50])


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_loss_is_found(make_ftd, kind):
    """Without durability there is something to be lost, and the test above would see it."""
    total, wrong = cuts(make_ftd, kind, "none", 10 if FULL else 3)
    assert total > 0 and wrong
