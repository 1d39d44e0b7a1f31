"""The file system of a share hangs: a network mount whose server is gone. That holds up who asks for what lies there, and
nobody and nothing else; what is said of it is true; and when it answers again all is as before."""
import os
import signal

import pytest

from harness import PATIENCE, children, in_sessions, name_of, sessions_of, until
from hung import Hung
from resumable import MIB, begin, content, ok, part

DATA = content(300_000)
SILENT = "has not answered for"


@pytest.fixture
def two(make_ftd):
    """A daemon, not started, with a share at /other beside the one at /: .hung, which can hang."""
    ftd = make_ftd({"limits": {"shutdown_grace": "0s"}}, start=False)
    other, share = ftd.dir / "other", ftd.settings["shares"][0]
    other.mkdir()
    ftd.other = str(other)
    ftd.write_conf({"shares": [{**share, "path": "/other", "root": ftd.other, "rights": "readonly"}, share]})
    ftd.hung = Hung(ftd.other)
    yield ftd
    ftd.hung.close()


def told(ftd, *command, **more):
    """What ftctl says, within its bound."""
    return ftd.ftctl(*command, json_out=True, timeout=5, **more)


def disks(status):
    return {d["path"]: d["total"] for d in status["disk"]}


def hang(ftd):
    """And somebody hangs in it."""
    client = ftd.client()
    ftd.hung.hang()
    client.send({"opt": "list", "filename": "/other"})
    until(ftd.hung.held, 5, "the question")
    return client


def others_go_on(ftd, *clients):
    with ftd.client() as new:
        for client in (*clients, new):
            assert client.put("/there", DATA)["status"] == "ok" and client.get("/there") == DATA


def is_well(ftd):
    status = told(ftd, "status")
    return status["warnings"] == [] and disks(status)[ftd.other] == 4096 * 4096


def test_all_else_goes_on(two):
    two.start()
    assert is_well(two)
    with two.client() as old:
        upload = ok(begin(old, "/big", MIB))["upload"]
        with hang(two) as held:
            until(lambda: disks(told(two, "status"))[two.other] is None, 5, "what was told is too old")
            assert disks(told(two, "status"))[str(two.root)] > 0
            until(lambda: f"{two.other} {SILENT}" in str(told(two, "status")["warnings"]), 10, "the warning")
            assert two.ftctl("status", "--check", check=False).returncode == 6
            others_go_on(two, old)
            assert {s["state"] for s in told(two, "list-sessions")["sessions"]} > {"idle"}
            ok(part(old, upload, 0, content(1000)))
            assert told(two, "list-transfers")["transfers"] == []
            metrics = two.ftctl("metrics", timeout=5).stdout
            assert f'ftd_disk_answers{{root="{two.other}"}} 0' in metrics
            assert f'ftd_disk_answers{{root="{two.root}"}} 1' in metrics
            assert f'ftd_disk_size_bytes{{root="{two.root}"}}' in metrics
            listed = told(two, "list-uploads", check=False)
            assert [u["path"] for u in listed["uploads"]] == ["/big"]
            assert [u["root"] for u in listed["unknown"]] == [two.other]
            assert told(two, "show", upload)["upload"]["held"] == 1000
            assert told(two, "upload", "discard", upload)["upload"]["held"] == 1000
            assert two.ftctl("show", upload, check=False).returncode == 5, "it may be in the share that hangs"
            two.hung.recover()
            assert held.answer()[0]["status"] == "ok"
        until(lambda: is_well(two), 5, "the end of the warning")
        assert told(two, "list-uploads")["unknown"] == []


def test_reload(two):
    """The configuration comes into force, the share that hangs is taken as it is, and those who are there stay."""
    two.start()
    with two.client() as old, hang(two) as held:
        two.write_conf({"limits": {"sessions_per_address": 7}})
        answer = told(two, "reload")
        assert [p["fatal"] for p in answer["problems"]] == [False]
        assert f"{two.other} does not answer" in answer["problems"][0]["text"]
        others_go_on(two, old)
        two.hung.recover()
        assert held.answer()[0]["status"] == "ok"
    until(lambda: is_well(two), 5, "the end of the warning")
    assert [name_of(p) for p in children(two.pid)].count("ftd-keeper") == 2


@pytest.mark.skipif(os.environ.get("FTD_FULL") != "1", reason="takes 10 s: FTD_FULL=1")
def test_another_binary(two):
    """What the former one cannot end is not waited for."""
    two.start()
    two.hung.hang()
    until(lambda: told(two, "status") and two.hung.held(), 5, "the keeper's question")
    assert two.ftctl("reexec", check=False).returncode == 0
    others_go_on(two)


def test_start_and_stop(two):
    """It hangs already when the daemon starts, and still when it ends: neither keeper nor session can be killed."""
    two.hung.hang()
    two.start()
    two.told(f"{two.other} does not answer")
    others_go_on(two)
    with two.client() as client:
        before = two.hung.held()
        client.send({"opt": "list", "filename": "/other"})
        until(lambda: two.hung.held() > before, 5, "the question")
        roles, process = sessions_of(two.pid), two.process
        two.process = None
        process.send_signal(signal.SIGTERM)
        assert process.wait(30 * PATIENCE) == 0
        two.hung.close()
        until(lambda: not in_sessions(roles), 5, "their end")
