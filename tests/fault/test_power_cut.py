"""The power fails at a random moment: whatever was answered with ok by then is there, with its content; whatever was
not is absent, as it was, or whole; what a resumable upload was told to hold is held, and it goes on from there. On a disk
image, while clients upload, replace, rename, remove and mirror."""
import dataclasses
import os
import random
import tempfile
import threading
import time
from pathlib import Path

import pytest

import disk
import resumable
import wire
from books import Books, lost, state, state_of
from harness import SCRATCH, until
from invariants import all_expires, uploads
from resumable import MIB, covered, ok

pytestmark = pytest.mark.heavy

FULL = os.environ.get("FTD_FULL") == "1"
SEED = int(os.environ.get("FTD_SEED") or random.randrange(1 << 32))
CUTS = 25 if FULL else 3  # for each file system and each kind of durability
PAUSE = 1.0  # s, at most, between two cuts


class Client(threading.Thread):
    """Works in a directory of its own, and keeps books. .partial is the resumable upload that is under way."""

    def __init__(self, ftd, work, names_last):
        super().__init__(daemon=True)
        self.ftd, self.name_, self.work, self.books = ftd, work.__name__, work, Books(names_last)
        self.random, self.ends, self.failed, self.partial = random.Random(self.name_), False, None, None

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

    def put(self, client, name, data, **more):
        self.books.begins(name, state_of(data))
        ok(client.put(name, data, **more))
        self.books.acknowledged(name)

    def content(self, size):
        return self.random.randbytes(size)


def small_in_groups(c, client, number):
    """A batch of small files in one piece, as a client that mirrors sends them."""
    batch = [(f"/{c.name_}/{number}/{i}", c.content(c.random.randrange(20_000))) for i in range(40)]
    for name, data in batch:
        c.books.begins(name, state_of(data))
    frames = [wire.encode({"opt": "upload", "filename": name, "filesize": len(data), "parents": True}, data)
              for name, data in batch]
    client.sock.sendall(b"".join(frames))
    for name, _ in batch:
        ok(client.answer()[0])
        c.books.acknowledged(name)
    if number >= 8:  # the disk is small
        forget(c, client, f"/{c.name_}/{number - 8}", [f"/{c.name_}/{number - 8}/{i}" for i in range(40)])


def forget(c, client, tree, names):
    for name in names:
        c.books.begins(name, None)
    ok(client.ask({"opt": "remove", "filename": tree, "recursive": True}))
    c.books.acknowledged(*names)


def large(c, client, number):
    c.put(client, f"/{c.name_}/{number % 4}", c.content(c.random.randrange(1 << 20, 9 << 20)), parents=True)


def replace_and_rename(c, client, number):
    """One after another: a small file is replaced, renamed over another, removed."""
    a, b = f"/{c.name_}/a{number % 20}", f"/{c.name_}/deep/er/b{number % 7}"
    data = c.content(3000)
    c.put(client, a, data, parents=True)
    c.put(client, b, c.content(2000), parents=True)
    c.books.begins(b, state_of(data))
    c.books.begins(a, None)
    ok(client.ask({"opt": "rename", "filename": a, "to": b, "if_exists": "replace"}))
    c.books.acknowledged(a, b)
    if number % 3 == 0:
        c.books.begins(b, None)
        ok(client.ask({"opt": "remove", "filename": b}))
        c.books.acknowledged(b)


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
            c.books.begins(names[-1], state(path))
        c.ftd.ft("put", "-r", top, c.ftd.url)
        c.books.acknowledged(*names)


@dataclasses.dataclass
class Partial:
    """What a client knows of its resumable upload."""
    name: str
    data: bytes
    mtime_ns: int
    held: list = dataclasses.field(default_factory=list)  # as the last answer said


def in_parts(c, client, number):
    """Every other part, then from the end those between: there are gaps."""
    where = f"/{c.name_}/{'setgid' if number % 2 else 'plain'}/{number % 5}"
    partial = Partial(where, c.content(c.random.randrange(MIB, 12 * MIB)), number)
    upload = ok(resumable.begin(client, where, len(partial.data), mtime_ns=number, parents=True))["upload"]
    c.partial = partial
    step = MIB - 4321
    offsets = list(range(0, len(partial.data), step))
    for at in offsets[::2] + offsets[1::2][::-1]:
        partial.held = ok(resumable.part(client, upload, at, partial.data[at:at + step]))["ranges"]
        if c.ends:
            return
    c.books.begins(where, state_of(partial.data))
    ok(resumable.end(client, upload, partial.data))
    c.books.acknowledged(where)


