"""The supervisor is killed while clients are served: they notice nothing, and the next one knows of them."""
import contextlib
import os
import random
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

import wire
from moving import MB, PAGE, Download, Upload, no_ghosts, pages, some_of_each
from harness import PATIENCE, children, name_of, sessions_of, in_sessions, until

FULL = os.environ.get("FTD_FULL") == "1"


def test_all_finish_and_are_shown(ftd):
    transfers = some_of_each(ftd)
    before = {s["id"]: s for s in ftd.sessions()}
    ftd.lose()
    # without anybody, one finishes
    transfers[0].finish()
    ftd.start()
    left = {t.id: t for t in transfers[1:]}
    after = {t["id"]: t for t in ftd.transfers()}
    assert set(after) == set(left)
    for row in after.values():
        known = left[row["id"]].row
        assert all(row[key] == known[key] for key in ("session", "user", "peer", "direction", "path", "size", "started",
                                                      "tls", "opt"))
        assert row["offset"] >= known["offset"]
    for row in ftd.sessions():
        known = before[row["id"]]
        assert all(row[key] == known[key] for key in ("pid", "user", "peer", "tls", "started"))
        assert row["bytes_in"] >= known["bytes_in"] and row["bytes_out"] >= known["bytes_out"]
    # who comes new gets other numbers
    with Upload(ftd, "new").client as client:
        assert not {s["id"] for s in ftd.sessions()} - set(before) <= set(before)
        client.close()
    for transfer in transfers[1:]:
        transfer.finish()
        # and is asked to come back to the new supervisor
        last = transfer.client.frame()[0]
        assert (last["code"], last["close"]) == ("busy", True) and last["retry_after_ms"] > 0
        transfer.client.close()
    no_ghosts(ftd)
    status = ftd.ask("status")
    assert status["uploads_total"] == 4 and status["downloads_total"] == 4 and status["failed_total"] <= 1
    # each has its record: what the first supervisor could not write comes from the report
    for transfer in transfers:
        assert ftd.errors.count(f" /{transfer.name}: ok") == 1, transfer.name


def test_orders_reach_them(ftd):
    uploads = [Upload(ftd, f"order{i}", tls=i % 2 == 1) for i in range(4)]
    kicked, cancelled, paused, limited = uploads
    ftd.ask("limit", id=limited.session, rate="64K")
    ftd.lose()
    ftd.start()
    row = next(s for s in ftd.sessions() if s["id"] == limited.session)
    assert row["rate_limit"] == 64 << 10  # as before
    assert ftd.ask("limit", id=limited.session, rate="none")["status"] == "ok"
    assert ftd.ask("cancel", id=cancelled.id)["pending"] is False
    assert cancelled.client.answer()[0]["code"] == "cancelled"
    cancelled.client.close()
    assert ftd.ask("pause", id=paused.id)["pending"] is False
    paused.client.sock.sendall(paused.data[paused.sent:])
    limited.finish()
    limited.client.close()
    time.sleep(0.5)
    assert next(t for t in ftd.transfers() if t["id"] == paused.id)["state"] == "paused"
    # also the next one lets it stand still
    ftd.lose()
    ftd.start()
    assert next(t for t in ftd.transfers() if t["id"] == paused.id)["state"] == "paused"
    assert ftd.ask("resume", id=paused.id)["status"] == "ok"
    assert paused.client.answer()[0]["status"] == "ok"
    paused.client.close()
    assert ftd.ask("kick", id=kicked.session, reason="out you go")["pending"] == 0
    assert kicked.client.answer()[0]["code"] == "cancelled"
    kicked.client.close()
    no_ghosts(ftd)
    assert not (ftd.root / kicked.name).exists() and not ftd.staged()


def test_limits_count_them(make_ftd):
    ftd = make_ftd({"limits": {"sessions": 4, "sessions_per_address": 3, "session_rate": "1M"}})
    uploads = [Upload(ftd, f"limit{i}", size=9 * MB, sent=MB, tls=i > 0) for i in range(3)]
    ftd.lose()
    # the last orders hold, also for how fast
    begin, offset = time.monotonic(), uploads[0].row["offset"]
    sender = threading.Thread(target=uploads[0].client.sock.sendall, args=(uploads[0].data[MB:],))
    sender.start()
    time.sleep(1)
    ftd.start()
    row = next(t for t in ftd.transfers() if t["id"] == uploads[0].id)
    assert row["offset"] - offset < (time.monotonic() - begin + 1) * 1.3 * (1 << 20)
    with ftd.client() as fourth:
        assert fourth.ask({"opt": "list", "filename": "/"})["code"] == "limit_sessions"
    assert ftd.ask("status")["sessions"] == 3
    assert ftd.ask("kick", id=uploads[0].session)["pending"] == 0
    sender.join(10)
    with ftd.client() as fourth:
        assert fourth.ask({"opt": "stat", "filename": "/"})["status"] == "ok"
    for upload in uploads:
        upload.client.close()
    no_ghosts(ftd)


