"""Sources that misbehave are refused for a while, before they cost a process; others are not."""
import os
import signal
import socket
import time

import pytest

import wire
from harness import hashed, served, until
from network import SERVER, entered, make_network  # noqa: F401  (a fixture)

COUNTED = {"limits": {"penalty": "10m"}}


def answer_from(ftd, source, data):
    """The code that a connection from there gets for these bytes."""
    with ftd.connect(source=source) as connection:
        connection.sock.sendall(data)
        if data[0] == 0x16 and connection.sock.recv(1, socket.MSG_PEEK) == b"\x15":
            return "alert"
        return connection.answer()[0].get("code", "ok")


REQUEST = wire.encode({"opt": "list", "filename": "/"})
HELLO = wire.encode({"opt": "hello"})


def is_refused(ftd, source):
    return answer_from(ftd, source, REQUEST) == "address_refused"


def misbehave(ftd, source, data, code):
    """Until it is refused; how often that took."""
    for n in range(50):
        got = answer_from(ftd, source, data)
        if got == "address_refused":
            return n
        assert got == code
    raise AssertionError("never refused")


@pytest.mark.parametrize("data, code", [
    (b"GET / HTTP/1.1\r\n\r\n", "bad_frame"),
    (b"\xff\xff\xff\xff", "bad_frame"),
    (b"\x16\x03\x01\x00\x05hello", "alert"),  # a handshake that is none
    (wire.encode(b'{"opt":"hello","opt":"hello"}'), "bad_request"),
    (HELLO + b"\xff\xff\xff\xff", "ok"),
])
def test_what_is_not_the_protocol(make_ftd, data, code):
    ftd = make_ftd(COUNTED)
    assert 3 <= misbehave(ftd, "127.0.0.2", data, code) <= 30
    assert not is_refused(ftd, "127.0.0.3")
    served(ftd)
    (row,) = ftd.ftctl("list-bans", json_out=True)["bans"]
    assert (row["address"], row["kind"]) == ("127.0.0.2/32", "penalty") and row["left_ms"] > 0
    assert "penalty" in ftd.ftctl("list-bans").stdout and "127.0.0.2" in ftd.errors


def test_a_session_that_breaks_the_protocol(make_ftd):
    ftd = make_ftd(COUNTED)
    assert 3 <= misbehave(ftd, "127.0.0.2", REQUEST + b"\xff\xff\xff\xff", "ok") <= 30
    served(ftd)


def test_failed_logins(make_ftd):
    """Guessing: some mistakes are free, and who makes them is refused, not the user whose name it is."""
    ftd = make_ftd(COUNTED, share={"anonymous": "never"}, start=False)
    ftd.write_users(f"alice:{hashed('right')}")
    ftd.start()

    def log_in(source, password):
        with ftd.connect(source=source) as client:
            return client.login("alice", password).get("code", "ok")

    for _ in range(2):
        assert log_in("127.0.0.2", "wrong") == "auth_failed"
    assert log_in("127.0.0.2", "right") == "ok"
    until(lambda: log_in("127.0.0.2", "wrong") == "address_refused", what="a refusal")
    assert log_in("127.0.0.2", "right") == "address_refused"
    assert log_in("127.0.0.3", "right") == "ok"


def test_they_run_out(make_ftd):
    ftd = make_ftd(COUNTED)
    misbehave(ftd, "127.0.0.2", b"nonsense", "bad_frame")
    with ftd.connect(source="127.0.0.2") as connection:
        connection.sock.sendall(REQUEST)
        header, _ = connection.answer()
        assert header["code"] == "address_refused" and 0 < header["retry_after_ms"] <= 30_000
    begin = time.monotonic()
    until(lambda: not is_refused(ftd, "127.0.0.2"), 20)  # the last of it may have been counted after that
    assert time.monotonic() - begin > header["retry_after_ms"] / 1000 - 0.5
    until(lambda: ftd.ask("list-bans")["bans"] == [])


