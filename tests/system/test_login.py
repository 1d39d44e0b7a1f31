"""Logging in: who gets in and with what, who does not, and what either is told."""
import pytest

from harness import hashed, served
from wire import Wire

RIGHTS = ["read", "list", "create", "replace", "delete", "mkdir", "rename"]
REFUSED = {"status": "error", "code": "auth_failed", "message": "wrong user or secret", "close": True}


@pytest.fixture(name="ftd")
def a_daemon(make_ftd):
    ftd = make_ftd(share={"anonymous": "never"}, start=False)
    ftd.write_users(f"alice:{hashed('correct horse')}", f"bob:{hashed('battery')}:disabled", "carol:*")
    return ftd.start()


@pytest.fixture(name="connect", params=["plain", "tls"])
def a_way_in(ftd, request):
    return ftd.connect if request.param == "plain" else lambda **how: Wire.tls(ftd.port, **how)


# --- passwords

def test_a_password(ftd, connect):
    with connect() as client:
        answer = client.login("alice", "correct horse", id=7)
        assert (answer["status"], answer["user"], answer["rights"], answer["id"]) == ("ok", "alice", RIGHTS, 7)
        assert answer["limits"]["sessions_per_user_current"] == 1
        assert client.put("/a", b"hers")["status"] == "ok"
        assert client.get("/a") == b"hers"
        assert [s["user"] for s in ftd.sessions()] == ["alice"]


@pytest.mark.parametrize("user, password", [
    ("alice", "Correct horse"), ("alice", ""), ("alice", "correct horse "), ("bob", "wrong"), ("carol", ""),
    ("carol", "*"), ("nobody", "x"), ("", ""), ("ALICE", "correct horse"), ("x" * 63, "x" * 1024)])
def test_a_wrong_one(ftd, connect, user, password):
    with connect() as client:
        client.hello()
        assert client.login(user, password) == REFUSED
        assert client.at_end()
    assert ftd.sessions() == []


def test_a_disabled_account_is_told_to_its_owner_only(connect):
    for password, code in (("battery", "account_disabled"), ("wrong", "auth_failed")):
        with connect() as client:
            answer = client.login("bob", password)
            assert (answer["code"], answer["close"]) == (code, True)
            assert client.at_end()


def test_requests_may_be_sent_ahead(connect):
    with connect() as client:
        client.send({"opt": "hello", "id": 1})
        client.send({"opt": "ping", "id": 2})
        client.send({"opt": "login", "user": "alice", "password": "correct horse", "id": "three"})
        client.send({"opt": "upload", "filename": "/a", "filesize": 3, "id": 4}, b"abc")
        client.send({"opt": "stat", "filename": "/a", "id": 5})
        client.send({"opt": "quit", "id": 6})
        answers = [client.answer()[0] for _ in range(6)]
        assert [a["id"] for a in answers] == [1, 2, "three", 4, 5, 6]
        assert {a["status"] for a in answers} == {"ok"}
        assert client.at_end()


def test_what_was_sent_behind_a_wrong_one_is_not_carried_out(ftd, connect):
    with connect() as client:
        client.send({"opt": "login", "user": "alice", "password": "x"})
        client.send({"opt": "upload", "filename": "/a", "filesize": 3}, b"abc")
        assert client.answer()[0] == REFUSED
        assert client.at_end()
    assert not (ftd.root / "a").exists()


def test_a_login_comes_once(connect):
    with connect() as client:
        assert client.login("alice", "correct horse")["status"] == "ok"
        assert client.login("alice", "correct horse")["code"] == "bad_request"
        assert client.ask({"opt": "stat", "filename": "/"})["status"] == "ok"


def test_not_after_something_else(make_ftd):
    ftd = make_ftd(start=False)
    ftd.write_users(f"alice:{hashed('x')}")
    ftd.start()
    with ftd.connect() as client:
        assert client.ask({"opt": "stat", "filename": "/"})["status"] == "ok"
        assert client.login("alice", "x")["code"] == "bad_request"
        assert [s["user"] for s in ftd.sessions()] == ["anonymous"]


def test_without_a_login(ftd, connect):
    with connect() as client:
        assert client.ask({"opt": "stat", "filename": "/"})["code"] == "auth_required"
    with connect() as client:
        assert client.login("alice", "correct horse")["status"] == "ok"


