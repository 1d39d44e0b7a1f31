"""TLS on the same port, with Python's ssl and with openssl as independent clients."""
import ctypes
import hashlib
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

import wire
from harness import FTD, PATIENCE, SANITIZED, children, memory_count, name_of, private_kb, run, served, until

CLONE_NEWNET = 0x40000000
V1_1, V1_2, V1_3 = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def fingerprint(client):
    return "sha256:" + hashlib.sha256(client.sock.getpeercert(True)).hexdigest()


def pumps(ftd):
    return [p for p in children(ftd.pid) if name_of(p) == "ftd-gate"]


def stands_still(ftd):
    """The offset of the one transfer, if it does not move for a second; else 0."""
    rows = ftd.transfers()
    time.sleep(1)
    return rows[0]["offset"] if rows and ftd.transfers()[0]["offset"] == rows[0]["offset"] else 0


def make_pair(directory, name, days="30"):
    """A self-signed pair by openssl; the paths of certificate and key."""
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", days,
        "-subj", f"/CN={name}", "-keyout", key, "-out", certificate)
    return certificate, key


def named(ftd, certificate, key):
    ftd.write_conf({"tls": {"certificate": str(certificate), "key": str(key)}})


# --- the same as without

def test_files_are_the_same_over_tls(ftd):
    data = os.urandom(3_000_001)
    with ftd.secure() as client, ftd.client() as plain:
        assert client.put("/d/a", data, parents=True)["digest"] == wire.digest(data)
        assert plain.get("/d/a") == data and client.get("/d/a") == data
        assert client.names("/d") == {"a"}
        first, _ = client.put("/d/b", b""), client.ask({"opt": "remove", "filename": "/d/a"})
        assert first["status"] == "ok" and plain.names("/d") == {"b"}
        rows = {row["id"]: row["tls"] for row in ftd.sessions()}
        assert sorted(rows.values(), key=str) == ["1.3", None]
    until(lambda: not ftd.sessions() and not pumps(ftd), what="the end of sessions and pumps")


def test_transfers_tell_the_version(ftd):
    with ftd.secure() as client:
        client.send({"opt": "upload", "filename": "/a", "filesize": 1000}, b"x")
        assert until(ftd.transfers)[0]["tls"] == "1.3"


def test_five_thousand_small_uploads_sent_ahead(ftd):
    with ftd.secure(timeout=60) as client:
        for begin in range(0, 5000, 500):
            frames = b"".join(wire.encode({"opt": "upload", "filename": f"/f{i}", "filesize": 7, "id": i}, b"%07d" % i)
                              for i in range(begin, begin + 500))
            client.sock.sendall(frames)
            for i in range(max(begin - 500, 0), begin):
                header, _ = client.answer()
                assert (header["status"], header["id"]) == ("ok", i)
        for i in range(4500, 5000):
            assert client.answer()[0]["id"] == i
        assert len(client.names("/")) == 5000
    assert (ftd.root / "f4321").read_bytes() == b"0004321"


def test_half_close_still_gets_every_answer(ftd):
    (ftd.root / "a").write_bytes(b"x" * 300_000)
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = wire.tls_context().wrap_bio(into, out)
    with socket.create_connection(("127.0.0.1", ftd.port), 20 * PATIENCE) as sock:
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(out.read())
                into.write(sock.recv(65536))
        client.write(wire.encode({"opt": "download", "filename": "/a"}) + wire.encode({"opt": "ping", "id": "last"}))
        with pytest.raises(ssl.SSLWantReadError):
            client.unwrap()  # our close_notify; that of the server comes behind its answers
        sock.sendall(out.read())
        sock.shutdown(socket.SHUT_WR)
        content = b""
        while data := sock.recv(65536):
            into.write(data)
            try:
                while part := client.read(65536):
                    content += part
            except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                pass
    assert content.count(b"x") >= 300_000 and b'"last"' in content
    with pytest.raises(ssl.SSLZeroReturnError):
        client.read(1)
    until(lambda: not pumps(ftd))


