"""Somebody looks at a role with gdb or strace while it ends: it is gone all the same, and the daemon ends when it is told."""
import ctypes
import os
import shutil
import signal
import subprocess

import pytest

from harness import PATIENCE, children, name_of, served, stat_fields, until

SEIZE, DETACH = 0x4206, 17
WALL = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def trace(pid):
    """From now on its end is told to this process first."""
    if libc.ptrace(SEIZE, pid, None, None) != 0:
        pytest.skip(f"no ptrace here: {os.strerror(ctypes.get_errno())}")


def one_session(ftd):
    client = ftd.client()
    assert client.ask({"opt": "stat", "filename": "/"})["status"] == "ok"
    return client, ftd.sessions()[0]["pid"]


def dead(pid):
    return until(lambda: (stat_fields(pid) or ["Z"])[0] == "Z", 10, "its end")


def reap(pid):
    return os.waitpid(pid, WALL)


def test_session_that_ends_while_it_is_traced(ftd):
    client, pid = one_session(ftd)
    trace(pid)
    client.close()
    dead(pid)
    assert reap(pid) == (pid, 0)
    until(lambda: not ftd.sessions(), 10, "the end of the session")
    assert not stat_fields(pid), "reaped"
    assert "keeps how" not in ftd.errors
    served(ftd)


def test_session_whose_end_is_kept(ftd):
    """The slot is free; what is left of the process goes when it is let go."""
    client, pid = one_session(ftd)
    trace(pid)
    client.close()
    dead(pid)
    until(lambda: not ftd.sessions(), 10, "the end of the session")
    until(lambda: "s1 was killed" in ftd.errors, 10, "the word of it")
    ftd.told(f"process {pid} has ended, and who traces it keeps how to itself")
    assert "crashed" not in ftd.errors
    served(ftd)
    assert stat_fields(pid)[0] == "Z"
    reap(pid)
    until(lambda: not stat_fields(pid), 10, "the end of the process")


def test_daemon_that_ends_meanwhile(ftd):
    client, pid = one_session(ftd)
    trace(pid)
    client.close()
    dead(pid)
    ftd.stop()
    assert f"process {pid} was killed and does not end" in ftd.errors
    reap(pid)


def test_gate_and_keeper(ftd):
    client = ftd.client()  # hello alone is no session yet
    gate = until(lambda: [p for p in children(ftd.pid) if name_of(p) == "ftd-gate"], 10, "a gate")[0]
    keeper = until(lambda: [p for p in children(ftd.pid) if name_of(p) == "ftd-keeper"], 10, "a keeper")[0]
    trace(gate)
    trace(keeper)
    client.close()
    os.kill(keeper, signal.SIGKILL)
    for pid in gate, keeper:
        dead(pid)
        reap(pid)
        until(lambda: not stat_fields(pid), 10, "the end of the process")
    until(lambda: "ftd-keeper" in map(name_of, children(ftd.pid)), 20, "another keeper")
    assert ftd.ftctl("status", json_out=True)["logins"] == 0


def test_strace_at_a_session(ftd):
    if shutil.which("strace") is None:
        pytest.skip("no strace here")
    for _ in range(5):
        client, pid = one_session(ftd)
        with subprocess.Popen(["strace", "-f", "-o", "/dev/null", "-p", str(pid)], stderr=subprocess.PIPE,
                              text=True) as strace:
            try:
                if "attached" not in strace.stderr.readline():
                    pytest.skip("strace cannot attach here")
                client.close()
                until(lambda: not ftd.sessions(), 10, "the end of the session")
                strace.wait(10 * PATIENCE)
            finally:
                strace.kill()
    served(ftd)
