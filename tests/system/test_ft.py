"""The client against the daemon: what arrives, what is said, and with which exit status."""
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from cutter import Cutter
import harness
from harness import PATIENCE, SANITIZED
import wire

MIB = 1 << 20


@pytest.fixture
def local(tmp_path):
    return tmp_path


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def make_tree(top):
    """Files small and large, an empty directory, odd names, times and modes."""
    (top / "sub/deep").mkdir(parents=True)
    (top / "empty").mkdir()
    (top / "zero").write_bytes(b"")
    (top / "small").write_bytes(b"hello\n")
    (top / "sub/large").write_bytes(noise(3 * MIB + 17))
    (top / "sub/exact").write_bytes(noise(MIB, 2))
    for i in range(1200):  # more than may wait for an answer
        (top / f"sub/deep/{i}").write_text(str(i))
    (top / "Grüße, 世界").write_bytes(b"utf-8")
    (top / os.fsdecode(b"not \xff utf-8")).write_bytes(b"bytes")
    (top / "new\nline").write_bytes(b"control")
    with open(top / "sparse", "wb") as file:
        file.seek(8 * MIB)
        file.write(b"end")
    (top / "small").chmod(0o640)
    os.utime(top / "small", ns=(1, 1_234_567_890_123_456_789))
    os.utime(top / "zero", ns=(1, -1_500_000_000))
    (top / "empty").chmod(0o750)
    os.utime(top / "sub/deep", ns=(1, 987_654_321_000_000_001))
    return top


def looks(top):
    """Everything that should travel: {relative name: (kind, mode, mtime, content)}."""
    found = {}
    for path in [top, *top.rglob("*")]:
        info = path.lstat()
        content = path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(top))] = (path.is_dir(), info.st_mode & 0o777, info.st_mtime_ns, content)
    return found


