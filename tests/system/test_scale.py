"""Thousands of connections: what one costs, and that nobody is left out. FTD_FULL=1: larger."""
import os
import threading
import time

import pytest

from harness import PATIENCE, children, private_kb, served, until
import wire

pytestmark = [pytest.mark.heavy, pytest.mark.scale]
FULL = os.environ.get("FTD_FULL") == "1"
IDLE = 2000
SILENT = 3000


def roomy(make_ftd, sessions=8192):
    return make_ftd({"limits": {"sessions": sessions, "sessions_per_address": sessions, "logins": 256,
                                "idle_timeout": "10m"}})


def open_sessions(ftd, n):
    """n sessions that have asked one thing and do nothing more. (Hello alone is no session yet.)"""
    clients = []
    for _ in range(n):
        clients.append(ftd.client(timeout=60))
        assert clients[-1].ask({"opt": "stat", "filename": "/"})["status"] == "ok"
    return clients


def births_per_second(ftd, n=200):
    begin = time.monotonic()
    for _ in range(n):
        with ftd.client(timeout=30) as client:
            assert client.ask({"opt": "list", "filename": "/"})["status"] == "ok"
    return n / (time.monotonic() - begin)


def test_idle_sessions(make_ftd):
    ftd = roomy(make_ftd)
    for client in open_sessions(ftd, 10):
        client.close()
    few = births_per_second(ftd)
    clients = open_sessions(ftd, IDLE)
    try:
        sessions = ftd.sessions()
        assert len(sessions) == IDLE
        data = os.urandom(32 << 20)
        with ftd.client() as busy:
            assert busy.put("/busy", data)["status"] == "ok"
            assert busy.get("/busy") == data
        sizes = sorted(private_kb(s["pid"]) for s in sessions)
        many = births_per_second(ftd)
        print(f"{IDLE} idle sessions: private memory {sizes[len(sizes) // 2]} kB median, {sizes[-1]} kB at most; "
              f"supervisor {private_kb(ftd.pid)} kB; "
              f"new sessions a second with 10 / {IDLE} open: {few:.0f} / {many:.0f}")
        assert sizes[len(sizes) // 2] <= 150
        assert len(ftd.ftctl("list-sessions", json_out=True)["sessions"]) >= IDLE
    finally:
        for client in clients:
            client.close()
    until(lambda: not ftd.sessions(), 60, "the end of all sessions")


def test_silent_connections_cost_no_process(make_ftd):
    """Who connects and says nothing gets nothing: the kernel keeps it."""
    ftd = roomy(make_ftd)
    before = len(children(ftd.pid))
    silent = [ftd.connect() for _ in range(SILENT)]
    try:
        time.sleep(1)
        assert len(children(ftd.pid)) <= before
        served(ftd)
        until(lambda: len(children(ftd.pid)) <= before, 10, "the end of the one that spoke")
    finally:
        for client in silent:
            client.close()


def test_two_hundred_honest_clients_from_one_address(make_ftd):
    """The limits as they come: who finds the room full waits or tries again, and all are served."""
    ftd = make_ftd({"limits": {"sessions_per_address": 256}})
    served_clients, failures = [], []
    start = threading.Barrier(200)

    def client(number):
        try:
            start.wait(30 * PATIENCE)
            with ftd.connect(timeout=60) as connection:
                connection.hello()
                data = str(number).encode() * 1000
                assert connection.put(f"/honest-{number}", data)["status"] == "ok"
                assert connection.get(f"/honest-{number}") == data
                served_clients.append(number)
        except Exception as error:  # noqa: BLE001  (told below)
            failures.append((number, repr(error)))

    threads = [threading.Thread(target=client, args=(n,)) for n in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120 * PATIENCE)
    assert not failures and sorted(served_clients) == list(range(200))


def test_limit_of_an_address_says_so(make_ftd):
    """Beyond sessions_per_address: a code, the limit, and when to come back; other work goes on."""
    ftd = make_ftd({"limits": {"sessions_per_address": 5}})
    clients = [ftd.client() for _ in range(5)]
    for client in clients:
        assert client.ask({"opt": "list", "filename": "/"})["status"] == "ok"
    with ftd.connect() as beyond:
        beyond.send({"opt": "list", "filename": "/"})
        header, _ = beyond.answer()
        assert (header["code"], header["limit"], header["close"]) == ("limit_sessions", 5, True)
        assert header["retry_after_ms"] > 0
    assert clients[0].ask({"opt": "ping"})["status"] == "ok"
    clients.pop().close()
    until(lambda: len(ftd.sessions()) == 4, 5)
    with ftd.client() as client:
        assert client.ask({"opt": "list", "filename": "/"})["status"] == "ok"
    for client in clients:
        client.close()


@pytest.mark.skipif(not FULL, reason="set FTD_FULL=1: takes minutes")
def test_ten_thousand_sessions(make_ftd):
    ftd = roomy(make_ftd, 12_000)
    clients = open_sessions(ftd, 8_000)
    served(ftd)
    print(f"supervisor {private_kb(ftd.pid)} kB, births {births_per_second(ftd):.0f}/s")
    for client in clients:
        client.close()
    until(lambda: not ftd.sessions(), 120)
