"""A house that has no processor for a moment: births that come meanwhile wait, and nobody is refused for it."""
import os
import select
import signal

import pytest

from harness import PATIENCE, SANITIZED, children, descriptors, name_of, served, until

pytestmark = [pytest.mark.scale, pytest.mark.skipif(SANITIZED, reason="hundreds of processes")]
MANY = 360  # more than the socket of a house takes, which are about 330


@pytest.fixture
def roomy(make_ftd):
    return make_ftd({"limits": {"sessions": 2 * MANY, "sessions_per_address": 2 * MANY, "logins": 1024, "login_timeout": "1m"}})


def house(ftd, name):
    return until(lambda: [p for p in children(ftd.pid) if name_of(p) == name], 10, name)[0]


def all_ask(ftd, n):
    """Each has said all that it wants, and reads nothing yet."""
    clients = [ftd.connect(timeout=60) for _ in range(n)]
    for client in clients:
        client.send({"opt": "hello", "version": [1]})
        client.send({"opt": "stat", "filename": "/"})
    return clients


def answers(client):
    hello = client.answer()[0]
    return hello if hello["status"] != "ok" else client.answer()[0]


def close(clients):
    for client in clients:
        client.close()


@pytest.mark.parametrize("name", ["ftd-gatehouse", "ftd-sessionhous"])
def test_hundreds_at_once(roomy, name):
    pid = house(roomy, name)
    os.kill(pid, signal.SIGSTOP)
    try:
        clients = all_ask(roomy, MANY)
        roomy.ask("status")  # it has seen them, and waits for nobody
    finally:
        os.kill(pid, signal.SIGCONT)
    refused = [a for a in map(answers, clients) if a["status"] != "ok"]
    assert not refused, (len(refused), refused[0])
    close(clients)
    until(lambda: not roomy.sessions(), 60, "the end of all sessions")


@pytest.mark.skipif(os.environ.get("FTD_FULL") != "1", reason="set FTD_FULL=1: waits for longer than the daemon does")
@pytest.mark.parametrize("name", ["ftd-gatehouse", "ftd-sessionhous"])
def test_a_house_that_stays_behind(roomy, name):
    """Beyond patience a refusal says when to come back; who was before the others is served."""
    pid, before = house(roomy, name), descriptors(roomy.pid)
    os.kill(pid, signal.SIGSTOP)
    try:
        clients = all_ask(roomy, MANY)
        greeted = [] if name == "ftd-gatehouse" else [c.answer()[0]["status"] for c in clients]
        assert set(greeted) <= {"ok"}
        early, _, _ = select.select([c.sock for c in clients], [], [], 30 * PATIENCE)
        assert early
    finally:
        os.kill(pid, signal.SIGCONT)
    told = [c.answer()[0] if greeted else answers(c) for c in clients]
    refused = [a for a in told if a["status"] != "ok"]
    assert 0 < len(refused) < MANY
    assert {(a["code"], a["close"]) for a in refused} == {("busy", True)} and all(a["retry_after_ms"] > 0 for a in refused)
    close(clients)
    served(roomy)
    until(lambda: not roomy.sessions() and descriptors(roomy.pid) <= before, 60, "the end of all")


def test_reload_meanwhile(roomy):
    """Those that wait for the house of before are still born there."""
    pid = house(roomy, "ftd-gatehouse")
    os.kill(pid, signal.SIGSTOP)
    try:
        clients = all_ask(roomy, MANY)
        roomy.ftctl("reload")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert {a["status"] for a in map(answers, clients)} == {"ok"}
    close(clients)
    served(roomy)