def events(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


# --- single files

def test_put_then_get_gives_the_same_file(ftd, local):
    for size in (0, 1, MIB, MIB + 1, 5 * MIB):
        source, back = local / "source", local / "back"
        source.write_bytes(noise(size))
        source.chmod(0o604)
        os.utime(source, ns=(5, 1_600_000_000_123_456_789))
        ftd.ft("put", source, f"{ftd.url}/x")
        assert (ftd.root / "x").read_bytes() == source.read_bytes()
        ftd.ft("get", f"{ftd.url}/x", back)
        assert looks(back) == looks(source)
        assert sorted(p.name for p in local.iterdir()) == ["back", "source"]


def test_names_follow_the_rules_of_cp(ftd, local):
    (local / "a").write_text("a")
    (local / "b").write_text("b")
    (ftd.root / "dir").mkdir()
    ftd.ft("put", local / "a", f"{ftd.url}/dir")
    ftd.ft("put", local / "a", local / "b", f"{ftd.url}/dir/")
    ftd.ft("put", local / "a", f"{ftd.url}/named")
    ftd.ft("put", local / "b", ftd.url)
    assert sorted(p.name for p in ftd.root.rglob("*") if ".ftd" not in p.name and p.is_file()) == ["a", "b", "b", "named"]
    assert ftd.ft("put", local / "a", local / "b", f"{ftd.url}/new", check=False).returncode == 7
    assert ftd.ft("put", local / "a", f"{ftd.url}/none/", check=False).returncode == 7
    (local / "into").mkdir()
    ftd.ft("get", f"{ftd.url}/dir/a", f"{ftd.url}/dir/b", local / "into")
    assert sorted(os.listdir(local / "into")) == ["a", "b"]
    assert ftd.ft("get", f"{ftd.url}/dir/a", f"{ftd.url}/dir/b", local / "a", check=False).returncode == 13


def test_any_byte_in_a_name_travels(ftd, local):
    names = [b"a b", b"%41", b"\xff\xfe", "ü".encode(), b"\x01\x1b[31m", b"'\"\\", b"-x"]
    for name in names:
        (local / os.fsdecode(name)).write_bytes(name)
    ftd.ft("put", *[local / os.fsdecode(n) for n in names], ftd.url + "/")
    for name in names:
        assert (ftd.root / os.fsdecode(name)).read_bytes() == name
    quoted = "".join(f"%{b:02x}" for b in b"\xff\xfe")
    assert ftd.ft("cat", f"{ftd.url}/{quoted}", errors="surrogateescape").stdout == os.fsdecode(b"\xff\xfe")
    listed = ftd.ft("ls", ftd.url).stdout
    assert "\x1b" not in listed and "\\x1b[31m" in listed


def test_standard_input_and_output(ftd):
    data = noise(2 * MIB + 5)
    put = subprocess.run([harness.FT, "put", "-", f"{ftd.url}/in"], input=data, capture_output=True, timeout=60)
    assert put.returncode == 0, put.stderr
    for command in (["cat", f"{ftd.url}/in"], ["get", f"{ftd.url}/in", "-"]):
        got = subprocess.run([harness.FT, *command], capture_output=True, timeout=60)
        assert (got.returncode, got.stdout) == (0, data)
    assert ftd.ft("put", "-", f"{ftd.url}/dir/", check=False).returncode == 2


def test_pipe_as_a_source(ftd, local):
    os.mkfifo(local / "pipe")
    writer = threading.Thread(target=lambda: (local / "pipe").write_bytes(b"through a pipe"))
    writer.start()
    ftd.ft("put", local / "pipe", f"{ftd.url}/x")
    writer.join(10)
    assert (ftd.root / "x").read_bytes() == b"through a pipe"


@pytest.mark.parametrize("direction", ["put", "get"])
def test_taken_names(ftd, local, direction):
    old, new = (ftd.root / "x", local / "x") if direction == "put" else (local / "x", ftd.root / "x")
    args = [local / "x", f"{ftd.url}/x"] if direction == "put" else [f"{ftd.url}/x", local / "x"]
    new.write_text("new")

    def run(how, status=0):
        old.write_text("old")
        done = ftd.ft(direction, *(["--if-exists", how] if how else []), *args, check=False)
        assert done.returncode == status, done.stderr
        return old.read_text()

    assert run(None) == "new"
    assert run("replace") == "new"
    assert run("fail", 8) == "old"
    assert run("skip") == "old"
    assert run("keep-both") == "old"
    assert (old.parent / "x (2)").read_text() == "new"


def test_sparse_files_stay_sparse(ftd, local):
    with open(local / "sparse", "wb") as file:
        file.truncate(64 * MIB)
        file.seek(20 * MIB)
        file.write(b"island")
    ftd.ft("put", local / "sparse", f"{ftd.url}/sparse")
    ftd.ft("get", f"{ftd.url}/sparse", local / "back")
    for path in (ftd.root / "sparse", local / "back"):
        assert path.stat().st_size == 64 * MIB
        assert path.stat().st_blocks * 512 < 2 * MIB
        assert wire.digest(path.read_bytes()) == wire.digest((local / "sparse").read_bytes())


def test_a_large_file_asks_first(make_ftd, local):
    ftd = make_ftd({"limits": {"file_size": "100M"}})
    with open(local / "large", "wb") as file:
        file.truncate(200 * MIB)
        file.write(b"x")
    done = ftd.ft("put", local / "large", f"{ftd.url}/large", check=False)
    assert done.returncode == 9, done.stderr
    assert not (ftd.root / "large").exists()


def test_a_refused_upload_does_not_stop_the_next(make_ftd, local):
    ftd = make_ftd({"limits": {"file_size": "2M"}})
    for name, size in (("a", 100), ("b", 5 * MIB), ("c", 2 * MIB), ("d", 3 * MIB), ("e", 7)):
        (local / name).write_bytes(noise(size))
    lines = events(ftd.ft("put", "--json", *(local / n for n in "abcde"), ftd.url, check=False))
    assert {e["name"][-1]: e["code"] for e in lines if e["ev"] == "error"} == {"b": "file_too_large", "d": "file_too_large"}
    assert lines[-1]["exit"] == 15
    assert sorted(p.name for p in ftd.root.iterdir() if p.is_file()) == ["a", "c", "e"]


# --- trees

def test_a_tree_travels_whole(ftd, local):
    tree = make_tree(local / "tree")
    ftd.ft("put", "-r", tree, f"{ftd.url}/tree")
    assert looks(ftd.root / "tree") == looks(tree)
    ftd.ft("get", "-r", f"{ftd.url}/tree", local / "back")
    assert looks(local / "back") == looks(tree)
    ftd.ft("get", "-r", "--exclude", "nothing like it", f"{ftd.url}/tree", local / "listed")
    assert looks(local / "listed") == looks(tree)


def test_a_tree_goes_into_a_directory_that_is_there(ftd, local):
    (local / "tree").mkdir()
    (local / "tree/f").write_text("f")
    (ftd.root / "here").mkdir()
    ftd.ft("put", "-r", local / "tree", f"{ftd.url}/here")
    ftd.ft("put", "-r", f"{local}/tree/.", f"{ftd.url}/here")
    assert (ftd.root / "here/tree/f").read_text() == (ftd.root / "here/f").read_text() == "f"
    (local / "into").mkdir()
    ftd.ft("get", "-r", f"{ftd.url}/here", local / "into")
    assert (local / "into/here/tree/f").exists()
    ftd.ft("get", "-r", ftd.url, local / "into")
    assert (local / "into/here/f").exists() and not (local / "into/.ftd").exists()


def test_a_directory_needs_r(ftd, local):
    (local / "d").mkdir()
    (ftd.root / "d").mkdir()
    assert ftd.ft("put", local / "d", ftd.url, check=False).returncode == 13
    assert ftd.ft("get", f"{ftd.url}/d", local / "new", check=False).returncode == 7
    assert ftd.ft("rm", f"{ftd.url}/d", "-r").returncode == 0


def test_links_are_not_followed_inside_a_tree(ftd, local):
    (local / "secret").write_text("secret")
    (local / "t").mkdir()
    (local / "t/link").symlink_to("../secret")
    (local / "t/dirlink").symlink_to("..")
    (local / "top").symlink_to("t")
    done = ftd.ft("put", "-r", local / "top", f"{ftd.url}/t")
    assert "t/link: skipped: a symbolic link" in done.stderr.replace("top/", "t/")
    assert os.listdir(ftd.root / "t") == []
    ftd.ft("put", local / "t/link", f"{ftd.url}/named")
    assert (ftd.root / "named").read_text() == "secret"


def test_include_and_exclude(ftd, local):
    for name in ("a.c", "a.h", "old/a.c", "new/b.c", "new/b.o"):
        (local / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (local / "src" / name).write_text(name)

    def files(top):
        return sorted(str(p.relative_to(top)) for p in top.rglob("*") if p.is_file())

    ftd.ft("put", "-r", "--include", "*.c", "--exclude", "old", local / "src", f"{ftd.url}/up")
    assert files(ftd.root / "up") == ["a.c", "new/b.c"]
    ftd.ft("put", "-r", local / "src", f"{ftd.url}/all")
    ftd.ft("get", "-r", "--include", "*.c", "--exclude", "old", f"{ftd.url}/all", local / "down")
    assert files(local / "down") == ["a.c", "new/b.c"]
    ftd.ft("get", "-r", "--exclude", "new/*.o", f"{ftd.url}/all", local / "less")
    assert files(local / "less") == ["a.c", "a.h", "new/b.c", "old/a.c"]


def test_one_bad_file_does_not_stop_the_others(ftd, local):
    (local / "t").mkdir()
    for name in ("a", ".ftd-reserved", "z"):
        (local / "t" / name).write_text(name)
    done = ftd.ft("put", "-r", local / "t", f"{ftd.url}/t", check=False)
    assert done.returncode == 15
    assert "ft: " in done.stderr and ".ftd-reserved: server: " in done.stderr
    assert sorted(os.listdir(ftd.root / "t")) == ["a", "z"]
    assert ftd.ft("put", local / "missing", local / "t/a", ftd.url + "/", check=False).returncode == 15
    assert ftd.ft("put", local / "missing", f"{ftd.url}/x", check=False).returncode == 13


@pytest.mark.skipif(SANITIZED, reason="leaks cannot be looked for beneath strace")
def test_a_directory_that_cannot_be_read_to_its_end_is_told(ftd, local):
    tree = local / "tree"
    tree.mkdir()
    (tree / "file").write_text("x")
    traced = ["strace", "-qq", "-o", local / "trace", "-e", "trace=getdents64",
              "-e", "inject=getdents64:error=EIO:when=2"]
    if not shutil.which("strace") or harness.run(*traced, "true", check=False).returncode != 0:
        pytest.skip("strace cannot be used here")
    done = harness.run(*traced, harness.FT, "put", "-r", tree, f"{ftd.url}/tree", check=False)
    assert done.returncode == 15 and "tree: Input/output error" in done.stderr, done
    assert (ftd.root / "tree/file").read_text() == "x"


def test_a_tree_skips_what_is_there(ftd, local):
    (local / "t").mkdir()
    for name in ("a", "b"):
        (local / "t" / name).write_text("new")
    (ftd.root / "t").mkdir()
    (ftd.root / "t/a").write_text("old")
    ftd.ft("put", "-r", "--if-exists", "skip", f"{local}/t/.", f"{ftd.url}/t")
    assert ((ftd.root / "t/a").read_text(), (ftd.root / "t/b").read_text()) == ("old", "new")
    (local / "back/t").mkdir(parents=True)
    (local / "back/t/b").write_text("mine")
    done = ftd.ft("get", "-r", "--if-exists", "skip", f"{ftd.url}/t", local / "back", "--json")
    assert (local / "back/t/b").read_text() == "mine"
    assert (local / "back/t/a").read_text() == "old"
    assert events(done)[-1]["skipped"] == 1


# --- lost connections

def test_an_interrupted_download_goes_on_where_it_was(ftd, local):
    data = noise(24 * MIB)
    (ftd.root / "x").write_bytes(data)
    with Cutter(ftd.port, [17 * MIB]) as cutter:
        done = ftd.ft("get", cutter.url("/x"), local / "x", check=False)
        assert done.returncode == 10, done.stderr
    part = local / ".ft-x.part"
    held = part.stat().st_size
    assert 8 * MIB < held < 24 * MIB and not (local / "x").exists()
    done = ftd.ft("get", "--json", f"{ftd.url}/x", local / "x")
    assert (local / "x").read_bytes() == data
    last = [e for e in events(done) if e["ev"] == "done"][0]
    assert last["held"] == held
    assert os.listdir(local) == ["x"]


def test_held_bytes_are_compared_by_content(ftd, local):
    data = bytearray(noise(24 * MIB))
    (ftd.root / "x").write_bytes(data)
    (local / ".ft-x.part").write_bytes(data[: 9 * MIB] + b"?" + data[9 * MIB + 1 : 20 * MIB])
    done = ftd.ft("get", "--json", f"{ftd.url}/x", local / "x")
    assert (local / "x").read_bytes() == data
    assert [e for e in events(done) if e["ev"] == "done"][0]["held"] == 19 * MIB
    (local / ".ft-x.part").write_bytes(noise(30 * MIB, 9))  # longer, and all of it wrong
    (local / "x").unlink()
    ftd.ft("get", f"{ftd.url}/x", local / "x")
    assert (local / "x").read_bytes() == data


def test_a_part_that_is_whole_is_not_fetched_again(ftd, local):
    data = noise(9 * MIB)
    (ftd.root / "x").write_bytes(data)
    for held in (data, data + b"more"):
        (local / ".ft-x.part").write_bytes(held)
        done = ftd.ft("get", "--json", f"{ftd.url}/x", local / "x")
        assert (local / "x").read_bytes() == data
        assert [e for e in events(done) if e["ev"] == "done"][0]["held"] == len(data)


def test_a_lost_connection_is_made_anew(ftd, local):
    data = noise(20 * MIB)
    (ftd.root / "x").write_bytes(data)
    with Cutter(ftd.port, [6 * MIB, 100, 6 * MIB]) as cutter:
        ftd.ft("get", "--retry-for", "30s", cutter.url("/x"), local / "x")
        assert (local / "x").read_bytes() == data and cutter.connections == 4


def test_an_upload_is_sent_again_when_its_answer_is_lost(ftd, local):
    tree = make_tree(local / "tree")
    with Cutter(ftd.port, [2000, 40_000, 100]) as cutter:  # answers lost
        ftd.ft("put", "-r", "--retry-for", "30s", "--if-exists", "fail", tree, cutter.url("/t"))
        assert cutter.connections == 4
    assert looks(ftd.root / "t") == looks(tree)
    with Cutter(ftd.port, [3 * MIB, 500_000], up=True) as cutter:  # contents cut
        ftd.ft("put", "-r", "--retry-for", "30s", tree, cutter.url("/u"))
        assert cutter.connections == 3
    assert looks(ftd.root / "u") == looks(tree)


def test_a_tree_comes_whole_over_several_connections(ftd, local):
    tree = make_tree(ftd.root / "tree")
    with Cutter(ftd.port, [2 * MIB, 300_000]) as cutter:
        ftd.ft("get", "-r", "--retry-for", "30s", cutter.url("/tree"), local / "tree")
        assert cutter.connections == 3
    assert looks(local / "tree") == looks(tree)


def test_many_files_do_not_wait_for_one_answer_each(ftd, local):
    for i in range(400):
        (local / f"t/{i // 100}").mkdir(parents=True, exist_ok=True)
        (local / f"t/{i // 100}/{i}").write_text(str(i))
    with Cutter(ftd.port, [], delay=0.02) as far:  # 400 answers, one by one, would take 16 s
        for args in (["put", "-r", local / "t", far.url("/t")], ["get", "-r", far.url("/t"), local / "a"],
                     ["get", "-r", "--exclude", "none", far.url("/t"), local / "b"]):
            begin = time.monotonic()
            ftd.ft(*args)
            assert time.monotonic() - begin < 5 * PATIENCE
    assert looks(local / "a") == looks(local / "b") == looks(local / "t")


def test_a_chosen_tree_comes_whole_over_several_connections(ftd, local):
    tree = make_tree(ftd.root / "tree")
    with Cutter(ftd.port, [400_000, 2 * MIB, 100]) as cutter:
        ftd.ft("get", "-r", "--retry-for", "30s", "--exclude", "none", cutter.url("/tree"), local / "tree")
        assert cutter.connections == 4
    assert looks(local / "tree") == looks(tree)


def test_nothing_is_repeated_unasked_in_a_script(ftd, local):
    (local / "x").write_bytes(noise(4 * MIB))
    with Cutter(ftd.port, [MIB], up=True) as cutter:
        done = ftd.ft("put", local / "x", cutter.url("/x"), check=False)
        assert (done.returncode, cutter.connections) == (10, 1), done.stderr
    assert not (ftd.root / "x").exists()


def test_a_full_disk_here_is_told(ftd, local):
    for name in ("x", "t/a", "t/b"):
        (ftd.root / name).parent.mkdir(exist_ok=True)
        (ftd.root / name).write_bytes(noise(3 * MIB))
    for args in (["x"], ["t", "-r"], ["t", "-r", "--exclude", "none"]):
        done = harness.run("prlimit", f"--fsize={MIB}", harness.FT, "get", f"{ftd.url}/{args[0]}", local, *args[1:], check=False)
        assert done.returncode == 13 and "File too large" in done.stderr, done.stderr
    assert [p for p in local.rglob("*") if p.is_file() and not p.name.startswith(".ft-")] == []


# --- stopping

def test_ctrl_c_keeps_the_part_and_tells_how_to_go_on(ftd, local):
    data = noise(8 * MIB)
    (ftd.root / "x").write_bytes(data)
    process = subprocess.Popen([harness.FT, "get", "--limit", "2M", f"{ftd.url}/x", "it's x"], cwd=local,
                               stderr=subprocess.PIPE, text=True)
    harness.until(lambda: any(p.stat().st_size > MIB for p in local.glob(".ft-*.part")), 10, "some bytes")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10 * PATIENCE)
    assert process.returncode == 10, errors
    command = [line for line in errors.splitlines() if line.startswith("to go on: ft ")][0][len("to go on: "):]
    assert command == f"ft get --limit 2M {ftd.url}/x 'it'\\\\''s x'".replace("\\\\", "\\\\")
    ftd.ft("get", f"{ftd.url}/x", local / "it's x")
    assert (local / "it's x").read_bytes() == data


def test_ctrl_c_before_anything_has_begun(local):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        process = subprocess.Popen([harness.FT, "ls", f"ft://127.0.0.1:{mute.getsockname()[1]}"], stderr=subprocess.PIPE)
        peer, _ = mute.accept()
        peer.recv(1)  # hello has come
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10 * PATIENCE)
        peer.close()
        assert process.returncode == 130


