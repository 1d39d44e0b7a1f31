"""ft mirror: one tree becomes equal to another, in either direction, and nothing but what differs moves."""
import json
import os
import random
import shutil
import signal
import stat
import subprocess

import pytest

from cutter import Cutter
import harness
from harness import PATIENCE, SANITIZED
from liar import ft, liar  # noqa: F401  (a fixture)
from wire import digest

MIB = 1 << 20
SOME_TIME = 1_600_000_000_123_456_789


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def make_tree(top):
    """Files, an empty directory, odd names, times and modes."""
    (top / "sub/deep").mkdir(parents=True)
    (top / "empty").mkdir()
    (top / "zero").write_bytes(b"")
    (top / "small").write_bytes(b"hello\n")
    (top / "sub/larger").write_bytes(noise(2 * MIB + 17))
    (top / "sub/deep/last").write_text("last")
    (top / os.fsdecode(b"not \xff utf-8")).write_bytes(b"bytes")
    (top / "new\nline").write_bytes(b"control")
    (top / "small").chmod(0o640)
    for i, path in enumerate(sorted(top.rglob("*"), reverse=True)):
        os.utime(path, ns=(1, SOME_TIME + i))
    os.utime(top, ns=(1, SOME_TIME))
    return top


def looks(top):
    """Everything that should travel: {relative name: (kind, mode, mtime, content)}."""
    found = {}
    for path in [top, *top.rglob("*")]:
        info = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(info.st_mode) else None
        found[str(path.relative_to(top))] = (stat.S_IFMT(info.st_mode), info.st_mode & 0o777, info.st_mtime_ns, content)
    return found


def names(top):
    return sorted(str(path.relative_to(top)) for path in top.rglob("*"))


class Way:
    """A source and a destination, one of them the daemon's."""

    def __init__(self, ftd, local, up):
        self.ftd, self.up = ftd, up
        there, here = ftd.root / "there", local / "here"
        self.src, self.dst = (here, there) if up else (there, here)
        self.here, self.move = here, "put" if up else "get"
        self.url = f"{ftd.url}/there"

    def args(self, url=None):
        return (self.here, url or self.url) if self.up else (url or self.url, self.here)

    def text(self, *options, check=False, **how):
        return self.ftd.ft("mirror", *options, *self.args(**how), check=check)

    def mirror(self, *options, status=0, **how):
        """The total, with the events before it as "events"."""
        done = self.text("--json", *options, **how)
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        *events, total = map(json.loads, done.stdout.splitlines())
        assert total["ev"] == "summary" and total["exit"] == status
        return {**total, "events": events}

    def codes(self, total):
        return [e["code"] for e in total["events"] if e["ev"] == "error"]


@pytest.fixture(params=["up", "down"])
def way(request, ftd, tmp_path):
    return Way(ftd, tmp_path, request.param == "up")


def put_dir_at(path, *inside):
    path.mkdir()
    for name in inside:
        (path / name).write_text(name)


# --- what moves

def test_trees_become_equal_and_then_nothing_moves(way):
    make_tree(way.src)
    total = way.mirror()
    assert looks(way.dst) == looks(way.src)
    assert (total["ok"], total["unchanged"], total["bytes"]) == (6, 0, total["moved"])
    inodes = {path: path.lstat().st_ino for path in way.dst.rglob("*")}
    for options in ([], ["--delete"], ["--checksum"]):
        total = way.mirror(*options)
        assert (total["ok"], total["moved"], total["set"], total["removed"], total["unchanged"]) == (0, 0, 0, 0, 6)
    assert {path: path.lstat().st_ino for path in way.dst.rglob("*")} == inodes
    assert looks(way.dst) == looks(way.src)


def test_what_is_in_the_source_goes_into_the_destination_itself(way):
    make_tree(way.src)
    way.dst.mkdir()
    way.mirror()
    assert looks(way.dst) == looks(way.src)