def test_who_serves_nobody_ends(ftd):
    idle, silent = ftd.client(), ftd.connect()
    idle.ask({"opt": "stat", "filename": "/"})
    handshake = ftd.connect()
    handshake.sock.sendall(b"\x16\x03\x01")
    greeted = ftd.client()  # hello, and nothing yet that would make a session
    until(lambda: sum(name_of(p) == "ftd-gate" for p in children(ftd.pid)) >= 2, 5, "the gates")
    roles = sessions_of(ftd.pid)
    ftd.lose()
    last = idle.frame()[0]
    assert (last["code"], last["close"], last["retry_after_ms"]) == ("busy", True, 1000)
    idle.close()
    for client in (greeted, handshake):
        with contextlib.suppress(ConnectionError):
            assert client.at_end()
    until(lambda: not in_sessions(roles), 10, "the end of all roles")
    ftd.start()
    assert not ftd.sessions() and not pages(ftd, "orders")
    for client in (silent, handshake, greeted):
        client.close()


def test_who_never_waits_ends_too(ftd):
    """A client that has always sent the next request already."""
    client = ftd.client()
    client.ask({"opt": "stat", "filename": "/"})
    over = threading.Event()

    def talk():
        with contextlib.suppress(OSError):
            while not over.is_set():
                client.sock.sendall(wire.encode({"opt": "ping"}) * 1000)

    sender = threading.Thread(target=talk)
    sender.start()
    ftd.lose()
    last = b""
    try:
        with contextlib.suppress(ConnectionError):
            while data := client.sock.recv(1 << 20):
                last = (last + data)[-1000:]
    finally:
        over.set()
        with contextlib.suppress(OSError):
            client.sock.shutdown(socket.SHUT_RDWR)
        sender.join(20)
        client.close()
    assert b'"busy"' in last
    ftd.start()
    no_ghosts(ftd)


def test_what_ended_meanwhile_is_told(ftd):
    """Records that nobody took: the last one is written later, the others are said to be lost."""
    with Upload(ftd, "before").client:
        pass
    until(lambda: not ftd.sessions(), 5)
    client = ftd.client()
    client.ask({"opt": "stat", "filename": "/"})
    killed = Upload(ftd, "killed")
    pid = next(s["pid"] for s in ftd.sessions() if s["id"] == killed.session)
    requests = [wire.encode({"opt": "upload", "filename": f"/small{i}", "filesize": 3}, b"abc") for i in range(5)]
    ftd.process.send_signal(signal.SIGSTOP)
    client.sock.sendall(b"".join(requests))
    assert [client.answer()[0]["status"] for _ in requests] == ["ok"] * 5
    os.kill(pid, signal.SIGKILL)
    ftd.lose()
    client.close()
    ftd.start()
    no_ghosts(ftd)
    ftd.told("4 records of transfers are lost")
    ftd.told(" /small4: ok")
    ftd.told(f"{killed.session} ended without a word")
    until(lambda: not ftd.staged(), 10, "the staging file being swept")
    assert ftd.ask("status")["uploads_total"] == 5


def test_stop_ends_them(make_ftd):
    ftd = make_ftd({"limits": {"shutdown_grace": "1s"}})
    uploads = [Upload(ftd, f"stop{i}", tls=i % 2 == 1) for i in range(4)]
    deaf = Download(ftd, "deaf", tls=True)
    ftd.lose()
    ftd.start()
    ftd.stop()  # which looks for processes and staging files
    for transfer in [*uploads, deaf]:
        transfer.client.close()


