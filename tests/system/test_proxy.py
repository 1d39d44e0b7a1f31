"""Behind a proxy that is trusted: everything is about the client that its header names."""
import socket
import ssl
import time

import pytest

import wire
from harness import PATIENCE, until

ANYBODY = {"plaintext": "anywhere", "trusted_proxies": ["127.0.0.1/32"]}


@pytest.fixture(name="behind")
def make_behind(make_ftd):
    def make(changes=None, **share):
        return make_ftd({**ANYBODY, **(changes or {})}, share={"anonymous": "anywhere", **share})
    return make


def proxied(ftd, client, **how):
    """A connection whose first bytes are a header that names client."""
    connection = ftd.connect()
    connection.sock.sendall(wire.proxy_header(client, **how))
    return connection


def refusal(connection, request=None):
    connection.send(request or {"opt": "list", "filename": "/"})
    header, _ = connection.answer()
    assert header["close"] and connection.at_end()
    return header


@pytest.mark.parametrize("client, shown", [
    ("192.0.2.1", "192.0.2.1:40000"),
    ("2001:db8::1", "[2001:db8::1]:40000"),
    ("::ffff:192.0.2.1", "192.0.2.1:40000"),
])
def test_the_client_is_whom_the_header_names(behind, client, shown):
    ftd = behind()
    with proxied(ftd, client, more=b"\x04\x00\x10" + b"x" * 1000) as connection:
        connection.hello()
        assert connection.put("/a", b"content")["status"] == "ok"
        assert connection.get("/a") == b"content"
        assert ftd.sessions()[0]["peer"] == shown


def test_tls_and_the_oldest_clients_behind_it(behind):
    ftd = behind()
    connection = proxied(ftd, "192.0.2.1")
    with wire.Wire(wire.tls_context().wrap_socket(connection.sock)) as secure:
        secure.hello()
        assert secure.put("/a", b"over TLS")["status"] == "ok"
        (row,) = ftd.sessions()
        assert (row["peer"], row["tls"]) == ("192.0.2.1:40000", "1.3")
    with proxied(ftd, "192.0.2.1") as oldest:
        oldest.sock.sendall(wire.encode({"opt": "upload", "filename": "/b", "filesize": 3}) + b"old")
    until(lambda: (ftd.root / "b").exists() and (ftd.root / "b").read_bytes() == b"old")
    with proxied(ftd, "192.0.2.1") as bare:
        bare.sock.sendall(b'{"opt":"upload","filename":"/c","filesize":3}')
        assert bare.read(2) == b"ok"
        bare.sock.sendall(b"old")
        assert bare.at_end()
    assert (ftd.root / "c").read_bytes() == b"old"


def test_all_in_one_segment_or_byte_by_byte(behind):
    ftd = behind()
    sent = wire.proxy_header("192.0.2.1") + wire.encode({"opt": "list", "filename": "/"})
    for size in (len(sent), 1, 7):
        with ftd.connect() as connection:
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(sent), size):
                connection.sock.sendall(sent[at:at + size])
                time.sleep(0.005)
            assert connection.answer()[0]["status"] == "ok"


def test_without_an_address_the_proxy_counts(behind):
    """LOCAL, UNSPEC, and no header at all: health checks, and clients on the proxy's own machine."""
    ftd = behind({"plaintext": "loopback"}, anonymous="loopback")
    for header in (wire.proxy_header("192.0.2.1", command=0), wire.proxy_header(None), b""):
        with ftd.connect() as connection:
            connection.sock.sendall(header)
            connection.hello()
            assert connection.list("/") == []
            assert ftd.sessions()[0]["peer"].startswith("127.0.0.1:")
        until(lambda: not ftd.sessions())


