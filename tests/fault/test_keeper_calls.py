"""Each system call of the keeper fails in turn while it looks after what sessions left: uploads that nobody went on with
for too long, staging files of those who were killed, and what was reserved for them. Nothing that is wanted goes, the
keeper goes on or another takes its place, and what it did not remove goes with the next round. Which calls there are is
asked of the keeper itself."""
import os
import signal
import time

import pytest

import resumable
from harness import SANITIZED, children, name_of, until
from injection import FULL, all_cases, calls_made, descriptors, failing, needs_strace, quiet
from invariants import LONG_AGO, reserved, send_round
from resumable import MIB, begin, ok, part

pytestmark = pytest.mark.skipif(SANITIZED, reason="a sanitizer's runtime makes calls of its own, and ends with them")
LIGHT = ("openat2", "pread64", "read", "unlinkat")  # of each the first failure, without FTD_FULL
MANY = 5  # failures after which a test need not go on
PLACES = ("plain", "setgid")  # the content of one lies in .ftd/uploads, of the other beside its target
DATA = resumable.content(MIB)
OF_ONE_FILE = ("unlinkat", "fcntl", "pread64")  # when one of them fails, the others are none the worse for it


@pytest.fixture(scope="module")
def ftd(make_shared_ftd):
    needs_strace()
    ftd = make_shared_ftd({"uploads": {"keep": "1h"}}, share={"quota": "1T"}, start=False)
    for place in PLACES:
        (ftd.root / place).mkdir()
    (ftd.root / "setgid").chmod(0o2755)
    (ftd.root / "file").write_bytes(DATA)
    return ftd.start()


def keeper(ftd):
    return until(lambda: [p for p in children(ftd.pid) if name_of(p) == "ftd-keeper"], 15, "a keeper")[0]


def names(leaf):
    return [f"/{place}/{leaf}" for place in PLACES]


def id_of(path):
    return path.name.removeprefix(".ftd-").split(".")[0]


def files(ftd):
    """All that there is, but for the ledgers."""
    return {p: p.read_bytes() for p in ftd.root.rglob("*")
            if p.is_file() and p.relative_to(ftd.root).parts[:2] != (".ftd", "quota")}


def left_unfinished(ftd, leaf):
    """Uploads that are not under way any more; the files that they have."""
    before = files(ftd)
    with ftd.client() as client:
        for name in names(leaf):
            begun = until(lambda: (a := begin(client, name, len(DATA), mtime_ns=1)).get("code") != "busy" and a, 10)
            ok(part(client, begun["upload"], 0, DATA[:1000]))
    return set(files(ftd)) - set(before)


def under_way(ftd):
    """Sessions in the middle of an upload; the files that they have."""
    before, clients = files(ftd), []
    for name in names("busy"):
        clients.append(ftd.client())
        clients[-1].send({"opt": "upload", "filename": name, "filesize": len(DATA)}, DATA[:300_000])
    until(lambda: sum(t["offset"] == 300_000 for t in ftd.transfers()) == len(clients), 10, "the uploads")
    return clients, set(files(ftd)) - set(before)


class Round:
    """What is to go in one, and the sessions whose end is its occasion."""

    def __init__(self, ftd):
        self.ftd, self.doomed = ftd, left_unfinished(ftd, "old")
        for path in self.doomed:
            if path.name.endswith(".rec"):
                os.utime(path, (time.time() - LONG_AGO,) * 2)
        self.clients, staged = under_way(ftd)
        self.doomed |= staged
        self.wanted = {p: data for p, data in files(ftd).items() if p not in self.doomed}

    def go(self):
        """A keeper that stands still hears of all those that end at once, and makes one round for them."""
        pid, said = keeper(self.ftd), len(self.ftd.errors)
        os.kill(pid, signal.SIGSTOP)
        for session in self.ftd.sessions():
            os.kill(session["pid"], signal.SIGKILL)
        for client in self.clients:
            client.close()
        until(lambda: not self.ftd.sessions(), 10, "the end of the sessions")
        os.kill(pid, signal.SIGCONT)
        self.ftd.ask("list-uploads")
        until(lambda: any(end in self.ftd.errors[said:] for end in ("keeper: removed", "the keeper of")), 10, "a round")

    def left(self):
        return {id_of(p) for p in self.doomed if p.exists()}

    def lost(self):
        now = files(self.ftd)
        return [str(p) for p, data in self.wanted.items() if now.get(p) != data]


def clean(one):
    return not one.left() and not reserved(one.ftd.root)


def soon(condition):
    try:
        return until(condition, 10)
    except AssertionError:
        return False


def run_case(ftd, fault):
    """'' or what is wrong."""
    call, error, occurrence = fault
    one, pid = Round(ftd), keeper(ftd)
    before = descriptors(pid)
    with failing(pid, call, error, occurrence):
        one.go()
    why = ""
    if call in OF_ONE_FILE and not soon(lambda: len(one.left()) <= 1):
        why = f"because of one file others stay: {one.left()}"
    if keeper(ftd) == pid:
        quiet(pid, before)
    send_round(ftd)
    if not soon(lambda: clean(one)):
        why = why or f"left by the next round: {one.left()}, {reserved(ftd.root)}"
    why = f"lost: {one.lost()}" if one.lost() else why
    return f"{call}:{error}@{occurrence}: {why}" if why else ""


def test_each_call_fails(ftd):
    young = left_unfinished(ftd, "young")
    first = Round(ftd)
    made = calls_made(keeper(ftd), first.go)
    until(lambda: clean(first), 10, "the round without failures")
    cases = all_cases(made)
    if not FULL:
        cases = [next(case for case in cases if case[0] == call) for call in LIGHT]
    wrong, start = [], time.monotonic()
    for fault in cases:
        wrong += [w for w in [run_case(ftd, fault)] if w]
        if len(wrong) == MANY:
            break
    print(f"{len(cases)} cases in {time.monotonic() - start:.1f} s, of {made}")
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong)
    assert all(path.exists() for path in young)
    with ftd.client() as client:
        for name in names("young"):
            _, again = resumable.resume(client, name, DATA, mtime_ns=1)
            assert again["ranges"] == [[0, 1000]]
