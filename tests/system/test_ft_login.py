"""The client's login: with what, to whom it is told, and what is said when it is refused."""
import re
import socket
import ssl
import subprocess
import threading

import pytest

from ftuser import Certificate, User
import harness
from harness import PATIENCE, SANITIZED
import wire

PASSWORD = "a päss\"word\\ of alice"
RIGHTS = ["read", "list", "\x1b"]
REFUSED = {"status": "error", "code": "auth_failed", "message": "no", "close": True, "retry_after_ms": 1}


def take(request):
    """Anybody, and alice where nobody says who it is."""
    return {"status": "ok", "user": request.get("user", "alice"), "rights": RIGHTS}


def refuse(_):
    return REFUSED


class Server:
    """Answers "hello", "login" as it is told to, and "space"; remembers what it was asked."""

    def __init__(self, answer=take, certificate=None, ca=None, host="127.0.0.1", cut=0):
        self.answer, self.cut, self.logins, self.others = answer, cut, [], []
        self.meet = lambda: None  # called when something else than a login is asked
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.minimum_version = ssl.TLSVersion.TLSv1_3
            self.context.load_cert_chain(certificate.file, certificate.key)
            self.context.set_alpn_protocols(["ftd/1"])
            if ca:
                self.context.verify_mode = ssl.CERT_OPTIONAL
                self.context.load_verify_locations(ca.file)
        self.listener = socket.create_server((host, 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def url(self, user="alice", host="127.0.0.1"):
        return f"ft://{user}@{host}:{self.port}/" if user else f"ft://{host}:{self.port}/"

    def _run(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            try:
                with sock:
                    self._serve(self.context.wrap_socket(sock, server_side=True) if self.context else sock)
            except (OSError, wire.Closed, AssertionError):  # what is no frame here is what is tested
                pass

    def _serve(self, sock):
        client, user = wire.Wire(sock, 20 * PATIENCE), None
        while True:
            request = client.header()
            answer = {"status": "ok"}
            if request["opt"] == "login":
                self.logins.append(request)
                answer = self.answer(request)
                user = answer["status"] == "ok"
            elif request["opt"] != "hello":
                self.others.append(request)
                self.meet()
                if self.cut > 0:
                    self.cut -= 1
                    return
                answer = {"status": "ok", "free": 7} if user else {"status": "error", "code": "auth_required"}
            client.send({**answer, "id": request["id"]})
            if answer.get("close"):
                sock.unwrap() if self.context else sock.shutdown(socket.SHUT_WR)
                return

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)

    def passwords(self):
        return [(each.get("user"), each.get("password")) for each in self.logins]


@pytest.fixture
def serve():
    made = []

    def make(*args, **how):
        made.append(Server(*args, **how))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certificates")
    authority = Certificate(directory, "authority")
    return {
        "authority": authority,
        "server": Certificate(directory, "server", by=authority),
        "alice": Certificate(directory, "alice", by=authority, subject="alice"),
    }


@pytest.fixture
def user(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    return User(home)


def keep(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return path


# --- where a password comes from

def test_who_is_not_named_does_not_log_in(user, serve):
    server = serve()
    keep(user.home / ".netrc", "default login alice password no\n")
    user.ft("df", server.url(user=None), status=5, says="ft://USER@HOST")
    assert not server.logins and len(server.others) == 1


def test_a_password_from_a_command(user, serve, tmp_path):
    server = serve()
    keep(tmp_path / "it", PASSWORD + "\nuser: alice\n")
    user.ft("df", "--password-command", f"cat; cat '{tmp_path}/it'", server.url())
    assert server.passwords() == [("alice", PASSWORD)]
    user.ft("df", "--password-command", "echo half; exit 3", server.url(), status=13, says="the command failed")
    user.ft("df", "--password-command", "true", server.url(), status=13, says="no password there")
    user.ft("df", "--password-command", "printf '\\377'", server.url(), status=13, says="no password there")
    user.ft("df", "--password-command", "head -c 2000 /dev/zero | tr '\\0' x", server.url(), status=13)
    user.ft("df", "--password-command", "yes no", server.url(), status=13)
    assert len(server.logins) == 1


def test_the_command_does_not_eat_what_is_sent(user, serve):
    server = serve()
    asked = subprocess.run([harness.FT, "df", "--password-command", "cat >&2; echo secret", server.url()],
                           input=b"data", env=user.env, capture_output=True, timeout=60, check=True)
    assert b"data" not in asked.stderr and server.passwords() == [("alice", "secret")]


def test_a_password_from_a_file(user, serve, tmp_path):
    server, file = serve(), keep(tmp_path / "it", PASSWORD + "\n")
    user.ft("df", server.url(), FT_PASSWORD_FILE=str(file))
    assert server.passwords() == [("alice", PASSWORD)]
    user.ft("df", "--password-command", "echo said", server.url(), FT_PASSWORD_FILE=str(file))
    assert server.logins[-1]["password"] == "said"
    file.chmod(0o604)
    user.ft("df", server.url(), FT_PASSWORD_FILE=str(file), status=13, says="everybody can read")
    user.ft("df", server.url(), FT_PASSWORD_FILE=str(tmp_path / "none"), status=13, says="FT_PASSWORD_FILE")
    assert len(server.logins) == 2


def test_a_password_from_netrc(user, serve):
    server = serve()
    text = "machine localhost login alice password no\nmachine 127.0.0.1 login bob password of-bob\n" \
           "machine 127.0.0.1 login alice password of-alice\n"
    netrc = keep(user.home / ".netrc", text)
    user.ft("df", server.url(), server.url("bob"), server.url())
    assert server.passwords() == [("alice", "of-alice"), ("bob", "of-bob"), ("alice", "of-alice")]
    user.ft("df", server.url("carol"), status=5, says="there is nothing to log in with as carol")
    netrc.chmod(0o640)
    user.ft("df", server.url(), status=13, says="chmod 600 ~/.netrc")
    keep(netrc, "machine 127.0.0.1\nsecret of-alice\n")
    assert "of-alice" not in user.ft("df", server.url(), status=13, says="~/.netrc:2: not understood").stderr
    assert len(server.logins) == 3


def test_a_password_from_the_terminal(user, serve):
    server = serve(cut=2)
    status, shown = user.on_terminal(b"secret\n", "df", "--retry-for=20s", server.url(), server.url(),
                                     question="Password of alice@127.0.0.1: ")
    assert status == 0 and "secret" not in shown and shown.count("Password") == 1
    assert server.passwords() == [("alice", "secret")] * 3  # the connection was cut twice
    status, shown = user.on_terminal(b"\x03", "df", server.url(), question="Password")
    assert status == 130 and len(server.logins) == 3
    status, shown = user.on_terminal(b"\n", "df", server.url(), question="Password")
    assert status == 13 and len(server.logins) == 3


def test_no_password_stands_in_an_address(user, serve):
    server = serve()
    for url in (f"ft://alice:{PASSWORD[2:6]}@127.0.0.1:{server.port}/", f"ft://alice:a/b@127.0.0.1:{server.port}/"):
        for command in ("df", "login", "pin", "ping"):
            done = user.ft(command, url, status=2)
            assert "alice" not in done.stderr
    assert not server.logins


@pytest.mark.skipif(SANITIZED, reason="the address space of a sanitizer is too large to search")
@pytest.mark.parametrize("tls", [False, True])
def test_a_password_is_in_memory_once(user, serve, certificates, tls):
    """It is kept for further connections; nothing else that had it still has it."""
    server = serve(certificate=certificates["server"] if tls else None)
    asked, go_on = threading.Event(), threading.Event()
    server.meet = lambda: asked.set() or go_on.wait(20 * PATIENCE)
    keep(user.home / ".netrc", "machine 127.0.0.1 login alice password Unguessable-7351-Password\n")
    with subprocess.Popen([harness.FT, "df", "--ca", certificates["authority"].file, server.url()] if tls else
                          [harness.FT, "df", server.url()], env=user.env, stdout=subprocess.DEVNULL) as process:
        assert asked.wait(20 * PATIENCE)
        try:
            assert harness.memory_count(process.pid, [b"ssable-7351-Pass"]) == 1
        finally:
            go_on.set()
        assert process.wait(20 * PATIENCE) == 0


# --- refusals

def test_a_refused_login_is_not_repeated(user, serve):
    server = serve(refuse)
    user.ft("df", "--retry-for=20s", "--password-command", "echo wrong", server.url(), status=5,
            says="does not let alice in with the password from --password-command")
    assert len(server.logins) == 1
    server = serve(lambda _: {"status": "error", "code": "account_disabled", "close": True})
    user.ft("df", "--retry-for=20s", "--password-command", "echo right", server.url(), status=5,
            says="alice is disabled")
    assert len(server.logins) == 1


def test_a_login_that_was_not_judged_is_repeated(user, serve):
    busy = {"status": "error", "code": "limit_sessions", "close": True, "retry_after_ms": 1}
    server = serve(lambda request: busy if len(server.logins) == 1 else take(request))
    user.ft("df", "--retry-for=20s", "--password-command", "echo right", server.url())
    assert len(server.logins) == 2


def test_who_one_is_has_to_be_who_was_meant(user, serve):
    server = serve(lambda request: {**take(request), "user": "mallory\x1b[2J"})
    user.ft("df", "--password-command", "echo right", server.url(), status=5, says="mallory\\x1b[2J")
    assert not server.others


def test_nobody_logs_in_over_a_network_in_plain_text(user, serve):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address = probe.getsockname()[0]
    server = serve(host="0.0.0.0")
    for option in ("--plain", "--verbose"):
        user.ft("df", option, "--password-command", "echo secret", server.url(host=address),
                status=6 if option == "--plain" else 3)
    assert not server.logins


# --- keys

def test_a_key_is_made_once_and_logs_in(user, serve, certificates):
    server, tls = serve(certificate=certificates["server"]), ["--ca", certificates["authority"].file]
    done = user.ft("login", "--new-key", "ft://alice@nas.example")
    line = re.fullmatch(r"ftctl user key add alice ([0-9a-f]{64}) --label ([A-Za-z0-9@._-]{1,63})\n", done.stdout)
    file = user.home / ".config/ft/id_ed25519"
    assert line and file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    assert user.ft("login", "--new-key", "ft://alice@nas.example", status=8).stdout == done.stdout
    assert file.read_bytes() == before
    user.ft("df", *tls, server.url())
    login = server.logins[0]
    assert (login["user"], login["key"]) == ("alice", line.group(1)) and "password" not in login
    user.ft("df", *tls, server.url())
    assert len(login["signature"]) == 128 and server.logins[1]["signature"] != login["signature"]
    file.chmod(0o644)
    user.ft("df", *tls, server.url(), status=13, says="chmod 600")
    keep(file, "nonsense")
    user.ft("df", *tls, server.url(), status=13, says="no Ed25519 key")


def test_a_key_by_its_name(user, serve, certificates, tmp_path):
    server, tls = serve(certificate=certificates["server"]), ["--ca", certificates["authority"].file]
    user.ft("login", "--new-key", "--identity", tmp_path / "mine")
    user.ft("df", *tls, "--identity", tmp_path / "mine", "--password-command", "echo no", server.url())
    assert set(server.logins[0]) == {"opt", "id", "user", "key", "signature"}
    user.ft("df", *tls, "--identity", tmp_path / "none", server.url(), status=13, says="No such file")
    user.ft("df", "--plain", "--identity", tmp_path / "mine", server.url(), status=2, says="--identity")


def test_where_there_is_no_tls_a_key_is_left_alone(user, serve):
    server = serve()
    user.ft("login", "--new-key")
    keep(user.home / ".netrc", "default password of-alice")
    user.ft("df", server.url())
    assert server.passwords() == [("alice", "of-alice")]


def test_a_key_that_is_not_taken(user, serve, certificates):
    server = serve(lambda request: REFUSED if "key" in request else take(request), certificate=certificates["server"])
    tls = ["--ca", certificates["authority"].file]
    key = user.ft("login", "--new-key").stdout.split()[5]
    user.ft("df", *tls, "--retry-for=20s", server.url(), status=5, says=f"ftctl user key add alice {key}")
    assert len(server.logins) == 1
    server.cut = 1
    status, _ = user.on_terminal(b"secret\n", "df", *tls, "--retry-for=20s", server.url(), question="Password")
    assert status == 0 and ["key" in each for each in server.logins] == [True, True, False, False]
    keep(user.home / ".netrc", "default password of-alice")
    user.ft("df", *tls, server.url())
    assert server.logins[-1]["password"] == "of-alice" and len(server.logins) == 5


# --- certificates

def test_a_certificate_says_it_all(user, serve, certificates):
    server = serve(certificate=certificates["server"], ca=certificates["authority"])
    alice = certificates["alice"]
    how = ["--ca", certificates["authority"].file, "--cert", alice.file, "--key", alice.key]
    user.ft("df", *how, server.url())
    assert set(server.logins[0]) == {"opt", "id"}
    user.ft("df", *how, server.url("bob"), status=5, says='"alice" there, not bob')
    server.answer = refuse
    user.ft("df", *how, server.url(), status=5, says="lets nobody in with the certificate")


# --- ft login

def test_login_says_as_whom_and_with_which_rights(user, serve):
    server = serve()
    done = user.ft("login", "--password-command", "echo secret", server.url())
    assert done.stdout == f"alice at 127.0.0.1, port {server.port}: read list \\x1b\n"
    assert not server.others
    done = user.ft("login", "--json", "--password-command", "echo secret", server.url())
    assert '"user": "alice"' in done.stdout.replace('":"', '": "')
    user.ft("login", server.url(user=None), status=2, says="who logs in?")
    user.ft("login", status=2)
    server.answer = refuse
    user.ft("login", "--password-command", "echo secret", server.url(), status=5)
