"""Bits turn in what is kept of an upload: in its content, each field of its record, its note, its user's ledger. It is
found; nothing wrong is ever published or told to be right; and the upload comes to its end, anew where it must."""
import os
import random

import pytest

import forge
import resumable
import wire
from harness import until
from invariants import all_expires, nothing_left, uploads
from resumable import BLOCK, MIB, begin, differing, end, finish, ok, part

FULL = os.environ.get("FTD_FULL") == "1"
SEED = int(os.environ.get("FTD_SEED") or random.randrange(1 << 32))
FLIPS = 20 if FULL else 1  # in each field
MTIME = {"mtime_ns": 7}
DATA = resumable.content(MIB + 333)
HALF = len(DATA) // 2
LARGE = resumable.content(2 * BLOCK + 333)


@pytest.fixture(scope="module", name="daemon")
def make_daemon(make_shared_ftd):
    ftd = make_shared_ftd({"log": {"level": "error"}}, share={"quota": "100G"}, start=False)
    (ftd.root / "setgid").mkdir()
    (ftd.root / "setgid").chmod(0o2755)
    ftd.start()
    yield ftd
    all_expires(ftd)


class Partial:
    """An upload of which a half is held, and the files that it has."""
    number = 0

    def __init__(self, ftd, where="", data=DATA, held=HALF):
        Partial.number += 1
        self.ftd, self.name, self.data = ftd, f"{where}/upload{Partial.number}", data
        before = set(uploads(ftd.root))
        with ftd.client() as c:
            self.id = ok(begin(c, self.name, len(data), **MTIME))["upload"]
            ok(part(c, self.id, 0, data[:held]))
        (self.key,) = set(uploads(ftd.root)) - before
        self.content = uploads(ftd.root)[self.key]
        self.record, self.note = (ftd.root / ".ftd/uploads" / (self.key + end) for end in (".rec", ".at"))

    def published(self):
        """None, or whether what is published is what was meant."""
        path = self.ftd.root / self.name[1:]
        return path.read_bytes() == self.data if path.exists() else None

    def resumes(self):
        """A client that looks at the blocks brings it to its end."""
        with self.ftd.client() as c:
            receipt, begun = resumable.resume(c, self.name, self.data, **MTIME)
        assert receipt["digest"] == resumable.blocks_digest(self.data) and self.published()
        return begun

    def believes(self):
        """One that believes the ranges gets there, or is told."""
        with self.ftd.client() as c:
            begun = ok(begin(c, self.name, len(self.data), **MTIME))
            for first, last in resumable.missing(begun["ranges"], len(self.data)):
                if part(c, begun["upload"], first, self.data[first:last])["status"] != "ok":
                    return
            end(c, begun["upload"], self.data)
        assert self.published() in (None, True)

    def goes_on_blindly(self):
        """One that does not know that anything happened, with the id that it has."""
        with self.ftd.client() as c:
            if part(c, self.id, HALF, self.data[HALF:])["status"] == "ok":
                end(c, self.id, self.data)
        assert self.published() in (None, True)


# --- content

