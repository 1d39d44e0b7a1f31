"""What clients do with a share, one scene each: how the directory is before, what is asked, and what may be there
afterwards. A scene returns an Outcome; that what was answered is true is looked at here."""
import dataclasses
import os

import resumable
import wire

OLD, NEW = b"the old content\n" * 100, b"the new content\n" * 80
LARGE = os.urandom(1 << 20) * 9
PARTS = LARGE[:(2 << 20) + 17]
SPARSE = 3 << 20
MTIME = 1_500_000_000_123_456_789


@dataclasses.dataclass
class Outcome:
    """The answers of a scene: codes of the refused, what is wrong with the disk or with what was told, and what an
    upload that has not ended was told to hold."""
    codes: list = dataclasses.field(default_factory=list)
    wrong: str = ""
    held: list = dataclasses.field(default_factory=list)


def content(path):
    """The bytes; None: no such file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


class Scene:
    """One directory of a share and a client in it."""

    def __init__(self, client, where, path):
        self.client, self.where, self.path, self.outcome = client, where, path, Outcome()

    def took(self, header):
        """Whether that request was carried out; else its code is kept."""
        if header["status"] == "ok":
            return True
        self.outcome.codes.append(header["code"])
        return False

    def name(self, leaf):
        return f"{self.where}/{leaf}"

    def expect(self, true, what):
        if not true and not self.outcome.wrong:
            self.outcome.wrong = what

    def judge(self, leaf, good, allowed, done):
        """The file is `good` after an ok, and never anything but that or `allowed`."""
        found = content(self.path / leaf)
        what = "nothing" if found is None else f"{len(found)} bytes"
        self.expect(found == good if done else found in (good, *allowed),
                    f"{leaf} has {what} after {'ok' if done else 'an error'}")

    def received(self, request, good):
        """A download: what was told to be whole is."""
        _, data, last = self.client.pieces(request)
        if self.took(last):
            self.expect(data == good and last["digest"] == wire.digest(good), "wrong content was sent as good")


def upload_small(s):
    done = s.took(s.client.put(s.name("new"), NEW, mtime_ns=MTIME, mode=0o640))
    s.judge("new", NEW, [None], done)
    if done:
        st = (s.path / "new").stat()
        s.expect(st.st_mtime_ns == MTIME and st.st_mode & 0o777 == 0o640, "time or mode were lost")


def upload_replace(s):
    s.judge("old", NEW, [OLD], s.took(s.client.put(s.name("old"), NEW)))


def upload_group(s):
    frames = [wire.encode({"opt": "upload", "filename": s.name(f"g{i}"), "filesize": len(NEW)}, NEW) for i in range(6)]
    s.client.sock.sendall(b"".join(frames))
    done = [s.took(s.client.answer()[0]) for _ in range(6)]
    for i in range(6):
        s.judge(f"g{i}", NEW, [None], done[i])


def upload_large(s):
    done = s.took(s.client.put(s.name("large"), LARGE, digest=wire.digest(LARGE, "sha256")))
    s.judge("large", LARGE, [None], done)


def upload_pieces(s):
    request = {"opt": "upload", "filename": s.name("pieces"), "filesize": None, "digest": "xxh3"}
    whole = LARGE[:3 << 20]
    pieces = [whole[i << 20:i + 1 << 20] for i in range(3)]
    done = s.took(s.client.put_pieces(request, pieces, {"digest": wire.digest(whole)}))
    s.judge("pieces", whole, [None], done)


def upload_holes(s):
    client = s.client
    client.send({"opt": "upload", "filename": s.name("holes"), "filesize": SPARSE + 10, "more": True})
    client.send({"more": True, "body": 5}, b"begin")
    client.send({"more": True, "hole": SPARSE})
    client.send({"body": 5}, b"after")
    whole = b"begin" + bytes(SPARSE) + b"after"
    s.judge("holes", whole, [None], s.took(client.answer()[0]))


def upload_parents(s):
    done = s.took(s.client.put(s.name("a/b/c/new"), NEW, parents=True))
    s.judge("a/b/c/new", NEW, [None], done)


def upload_keep_both(s):
    answer = s.client.put(s.name("old"), NEW, if_exists="keep_both")
    s.judge("old (2)", NEW, [None], s.took(answer))
    s.judge("old", OLD, [], True)


def upload_expect(s):
    request = {"opt": "upload", "filename": s.name("old"), "filesize": len(NEW), "digest": wire.digest(NEW)}
    s.client.send({**request, "expect": True})
    first = s.client.answer()[0]
    if first["status"] == "continue":
        s.client.sock.sendall(NEW)
        first = s.client.answer()[0]
    s.judge("old", NEW, [OLD], s.took(first))


def upload_elsewhere(s):
    """A directory that gives its group: staged in it."""
    (s.path / "setgid").chmod(0o2755)
    s.judge("setgid/new", NEW, [None], s.took(s.client.put(s.name("setgid/new"), NEW)))


def upload_committed(s):
    done = s.took(s.client.put(s.name("new"), NEW))
    s.took(s.client.ask({"opt": "commit"}))
    s.judge("new", NEW, [None], done)


def part(s, begun, first, last):
    answer = resumable.part(s.client, begun["upload"], first, PARTS[first:last])
    if not s.took(answer):
        return False
    s.expect(resumable.covered(s.outcome.held, answer["ranges"]), "what was told to be held is not any more")
    s.outcome.held = answer["ranges"]
    return True


def end(s, begun, leaf):
    done = s.took(resumable.end(s.client, begun["upload"], PARTS))
    s.outcome.held = [] if done else s.outcome.held
    s.judge(leaf, PARTS, [None], done)
    return done


def upload_in_parts(s, leaf="parts"):
    """The last part first; then the digests of blocks, and the end."""
    half = len(PARTS) // 2
    begun = resumable.begin(s.client, s.name(leaf), len(PARTS), mtime_ns=MTIME)
    if not s.took(begun) or not part(s, begun, half, len(PARTS)) or not part(s, begun, 0, half):
        return
    _, told, last = s.client.pieces({"opt": "upload-status", "upload": begun["upload"], "blocks": True})
    if s.took(last):
        s.expect(told == b"".join(resumable.blocks(PARTS)), "wrong digests of blocks were told")
    if end(s, begun, leaf):
        again = resumable.end(s.client, begun["upload"], PARTS)
        if again.get("code") != "upload_unknown":  # the receipt is kept where that can be
            s.took(again)


def upload_in_parts_elsewhere(s):
    """A directory that gives its group: the content lies beside its target."""
    (s.path / "setgid").chmod(0o2755)
    upload_in_parts(s, "setgid/parts")


def upload_gone_on_with(s):
    """A part in pieces with a hole, then a newer claim by name and one by id; an older one is told that it is."""
    third = len(PARTS) // 3
    begun = resumable.begin(s.client, s.name("parts"), len(PARTS), mtime_ns=MTIME)
    if not s.took(begun):
        return
    first = {"opt": "upload-part", "upload": begun["upload"], "offset": 0, "filesize": third}
    s.took(s.client.put_pieces(first, [PARTS[:100], PARTS[100:third]], {}))
    again = resumable.begin(s.client, s.name("parts"), len(PARTS), mtime_ns=MTIME)
    if not s.took(again) or not part(s, again, third, 2 * third):
        return
    newest = s.client.ask({"opt": "upload-begin", "upload": again["upload"]})
    if not s.took(newest):
        return
    older = resumable.part(s.client, again["upload"], 0, b"not this")
    s.expect(older["status"] == "error", "an older claim wrote")
    s.outcome.codes += [older["code"]] if older["code"] != "taken_over" else []
    missing = resumable.missing(newest["ranges"], len(PARTS))
    if all([part(s, newest, *gap) for gap in missing]):
        end(s, newest, "parts")


def upload_aborted(s):
    begun = resumable.begin(s.client, s.name("parts"), len(PARTS), mtime_ns=MTIME)
    if not s.took(begun) or not part(s, begun, 0, 1000):
        return
    s.took(s.client.ask({"opt": "upload-list"}))
    s.took(s.client.ask({"opt": "upload-abort", "upload": begun["upload"]}))
    s.outcome.held = []
    s.judge("parts", None, [], True)


def upload_on_a_base(s):
    """What differs from a file that is there is sent."""
    (s.path / "base").write_bytes(PARTS[:100] + b"differs" + PARTS[107:])
    begun = resumable.begin(s.client, s.name("parts"), len(PARTS), mtime_ns=MTIME, base=s.name("base"))
    if not s.took(begun):
        return
    s.outcome.held = begun["ranges"]
    if all([part(s, begun, *gap) for gap in [(100, 107), *resumable.missing(begun["ranges"], len(PARTS))]]):
        end(s, begun, "parts")


KEPT = {"opt": "upload", "filesize": len(PARTS), "mtime_ns": MTIME, "keep": True}


def upload_kept(s):
    s.judge("parts", PARTS, [None], s.took(s.client.ask({**KEPT, "filename": s.name("parts")}, PARTS)))


def upload_kept_again(s):
    """Of which a part is held already."""
    begun = resumable.begin(s.client, s.name("parts"), len(PARTS), mtime_ns=MTIME)
    if s.took(begun) and part(s, begun, 1000, len(PARTS) // 2):
        s.outcome.held = []  # all of it is on its way again
        upload_kept(s)


def upload_kept_cut(s):
    """In the middle; so nobody is told."""
    s.client.sock.sendall(wire.encode({**KEPT, "filename": s.name("parts")}) + PARTS[:len(PARTS) // 2])
    s.client.close()


# Those after which an upload may be there to be gone on with, and the name it is for.
UNFINISHED = {upload_in_parts_elsewhere: "setgid/parts", **dict.fromkeys((
    upload_in_parts, upload_gone_on_with, upload_aborted, upload_on_a_base, upload_kept, upload_kept_again,
    upload_kept_cut), "parts")}


def copy(s):
    done = s.took(s.client.ask({"opt": "copy", "filename": s.name("sparse"), "to": s.name("copy")}))
    s.judge("copy", content(s.path / "sparse"), [None], done)


def rename(s):
    done = s.took(s.client.ask({"opt": "rename", "filename": s.name("old"), "to": s.name("setgid/moved")}))
    places = (content(s.path / "old"), content(s.path / "setgid/moved"))
    s.expect(places == (None, OLD) or (places == (OLD, None) and not done), "the file is not where it was told to be")


def rename_replace(s):
    request = {"opt": "rename", "filename": s.name("old"), "to": s.name("sparse"), "if_exists": "replace"}
    other = content(s.path / "sparse")
    done = s.took(s.client.ask(request))
    places = (content(s.path / "old"), content(s.path / "sparse"))
    s.expect(places == (None, OLD) or (places == (OLD, other) and not done), "a file was lost")


def mkdir(s):
    for request, leaf in (({"parents": True}, "m/n/o"), ({}, "one")):
        done = s.took(s.client.ask({"opt": "mkdir", "filename": s.name(leaf), **request}))
        s.expect((s.path / leaf).is_dir() or not done, f"{leaf} is not there")


def remove(s):
    for leaf, request in (("old", {}), ("tree", {"recursive": True})):
        done = s.took(s.client.ask({"opt": "remove", "filename": s.name(leaf), **request}))
        s.expect(not (s.path / leaf).exists() or not done, f"{leaf} is still there")


def change(s):
    done = s.took(s.client.ask({"opt": "set", "filename": s.name("old"), "mtime_ns": MTIME, "mode": 0o600}))
    st = (s.path / "old").stat()
    s.expect((st.st_mtime_ns == MTIME and st.st_mode & 0o777 == 0o600) or not done, "time or mode are not as set")
    s.judge("old", OLD, [], True)


def download(s):
    s.received({"opt": "download", "filename": s.name("old")}, OLD)
    s.received({"opt": "download", "filename": s.name("sparse"), "holes": True}, content(s.path / "sparse"))


def download_known(s):
    """Its digest was noted by the upload, so it goes out unread."""
    data = LARGE[:1 << 20]
    if s.took(s.client.put(s.name("known"), data, mtime_ns=MTIME)):
        s.received({"opt": "download", "filename": s.name("known")}, data)
        s.took(s.client.ask({"opt": "set", "filename": s.name("known"), "mtime_ns": MTIME + 1}))
        s.took(s.client.ask({"opt": "copy", "filename": s.name("known"), "to": s.name("copy")}))
        s.judge("copy", data, [None], False)


def download_tree(s):
    """Each file is whole, or an error that is counted."""
    s.client.send({"opt": "download-tree", "filename": s.where, "holes": True})
    seen, data, name, size = {}, bytearray(), None, 0
    while True:
        header, body = s.client.answer()
        if "entries" in header or (header["status"] == "error" and not header.get("more")):
            break
        if header["status"] == "error":
            s.outcome.codes.append(header["code"])
            data, name = bytearray(), None
            continue
        if "name" in header:
            data, name, size = bytearray(), header["name"], header["filesize"]
            if header["type"] != "file":
                seen[name] = None
        data += body + bytes(header.get("hole", 0))
        if "digest" in header:
            s.expect(len(data) == size and header["digest"] == wire.digest(data), f"{name} was sent wrong")
            seen[name] = bytes(data)
    if not s.took(header):
        return
    s.expect(header["errors"] == len(s.outcome.codes), "errors were not counted")
    real = {str(p.relative_to(s.path)): None if p.is_dir() else p.read_bytes() for p in s.path.rglob("*")}
    whole = not s.outcome.codes
    s.expect(seen == real if whole else seen.items() <= real.items(), "the tree is not what is there")


def listing(s):
    """Every entry, or one that says what could not be read."""
    real = {str(p.relative_to(s.path)) for p in s.path.rglob("*")}
    s.client.send({"opt": "list", "filename": s.where, "recursive": True})
    entries, header = [], {"more": True}
    while header.get("more"):
        header, _ = s.client.answer()
        entries += header.get("entries", [])
    s.outcome.codes += [e["code"] for e in entries if "code" in e]
    if s.took(header):
        names = {e["name"] for e in entries}
        s.expect(names == real if not s.outcome.codes else names <= real, "the list is silently short")


def look(s):
    s.took(s.client.ask({"opt": "stat", "filename": s.name("old")}))
    s.took(s.client.ask({"opt": "space", "filename": s.where}))


def digest(s):
    answer = s.client.ask({"opt": "digest", "filename": s.name("sparse")})
    if s.took(answer):
        s.expect(answer["digest"] == wire.digest(content(s.path / "sparse")), "a wrong digest was told")
    _, data, last = s.client.pieces({"opt": "digest", "filename": s.name("sparse"), "block": 1 << 20})
    if s.took(last):
        whole = content(s.path / "sparse")
        blocks = (whole[at:at + (1 << 20)] for at in range(0, len(whole), 1 << 20))
        right = b"".join(bytes.fromhex(wire.digest(block)[5:]) for block in blocks)
        s.expect(data == right, "wrong digests of blocks were told")


SCENES = (upload_small, upload_replace, upload_group, upload_large, upload_pieces, upload_holes, upload_parents,
          upload_keep_both, upload_expect, upload_elsewhere, upload_committed, *UNFINISHED, copy, rename,
          rename_replace, mkdir, remove, change, download, download_known, download_tree, listing, look, digest)


def furnish(path):
    """The directory before each scene."""
    path.mkdir()
    (path / "old").write_bytes(OLD)
    (path / "setgid").mkdir()
    (path / "tree/inner").mkdir(parents=True)
    for i in range(3):
        (path / f"tree/inner/{i}").write_bytes(NEW)
    with open(path / "sparse", "wb") as out:
        out.write(LARGE[:300_000])
        out.seek(SPARSE)
        out.write(OLD)
