"""The client over TLS: whom it trusts, what it says where it does not, and that nothing is ever sent in the clear."""
import asyncio
import random
import re
import shlex
import socket
import ssl
import threading
import time

import pytest

from ftuser import Certificate, User
import harness
from harness import PATIENCE
import wire

MIB = 1 << 20


class Relay:
    """Speaks TLS and passes everything on to a port where plain text is spoken."""

    def __init__(self, port, certificate, alpn=("ftd/1",), version=ssl.TLSVersion.TLSv1_3, ca=None):
        self.port, self.back, self.cut_after, self.seen = harness.free_port(), port, None, []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = self.context.maximum_version = version
        self.context.load_cert_chain(certificate.file, certificate.key)
        self.context.set_alpn_protocols(list(alpn))
        self.context.sni_callback = lambda sock, name, context: self.seen.append(name)
        if ca:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(ca.file)
        self.url = f"ft://127.0.0.1:{self.port}"
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda *_: None)  # handshakes that fail are what is tested
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        harness.until(self._listens, what="the relay's port")

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.context))
        self.loop.run_forever()

    def _listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    async def _serve(self, reader, writer):
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self.back)

        async def forward():
            while data := await reader.read(MIB):
                back_writer.write(data)
                await back_writer.drain()
            back_writer.close()

        forwarding = asyncio.create_task(forward())
        passed = 0
        try:
            while data := await back_reader.read(65536):
                passed += len(data)
                if self.cut_after is not None and passed > self.cut_after:
                    writer.transport.abort()  # the TCP end, and no close_notify
                    return
                writer.write(data)
                await writer.drain()
            writer.close()
            await writer.wait_closed()
        except OSError:
            pass
        finally:
            forwarding.cancel()
            back_writer.close()

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Those of an authority, what it has signed, and two that vouch for themselves."""
    directory = tmp_path_factory.mktemp("certificates")
    authority = Certificate(directory, "authority")
    return {
        "authority": authority,
        "signed": Certificate(directory, "signed", by=authority),
        "elsewhere": Certificate(directory, "elsewhere", "DNS:elsewhere.example,IP:192.0.2.1", by=authority),
        "one": Certificate(directory, "one"),
        "other": Certificate(directory, "other"),
    }


@pytest.fixture
def user(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    return User(home)


@pytest.fixture
def relay(ftd, certificates):
    """relay(name, …): the daemon behind TLS with that certificate."""
    made = []

    def make(name="one", **how):
        made.append(Relay(ftd.port, certificates[name], **how))
        return made[-1]

    yield make
    for each in made:
        each.stop()


class OneCall:
    """Takes one connection, for serve(socket); as a context that waits for the end of it."""

    def __init__(self, serve):
        self.serve, self.listener = serve, socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        sock, _ = self.listener.accept()
        with sock:
            sock.settimeout(10 * PATIENCE)
            self.serve(sock)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.thread.join(20 * PATIENCE)
        self.listener.close()


# --- the same files as without

def test_files_travel_as_in_the_clear(ftd, user, relay, certificates, tmp_path):
    server = relay()
    tls = ["--pin", certificates["one"].fingerprint]
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "large").write_bytes(random.Random(1).randbytes(20 * MIB + 3))
    (source / "parts").write_bytes(random.Random(2).randbytes(70 * MIB + 3))
    (source / "empty").write_bytes(b"")
    for i in range(1500):
        (source / f"deep/{i}").write_text(str(i))
    user.ft("put", "-r", *tls, source, f"{server.url}/")
    user.ft("get", "-r", *tls, f"{server.url}/source", tmp_path / "back")
    names = sorted(p.relative_to(source) for p in source.rglob("*"))
    assert sorted(p.relative_to(tmp_path / "back") for p in (tmp_path / "back").rglob("*")) == names
    for name in names:
        if (source / name).is_file():
            assert (tmp_path / "back" / name).read_bytes() == (source / name).read_bytes()
            assert (ftd.root / "source" / name).read_bytes() == (source / name).read_bytes()
    listed = user.ft("ls", "-lR", *tls, f"{server.url}/source")
    assert listed.stdout == user.ft("ls", "-lR", f"{ftd.url}/source").stdout
    assert len(listed.stdout.splitlines()) >= 1500


def test_a_refused_upload_is_told_though_the_body_is_on_its_way(make_ftd, user, certificates, tmp_path):
    ftd = make_ftd(share={"rights": "read"})
    server = Relay(ftd.port, certificates["one"])
    (tmp_path / "large").write_bytes(bytes(30 * MIB))
    try:
        user.ft("put", "--pin", certificates["one"].fingerprint, tmp_path / "large", f"{server.url}/", status=6)
    finally:
        server.stop()


# --- whom it trusts

def test_an_unknown_server_is_refused_and_the_command_it_names_works(ftd, user, relay, certificates):
    server = relay()
    done = user.ft("ls", "--tls", f"{server.url}/", status=4, says="not known")
    assert certificates["one"].fingerprint in done.stderr
    assert not ftd.sessions() and not user.known.exists()
    command = shlex.split(re.search(r"ft (pin \S+ \S+)", done.stderr).group(1))
    user.ft(*command, says="known by")
    assert user.known.stat().st_mode & 0o777 == 0o600
    assert user.known.read_text().startswith(f"127.0.0.1:{server.port} {certificates['one'].fingerprint} 20")
    user.ft("ls", "--tls", f"{server.url}/")


def test_another_certificate_is_refused_until_it_is_pinned(user, relay, certificates):
    one, other = relay(), relay("other")
    user.known.parent.mkdir(parents=True)
    user.known.write_text(f"# mine\nelsewhere:1 {certificates['other'].fingerprint}\n"
                          f"127.0.0.1:{other.port} {certificates['one'].fingerprint} 2020-01-01T00:00:00Z")
    done = user.ft("ls", "--tls", f"{other.url}/", status=4, says="somebody may be in between")
    assert certificates["one"].fingerprint in done.stderr and certificates["other"].fingerprint in done.stderr
    command = shlex.split(re.search(r"ft (pin \S+ \S+)", done.stderr).group(1))
    user.ft(*command)
    user.ft("ls", "--tls", f"{other.url}/")
    lines = user.known.read_text().splitlines()
    assert lines[:2] == ["# mine", f"elsewhere:1 {certificates['other'].fingerprint}"] and len(lines) == 3
    user.ft("pin", "--remove", f"127.0.0.1:{other.port}")
    assert user.known.read_text().splitlines() == lines[:2]
    user.ft("pin", "--remove", f"127.0.0.1:{other.port}", status=7)
    user.ft("ls", "--tls", f"{one.url}/", status=4)


def test_what_is_known_weighs_more_than_an_authority(user, relay, certificates):
    server = relay("signed")
    user.ft("pin", f"127.0.0.1:{server.port}", certificates["other"].fingerprint)
    user.ft("ls", "--ca", certificates["authority"].file, f"{server.url}/", status=4, says="in between")


def test_a_file_that_is_not_understood_makes_nobody_known(user, relay, certificates):
    server = relay()
    user.known.parent.mkdir(parents=True)
    user.known.write_text(f"127.0.0.1:{server.port} {certificates['one'].fingerprint}\nnonsense\n")
    user.ft("ls", "--tls", f"{server.url}/", status=4, says="known_servers:2: not understood")
    user.ft("pin", f"127.0.0.1:{server.port}", certificates["one"].fingerprint, status=4, says="known_servers:2")
    assert user.known.read_text().endswith("nonsense\n")


def test_an_authority_vouches_for_the_name(user, relay, certificates):
    server, authority = relay("signed"), certificates["authority"].file
    user.ft("ls", "--ca", authority, f"{server.url}/")
    user.ft("ls", "--tls", "--ca", authority, f"ft://localhost:{server.port}/")
    assert "localhost" in server.seen and "127.0.0.1" not in server.seen
    assert not user.known.exists()
    user.ft("ls", "--tls", f"{server.url}/", status=4)  # the system's own know nothing of it
    user.env["SSL_CERT_FILE"] = str(authority)
    user.ft("ls", "--tls", f"{server.url}/")


def test_a_certificate_for_another_name_is_refused(ftd, user, relay, certificates):
    server, authority = relay("elsewhere"), certificates["authority"].file
    user.ft("ls", "--ca", authority, f"{server.url}/", status=4, says="IP address mismatch")
    user.ft("ls", "--ca", authority, f"ft://localhost:{server.port}/", status=4, says="hostname mismatch")
    assert not ftd.sessions()


def test_a_pin_for_one_run(user, relay, certificates):
    server = relay("signed")
    user.ft("ls", "--pin", certificates["signed"].fingerprint.upper().replace("SHA", "sha"), f"{server.url}/")
    done = user.ft("ls", "--pin", certificates["other"].fingerprint, "--ca", certificates["authority"].file,
                   f"{server.url}/", status=4, says="--pin says")
    assert certificates["signed"].fingerprint in done.stderr
    assert not user.known.exists()


def test_a_terminal_is_asked_once(user, relay, certificates):
    server = relay()
    status, shown = user.on_terminal(b"no\n", "ls", "--tls", f"{server.url}/")
    assert status == 4 and not user.known.exists()
    status, shown = user.on_terminal(b"yes\n", "ls", "--tls", f"{server.url}/")
    assert status == 0 and certificates["one"].fingerprint in shown
    assert certificates["one"].fingerprint in user.known.read_text()
    status, shown = user.on_terminal(None, "ls", "--tls", f"{server.url}/")
    assert status == 0 and "(yes/no)" not in shown
    server = relay("other")
    status, shown = user.on_terminal(b"\x03", "ls", "--tls", f"{server.url}/")
    assert status == 130 and str(server.port) not in user.known.read_text()


def test_pin_shows_what_the_server_has(ftd, user, relay, certificates):
    server = relay()
    name = f"127.0.0.1:{server.port}"
    done = user.ft("pin", name, status=4, says=f"ft pin {name} {certificates['one'].fingerprint}")
    assert done.stdout == certificates["one"].fingerprint + "\n"
    status, _ = user.on_terminal(b"yes\n", "pin", name)
    assert status == 0 and certificates["one"].fingerprint in user.known.read_text()
    assert user.ft("pin", name).stdout == certificates["one"].fingerprint + "\n"
    assert not ftd.sessions()


def test_the_client_can_show_a_certificate(user, relay, certificates, tmp_path):
    server, pin = relay(ca=certificates["authority"]), ["--pin", certificates["one"].fingerprint]
    mine, other = certificates["signed"], certificates["other"]
    user.ft("ls", *pin, "--cert", mine.file, "--key", mine.key, f"{server.url}/")
    both = tmp_path / "both.pem"
    both.write_text(mine.file.read_text() + mine.key.read_text())
    user.ft("ls", *pin, "--cert", both, f"{server.url}/")
    for shown in ([], ["--cert", other.file, "--key", other.key]):
        def refuse(sock):
            with sock.dup() as raw, pytest.raises(ssl.SSLError):
                raw.settimeout(10 * PATIENCE)
                try:
                    server.context.wrap_socket(sock, server_side=True)
                finally:  # an alert is on its way, a reset would overtake it
                    raw.shutdown(socket.SHUT_WR)
                    while raw.recv(65536):
                        pass

        with OneCall(refuse) as call:
            user.ft("ls", *pin, *shown, f"ft://127.0.0.1:{call.port}/", status=5, says="--cert")
    user.ft("ls", *pin, "--cert", mine.file, "--key", other.key, f"{server.url}/", status=13, says="another's")


# --- what is no TLS of ours

def test_nothing_else_than_ftd_is_spoken_to(ftd, user, relay, certificates):
    pin = ["--pin", certificates["one"].fingerprint]
    user.ft("ls", *pin, f"{relay(alpn=()).url}/", status=12, says="ftd/1")
    user.ft("ls", *pin, f"{relay(alpn=('http/1.1',)).url}/", status=12, says="ftd/1")
    user.ft("ls", *pin, f"{relay(version=ssl.TLSVersion.TLSv1_2).url}/", status=3, says="no TLS")
    assert not ftd.sessions()


@pytest.mark.parametrize("answer, status, says", [
    (wire.encode({"status": "error", "code": "address_refused", "message": "not \x1b you", "close": True}), 3, "not \\x1b you"),
    (wire.encode({"status": "error", "code": "draining", "close": True}), 14, "told without TLS"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", 12, "neither TLS"),
    (wire.encode({"status": "ok"}), 12, "does not speak TLS"),
    (b"", 3, "closed the connection"),
    (b"\x16\x03\x03\xff\xff" + bytes(70000), 3, "no TLS"),
    (b"\x15\x03\x03\x00\x02\x02\x28", 3, "no TLS"),
])
def test_tls_is_never_given_up(user, answer, status, says):
    """An address that is none of this machine's by its name: what is said to it is TLS, whatever it answers."""
    heard = []

    def serve(sock):
        heard.append(sock.recv(65536))
        sock.sendall(answer)
        sock.shutdown(socket.SHUT_WR)
        while data := sock.recv(65536):
            heard.append(data)

    with OneCall(serve) as call:
        user.ft("ls", f"ft://127.1:{call.port}/secret", status=status, says=says)
    assert heard[0].startswith(b"\x16\x03") and b"hello" not in b"".join(heard)


