"""A share that is full, of blocks or of files, or at the end of a quota that the kernel holds, at every stage of what
clients do: one page or one file more is free each time, until all goes well. The client is told disk_full or
quota_exceeded, nothing half is published, nothing is left, the session goes on; and where there is room again, the same
request or the same upload ends well."""
import os

import pytest

import resumable
import small
import wire
from harness import until
from small import PAGE

KIB64, MIB = 64 << 10, 1 << 20
OLD = b"what was there before\n" * 300
NEW = resumable.content(3 * PAGE + 17)
LARGE = resumable.content(5 * KIB64 + 17)
FULL = os.environ.get("FTD_FULL") == "1"
STEPS = 14  # pages or files that are free: all goes well with the last of them, whatever is done
UNITS = ("pages", "files")
KINDS = {"plain": (small.on_tmpfs, {}, None), "counted": (small.on_tmpfs, {"quota": "100M"}, None),
         "ext4": (small.on_ext4, {}, small.USER), "btrfs": (small.on_btrfs, {}, small.USER)}


@pytest.fixture(scope="module", params=KINDS)
def served(request, make_shared_ftd):
    """A daemon whose share is small, without and with a quota of ours; or has one of the kernel's."""
    make, how, user = KINDS[request.param]
    with small.place(make) as place:
        ftd = make_shared_ftd({"limits": {"free_space": "0"}},
                              share={"root": str(place.root), "durability": "full", **how}, user=user, start=False)
        ftd.root = place.root
        ftd.start()
        yield ftd, place
        ftd.stop()


# --- what is done: each returns the last answer, and after "ok" looks at what must be there

def new(client, root):
    return client.put("/new", NEW), {"new": NEW}


def replaced(client, root):
    return client.put("/old", NEW), {"old": NEW}


def group(client, root):
    client.sock.sendall(b"".join(wire.encode({"opt": "upload", "filename": f"/g{i}", "filesize": PAGE}, NEW[:PAGE])
                                 for i in range(4)))
    answers = [client.answer()[0] for _ in range(4)]
    for i, answer in enumerate(answers):
        assert (root / f"g{i}").exists() == (answer["status"] == "ok")
    wrong = [a for a in answers if a["status"] != "ok"]
    return (wrong or answers)[0], {f"g{i}": NEW[:PAGE] for i in range(4)}


def large(client, root):
    return client.put("/new", LARGE), {"new": LARGE}


def pieces(client, root):
    parts = [LARGE[i:i + KIB64] for i in range(0, len(LARGE), KIB64)]
    request = {"opt": "upload", "filename": "/new", "filesize": None}
    return client.put_pieces(request, parts, {"digest": wire.digest(LARGE)}), {"new": LARGE}


def parents(client, root):
    return client.put("/a/b/new", NEW, parents=True), {"a/b/new": NEW}


def mkdir(client, root):
    answer = client.ask({"opt": "mkdir", "filename": "/a/b/c", "parents": True})
    assert answer["status"] != "ok" or (root / "a/b/c").is_dir()
    return answer, {}


def copied(client, root):
    return client.ask({"opt": "copy", "filename": "/old", "to": "/new"}), {"new": OLD}


def elsewhere(client, root):
    """Staged beside its target, with a note."""
    return client.put("/setgid/new", NEW), {"setgid/new": NEW}


WORK = (new, replaced, group, large, pieces, parents, mkdir, copied, elsewhere)


def visible(root):
    """Files and their content, but for what is the server's or the test's own."""
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*")
            if p.is_file() and not any(part.startswith((".ftd", ".filler")) for part in p.relative_to(root).parts)}


def clear(client, root):
    for path in root.iterdir():
        if not path.name.startswith((".ftd", ".filler")):
            client.ask({"opt": "remove", "filename": f"/{path.name}", "recursive": True})
    assert client.put("/old", OLD)["status"] == "ok"
    (root / "setgid").mkdir()
    os.chown(root / "setgid", root.stat().st_uid, root.stat().st_gid)
    (root / "setgid").chmod(0o2755)


def nothing_is_left(ftd):
    until(lambda: not ftd.staged(), 5, "the end of staging files")


