"""Bans: an address that is not served for a while."""
import time

from harness import served, until


def refusal(ftd):
    with ftd.connect() as client:
        client.send({"opt": "hello", "version": [1]})
        header, _ = client.frame()
        assert client.at_end()
        return header


def test_ban_and_unban(ftd):
    with ftd.client() as before:
        assert before.put("/a", b"a")["status"] == "ok"
        answer = ftd.ftctl("ban", "127.0.0.0/8", json_out=True)
        assert answer["address"] == "127.0.0.0/8" and answer["left_ms"] is None
        assert refusal(ftd)["code"] == "address_refused"
        assert before.put("/b", b"b")["status"] == "ok"  # who is there stays
        ftd.ftctl("reload")
        assert refusal(ftd)["code"] == "address_refused"
        [ban] = ftd.ftctl("list-bans", json_out=True)["bans"]
        assert (ban["address"], ban["kind"], ban["left_ms"]) == ("127.0.0.0/8", "ban", None)
        assert "127.0.0.0/8" in ftd.ftctl("list-bans").stdout
        assert ftd.ftctl("unban", "127.0.0.1", check=False).returncode == 7
        ftd.ftctl("unban", "127.0.0.0/8")
        assert ftd.ftctl("list-bans", json_out=True)["bans"] == []
    served(ftd)


def test_a_ban_ends(ftd):
    ftd.ftctl("ban", "127.0.0.1", "--for", "2s")
    header = refusal(ftd)
    assert header["code"] == "address_refused" and 0 < header["retry_after_ms"] <= 2000
    assert "127.0.0.1" in ftd.ftctl("list-bans").stdout
    until(lambda: ftd.ask("list-bans")["bans"] == [], 5)
    served(ftd)


def test_wrong_bans(ftd):
    for args in (["ten"], ["10.0.0.1/8"], ["::1", "--for", "soon"], ["::1", "--for", "0"], []):
        assert ftd.ftctl("ban", *args, check=False).returncode == 2, args
    assert ftd.ftctl("list-bans", json_out=True)["bans"] == []


def test_many_bans_in_pages(ftd):
    for i in range(600):
        assert ftd.ask("ban", address=f"10.0.{i // 256}.{i % 256}")["status"] == "ok"
    begin = time.monotonic()
    assert len(ftd.rows("list-bans", "bans")) == 600
    assert time.monotonic() - begin < 5


def test_kick_and_ban(ftd):
    """Who is kicked with a ban does not come back for so long."""
    with ftd.client() as client:
        client.list("/")
        (session,) = ftd.sessions()
        answer = ftd.ftctl("kick", session["id"], "--ban", "1h", "--reason", "enough", json_out=True)
        assert answer["sessions"] == [session["id"]]
        header, _ = client.answer()
        assert header["code"] == "cancelled" and header["message"] == "enough"
        assert refusal(ftd)["code"] == "address_refused"
    assert ftd.ask("list-bans")["bans"][0]["address"] == "127.0.0.1/32"
    ftd.ftctl("unban", "127.0.0.1")
    ftd.ftctl("kick", "--from", "192.0.2.0/24", "--ban", "1h")  # also where nobody is yet
    assert ftd.ask("list-bans")["bans"][0]["address"] == "192.0.2.0/24"
    for args in (["s1", "--user", "x"], ["--user", "x", "--from", "::/0"], ["--ban", "1h"]):
        assert ftd.ftctl("kick", *args, check=False).returncode == 2, args
    assert ftd.ftctl("kick", "--user", "nobody", check=False).returncode == 7
    served(ftd)
