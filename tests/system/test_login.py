"""Logging in: who gets in and with what, who does not, and what either is told."""
import os
import signal
import socket
import ssl
import struct
import subprocess
import time

import pytest

from harness import SANITIZED, children, hashed, name_of, run, served, until
from network import SERVER, entered, make_network  # noqa: F401  pylint: disable=unused-import
from wire import Closed, Wire, tls_context, tls_exporter

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
    said = f"user {user}" if user in ("alice", "bob", "carol") else "unknown user"
    until(lambda: f"refused: auth_failed (wrong user or secret), {said}\n" in ftd.errors, 10, "the log")


def test_a_password_in_the_place_of_the_name_is_not_logged(ftd, connect):
    with connect() as client:
        client.hello()
        assert client.login("s3cret", "alice") == REFUSED
    until(lambda: "unknown user" in ftd.errors, 10, "the log")
    assert "s3cret" not in ftd.errors


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
    ftd.told("nobody can log in")
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
        assert 'ftd_limit_used{limit="sessions_per_user"} 2\n' in ftd.ftctl("metrics").stdout
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
    ftd.told("logged in as alice")
    ftd.told("refused: auth_failed")
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


# --- keys

class Key:
    """An Ed25519 key that the openssl program holds."""

    def __init__(self, directory, name):
        self.path = directory / f"{name}.pem"
        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", self.path)
        done = subprocess.run(["openssl", "pkey", "-in", self.path, "-pubout", "-outform", "DER"], check=True,
                              capture_output=True)
        self.public = done.stdout[-32:]

    def sign(self, text):
        message = self.path.with_suffix(".message")
        message.write_bytes(text)
        return subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.path, "-in", message],
                              check=True, capture_output=True).stdout


@pytest.fixture(name="key")
def a_key(ftd):
    key = Key(ftd.dir, "key")
    ftd.write_users(f"alice:{hashed('x')}:key={'0' * 64},key={key.public.hex()}/laptop", f"bob:*:disabled,key={key.public.hex()}",
                    "carol:*")
    return key


def test_a_key(ftd, key):
    with ftd.secure() as client:
        answer = client.login_key("alice", key, id=1)
        assert (answer["status"], answer["user"], answer["id"]) == ("ok", "alice", 1)
        assert client.put("/a", b"x")["status"] == "ok"


def test_a_key_that_is_not_theirs(ftd, key):
    other = Key(ftd.dir, "other")
    for user, which, code in (("alice", other, "auth_failed"), ("carol", key, "auth_failed"),
                              ("nobody", key, "auth_failed"), ("bob", key, "account_disabled"),
                              ("bob", other, "auth_failed")):
        with ftd.secure() as client:
            assert client.login_key(user, which)["code"] == code
            assert client.at_end()


def test_a_signature_is_of_no_use_elsewhere(ftd, key):
    """Neither another connection's, nor for another user, nor what a resumed one had."""
    with ftd.secure() as first, ftd.secure() as second:
        assert second.login_key("alice", key, exporter=tls_exporter(first.sock))["code"] == "auth_failed"
        assert first.login_key("alice", key)["status"] == "ok"
        session, old = first.sock.session, tls_exporter(first.sock)
    with ftd.secure(session=session, context=first.sock.context) as resumed:
        assert resumed.sock.session_reused
        assert resumed.login_key("alice", key, exporter=old)["code"] == "auth_failed"
    with ftd.secure() as client:
        signed = b"ftd/1 login\0alice\0" + tls_exporter(client.sock)
        answer = client.ask({"opt": "login", "user": "bob", "key": key.public.hex(), "signature": key.sign(signed).hex()})
        assert answer["code"] == "auth_failed"


def test_a_key_needs_tls_1_3(ftd, key):
    ftd.write_conf({"tls": {"min_version": "1.2"}})
    ftd.ftctl("reload")
    context = tls_context(oldest=ssl.TLSVersion.TLSv1_2, newest=ssl.TLSVersion.TLSv1_2)
    with ftd.secure(context=context) as client:
        assert client.login_key("alice", key)["code"] == "tls_required"
    with ftd.connect() as client:
        assert client.login_key("alice", key, exporter=bytes(32))["code"] == "tls_required"


# --- certificates