def test_a_mute_server_is_given_up(local):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        begin = time.monotonic()
        done = harness.run(harness.FT, "ls", "--timeout", "500ms", f"ft://127.0.0.1:{mute.getsockname()[1]}", check=False)
        assert done.returncode == 10 and time.monotonic() - begin < 5 * PATIENCE, done.stderr


def test_a_file_that_shrinks_while_it_is_read_is_not_published(ftd, local):
    with open(local / "x", "wb") as file:
        file.write(noise(6 * MIB))
    process = subprocess.Popen([harness.FT, "put", "--limit", "4M", local / "x", f"{ftd.url}/x"],
                               stderr=subprocess.PIPE, text=True)
    time.sleep(0.6)
    os.truncate(local / "x", 100)
    _, errors = process.communicate(timeout=20 * PATIENCE)
    assert process.returncode == 13 and "changed while it was read" in errors, errors
    assert not (ftd.root / "x").exists()


# --- what is said

def test_rate_is_kept(ftd, local):
    (local / "x").write_bytes(noise(4 * MIB))
    for args in (["put", local / "x", f"{ftd.url}/x"], ["get", f"{ftd.url}/x", local / "y"]):
        begin = time.monotonic()
        ftd.ft(*args, "--limit", "4M")
        assert 0.8 < time.monotonic() - begin < 3 * PATIENCE


