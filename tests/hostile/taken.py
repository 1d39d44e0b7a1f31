"""The daemon whose roles a stranger has taken over (tests/hostile/taken), and what came of their attempts."""
import contextlib
import errno
import hashlib
import os
import pwd
import re
import socket
import threading
from pathlib import Path

import pytest
import wire
from harness import BUILD, PATIENCE, children, hashed, name_of, served, until

TAKEN = BUILD / "tests/hostile/taken"
USER = "nobody" if os.geteuid() == 0 else None  # not root's rights, but everything else of the user's
CONTENT = b"of somebody else"
# What the filter answers, and what Landlock does. Other refusals (it is a directory, …) prove nothing by themselves.
REFUSED = {errno.EPERM, errno.EACCES, errno.EXDEV}


def daemon(make_ftd, **limits):
    """A share with every right, one that is bob's and one to be read only; outside lies what nobody may reach."""
    ftd = make_ftd(start=False, user=USER, program=TAKEN)
    for name in ("hidden", "shown", "outside"):
        (ftd.dir / name).mkdir()
        (ftd.dir / name / "file").write_bytes(CONTENT)
    (ftd.root / "mine").write_bytes(b"mine")
    ftd.write_users(f"alice:{hashed('alice')}", f"bob:{hashed('bob')}", "carol:*:certificate")
    if USER:
        entry = pwd.getpwnam(USER)
        for path in (*ftd.dir.iterdir(), *ftd.dir.glob("*/*")):
            os.chown(path, entry.pw_uid, entry.pw_gid)
    for path in ftd.dir.glob("*/file"):
        path.chmod(0o666)  # so that no permission stands in for the sandbox
    ftd.write_conf({"limits": {"sessions_per_user": 1000, **limits}, "shares": [
        *ftd.settings["shares"],
        {"path": "/hidden", "root": str(ftd.dir / "hidden"), "rules": [{"users": ["bob"], "rights": "full"}]},
        {"path": "/shown", "root": str(ftd.dir / "shown"), "rights": "readonly", "anonymous": "loopback"},
    ]})
    return ftd.start()


class Taken(wire.Wire):
    """A connection whose gate or session does what `attack` says."""

    def attack(self, what, **how):
        return self.ask({"opt": self.opt, "attack": what, **how})["attack"]


def session(ftd):
    """A session of alice's."""
    client = Taken.tcp(ftd.port, timeout=30 * PATIENCE)
    client.number = client.hello()["session"]
    assert client.login("alice", "alice")["status"] == "ok"
    client.opt = "commit"
    return client


def gate(ftd, source=None):
    """A gate, before anything was said."""
    client = Taken.tcp(ftd.port, timeout=30 * PATIENCE, source=source)
    client.opt, client.own = "hello", client.sock.getsockname()[1]
    return client


# --- results

class Results:
    """What was tried; show() prints a line for each, and fails where one was not refused."""

    def __init__(self):
        self.lines, self.worked, self.by_sandbox, self.otherwise = [], [], set(), {}

    def add(self, name, target, result):
        attempt = f"{name} {target}".rstrip()
        if result >= 0:
            self.worked.append(attempt)
            self.lines.append(f"DONE: {attempt}")
            return
        why = errno.errorcode.get(-result, str(result))
        self.lines.append(f"refused: {attempt} ({why})")
        if -result in REFUSED:
            self.by_sandbox.add(name)
        else:
            self.otherwise[name] = why

    def ended(self, name, target, signal):
        self.lines.append(f"refused: {name} {target}".rstrip() + f" (ended by signal {signal})")

    def show(self, capsys, also=()):
        """also: attempts that something else than the sandbox refuses, and what that says."""
        with capsys.disabled():
            print(*["", *self.lines], sep="\n")
        assert not self.worked, self.worked
        assert {n: why for n, why in self.otherwise.items() if n not in self.by_sandbox} == dict(also)


def attempts(ftd, begin, results, what, target="", **how):
    """One set of attempts by a new role; those that are to end it, by one role each."""
    with begin(ftd) as client:
        found = client.attack(what, **how)
    for name, result in found:
        if result is not None:
            results.add(name, target, result)
            continue
        before = ended(ftd)
        with begin(ftd) as client:
            try:
                results.add(name, target, client.attack(what, only=name, **how)[0][1])
            except (wire.Closed, ConnectionError):
                until(lambda: ended(ftd) > before, 5, "the word of its end")
                results.ended(name, target, 31)


def sockets(ftd, begin, capsys, also=()):
    """Words for a journal and connections to a server that listen for them: neither hears of one."""
    results = Results()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal, socket.create_server(("127.0.0.1", 0)) as server:
        path = str(ftd.dir / "outside/journal")
        journal.bind(path)
        os.chmod(path, 0o777)
        with undisturbed(ftd):
            attempts(ftd, begin, results, "sockets", path=path, port=server.getsockname()[1])
        results.show(capsys, also)
        for sock in (journal, server):
            sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            journal.recv(100)
        with pytest.raises(BlockingIOError):
            server.accept()


def ended(ftd):
    """How many roles a forbidden call has ended."""
    return len(re.findall(r"crashed \(signal 31\)", ftd.errors))


# --- the daemon besides

def state_of(*directories):
    """Everything that can be seen of the files beneath them."""
    seen = {}
    for path in (path for directory in directories for path in sorted(directory.rglob("*"))):
        st = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        names = os.listxattr(path, follow_symlinks=False)
        seen[str(path)] = (st.st_mode, st.st_uid, st.st_nlink, st.st_size, st.st_mtime_ns, content, names)
    return seen


@contextlib.contextmanager
def undisturbed(ftd):
    """Others are served meanwhile, and everything that is nobody's business is afterwards as it was."""
    directories = [ftd.dir / name for name in ("hidden", "shown", "outside")]
    before, supervisor = state_of(*directories), ftd.pid
    passwd = Path("/etc/passwd").read_bytes()
    stop, done, errors = threading.Event(), [], []
    data = os.urandom(300_000)

    def work():
        try:
            with ftd.client(timeout=20 * PATIENCE) as client, ftd.client(timeout=20 * PATIENCE) as long:
                long.send({"opt": "upload", "filename": "/long", "filesize": None, "more": True})
                while not stop.is_set() or not done:
                    long.send({"more": True, "body": len(data)}, data)
                    assert client.put("/other", data)["digest"] == wire.digest(data)
                    assert client.get("/other") == data
                    done.append(1)
                    stop.wait(0.05)
                long.send({"digest": wire.digest(data * len(done))})
                assert long.answer()[0]["status"] == "ok"
        except (AssertionError, OSError, wire.Closed) as e:
            errors.append(e)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not errors and done, errors
    assert ftd.process.poll() is None and ftd.pid == supervisor
    assert state_of(*directories) == before
    assert Path("/etc/passwd").read_bytes() == passwd
    assert ftd.ask("status")["state"] == "ready"
    (ftd.root / "other").unlink()
    (ftd.root / "long").unlink()
    roles = {"ftd-gatehouse", "ftd-sessionhous", "ftd-keeper", "ftd-beacon"}
    until(lambda: roles <= set(map(name_of, children(ftd.pid))), 5, "a process for every role")
    served(ftd)