def certified(ftd, name, subject, ca=None):
    """A certificate and its key, signed by the CA or by itself."""
    path, key = ftd.dir / f"{name}.pem", ftd.dir / f"{name}.key"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
               key, "-out", path, "-subj", subject, "-days", "2"]
    if ca:
        request += ["-CA", ca[0], "-CAkey", ca[1]]
    run(*request)
    return path, key


def with_certificate(pair):
    context = tls_context()
    if pair:
        context.load_cert_chain(*pair)
    return context


@pytest.fixture(name="ca")
def an_authority(ftd):
    ca = certified(ftd, "ca", "/CN=people")
    ftd.write_users("alice:*:certificate", "bob:*:certificate,disabled", f"carol:{hashed('x')}")
    ftd.write_conf({"tls": {"client_ca": str(ca[0]), "client_certificate": "optional"}})
    ftd.ftctl("reload")
    return ca


def test_a_certificate(ftd, ca):
    context = with_certificate(certified(ftd, "alice", "/O=x/CN=alice", ca))
    with ftd.secure(context=context) as client:
        answer = client.ask({"opt": "login"})
        assert (answer["status"], answer["user"]) == ("ok", "alice")
        session = client.sock.session
    with ftd.secure(context=context, session=session) as client:  # who it was lies in the ticket
        assert client.sock.session_reused
        assert client.ask({"opt": "login"})["user"] == "alice"
    with ftd.secure(context=context) as client:
        assert client.login("carol", "x")["user"] == "carol"  # a certificate does not log in by itself


@pytest.mark.parametrize("subject, code", [
    ("/CN=bob", "account_disabled"), ("/CN=carol", "auth_failed"), ("/CN=nobody", "auth_failed"), ("/O=alice", "auth_failed"),
    ("/CN=alice/CN=alice", "auth_failed"), ("/CN=nobody/CN=alice", "auth_failed"), ("/CN=Alice", "auth_failed")])
def test_a_certificate_of_somebody_else(ftd, ca, subject, code):
    with ftd.secure(context=with_certificate(certified(ftd, "other", subject, ca))) as client:
        assert client.ask({"opt": "login"})["code"] == code
        assert client.at_end()


def test_no_certificate(ftd, ca):
    with ftd.secure() as client:
        assert client.ask({"opt": "login"})["code"] == "auth_failed"
    with ftd.secure() as client:
        assert client.login("carol", "x")["status"] == "ok"
    with ftd.connect() as client:
        assert client.ask({"opt": "login"})["code"] == "auth_failed"
    stranger = certified(ftd, "stranger", "/CN=alice")
    with pytest.raises((ssl.SSLError, ConnectionError, Closed)), Wire.tls(
            ftd.port, context=with_certificate(stranger)) as client:
        client.hello()
    ftd.write_conf({"tls": {"client_certificate": "required"}})
    ftd.ftctl("reload")
    with pytest.raises((ssl.SSLError, ConnectionError, Closed)), Wire.tls(ftd.port) as client:
        client.hello()
    assert ca


# --- secrets stay where they belong

def memory_has(pid, what):
    """Whether the process's own memory holds the bytes; one that is gone has nothing."""
    try:
        with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
            for line in maps:
                area, access = line.split()[:2]
                start, end = (int(n, 16) for n in area.split("-"))
                if access[:2] == "rw":
                    memory.seek(start)
                    if what in memory.read(end - start):
                        return True
    except (FileNotFoundError, ProcessLookupError):
        pass
    return False


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to look into roles")
@pytest.mark.skipif(SANITIZED, reason="the memory of sanitizers is larger than any")
def test_a_password_stays_nowhere(ftd, connect):
    """Neither in the pump nor in the session, nor anywhere else of the daemon, once it was checked."""
    ftd.write_users(f"alice:{hashed('Tr0ubadour-unheard-of')}")
    with connect() as client:
        assert client.login("alice", "Tr0ubadour-unheard-of")["status"] == "ok"
        client.put("/a", b"Content-that-is-here" * 10)
        living = [ftd.pid, *children(ftd.pid)]
        assert not [name_of(p) for p in living if memory_has(p, b"Tr0ubadour-unheard-of")]
        assert any(memory_has(p, b"Content-that-is-here") for p in living)  # the search finds what is there