def test_json_lines(ftd, local):
    (local / "x").write_bytes(noise(2 * MIB))
    lines = events(ftd.ft("put", "--json", local / "x", local / "none", ftd.url, check=False))
    assert [e["ev"] for e in lines] == ["done", "error", "summary"] or [e["ev"] for e in lines] == ["error", "done", "summary"]
    by = {e["ev"]: e for e in lines}
    assert by["done"]["bytes"] == 2 * MIB and by["done"]["remote"] == "/x"
    assert by["done"]["digest"] == wire.digest((local / "x").read_bytes())
    assert by["error"]["exit"] == 13
    assert (by["summary"]["ok"], by["summary"]["failed"], by["summary"]["exit"]) == (1, 1, 15)
    entries = events(ftd.ft("ls", "--json", ftd.url))
    assert [(e["name"], e["filesize"]) for e in entries] == [("x", 2 * MIB)]


def test_lines_without_a_terminal(ftd, local):
    (local / "x").write_bytes(b"12345")
    done = ftd.ft("put", local / "x", ftd.url)
    assert done.stdout == "" and done.stderr == f"{local}/x  5 B\n"
    assert ftd.ft("put", "-q", local / "x", ftd.url).stderr == ""
    assert "\x1b" not in ftd.ft("get", f"{ftd.url}/x", local / "y").stderr


