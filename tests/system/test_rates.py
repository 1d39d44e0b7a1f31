"""Limits of rate, and live surgery on transfers, as an administrator uses them."""
import socket
import threading
import time

import pytest

from harness import PATIENCE, hashed, until
from wire import Closed

MIB = 1 << 20


@pytest.fixture
def upload(ftd):
    """An upload that stands still halfway."""
    with ftd.client() as client:
        client.send({"opt": "upload", "filename": "/half.bin", "filesize": 2 * MIB}, b"x" * MIB)
        transfer = until(lambda: next((t for t in ftd.transfers() if t["offset"] == MIB), None), 10)
        yield client, transfer


def timed(function):
    begin = time.monotonic()
    function()
    return time.monotonic() - begin


@pytest.mark.parametrize("limit", ["session_rate", "total_rate"])
def test_no_faster_than_the_limit(make_ftd, limit):
    ftd = make_ftd({"limits": {limit: "1M"}})
    data = bytes(4 * MIB)
    with ftd.client() as client:
        assert timed(lambda: client.put("/a", data)) > 4 / 1.2 - 1  # the first second is not settled yet
        if limit == "session_rate":
            assert timed(lambda: client.get("/a")) > 4 / 1.2
    text = ftd.ftctl("metrics").stdout
    assert f'\nftd_limit_rate_bytes_per_second{{limit="{limit}"}} {MIB}\n' in text
    status = ftd.ftctl("status", json_out=True)
    assert status[limit + "_max"] == MIB
    assert "1.0 MiB/s" in ftd.ftctl("status").stdout


def test_a_total_is_for_all(make_ftd):
    ftd = make_ftd({"limits": {"total_rate": "2M"}})
    clients = [ftd.client() for _ in range(4)]
    begin = time.monotonic()
    for i, client in enumerate(clients):
        client.send({"opt": "upload", "filename": f"/{i}", "filesize": 2 * MIB})
    senders = [threading.Thread(target=client.sock.sendall, args=(bytes(2 * MIB),)) for client in clients]
    for sender in senders:
        sender.start()
    for client in clients:
        assert client.answer()[0]["status"] == "ok"
    for sender in senders:
        sender.join(10)
    for client in clients:
        client.close()
    assert time.monotonic() - begin > 8 / 2 / 1.2 - 1


def test_a_new_limit_is_obeyed_at_once(make_ftd):
    """A transfer that would take hours is done when a reload lifts the limit."""
    ftd = make_ftd({"limits": {"session_rate": "1K"}})
    with ftd.client() as client:
        client.send({"opt": "upload", "filename": "/a", "filesize": 4 * MIB})
        sender = threading.Thread(target=client.sock.sendall, args=(bytes(4 * MIB),))
        sender.start()
        until(lambda: ftd.transfers() and ftd.transfers()[0]["offset"] > 0, 10)
        assert ftd.sessions()[0]["rate_limit"] == 1024
        ftd.write_conf({"limits": {"session_rate": "unlimited"}})
        ftd.ftctl("reload")
        assert client.answer()[0]["status"] == "ok"
        sender.join(10)
        assert ftd.sessions()[0]["rate_limit"] is None


def test_limit(ftd):
    (ftd.root / "big").write_bytes(bytes(32 * MIB))
    with ftd.client() as client:
        client.names("/")
        session = until(ftd.sessions, 5)[0]["id"]
        answer = ftd.ftctl("limit", session, "100K", json_out=True)
        assert answer["rate"] == answer["rate_limit"] == 100 << 10
        client.send({"opt": "download", "filename": "/big"})
        transfer = until(ftd.transfers, 10)[0]
        time.sleep(2)
        assert ftd.transfers()[0]["offset"] < 400 << 10
        shown = ftd.ftctl("show", session)
        assert "100.0 KiB/s" in shown.stdout
        assert "no limit" in ftd.ftctl("limit", transfer["id"], "none").stdout
        content = 0
        while True:
            header, body = client.answer()
            content += len(body)
            if not header.get("more"):
                break
        assert header["status"] == "ok" and content == 32 * MIB
        for bad in ("fast", "0", "1", "-1K"):
            assert ftd.ftctl("limit", "--", session, bad, check=False).returncode == 2, bad
        assert ftd.ftctl("limit", session, check=False).returncode == 2
        assert ftd.ftctl("limit", "s999999", "1M", check=False).returncode == 7


