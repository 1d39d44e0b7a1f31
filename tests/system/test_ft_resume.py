"""ft loses not a byte: large files that are cut, killed, stopped, changed and taken over, over one connection and several,
in both directions, in plain text and over TLS."""
import json
import os
import random
import re
import shlex
import signal
import subprocess
import time

import pytest

from cutter import Cutter
import harness
from harness import PATIENCE, until

MIB = 1 << 20
BLOCK = 8 * MIB
LARGE = 64 * MIB
FULL = os.environ.get("FTD_FULL") == "1"
long = pytest.mark.skipif(not FULL, reason="one of the long ones: FTD_FULL=1")


@pytest.fixture
def local(tmp_path):
    return tmp_path


def noise(size, seed=1):
    rng = random.Random(seed)
    return b"".join(rng.randbytes(min(LARGE, size - at)) for at in range(0, size, LARGE))


def events(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def last(done, ev="done"):
    return [e for e in events(done) if e["ev"] == ev][-1]


def start(*args, **more):
    return subprocess.Popen([str(a) for a in (harness.FT, *args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **more)


def end(process, status):
    out, errors = process.communicate(timeout=60 * PATIENCE)
    assert process.returncode == status, (process.returncode, errors)
    return out, errors


def held(ftd):
    """Bytes of unfinished uploads on the server's disk."""
    uploads = ftd.root / ".ftd/uploads"
    parts = [p for p in uploads.glob("*") if not p.suffix] if uploads.exists() else []
    return sum(p.stat().st_blocks * 512 for p in parts)


def quiet(ftd):
    until(lambda: not ftd.sessions(), what="the end of the sessions")


# --- uploads

@pytest.mark.parametrize("size", [5 * MIB, LARGE + 12345])
def test_an_upload_that_is_cut_goes_on(ftd, local, size):
    data, rng = noise(size), random.Random(3)
    (local / "x").write_bytes(data)
    cuts = [rng.randrange(1, size // 2) for _ in range(3)]
    with Cutter(ftd.port, cuts, up=True) as cutter:
        ftd.ft("put", "--retry-for", "30s", local / "x", cutter.url("/x"))
        assert cutter.connections >= 3
        assert cutter.up_bytes < size + MIB  # what had arrived was not sent again
    assert (ftd.root / "x").read_bytes() == data
    quiet(ftd)
    assert held(ftd) == 0


def test_a_second_run_goes_on_by_itself(ftd, local):
    data = noise(LARGE + 5)
    (local / "x").write_bytes(data)
    with Cutter(ftd.port, [40 * MIB], up=True) as cutter:
        done = ftd.ft("put", local / "x", cutter.url("/x"), check=False)
        assert done.returncode == 10, done.stderr
    assert not (ftd.root / "x").exists() and sorted(os.listdir(local)) == ["x"]
    quiet(ftd)
    with Cutter(ftd.port, []) as cutter:
        done = ftd.ft("put", "--json", "-v", local / "x", cutter.url("/x"))
        assert cutter.up_bytes < 26 * MIB
    assert (ftd.root / "x").read_bytes() == data
    assert last(done)["held"] + last(done)["moved"] == len(data) and last(done)["held"] > 38 * MIB
    assert "bytes are there already" in done.stderr
    assert last(done, "summary")["held"] == last(done)["held"]


def test_what_is_held_is_compared_by_content(ftd, local):
    data = noise(LARGE)
    (local / "x").write_bytes(data)
    with Cutter(ftd.port, [50 * MIB], up=True) as cutter:
        assert ftd.ft("put", local / "x", cutter.url("/x"), check=False).returncode == 10
    quiet(ftd)
    (part,) = [p for p in (ftd.root / ".ftd/uploads").iterdir() if not p.suffix]
    with open(part, "r+b") as file:  # the disk there has lost something
        file.seek(BLOCK + 17)
        file.write(b"?")
    done = ftd.ft("put", "--json", local / "x", f"{ftd.url}/x")
    assert (ftd.root / "x").read_bytes() == data
    assert 40 * MIB < last(done)["held"] < 43 * MIB


def test_a_lost_receipt_is_asked_for_again(ftd, local):
    data = noise(LARGE)
    (local / "x").write_bytes(data)
    (ftd.root / "x").write_bytes(b"old")
    with Cutter(ftd.port, [], up=False) as cutter:
        process = start("put", "--json", "--retry-for", "30s", "--limit", "100M", local / "x", cutter.url("/x"))
        until(lambda: cutter.up_bytes > LARGE, what="the last byte")
        cutter.cut_all()
        end(process, 0)
    assert (ftd.root / "x").read_bytes() == data


@pytest.mark.parametrize("how", ["fail", pytest.param("keep-both", marks=long)])
def test_a_published_file_is_not_published_twice(ftd, local, how):
    data = noise(LARGE)
    (local / "x").write_bytes(data)
    with Cutter(ftd.port, [1500]) as cutter:  # the receipt is cut
        ftd.ft("put", "--if-exists", how, "--retry-for", "30s", local / "x", cutter.url("/x"))
    assert [p.name for p in ftd.root.iterdir() if p.is_file()] == ["x"]
    assert (ftd.root / "x").read_bytes() == data


def test_a_source_that_changes_is_sent_anew(ftd, local):
    (local / "x").write_bytes(noise(LARGE))
    new = noise(LARGE + MIB, 2)
    process = start("put", "--limit", "25M", local / "x", f"{ftd.url}/x")
    until(lambda: held(ftd) > 8 * MIB, what="some bytes")
    (local / "x").write_bytes(new)
    _, errors = end(process, 0)
    assert "starting anew" in errors
    assert (ftd.root / "x").read_bytes() == new
    assert held(ftd) == 0


@long
def test_a_source_that_changed_between_two_runs(ftd, local):
    (local / "x").write_bytes(noise(LARGE))
    with Cutter(ftd.port, [30 * MIB], up=True) as cutter:
        assert ftd.ft("put", local / "x", cutter.url("/x"), check=False).returncode == 10
    new = noise(LARGE, 2)
    (local / "x").write_bytes(new)
    done = ftd.ft("put", "--json", local / "x", f"{ftd.url}/x")
    assert (ftd.root / "x").read_bytes() == new and last(done)["held"] == 0


@long
def test_the_session_is_killed(ftd, local):
    data = noise(LARGE + 1)
    (local / "x").write_bytes(data)
    process = start("put", "--retry-for", "60s", "--limit", "25M", local / "x", f"{ftd.url}/x")
    for least in (8, 24):
        until(lambda: held(ftd) > least * MIB and ftd.sessions(), what="some bytes")
        os.kill(ftd.sessions()[0]["pid"], signal.SIGKILL)
    end(process, 0)
    assert (ftd.root / "x").read_bytes() == data


def test_the_daemon_is_restarted(ftd, local):
    data = noise(LARGE + 1)
    (local / "x").write_bytes(data)
    process = start("put", "--retry-for", "60s", "--limit", "25M", local / "x", f"{ftd.url}/x")
    until(lambda: held(ftd) > 16 * MIB, what="some bytes")
    roles = harness.sessions_of(ftd.pid)
    ftd.kill()
    until(lambda: not harness.in_sessions(roles), what="the end of all roles")
    ftd.start()
    end(process, 0)
    assert (ftd.root / "x").read_bytes() == data


@long
def test_ft_is_killed_and_run_again(ftd, local):
    data = noise(LARGE + 1)
    (local / "x").write_bytes(data)
    process = start("put", "--limit", "25M", local / "x", f"{ftd.url}/x")
    until(lambda: held(ftd) > 24 * MIB, what="some bytes")
    process.kill()
    process.communicate()
    done = ftd.ft("put", "--json", local / "x", f"{ftd.url}/x")
    assert (ftd.root / "x").read_bytes() == data
    assert last(done)["held"] > 16 * MIB


@pytest.mark.parametrize("verb", ["put", pytest.param("get", marks=long)])
def test_ctrl_c_and_the_command_that_goes_on(ftd, local, verb):
    data = noise(LARGE + 1)
    here, there = local / "it's x", ftd.root / "x"
    (here if verb == "put" else there).write_bytes(data)
    args = [verb, "--limit", "25M", "--json", *([here, f"{ftd.url}/x"] if verb == "put" else [f"{ftd.url}/x", here])]
    process = start(*args)
    part = local / ".ft-it's x.part"
    until(lambda: held(ftd) > 16 * MIB or (part.exists() and part.stat().st_size > 16 * MIB), what="some bytes")
    process.send_signal(signal.SIGINT)
    _, errors = end(process, 10)
    command = [line for line in errors.splitlines() if line.startswith("to go on: ft ")][0][len("to go on: "):]
    words = shlex.split(command.replace("\\\\", "\\"))
    done = harness.run(harness.FT, *words[1:])
    assert here.read_bytes() == there.read_bytes() == data
    assert last(done)["held"] >= 8 * MIB


def test_two_at_one_target(ftd, local):
    data = noise(LARGE + 1)
    (local / "x").write_bytes(data)
    args = ["put", "--retry-for", "60s", "--limit", "30M", local / "x", f"{ftd.url}/x"]
    first = start(*args)
    until(lambda: held(ftd) > 8 * MIB, what="some bytes")
    second = start(*args)
    _, errors = end(first, 14)
    assert "took the upload over" in errors
    end(second, 0)
    assert (ftd.root / "x").read_bytes() == data


class Deaf(Cutter):
    """Passes the first upload-begin on, and cuts before its answer."""

    begun = False

    def _pass(self, up, a, b, budget, both):
        while up and not self.begun and (data := a.recv(1 << 20)):
            b.sendall(data)
            if b"upload-begin" in data:
                self.begun, budget = True, 0
        super()._pass(up, a, b, budget, both)


def test_two_whose_beginnings_had_no_answer(ftd, local):
    """Each may think once that the other is itself: then one has it."""
    data = noise(LARGE + 1)
    (local / "x").write_bytes(data)
    with Deaf(ftd.port, [], up=True) as one, Deaf(ftd.port, [], up=True) as other:
        args = ["put", "--retry-for", "60s", "--limit", "30M", local / "x"]
        first = start(*args, one.url("/x"))
        until(lambda: held(ftd) > 8 * MIB, what="some bytes")
        second = start(*args, other.url("/x"))
        for process in (first, second):
            process.communicate(timeout=60 * PATIENCE)
        assert sorted(p.returncode for p in (first, second)) == [0, 14]
    assert (ftd.root / "x").read_bytes() == data


def test_several_connections_with_cuts(ftd, local):
    data, rng = noise(100 * MIB), random.Random(5)
    (local / "x").write_bytes(data)
    cuts = [rng.randrange(MIB, 20 * MIB) for _ in range(6)]
    with Cutter(ftd.port, cuts, up=True) as cutter:
        done = ftd.ft("put", "-j", "4", "--json", "--retry-for", "60s", local / "x", cutter.url("/x"))
        assert cutter.connections > 6
    assert (ftd.root / "x").read_bytes() == data
    steps = [e["bytes"] for e in events(done) if e["ev"] == "progress"]
    assert all(n <= len(data) for n in steps)


def test_several_connections_are_used(ftd, local):
    data = noise(LARGE)
    (local / "x").write_bytes(data)
    with Cutter(ftd.port, []) as cutter:
        done = ftd.ft("put", "-j", "3", "--json", local / "x", cutter.url("/x"))
        assert cutter.connections == 3
    assert (ftd.root / "x").read_bytes() == data
    assert last(done)["moved"] == len(data)


def test_a_sparse_file_in_parts(ftd, local):
    with open(local / "x", "wb") as file:
        file.truncate(200 * MIB)
        file.seek(77 * MIB + 5)
        file.write(noise(3 * MIB))
    for args in ([], ["-j", "3"]):
        done = ftd.ft("put", "--json", *args, local / "x", f"{ftd.url}/y{len(args)}")
        there = ftd.root / f"y{len(args)}"
        assert there.read_bytes() == (local / "x").read_bytes()
        assert there.stat().st_blocks * 512 < 8 * MIB and last(done)["moved"] < 8 * MIB


@long
def test_the_digest_that_is_wanted(ftd, local):
    data = noise(LARGE)
    (local / "x").write_bytes(data)
    for args, says in (([], "blocks:"), (["--digest", "sha256"], harness.wire.digest(data, "sha256"))):
        assert last(ftd.ft("put", "--json", *args, local / "x", f"{ftd.url}/x"))["digest"].startswith(says)
    assert (ftd.root / "x").read_bytes() == data


def test_a_pipe_cannot_be_resumed(ftd):
    with Cutter(ftd.port, [3 * MIB], up=True) as cutter:
        done = subprocess.run([harness.FT, "put", "--retry-for", "30s", "-", cutter.url("/x")], input=noise(9 * MIB),
                              capture_output=True, timeout=60 * PATIENCE, check=False)
    assert done.returncode == 10 and b"cannot be read again" in done.stderr, done.stderr
    assert not (ftd.root / "x").exists()


# --- onto a file that is there

def edited(data, places):
    data = bytearray(data)
    for at in places:
        data[at] ^= 1
    return bytes(data)


@pytest.mark.parametrize("secure", [False, True])
def test_only_changed_blocks_are_sent(make_ftd, local, secure):
    ftd = make_ftd({})
    old = noise(100 * MIB)
    new = edited(old, [3, 5, 50 * MIB]) + b"and more"
    (ftd.root / "x").write_bytes(old)
    (local / "x").write_bytes(new)
    how = ["--pin", re.search("sha256:[0-9a-f]{64}", ftd.errors)[0]] if secure else []
    with Cutter(ftd.port, []) as cutter:
        done = ftd.ft("put", *how, local / "x", cutter.url("/x"))
        assert 2 * BLOCK < cutter.up_bytes < 5 * BLOCK
    assert "MiB moved" in done.stderr
    assert (ftd.root / "x").read_bytes() == new
    with Cutter(ftd.port, []) as cutter:
        done = ftd.ft("put", *how, "--json", "--whole", local / "x", cutter.url("/x"))
        assert cutter.up_bytes > len(new) and last(done)["held"] == 0
    assert (ftd.root / "x").read_bytes() == new


@long
def test_a_shorter_and_an_equal_file(ftd, local):
    data = noise(90 * MIB)
    (ftd.root / "x").write_bytes(data)
    for size in (90 * MIB, 70 * MIB + 5):
        (local / "x").write_bytes(data[:size])
        done = ftd.ft("put", "--json", local / "x", f"{ftd.url}/x")
        assert last(done)["moved"] < BLOCK
        assert (ftd.root / "x").read_bytes() == data[:size]


@long
def test_changed_blocks_that_are_cut(ftd, local):
    old = noise(100 * MIB)
    new = edited(old, range(0, 100 * MIB, 2 * BLOCK))
    (ftd.root / "x").write_bytes(old)
    (local / "x").write_bytes(new)
    with Cutter(ftd.port, [13 * MIB, 20 * MIB], up=True) as cutter:
        ftd.ft("put", "--retry-for", "30s", local / "x", cutter.url("/x"))
        assert cutter.connections == 3 and cutter.up_bytes < 72 * MIB
    assert (ftd.root / "x").read_bytes() == new


# --- downloads

@pytest.mark.parametrize("args", [pytest.param([], marks=long), ["-j", "4"]])
def test_a_download_that_is_cut_goes_on(ftd, local, args):
    data, rng = noise(LARGE + 777), random.Random(11)
    (ftd.root / "x").write_bytes(data)
    with Cutter(ftd.port, [rng.randrange(MIB, 20 * MIB) for _ in range(3)]) as cutter:
        ftd.ft("get", *args, "--retry-for", "60s", cutter.url("/x"), local / "x")
        assert cutter.connections > 3 and cutter.down_bytes < len(data) + 6 * MIB
    assert (local / "x").read_bytes() == data
    assert os.listdir(local) == ["x"]


def test_holes_of_a_part_are_not_believed(ftd, local):
    data = noise(LARGE)
    (ftd.root / "x").write_bytes(data)
    with open(local / ".ft-x.part", "wb") as file:
        for at in (0, 20 * MIB, 50 * MIB):
            file.seek(at)
            file.write(data[at:at + 10 * MIB])
        file.truncate(LARGE)
    with Cutter(ftd.port, []) as cutter:
        done = ftd.ft("get", "--json", "-j", "3", cutter.url("/x"), local / "x")
        assert 34 * MIB <= cutter.down_bytes < 35 * MIB
    assert last(done)["held"] == 30 * MIB
    assert (local / "x").read_bytes() == data


@long
def test_a_download_in_ranges_is_stopped_and_goes_on(ftd, local):
    data = noise(100 * MIB)
    (ftd.root / "x").write_bytes(data)
    process = start("get", "-j", "4", "--limit", "80M", f"{ftd.url}/x", local / "x")
    part = local / ".ft-x.part"
    until(lambda: part.exists() and part.stat().st_blocks * 512 > 30 * MIB, what="some bytes")
    process.kill()
    process.communicate()
    done = ftd.ft("get", "--json", "-v", f"{ftd.url}/x", local / "x")
    assert (local / "x").read_bytes() == data
    assert 20 * MIB < last(done)["held"] and last(done)["held"] + last(done)["moved"] == len(data)
    assert "bytes are there already" in done.stderr


@pytest.mark.parametrize("args", [pytest.param([], marks=long), ["-j", "3"]])
def test_a_file_that_changes_on_the_server_comes_anew(ftd, local, args):
    (ftd.root / "x").write_bytes(noise(LARGE))
    new = noise(LARGE + 3, 2)
    process = start("get", *args, "--limit", "25M", f"{ftd.url}/x", local / "x")
    part = local / ".ft-x.part"
    until(lambda: part.exists() and part.stat().st_blocks * 512 > 8 * MIB, what="some bytes")
    with open(ftd.root / "x", "r+b") as file:
        file.write(new)
    _, errors = end(process, 0)
    assert "starting anew" in errors
    assert (local / "x").read_bytes() == new


@long
def test_the_session_of_a_download_is_killed(ftd, local):
    data = noise(LARGE)
    (ftd.root / "x").write_bytes(data)
    process = start("get", "-j", "2", "--retry-for", "60s", "--limit", "25M", f"{ftd.url}/x", local / "x")
    part = local / ".ft-x.part"
    until(lambda: part.exists() and part.stat().st_blocks * 512 > 8 * MIB and ftd.sessions(), what="some bytes")
    for session in ftd.sessions():
        os.kill(session["pid"], signal.SIGKILL)
    end(process, 0)
    assert (local / "x").read_bytes() == data


# --- whatever happens

def trouble(rng, ftd, cutter, process):
    """Something that the transfer has to survive; whether ft has to be started again."""
    what = rng.choice(["cut", "cut", "kill session", "kill ft", "interrupt ft"])
    if what == "cut":
        cutter.cut_all()
    elif what == "kill session":
        for session in rng.sample(ftd.sessions(), min(1, len(ftd.sessions()))):
            os.kill(session["pid"], signal.SIGKILL)
    elif process.poll() is None:
        process.send_signal(signal.SIGKILL if what == "kill ft" else signal.SIGINT)
    return what.endswith("ft")


@pytest.mark.parametrize("verb, secure", [("put", False), ("get", True), pytest.param("put", True, marks=long),
                                          pytest.param("get", False, marks=long)])
@pytest.mark.parametrize("seed", range(12 if FULL else 1))
def test_whatever_happens_it_arrives(ftd, local, verb, secure, seed):
    rng, size = random.Random(seed), (300 if FULL else 80) * MIB + 4321
    data = noise(size, seed)
    here, there = local / "x", ftd.root / "x"
    (here if verb == "put" else there).write_bytes(data)
    if rng.random() < 0.3:  # something is there before
        (there if verb == "put" else here).write_bytes(edited(data, [rng.randrange(size) for _ in range(5)]))
    how = ["--pin", re.search("sha256:[0-9a-f]{64}", ftd.errors)[0]] if secure else []
    with Cutter(ftd.port, []) as cutter:
        def run():
            ends = [here, cutter.url("/x")] if verb == "put" else [cutter.url("/x"), here]
            return start(verb, *how, "-j", rng.randrange(1, 5), "--retry-for", "120s", "--limit", "100M", *ends)
        process = run()
        for _ in range(12 if FULL else 3):
            time.sleep(rng.uniform(0.05, 0.6))
            if trouble(rng, ftd, cutter, process):
                process.communicate(timeout=60 * PATIENCE)
                process = run()
        _, errors = process.communicate(timeout=240 * PATIENCE)
    assert process.returncode == 0, errors
    assert here.read_bytes() == there.read_bytes() == data
    quiet(ftd)
    assert held(ftd) == 0 and os.listdir(local) == ["x"]