def test_moving_lines_on_a_terminal(ftd, local):
    (local / "x").write_bytes(noise(4 * MIB))
    master, slave = os.openpty()
    process = subprocess.Popen([harness.FT, "put", "--limit", "2M", local / "x", ftd.url], stderr=slave,
                               env={**os.environ, "TERM": "xterm"})
    os.close(slave)
    shown = b""
    try:
        while data := os.read(master, 4096):
            shown += data
    except OSError:  # the other end is closed
        pass
    os.close(master)
    assert process.wait(20 * PATIENCE) == 0
    text = shown.decode()
    percents = [int(p.split()[-1]) for p in text.split("%")[:-1]]
    assert len(percents) > 3 and percents == sorted(percents) and percents[-1] > 30
    assert "MiB of 4.0 MiB" in text and "ETA" in text
    assert text.rstrip().split("\r")[-1].lstrip("\x1b[K").startswith(str(local / "x"))


# --- the small commands

def test_list_stat_and_digest(ftd):
    (ftd.root / "d").mkdir()
    (ftd.root / "d/b").write_bytes(b"bb")
    (ftd.root / "a").write_bytes(b"a")
    assert ftd.ft("ls", ftd.url).stdout == "a\nd/\n"
    assert ftd.ft("ls", "-R", ftd.url).stdout == "a\nd/\nd/b\n"
    assert ftd.ft("ls", f"{ftd.url}/a").stdout == "a\n"
    assert ftd.ft("ls", "-l", f"{ftd.url}/d").stdout.split()[:2] == ["-rw-r--r--", "2"]
    assert ftd.ft("ls", f"{ftd.url}/none", check=False).returncode == 7
    assert "type      directory" in ftd.ft("stat", f"{ftd.url}/d").stdout
    sums = ftd.ft("sum", f"{ftd.url}/a", f"{ftd.url}/d/b").stdout
    assert sums == f"{wire.digest(b'a')}  /a\n{wire.digest(b'bb')}  /d/b\n"
    assert ftd.ft("sum", "--digest", "sha256", f"{ftd.url}/a").stdout.startswith(wire.digest(b"a", "sha256"))


