"""Bits turn on the way, over plain text: in the length of a header, in its JSON, in content. It is found by who receives;
nothing wrong is published or taken for verified; and it is tried again, whole."""
import os
import random

import pytest

import wire
from books import state
from harness import run, FT
from invariants import all_expires, nothing_left
from proxy import PREFIX, Plan, Proxy, Way, boundaries
from talks import CONVERSATIONS, LARGE, Talk, download, furnish, in_pieces, listing

FULL = os.environ.get("FTD_FULL") == "1"
EACH = 40 if FULL else 4  # bits of each kind of place
SEED = int(os.environ.get("FTD_SEED") or random.randrange(1 << 32))
UPLOADS = [what for what in CONVERSATIONS if what not in (download, listing)]


@pytest.fixture(scope="module", name="daemon")
def make_daemon(make_shared_ftd):
    """Sessions end soon where a length is wrong: they wait for bytes that do not come."""
    ftd = furnish(make_shared_ftd({"log": {"level": "error"}, "limits": {"stall_timeout": "2s", "idle_timeout": "2s"}}))
    yield ftd
    all_expires(ftd)


def places(stream, chance):
    """Offsets in lengths of headers, in JSON, and in content."""
    ends = [0, *boundaries(stream)]
    lengths, json, content, at = [], [], [], 0
    for end in ends[1:]:
        size = int.from_bytes(stream[at:at + PREFIX], "little")
        if at + PREFIX + size == end:
            lengths += range(at, at + PREFIX)
            json += range(at + PREFIX, end)
        else:
            content += chance.sample(range(at, end), min(EACH, end - at))
        at = end
    return [(kind, chance.choice(among)) for kind, among in (("length", lengths), ("JSON", json), ("content", content))
            if among for _ in range(EACH)]


def published(root):
    """All that has a name; what was there before left out."""
    return {p for p in root.rglob("*") if p.is_file() and ".ftd" not in str(p.relative_to(root))
            and p.relative_to(root).parts[0] != "served"}


def attempt(talk, plan):
    """Whether the client takes it for done."""
    try:
        return talk.once(plan, 4)[0]
    except (AssertionError, ValueError, KeyError):  # an error, or what is no answer
        return False


@pytest.mark.parametrize("what", UPLOADS, ids=lambda what: what.__name__)
def test_upload(daemon, what):
    """Whatever has a name then, be it another one, has content that was sent. Of pieces whose sum nobody has told, the end
    may be missing: the receipt says so."""
    chance, flips, before = random.Random(f"{SEED}{what.__name__}"), 0, published(daemon.root)
    with Proxy(daemon.port) as way:
        talk = Talk(daemon, way, what)
        complete, link = talk.once()
        assert complete
        good = {states[-1] for states in talk.books.asked_by_now().values()}
        for kind, at in places(link.up, chance):
            flips += 1
            took = attempt(talk, Plan(Way(flips={at: 1 << chance.randrange(8)})))
            wrong = [p for p in published(daemon.root) - before if state(p) not in good]
            assert not wrong or (what is in_pieces and not took), f"seed {SEED}: a bit of {kind} at {at}: {wrong}"
            before.update(wrong)
        print(f"seed {SEED}: {flips} bits of {what.__name__}")
    nothing_left(daemon)


def test_download(daemon):
    """Never served as verified: the client sees by the digest."""
    chance, told = random.Random(SEED), []
    with Proxy(daemon.port) as way:
        talk = Talk(daemon, way, download)
        _, link = talk.once()
        for kind, at in places(link.down, chance):
            client, _ = way.client(Plan(down=Way(flips={at: 1 << chance.randrange(8)})), timeout=4)
            try:
                client.hello()
                _, content, last = client.pieces({"opt": "download", "filename": "/served/large"})
                if last["status"] == "ok" and content != LARGE:
                    assert last["digest"] != wire.digest(content), f"seed {SEED}: a bit of {kind} at {at}"
                    told.append(at)
            except (AssertionError, ValueError, KeyError, wire.Closed, OSError) as error:
                assert "seed" not in str(error), error
            client.close()
        assert told
    nothing_left(daemon)


def test_ft(daemon, scratch):
    """ft never leaves what is wrong under a name, here or there, and gets there when it may try again."""
    chance = random.Random(SEED)
    local, target = scratch / "local", scratch / "target"
    local.write_bytes(LARGE)
    with Proxy(daemon.port) as way:
        url = f"ft://127.0.0.1:{way.port}"
        for i in range(EACH):
            way.plan = Plan(Way(flips={chance.randrange(1000, len(LARGE)): 1 << chance.randrange(8)}))
            done = run(FT, "put", "-q", "--retry-for", "0s", local, f"{url}/ft{i}", check=False)
            assert done.returncode in (0, 10, 11), done.stderr
            assert state(daemon.root / f"ft{i}") in (None, state(local)), f"seed {SEED}"
            way.plan = Plan(down=Way(flips={chance.randrange(1000, len(LARGE)): 1 << chance.randrange(8)}))
            done = run(FT, "get", "-q", "--retry-for", "0s", f"{url}/served/large", target, check=False)
            assert (state(target) == state(local)) == (done.returncode == 0) and state(target) in (None, state(local))
            way.plan = Plan()
            run(FT, "put", "-q", local, f"{url}/ft{i}")
            run(FT, "get", "-q", f"{url}/served/large", target)
            assert state(daemon.root / f"ft{i}") == state(target) == state(local)
            target.unlink()
    nothing_left(daemon)
