"""Thousands of connections that never log in: who has logged in goes on, who wants to log in does, and the daemon
stays small. FTD_FULL=1: 10,000 silent ones, 1,000 a second that speak."""
import contextlib
import json
import os
import statistics
import subprocess
import threading
import time

import pytest

import wire
from harness import BUILD, PATIENCE, children, hashed, private_kb, until
from network import SERVER, entered, make_network  # noqa: F401  (a fixture)

FULL = os.environ.get("FTD_FULL") == "1"
FLOOD = BUILD / "tests/hostile/flood"
ATTACKERS, DEADLINE, LOGINS = 20, 10, 64
USERS = 2
RATE = 8 << 20  # bytes a second of each user: what is asked for, and so what may be missing

pytestmark = [pytest.mark.release, pytest.mark.parametrize("network", [ATTACKERS + USERS + 1], indirect=True)]


def serve(make_ftd, network, penalty):
    ftd = make_ftd({"limits": {"penalty": penalty, "logins": LOGINS, "login_timeout": f"{DEADLINE}s",
                               "session_rate": str(RATE)},
                    "plaintext": "anywhere"},
                   share={"anonymous": "never"}, start=False)
    ftd.write_users(f"alice:{hashed('secret')}")
    ftd.write_conf({"listen": [{"address": "0.0.0.0", "port": ftd.port}], "status": {"address": ""}})
    (ftd.root / "large").write_bytes(os.urandom(64 << 20))
    with entered(network.server):
        return ftd.start()


@contextlib.contextmanager
def logged_in(ftd, network, address):
    """A connection over TLS as alice, from that address, within the deadline."""
    with entered(network.outside):
        client = wire.Wire.tcp(ftd.port, SERVER, source=address, timeout=DEADLINE * PATIENCE)
    with wire.Wire(wire.tls_context().wrap_socket(client.sock), timeout=60) as client:
        client.hello()
        answer = client.login("alice", "secret")
        assert answer["status"] == "ok", answer
        yield client


class Users:
    """Some who have logged in before, and download without end."""

    def __init__(self, ftd, network, addresses):
        self.moved, self.failures, self.stop = 0, [], threading.Event()
        self.lock, ready = threading.Lock(), threading.Barrier(len(addresses) + 1)
        self.threads = [threading.Thread(target=self.run, args=(ftd, network, a, ready)) for a in addresses]
        for thread in self.threads:
            thread.start()
        ready.wait(30 * PATIENCE)

    def run(self, ftd, network, address, ready):
        try:
            with logged_in(ftd, network, address) as client:
                ready.wait(30 * PATIENCE)
                while not self.stop.is_set():
                    client.send({"opt": "download", "filename": "/large"})
                    self.take(client)
        except Exception as error:  # noqa: BLE001  (told below)
            self.failures.append(repr(error))
            ready.abort()

    def take(self, client):
        while not self.stop.is_set():
            header = client.header()
            assert header["status"] == "ok", header
            left = header.get("body", 0)
            while left > 0 and not self.stop.is_set():
                left -= len(client.read(min(left, 1 << 18)))
                with self.lock:
                    self.moved += 1 << 18
            if not header.get("more"):
                return

    def speed(self, seconds):
        """Bytes a second from now on for so long."""
        begin, moved = time.monotonic(), self.moved
        time.sleep(seconds)
        return (self.moved - moved) / (time.monotonic() - begin)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(60 * PATIENCE)
        assert not self.failures