def test_many_entries_are_sorted(ftd):
    for i in range(3000):
        (ftd.root / f"name-{i:05}-{'x' * 40}").touch()
    names = ftd.ft("ls", ftd.url).stdout.splitlines()
    assert len(names) == 3000 and names == sorted(names)


def test_sum_check(ftd, local):
    (ftd.root / "a").write_bytes(b"a")
    (ftd.root / "b").write_bytes(b"b")
    (local / "good").write_text(ftd.ft("sum", f"{ftd.url}/a", f"{ftd.url}/b").stdout)
    ftd.ft("sum", "-c", local / "good", ftd.url)
    (local / "plain").write_text(f"{wire.digest(b'a', 'sha256').partition(':')[2]}  a\n")
    ftd.ft("sum", "-c", local / "plain", ftd.url)
    (ftd.root / "a").write_bytes(b"A")
    assert ftd.ft("sum", "-c", local / "plain", ftd.url, check=False).returncode == 11
    assert ftd.ft("sum", "-c", local / "good", ftd.url, check=False).returncode == 15


def test_changes_on_the_server(ftd):
    url = ftd.url
    (ftd.root / "f").write_text("f")
    assert ftd.ft("mkdir", f"{url}/a/b", check=False).returncode == 7
    ftd.ft("mkdir", "-p", f"{url}/a/b")
    ftd.ft("mkdir", "-p", f"{url}/a/b")
    assert ftd.ft("mkdir", f"{url}/a", check=False).returncode == 8
    ftd.ft("cp", f"{url}/f", f"{url}/a")
    ftd.ft("cp", f"{url}/f", f"{url}/g")
    taken = ftd.ft("mv", f"{url}/g", f"{url}/f", check=False)
    assert taken.returncode == 8 and "the name is taken" in taken.stderr
    ftd.ft("mv", "--if-exists", "replace", f"{url}/g", f"{url}/f")
    ftd.ft("mv", f"{url}/f", f"{url}/a/b/")
    assert (ftd.root / "a/b/f").read_text() == (ftd.root / "a/f").read_text() == "f"
    assert ftd.ft("rm", f"{url}/a", check=False).returncode == 8
    ftd.ft("rm", "-r", f"{url}/a")
    assert ftd.ft("rm", f"{url}/a", check=False).returncode == 7
    assert ftd.ft("mv", f"{url}/a", "ft://localhost:1/b", check=False).returncode == 2