WORK = (small_in_groups, large, replace_and_rename, tree, in_parts)


# --- what is found after a cut

def resume(ftd, partial, held):
    """It goes on from what was acknowledged, of which every byte is right. '' or what is wrong."""
    with ftd.client() as c:
        before = uploads(ftd.root)
        begun = ok(resumable.begin(c, partial.name, len(partial.data), mtime_ns=partial.mtime_ns, parents=True))
        key = f"{begun['upload'][1:17]}-{int(begun['upload'][17:33], 16)}"
        if not covered(held, begun["ranges"]):
            return f"{partial.name}: {held} was acknowledged, {begun['ranges']} is held"
        content = before[key].read_bytes() if begun["ranges"] else b""
        if any(content[a:b] != partial.data[a:b] for a, b in begun["ranges"]):
            return f"{partial.name}: what is said to be held is something else"
        resumable.finish(c, begun, partial.data)
    return "" if state(ftd.root / partial.name[1:]) == state_of(partial.data) else f"{partial.name}: finished, and wrong"


def resumed(make_ftd, where, partials):
    """A daemon where the copy is: uploads that were under way come to their end. What is wrong."""
    partials = [(p, held) for p, held in partials if state(where / p.name[1:]) != state_of(p.data)]
    ftd = make_ftd({"log": {"level": "warning"}}, share={"root": str(where), "durability": "full"}, start=False)
    ftd.root = where
    ftd.start()
    try:
        wrong = [w for w in (resume(ftd, p, held) for p, held in partials) if w]
        all_expires(ftd)
        return len(partials), wrong
    finally:
        ftd.stop()


def cut(drive, clients, chance, make_ftd):
    """(names looked at, uploads resumed, what was lost)"""
    time.sleep(chance.uniform(0.05, PAUSE))
    before = {name: number for c in clients for name, number in c.books.acknowledged_by_now().items()}
    partials = [(p, list(p.held)) for p in [c.partial for c in clients] if p]
    copy = drive.freeze()
    after = {name: states for c in clients for name, states in c.books.asked_by_now().items()}
    with drive.found(copy) as where:
        wrong = lost(before, after, where)
        n, failed = resumed(make_ftd, where, partials)
        return len(before), n, wrong + failed


def cuts(make_ftd, kind, durability, n):
    """n cuts of one life: (names looked at, uploads resumed, what was lost)."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    with disk.disk(kind) as drive:
        ftd = make_ftd({"log": {"level": "warning"}}, share={"root": str(drive.root), "durability": durability})
        setgid = drive.root / in_parts.__name__ / "setgid"
        setgid.mkdir(parents=True)
        setgid.chmod(0o2755)
        os.sync()
        clients = [Client(ftd, work, durability != "file") for work in WORK]
        for c in clients:
            c.start()
        until(lambda: all(c.books.states or c.partial or c.failed for c in clients), 10, "the first requests")
        total, uploads_total, wrong = 0, 0, []
        for i in range(n):
            looked, uploaded, found = cut(drive, clients, chance, make_ftd)
            total += looked
            uploads_total += uploaded
            wrong += [f"cut {i}: {what}" for what in found]
        for c in clients:
            c.stop()
        ftd.stop()
    print(f"{n} cuts on {kind}, durability {durability}: {total} names, {uploads_total} uploads resumed, {len(wrong)} wrong")
    return total, uploads_total, wrong


@pytest.mark.parametrize("durability", ["full", "file"])
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_acknowledged_is_kept(make_ftd, kind, durability):
    total, gone_on_with, wrong = cuts(make_ftd, kind, durability, CUTS)
    assert total > 0 and (gone_on_with > 0 or not FULL)
    assert not wrong, "\n".join(wrong[:50])


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_loss_is_found(make_ftd, kind):
    """Without durability there is something to be lost, and the test above would see it."""
    total, _, wrong = cuts(make_ftd, kind, "none", 10 if FULL else 3)
    assert total > 0 and wrong