def test_plain_text_is_for_those_who_say_so(ftd, user):
    user.ft("ls", "--plain", f"ft://127.1:{ftd.port}/")
    user.ft("ls", f"ft://127.0.0.1:{ftd.port}/")
    user.home.joinpath(".config/ft").mkdir(parents=True)
    user.home.joinpath(".config/ft/config").write_text(f"[nas]\nurl = ft://127.1:{ftd.port}/\nplain = yes\n")
    user.ft("ls", "nas:/")
    for more in ("--tls", "--ca=x", "--cert=x"):
        user.ft("ls", "--plain", more, f"{ftd.url}/", status=2, says="--plain means no TLS")
    user.ft("ls", "--key=x", f"{ftd.url}/", status=2, says="--cert is missing")
    user.ft("ls", "--pin=sha256:12", f"{ftd.url}/", status=2, says="sha256:12")


# --- ends

def test_a_cut_is_no_end(ftd, user, relay, certificates, tmp_path):
    server, pin = relay(), ["--pin", certificates["one"].fingerprint]
    (ftd.root / "large").write_bytes(random.Random(3).randbytes(8 * MIB))
    server.cut_after = 2 * MIB
    user.ft("get", *pin, f"{server.url}/large", tmp_path / "large", status=10, says="cut")
    assert not (tmp_path / "large").exists()
    server.cut_after = 0
    user.ft("ls", *pin, f"{server.url}/", status=10, says="cut")
    server.cut_after = None
    user.ft("get", *pin, f"{server.url}/large", tmp_path / "large")
    assert (tmp_path / "large").read_bytes() == (ftd.root / "large").read_bytes()


def test_a_silent_server_is_given_up(user):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        begin = time.monotonic()
        user.ft("ls", "--tls", "--timeout=500ms", f"ft://127.0.0.1:{listener.getsockname()[1]}/", status=3)
        assert time.monotonic() - begin < 10 * PATIENCE
