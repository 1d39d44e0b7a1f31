"""A gate that a stranger has taken over before any login tries everything: nothing of it may work."""
import os
import re
import socket
import struct
import time

import pytest

import taken
import wire
from harness import PATIENCE, SANITIZED, children, name_of, run, served, until
from test_taken_session import record

HEAD = struct.Struct("<IIII")  # struct packet_gate: type, said_hello, tls, pad
ANONYMOUS, LOGIN, PEER = 1, 2, 3
ADDRESS = 28  # union addr


def anonymous(tls=0, hello=1):
    return HEAD.pack(ANONYMOUS, hello, tls, 0)


def peer(address="127.0.0.1", port=4711):
    return HEAD.pack(PEER, 0, 0, 0) + struct.pack("<H", socket.AF_INET) + struct.pack(">H", port) + \
        socket.inet_aton(address).ljust(ADDRESS - 4, b"\0")


def login(user, password=b"", method=1, tls=0, password_len=None, id_kind=0, id_len=0):
    """struct packet_login"""
    length = len(password) if password_len is None else password_len
    return HEAD.pack(LOGIN, 1, tls, 0) + struct.pack("<IIIIq64s64s1024s128s", method, length, id_kind, id_len, 0, b"",
                                                     user, password, bytes(128))


@pytest.fixture
def ftd(make_ftd):
    return taken.daemon(make_ftd, login_timeout="20s")


@pytest.fixture
def impatient(make_ftd):
    return taken.daemon(make_ftd, login_timeout="2s")


def gates(ftd):
    return [p for p in children(ftd.pid) if name_of(p) == "ftd-gate"]


def sessions_of(ftd, client):
    """The sessions of its connection."""
    return [row for row in ftd.sessions() if row["peer"] == f"127.0.0.1:{client.own}"]


@pytest.mark.release
def test_names(ftd, capsys):
    """It has no way to any file at all."""
    results, directory = taken.Results(), ftd.control.parent
    forbidden = ["/etc/passwd", ftd.conf, ftd.control, directory / "orders", directory / "public", ftd.root, ftd.root / "mine",
                 ftd.root / "new", ftd.dir / "hidden/file", "/", "/tmp/new", "/proc/self/mem", f"/proc/{ftd.pid}/mem"]
    with taken.undisturbed(ftd):
        for path in map(str, forbidden):
            taken.attempts(ftd, taken.gate, results, "paths", path, path=path)
            taken.attempts(ftd, taken.gate, results, "looks", path, path=path)
    results.show(capsys)


@pytest.mark.release
def test_processes(ftd, capsys):
    results = taken.Results()
    with taken.undisturbed(ftd), taken.gate(ftd) as other:
        other.attack("descriptors")
        for pid in (ftd.pid, *children(ftd.pid), os.getpid()):
            taken.attempts(ftd, taken.gate, results, "processes", f"{name_of(pid)} {pid}", pid=pid)
    results.show(capsys)


@pytest.mark.release
@pytest.mark.parametrize("what", ["memory", "kernel"])
def test_memory_and_kernel(ftd, capsys, what):
    results = taken.Results()
    with taken.undisturbed(ftd):
        taken.attempts(ftd, taken.gate, results, what)
    results.show(capsys)


@pytest.mark.release
def test_sockets(ftd, capsys):
    taken.sockets(ftd, taken.gate, capsys)


@pytest.mark.release
def test_what_it_holds(ftd):
    """Its connection, the stream to a session that may come, its socket to the supervisor, and the log."""
    with taken.gate(ftd) as client:
        held = client.attack("descriptors")
    assert sorted(kind for fd, kind in held if fd > 2) == sorted(
        [socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_STREAM, socket.SOCK_STREAM]), held


def test_a_crash_replaces_its_house(ftd):
    """What was learnt of a house's memory is worth nothing for the next gate."""
    house = next(p for p in children(ftd.pid) if name_of(p) == "ftd-gatehouse")
    taken.attempts(ftd, taken.gate, taken.Results(), "kernel")
    until(lambda: house not in children(ftd.pid), 10, "the end of the house")
    served(ftd)


# --- what the supervisor hears of it