def test_rules_are_about_the_client(behind):
    ftd = behind({"plaintext": "loopback", "access": {"deny": ["203.0.113.0/24", "127.0.0.1/32"]}})
    with proxied(ftd, "203.0.113.9") as denied:
        header, _ = denied.answer()  # before it has asked anything
        assert header["code"] == "address_refused" and denied.at_end()
    with proxied(ftd, "192.0.2.1") as plain:  # it comes over loopback, but it is not from there
        assert refusal(plain)["code"] == "tls_required"
    with ftd.connect() as proxy_itself:
        assert refusal(proxy_itself)["code"] == "address_refused"
    connection = proxied(ftd, "192.0.2.1")
    with wire.Wire(wire.tls_context().wrap_socket(connection.sock)) as served:
        served.hello()


def test_loopback_shares_are_not_for_the_clients_of_a_proxy(behind):
    ftd = behind(anonymous="loopback")
    with proxied(ftd, "192.0.2.1") as connection:
        assert refusal(connection)["code"] == "auth_required"
    with proxied(ftd, "127.0.0.1") as neighbour:  # the proxy is on this machine, so is its client
        neighbour.hello()
        assert neighbour.list("/") == []


def test_bans_and_limits_are_about_the_client(behind):
    ftd = behind({"limits": {"sessions_per_address": 2}})
    ftd.ftctl("ban", "192.0.2.0/24")
    with proxied(ftd, "192.0.2.1") as banned:
        assert banned.answer()[0]["code"] == "address_refused"
    clients = [proxied(ftd, "198.51.100.1") for _ in range(2)]
    for client in clients:
        assert client.list("/") == []
    with proxied(ftd, "198.51.100.1") as third:
        assert refusal(third)["code"] == "limit_sessions"
    with proxied(ftd, "198.51.100.2") as other:
        assert other.list("/") == []
    assert {row["peer"].split(":")[0] for row in ftd.sessions()} >= {"198.51.100.1"}
    answer = ftd.ftctl("kick", "--from", "198.51.100.1", json_out=True)
    assert answer["kicked"] == 2
    for client in clients:
        client.close()


def test_a_header_that_does_not_come(behind):
    """It has 3 seconds, however long a login may take."""
    ftd = behind({"limits": {"login_timeout": "60s"}})
    begin = time.monotonic()
    with ftd.connect() as connection:
        connection.sock.sendall(wire.proxy_header("192.0.2.1")[:20])
        assert connection.answer()[0]["code"] == "timeout" and connection.at_end()
    assert 2 < time.monotonic() - begin < 10 * PATIENCE


def test_one_client_does_not_keep_out_the_others(behind):
    """The pool of gates is shared between whom the headers name, not between proxies."""
    ftd = behind({"limits": {"logins": 16, "login_timeout": "30s"}})
    held = []
    for _ in range(64):
        held.append(proxied(ftd, "192.0.2.1"))
        held[-1].send({"opt": "hello"})
    begin = time.monotonic()
    for i in range(10):
        with proxied(ftd, f"198.51.100.{i}") as other:
            other.hello()
            assert other.list("/") == []
    assert time.monotonic() - begin < 10 * PATIENCE
    for connection in held:
        connection.close()


def test_reload_of_the_list(behind):
    ftd = behind()
    ftd.write_conf({"trusted_proxies": []})
    ftd.ftctl("reload")
    with proxied(ftd, "192.0.2.1") as connection:
        header, _ = connection.answer()
        assert header["code"] == "bad_frame" and "trusted" in header["message"]


def test_tls_versions_are_told_of_the_client(behind):
    """A second handshake through the same proxy resumes what the first began."""
    ftd = behind()
    context = wire.tls_context()
    session = None
    for _ in range(2):
        connection = proxied(ftd, "192.0.2.1")
        with wire.Wire(context.wrap_socket(connection.sock, session=session)) as secure:
            secure.hello()
            assert secure.sock.session_reused == (session is not None)
            assert secure.sock.version() == "TLSv1.3" and isinstance(secure.sock, ssl.SSLSocket)
            session = secure.sock.session