# --- from elsewhere

def test_no_password_in_plain_text_from_elsewhere(make_ftd, network):
    ftd = network.serve(make_ftd, {"plaintext": "anywhere"}, share={"anonymous": "anywhere"})
    ftd.write_users(f"alice:{hashed('x')}")
    with entered(network.outside):
        with ftd.connect(host=SERVER) as client:
            answer = client.login("alice", "x")
            assert (answer["code"], answer["close"]) == ("tls_required", True)
            assert client.at_end()
        with ftd.connect(host=SERVER) as client:
            assert client.put("/a", b"x")["status"] == "ok"  # who does not log in may
        with ftd.secure(host=SERVER) as client:
            assert client.login("alice", "x")["status"] == "ok"
            assert client.get("/a") == b"x"


# --- verifiers that fail

def verifiers(ftd):
    return [p for p in children(ftd.pid) if name_of(p) == "ftd-verifier"]


# a second or so of hashing
SLOW = "$6$rounds=1500000$saltsalt$x"


def test_a_verifier_that_dies_lets_nobody_in(ftd):
    ftd.write_users(f"alice:{SLOW}", f"bob:{hashed('x')}")
    with ftd.connect() as client:
        client.send({"opt": "login", "user": "alice", "password": "x"})
        os.kill(until(lambda: verifiers(ftd), what="a verifier")[0], signal.SIGKILL)
        assert client.answer()[0]["code"] == "internal"
        assert client.at_end()
    with ftd.connect() as client:
        assert client.login("bob", "x")["status"] == "ok"
    ftd.told("a verifier ended without an answer (signal 9)")


def test_no_more_verifiers_than_processors(ftd):
    ftd.write_users(f"alice:{SLOW}")
    clients = [ftd.connect() for _ in range(3 * os.cpu_count())]
    for client in clients:
        client.send({"opt": "login", "user": "alice", "password": "x"})
    until(lambda: len(verifiers(ftd)) == os.cpu_count(), what="a verifier for each processor")
    for _ in range(20):
        assert len(verifiers(ftd)) <= os.cpu_count()
        time.sleep(0.02)
    for client in clients:
        assert client.answer()[0] == REFUSED
        client.close()


def test_a_gate_that_dies_takes_its_verifier_along(ftd):
    ftd.write_users("alice:$6$rounds=20000000$saltsalt$x", f"bob:{hashed('x')}")
    with ftd.connect() as client:
        client.send({"opt": "login", "user": "alice", "password": "x"})
        until(lambda: verifiers(ftd), what="a verifier")
        os.kill(next(p for p in children(ftd.pid) if name_of(p) == "ftd-gate"), signal.SIGKILL)
        until(lambda: not verifiers(ftd), 2, "the end of the verifier")
    with ftd.connect() as client:
        assert client.login("bob", "x")["status"] == "ok"


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_client_that_is_cut_off_takes_its_verifier_along(ftd, secure):
    """And its place among the gates. Who has only ended the sending side still wants the answer."""
    ftd.write_users("alice:$6$rounds=20000000$saltsalt$x", f"bob:{hashed('x')}")
    with (ftd.secure if secure else ftd.client)() as client:
        client.send({"opt": "login", "user": "alice", "password": "x"})
        until(lambda: verifiers(ftd), what="a verifier")
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(lambda: not verifiers(ftd), 20, "the end of the verifier")
    until(lambda: ftd.ask("status")["logins"] == 0, 20, "the end of the gate")
    assert "without an answer" not in ftd.errors and "too long" not in ftd.errors
    with ftd.client() as client:
        client.send({"opt": "login", "user": "bob", "password": "x"})
        client.sock.shutdown(socket.SHUT_WR)
        assert client.answer()[0]["status"] == "ok"


def test_many_at_once_all_get_in(ftd):
    clients = [ftd.connect() for _ in range(40)]
    for i, client in enumerate(clients):
        client.send({"opt": "login", "user": "alice", "password": "correct horse" if i % 2 else "wrong"})
    for i, client in enumerate(clients):
        answer = client.answer()[0]
        assert answer.get("user") == ("alice" if i % 2 else None), answer
        client.close()
    until(lambda: not verifiers(ftd), 5)  # the last one has answered, and ends