@pytest.mark.parametrize("spoil", ["version", "boot", "noise", "link"] + ["magic", "short", "empty"] * FULL)
def test_boards_of_others(ftd, spoil):
    """They are not taken over; whose they are goes on with them."""
    upload = Upload(ftd, "mine", tls=True)
    ftd.lose()
    path = ftd.control.parent / "orders"
    data = bytearray(path.read_bytes()[:PAGE])
    if spoil in ("version", "magic", "boot"):
        at = {"magic": 0, "version": 8, "boot": 30}[spoil]
        data[at] ^= 1
        with open(path, "r+b") as file:
            file.write(data)
    else:
        size = path.stat().st_size
        os.rename(path, ftd.dir / "aside")
        if spoil == "link":
            os.symlink(ftd.dir / "aside", path)
        else:
            path.write_bytes({"short": bytes(data), "empty": b"", "noise": random.Random(1).randbytes(size)}[spoil])
            path.chmod(0o600)
    ftd.start()
    assert not ftd.sessions()
    assert "of another boot or version" in ftd.errors or spoil == "link"
    with Upload(ftd, "other").client:  # in the first slot, which is another's on the old boards
        upload.finish()
    no_ghosts(ftd)


def test_boards_take_the_room_of_those_who_are_there(ftd):
    """Memory, since they lie in /run: neither a start nor the next one makes pages of slots that nobody had."""
    def room():
        return sum((ftd.control.parent / name).stat().st_blocks * 512 for name in ("orders", "reports"))

    assert room() <= 64 << 10
    with ftd.client() as client:
        assert client.ask({"opt": "stat", "filename": "/"})["status"] == "ok"
        ftd.lose()
        ftd.start()
        assert ftd.sessions()
        assert room() <= 64 << 10


def test_pages_of_strangers(ftd):
    """Whoever has the pid now is never signalled; noise on a page is no session."""
    upload = Upload(ftd, "mine")
    (slot, page), = pages(ftd, "orders").items()
    pid = next(s["pid"] for s in ftd.sessions())
    at = page.index(struct.pack("<i", pid))
    ftd.lose()
    stranger = subprocess.Popen(["sh", "-c", "trap 'echo urged' URG; echo up; while :; do sleep 0.1; done"],
                                stdout=subprocess.PIPE, text=True)
    assert stranger.stdout.readline() == "up\n"
    number = page.index(struct.pack("<Q", int(upload.session[1:])))

    def copy(slot, session, other):
        changed = bytearray(page)
        changed[number:number + 8] = struct.pack("<Q", session)
        changed[8:12] = struct.pack("<I", slot)
        changed[at:at + 4] = struct.pack("<i", other)
        return bytes(changed)

    with open(ftd.control.parent / "orders", "r+b") as file:
        for i, content in {7: copy(7, 1000007, stranger.pid), 8: copy(8, 1000008, 1), 9: copy(9, 1000009, -1),
                           10: copy(11, 1000010, pid), 11: random.Random(2).randbytes(PAGE),
                           12: copy(12, int(upload.session[1:]), pid), 13: copy(13, 2**63, pid),
                           14: copy(14, 1000014, os.getpid())}.items():
            assert i != slot
            file.seek((i + 1) * PAGE)
            file.write(content)
    try:
        ftd.start()
        assert [s["id"] for s in ftd.sessions()] == [upload.session]
        until(lambda: set(pages(ftd, "orders")) == {slot}, 5, "the end of what is no session")
        assert ftd.ask("kick", id="s1000007")["code"] == "not_found"
        upload.finish()
        no_ghosts(ftd)
        # numbers that were seen are never given out
        with Upload(ftd, "later").client:
            assert int(ftd.sessions()[0]["id"][1:]) > 1000014
        ftd.stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
    assert stranger.stdout.read() == ""


def test_again_and_again(ftd):
    """Killed in the middle of its own work: starting, admitting, ending."""
    transfers, rounds = some_of_each(ftd, 1), 30 if FULL else 10
    chance = random.Random(5)
    for i in range(rounds):
        time.sleep(chance.random() * 0.2)
        transfers.append(Upload(ftd, f"round{i}", size=MB, sent=MB // 2, tls=i % 2 == 1))
        if i % 3 == 2:
            transfers.pop(chance.randrange(len(transfers))).finish()
        ftd.lose()
        ftd.start()
        assert {t["id"] for t in ftd.transfers()} == {t.id for t in transfers}
    for transfer in transfers:
        transfer.finish()
    no_ghosts(ftd)
    ids = [t.id for t in transfers]
    assert len(set(ids)) == len(ids)
