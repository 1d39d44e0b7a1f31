"""ftctl reexec: another binary in place of the running one, and nobody who is served notices."""
import contextlib
import json
import os
import pwd
import shutil
import threading

import pytest

import harness
import wire
from accounts import login, make_privileged, needs_root, session_of, uids, who_has_what
from harness import PATIENCE, children, descriptors, name_of, until
from injection import Strace, needs_strace
from invariants import HELPERS
from moving import MB, Download, Upload, no_ghosts, some_of_each
from resumable import begin, finish, ok, part

pytestmark = pytest.mark.heavy

FULL = os.environ.get("FTD_FULL") == "1"


@pytest.fixture
def own(make_ftd, tmp_path):
    """A daemon whose binary may be exchanged."""
    program = tmp_path / "ftd"
    shutil.copy2(harness.FTD, program)
    return make_ftd(program=program)


def exchange(own, path):
    """As a package manager does it."""
    program = own.program[-1]
    shutil.copy2(path, f"{program}.new")
    os.rename(f"{program}.new", program)


def reexec(ftd):
    answer = ftd.ask("reexec")
    assert answer["status"] == "ok" and answer["pid"] == ftd.pid, answer
    return answer


def test_fifty_transfers(own):
    transfers = [(Upload if i % 3 else Download)(own, f"file{i}", size=(1 if i % 3 else 8) * MB, tls=i % 2 == 1,
                                                 **({"sent": MB // 4} if i % 3 else {})) for i in range(50)]
    with own.client() as idle, own.connect() as silent:
        assert idle.ask({"opt": "stat", "filename": "/"})["status"] == "ok"
        greeted = own.client()  # at its gate: its client is to try again
        before, sessions, started = own.transfers(), own.sessions(), own.ask("status")["started"]
        roles = {p for p in children(own.pid) if name_of(p) not in ("ftd-session", "ftd-gate")}
        assert own.ask("ban", address="192.0.2.7")["status"] == "ok"
        own.write_users(f"alice:{harness.hashed('secret')}")
        assert own.ask("reload", users=True)["status"] == "ok"
        assert own.ask("limit", user="alice", rate="1M")["status"] == "ok"
        assert own.ask("limit", id=transfers[1].session, rate="500K")["status"] == "ok"
        exchange(own, harness.FTD)
        inode = os.stat(own.program[-1]).st_ino
        assert reexec(own)["sessions"] == 51
        assert os.stat(f"/proc/{own.pid}/exe").st_ino == inode
        assert name_of(own.pid) == "ftd"
        own_roles = {p for p in children(own.pid) if name_of(p) not in ("ftd-session", "ftd-gate")}
        assert len(own_roles) == len(roles) == 4 and not own_roles & roles
        assert all(os.stat(f"/proc/{p}/exe").st_ino == inode for p in own_roles)
        with contextlib.suppress(ConnectionError):
            assert greeted.at_end()
        # what is told is the same
        keys = ("id", "session", "path", "peer", "started", "tls")
        assert [[t[k] for k in keys] for t in own.transfers()] == [[t[k] for k in keys] for t in before]
        assert {s["id"]: s["pid"] for s in own.sessions()} == {s["id"]: s["pid"] for s in sessions}
        assert own.ask("status")["started"] == started
        assert [b["address"] for b in own.ask("list-bans")["bans"]] == ["192.0.2.7/32"]
        assert next(s for s in own.sessions() if s["id"] == transfers[1].session)["rate_limit"] == 500 << 10
        # and who is served goes on as before
        assert own.ask("limit", id=transfers[1].session, rate="none")["status"] == "ok"
        for transfer in transfers:
            transfer.finish()
            assert transfer.client.ask({"opt": "stat", "filename": f"/{transfer.name}"})["status"] == "ok"
            transfer.client.close()
        assert idle.ask({"opt": "stat", "filename": "/"})["status"] == "ok"
        silent.hello()
        assert silent.put("/late", b"late")["status"] == "ok"
    no_ghosts(own)
    status = own.ask("status")
    assert (status["uploads_total"], status["downloads_total"], status["failed_total"]) == (34, 17, 0)


def test_orders_reach_them(own):
    kicked, cancelled = Upload(own, "kicked", tls=True), Upload(own, "cancelled")
    reexec(own)
    assert own.ask("cancel", id=cancelled.id)["pending"] is False
    assert cancelled.client.answer()[0]["code"] == "cancelled"
    cancelled.client.close()
    assert own.ask("kick", id=kicked.session)["pending"] == 0
    assert kicked.client.answer()[0]["code"] == "cancelled"
    kicked.client.close()
    no_ghosts(own)


def test_again_and_again_under_load(own):
    over, done, failed = threading.Event(), [], []

    def work(i):
        """One who is served all the time, by one connection."""
        data = os.urandom(300_000)
        try:
            with own.secure() if i % 2 else own.client() as client:
                client.ask({"opt": "stat", "filename": "/"})
                ready.wait(20)
                while not over.is_set():
                    assert client.put(f"/load{i}", data)["status"] == "ok"
                    assert client.get(f"/load{i}") == data
                    done.append(i)
        except Exception as e:  # noqa: BLE001 - told by the test
            failed.append((i, repr(e)))

    ready = threading.Barrier(5)
    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    ready.wait(20)
    try:
        for _ in range(100 if FULL else 20):
            count = len(done)
            reexec(own)
            until(lambda: len(done) > count or failed, 20, "the load")
    finally:
        over.set()
        for thread in threads:
            thread.join(30 * PATIENCE)
    assert not failed, failed
    no_ghosts(own)


@pytest.mark.parametrize("other", ["/bin/false", "noise", "missing", "configuration"])
def test_refused(own, other):
    upload = Upload(own, "during", tls=True)
    roles = set(children(own.pid))
    program = own.program[-1]
    if other == "noise":
        (own.dir / "noise").write_bytes(os.urandom(1000))
        (own.dir / "noise").chmod(0o755)
        exchange(own, own.dir / "noise")
    elif other == "missing":
        os.unlink(program)
    elif other == "configuration":
        own.write_conf({"limitz": 1})
    else:
        exchange(own, other)
    answer = own.ask("reexec")
    assert answer["status"] == "error", answer
    if other == "configuration":
        assert "limitz" in answer["message"]
    assert own.ask("status")["state"] == "ready" and set(children(own.pid)) == roles
    upload.finish()
    with own.client() as client:
        assert client.put("/after", b"x")["status"] == "ok"
    own.write_conf({"limitz": None})
    exchange(own, harness.FTD)
    reexec(own)
    upload.client.close()
    no_ghosts(own)


def test_lost_and_replaced(own):
    """A binary that was put in place knows those again whose supervisor was killed, and the other way round."""
    transfers = some_of_each(own, 1)
    own.lose()
    own.start()
    reexec(own)
    assert {t["id"] for t in own.transfers()} == {t.id for t in transfers}
    late = Upload(own, "late", tls=True)
    own.lose()
    own.start()
    for transfer in [*transfers, late]:
        transfer.finish()
        transfer.client.close()
    no_ghosts(own)


# --- the check was good, and yet it cannot be done

def failing(own, *faults):
    """System calls of the supervisor alone: the check, a child of it, is not touched."""
    needs_strace()
    names = ",".join(fault.split(":")[0] for fault in faults)
    inject = [option for fault in faults for option in ("-e", f"inject={fault}")]
    return Strace(own.pid, "-e", f"trace={names}", *inject, "-o", "/dev/null")


def refused(answer, why):
    assert answer["code"] == "internal" and f"the old binary goes on: cannot execute it: {why}" in answer["message"], answer


class Served:
    """Transfers under way, and what the supervisor has."""

    def __init__(self, own):
        self.own, self.transfers = own, [Upload(own, "up", tls=True), Download(own, "down", size=8 * MB)]
        until(lambda: self.gates() == 1, 10, "that only who speaks TLS has a gate")
        self.inode, self.descriptors = os.stat(f"/proc/{own.pid}/exe").st_ino, descriptors(own.pid)

    def gates(self):
        return [name_of(p) for p in children(self.own.pid)].count("ftd-gate")

    def as_before(self):
        """All roles are there, newcomers are served, and so are those who were; nothing is open that was not."""
        own, one = self.own, self.transfers[0].session
        until(lambda: {name_of(p) for p in children(own.pid)} >= HELPERS, 15, "the roles")
        assert os.stat(f"/proc/{own.pid}/exe").st_ino == self.inode
        harness.served(own)
        assert json.loads(wire.datagram(own.port))["status"] == "ready"
        assert own.ask("limit", id=one, rate="500K")["status"] == own.ask("limit", id=one, rate="none")["status"] == "ok"
        assert {t["id"] for t in own.transfers()} == {t.id for t in self.transfers}
        until(lambda: descriptors(own.pid) == self.descriptors, 10, "as many descriptors as before")

    def end(self):
        """The next time it goes well."""
        reexec(self.own)
        for transfer in self.transfers:
            transfer.finish()
            transfer.client.close()
        no_ghosts(self.own)


# The first memfd is the check's.
FAULTS = [("execveat:error=EACCES", "Permission denied"), ("execveat:error=ENOMEM", "Cannot allocate memory"),
          ("execveat:error=ETXTBSY", "Text file busy"), ("memfd_create:error=EMFILE:when=2", "Too many open files")]


@pytest.mark.skipif(not FULL, reason="set FTD_FULL=1: the next test has it, too")
@pytest.mark.parametrize("fault, why", FAULTS)
def test_what_fails_after_the_check(own, fault, why):
    """The old binary serves as before, and says why."""
    served = Served(own)
    exchange(own, harness.FTD)
    with failing(own, fault):
        refused(own.ask("reexec"), why)
    own.told(f"the binary is not replaced: cannot execute it: {why}")
    served.as_before()
    served.end()


@pytest.mark.parametrize("first", ["gatehouse", "sessionhouse", "keeper", "beacon"] if FULL else ["keeper"])
def test_roles_that_cannot_be_started_then(own, first):
    """From that one on. They come when they can."""
    served = Served(own)
    at = ["check", "gatehouse", "sessionhouse", "keeper", "beacon"].index(first) + 1
    with failing(own, "execveat:error=EACCES", f"clone:error=EAGAIN:when={at}+"):
        refused(own.ask("reexec"), "Permission denied")
    served.as_before()
    served.end()


@pytest.mark.parametrize("how", ["by name", "in place"][:2 if FULL else 1])
def test_exchanged_after_the_check(own, how):
    """What was checked is what is executed, or nothing is."""
    served = Served(own)
    exchange(own, harness.FTD)
    program, checked = own.program[-1], os.stat(own.program[-1]).st_ino
    answer = []
    asking = threading.Thread(target=lambda: answer.append(own.ask("reexec")))
    with failing(own, "execveat:delay_enter=60s"):  # until it is let go
        asking.start()
        own.told("handing over to another binary")
        if how == "by name":
            exchange(own, "/bin/false")
        else:
            program.write_bytes(b"noise")
    asking.join(30 * PATIENCE)
    if how == "by name":
        assert answer[0]["status"] == "ok" and os.stat(f"/proc/{own.pid}/exe").st_ino == checked
        served.inode = checked
    else:
        refused(answer[0], "Exec format error")
    served.as_before()
    exchange(own, harness.FTD)
    served.end()


@needs_root
@pytest.mark.parametrize("faults", [(), ("execveat:error=EACCES",), ("capset:error=EPERM:when=1",)][:3 if FULL else 2])
def test_under_own_uids(make_ftd, faults):
    """Each process has the rights that it had: the next session becomes its account, and the supervisor can end it."""
    own, data = make_privileged(make_ftd), b"of games" * 10_000
    with login(own, "games") as games, login(own, "plain") as plain:
        begun = ok(begin(games, "/of-games", len(data), mtime_ns=1))
        ok(part(games, begun["upload"], 0, data[:1000]))
        ok(plain.ask({"opt": "stat", "filename": "/"}))
        if faults:
            with failing(own, *faults):
                refused(own.ask("reexec"), "")
        else:
            reexec(own)
        until(lambda: {name_of(p) for p in children(own.pid)} >= HELPERS, 15, "the roles")
        who_has_what(own)
        finish(games, {**begun, "ranges": [[0, 1000]]}, data)
        with login(own, "mail") as mail:
            ok(mail.put("/of-mail", b"mine"))
            st = os.stat(own.root / "of-mail")
            assert uids(session_of(own, "mail")) == {st.st_uid, st.st_gid}
        own.ftctl("kick", next(s["id"] for s in own.sessions() if s["user"] == "games"))
        until(lambda: "games" not in {s["user"] for s in own.sessions()}, 10, "the end of what was kicked")
    assert os.stat(own.root / "of-games").st_uid == pwd.getpwnam("games").pw_uid
    no_ghosts(own)