def test_pause_and_resume(make_ftd):
    ftd = make_ftd({"limits": {"stall_timeout": "1s", "idle_timeout": "1s"}})
    with ftd.client() as client:
        client.send({"opt": "upload", "filename": "/a", "filesize": 2 * MIB}, bytes(MIB))
        transfer = until(ftd.transfers, 10)[0]["id"]
        answer = ftd.ftctl("pause", transfer, json_out=True)
        assert answer["transfer"] == transfer and answer["pending"] is False
        assert ftd.transfers()[0]["state"] == "paused"
        at = ftd.transfers()[0]["offset"]
        client.sock.sendall(bytes(MIB))
        header, _ = client.frame()
        assert header["status"] == "working" and header["phase"] == "paused" and header["more"] is True
        [row] = ftd.transfers()
        assert row["state"] == "paused" and row["offset"] == at and row["stalled_ms"] == 0
        assert ftd.sessions()[0]["paused"] is True
        assert "goes on in" in ftd.ftctl("resume", transfer).stdout
        assert client.answer()[0]["status"] == "ok"
        assert ftd.sessions()[0]["paused"] is False
        session = ftd.sessions()[0]["id"]
        ftd.ftctl("pause", session)  # nor does it end for being idle
        time.sleep(2)
        assert [s["id"] for s in ftd.sessions()] == [session]
        ftd.ftctl("resume", session)
        assert client.put("/b", b"b")["status"] == "ok"


@pytest.mark.parametrize("request_", [{"opt": "copy", "filename": "/large", "to": "/copy", "if_exists": "replace"},
                                      {"opt": "digest", "filename": "/large", "verify": True},
                                      {"opt": "digest", "filename": "/large", "block": 65536}],
                         ids=["copy", "digest", "blocks"])
def test_work_that_moves_nothing_is_paused_too(ftd, request_):
    with open(ftd.root / "large", "wb") as file:
        file.truncate(64 * MIB)
    with ftd.client() as client:
        client.list("/")
        session = ftd.sessions()[0]["id"]
        ftd.ftctl("pause", session)
        client.send({**request_, "id": 1})
        until(lambda: ftd.transfers() and ftd.transfers()[0]["state"] == "paused", 10, "the pause")
        header, _ = client.frame()
        assert (header["status"], header["phase"], header["id"]) == ("working", "paused", 1)
        assert ftd.transfers()[0]["offset"] == 0 and not (ftd.root / "copy").exists()
        ftd.ftctl("resume", session)
        answer = client.answer()[0]
        while answer.get("more"):
            answer = client.answer()[0]
        assert answer["status"] == "ok", answer
        ftd.ftctl("pause", session)  # what ends it is looked at all the same
        client.send({**request_, "id": 2})
        row = until(ftd.transfers, 10)[0]
        ftd.ftctl("cancel", row["id"])
        assert client.answer()[0]["code"] == "cancelled"
        ftd.ftctl("resume", session)
        assert client.ask({"opt": "ping"})["status"] == "ok"


def test_cancel(ftd, upload):
    client, transfer = upload
    answer = ftd.ftctl("cancel", transfer["id"], json_out=True)
    assert answer["transfer"] == transfer["id"] and answer["pending"] is False
    assert ftd.transfers() == []
    assert client.answer()[0]["code"] == "cancelled"
    client.sock.sendall(b"x" * MIB)  # what was announced
    assert client.put("/after", b"still there")["status"] == "ok"
    assert not (ftd.root / "half.bin").exists()
    assert ftd.ftctl("cancel", transfer["id"], check=False).returncode == 7
    assert ftd.ftctl("cancel", transfer["session"], check=False).returncode == 2


def test_cancel_a_download_under_a_limit(ftd):
    """Whatever of a piece is still to come, the end of it is there at once."""
    (ftd.root / "big").write_bytes(bytes(64 * MIB))
    with ftd.client() as client:
        client.names("/")
        ftd.ftctl("limit", until(ftd.sessions, 5)[0]["id"], "64K")
        client.send({"opt": "download", "filename": "/big"})
        transfer = until(ftd.transfers, 10)[0]
        ftd.ftctl("cancel", transfer["id"])
        while True:
            header, _ = client.answer()
            if not header.get("more"):
                break
        assert header["code"] == "cancelled"
        assert client.put("/after", b"still there")["status"] == "ok"


# --- users