def test_unban_forgives_and_a_reload_does_not(make_ftd):
    ftd = make_ftd(COUNTED)
    until(lambda: answer_from(ftd, "127.0.0.2", b"nonsense") == "address_refused", what="a refusal")
    ftd.ftctl("reload")
    assert is_refused(ftd, "127.0.0.2")
    ftd.ftctl("unban", "127.0.0.2")
    assert not is_refused(ftd, "127.0.0.2")
    assert ftd.ftctl("unban", "127.0.0.2", check=False).returncode == 7
    ftd.write_conf({"limits": {"penalty": "0"}})
    ftd.ftctl("reload")
    for _ in range(20):
        assert answer_from(ftd, "127.0.0.2", b"nonsense") == "bad_frame"


def test_a_crash_is_enough(make_ftd):
    ftd = make_ftd(COUNTED)
    with ftd.connect(source="127.0.0.2") as client:
        client.list("/")
        (session,) = ftd.sessions()
        os.kill(session["pid"], signal.SIGSEGV)
        assert client.at_end()
    until(lambda: is_refused(ftd, "127.0.0.2"))
    (row,) = ftd.ask("list-bans")["bans"]
    assert 60_000 < row["left_ms"] <= 75_000
    served(ftd)


def test_connections_that_never_become_sessions(make_ftd):
    """Twice past the deadline is enough; who is kicked or cut is not to blame."""
    ftd = make_ftd({"limits": {"penalty": "10m", "login_timeout": "1s"}})
    late = [ftd.connect(source="127.0.0.2") for _ in range(3)]
    for connection in late:
        connection.sock.sendall(HELLO[:9])
    for connection in late:
        assert connection.answer()[0]["code"] == "timeout"
        connection.close()
    until(lambda: is_refused(ftd, "127.0.0.2"))
    with ftd.connect(source="127.0.0.3") as kicked:
        kicked.list("/")
        ftd.ftctl("kick", ftd.sessions()[0]["id"])
    for _ in range(20):  # half a request, then gone: little, and forgiven at once
        with ftd.connect(source="127.0.0.3") as cut:
            cut.sock.sendall(REQUEST[:9])
    assert not is_refused(ftd, "127.0.0.3")


def test_asking_for_nothing_too_often(make_ftd):
    """Hello and away: some may, many a second may not."""
    ftd = make_ftd(COUNTED)
    for _ in range(30):
        assert answer_from(ftd, "127.0.0.2", HELLO) == "ok"
    assert not is_refused(ftd, "127.0.0.2")
    n = 30
    while answer_from(ftd, "127.0.0.2", HELLO) == "ok":
        n += 1
        assert n < 2000
    served(ftd)
    print(f"refused after {n}")


@pytest.mark.parametrize("network", [2], indirect=True)
def test_an_ipv6_network_is_one_source(make_ftd, network):
    ftd = make_ftd(COUNTED, start=False, share={"anonymous": "anywhere"})
    ftd.write_conf({"listen": [{"address": "::", "port": ftd.port}], "plaintext": "anywhere"})
    with entered(network.server):
        network.add(network.server, "2001:db8::1/32")
        ftd.start()
    with entered(network.outside):
        for address in ("2001:db8:0:1::1/32", "2001:db8:0:1::2/32", "2001:db8:0:2::1/32"):
            network.add(network.outside, address)

        def answer(source, data):
            with wire.Wire.tcp(ftd.port, "2001:db8::1", source=source) as connection:
                connection.sock.sendall(data)
                return connection.answer()[0].get("code", "ok")

        until(lambda: answer("2001:db8:0:1::1", b"nonsense") == "address_refused", what="a refusal")
        assert answer("2001:db8:0:1::2", REQUEST) == "address_refused"
        assert answer("2001:db8:0:2::1", REQUEST) == "ok"
        with wire.Wire.tcp(ftd.port, SERVER, source="10.77.1.1") as other:
            assert other.list("/") == []
    assert ftd.ask("list-bans")["bans"][0]["address"] == "2001:db8:0:1::/64"
