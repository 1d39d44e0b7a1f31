"""The status port as a tool against others: whose address is forged gets no more than the forger sent."""
import json
import socket

import wire
from harness import until
from network import SERVER, entered, make_network  # noqa: F401  (a fixture)


def answers(sock, wait=0.5):
    """All that come until none has for so long."""
    sock.settimeout(wait)
    got = []
    try:
        while True:
            got.append(sock.recv(4096))
    except TimeoutError:
        return got


def test_strangers_get_no_more_than_they_send(make_ftd, network):
    ftd = network.serve(make_ftd)
    ftd.write_conf({"status": {"address": SERVER, "port": ftd.port}})
    with entered(network.server):
        ftd.ftctl("reload")
    with entered(network.outside):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        sock.bind((network.addresses[0], 0))
        sock.connect((SERVER, ftd.port))
        for n in (0, 1, 17, 18, 40, 200, 1472, 1473):
            def ask(n=n):
                sock.send(b'{"nonce":"tests"}'.ljust(n)[:n])
                return answers(sock, 0.2)
            got = until(ask, what=f"an answer to {n} bytes") if 18 <= n <= 1472 else ask()
            assert all(len(answer) <= n for answer in got), n
        sent = received = 0
        for _ in range(2000):
            sent += sock.send(b'{"nonce":"tests"}'.ljust(1000))
        replies = answers(sock)
        received = sum(map(len, replies))
        print(f"{sent} bytes asked, {received} answered, {len(replies)} replies")
        assert len(replies) <= 50 and received < sent / 20
    with entered(network.server):  # another source
        assert json.loads(wire.datagram(ftd.port, b" " * 200, host=SERVER))["status"] == "ready"


def test_a_reply_is_not_answered(ftd):
    """Two servers, one of them named as the sender of a question to the other, would talk for ever."""
    reply = wire.datagram(ftd.port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", ftd.port))
        sock.send(reply)
        assert answers(sock) == []
        sock.send(b"anything else")
        assert len(answers(sock)) == 1