@pytest.mark.parametrize("where", ["", "/setgid"])
def test_content(daemon, where):
    """The block is named, and it alone is sent again."""
    chance = random.Random(SEED)
    for _ in range(FLIPS * 2):
        at = chance.randrange(len(LARGE))
        upload = Partial(daemon, where, LARGE, len(LARGE))
        forge.flip(upload.content, at, chance.randrange(8))
        upload.believes()
        assert upload.published() is None, f"seed {SEED}: byte {at}"
        with daemon.client() as c:
            begun = ok(begin(c, upload.name, len(LARGE), **MTIME))
            assert differing(c, begun["upload"], LARGE) == [at // BLOCK]
        upload.resumes()
    nothing_left(daemon)


@pytest.mark.parametrize("size", [0, HALF - 1, 10 * MIB])
def test_content_of_another_length(daemon, size):
    for go_on in (Partial.believes, Partial.goes_on_blindly):
        upload = Partial(daemon)
        os.truncate(upload.content, size)
        go_on(upload)
        if not upload.published():
            upload.resumes()
    nothing_left(daemon)


def test_content_that_is_gone(daemon):
    upload = Partial(daemon)
    upload.content.unlink()
    upload.goes_on_blindly()
    assert upload.resumes()["ranges"] == []


# --- the record

@pytest.mark.parametrize("field", forge.FIELDS)
def test_record(daemon, field):
    chance = random.Random(f"{SEED}{field}")
    at, length = forge.FIELDS[field]
    for _ in range(FLIPS):
        for go_on in (Partial.goes_on_blindly, Partial.believes):
            upload = Partial(daemon, data=DATA)
            place, bit = at + chance.randrange(length), chance.randrange(8)
            forge.flip(upload.record, place, bit)
            go_on(upload)
            if not upload.published():
                upload.resumes()
    nothing_left(daemon)


def test_both_slots(daemon):
    upload = Partial(daemon)
    for slot in range(2):
        forge.flip(upload.record, forge.FIELDS[f"ranges {slot}"][0], 0)
    assert upload.resumes()["ranges"] == []


def test_record_of_another_length(daemon):
    for size in (0, 100, forge.HEAD, forge.SLOTS + 1, forge.SLOTS + forge.SLOT, forge.SUMS):
        for go_on in (Partial.goes_on_blindly, Partial.believes):
            upload = Partial(daemon)
            os.truncate(upload.record, size)
            go_on(upload)
            if not upload.published():
                upload.resumes()
    nothing_left(daemon)


LAST = (1 << 63) - 1
CLAIMS = {
    "all is held": lambda r: forge.ranges(r, [(0, len(DATA))]),
    "more than there is": lambda r: forge.ranges(r, [(0, LAST)]),
    "beyond its end": lambda r: forge.ranges(r, [(len(DATA) + 1, LAST)]),
    "unordered": lambda r: forge.ranges(r, [(500, 600), (0, 100)]),
    "overlapping": lambda r: forge.ranges(r, [(0, 600), (500, 700)]),
    "empty": lambda r: forge.ranges(r, [(5, 5)]),
    "turned round": lambda r: forge.ranges(r, [(600, 5)]),
    "negative": lambda r: forge.ranges(r, [(0, 1 << 63)]),
    "more than 1000": lambda r: forge.ranges(r, [(0, 1)], count=1001),
    "as many as a number has": lambda r: forge.ranges(r, [(0, 1)], count=(1 << 32) - 1),
    "the first of all": lambda r: forge.ranges(r, [(0, 1)], sequence=0),
    "the last of all": lambda r: forge.ranges(r, [(0, 1)], sequence=LAST),
    "beyond the last": lambda r: forge.ranges(r, [(0, 1)], sequence=1 << 63),
    "published": lambda r: forge.receipt(r, b'{"filesize":1}'),
    "published, but no receipt": lambda r: forge.receipt(r, b"\xff{"),
    "published, endlessly": lambda r: forge.receipt(r, b"{}", length=(1 << 32) - 1),
    "of another size": lambda r: forge.head(r, size=1),
    "of no size": lambda r: forge.head(r, size=(1 << 64) - 1),
    "of a size beyond all": lambda r: forge.head(r, size=1 << 63),
    "of another name": lambda r: forge.head(r, name=b"/elsewhere"),
    "of a name outside": lambda r: forge.head(r, name=b"/../../etc/passwd"),
    "of a reserved name": lambda r: forge.head(r, name=b"/.ftd/quota/-"),
    "without a name": lambda r: forge.head(r, name=b""),
    "of another user": lambda r: forge.head(r, user=b"root"),
    "of no user there is": lambda r: forge.head(r, user=b"../x"),
    "of a digest that it has not": lambda r: forge.head(r, flags=5, algorithm=1, digest=b"\1" * 32),
    "of an unknown digest": lambda r: forge.head(r, flags=5, algorithm=99),
    "content elsewhere": lambda r: forge.head(r, flags=33),
    "flags there are not": lambda r: forge.head(r, flags=1 << 31),
}


@pytest.mark.parametrize("claims", CLAIMS)
def test_sound_but_absurd(daemon, claims):
    """The checksum is right. Nothing outside its target is touched, nothing wrong is published."""
    victim = daemon.root / "elsewhere"
    victim.write_bytes(b"nobody's")
    for go_on in (Partial.goes_on_blindly, Partial.believes):
        upload = Partial(daemon)
        CLAIMS[claims](upload.record)
        go_on(upload)
        if not upload.published():
            upload.resumes()
    assert victim.read_bytes() in (b"nobody's", DATA)
    victim.unlink()
    with daemon.client() as c:  # what its name no longer finds
        for left in ok(c.ask({"opt": "upload-list"}))["uploads"]:
            ok(c.ask({"opt": "upload-abort", "upload": left["upload"]}))
    nothing_left(daemon)


# --- the note of content that lies beside its target

@pytest.mark.parametrize("note", [b"", b"nowhere", b"..", b"../../etc", b"/", b"setgid/", b"\0", b"\xff" * 5000, b".ftd/uploads", None])
def test_note(daemon, note):
    upload, other = Partial(daemon, "/setgid"), Partial(daemon, "/setgid")
    before = upload.note.read_bytes() if note is None else note
    upload.note.write_bytes(before)
    if note is None:
        forge.flip(upload.note, 3, 2)
    other.resumes()
    upload.resumes()
    nothing_left(daemon)


@pytest.mark.parametrize("note", [b"", b"nowhere", b"../../etc", b"served"])
def test_note_of_what_expires(daemon, note):
    """One that leads nowhere keeps nobody else from being looked after."""
    upload, other = Partial(daemon, "/setgid"), Partial(daemon, "/setgid")
    upload.note.write_bytes(note)
    all_expires(daemon)
    for one in (upload, other):
        assert not one.record.exists() and not one.note.exists() and not one.content.exists()


# --- the ledger

def test_ledger(daemon):
    """It is counted anew; the upload goes on, and counts once."""
    chance = random.Random(SEED)
    ledger = daemon.root / ".ftd/quota/-"
    for _ in range(FLIPS):
        upload = Partial(daemon)
        for at in range(0, ledger.stat().st_size, 64):
            forge.flip(ledger, at + chance.randrange(64), chance.randrange(8))
        until(lambda: tries(upload), 30, "the count")
        nothing_left(daemon)
        with daemon.client() as c:
            told = ok(c.ask({"opt": "space"}))
        there = sum(p.stat().st_size for p in daemon.root.rglob("*") if p.is_file() and ".ftd" not in str(p))
        assert told["used"] == there


def tries(upload):
    with upload.ftd.client() as c:
        begun = begin(c, upload.name, len(upload.data), **MTIME)
        if begun["status"] != "ok":
            assert begun["code"] == "busy" and begun["retry_after_ms"] > 0, begun
            return False
        finish(c, begun, upload.data)
    return upload.published()