def test_openssl_speaks_to_it(ftd):
    frames = wire.encode({"opt": "hello", "id": 1}) + wire.encode({"opt": "ping", "id": "second"})
    with subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{ftd.port}", "-alpn", "ftd/1", "-quiet"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        process.stdin.write(frames)
        process.stdin.flush()
        seen = b""
        while b'"second"' not in seen:
            data = process.stdout.read1(4096)
            assert data, seen
            seen += data
        process.kill()
    assert b'"session"' in seen


def test_slow_reader_holds_nothing_but_buffers(ftd):
    size = 64 << 20
    (ftd.root / "large").write_bytes(bytes(size))
    with ftd.secure(rcvbuf=65536, timeout=60) as client:
        client.send({"opt": "download", "filename": "/large"})
        (pump,) = until(lambda: pumps(ftd))
        assert until(lambda: stands_still(ftd), 20) < 32 << 20
        assert SANITIZED or private_kb(pump) < 3000
        content = 0
        while True:
            header, body = client.answer()
            content += len(body) + header.get("hole", 0)
            if not header.get("more"):
                break
        assert content == size
        if not SANITIZED:
            until(lambda: private_kb(pump) < 700, what="an idle pump that is small")


def test_client_that_vanishes_leaves_no_pump_and_no_part(ftd):
    client = ftd.secure()
    client.send({"opt": "upload", "filename": "/cut", "filesize": 1 << 20}, b"x" * 1000)
    until(ftd.transfers)
    client.sock.close()
    until(lambda: not ftd.sessions() and not pumps(ftd))
    assert not (ftd.root / "cut").exists()
    ftd.told("without a TLS close")


def test_pump_that_is_killed_ends_its_session(ftd):
    with ftd.secure() as client:
        client.put("/a", b"x")
        (pump,) = pumps(ftd)
        os.kill(pump, signal.SIGKILL)
        assert client.at_end()
    until(lambda: not ftd.sessions())
    served(ftd)


def test_session_that_is_killed_ends_its_pump(ftd):
    with ftd.secure() as client:
        client.put("/a", b"x")
        os.kill(ftd.sessions()[0]["pid"], signal.SIGKILL)
        assert client.at_end()
    until(lambda: not pumps(ftd))


def test_what_a_session_left_counts_as_one(make_ftd):
    """Who does not read cannot gather pumps by ending sessions."""
    ftd = make_ftd({"limits": {"sessions_per_address": 2, "stall_timeout": "3s"}})
    (ftd.root / "a").write_bytes(bytes(32 << 20))
    clients = []
    for _ in range(2):
        client = ftd.secure(rcvbuf=4096)
        client.send({"opt": "download", "filename": "/a"})
        clients.append(client)
    until(lambda: len(ftd.transfers()) == 2)
    time.sleep(1)  # until nothing moves any more
    for row in ftd.sessions():
        os.kill(row["pid"], signal.SIGKILL)
    until(lambda: not ftd.sessions())
    assert len(pumps(ftd)) == 2
    with wire.Wire.tls(ftd.port) as late:
        assert late.ask({"opt": "list", "filename": "/"})["code"] == "limit_sessions"
    until(lambda: not pumps(ftd), 15, "the end of pumps that nobody reads from")
    for client in clients:
        client.close()


# --- who is let in

@pytest.mark.parametrize("alpn", [["h2"], ["http/1.1", "ftd/2"]])
def test_other_protocols_are_refused(ftd, alpn):
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        wire.Wire.tls(ftd.port, context=wire.tls_context(*alpn))
    served(ftd)


def test_no_protocol_is_refused(ftd):
    done = run("openssl", "s_client", "-connect", f"127.0.0.1:{ftd.port}", check=False)
    assert done.returncode != 0 and "no application protocol" in done.stderr.lower(), done


@pytest.mark.parametrize("version", [V1_1, V1_2])
def test_old_versions_are_refused(ftd, version):
    context = wire.tls_context(oldest=version, newest=version)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        wire.Wire.tls(ftd.port, context=context)


