"""ftctl reexec: another binary in place of the running one, and nobody who is served notices."""
import contextlib
import os
import shutil
import threading

import pytest

import harness
from harness import PATIENCE, children, name_of, until
from moving import MB, Download, Upload, no_ghosts, some_of_each

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
