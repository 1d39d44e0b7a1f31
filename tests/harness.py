"""A daemon of one's own for a test: temporary directory, free port, ended by pid, nothing left behind."""
import ctypes
import grp
import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

import wire

BUILD = Path(os.environ.get("FTD_BUILD") or Path(__file__).resolve().parent.parent / "build")
SOURCE = Path(__file__).resolve().parent.parent
FTD, FTCTL, FT = BUILD / "daemon/ftd", BUILD / "ctl/ftctl", BUILD / "client/ft"
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
# Sanitizers make everything slower and larger: bounds of time stretch, bounds of memory do not hold. An emulated
# machine is slower still, and says so.
SANITIZED = os.environ.get("FTD_SANITIZED") == "1"
if SANITIZED:  # who looks for leaks takes three times as long to end; ft and ftctl are thousands, and do so in unit tests
    os.environ["ASAN_OPTIONS"] = "detect_leaks=0"
PATIENCE = 3 if SANITIZED else int(os.environ.get("FTD_PATIENCE", "1"))


def hashed(password, setting="$y$j7T$abcdefghijklmnopqrstu/"):
    """As in a users file; cheap, so that tests are quick."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    made = library.crypt(password.encode(), setting.encode()).decode()
    assert made.startswith(setting), made
    return made


def free_port():
    """A port free for TCP and UDP on every address, below the range that outgoing connections get."""
    while True:
        port = random.randrange(10000, 30000)
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET6, kind) as sock:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                    sock.bind(("::", port))
            return port
        except OSError:
            continue


def until(condition, seconds=10, what="the condition"):
    """Waits until condition() is true and returns what it said; fails after `seconds`."""
    end = time.monotonic() + seconds * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not come true in {seconds * PATIENCE} s"
        time.sleep(0.01 * PATIENCE)  # where all is slow, looking too often is what makes it so


def setting(value):
    """A value as libconfig writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, dict):
        return "{ " + " ".join(f"{k} = {setting(v)};" for k, v in value.items()) + " }"
    return "( " + ", ".join(setting(v) for v in value) + " )"


def merged(base, changes):
    """base with changes; groups are merged, None takes a key out, everything else replaces."""
    result = dict(base)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


# --- processes, from /proc

def stat_fields(pid):
    """The fields of /proc/PID/stat behind the name: state, ppid, pgrp, session, …; [] when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return []


def processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def alive(field, values):
    """The processes whose field of /proc/PID/stat (1: parent, 3: session) is one of the values; no zombies."""
    found = []
    for pid in processes():
        fields = stat_fields(pid)
        if fields and fields[0] != "Z" and int(fields[field]) in values:
            found.append(pid)
    return found


def children(pid):
    return alive(1, {pid})


def sessions_of(pid):
    """The sessions (setsid) of a process and its children: whatever they start later is in one of them."""
    fields = [stat_fields(p) for p in [pid, *children(pid)]]
    return {int(f[3]) for f in fields if f}


def in_sessions(sessions):
    return alive(3, sessions)


def name_of(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def private_kb(pid):
    """Memory that would come back if the process ended, in kB."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except PermissionError:
        pytest.skip("only root sees the memory of the daemon's roles")
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_"))