@pytest.mark.parametrize("request_", [
    {"user": "alice"}, {"password": "x"}, {"user": "alice", "password": 5}, {"user": None, "password": "x"},
    {"user": "alice", "password": "x" * 1025}, {"user": "x" * 64, "password": "x"}, {"user": "alice", "key": "00"},
    {"user": "alice", "password": "x", "key": "00" * 32}, {"user": "alice", "key": "0", "signature": "0"},
    {"user": "alice", "password": "correct horse", "more": True},
    {"user": "alice", "password": "correct horse", "body": 0}, {"user": "a\0b", "password": "x"},
    {"user": "alice", "password": "correct horse", "id": 1.5}])
def test_a_login_that_is_none(connect, request_):
    with connect() as client:
        answer = client.ask({"opt": "login", **request_})
        assert (answer["code"], answer["close"]) == ("bad_request", True)
        assert client.at_end()


def test_what_is_needed_must_be_known(connect):
    with connect() as client:
        answer = client.ask({"opt": "login", "user": "alice", "password": "correct horse", "otp": 1, "need": ["otp"]})
        assert answer["code"] == "unsupported"
    with connect() as client:
        assert client.login("alice", "correct horse", otp=1, need=["user"])["status"] == "ok"


# --- the users file

def test_a_file_that_is_not_sound_lets_nobody_in(ftd):
    path = ftd.dir / "users"
    text = path.read_text()
    for wrong, mode in ((text + "alice:*\n", 0o640), (text + "what\n", 0o640), (text, 0o660), (text, 0o666)):
        path.write_text(wrong)
        path.chmod(mode)
        with ftd.connect() as client:
            assert client.login("alice", "correct horse")["code"] == "internal"
    assert "nobody can log in" in ftd.errors
    path.unlink()
    with ftd.connect() as client:
        assert client.login("alice", "correct horse")["code"] == "auth_failed"
    ftd.write_users(*text.split())
    with ftd.connect() as client:
        assert client.login("alice", "correct horse")["status"] == "ok"


def test_a_hash_that_nobody_can_make(ftd):
    ftd.write_users("dora:$y$zzzz$", f"alice:{hashed('correct horse')}")
    with ftd.connect() as client:
        assert client.login("dora", "x") == REFUSED
    with ftd.connect() as client:
        assert client.login("alice", "correct horse")["status"] == "ok"


# --- limits

def test_sessions_of_a_user(ftd, connect):
    ftd.write_conf({"limits": {"sessions_per_user": 2}})
    ftd.ftctl("reload")
    with connect() as first, connect() as second, connect() as third, connect() as again:
        assert first.login("alice", "correct horse")["limits"]["sessions_per_user_current"] == 1
        assert second.login("alice", "correct horse")["limits"]["sessions_per_user_current"] == 2
        answer = third.login("alice", "correct horse")
        assert (answer["code"], answer["limit"], answer["current"]) == ("limit_sessions", 2, 2)
        assert answer["retry_after_ms"] > 0
        assert third.at_end()
        assert first.ask({"opt": "quit"})["status"] == "ok"
        assert first.at_end()
        while [s["user"] for s in ftd.sessions()] != ["alice"]:
            pass
        assert again.login("alice", "correct horse")["status"] == "ok"


def test_the_log_tells_who(ftd):
    with ftd.connect() as client:
        client.login("alice", "correct horse")
        client.put("/a", b"x")
    with ftd.connect() as client:
        client.login("alice", "sesame")
    ftd.stop()
    assert "logged in as alice" in ftd.errors
    assert "refused: auth_failed" in ftd.errors
    assert "horse" not in ftd.errors and "sesame" not in ftd.errors


def test_a_reload_ends_sessions_of_who_is_disabled(make_ftd):
    ftd = make_ftd(start=False)
    ftd.write_users(f"alice:{hashed('a')}", f"bob:{hashed('b')}")
    ftd.start()
    with ftd.client() as alice, ftd.client() as bob:
        assert alice.login("alice", "a")["status"] == "ok"
        assert bob.login("bob", "b")["status"] == "ok"
        ftd.write_users(f"alice:{hashed('a')}:disabled", f"bob:{hashed('b')}")
        ftd.ftctl("reload", "--users")
        last = alice.answer()[0]
        assert (last["code"], last["close"]) == ("draining", True)
        assert alice.at_end()
        assert bob.ask({"opt": "stat", "filename": "/"})["status"] == "ok"
        with ftd.client() as client:
            assert client.login("alice", "a")["code"] == "account_disabled"
    served(ftd)
