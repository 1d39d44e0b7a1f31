"""Installed and run by systemd: a machine of our own is booted for it (tests/systemd-sandbox)."""
import json
import os
import re
import select
import shutil
import subprocess
import time

import pytest

from harness import BUILD, SOURCE, hashed, run, until

pytestmark = pytest.mark.service
SANDBOX = SOURCE / "tests/systemd-sandbox"


class Machine:
    """Commands inside it."""

    def __init__(self, pid):
        self.pid = pid

    def run(self, *args, check=True, **more):
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
                       "SYSTEMD_PAGER": ""}
        return run("nsenter", "-a", "-t", self.pid, *args, check=check, env=environment, **more)

    def out(self, *args):
        return self.run(*args).stdout.strip()

    def show(self, key, unit="ftd.service"):
        return self.out("systemctl", "show", "-P", key, unit)

    def journal(self, *match):
        self.run("journalctl", "--sync")
        lines = self.out("journalctl", "-o", "json", "--no-pager", "-u", "ftd.service", *match).splitlines()
        return [json.loads(line) for line in lines]

    @property
    def conf(self):
        """Where `make install` put the configuration of this build."""
        return re.search(r"--config (\S+)", (BUILD / "systemd/ftd.service").read_text()).group(1)

    def status(self):
        return json.loads(self.out("ftctl", "--json", "status"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """What `make install` would put on a machine."""
    sbin = re.search(r"ExecStart=(\S+)/ftd ", (BUILD / "systemd/ftd.service").read_text()).group(1)
    if sbin not in ("/usr/sbin", "/usr/local/sbin"):
        pytest.skip(f"{sbin} is not where a system has its programs")
    directory = tmp_path_factory.mktemp("installed")
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    run("make", "-s", "-C", BUILD, "install", f"DESTDIR={directory}", env=environment, timeout=120)
    # directories of the real root keep their own modes
    for path in directory.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
    return directory


@pytest.fixture(scope="module")
def booted(installed):
    able = subprocess.run([SANDBOX, "--check"], capture_output=True, text=True)
    if able.returncode == 77:
        pytest.skip(able.stderr.strip())
    process = subprocess.Popen([SANDBOX, installed], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    try:
        assert select.select([process.stdout], [], [], 90)[0], "no systemd after 90 s"
        words = process.stdout.readline().split()
        assert words[:1] == ["ready"], process.stderr.read()
        machine = Machine(words[1])
        machine.run("systemd-sysusers")
        machine.run("systemd-tmpfiles", "--create")
        machine.run("journalctl", "--update-catalog")
        machine.run("systemctl", "daemon-reload")
        yield machine
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()
        process.stderr.close()


@pytest.fixture
def machine(booted):
    """ftd.service stopped before and after."""
    units = ("ftd.socket", "ftd.service")
    booted.run("systemctl", "stop", *units)
    booted.run("systemctl", "reset-failed", *units, check=False)
    yield booted
    booted.run("systemctl", "stop", *units)
    print(booted.out("journalctl", "--no-pager", "-n", "30", *(f"-u{unit}" for unit in units)))  # where a test has failed


@pytest.fixture
def service(machine):
    machine.run("systemctl", "start", "ftd.service")
    return machine


def hashed_line(user, options):
    return f"{user}:{hashed('secret')}:{options}"


def exchange(machine, size=300_000):
    """A file there and back, compared inside."""
    machine.run("sh", "-ec", f"""
        cd /tmp && rm -f there back && head -c {size} /dev/urandom >there
        ft put there ft://127.0.0.1/there && ft get ft://127.0.0.1/there back && cmp there back""")


def test_user_and_directory(booted):
    assert booted.out("id", "-nG", "ftd") == "ftd"
    assert booted.out("stat", "-c", "%U:%G", "/srv/ftd") == "ftd:ftd"
    booted.run("test", "-s", booted.conf)


def test_serves(service):
    assert service.show("ActiveState") == "active"  # "start" returned: READY came
    assert service.out("ps", "-o", "user=", "-p", service.show("MainPID")) == "ftd"
    exchange(service)
    assert service.out("stat", "-c", "%U:%a", "/srv/ftd/there") == "ftd:644"
    assert service.status()["uploads_total"] == 1


def test_status_text(service):
    until(lambda: service.show("StatusText").startswith("ready"), 5)
    assert "sessions" in service.show("StatusText")


def test_gives_up_everything(service):
    pid = service.show("MainPID")
    status = service.out("cat", f"/proc/{pid}/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1" and fields["Seccomp"] == "2"


def test_drop_in_for_own_uids(machine):
    """The unit's filter lets sessions become other users, and nobody but the sessionhouse may."""
    directory = "/etc/systemd/system/ftd.service.d"
    users = "/etc/ftd/users"
    machine.run("sh", "-ec", f"""
        mkdir -p {directory} {os.path.dirname(users)}
        cp $(find /usr/share/doc/ftd /usr/local/share/doc/ftd -name own-uids.conf 2>/dev/null) {directory}/
        chmod 1777 /srv/ftd
        echo '{hashed_line("games", "account=games")}' >{users}
        chown root:ftd {users} && chmod 640 {users}
        systemctl daemon-reload""")
    try:
        machine.run("systemctl", "start", "ftd.service")
        machine.run("sh", "-ec", "cd /tmp && echo secret >pw && chmod 600 pw && echo mine >mine")
        put = "FT_PASSWORD_FILE=/tmp/pw ft put /tmp/mine ft://games@127.0.0.1/mine"
        # "busy" (14) until the keeper has made the staging directory for all
        until(lambda: machine.run("sh", "-c", put, check=False).returncode != 14, 20)
        machine.run("sh", "-c", put)
        assert machine.out("stat", "-c", "%U:%G", "/srv/ftd/mine") == "games:games"
        effective = {}
        for pid in machine.out("pgrep", "-u", "ftd", "ftd").split():
            status = machine.run("cat", f"/proc/{pid}/status", check=False).stdout
            fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            if fields:
                effective[fields["Name"]] = int(fields["CapEff"], 16)
        assert effective.pop("ftd") == 1 << 5  # CAP_KILL
        assert effective.pop("ftd-sessionhous") == 1 << 6 | 1 << 7  # CAP_SETGID, CAP_SETUID
        assert len(effective) >= 3 and set(effective.values()) == {0}
    finally:
        machine.run("sh", "-c", f"rm -rf {directory} {users}; chmod 755 /srv/ftd; systemctl stop ftd; systemctl daemon-reload")


def test_journal_fields(service):
    exchange(service, 1234)
    service.run("ft", "get", "ft://127.0.0.1/missing", "/tmp/x", check=False)
    records = until(lambda: [r for r in service.journal() if r.get("FTD_PATH", "") == "/there"][-2:], 5)
    upload, download = records
    assert (upload["FTD_OP"], download["FTD_OP"]) == ("upload", "download")
    for record in records:
        assert (record["FTD_RESULT"], record["FTD_BYTES"]) == ("ok", "1234")
        assert record["FTD_PEER"].startswith("127.0.0.1:") and record["FTD_SESSION"][0] == "s"
        assert int(record["FTD_USEC"]) > 0 and record["FTD_TRANSFER"][0] == "t"
        assert len(record["MESSAGE_ID"]) == 32
    text = service.out("journalctl", "-x", "--no-pager", "-n", "50", "-u", "ftd.service")
    assert "A transfer ended: upload /there" in text


def test_reload(service):
    conf = service.conf
    pid, generation = service.show("MainPID"), service.status()["generation"]
    service.run("systemctl", "reload", "ftd.service")
    until(lambda: service.status()["generation"] > generation, 5)
    # a wrong one: told, and the daemon goes on
    service.run("sh", "-ec", f"cp {conf} /tmp/good; echo 'limitz = {{ }};' >>{conf}")
    try:
        generation = service.status()["generation"]
        assert service.run("systemctl", "reload", "ftd.service", check=False).returncode != 0
        until(lambda: any("limitz" in r.get("MESSAGE", "") for r in service.journal()), 5)
        until(lambda: service.show("ActiveState") == "active", 5)
        assert (service.show("MainPID"), service.status()["generation"]) == (pid, generation)
    finally:
        service.run("cp", "/tmp/good", conf)
    service.run("systemctl", "reload", "ftd.service")
    exchange(service)


def test_a_root_that_the_unit_keeps_away_is_told(service):
    conf = service.conf
    service.run("sh", "-ec", f"cp {conf} /tmp/good; install -d -o ftd -g ftd /data; sed -i s,/srv/ftd,/data, {conf}")
    try:
        told = service.run("ftctl", "reload")
        assert "cannot write to /data; it is read-only here" in told.stdout + told.stderr
    finally:
        service.run("cp", "/tmp/good", conf)


def test_stop_lets_transfers_finish(service):
    service.run("sh", "-c", "head -c 20000000 /dev/urandom >/tmp/large")
    upload = subprocess.Popen(["nsenter", "-a", "-t", service.pid, "ft", "put", "--limit", "8M", "/tmp/large",
                               "ft://127.0.0.1/large"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    until(lambda: service.status()["transfers"] == 1, 10, "the transfer under way")
    service.run("systemctl", "stop", "ftd.service")
    _, told = upload.communicate(timeout=30)
    assert upload.returncode == 0, told
    service.run("cmp", "/tmp/large", "/srv/ftd/large")
    assert service.show("Result") == "success"
    assert service.run("ps", "-u", "ftd", check=False).stdout.count("\n") <= 1
    assert service.run("ftctl", "status", check=False).returncode == 3


def test_comes_back_after_a_crash(service):
    pid = service.show("MainPID")
    service.run("kill", "-SEGV", pid)
    until(lambda: service.show("ActiveState") == "active" and service.show("MainPID") not in ("0", pid), 10)
    until(lambda: service.run("ftctl", "status", check=False).returncode == 0, 10)
    exchange(service)


def ft_process(machine, *args):
    return subprocess.Popen(["nsenter", "-a", "-t", machine.pid, "ft", *args], stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE)


def transfers(machine):
    """The ids of those under way."""
    return {t["id"] for t in json.loads(machine.out("ftctl", "--json", "list-transfers"))["transfers"]}


def held(machine, many):
    """Waits until so many are under way; from then on they are for as long as the test wants."""
    until(lambda: len(transfers(machine)) == many, 10, "the transfers under way")
    found = transfers(machine)
    for transfer in found:
        machine.run("ftctl", "limit", transfer, "1K")
    return found


def let_go(machine, found):
    for transfer in found:
        machine.run("ftctl", "limit", transfer, "none")


def test_transfers_outlive_the_supervisor(service):
    """Killed, it is started anew, knows its sessions again (whose times /proc does not tell: ProtectProc=), and a
    stop still ends them."""
    service.run("sh", "-c", "head -c 30000000 /dev/urandom >/tmp/large")
    uploads = [ft_process(service, "put", "--limit", "6M", "/tmp/large", f"ft://127.0.0.1/large{i}") for i in range(2)]
    before = held(service, len(uploads))
    pid = service.show("MainPID")
    service.run("kill", "-KILL", pid)
    until(lambda: service.show("ActiveState") == "active" and service.show("MainPID") not in ("0", pid), 10)
    until(lambda: transfers(service) == before, 10, "the transfers' return")
    let_go(service, before)
    for upload in uploads:
        _, told = upload.communicate(timeout=60)
        assert upload.returncode == 0, told
    for i in range(2):
        service.run("cmp", "/tmp/large", f"/srv/ftd/large{i}")

    upload = ft_process(service, "put", "--limit", "2M", "/tmp/large", "ft://127.0.0.1/large2")
    until(lambda: service.status()["transfers"] == 1, 10, "the transfer under way")
    service.run("kill", "-KILL", service.show("MainPID"))
    until(lambda: service.run("ftctl", "status", check=False).returncode == 0 and service.status()["transfers"] == 1, 10)
    service.run("ftctl", "shutdown", "--grace", "1s", check=False)
    service.run("systemctl", "stop", "ftd.service")
    upload.kill()
    upload.communicate()
    assert service.run("ps", "-u", "ftd", check=False).stdout.count("\n") <= 1
    service.run("rm", "-f", *(f"/srv/ftd/large{i}" for i in range(3)))


def test_reexec(service):
    service.run("sh", "-c", "head -c 10000000 /dev/urandom >/tmp/large")
    upload = ft_process(service, "put", "--limit", "4M", "/tmp/large", "ft://127.0.0.1/large")
    before = held(service, 1)
    pid = service.show("MainPID")
    for _ in range(3):
        service.run("ftctl", "reexec")
        assert service.show("MainPID") == pid and service.show("ActiveState") == "active"
    assert transfers(service) == before
    let_go(service, before)
    _, told = upload.communicate(timeout=60)
    assert upload.returncode == 0, told
    service.run("cmp", "/tmp/large", "/srv/ftd/large")
    assert service.show("NRestarts") == "0"
    service.run("rm", "/srv/ftd/large")


def test_wrong_configuration_is_not_tried_for_ever(machine):
    conf = machine.conf
    machine.run("sh", "-ec", f"cp {conf} /tmp/good; echo 'limitz = {{ }};' >>{conf}")
    try:
        assert machine.run("systemctl", "start", "ftd.service", check=False).returncode != 0
        time.sleep(0.5)
        assert machine.show("NRestarts") == "0" and machine.show("ExecMainStatus") == "2"
    finally:
        machine.run("cp", "/tmp/good", conf)


def test_socket_activation(machine):
    machine.run("systemctl", "start", "ftd.socket")
    assert machine.show("ActiveState") == "inactive"
    exchange(machine)
    assert machine.show("ActiveState") == "active"
    # over a restart nobody is refused: systemd keeps the socket
    machine.run("systemctl", "restart", "ftd.service")
    exchange(machine)
    reply = machine.out("/usr/bin/python3", "-c", "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
                        "s.settimeout(5); s.sendto(b'x' * 200, ('127.0.0.1', 8001)); print(s.recv(2000).decode())")
    assert json.loads(reply)["status"] == "ready"


def test_uninstall_leaves_nothing(installed, tmp_path):
    """In a directory of its own: what install made, uninstall removes."""
    shutil.copytree(installed, tmp_path / "copy", symlinks=True)
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    run("make", "-s", "-C", BUILD, "uninstall", f"DESTDIR={tmp_path / 'copy'}", env=environment, timeout=60)
    assert [p for p in (tmp_path / "copy").rglob("*") if not p.is_dir()] == []