def memory_count(pid, forms):
    """How many times one of these byte strings is in the memory of a process."""
    count = 0
    with (open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps,
          open(f"/proc/{pid}/mem", "rb", 0) as mem):
        for line in maps:
            where, rights = line.split()[:2]
            if "r" not in rights or "[v" in line:
                continue
            begin, end = (int(x, 16) for x in where.split("-"))
            try:
                mem.seek(begin)
                block = mem.read(end - begin)
            except (OSError, OverflowError):
                continue
            count += sum(block.count(form) for form in forms)
    return count


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Daemon:
    """`ftd` in the foreground. start() returns when it answers, stop() checks that nothing is left."""

    def __init__(self, changes=None, share=None, user=None, program=FTD, wrapper=()):
        self.program = [*wrapper, program]
        self.dir = Path(tempfile.mkdtemp(prefix="ftd-", dir=SCRATCH))
        self.dir.chmod(0o755)
        self.root, self.conf, self.control = self.dir / "share", self.dir / "ftd.conf", self.dir / "run/control"
        self.root.mkdir()
        self.control.parent.mkdir()
        self.port, self.process, self.errors = free_port(), None, ""
        self.lost = set()  # sessions (setsid) of the roles of supervisors that were killed
        self.url = f"ft://127.0.0.1:{self.port}"
        if user:
            entry = pwd.getpwnam(user)
            for path in (self.root, self.control.parent):
                os.chown(path, entry.pw_uid, entry.pw_gid)
        self.settings = {
            "run_as": user or pwd.getpwuid(os.geteuid()).pw_name,
            "listen": [{"address": "127.0.0.1", "port": self.port}],
            "status": {"address": "127.0.0.1", "port": self.port},
            "control": {
                "path": str(self.control),
                "group": grp.getgrgid(os.getegid()).gr_name,
                "operator_group": grp.getgrgid(os.getegid()).gr_name,
            },
            "limits": {"free_space": "1M", "sessions_per_address": 1024, "shutdown_grace": "5s",
                       "penalty": "0", "login_timeout": f"{10 * PATIENCE}s"},
            "log": {"target": "stderr", "level": "info"},
            "users": str(self.dir / "users"),
            "shares": [merged({"path": "/", "root": str(self.root), "anonymous": "loopback",
                               "rights": "full", "durability": "none"}, share or {})],
        }
        self.write_conf(changes or {})

    def write_conf(self, changes):
        """Writes the configuration anew with further changes."""
        self.settings = merged(self.settings, changes)
        self.conf.write_text("".join(f"{k} = {setting(v)};\n" for k, v in self.settings.items()))

    def write_users(self, *lines):
        """The users file; a login reads it anew, what the daemon itself knows comes with a reload."""
        path = self.dir / "users"
        path.write_text("".join(line + "\n" for line in lines))
        path.chmod(0o640)

    # --- life

    def start(self, *args):
        self.process = subprocess.Popen([*self.program, "--config", self.conf, *args], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, start_new_session=True,
                                        env={**os.environ, "ASAN_OPTIONS": "detect_leaks=1"})
        self.reader = threading.Thread(target=self._read_errors, daemon=True)
        self.reader.start()
        until(self._answers, 10, "the daemon's answer on the control socket")
        return self

    def _read_errors(self):
        for line in self.process.stderr:
            self.errors += line.decode(errors="replace")

    def told(self, text):
        """The log has the text; it comes by another way than answers, and so perhaps after them."""
        until(lambda: text in self.errors, 10, f"{text!r} in the log")

    def _answers(self):
        status = self.process.poll()
        if status is not None:
            self.reader.join(5)
        assert status is None, f"ftd ended with {status}:\n{self.errors}"
        try:
            return self.ask("status")["state"] == "ready"
        except (OSError, wire.Closed):
            return False

    @property
    def pid(self):
        return self.process.pid

    def staged(self):
        """Staging files anywhere beneath the share."""
        parts = {p: p.relative_to(self.root).parts for p in self.root.rglob("*") if p.is_file()}
        return [p for p, names in parts.items() if any(name.startswith(".ftd") for name in names) and
                names[:2] not in ((".ftd", "digests"), (".ftd", "quota"), (".ftd", "uploads"))]

    def stop(self, status=0):
        """SIGTERM; then the exit status is right, and no process and no staging file is left."""
        if self.process is None:
            return
        process, self.process = self.process, None
        sessions = sessions_of(process.pid) | self.lost
        process.send_signal(signal.SIGTERM)
        try:
            got = process.wait(20 * PATIENCE)
        except subprocess.TimeoutExpired:
            self._kill(process, sessions)
            raise AssertionError(f"ftd did not end in {20 * PATIENCE} s:\n{self.errors}") from None
        self.reader.join(5)
        left = {p: name_of(p) for p in in_sessions(sessions)}
        self._kill(process, sessions)
        assert got == status, f"ftd ended with {got}:\n{self.errors}"
        assert not left, f"processes left: {left}\n{self.errors}"
        assert not self.staged(), f"staging files left: {self.staged()}"
        for trace in ("ERROR: AddressSanitizer", "runtime error:", "ERROR: LeakSanitizer"):
            assert trace not in self.errors, self.errors

    def kill(self):
        """Everything at once, as a power cut would."""
        process, self.process = self.process, None
        self._kill(process, sessions_of(process.pid) | self.lost)

    def lose(self):
        """The supervisor alone is killed, and its roles have nobody; start() makes another one."""
        process, self.process = self.process, None
        self.lost |= sessions_of(process.pid)
        process.kill()
        process.wait()

    def _kill(self, process, sessions):
        for how in (signal.SIGSTOP, signal.SIGKILL):  # none may react to the end of another
            for pid in in_sessions(sessions):
                try:
                    os.kill(pid, how)
                except ProcessLookupError:
                    pass
        process.wait()

    def remove(self):
        if self.process is not None:
            self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    # --- talking to it

    def connect(self, **how):
        """A connection as the oldest clients have it: nothing said yet."""
        return wire.Wire.tcp(self.port, **how)

    def secure(self, **how):
        """A connection over TLS that has said hello."""
        client = wire.Wire.tls(self.port, **how)
        client.hello()
        return client

    def client(self, **how):
        """A connection that has said hello."""
        client = self.connect(**how)
        client.hello()
        return client

    def ask(self, command, **args):
        """One command on the control socket, without ftctl."""
        with wire.Wire.unix(str(self.control)) as peer:
            return peer.ask({"opt": command, **args})

    def rows(self, command, key):
        """All rows of a list command."""
        with wire.Wire.unix(str(self.control)) as peer:
            peer.send({"opt": command})
            rows = []
            while True:
                header, _ = peer.answer()
                assert header["status"] == "ok", header
                rows += header.get(key, [])
                if not header.get("more"):
                    return rows

    def sessions(self):
        return self.rows("list-sessions", "sessions")

    def transfers(self):
        return self.rows("list-transfers", "transfers")

    def ft(self, *args, check=True, timeout=60, **more):
        return run(FT, *args, check=check, timeout=timeout, **more)

    def ftctl(self, *args, check=True, json_out=False, timeout=20, **more):
        options = ["--json"] if json_out else []
        done = run(FTCTL, "-s", self.control, *options, *args, check=check, timeout=timeout, **more)
        return json.loads(done.stdout) if json_out else done


def run(*args, check=True, timeout=60, **more):
    """A program to its end; its output as text."""
    done = subprocess.run([str(a) for a in args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=timeout * PATIENCE, **more)
    assert not check or done.returncode == 0, f"{args}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def served(ftd):
    """The daemon still does its work for others, quickly."""
    begin = time.monotonic()
    with ftd.client(timeout=5 * PATIENCE) as client:
        assert client.put("/served", b"still here")["status"] == "ok"
        assert client.get("/served") == b"still here"
        assert client.ask({"opt": "remove", "filename": "/served"})["status"] == "ok"
    assert time.monotonic() - begin < 5 * PATIENCE