def test_version_1_2_by_option(make_ftd):
    ftd = make_ftd({"tls": {"min_version": "1.2"}})
    with ftd.secure(context=wire.tls_context(oldest=V1_2, newest=V1_2)) as client:
        assert client.sock.version() == "TLSv1.2" and client.sock.compression() is None
        assert client.sock.cipher()[0].startswith("ECDHE-ECDSA-")
        client.put("/a", b"x")
        assert ftd.sessions()[0]["tls"] == "1.2"
        session = client.sock.session
    for ciphers in ("AES128-SHA256:AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA"):
        context = wire.tls_context(oldest=V1_2, newest=V1_2)
        context.set_ciphers(ciphers)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            wire.Wire.tls(ftd.port, context=context)
    assert session is not None
    with pytest.raises((ssl.SSLError, ConnectionError)):
        context = wire.tls_context(oldest=V1_1, newest=V1_1)
        context.set_ciphers("ALL:@SECLEVEL=0")
        wire.Wire.tls(ftd.port, context=context)


@pytest.mark.parametrize("version", [V1_2, V1_3])
def test_resumption_works_across_gates(make_ftd, version):
    ftd = make_ftd({"tls": {"min_version": "1.2"}})
    context = wire.tls_context(oldest=version, newest=version)
    with ftd.secure(context=context) as client:
        session = client.sock.session
    for _ in range(3):
        with ftd.secure(context=context, session=session) as client:
            assert client.sock.session_reused
            assert client.put("/a", b"x")["status"] == "ok"


def test_clients_show_a_certificate_of_the_ca(make_ftd, scratch):
    ca, ca_key = make_pair(scratch, "client")
    ftd = make_ftd({"tls": {"client_ca": str(ca)}})
    context = wire.tls_context()
    context.load_cert_chain(ca, ca_key)
    with ftd.secure(context=context) as client:
        assert client.put("/a", b"x")["status"] == "ok"
        session = client.sock.session
    with ftd.secure(context=context, session=session) as client:
        assert client.sock.session_reused
    with pytest.raises((ssl.SSLError, ConnectionError, wire.Closed)), wire.Wire.tls(ftd.port) as client:
        client.hello()  # with 1.3 the refusal comes behind the client's handshake


def test_plain_text_can_be_turned_off(make_ftd):
    ftd = make_ftd({"plaintext": "never"})
    for request in ({"opt": "hello", "id": 3}, {"opt": "ping"}, {"opt": "list", "filename": "/"}):
        with ftd.connect() as client:
            header = client.ask(request)
            assert (header["status"], header["code"], header["close"]) == ("error", "tls_required", True)
            assert client.at_end()
    with ftd.secure() as client:
        assert client.put("/a", b"x")["status"] == "ok"


