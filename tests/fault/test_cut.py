"""A connection that is cut wherever it can be, falls silent, crawls, or comes in crumbs: what was acknowledged is there,
what was not is whole or not there at all, what was begun is gone on with, and nothing is left."""
import os
import random
from concurrent import futures

import pytest

from harness import PATIENCE
from invariants import all_expires, nothing_left
from proxy import Plan, Proxy, Way, boundaries, records
from talks import CONVERSATIONS, Talk, furnish, listing, sent_ahead

FULL = os.environ.get("FTD_FULL") == "1"
RANDOM = 150 if FULL else 6  # cuts of each conversation, each way, at random bytes
SEED = int(os.environ.get("FTD_SEED") or random.randrange(1 << 32))


@pytest.fixture(scope="module", name="daemon")
def make_daemon(make_shared_ftd):
    ftd = furnish(make_shared_ftd({"log": {"level": "warning"}}, share={"durability": "full"}))
    yield ftd
    all_expires(ftd)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("what", CONVERSATIONS, ids=lambda what: what.__name__)
def test_cut_anywhere(daemon, what, secure):
    chance = random.Random(f"{SEED}{what.__name__}")
    with Proxy(daemon.port) as way:
        talk = Talk(daemon, way, what, secure)
        complete, link = talk.once()
        assert complete
        for direction, stream in (("up", link.up), ("down", link.down)):
            places = records(stream) if secure else boundaries(stream)
            if secure and not FULL:
                places = chance.sample(places, min(len(places), RANDOM))
            for place in (0, *places, *(chance.randrange(len(stream)) for _ in range(RANDOM))):
                talk.cut(Plan(**{direction: Way(cut_after=place, end=chance.choice(["close", "reset"]))}))
        print(f"seed {SEED}: {talk.cuts} cuts of {what.__name__}, {'TLS' if secure else 'plain'}")
        nothing_left(daemon)
    assert not talk.books.wrong(daemon.root)


def test_silence_ends_by_a_deadline(make_ftd):
    """The cable is out while both sides wait: sessions end by themselves, and an upload is gone on with before."""
    patience = f"{PATIENCE}s"
    ftd = furnish(make_ftd({"limits": {"stall_timeout": patience, "idle_timeout": patience, "login_timeout": patience},
                            "log": {"level": "error"}}))
    talks, jobs = [], []
    with Proxy(ftd.port) as way:
        for what in CONVERSATIONS:
            talk = Talk(ftd, way, what)
            _, link = talk.once()
            plans = [Plan(**{direction: Way(cut_after=int(fraction * len(stream)), end="drop")})
                     for direction, stream in (("up", link.up), ("down", link.down)) for fraction in (0.02, 0.5, 0.98)]
            talks += [Talk(ftd, way, what) for _ in plans]
            jobs += zip(talks[-len(plans):], plans)
        with futures.ThreadPoolExecutor(len(jobs)) as pool:
            list(pool.map(lambda job: job[0].cut(job[1], 4), jobs))
        nothing_left(ftd)  # nobody has closed anything yet
    assert not [wrong for talk in talks for wrong in talk.books.wrong(ftd.root)]
    all_expires(ftd)


@pytest.mark.parametrize("how", [{"crumbs": 1}, {"crumbs": 700, "delay": 0.002}], ids=["crumbs", "slow"])
@pytest.mark.parametrize("what", [sent_ahead, listing], ids=lambda what: what.__name__)
def test_slow_and_in_crumbs(daemon, what, how):
    """A byte at a time, or with pauses: everything goes as it always does."""
    with Proxy(daemon.port) as way:
        talk = Talk(daemon, way, what)
        assert talk.once(Plan(Way(**how), Way(**how)))[0]
    assert not talk.books.wrong(daemon.root)
    nothing_left(daemon)