ODD = {
    "a byte": b"\1", "half": anonymous()[:8], "one byte short": anonymous()[:-1], "one byte long": anonymous() + b"\0",
    "of a peer's size": anonymous().ljust(len(peer()), b"\0"), "large": anonymous().ljust(16000, b"\0"),
    "type 0": HEAD.pack(0, 0, 0, 0), "type 4": HEAD.pack(4, 0, 0, 0), "type 2^32-1": HEAD.pack(2**32 - 1, 0, 0, 0),
    "TLS 1": anonymous(tls=1), "TLS 1.1": anonymous(tls=11), "TLS 1.4": anonymous(tls=14), "TLS 2^32-1": anonymous(tls=2**32 - 1),
    "a peer without a proxy": peer("203.0.113.9"), "a peer cut short": peer()[:-1], "a login cut short": login(b"alice")[:-1],
    "a login alone": HEAD.pack(LOGIN, 0, 0, 0), "a login of TLS 9": login(b"alice", tls=9),
    "a house's words": struct.pack("<IiiIQ", 1, os.getpid(), 0, 0, 1), "zeros": bytes(1416),
}


@pytest.mark.parametrize("packet", ODD.values(), ids=ODD.keys())
def test_odd_packet_ends_it(ftd, packet):
    with taken.undisturbed(ftd):
        with taken.gate(ftd) as client:
            with pytest.raises((wire.Closed, ConnectionError)):
                assert client.attack("packet", hex=packet.hex(), times=1)["answer"] == ""
                client.attack("descriptors")
            assert not sessions_of(ftd, client)
    ftd.told("broke its protocol")


@pytest.mark.parametrize("times", [2, 1000])
def test_asking_twice_ends_it(ftd, times):
    """One session is made at most; the gate that asks again is not there to share its connection."""
    with taken.undisturbed(ftd):
        with taken.gate(ftd) as client:
            client.send({"opt": "hello", "attack": "packet", "hex": anonymous().hex(), "times": times})
            until(lambda: "broke its protocol" in ftd.errors, 5)
            until(lambda: not gates(ftd), 5)
            assert len(sessions_of(ftd, client)) <= 1
        until(lambda: not sessions_of(ftd, client), 5)


def test_descriptors_never_come_from_it(ftd):
    """Its filter has no call that could send one."""
    with taken.undisturbed(ftd), taken.gate(ftd) as client:
        for n in (1, 3, 250):
            assert client.attack("packet", hex=anonymous().hex(), times=1, descriptors=n, wait=False) == {"sent": 0, "answer": ""}


def test_false_words_about_tls(ftd):
    """It may lie about its own connection, and harms nobody else by it."""
    with taken.undisturbed(ftd):
        with taken.gate(ftd) as client:  # called TLS: a session behind a pump that is none
            client.send({"opt": "hello", "attack": "packet", "hex": anonymous(tls=13).hex(), "times": 1})
            until(lambda: [row["tls"] for row in sessions_of(ftd, client)] == ["1.3"], 5)
        until(lambda: not sessions_of(ftd, client) and not gates(ftd), 30)
        with taken.gate(ftd) as client:  # called plain text: a session that sees no frame in it
            client.send({"opt": "hello", "attack": "packet", "hex": anonymous(tls=0).hex(), "times": 1, "leave": True})
            until(lambda: sessions_of(ftd, client), 5)
            client.sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(512))
            said = b""
            while data := client.sock.recv(65536):
                said += data
            assert b"bad_frame" in said
        until(lambda: not sessions_of(ftd, client) and not gates(ftd), 30)


JUNK = {
    "a name without end": login(b"a" * 64), "a password beyond": login(b"alice", password_len=2**32 - 1),
    "a NUL in it": login(b"alice", b"a\0b"), "no method": login(b"alice", method=0), "method 99": login(b"alice", method=99),
    "a key without TLS": login(b"alice", method=2), "a certificate without TLS": login(b"carol", method=3),
    "a certificate that nobody asks for": login(b"carol", method=3, tls=13), "bytes": b"\2" + bytes(3) + b"\0" * 12 + b"\xff" * 1304,
    "an id without end": login(b"alice", b"wrong", id_kind=2, id_len=2**32 - 1), "path": login(b"../../etc/passwd", b"x"),
    "lines": login(b"alice\nbob", b"x"),
}


@pytest.mark.parametrize("packet", JUNK.values(), ids=JUNK.keys())
def test_junk_in_a_login(ftd, packet):
    """The verifier takes it for what it is, ends well, and nobody is let in."""
    with taken.undisturbed(ftd), taken.gate(ftd) as client:
        verdict = bytes.fromhex(client.attack("packet", hex=packet.hex(), times=1)["answer"])
        assert verdict[:32].rstrip(b"\0") in (b"auth_failed", b"internal")
        assert not sessions_of(ftd, client)
    assert "a verifier ended" not in ftd.errors and "crashed" not in ftd.errors