def test_only_what_changed_moves(way):
    make_tree(way.src)
    way.mirror()
    (way.src / "small").write_text("other\n")
    (way.src / "sub/added").write_text("new")
    (way.src / "sub/made").mkdir()
    total = way.mirror()
    assert (total["ok"], total["bytes"], total["unchanged"]) == (2, 9, 5)
    assert looks(way.dst) == looks(way.src)


def test_more_entries_than_fit_a_page(way):
    (way.src / "d").mkdir(parents=True)
    for i in range(2300):
        (way.src / f"d/{i}").write_text(str(i))
    assert way.mirror()["ok"] == 2300
    (way.src / "d/7").unlink()
    (way.dst / "d/2299").unlink()
    for options in ([], ["--checksum"]):
        total = way.mirror("--delete", *options)
        assert (total["ok"], total["removed"], total["unchanged"]) == ((0, 0, 2299) if options else (1, 1, 2298))
    assert looks(way.dst) == looks(way.src)


def test_a_time_kept_in_coarser_steps_is_the_same(way):
    make_tree(way.src)
    way.mirror()
    for path in ("small", "sub/larger"):
        os.utime(way.dst / path, ns=(1, SOME_TIME // 10**9 * 10**9))
    assert way.mirror()["moved"] == 0
    os.utime(way.dst / "small", ns=(1, SOME_TIME - SOME_TIME % 10**9 - 3 * 10**9))
    assert way.mirror()["ok"] == 1


def test_a_symbolic_link_or_a_pipe_is_told_once_and_not_followed(way, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    make_tree(way.src)
    (way.src / "link").symlink_to(tmp_path / "outside")
    os.mkfifo(way.src / "sub/pipe")
    total = way.mirror("--delete")
    skipped = [e for e in total["events"] if e["ev"] == "skipped"]
    assert sorted(e["name"].rsplit("/", 1)[-1] for e in skipped) == ["link", "pipe"]
    assert total["skipped"] == 2 and not (way.dst / "link").exists() and not (way.dst / "sub/pipe").exists()
    for name in ("link", "sub/pipe"):  # the source has the names, though they do not travel
        put_dir_at(way.dst / name, "mine")
    assert way.mirror("--delete")["removed"] == 0
    assert (way.dst / "link/mine").exists() and (way.dst / "sub/pipe/mine").exists()


def test_chosen_names_only(way):
    make_tree(way.src)
    (way.src / "sub/deep/a.c").write_text("c")
    put_dir_at(way.dst, "stale.c", "stale.h")
    total = way.mirror("--include", "*.c", "--delete")
    assert (total["ok"], total["removed"]) == (1, 1)
    assert names(way.dst) == ["stale.h", "sub", "sub/deep", "sub/deep/a.c"]


# --- by content

def test_the_same_content_with_another_time_or_mode_is_only_set(way):
    make_tree(way.src)
    way.mirror()
    os.utime(way.src / "small", ns=(1, 5))
    (way.src / "zero").chmod(0o600)
    (way.src / "empty").chmod(0o700)
    os.utime(way.src / "sub/larger", ns=(1, 10**18))
    total = way.mirror("--checksum")
    assert (total["ok"], total["moved"], total["set"], total["unchanged"]) == (0, 0, 3, 3)
    assert looks(way.dst) == looks(way.src)
    total = way.mirror("--checksum")
    assert (total["set"], total["unchanged"]) == (0, 6)
    os.utime(way.src / "small", ns=(1, 7))
    assert way.mirror()["ok"] == 1  # who does not look does not know


def test_another_content_of_the_same_size_and_time_is_found(way):
    make_tree(way.src)
    way.mirror()
    for name, content in (("small", b"HELLO\n"), ("sub/larger", noise(2 * MIB + 17, 2))):
        before = (way.dst / name).stat()
        (way.dst / name).write_bytes(content)
        os.utime(way.dst / name, ns=(1, before.st_mtime_ns))
    assert way.mirror()["ok"] == 0
    if not way.up:  # what is noted of a file there says what it had, as long as its time is the same
        assert way.mirror("--checksum")["ok"] == 2
        assert looks(way.dst) == looks(way.src)
    else:
        os.utime(way.dst / "sub/larger")
        assert way.mirror("--checksum")["ok"] == 2
        assert looks(way.dst) == looks(way.src)


def test_a_file_that_came_in_parts_is_known_by_its_blocks(ftd, tmp_path):
    way = Way(ftd, tmp_path, True)
    way.src.mkdir()
    (way.src / "large").write_bytes(noise(9 * MIB) * 8)
    assert way.mirror()["moved"] > 0
    os.utime(way.src / "large", ns=(1, SOME_TIME))
    total = way.mirror("--checksum")
    assert (total["moved"], total["set"]) == (0, 1)
    back = Way(ftd, tmp_path, False)
    total = back.mirror("--checksum")
    assert (total["moved"], total["unchanged"]) == (0, 1)


@pytest.mark.parametrize("whole", [False, True])
def test_of_a_large_file_only_the_blocks_that_differ_move(way, whole):
    way.src.mkdir()
    data = bytearray(noise(8 * MIB) * 9)
    (way.src / "large").write_bytes(data)
    way.mirror()
    data[20 * MIB] ^= 1
    data += b"more"
    (way.src / "large").write_bytes(data)
    total = way.mirror(*["--whole"] * whole)
    assert (way.dst / "large").read_bytes() == data and names(way.dst) == ["large"]
    assert total["bytes"] == len(data)
    if whole:
        assert total["moved"] == len(data)
    else:
        assert total["moved"] <= 16 * MIB + 4 and total["held"] >= len(data) - 16 * MIB - 4


# --- what is removed

def test_without_delete_nothing_is_removed(way):
    make_tree(way.src)
    put_dir_at(way.dst, "more")
    assert way.mirror()["removed"] == 0
    assert (way.dst / "more").read_text() == "more"


def test_what_the_source_does_not_have_is_removed(way):
    make_tree(way.src)
    way.mirror()
    (way.dst / "sub/stale/deep").mkdir(parents=True)
    for name in ("sub/stale/deep/file", "sub/stale/file", "file"):
        (way.dst / name).write_text("stale")
    (way.dst / "sub/link").symlink_to("deep")
    (way.src / "zero").unlink()
    shutil.rmtree(way.src / "empty")
    total = way.mirror("--delete")
    assert total["removed"] == 8 and total["ok"] == 0
    removed = [e["name"] for e in total["events"] if e.get("what") == "remove"]
    assert len(removed) == 8 and all(n.startswith(str(way.url if way.up else way.here)) for n in removed)
    assert looks(way.dst) == looks(way.src)


def test_what_is_excluded_is_neither_copied_nor_removed(way):
    make_tree(way.src)
    (way.src / "sub/mine.o").write_text("o")
    way.dst.mkdir()
    for name in ("gone/keep", "gone/empty", "cache/below"):
        (way.dst / name).mkdir(parents=True)
    for name in ("theirs.o", "gone/keep/x.o", "gone/x.c", "cache/below/file"):
        (way.dst / name).write_text("x")
    options = ("--delete", "--exclude", "*.o", "--exclude", "cache")
    plan = way.text(*options, "--dry-run")
    assert sum(line.startswith("remove ") for line in plan.stdout.splitlines()) == 2
    total = way.mirror(*options)
    assert total["removed"] == 2 and not (way.dst / "sub/mine.o").exists()
    assert {"theirs.o", "gone/keep/x.o", "cache/below/file"} <= set(names(way.dst))
    assert not (way.dst / "gone/x.c").exists() and not (way.dst / "gone/empty").exists()


def test_nothing_outside_is_removed(way, tmp_path):
    outside = tmp_path / "outside"
    put_dir_at(outside, "mine")
    make_tree(way.src)
    way.mirror()
    (way.dst / "stale").symlink_to(outside)
    (way.dst / "sub/stale").symlink_to(outside / "mine")
    assert way.mirror("--delete")["removed"] == 2
    assert names(outside) == ["mine"] and looks(way.dst) == looks(way.src)


@pytest.mark.parametrize("delete", [False, True])
def test_a_directory_in_the_place_of_a_file_and_back(way, delete):
    make_tree(way.src)
    way.mirror()
    (way.dst / "small").unlink()
    put_dir_at(way.dst / "small", "inside")
    shutil.rmtree(way.dst / "sub")
    (way.dst / "sub").write_text("a file")
    before = looks(way.dst)
    if delete:
        plan = way.text("--delete", "--dry-run")
        assert {line.split()[0] for line in plan.stdout.splitlines()} == {way.move, "mkdir", "remove"}
        assert looks(way.dst) == before
        total = way.mirror("--delete")
        assert (total["removed"], total["ok"], total["unchanged"]) == (3, 3, 3)
        assert looks(way.dst) == looks(way.src)
    else:
        total = way.mirror(status=8)
        assert way.codes(total) == ["exists", "exists"] and total["unchanged"] == 3
        assert {**looks(way.dst), ".": before["."]} == before


def test_what_is_in_the_way_stays_if_something_in_it_does(way):
    make_tree(way.src)
    put_dir_at(way.dst)
    put_dir_at(way.dst / "small", "mine.o", "other")
    total = way.mirror("--delete", "--exclude", "*.o", status=15)
    assert way.codes(total) == ["exists"] and names(way.dst / "small") == ["mine.o"]


def test_a_source_that_is_not_there_removes_nothing(way):
    put_dir_at(way.dst, "mine")
    assert way.mirror("--delete", status=13 if way.up else 7)["removed"] == 0
    way.src.write_text("a file")
    assert way.mirror("--delete", status=13 if way.up else 7)["removed"] == 0
    if way.up:
        assert way.ftd.ft("mirror", "--delete", "", way.url, check=False).returncode == 13
    assert names(way.dst) == ["mine"]


def test_a_source_that_is_empty_empties_the_destination(way):
    make_tree(way.dst)
    way.src.mkdir()
    assert way.mirror("--delete")["removed"] == 9
    assert names(way.dst) == []


# --- not all went well

def test_nothing_is_removed_when_something_could_not_be_moved(make_ftd, tmp_path):
    way = Way(make_ftd({"limits": {"file_size": "1M"}}), tmp_path, True)
    make_tree(way.src)
    put_dir_at(way.dst, "mine")
    total = way.mirror("--delete", status=15)
    assert way.codes(total) == ["file_too_large", "incomplete"] and total["removed"] == 0
    assert "mine" in names(way.dst) and "nothing was deleted" in way.text("--delete").stderr
    (way.src / "sub/larger").unlink()
    assert way.mirror("--delete")["removed"] == 1


@pytest.mark.skipif(SANITIZED, reason="leaks cannot be looked for beneath strace")
def test_nothing_is_removed_when_the_source_here_cannot_be_read_to_its_end(ftd, tmp_path):
    way = Way(ftd, tmp_path, True)
    make_tree(way.src)
    way.mirror()
    (way.dst / "mine").write_text("mine")
    traced = ["strace", "-qq", "-o", tmp_path / "trace", "-e", "trace=getdents64",
              "-e", "inject=getdents64:error=EIO:when=4"]
    if not shutil.which("strace") or harness.run(*traced, "true", check=False).returncode != 0:
        pytest.skip("strace cannot be used here")
    done = harness.run(*traced, harness.FT, "mirror", "--delete", *way.args(), check=False)
    assert done.returncode == 15 and "Input/output error" in done.stderr and "nothing was deleted" in done.stderr, done
    assert (way.dst / "mine").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every directory")
def test_nothing_is_removed_when_a_directory_of_the_source_cannot_be_read(way):
    make_tree(way.src)
    way.mirror()
    (way.dst / "mine").write_text("mine")
    (way.src / "sub").chmod(0)
    try:
        total = way.mirror("--delete", status=15)
    finally:
        (way.src / "sub").chmod(0o755)
    assert total["removed"] == 0 and "incomplete" in way.codes(total) and (way.dst / "mine").exists()


def test_nothing_is_removed_when_the_server_withholds_a_directory(make_ftd, tmp_path):
    ftd = make_ftd(start=False)
    rules = [{"path": "/there/sub", "rights": "none"}, {"path": "/", "rights": "full"}]
    ftd.write_conf({"shares": [{"path": "/", "root": str(ftd.root), "anonymous": "loopback", "rules": rules}]})
    way = Way(ftd.start(), tmp_path, False)
    make_tree(way.src)
    put_dir_at(way.dst, "mine")
    total = way.mirror("--delete", status=15)
    assert way.codes(total) == ["permission", "incomplete"] and total["removed"] == 0
    assert (way.dst / "mine").exists() and (way.dst / "small").exists()


def test_nothing_is_removed_when_the_connection_is_lost(way):
    make_tree(way.src)
    way.mirror()
    (way.src / "sub/larger").write_bytes(noise(3 * MIB))
    (way.dst / "mine").write_text("mine")
    with Cutter(way.ftd.port, [2 * MIB], up=way.up) as cutter:
        total = way.mirror("--delete", status=15, url=cutter.url("/there"))
    assert total["removed"] == 0 and "incomplete" in way.codes(total)
    assert (way.dst / "mine").read_text() == "mine"


def test_a_lost_connection_is_made_anew(way):
    make_tree(way.src)
    (way.src / "sub/larger").write_bytes(noise(9 * MIB))
    put_dir_at(way.dst, "mine")
    with Cutter(way.ftd.port, [3 * MIB, 3 * MIB], up=way.up) as cutter:
        total = way.mirror("--delete", "--retry-for", "30s", url=cutter.url("/there"))
        assert cutter.connections == 3
    assert total["removed"] == 1 and looks(way.dst) == looks(way.src)


def test_run_again_it_goes_on(way):
    (way.src / "d").mkdir(parents=True)
    for i in range(20):
        (way.src / f"d/{i}").write_bytes(noise(MIB, i))
    way.dst.mkdir()
    with Cutter(way.ftd.port, [10 * MIB], up=way.up) as cutter:
        first = way.mirror(status=10, url=cutter.url("/there"))
    total = way.mirror()
    assert first["ok"] <= total["unchanged"] and total["ok"] + total["unchanged"] == 20
    assert total["unchanged"] >= 5 and looks(way.dst) == looks(way.src)


def test_ctrl_c_stops_tells_how_to_go_on_and_removes_nothing(way):
    make_tree(way.src)
    (way.src / "small").write_bytes(noise(4 * MIB))
    put_dir_at(way.dst, "mine")
    process = subprocess.Popen([harness.FT, "mirror", "--delete", "--limit", "100K", *map(str, way.args())],
                               stderr=subprocess.PIPE, text=True)
    harness.until(lambda: way.ftd.transfers() if way.up else
                  any(p.name.startswith(".ft") and p.stat().st_size > 0 for p in way.dst.rglob("*")),
                  10, "something under way")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20 * PATIENCE)
    assert process.returncode == 10 and f"ft mirror --delete --limit 100K {way.args()[0]}" in errors, errors
    assert (way.dst / "mine").exists()
    assert way.mirror("--delete")["removed"] == 1
    assert looks(way.dst) == looks(way.src)


# --- only told

def test_a_dry_run_tells_and_changes_nothing(way):
    make_tree(way.src)
    (way.src / "empty/none").mkdir()
    way.dst.mkdir()
    (way.dst / "sub").mkdir()
    shutil.copy2(way.src / "zero", way.dst / "zero")
    shutil.copy(way.src / "small", way.dst / "small")
    (way.dst / "stale").write_text("stale")
    before = looks(way.dst), looks(way.src)
    done = way.text("--dry-run", "--delete", "--checksum")
    assert (looks(way.dst), looks(way.src)) == before and done.returncode == 0
    dst = way.url if way.up else way.here
    moved = {f"{way.move} {way.here}/{n}" for n in ("new\\nline", "sub/larger", "sub/deep/last", "not \\xff utf-8")}
    made = {f"mkdir {way.here}/{n}" for n in ("empty", "empty/none", "sub/deep")}
    lines = done.stdout.splitlines()
    told = {line.replace("\\x0a", "\\n") for line in lines}
    assert told == moved | made | {f"set {way.here}/small", f"remove {dst}/stale"} and len(lines) == len(told)
    total = way.mirror("--dry-run", "--delete")
    assert {e["ev"] for e in total["events"]} == {"would"} and {e["what"] for e in total["events"]} == {way.move, "mkdir", "remove"}
    assert (total["ok"], total["moved"], total["removed"], total["unchanged"]) == (5, 0, 1, 1)
    assert (looks(way.dst), looks(way.src)) == before


def test_a_dry_run_makes_no_destination(way):
    make_tree(way.src)
    assert way.mirror("--dry-run", "--delete")["ok"] == 6
    assert not way.dst.exists()


def test_the_total_is_told_to_people(way):
    make_tree(way.src)
    way.mirror()
    (way.dst / "stale").write_text("x")
    os.utime(way.src / "zero", ns=(1, 1))
    said = way.text("--delete").stderr
    assert "1 files" in said and "5 unchanged" in said and "1 removed" in said and "stale  removed" in said
    assert way.text("-q").stderr == ""


def test_the_command_line(ftd, tmp_path):
    put_dir_at(tmp_path / "a", "x")
    for operands in ([tmp_path / "a", tmp_path / "b"], [f"{ftd.url}/a", f"{ftd.url}/b"], [ftd.url],
                     [tmp_path / "a", "ft://:1/"]):
        assert ftd.ft("mirror", *operands, check=False).returncode == 2
    assert ftd.ft("mirror", "--if-exists", "fail", tmp_path / "a", f"{ftd.url}/a", check=False).returncode == 2
    assert names(tmp_path) == ["a", "a/x"]


# --- servers that lie

FILE = {"type": "file", "mtime_ns": 10**18, "mode": 0o644, "etag": "e"}
TOP = {"status": "ok", "name": "t", "type": "dir", "filesize": 0, "mtime_ns": 0, "mode": 0o755, "etag": "e"}


def listing(*entries):
    def answer(request, send):
        if request["opt"] == "stat":
            send(TOP)
        elif request["opt"] == "list":
            send({"status": "ok", "entries": [{**FILE, "filesize": 4, **e} for e in entries]})
        elif request["opt"] == "digest":
            send({"status": "ok", "digest": digest(b"evil")})
        else:
            send({"status": "ok", "body": 4, "filesize": 4, "digest": digest(b"evil"), **FILE}, b"evil")

    return answer


@pytest.fixture
def place(tmp_path):
    """A destination with something beside it that must stay as it is."""
    (tmp_path / "outside").write_text("mine")
    put_dir_at(tmp_path / "dst", "mine")
    return tmp_path / "dst"


@pytest.mark.parametrize("name", ["../outside", "/abs", ".ftd", "a/../../outside", "..", "", "a//b"])
@pytest.mark.parametrize("kind", ["file", "dir"])
def test_names_that_lead_out(liar, place, name, kind):
    for options in ([], ["--checksum"], ["--dry-run"]):
        server = liar(listing({"name": name, "type": kind}))
        status, _, errors = ft("mirror", "--delete", *options, f"{server.url}/t", place)
        assert status in (12, 15) and "nothing was deleted" in errors, errors
        assert not any(r["opt"] in ("download", "digest") for r in server.requests)
    assert names(place.parent) == ["dst", "dst/mine", "outside"]
    assert (place.parent / "outside").read_text() == "mine"


@pytest.mark.parametrize("name", ["../outside", "..", "link/x", "mine/x"])
def test_names_of_a_destination_that_lead_out(liar, place, name):
    (place / "link").symlink_to("..")
    server = liar(listing({"name": name}))
    assert ft("mirror", "--delete", place, f"{server.url}/t")[0] in (0, 12, 15)
    assert [r["filename"] for r in server.requests if r["opt"] == "remove"] in ([], ["/t/mine/x"])
    assert all(r.get("filename", "/t").startswith("/t") and ".." not in r.get("filename", "") for r in server.requests)


def test_links_here_are_not_followed(liar, place):
    (place / "link").symlink_to("..")
    for delete in ([], ["--delete"]):
        server = liar(listing({"name": "link/outside"}, {"name": "link", "type": "dir"}))
        ft("mirror", "--checksum", *delete, f"{server.url}/t", place)
        assert (place.parent / "outside").read_text() == "mine"


@pytest.mark.parametrize("last", [{"status": "error", "code": "io_error"}, None, {"status": "ok", "entries": [7]},
                                  {"status": "ok", "entries": [{"name": "d", "type": "dir", "code": "permission"}]}])
def test_a_listing_that_is_not_whole_removes_nothing(liar, place, last):
    def answer(request, send):
        if request["opt"] == "stat":
            return send(TOP)
        if "after" not in request:
            return send({"status": "ok", "entries": [{"name": "d", **FILE, "type": "dir", "filesize": 0}], "after": "x"})
        return send(last) if last else False

    status, _, errors = ft("mirror", "--delete", f"{liar(answer).url}/t", place)
    assert status == 15 and "nothing was deleted" in errors, errors
    assert (place / "mine").exists()


def test_a_content_that_is_damaged_there_removes_nothing(liar, place):
    def answer(request, send):
        if request["opt"] == "download":
            return send({"status": "ok", "body": 4, "filesize": 4, "digest": digest(b"good"), **FILE}, b"evil")
        return listing({"name": "x"})(request, send)

    status, _, errors = ft("mirror", "--delete", f"{liar(answer).url}/t", place)
    assert status == 15 and "nothing was deleted" in errors
    assert names(place) == ["mine"]


def test_a_digest_that_the_listing_tells_is_not_asked_for(liar, place):
    (place / "a").write_bytes(b"evil")
    (place / "b").write_bytes(b"good")
    for name, asks in (("a", ["stat", "list"]), ("b", ["stat", "list", "download"])):
        server = liar(listing({"name": name, "digest": digest(b"evil")}))
        assert ft("mirror", "--checksum", f"{server.url}/t", place)[0] == 0
        assert [r["opt"] for r in server.requests[1:]] == asks
        assert [r["digest"] for r in server.requests if r["opt"] == "list"] == ["xxh3"]
    assert (place / "b").read_bytes() == b"evil"


def test_control_characters_do_not_reach_the_screen(liar, place):
    evil = "\x1b[2J\r\x07"
    server = liar(listing({"name": evil}, {"name": evil + "d", "type": "dir"}))
    for options in ([], ["--delete"], ["--dry-run"], ["--dry-run", "--json"], ["--checksum", "--json"]):
        for operands in ((f"{server.url}/t", place), (place, f"{server.url}/t")):
            _, out, errors = ft("mirror", *options, *operands)
            assert not set(b"\x1b\x07\r") & set(out + errors.encode())
