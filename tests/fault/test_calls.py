"""Each system call that a session makes fails in turn, as the world makes it fail, at one occurrence after another. The
client is told with the right code or gets what it asked for; nothing half is published, nothing is left or leaked, the
daemon goes on, and the log has it. Which calls there are is asked of the session itself."""
import shutil
import time

import pytest

import resumable
import scenes
import wire
from harness import SANITIZED, served, until
from injection import CODES, FULL, all_cases, calls_made, descriptors, failing, gone, needs_strace, quiet

pytestmark = pytest.mark.skipif(SANITIZED, reason="a sanitizer's runtime makes calls of its own, and ends with them")
LIGHT = 8  # cases of a scene without FTD_FULL
LOGGED = {"unsupported": "nothing can be stored there"}  # with more than its code
MANY = 5  # failures after which a scene need not go on


@pytest.fixture(scope="module")
def daemon(make_shared_ftd):
    needs_strace()
    ftd = make_shared_ftd({"log": {"level": "info"}}, share={"durability": "full"}, start=False)
    lazy, counted = ftd.dir / "lazy", ftd.dir / "counted"
    more = []
    for path, how in ((lazy, {"durability": "none"}), (counted, {"durability": "file", "quota": "1T"})):
        path.mkdir()
        more.append({**ftd.settings["shares"][0], "path": f"/{path.name}", "root": str(path), **how})
    ftd.write_conf({"shares": [*ftd.settings["shares"], *more]})
    return ftd.start()


class Case:
    """A session that waits, with a directory of its own."""
    number = 0

    def __init__(self, ftd, scene, share):
        Case.number += 1
        self.ftd, self.scene, self.name = ftd, scene, f"case{Case.number}"
        self.root = ftd.root if share == "" else ftd.dir / share
        self.where, self.path = f"{'/' + share if share else ''}/{self.name}", self.root / self.name
        scenes.furnish(self.path)
        self.said, self.cut = len(ftd.errors), scene is scenes.upload_kept_cut
        until(lambda: not ftd.sessions(), 5, "the end of other sessions")
        self.client = ftd.client(timeout=3)
        self.client.ask({"opt": "stat", "filename": "/"})  # the first request makes the session
        (self.pid,) = [s["pid"] for s in ftd.sessions()]

    def act(self):
        """None: the connection was closed, or nothing comes any more."""
        scene = scenes.Scene(self.client, self.where, self.path)
        try:
            self.scene(scene)
        except (wire.Closed, ConnectionError):
            return None
        except TimeoutError:
            return scenes.Outcome(wrong="no answer comes")
        if self.cut:
            until(lambda: gone(self.pid), 5, "the session's end")
        return scene.outcome

    def settle(self):
        """strace that is ended while a call is being made to fail leaves it failed in a way of its own."""
        try:
            self.client.ask({"opt": "ping"})
        except (wire.Closed, OSError):
            pass

    def done(self):
        self.client.close()
        until(lambda: gone(self.pid), 5, "the session's end")
        shutil.rmtree(self.path)

    def staged(self):
        return [p for p in self.root.rglob(".ftd*") if p.is_file() and ".ftd/quota" not in str(p)] + \
            list((self.root / ".ftd/staging").glob("*")) + \
            [p for p in (self.root / ".ftd/uploads").glob("*") if not p.name.endswith(".rec")]


