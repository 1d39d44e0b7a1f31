"""Addresses that are not one's own: PROXY headers from strangers, in the wrong place, with the wrong content."""
import random

import pytest

import wire
from harness import SANITIZED, served, until
from network import SERVER, entered, make_network  # noqa: F401  (a fixture)

PROXY = {"plaintext": "anywhere", "trusted_proxies": ["127.0.0.1/32"]}


@pytest.fixture(name="behind", scope="module")
def make_behind(make_shared_ftd):
    return make_shared_ftd(PROXY, share={"anonymous": "anywhere"})


def refusal(ftd, *parts, **how):
    with ftd.connect(**how) as connection:
        for part in parts:
            connection.sock.sendall(part)
        header, _ = connection.answer()
        assert header["close"] and connection.at_end()
        return header["code"]


REQUEST = wire.encode({"opt": "list", "filename": "/"})


def test_headers_of_strangers(make_ftd):
    """Without the list nobody is believed; with it only who is in it."""
    for proxies in ([], ["192.0.2.0/24", "::/0"]):
        ftd = make_ftd({"trusted_proxies": proxies})
        for client in ("192.0.2.1", "127.0.0.1", "::1", None):
            assert refusal(ftd, wire.proxy_header(client), REQUEST) == "bad_frame"
        served(ftd)


def test_two_headers(behind):
    """The second would be the client's own."""
    headers = wire.proxy_header("192.0.2.1") + wire.proxy_header("127.0.0.1")
    assert refusal(behind, headers, REQUEST) == "bad_frame"
    assert refusal(behind, wire.proxy_header(None) + wire.proxy_header("127.0.0.1"), REQUEST) == "bad_frame"


def test_a_header_inside_tls(behind):
    with wire.Wire.tls(behind.port) as connection:
        connection.sock.sendall(wire.proxy_header("192.0.2.1") + REQUEST)
        assert connection.answer()[0]["code"] == "bad_frame"


def test_a_header_behind_a_frame(behind):
    with behind.connect() as connection:
        connection.hello()
        connection.sock.sendall(wire.proxy_header("192.0.2.1") + REQUEST)
        assert connection.answer()[0]["code"] == "bad_frame" and connection.at_end()


@pytest.mark.parametrize("header", [
    b"PROXY TCP4 192.0.2.1 198.51.100.1 40000 8001\r\n",       # version 1
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff" + b"\xc0\0\2\1" * 3,  # 65,535 bytes follow
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\0",                       # no address
    b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c" + b"\xc0\0\2\1" * 3,   # datagrams
    b"\r\n\r\n\0\r\nQUIT\n\x2f\x11\0\x0c" + b"\xc0\0\2\1" * 3,   # an unknown command
    b"\r\n\r\n\0\r\nQUIT\r\x21\x11\0\x0c" + b"\xc0\0\2\1" * 3,   # almost the signature
])
def test_headers_that_are_none(behind, header):
    assert refusal(behind, header) == "bad_frame"


def test_a_million_odd_bytes(behind):
    """Whatever stands behind the signature, the daemon serves on."""
    seed = random.Random(412)
    for _ in range(20 if SANITIZED else 100):
        with behind.connect() as connection:
            connection.sock.sendall(b"\r\n\r\n\0\r\nQUIT\n" + seed.randbytes(seed.randrange(64)))
    until(lambda: not behind.sessions(), 20)
    with behind.client() as client:
        assert client.put("/still", b"here")["status"] == "ok"


def test_a_proxy_elsewhere_cannot_name_this_machine(make_ftd, network):
    """Loopback opens doors: plain text, passwords, shares. Only a proxy that is here may say who else is."""
    ftd = network.serve(make_ftd, {"trusted_proxies": ["10.77.0.0/16"], "plaintext": "anywhere"},
                        share={"anonymous": "loopback"})

    def outside(header):
        with entered(network.outside):
            connection = wire.Wire.tcp(ftd.port, SERVER)
        with connection:
            connection.sock.sendall(header + REQUEST)
            return connection.answer()[0]["code"]

    for client in ("127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"):
        assert outside(wire.proxy_header(client)) == "address_refused"
    assert outside(wire.proxy_header("192.0.2.1")) == "auth_required"
    assert outside(wire.proxy_header("127.0.0.1", command=0)) == "auth_required"  # its own address
    assert not ftd.sessions()


def test_who_misbehaves_is_not_the_proxy(make_ftd):
    """Penalties are of whom the header names: others come through the same proxy undisturbed."""
    ftd = make_ftd({**PROXY, "limits": {"penalty": "10m"}}, share={"anonymous": "anywhere"})
    said = until(lambda: (code := refusal(ftd, wire.proxy_header("192.0.2.1"), b"nonsense")) != "bad_frame" and code)
    assert said == "address_refused"
    with ftd.connect() as other:
        other.sock.sendall(wire.proxy_header("192.0.2.2"))
        assert other.list("/") == []
    for _ in range(10):  # a bad header is nobody's
        assert refusal(ftd, b"\r\n\r\n\0\r\nQUIT\n\x2f\x11\0\0") == "bad_frame"
    with ftd.connect() as proxy_itself:
        assert proxy_itself.list("/") == []
    assert [row["address"] for row in ftd.ask("list-bans")["bans"]] == ["192.0.2.1/32"]