def elsewhere(body):
    """Runs body in a thread with a network of its own, which has the address 192.0.2.1."""
    failure = []

    def inside():
        try:
            assert ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) == 0
            run("ip", "link", "set", "lo", "up")
            run("ip", "address", "add", "192.0.2.1/32", "dev", "lo")
            body()
        except BaseException as e:  # pylint: disable=broad-except
            failure.append(e)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join(60 * PATIENCE)
    assert not thread.is_alive()
    if failure:
        raise failure[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a network namespace")
def test_plain_text_from_elsewhere_is_refused(make_ftd):
    def body():
        ftd = make_ftd({"listen": None, "status": {"address": ""}}, share={"anonymous": "anywhere"}, start=False)
        ftd.write_conf({"listen": [{"address": "0.0.0.0", "port": ftd.port}]})
        ftd.start()
        with wire.Wire.tcp(ftd.port, "192.0.2.1", source="192.0.2.1") as client:
            header = client.ask({"opt": "hello", "version": [1]})
            assert header["code"] == "tls_required" and client.at_end()
        with wire.Wire.tcp(ftd.port) as client:
            client.hello()
        plain = wire.Wire.tcp(ftd.port, "192.0.2.1", source="192.0.2.1")
        with wire.Wire(wire.tls_context().wrap_socket(plain.sock)) as client:
            client.hello()
            assert client.put("/a", b"x")["status"] == "ok"
            assert ftd.sessions()[0]["peer"].startswith("192.0.2.1:")

    elsewhere(body)


# --- the certificate

def test_status_and_fingerprint_agree(ftd):
    with ftd.secure() as client:
        shown = fingerprint(client)
    tls = ftd.ask("status")["tls"]
    assert tls["fingerprint"] == shown and tls["subject"].startswith("CN = ") and tls["days_left"] > 3600
    assert run(FTD, "--fingerprint", "--config", ftd.conf).stdout.strip() == shown
    assert shown in ftd.ftctl("status").stdout
    assert re.search(r"^ftd_certificate_end_time_seconds \d+$", ftd.ftctl("metrics").stdout, re.M)
    with ftd.secure(context=wire.tls_context(ca=ftd.dir / "run/tls/certificate.pem")):
        pass
    assert (ftd.dir / "run/tls/key.pem").stat().st_mode & 0o7777 == 0o600


def test_own_pair_stays_over_a_restart(make_ftd):
    ftd = make_ftd()
    before = ftd.ask("status")["tls"]["fingerprint"]
    ftd.stop()
    ftd.start()
    assert ftd.ask("status")["tls"]["fingerprint"] == before


def test_certificate_that_ends_soon_is_warned_of(make_ftd, scratch):
    ftd = make_ftd(start=False)
    named(ftd, *make_pair(scratch, "short", days="5"))
    ftd.start()
    warnings = ftd.ask("status")["warnings"]
    assert any(re.search("ends in [45] days", text) for text in warnings), warnings


def redated(directory, name, begin, end):
    """The same for days of one's choice."""
    certificate, key = make_pair(directory, name)
    conf, request = directory / "ca.conf", directory / "request.pem"
    (directory / "index").write_text("")
    conf.write_text(f"[ca]\ndefault_ca = x\n[x]\ndatabase = {directory}/index\nnew_certs_dir = {directory}\n"
                    "rand_serial = yes\ndefault_md = sha256\npolicy = p\n[p]\ncommonName = supplied\n")
    run("openssl", "req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", request)
    run("openssl", "ca", "-batch", "-notext", "-selfsign", "-config", conf, "-keyfile", key, "-startdate", begin,
        "-enddate", end, "-in", request, "-out", certificate)
    return certificate, key


@pytest.mark.parametrize("begin, end, words", [("20200101000000Z", "20200201000000Z", "has expired"),
                                               ("20700101000000Z", "20700201000000Z", "is not valid yet")])
def test_certificate_out_of_its_days_is_warned_of_and_used(make_ftd, scratch, begin, end, words):
    ftd = make_ftd(start=False)
    named(ftd, *redated(scratch, "untimely", begin, end))
    ftd.start()
    assert any(words in text for text in ftd.ask("status")["warnings"])
    (house,) = [p for p in children(ftd.pid) if name_of(p) == "ftd-gatehouse"]
    os.kill(house, signal.SIGKILL)
    until(lambda: any(name_of(p) == "ftd-gatehouse" and p != house for p in children(ftd.pid)))
    with ftd.secure() as client:
        assert fingerprint(client) == ftd.ask("status")["tls"]["fingerprint"]
    until(lambda: f"the certificate {words}" in ftd.errors)


def test_missing_named_pair_is_made(make_ftd):
    ftd = make_ftd(start=False)
    named(ftd, ftd.dir / "run/c.pem", ftd.dir / "run/k.pem")
    ftd.start()
    assert (ftd.dir / "run/k.pem").stat().st_mode & 0o7777 == 0o600
    ftd.secure().close()


def test_pair_that_does_not_match_stops_the_start(make_ftd, scratch):
    ftd = make_ftd(start=False)
    named(ftd, make_pair(scratch, "one")[0], make_pair(scratch, "two")[1])
    done = run(FTD, "--config", ftd.conf, check=False)
    assert done.returncode == 1 and "is not the key of" in done.stderr, done


def test_reload_takes_a_new_certificate_and_keeps_the_old_for_a_broken_one(make_ftd, scratch):
    ftd = make_ftd()
    one, two = make_pair(scratch, "one"), make_pair(scratch, "two")
    with ftd.secure() as old:
        named(ftd, *one)
        ftd.ftctl("reload")
        assert ftd.ask("status")["tls"]["subject"] == "CN = one"
        with ftd.secure() as client:
            now = fingerprint(client)
            assert now == ftd.ask("status")["tls"]["fingerprint"] != fingerprint(old)
        named(ftd, one[0], two[1])
        done = ftd.ftctl("reload", check=False)
        assert done.returncode != 0 and "is not the key of" in done.stdout + done.stderr, done
        assert any("is not the key of" in text for text in ftd.ask("status")["warnings"])
        with ftd.secure() as client:
            assert fingerprint(client) == now
        named(ftd, *two)
        ftd.ftctl("reload")
        assert not ftd.ask("status")["warnings"]
        assert old.put("/a", b"still here")["status"] == "ok"


@pytest.mark.heavy
def test_changed_files_are_taken_and_broken_ones_are_not(make_ftd, scratch):
    ftd = make_ftd(start=False)
    certificate, key = scratch / "live.pem", scratch / "live.key"
    named(ftd, certificate, key)
    ftd.start()
    time.sleep(12)
    assert "have changed" not in ftd.errors  # it has made them itself
    before = ftd.ask("status")["tls"]["fingerprint"]
    other = make_pair(scratch, "other")
    os.replace(other[0], certificate)
    until(lambda: any("cannot be used" in text for text in ftd.ask("status")["warnings"]), 15)
    with ftd.secure() as client:
        assert fingerprint(client) == before
    assert "ftd_certificate_last_load_successful 0" in ftd.ftctl("metrics").stdout
    key.unlink()
    until(lambda: any("is missing" in text for text in ftd.ask("status")["warnings"]), 15)
    assert not key.exists()
    os.replace(other[1], key)
    until(lambda: ftd.ask("status")["tls"]["fingerprint"] != before, 15)
    assert not ftd.ask("status")["warnings"]
    with ftd.secure() as client:
        assert fingerprint(client) == ftd.ask("status")["tls"]["fingerprint"]


# --- the key

def key_forms(path):
    """The key as it could lie in memory: PEM, DER, and its number, either end first."""
    pem = path.read_bytes()
    der = run_bytes("openssl", "pkey", "-in", path, "-outform", "DER")
    text = run("openssl", "pkey", "-in", path, "-text", "-noout").stdout
    digits = re.search(r"priv:\s*([0-9a-f:\s]+?)\npub:", text).group(1)
    number = bytes.fromhex(re.sub(r"[:\s]", "", digits)).rjust(32, b"\0")[-32:]
    return [pem.split(b"\n")[1], der, number, number[::-1]]


def run_bytes(*args):
    return subprocess.run([str(a) for a in args], capture_output=True, check=True, timeout=20).stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to read the memory of others")
@pytest.mark.skipif(SANITIZED, reason="the address space of a sanitizer is too large to search")
def test_nobody_but_gates_has_the_key(ftd):
    forms = key_forms(ftd.dir / "run/tls/key.pem")
    with ftd.secure() as client:
        client.put("/a", b"x")
        having = {name_of(p) for p in [ftd.pid, *children(ftd.pid)] if memory_count(p, forms)}
        everybody = {name_of(p) for p in [ftd.pid, *children(ftd.pid)]}
    assert having == {"ftd-gatehouse", "ftd-gate"}  # or the search would find nothing anywhere
    assert {"ftd", "ftd-session", "ftd-sessionhous"} <= everybody  # the kernel cuts names


def test_socket_is_not_left_open_by_the_supervisor(ftd):
    """The end of a TLS connection is seen by the client, although the daemon goes on."""
    with ftd.secure() as client:
        client.send(b"no json")
        assert client.answer()[0]["close"]
        assert client.at_end()
        client.sock.settimeout(5)
        assert isinstance(client.sock, socket.socket)
