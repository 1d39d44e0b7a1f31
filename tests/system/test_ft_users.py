"""Client and daemon together: every way to trust a server, with every way to log in there."""
import random
import subprocess

import pytest

from ftuser import Certificate, User
import harness

MIB = 1 << 20
PASSWORD = "correct horse"


def ftctl_user(ftd, *args, **more):
    """The users file as its administrator edits it."""
    command = [harness.FTCTL, "-s", ftd.control, "user", *args, "--file", ftd.dir / "users"]
    done = subprocess.run([str(a) for a in command], capture_output=True, text=True, timeout=60, check=False, **more)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certificates")
    authority = Certificate(directory, "authority")
    return {
        "authority": authority,
        "server": Certificate(directory, "server", by=authority),
        "other": Certificate(directory, "other"),
        **{name: Certificate(directory, name, by=authority, subject=name) for name in ("alice", "bob", "carol")},
    }


@pytest.fixture(scope="module")
def ftd(make_shared_ftd, certificates):
    """Alice may use all ways, bob a password, carol is disabled; nobody gets in without a login."""
    server, authority = certificates["server"], certificates["authority"]
    tls = {"certificate": str(server.file), "key": str(server.key), "client_ca": str(authority.file),
           "client_certificate": "optional"}
    ftd = make_shared_ftd({"tls": tls}, share={"anonymous": "never"}, start=False)
    ftctl_user(ftd, "add", "alice", "--stdin", "--certificate", input=PASSWORD + "\n")
    ftctl_user(ftd, "add", "bob", "--stdin", input="battery\n")
    ftctl_user(ftd, "add", "carol", "--stdin", "--certificate", input=PASSWORD + "\n")
    ftctl_user(ftd, "disable", "carol")
    return ftd.start()


@pytest.fixture
def user(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    return User(home)


def url(ftd, user="alice", path="/"):
    return f"ft://{user}@127.0.0.1:{ftd.port}{path}"


def netrc(user, password, name="alice"):
    file = user.home / ".netrc"
    file.write_text(f"machine 127.0.0.1 login {name} password \"{password}\"\n")
    file.chmod(0o600)


def prepare(ftd, user, certificates, how):
    """Gives the user what it takes; the options that say so."""
    if how == "certificate":
        return ["--cert", certificates["alice"].file, "--key", certificates["alice"].key]
    if how == "key":
        line = user.ft("login", "--new-key", url(ftd)).stdout.split()
        assert line[:3] == ["ftctl", "user", "key"]
        ftctl_user(ftd, *line[2:6])
    else:
        netrc(user, PASSWORD)
    return []


@pytest.mark.parametrize("how", ["password", "key", "certificate"])
@pytest.mark.parametrize("trust", ["first use", "authority", "pin"])
def test_files_come_and_go(ftd, user, certificates, tmp_path, trust, how):
    server = certificates["server"]
    options = {"first use": ["--tls"], "authority": ["--ca", certificates["authority"].file],
               "pin": ["--pin", server.fingerprint]}[trust]
    options += prepare(ftd, user, certificates, how)
    (tmp_path / "sent").write_bytes(random.Random(1).randbytes(3 * MIB + 1))
    if trust == "first use":
        status, shown = user.on_terminal(b"yes\n", "put", *options, tmp_path / "sent", url(ftd, path="/got"))
        assert status == 0 and server.fingerprint in shown and server.fingerprint in user.known.read_text()
    else:
        user.ft("put", *options, tmp_path / "sent", url(ftd, path="/got"))
        assert not user.known.exists()
    user.ft("get", *options, url(ftd, path="/got"), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (ftd.root / "got").read_bytes() == (tmp_path / "sent").read_bytes()
    assert user.ft("login", *options, url(ftd)).stdout.startswith(f"alice at 127.0.0.1, port {ftd.port}: read list ")
    (ftd.root / "got").unlink()


def test_within_this_machine_a_password_will_do(ftd, user, tmp_path):
    netrc(user, PASSWORD)
    (tmp_path / "sent").write_text("x")
    user.ft("put", tmp_path / "sent", url(ftd, path="/plain"))
    user.ft("get", url(ftd, path="/plain"), tmp_path / "back")
    assert (tmp_path / "back").read_text() == "x"
    assert user.ft("ls", url(ftd)).stdout.split() == ["plain"]


def test_a_typed_password(ftd, user):
    for typed, expected in ((PASSWORD, 0), ("incorrect horse", 5)):
        status, shown = user.on_terminal(typed.encode() + b"\n", "ls", url(ftd),
                                         question="Password of alice@127.0.0.1: ")
        assert status == expected and typed not in shown


def test_a_wrong_pin_is_met_before_any_secret(ftd, user, certificates):
    netrc(user, PASSWORD)
    before = ftd.ask("status")["sessions"]
    user.ft("ls", "--pin", certificates["other"].fingerprint, url(ftd), status=4, says="--pin says")
    assert ftd.ask("status")["sessions"] == before


@pytest.mark.parametrize("name, password, says", [
    ("alice", "incorrect horse", "does not let alice in with the password from ~/.netrc"),
    ("nobody", PASSWORD, "does not let nobody in with the password from ~/.netrc"),
    ("carol", "incorrect horse", "does not let carol in"),
    ("carol", PASSWORD, "carol is disabled"),
])
@pytest.mark.parametrize("options", [[], ["--tls"]])
def test_a_wrong_password(ftd, user, certificates, name, password, says, options):
    user.ft("pin", f"127.0.0.1:{ftd.port}", certificates["server"].fingerprint)
    netrc(user, password, name)
    user.ft("ls", *options, url(ftd, name), status=5, says=says)


def test_a_key_that_is_not_known_there(ftd, user, certificates):
    line = user.ft("login", "--new-key", url(ftd, "bob")).stdout.strip()
    tls = ["--ca", certificates["authority"].file]
    user.ft("ls", *tls, url(ftd, "bob"), status=5, says=line.split(" --label")[0])
    ftctl_user(ftd, *line.split()[2:])
    user.ft("ls", *tls, url(ftd, "bob"))
    user.ft("ls", *tls, url(ftd, "alice"), status=5)
    ftctl_user(ftd, "key", "remove", "bob", line.split()[5])
    user.ft("ls", *tls, url(ftd, "bob"), status=5)


def test_a_certificate_is_one_users(ftd, user, certificates):
    def shown(name):
        one = certificates[name]
        return ["--ca", certificates["authority"].file, "--cert", one.file, "--key", one.key]

    user.ft("ls", *shown("alice"), url(ftd))
    user.ft("ls", *shown("alice"), url(ftd, "bob"), status=5, says='"alice" there, not bob')
    user.ft("ls", *shown("bob"), url(ftd, "bob"), status=5, says="lets nobody in with the certificate")
    user.ft("ls", *shown("carol"), url(ftd, "carol"), status=5, says="carol is disabled")


def test_who_does_not_log_in_is_told_how(ftd, user):
    user.ft("ls", f"{ftd.url}/", status=5, says="ft://USER@HOST")
