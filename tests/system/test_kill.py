"""A session that is killed in the middle: its name stays free, its slot comes back, others go on."""
import os
import signal
import time

import pytest

import wire
from harness import PATIENCE, name_of, children, until


def upload_under_way(ftd, name, size=50_000_000, sent=10_000_000):
    client = ftd.client()
    client.send({"opt": "upload", "filename": name, "filesize": size}, bytes(sent))
    transfer = until(lambda: next((t for t in ftd.transfers() if t["path"] == name and t["offset"] >= sent), None),
                     10, "the transfer on the board")
    pid = next(s["pid"] for s in ftd.sessions() if s["id"] == transfer["session"])
    return client, transfer, pid


@pytest.mark.parametrize("sent_signal", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT])
def test_session_killed_in_an_upload(ftd, sent_signal):
    client, transfer, pid = upload_under_way(ftd, "/killed")
    other, other_transfer, _ = upload_under_way(ftd, "/other", size=20_000_000)
    assert len(ftd.staged()) == 2
    os.kill(pid, sent_signal)
    begin = time.monotonic()
    until(lambda: transfer["session"] not in {s["id"] for s in ftd.sessions()}, 1, "the slot's return")
    assert time.monotonic() - begin < PATIENCE
    assert {t["id"] for t in ftd.transfers()} == {other_transfer["id"]}
    assert not (ftd.root / "killed").exists()
    with pytest.raises((wire.Closed, ConnectionError)):
        while True:
            client.frame()
    # the name is free, the other goes on
    with ftd.client() as again:
        assert again.put("/killed", b"second try")["status"] == "ok"
    other.sock.sendall(bytes(10_000_000))
    assert other.answer()[0]["status"] == "ok"
    other.close()
    assert (ftd.root / "other").stat().st_size == 20_000_000
    until(lambda: not ftd.staged(), 10, "the staging file being swept")
    assert ftd.ask("status")["failed_total"] == 1


def test_client_vanishes_in_an_upload(ftd):
    client, _, _ = upload_under_way(ftd, "/vanished")
    client.close()
    until(lambda: not ftd.sessions(), 5, "the session's end")
    assert not (ftd.root / "vanished").exists() and not ftd.staged()


def test_replaced_file_stays_until_the_new_one_is_complete(ftd):
    (ftd.root / "kept").write_bytes(b"the old one")
    client, transfer, pid = upload_under_way(ftd, "/kept")
    assert (ftd.root / "kept").read_bytes() == b"the old one"
    os.kill(pid, signal.SIGKILL)
    until(lambda: not ftd.sessions(), 2)
    assert (ftd.root / "kept").read_bytes() == b"the old one"
    until(lambda: not ftd.staged(), 10, "the staging file being swept")


def test_all_sessions_killed_at_once(ftd):
    clients = [ftd.client() for _ in range(20)]
    for client in clients:
        client.send({"opt": "upload", "filename": "/x", "filesize": 100}, b"x" * 50)
    until(lambda: len(ftd.transfers()) == 20, 10)
    for session in ftd.sessions():
        os.kill(session["pid"], signal.SIGKILL)
    until(lambda: not ftd.sessions(), 2, "all slots' return")
    with ftd.client() as client:
        assert client.put("/x", b"again")["status"] == "ok"
    until(lambda: not ftd.staged(), 10)
    for client in clients:
        client.close()


def test_left_over_by_a_killed_daemon(make_ftd):
    """The whole daemon killed in an upload: a new one sweeps what it left, after nobody holds it."""
    ftd = make_ftd()
    client, _, _ = upload_under_way(ftd, "/lost")
    ftd.kill()
    client.close()
    assert ftd.staged()
    ftd.start()
    until(lambda: not ftd.staged(), 15, "the staging file being swept")
    assert not (ftd.root / "lost").exists()


@pytest.mark.parametrize("role", ["ftd-gatehouse", "ftd-sessionhous", "ftd-keeper", "ftd-beacon"])
def test_helper_processes_come_back(ftd, role):
    """A helper that dies is replaced; sessions under way do not notice."""
    client, _, _ = upload_under_way(ftd, "/during", size=20_000_000)

    def found():
        return [p for p in children(ftd.pid) if name_of(p) == role]

    (first,) = until(found, 10, f"the {role}")
    os.kill(first, signal.SIGKILL)
    until(lambda: found() not in ([], [first]), 10, f"a new {role}")

    def serves():
        try:
            with ftd.client(timeout=5) as new:
                return new.put("/after", b"x")["status"] == "ok"
        except (wire.Closed, OSError):
            return False

    until(serves, 10, "service after the loss")
    assert wire.datagram(ftd.port)
    client.sock.sendall(bytes(10_000_000))
    assert client.answer()[0]["status"] == "ok"
    client.close()


def test_killed_while_the_keeper_is_busy(ftd):
    """What one session leaves while that of another is looked for goes as soon."""
    with ftd.client() as client:
        assert client.put("/makes the directory", b"")["status"] == "ok"
    for i in range(20000):
        (ftd.root / f".ftd/staging/0123456789abcdef-{i}").touch()
    clients, pids = [], []
    for name in ("/first", "/second"):  # the keeper meets them before all the others
        client, _, pid = upload_under_way(ftd, name)
        clients.append(client)
        pids.append(pid)
    os.kill(pids[0], signal.SIGKILL)
    until(lambda: len(ftd.staged()) < 20000, 10, "the keeper at work")
    os.kill(pids[1], signal.SIGKILL)
    until(lambda: not ftd.staged(), 20, "the end of all that was left")
    for client in clients:
        client.close()


def test_crashes_replace_the_house_once_in_five_seconds(ftd):
    def house():
        return next((p for p in children(ftd.pid) if name_of(p) == "ftd-sessionhous"), None)

    def crash(name):
        client, _, pid = upload_under_way(ftd, name, size=2_000_000, sent=1_000_000)
        os.kill(pid, signal.SIGSEGV)
        until(lambda: pid not in {s["pid"] for s in ftd.sessions()}, 5, "the slot's return")
        client.close()

    first = house()
    begin = time.monotonic()
    crash("/first")
    second = until(lambda: {p for p in children(ftd.pid) if name_of(p) == "ftd-sessionhous"} - {first}, 5).pop()
    until(lambda: first not in children(ftd.pid), 5, "the end of the first house")
    crash("/second")
    time.sleep(0.3)
    if time.monotonic() - begin < 4:  # else this machine was too slow to see it
        assert house() == second
    with ftd.client() as client:
        assert client.put("/third", b"x")["status"] == "ok"
    until(lambda: not ftd.staged(), 10, "the staging files being swept")
