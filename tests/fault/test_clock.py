"""The clock jumps while the daemon runs: a day forward, back again, back an hour, or it comes up wrong. Deadlines, rates,
bans and ages go on as if it did not, nothing is discarded, and numbers that are never used again are not."""
import os
import signal
import struct
import time

import pytest

import harness
import resumable
from harness import until

HOUR = 3600
DAY = 24 * HOUR
JUMPS = (DAY, -HOUR, 30 * DAY)
MIB = 1 << 20


class Clock:
    def __init__(self, path):
        self.path = path
        self.jump(0)

    def jump(self, seconds):
        """So far from the right time."""
        mode = "r+b" if self.path.exists() else "wb"
        with open(self.path, mode, buffering=0) as out:
            out.write(struct.pack("=q", seconds * 1_000_000_000))


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path / "offset")


@pytest.fixture
def jumping(make_ftd, clock):
    def make(changes=None, start=True, **how):
        ftd = make_ftd(changes, start=False, program=harness.BUILD / "tests/fault/clock",
                       wrapper=("env", f"FTD_CLOCK={clock.path}"), **how)
        return ftd.start() if start else ftd
    return make


def stamp(ftd):
    """The time of day that the daemon has, in seconds from the right one."""
    with ftd.client() as client:
        return client.ask({"opt": "hello", "client": "test", "version": [1]})["time_ns"] / 1e9 - time.time()


@pytest.mark.parametrize("jump", JUMPS)
def test_what_goes_on(jumping, clock, jump):
    """An upload under a limit, a session that waits, a ban, the uptime: none is shorter or longer for it."""
    ftd = jumping({"limits": {"session_rate": "1M", "idle_timeout": "1h", "stall_timeout": "30s"}})
    ftd.ftctl("ban", "192.0.2.1", "--for", "2h")
    ftd.ftctl("ban", "192.0.2.2", "--for", "3s")
    data, begin = resumable.content(3 * MIB), time.monotonic()
    with ftd.client() as quiet, ftd.client(timeout=60) as busy:
        quiet.ask({"opt": "ping"})
        busy.send({"opt": "upload", "filename": "/slow", "filesize": len(data)}, data[:2 * MIB])
        until(lambda: any(t["offset"] > MIB // 2 for t in ftd.transfers()), 10, "the transfer")
        clock.jump(jump)
        assert abs(stamp(ftd) - jump) < 10
        (transfer,) = [t for t in ftd.transfers() if t["path"] == "/slow"]
        assert transfer["state"] == "receiving"
        busy.sock.sendall(data[2 * MIB:])
        assert busy.answer()[0]["status"] == "ok"
        took = time.monotonic() - begin
        assert took > 1.5, "the limit of the rate was lost"
        assert quiet.ask({"opt": "ping"})["status"] == "ok"
        assert ftd.ask("status")["uptime_s"] <= took + 60
        until(lambda: [b.get("address") for b in ftd.rows("list-bans", "bans")] == ["192.0.2.1/32"], 10,
              "the end of the short ban alone")
    assert (ftd.root / "slow").read_bytes() == data
    ids = [s["id"] for s in ftd.sessions()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("jump", JUMPS)
def test_unfinished_uploads_stay(jumping, clock, jump):
    """The keeper looks after a session was killed; what is young by the time that has passed stays."""
    ftd, data = jumping({"uploads": {"keep": "2h"}}), resumable.content(MIB)
    with ftd.client() as client:
        begun = resumable.ok(resumable.begin(client, "/kept", len(data), mtime_ns=1))
        resumable.ok(resumable.part(client, begun["upload"], 0, data[:1000]))
    until(lambda: ftd.rows("list-uploads", "uploads"), 10, "the keeper's answer")
    clock.jump(jump)
    with ftd.client() as client:
        client.ask({"opt": "ping"})
        client.send({"opt": "upload", "filename": "/cut", "filesize": 100 * MIB}, data)
        until(lambda: ftd.staged(), 5, "a staging file")
        (pid,) = until(lambda: [s["pid"] for s in ftd.sessions() if s["bytes_in"] > 0], 5, "its report")
        os.kill(pid, signal.SIGKILL)
    until(lambda: not ftd.staged(), 10, "the keeper")
    with ftd.client() as client:
        _, again = resumable.resume(client, "/kept", data, mtime_ns=1)
        assert again["ranges"] == [[0, 1000]]


@pytest.mark.parametrize("jump", [-400 * DAY, -HOUR])
def test_numbers_after_a_restart_with_an_older_clock(jumping, clock, jump, tmp_path, monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    ftd = jumping()
    with ftd.client() as client:
        client.ask({"opt": "stat", "filename": "/"})
        before = max(int(s["id"][1:]) for s in ftd.sessions())
    ftd.stop()
    clock.jump(jump)
    ftd.start()
    with ftd.client() as client:
        client.ask({"opt": "stat", "filename": "/"})
        after = min(int(s["id"][1:]) for s in ftd.sessions())
    assert after > before