def chosen(ftd, scene, share):
    case = Case(ftd, scene, share)
    outcomes = []  # of the scene as it is without failures
    with case.client:  # strace may not be attached here
        made = calls_made(case.pid, lambda: outcomes.append(case.act()))
    assert outcomes[0] is not None and not outcomes[0].codes and not outcomes[0].wrong, outcomes
    assert gone_on_with(case, outcomes[0]) == ""
    case.done()
    cases = all_cases(made)
    if FULL:
        return cases
    step = max(len(made) // LIGHT, 1)  # another one of each call for each scene
    return cases[scenes.SCENES.index(scene) % step::step][:LIGHT]


def complaint(case, outcome, call, error):
    """What is wrong with the end of a case, '' if nothing."""
    if outcome is None:
        return "the connection was closed without a word"
    if outcome.wrong:
        return outcome.wrong
    right = CODES.get(error, set()) | ({"io_error"} if call in ("pread64", "read") else set())
    if not set(outcome.codes) <= right:
        return f"the client was told {outcome.codes}"
    return ""


def recorded(ftd, case, codes):
    """The log has what the machine did. Of entries of a tree it says how many, of those of a list nothing."""
    if case.scene in (scenes.download_tree, scenes.listing):
        return True
    return all(LOGGED.get(code, code) in ftd.errors[case.said:] for code in codes if code != "permission")


def leftover(case):
    """Orphans are swept by the keeper, soon after the session has ended."""
    try:
        until(lambda: not case.staged(), 5)
    except AssertionError:
        return f"left: {case.staged()}"
    return ""


def goes_on(case, before):
    """The session still serves, and holds no more than it did. '' or what is wrong."""
    try:
        again = case.client.put(f"{case.where}/again", b"goes on")
        case.client.ask({"opt": "ping"})
        quiet(case.pid, before)
    except (wire.Closed, ConnectionError):
        return "the session ended after its answer"
    except AssertionError as leaked:
        return str(leaked)
    return "" if again["status"] == "ok" else f"the session does not go on: {again}"


def gone_on_with(case, outcome):
    """An upload that was left unfinished is finished by the next who wants to, from what it was told to hold, unless it
    was published all the same. '' or what is wrong."""
    leaf = scenes.UNFINISHED.get(case.scene)
    if leaf is None:
        return ""
    published = scenes.content(case.path / leaf) == scenes.PARTS
    try:
        with case.ftd.client() as client:
            _, begun = resumable.resume(client, f"{case.where}/{leaf}", scenes.PARTS, mtime_ns=scenes.MTIME)
    except AssertionError as refused:
        return f"the upload cannot be gone on with: {refused}"
    if outcome is not None and not published and not resumable.covered(outcome.held, begun["ranges"]):
        return f"{outcome.held} was told to be held, and {begun['ranges']} is"
    return "" if scenes.content(case.path / leaf) == scenes.PARTS else "what was gone on with is not whole"


def run_case(ftd, scene, share, fault):
    call, error, occurrence = fault
    case = Case(ftd, scene, share)
    before = descriptors(case.pid)
    with failing(case.pid, call, error, occurrence):
        outcome = case.act()
        case.settle()
    why = complaint(case, outcome, call, error)
    if not why and outcome is not None and not case.cut:
        why = goes_on(case, before)
    if not why and outcome is not None and not recorded_soon(ftd, case, outcome.codes):
        why = f"the log does not tell of {outcome.codes}"
    case.client.close()
    until(lambda: gone(case.pid), 5, f"the session's end after {fault}")
    finished = gone_on_with(case, outcome)
    why = why or finished or leftover(case)
    case.done()
    return f"{scene.__name__} {share or '/'} {call}:{error}@{occurrence}: {why}" if why else ""


def recorded_soon(ftd, case, codes):
    try:
        until(lambda: recorded(ftd, case, codes), 1)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("scene, share", [
    pytest.param(scene, share, id=f"{scene.__name__}-{share or 'full'}")
    for i, scene in enumerate(scenes.SCENES) for j, share in enumerate(("", "lazy", "counted"))
    if FULL or (i + j) % 3 == 0])
def test_each_call_fails(daemon, scene, share):
    begin = time.monotonic()
    cases = chosen(daemon, scene, share)
    wrong = []
    for fault in cases:
        wrong += [w for w in [run_case(daemon, scene, share, fault)] if w]
        if len(wrong) == MANY:
            break
    served(daemon)
    print(f"{len(cases)} cases in {time.monotonic() - begin:.1f} s")
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong)
