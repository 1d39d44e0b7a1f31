"""Where something is wrong with a rule, nobody gets in by it: every error of it denies."""
import shutil

import pytest

import wire
from harness import FTD, hashed, run, served


def refused(ftd, code):
    with ftd.connect() as client:
        answer = client.ask({"opt": "list", "filename": "/"})
        return answer.get("code") == code


def test_an_empty_list_allows_nobody(make_ftd):
    ftd = make_ftd({"access": {"allow": []}}, start=False)
    ftd.start()
    assert refused(ftd, "address_refused")


@pytest.mark.parametrize("network", ["", "*", "any", "localhost", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/8/8", "::/129",
                                     "10.0.0.1/8", "010.0.0.0/8", "10.0.0/8", "10.0.0.0/08x", "10.0.0.0/255.0.255.0", "0", "!10.0.0.0/8",
                                     "10.0.0.0/8 ", "127.0.0.1,127.0.0.2", "fe80::%lo/64"])
@pytest.mark.parametrize("list_", ["allow", "deny"])
def test_a_network_that_is_none_stops_the_load(ftd, list_, network):
    """Not the entry is dropped, but the file: the old rules stay."""
    ftd.write_conf({"access": {list_: ["127.0.0.0/8" if list_ == "allow" else "203.0.113.0/24", network]}})
    assert run(FTD, "--check", ftd.conf, check=False).returncode == 2
    done = ftd.ftctl("reload", check=False)
    assert done.returncode == 1 and f"access.{list_}" in done.stderr + done.stdout
    served(ftd)


@pytest.mark.parametrize("rules", [
    '( { users = ("alice"); path = "/"; rights = "all"; } )', '( { users = ("Alice!"); rights = "full"; } )',
    '( { users = "alice"; rights = "full"; } )', '( { user = ("alice"); rights = "full"; } )', '( { users = ("alice"); } )',
    '( { users = ("alice"); rights = ("read", "wirte"); } )', '( { users = ("alice"); path = "../"; rights = "full"; } )',
    '( { users = ("alice"); path = "/a/../b"; rights = "full"; } )', '( "alice" )', '( { users = ("alice", ""); rights = "full"; } )'])
def test_a_rule_that_is_none_stops_the_load(ftd, rules):
    shares = f'shares = ( {{ path = "/"; root = "{ftd.root}"; rules = {rules}; }} );\n'
    text = "".join(line + "\n" for line in ftd.conf.read_text().splitlines() if not line.startswith("shares"))
    ftd.conf.write_text(text + shares)
    assert run(FTD, "--check", ftd.conf, check=False).returncode == 2
    assert ftd.ftctl("reload", check=False).returncode == 1
    served(ftd)


def test_who_is_in_no_rule_has_no_right(make_ftd):
    """Also where somebody else is in one, and where the list of users of a rule is empty."""
    ftd = make_ftd({"shares": []}, start=False)
    ftd.write_users(f"alice:{hashed('a')}", f"eve:{hashed('e')}")
    ftd.write_conf({"shares": [{"path": "/", "root": str(ftd.root), "anonymous": "loopback",
                                "rules": [{"users": ["alice"], "path": "/a", "rights": "full"}]}]})
    (ftd.root / "a").mkdir()
    (ftd.root / "secret").write_bytes(b"x")
    ftd.start()
    with ftd.connect() as client:
        assert client.put("/a/f", b"x")["code"] == "auth_required"
    for user, password in (("eve", "e"), ("alice", "a")):
        with ftd.connect() as client:
            assert client.login(user, password)["status"] == "ok"
            for request in ({"opt": "stat", "filename": "/secret"}, {"opt": "download", "filename": "/secret"},
                            {"opt": "remove", "filename": "/secret"}, {"opt": "set", "filename": "/secret", "mode": 0o777},
                            {"opt": "rename", "filename": "/secret", "to": "/a/x"},
                            {"opt": "copy", "filename": "/secret", "to": "/a/x"}):
                assert client.ask(request).get("code") in ("permission", "not_found"), (user, request)
            if user != "alice":
                assert client.put("/a/f", b"x").get("code") in ("permission", "not_found")
    assert (ftd.root / "secret").read_bytes() == b"x" and not list((ftd.root / "a").iterdir())


def test_a_share_that_is_gone_is_served_by_nothing_else(make_ftd):
    ftd = make_ftd(start=False)
    gone = ftd.dir / "gone"
    gone.mkdir()
    ftd.write_conf({"shares": [*ftd.settings["shares"], {"path": "/gone", "root": str(gone), "anonymous": "loopback", "rights": "full"}]})
    (ftd.root / "gone").mkdir()
    (ftd.root / "gone/beneath").write_bytes(b"of the share above")
    ftd.start()
    shutil.rmtree(gone)
    with ftd.client() as client:
        assert client.put("/gone/f", b"x")["code"] == "io_error"
        assert client.ask({"opt": "stat", "filename": "/gone/beneath"})["code"] == "io_error"
        assert client.put("/f", b"x")["status"] == "ok"


@pytest.mark.parametrize("users", ["alice:{hash}\nbob", "alice:{hash}:admin", "alice:{hash}\nalice:{hash}", "Alice:{hash}", ".a:{hash}",
                                   "alice::", "alice:{hash}\n\0", "root/:{hash}"])
def test_a_users_file_that_is_not_sound_lets_nobody_in(ftd, users):
    ftd.write_users(*users.format(hash=hashed("a")).split("\n"))
    for password in ("a", "", "x"):
        with ftd.connect() as client:
            assert client.login("alice", password)["status"] == "error"
    with pytest.raises((wire.Closed, ConnectionError, AssertionError)):
        with ftd.connect() as client:
            assert client.login("alice", "a")["status"] == "ok"
