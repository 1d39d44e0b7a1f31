"""Limits of rate, and live surgery on transfers, as an administrator uses them."""
import threading
import time

import pytest

from harness import until

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
