"""Processes are killed at random moments while others go on: sessions, gates, the keeper, the houses, the supervisor,
clients. No acknowledged file is lost, no part is visible, all that was cut comes to its end with the same content, and
nothing of the dead is left."""
import os
import random
import signal
import subprocess
import threading
import time

import pytest

import harness
import resumable
import wire
from books import Books, state, state_of
from harness import PATIENCE, name_of
from invariants import all_expires, nothing_left, roles
from resumable import MIB

FULL = os.environ.get("FTD_FULL") == "1"
TRANSFERS = 504 if FULL else 36
SUPERVISORS = 12 if FULL else 1  # of all kills
SEED = int(os.environ.get("FTD_SEED") or random.randrange(1 << 32))
RATE = "30M"  # slow enough to be killed in the middle
NAMES = 4  # that a worker has, again and again
LOST = (wire.Closed, ConnectionError, TimeoutError)
# what is killed, and how often
VICTIMS = {"ftd-session": 8, "ftd-gate": 5, "a client": 6, "ft": 8, "ftd-keeper": 1, "ftd-sessionhous": 1, "ftd-gatehouse": 1}


class Worker(threading.Thread):
    """One transfer after another, each until it is acknowledged."""

    def __init__(self, scene, number, work, secure):
        super().__init__(daemon=True)
        self.scene, self.ftd, self.books, self.work, self.secure = scene, scene.ftd, scene.books, work, secure
        self.label, self.random = f"{work.__name__}{number}", random.Random(f"{SEED}{number}")
        self.client, self.process, self.failed, self.repeated = None, None, None, 0

    def run(self):
        try:
            for i in range(TRANSFERS // len(WORK)):
                self.work(self, f"/{self.label}/{i % NAMES}", i)
        except Exception as error:  # told at the end
            self.failed = error
        finally:
            self.let_go()

    def let_go(self):
        client, self.client = self.client, None
        if client:
            client.close()

    def content(self, least, most):
        return self.random.randbytes(self.random.randrange(least, most))

    def until_done(self, once):
        """once(client) until it ends well; who is refused for a while waits."""
        end = time.monotonic() + 60 * PATIENCE
        while True:
            assert time.monotonic() < end, f"{self.label} comes to no end"
            try:
                self.client = self.client or (self.ftd.secure if self.secure else self.ftd.client)()
                answer = once(self.client)
                if answer["status"] == "ok":
                    return
                assert answer["code"] in ("busy", "draining", "taken_over", "upload_unknown", "cancelled"), answer
            except LOST:
                pass
            except OSError as error:  # of TLS that was cut
                assert self.secure, error
            except (ValueError, AttributeError):  # the killer has closed it
                assert self.client is None
            self.repeated += 1
            self.let_go()
            time.sleep(0.05)


def small(w, name, _):
    data = w.content(0, 30_000)
    w.books.begins(name, state_of(data))
    w.until_done(lambda c: c.put(name, data, parents=True))
    w.books.acknowledged(name)


def large(w, name, _):
    data = w.content(MIB, 6 * MIB)
    w.books.begins(name, state_of(data))
    w.until_done(lambda c: c.put(name, data, parents=True, digest=wire.digest(data)))
    w.books.acknowledged(name)


def resumed(w, name, number):
    data = w.content(2 * MIB, 12 * MIB)
    w.books.begins(name, state_of(data))

    def once(c):
        begun = resumable.begin(c, name, len(data), mtime_ns=number, parents=True)
        for first, last in resumable.missing(begun.get("ranges", [[0, len(data)]]), len(data)):
            for at in range(first, last, MIB):
                answer = resumable.part(c, begun["upload"], at, data[at:min(at + MIB, last)])
                if answer["status"] != "ok":
                    return answer
        return resumable.end(c, begun["upload"], data) if begun["status"] == "ok" else begun

    w.until_done(once)
    w.books.acknowledged(name)


def run_ft(w, *args):
    """Until ft says that all is well, however often it is killed."""
    end = time.monotonic() + 60 * PATIENCE
    while True:
        w.process = subprocess.Popen([str(a) for a in (harness.FT, *args)], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        said = w.process.communicate(timeout=60 * PATIENCE)[1]
        status, w.process = w.process.returncode, None
        if status == 0:
            return
        assert time.monotonic() < end, f"ft ends with {status}: {said}"
        w.repeated += 1
        time.sleep(0.05)


def ft_put(w, name, number):
    local = w.scene.local / f"put{number}"
    local.write_bytes(w.content(2 * MIB, 12 * MIB))
    if number % 20 == 19:
        local.write_bytes(w.random.randbytes(70 * MIB))  # in parts
    w.books.begins(name, state(local))
    run_ft(w, "put", "--retry-for", "1s", local, w.ftd.url + name)
    w.books.acknowledged(name)
    local.unlink()


def ft_get(w, name, number):
    """What has the name in the end is right, however often it was cut."""
    local = w.scene.local / f"get{number}"
    run_ft(w, "get", "--retry-for", "1s", w.ftd.url + "/source", local)
    assert local.read_bytes() == w.scene.source
    local.unlink()


WORK = (small, large, resumed, resumed, ft_put, ft_get)


class Scene:
    """A daemon, those who work with it, and who kills."""

    def __init__(self, ftd, local):
        self.ftd, self.local, self.books, self.kills, self.wrong = ftd, local, Books(), {}, []
        self.random, self.source = random.Random(SEED), random.Random(SEED).randbytes(9 * MIB)
        (ftd.root / "source").write_bytes(self.source)
        (ftd.root / "large1").mkdir()
        for work in {work.__name__ for work in WORK}:
            for i in range(len(WORK)):
                (ftd.root / f"{work}{i}").mkdir(exist_ok=True)
        self.workers = [Worker(self, i, work, secure=i == 3) for i, work in enumerate(WORK)]

    def at_work(self):
        return any(w.is_alive() for w in self.workers)

    def kill(self, victim):
        if victim == "ft":
            found = [w.process for w in self.workers if w.process]
            found and self.random.choice(found).kill()
        elif victim == "a client":  # its connection ends as the kernel ends it
            found = [w for w in self.workers if w.client]
            found and self.random.choice(found).client.sock.shutdown(2)
        else:
            found = [p for p in roles(self.ftd) if name_of(p) == victim]
            found and os.kill(self.random.choice(found), signal.SIGKILL)
        if found:
            self.kills[victim] = self.kills.get(victim, 0) + 1

    def kill_supervisor(self):
        """And a new one, which finds those at work."""
        self.ftd.lose()
        time.sleep(self.random.uniform(0, 0.3))
        self.ftd.start()
        self.kills["ftd"] = self.kills.get("ftd", 0) + 1

    def look(self):
        """Nothing is visible but what was meant to be, whole."""
        states = self.books.asked_by_now()
        for name in states:
            found = state(self.ftd.root / name[1:])
            if found not in self.books.asked_by_now()[name]:
                self.wrong.append(f"a part of {name} is visible")

    def play(self):
        names, weights = list(VICTIMS), list(VICTIMS.values())
        for w in self.workers:
            w.start()
        supervisors = 0
        while self.at_work():
            time.sleep(self.random.uniform(0.02, 0.25))
            try:
                self.kill(self.random.choices(names, weights)[0])
            except (ProcessLookupError, OSError):
                pass  # it has just ended
            self.look()
            done = sum(len(states) - 1 for states in self.books.asked_by_now().values())
            if supervisors < SUPERVISORS and done > TRANSFERS * (supervisors + 1) // (SUPERVISORS + 2):
                supervisors += 1
                self.kill_supervisor()


def test_killed_at_random_moments(make_ftd, scratch):
    ftd = make_ftd({"log": {"level": "warning"}, "limits": {"session_rate": RATE}}, share={"quota": "4G"})
    scene = Scene(ftd, scratch)
    try:
        scene.play()
    finally:
        print(f"seed {SEED}: {TRANSFERS} transfers, killed {scene.kills}, repeated {sum(w.repeated for w in scene.workers)}")
    assert not [f"{w.label}: {w.failed!r}" for w in scene.workers if w.failed]
    assert not scene.wrong and not scene.books.wrong(ftd.root)
    nothing_left(ftd, 30)
    all_expires(ftd)