def test_space_and_status(ftd):
    space = events(ftd.ft("df", "--json", ftd.url))[0]
    assert space["free"] > 0
    assert ftd.ft("df", "-h", ftd.url).stdout.startswith("/  free ")
    assert ftd.ft("ping", f"127.0.0.1:{ftd.port}").stdout.startswith("ready")
    reply = events(ftd.ft("ping", "--json", f"127.0.0.1:{ftd.port}"))[0]
    assert reply["status"] == "ready" and "nonce" not in reply
    begin = time.monotonic()
    assert ftd.ft("ping", "--timeout", "300ms", f"127.0.0.1:{harness.free_port()}", check=False).returncode == 3
    assert time.monotonic() - begin < 3 * PATIENCE


def test_host_names_of_the_configuration(ftd, local):
    (local / "config/ft").mkdir(parents=True)
    (local / "config/ft/config").write_text(f"[box]\nurl = {ftd.url}/home\n")
    (ftd.root / "home").mkdir()
    (ftd.root / "home/x").write_text("x")
    environment = {**os.environ, "XDG_CONFIG_HOME": str(local / "config")}
    assert ftd.ft("cat", "box:x", env=environment).stdout == "x"
    assert ftd.ft("ls", "box:/", env=environment).stdout == "home/\n"
    done = ftd.ft("ls", "bax:/", check=False, env=environment)
    assert done.returncode == 2 and "~/.config/ft/config" in done.stderr