class Readers:
    """Sessions that download without end."""

    def __init__(self, ftd, *users):
        self.ftd, self.clients = ftd, []
        for user in users:
            client = ftd.connect(timeout=20 * PATIENCE)
            assert client.login(user, "secret")["status"] == "ok"
            self.clients.append((user, client))
        self.threads = [threading.Thread(target=self._read, args=(client,), daemon=True)
                        for _, client in self.clients]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def _read(client):
        try:
            while True:
                client.send({"opt": "download", "filename": "/big"})
                while client.answer()[0].get("more"):
                    pass
        except (OSError, Closed):
            pass

    def rates(self, seconds):
        """Bytes a second of each user."""
        before, begin = self._sent(), time.monotonic()
        time.sleep(seconds)
        after, elapsed = self._sent(), time.monotonic() - begin
        return {user: (after[user] - before[user]) / elapsed for user in after}

    def _sent(self):
        sent = dict.fromkeys((user for user, _ in self.clients), 0)
        for session in self.ftd.sessions():
            if session["user"] in sent:
                sent[session["user"]] += session["bytes_out"]
        return sent

    def close(self):
        for _, client in self.clients:
            client.sock.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(10)
        for _, client in self.clients:
            client.close()


@pytest.fixture
def with_users(make_ftd):
    def make(**limits):
        ftd = make_ftd({"limits": limits}, start=False)
        ftd.write_users(f"alice:{hashed('secret')}", f"bob:{hashed('secret')}")
        with open(ftd.root / "big", "wb") as file:
            file.truncate(256 * MIB)
        return ftd.start()
    return make


def test_a_user_has_one_rate(with_users):
    """However many sessions it is divided over, and whatever the other users do."""
    ftd = with_users(user_rate="4M")
    readers = Readers(ftd, "alice", "alice", "alice", "bob")
    time.sleep(1)
    rates = readers.rates(10)
    readers.close()
    print(rates)
    for user in ("alice", "bob"):
        assert abs(rates[user] / (4 * MIB) - 1) < 0.05 * PATIENCE, rates
    assert ftd.ftctl("status", json_out=True)["user_rate_max"] == 4 * MIB
    assert "each user 4.0 MiB/s" in ftd.ftctl("status").stdout
    assert f'\nftd_limit_rate_bytes_per_second{{limit="user_rate"}} {4 * MIB}\n' in ftd.ftctl("metrics").stdout
    with ftd.connect() as client:
        assert client.login("alice", "secret")["limits"]["user_rate"] == 4 * MIB


def test_all_limits_hold_together(with_users):
    """What a user may not have is for the others."""
    ftd = with_users(user_rate="3M", total_rate="4M")
    ftd.ftctl("limit", "--user", "alice", "1M")
    readers = Readers(ftd, "alice", "alice", "bob", "bob")
    time.sleep(2)
    rates = readers.rates(5)
    readers.close()
    print(rates)
    assert rates["alice"] < 1.15 * MIB and rates["bob"] < 3.4 * MIB
    assert rates["alice"] > 0.8 * MIB and rates["bob"] > 2.4 * MIB


def test_limit_of_a_user(with_users):
    """At once, for the sessions there are and those to come, until it is lifted."""
    ftd = with_users(session_rate="8M")
    readers = Readers(ftd, "alice", "alice", "bob")
    time.sleep(1)
    answer = ftd.ftctl("limit", "--user", "alice", "1M", json_out=True)
    assert (answer["user"], answer["rate"], answer["rate_limit"]) == ("alice", MIB, MIB)
    time.sleep(1)
    rates = readers.rates(4)
    assert rates["alice"] < 1.3 * MIB and rates["bob"] > 2 * MIB, rates
    assert "no limit" in ftd.ftctl("limit", "--user", "alice", "none").stdout
    time.sleep(1)
    assert readers.rates(2)["alice"] > 4 * MIB
    readers.close()
    assert ftd.ftctl("limit", "--user", "nobody", "1M", check=False).returncode == 7
    assert ftd.ftctl("limit", "--user", "alice", check=False).returncode == 2
    assert ftd.ftctl("limit", "--user", "alice", "s1", "1M", check=False).returncode == 2
    ftd.ftctl("limit", "--user", "alice", "64K")
    later = Readers(ftd, "alice")
    time.sleep(1)
    assert later.rates(3)["alice"] < 128 << 10
    later.close()