def judge(ftd, disk, answer, good, n):
    assert answer["status"] == "ok" or answer["code"] == disk.code, (n, answer)
    found = visible(ftd.root)
    for name, content in found.items():
        assert content in (good.get(name), OLD if name == "old" else None), f"{name} with {n} free"
    if answer["status"] == "ok":
        assert good.items() <= found.items(), n
    nothing_is_left(ftd)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("work", WORK, ids=lambda work: work.__name__)
def test_every_stage(served, work, unit):
    ftd, disk = served
    if unit not in disk.units:
        pytest.skip("there is no such quota")
    codes = []
    with ftd.client() as client:
        long = unit == "pages" and (work in (large, pieces) or disk.slow)
        for n in range(0, 90 if long else STEPS, 4 if long and not FULL else 1):
            clear(client, ftd.root)
            disk.fill(unit, n)
            said = len(ftd.errors)
            answer, good = work(client, ftd.root)
            judge(ftd, disk, answer, good, n)
            codes.append(answer.get("code", "ok"))
            disk.empty()
            if codes[-1] == "ok":
                break
            until(lambda: disk.code in ftd.errors[said:], 2, "the record in the log")
            answer, good = work(client, ftd.root)
            assert answer["status"] == "ok", answer
            judge(ftd, disk, answer, good, n)
        clear(client, ftd.root)
    assert codes[-1] == "ok" and (codes[0] == disk.code or (unit, work) == ("pages", mkdir)), codes


# --- resumable uploads

def uploads(ftd):
    kept = ftd.root / ".ftd/uploads"
    return {p.name for p in kept.iterdir()} if kept.exists() else set()


def all_that_goes(client, begun, data, step):
    """Parts until one is refused, then the end: the first refusal, or the receipt."""
    for first, last in resumable.missing(begun["ranges"], len(data)):
        for at in range(first, last, step):
            answer = resumable.part(client, begun["upload"], at, data[at:min(at + step, last)])
            if answer["status"] != "ok":
                return answer
    return resumable.end(client, begun["upload"], data)


def in_parts(client, name, size, data):
    """The answer of upload-begin, and of what came last."""
    begun = resumable.begin(client, name, size, mtime_ns=1)
    return begun, all_that_goes(client, begun, data, KIB64) if begun["status"] == "ok" else begun


def with_keep(client, name, size, data):
    """In one request; and what was refused is gone on with where there is no more room than before."""
    request = {"opt": "upload", "filename": name, "filesize": size, "mtime_ns": 1, "keep": True}
    if size is None:
        pieces = [data[at:at + KIB64] for at in range(0, len(data), KIB64)]
        answer = client.put_pieces(request, pieces, {"digest": wire.digest(data)})
    else:
        answer = client.ask(request, data)
    if answer["status"] == "ok":
        return answer, answer
    begun, again = in_parts(client, name, size, data)
    return begun, answer if again["status"] != "ok" else again


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("way", [in_parts, with_keep], ids=lambda way: way.__name__)
def test_an_upload_is_resumed(served, way, unit, known):
    """What is held stays held and true; with room again the same upload goes on."""
    ftd, disk = served
    if unit not in disk.units:
        pytest.skip("there is no such quota")
    data, codes, kept = LARGE, [], 0
    size = len(data) if known else None
    with ftd.client() as client:
        clear(client, ftd.root)
        for n in range(0, 100, 1 if unit == "files" else 3):
            name = f"/{unit}{known}{n}"
            disk.fill(unit, n)
            before = uploads(ftd)
            begun, answer = way(client, name, size, data)
            codes.append(answer.get("code", "ok"))
            assert codes[-1] in ("ok", disk.code), answer
            assert (codes[-1] == "ok") == (ftd.root / name[1:]).exists()
            assert begun["status"] == "ok" or uploads(ftd) == before or way is with_keep
            disk.empty()
            if codes[-1] != "ok":
                begun = resumable.ok(resumable.begin(client, name, size, mtime_ns=1))
                kept += sum(end - first for first, end in begun["ranges"])
                resumable.ok(all_that_goes(client, begun, data, KIB64))
                assert (ftd.root / name[1:]).read_bytes() == data
            client.ask({"opt": "remove", "filename": name})
            if codes[-1] == "ok":
                break
    assert codes[0] == disk.code and codes[-1] == "ok"
    assert kept > 0 or known or unit == "files"
    assert not [name for name in uploads(ftd) if not name.endswith(".rec")]