# --- the command line

@pytest.mark.parametrize("args, status, says", [
    (["ptu"], 2, "did you mean put?"),
    (["put", "--recursive=1", "a", "ft://localhost/"], 2, "--recursive"),
    (["put", "--jsen", "a", "ft://localhost/"], 2, "did you mean --json?"),
    (["put", "a"], 2, "usage: ft put"),
    (["get"], 2, "usage: ft get"),
    (["ls", "nowhere"], 2, "no address"),
    (["ls", "ft://localhost/../x"], 2, "path"),
    (["ls", "ft://user:secret@localhost/"], 2, "no place in an address"),
    (["ls", "--plain", "--tls", "ft://localhost/"], 2, "--plain means no TLS"),
    (["ls", "ft://127.0.0.1:1/"], 3, "cannot connect"),
    (["ls", "--plain", "ft://no-such-host.invalid/"], 3, "no-such-host.invalid"),
    (["--version"], 0, ""),
    (["help", "put"], 0, ""),
])
def test_command_lines(args, status, says):
    done = harness.run(harness.FT, *args, check=False)
    assert done.returncode == status and says in done.stderr, done.stderr


def test_completion_comes_from_the_program():
    def words(*args):
        return harness.run(harness.FT, "complete-words", *args).stdout.split()

    assert {"put", "get", "ls"} <= set(words(""))
    assert words("pu") == ["put"]
    assert "--if-exists" in words("put", "--i") and "--include" in words("put", "--i")
    assert words("ping", "--i") == []
    assert words("help", "st") == ["stat"]