def test_login_and_another_ask(ftd):
    with taken.undisturbed(ftd), taken.gate(ftd) as client:
        client.send({"opt": "hello", "attack": "packet", "hex": login(b"alice", b"wrong").hex(), "times": 20})
        until(lambda: "broke its protocol" in ftd.errors, 10)
        until(lambda: not gates(ftd), 10)
        assert not sessions_of(ftd, client)


def test_word_about_certificates(make_ftd, scratch):
    """Where client certificates are asked for, the gate's word is all there is: it can be whoever logs in by one."""
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
        "-subj", "/CN=ca", "-keyout", scratch / "key", "-out", scratch / "ca")
    scratch.chmod(0o755)
    ftd = taken.daemon(make_ftd)
    ftd.write_conf({"tls": {"client_ca": str(scratch / "ca"), "client_certificate": "optional"}})
    ftd.ftctl("reload")
    for user, users in ((b"carol", ["carol"]), (b"alice", [])):  # alice has not the option "certificate"
        with taken.gate(ftd) as client:
            client.send({"opt": "hello", "attack": "packet", "hex": login(user, method=3, tls=13).hex(), "times": 1})
            until(lambda: sessions_of(ftd, client) or "auth_failed" in ftd.errors, 5)
            assert [row["user"] for row in sessions_of(ftd, client)] == users
        until(lambda: not ftd.sessions(), 30)


def test_peers_of_a_proxy(make_ftd):
    """Behind a trusted proxy it says one address, once and first; one of the machine's own only where the proxy is."""
    ftd = taken.daemon(make_ftd)
    ftd.write_conf({"trusted_proxies": ["127.0.0.7"], "access": {"deny": ["198.51.100.0/24"]}})
    ftd.ftctl("reload")
    with taken.undisturbed(ftd):
        for packets, ends in (([anonymous()], True), ([peer("198.51.100.4")], False), ([peer("203.0.113.9")] * 2, True),
                              ([b"\xff" * 44], True), ([peer()[:16] + b"\xff" * ADDRESS], True)):
            before = ftd.errors.count("broke its protocol")
            with taken.gate(ftd, source="127.0.0.7") as client:
                try:
                    for packet in packets:
                        client.attack("packet", hex=packet.hex(), times=1)
                except (wire.Closed, ConnectionError):
                    pass
                if ends:
                    until(lambda: ftd.errors.count("broke its protocol") > before, 5)
    ftd.told("198.51.100.4:4711 refused: address_refused")
    assert not ftd.transfers() and all(not r["peer"].startswith(("198.", "203.")) for r in ftd.sessions())


def test_log_records_are_its_own(ftd):
    """It can neither speak in another's name, nor of transfers, which only sessions have."""
    with taken.undisturbed(ftd), taken.gate(ftd) as client:
        client.attack("log", hex=record(text=b"x\n2026-01-01T00:00:00.000Z s1 203.0.113.1 forged\x1b").hex())
        client.attack("log", hex=record(kind=1, path=b"forged-transfer", text=b"forged").hex())
        until(lambda: "sent a log record that is none" in ftd.errors, 5)
    (line,) = [line for line in ftd.errors.splitlines() if "forged" in line]
    assert re.match(rf"\S+ s\d+ 127\.0\.0\.1:{client.own} x\\x0a2026-", line) and "\x1b" not in line


def test_flood_of_log_records(ftd):
    with taken.undisturbed(ftd), taken.gate(ftd) as client:
        client.send({"opt": "hello", "attack": "log", "hex": record(text=b"flood").hex(), "seconds": 3})
        end, longest = time.monotonic() + 3, 0
        while time.monotonic() < end:
            begin = time.monotonic()
            assert ftd.ask("status")["state"] == "ready"
            longest = max(longest, time.monotonic() - begin)
        assert client.answer()[0]["attack"]["sent"] > 1000 and longest < 1.5 * PATIENCE
    until(lambda: "left out" in ftd.errors, 5, "the word that something was left out")


# --- hunger

@pytest.mark.skipif(SANITIZED, reason="a sanitizer's own memory is not bounded")
def test_memory_is_bounded(ftd):
    with taken.undisturbed(ftd), taken.gate(ftd) as client:
        assert 1 << 20 <= client.attack("hoard", bytes=1 << 29) < 64 << 20


def test_no_process_and_no_thread(ftd):
    with taken.undisturbed(ftd), taken.gate(ftd) as client:
        assert client.attack("crowd", threads=10) == 0


def test_who_does_not_end_is_ended(impatient):
    """The login deadline is the supervisor's to watch, not the gate's."""
    with taken.undisturbed(impatient), taken.gate(impatient) as client:
        client.send({"opt": "hello", "attack": "hold", "seconds": 60})
        until(lambda: gates(impatient), 5)
        until(lambda: not gates(impatient), 15)
