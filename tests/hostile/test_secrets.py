"""Memory and arguments of the daemon's processes tell nothing to others, not even to those of the same user."""
import contextlib
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from harness import SANITIZED, children, hashed, name_of, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
LOOK = """
import ctypes, sys
pid = int(sys.argv[1])
for name in ("mem", "maps", "environ", "fd/0"):
    try:
        open(f"/proc/{pid}/{name}", "rb").close()
        print("open", name)
    except OSError:
        pass
libc = ctypes.CDLL(None, use_errno=True)
if libc.ptrace(0x4206, pid, 0, 0) == 0:
    print("traced")
"""


@pytest.fixture
def roles(make_ftd):
    """A daemon that runs as nobody, with a gate, a pump and a session at work."""
    ftd = make_ftd(user="nobody")
    with ftd.secure() as client, ftd.connect() as silent:
        client.put("/f", b"x")
        silent.sock.sendall(b"\x10")
        yield children(ftd.pid)


def test_same_user_cannot_look_into_roles(roles):
    assert {"ftd-gatehouse", "ftd-gate", "ftd-session"} <= {name_of(pid) for pid in roles}
    for pid in roles:
        assert pwd.getpwuid(int(Path(f"/proc/{pid}/status").read_text().split("Uid:")[1].split()[0])).pw_name == "nobody"
        seen = subprocess.run([sys.executable, "-c", LOOK, str(pid)], user="nobody", capture_output=True, text=True,
                              check=True, timeout=20)
        assert seen.stdout == "", f"{name_of(pid)}: {seen.stdout}"


def test_arguments_are_the_role_and_nothing_else(roles):
    def arguments(pid):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")

    for pid in roles:
        until(lambda: arguments(pid)[0] == b"ftd", 5, "the exec of a role")  # until then it has its parent's
        words = arguments(pid)
        assert words[:2] == [b"ftd", b"--role"] and words[2].isalpha() and words[3:] == [b""], words


# --- what a client sends to log in

def memory(pid):
    """What the process may read of its memory, piece by piece; it may end meanwhile."""
    try:
        with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
            for line in maps:
                span, rights = line.split()[:2]
                begin, end = (int(x, 16) for x in span.split("-"))
                if "r" in rights and "[v" not in line:
                    with contextlib.suppress(OSError):
                        yield os.pread(mem.fileno(), end - begin, begin)
    except (FileNotFoundError, ProcessLookupError):
        pass


def holds(pid, secret):
    return any(secret in piece for piece in memory(pid))


@pytest.mark.skipif(SANITIZED, reason="the address space of a sanitizer is too large to search")
@pytest.mark.parametrize("tls", [False, True])
def test_a_password_is_gone_when_it_is_checked(make_ftd, tls):
    """Not in the gate that becomes the pump, not in the session, not in the supervisor, not in the log."""
    secret = b"a-secret-" + os.urandom(8).hex().encode()
    ftd = make_ftd({"log": {"level": "debug"}})
    ftd.write_users(f"alice:{hashed(secret.decode())}")
    with (ftd.secure if tls else ftd.client)() as client:
        assert client.login("alice", secret.decode())["status"] == "ok"
        client.put("/f", b"x")
        assert not [name_of(pid) for pid in [ftd.pid, *children(ftd.pid)] if holds(pid, secret)]
        assert holds(ftd.pid, b"anonymous"), "the search finds what is there"
    for wrong in (secret, secret + b"x"):
        with (ftd.secure if tls else ftd.client)() as client:
            client.login("mallory" if wrong == secret else "alice", wrong.decode())
    assert not [name_of(pid) for pid in [ftd.pid, *children(ftd.pid)] if holds(pid, secret)]
    assert secret.decode() not in ftd.errors