class Watch:
    """What the daemon takes of the machine, and how long an honest login takes, until it ends."""

    def __init__(self, ftd, network, address):
        self.latencies, self.failures, self.stop = [], [], threading.Event()
        self.processes = self.memory = 0
        self.threads = [threading.Thread(target=self.look, args=(ftd,)),
                        threading.Thread(target=self.log_in, args=(ftd, network, address))]
        for thread in self.threads:
            thread.start()

    def look(self, ftd):
        while not self.stop.wait(0.25):
            total = 0
            pids = [ftd.pid, *children(ftd.pid)]
            for pid in pids:
                with contextlib.suppress(OSError):  # it has ended
                    total += private_kb(pid)
            self.processes, self.memory = max(self.processes, len(pids)), max(self.memory, total)

    def log_in(self, ftd, network, address):
        while not self.stop.wait(0.3):
            begin = time.monotonic()
            try:
                with logged_in(ftd, network, address) as client:
                    assert client.ask({"opt": "stat", "filename": "/large"})["status"] == "ok"
                self.latencies.append(time.monotonic() - begin)
            except Exception as error:  # noqa: BLE001  (told below)
                self.failures.append(f"{time.monotonic() - begin:.1f} s: {error!r}")

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(60 * PATIENCE)


def withstand(ftd, network, mode, sources, rate, most, seconds):  # pylint: disable=too-many-arguments
    attackers, users, honest = (network.addresses[:sources], network.addresses[ATTACKERS:-1], network.addresses[-1])
    downloads = Users(ftd, network, users)
    try:
        alone = downloads.speed(3)
        before = private_kb(ftd.pid)
        with entered(network.outside):
            flood = subprocess.Popen([FLOOD, mode, SERVER, str(ftd.port), str(rate), str(most), str(seconds),
                                      *attackers],
                                     stdout=subprocess.PIPE, text=True)
        watch = Watch(ftd, network, honest)
        try:
            beside = downloads.speed(seconds)
            told = json.loads(flood.communicate(timeout=60)[0])
        finally:
            flood.kill()
            flood.wait()
            watch.end()
    finally:
        downloads.end()
    with logged_in(ftd, network, honest) as client:
        assert client.ask({"opt": "ping"})["status"] == "ok"
    after = private_kb(ftd.pid)
    latency = sorted(watch.latencies)
    print(f"\n{mode}, {sources} sources, {rate}/s, {most} at once, for {seconds} s: {told}\n"
          f"  users: {beside / alone:.2f} of {alone / 1e6:.1f} MB/s; honest logins: {len(latency)}, "
          f"median {statistics.median(latency or [0]):.3f} s, slowest {max(latency or [0]):.3f} s, "
          f"{len(watch.failures)} failed; at most {watch.processes} processes with {watch.memory / 1024:.1f} MB; "
          f"supervisor {before} kB before, {after} kB after")
    assert not watch.failures and len(latency) >= 3, watch.failures
    assert max(latency) < DEADLINE * PATIENCE
    assert beside > alone / 2
    assert watch.processes <= LOGINS + 32
    assert watch.memory < 200 << 10 and after < before + (8 << 10)
    assert told["opened"] > most / 2  # it was one


@pytest.mark.parametrize("mode, sources", [("silent", ATTACKERS), ("speak", 1), ("speak", ATTACKERS), ("leave", 1)])
def test_a_flood(make_ftd, network, mode, sources):
    ftd = serve(make_ftd, network, "10m")
    withstand(ftd, network, mode, sources, 250, 1500, 5)


def test_a_flood_that_nobody_pays_for(make_ftd, network):
    """Without penalties fairness alone has to hold: each of many sources holds little."""
    ftd = serve(make_ftd, network, "0")
    withstand(ftd, network, "speak", ATTACKERS, 250, 1500, 5)


@pytest.mark.skipif(not FULL, reason="set FTD_FULL=1: takes minutes")
@pytest.mark.heavy
@pytest.mark.scale
@pytest.mark.parametrize("sources", [1, ATTACKERS])
@pytest.mark.parametrize("penalty", ["10m", "0"])
@pytest.mark.parametrize("mode, rate, most", [("silent", 2000, 10_000), ("speak", 1000, 15_000), ("leave", 1000, 15_000)])
def test_a_large_flood(make_ftd, network, mode, rate, most, penalty, sources):  # pylint: disable=too-many-arguments
    ftd = serve(make_ftd, network, penalty)
    withstand(ftd, network, mode, sources, rate, most, 30)
