"""ftctl: what administrators and scripts see."""
import json
import os
import re
import resource
import shutil
import subprocess
import tempfile
import time

import pytest

import wire
from harness import FTCTL, PATIENCE, SOURCE, run, until


def ftctl(*args, **more):
    """Without a daemon."""
    return run(FTCTL, *args, check=False, **more)


@pytest.fixture
def upload(ftd):
    """An upload that stands still halfway."""
    with ftd.client() as client:
        client.send({"opt": "upload", "filename": "/half.bin", "filesize": 2_000_000}, b"x" * 1_000_000)
        transfer = until(lambda: next((t for t in ftd.transfers() if t["offset"] == 1_000_000), None), 10)
        yield client, transfer


# --- what there is to see

def test_status(ftd):
    text = ftd.ftctl("status").stdout
    assert re.search(rf"^ftd \S+  ready  pid {ftd.pid}  ", text)
    assert f"127.0.0.1:{ftd.port}" in text and str(ftd.root) in text
    status = ftd.ftctl("status", json_out=True)
    assert status["v"] == 1 and status["pid"] == ftd.pid and status["state"] == "ready"
    assert status["listen"] == [f"127.0.0.1:{ftd.port}"] and status["warnings"] == []
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", status["started"])


def test_status_check(ftd):
    assert ftd.ftctl("status", "--check").stdout == "OK\n"
    ftd.write_conf({"limits": {"free_space": "4000T"}})
    ftd.ftctl("reload")
    done = ftd.ftctl("status", "--check", check=False)
    assert done.returncode == 6 and done.stdout.startswith(f"DEGRADED {ftd.root} has ")


def test_out_of_descriptors(ftd):
    """It takes no connections for a while, says so, and goes on when it can."""
    _, hard = resource.prlimit(ftd.pid, resource.RLIMIT_NOFILE)
    with wire.Wire.unix(str(ftd.control)) as control:
        assert control.ask({"opt": "status"})["warnings"] == []
        resource.prlimit(ftd.pid, resource.RLIMIT_NOFILE, (4, hard))
        waiting = wire.Wire.tcp(ftd.port)
        waiting.send({"opt": "ping"})
        until(lambda: control.ask({"opt": "status"})["warnings"] == ["out of descriptors or memory: connections wait"], 10)
        resource.prlimit(ftd.pid, resource.RLIMIT_NOFILE, (hard, hard))
        assert waiting.answer()[0]["status"] == "ok"
        waiting.close()
        assert control.ask({"opt": "status"})["warnings"] == []


def test_sessions_and_transfers(ftd, upload):
    _, transfer = upload
    [session] = ftd.ftctl("list-sessions", json_out=True)["sessions"]
    assert session["id"] == transfer["session"] and session["user"] == "anonymous" and session["tls"] is None
    assert session["bytes_in"] == 1_000_000 and session["peer"].startswith("127.0.0.1:")
    answer = ftd.ftctl("list-transfers", json_out=True)
    assert answer["totals"]["count"] == 1
    [transfer] = answer["transfers"]
    assert (transfer["path"], transfer["size"], transfer["direction"]) == ("/half.bin", 2_000_000, "upload")
    until(lambda: ftd.transfers()[0]["state"] == "stalled", 5)
    text = ftd.ftctl("list-transfers").stdout
    assert re.search(rf"^{transfer['id']} +{session['id']} .* up +/half.bin +1.9 MiB +976.6 KiB +50 .*stalled", text, re.M)
    for name in (session["id"], transfer["id"]):
        shown = ftd.ftctl("show", name, json_out=True)
        assert shown["session"]["id"] == session["id"] and shown["transfer"]["id"] == transfer["id"]
        assert "/half.bin" in ftd.ftctl("show", name).stdout


def test_empty_lists_stay_arrays(ftd):
    assert ftd.ftctl("list-sessions", json_out=True)["sessions"] == []
    assert ftd.ftctl("list-transfers", json_out=True)["transfers"] == []


def test_names_of_any_bytes(ftd):
    """What a client calls its file moves no cursor and breaks no line."""
    name = b"/\x1b[2J\xff\n.bin"
    with ftd.client() as client:
        client.send({"opt": "upload", "filename_hex": name.hex(), "filesize": 10}, b"half")
        until(ftd.transfers, 10)
        text = ftd.ftctl("list-transfers").stdout
        assert r"/\x1b[2J\xff\x0a.bin" in text and "\x1b" not in text
        [transfer] = ftd.ftctl("list-transfers", json_out=True)["transfers"]
        assert bytes.fromhex(transfer["path_hex"]) == name


def test_metrics(ftd):
    with ftd.client() as client:
        assert client.ask({"opt": "upload", "filename": "/a", "filesize": 3}, b"abc")["status"] == "ok"
        until(lambda: "\nftd_uploads_total 1\n" in ftd.ftctl("metrics").stdout, 5)
        text = ftd.ftctl("metrics").stdout
    lines = text.splitlines()
    assert lines[-1] == "# EOF" and text.count("# EOF") == 1
    families = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(families) == len(set(families))
    for line in lines:
        assert re.fullmatch(r'# (TYPE|HELP) .*|# EOF|[a-z_]+(\{[a-z]+="[^"]*"\})? [0-9.]+', line), line
    samples = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert samples["ftd_received_bytes_total"] == "3"
    assert samples['ftd_limit{limit="sessions"}'] == "1024" and samples['ftd_limit_used{limit="sessions"}'] == "1"
    buckets = [int(n) for key, n in samples.items() if key.startswith("ftd_transfer_size_bytes_bucket")]
    assert buckets == sorted(buckets) and buckets[-1] == int(samples["ftd_transfer_size_bytes_count"]) == 1


def test_config(ftd, tmp_path):
    assert "limits.sessions_per_address = 1024\n" in ftd.ftctl("config", "show").stdout
    assert ftd.ftctl("config", "show", "limits.free_space").stdout == 'limits.free_space = "1M"\n'
    assert ftd.ftctl("config", "show", "limits.nonsense", check=False).returncode == 7
    assert ftd.ftctl("config", "check").returncode == 0
    bad = tmp_path / "bad.conf"
    bad.write_text('listen = ( { address = "::"; port = 8001; } );\nlimit = { };\n')
    done = ftd.ftctl("config", "check", bad, check=False)
    assert done.returncode == 1 and f"{bad}:2: " in done.stdout and "limits" in done.stdout
    assert ftd.ftctl("config", "check", ftd.conf).returncode == 0
    assert ftd.ftctl("config", "check", tmp_path / "none", check=False).returncode == 1


# --- acts

def test_kick(ftd, upload):
    client, transfer = upload
    done = ftd.ftctl("kick", transfer["session"], "--reason", "work on the disks", json_out=True)
    assert done["kicked"] == 1 and done["pending"] == 0 and done["sessions"] == [transfer["session"]]
    assert ftd.sessions() == []
    header, _ = client.answer()
    assert header["code"] == "cancelled" and header["message"] == "work on the disks" and header["close"]
    assert client.at_end(), "that is said once"
    assert not (ftd.root / "half.bin").exists()
    assert ftd.ftctl("kick", transfer["session"], check=False).returncode == 7


@pytest.mark.parametrize("begin", [{"opt": "upload", "filename": "/x", "filesize": 500_000_000},
                                   {"opt": "upload", "filename": "/x", "more": True}, {"opt": "upload-part"}])
def test_kick_is_said_once(ftd, begin):
    """Whatever is under way: its answer is the last word, and has the reason."""
    with ftd.client() as client:
        if begin["opt"] == "upload-part":
            begun = client.ask({"opt": "upload-begin", "filename": "/x", "filesize": 500_000_000})
            begin = {**begin, "upload": begun["upload"], "offset": 0, "filesize": 500_000_000}
        client.send({**begin, "id": 7}, b"" if "more" in begin else b"some of it")
        ftd.ftctl("kick", until(ftd.transfers)[0]["session"], "--reason", "enough")
        answer = client.answer()[0]
        assert (answer["code"], answer["message"], answer["close"], answer["id"]) == ("cancelled", "enough", True, 7)
        assert client.at_end()
    for upload in ftd.ask("list-uploads")["uploads"]:
        ftd.ftctl("upload", "discard", upload["id"])


def test_kick_by_address(ftd, upload):
    assert ftd.ftctl("kick", "--from", "192.0.2.0/24", check=False).returncode == 7
    assert ftd.ftctl("kick", "--from", "127.0.0.0/8").returncode == 0
    assert ftd.sessions() == []


def test_reload_tells_what_changes(ftd):
    ftd.write_conf({"limits": {"sessions": 5}})
    text = ftd.ftctl("reload", "--dry-run").stdout
    assert re.search(r"now +limits.sessions +1024 -> 5\n", text) and "nothing was changed" in text
    assert ftd.ask("status")["generation"] == 1
    assert "generation 2 is in force" in ftd.ftctl("reload").stdout
    assert ftd.ask("status")["sessions_max"] == 5


def test_reload_tells_every_problem(ftd):
    ftd.conf.write_text(ftd.conf.read_text() + "nonsense = 1;\nlimit = { };\n")
    lines = ftd.conf.read_text().count("\n")
    done = ftd.ftctl("reload", check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert f"{ftd.conf}:{lines - 1}: " in done.stderr and f"{ftd.conf}:{lines}: " in done.stderr
    assert ftd.ask("status")["generation"] == 1


def test_waits(ftd, upload):
    client, _ = upload
    assert ftd.ftctl("wait", "ready").returncode == 0
    assert ftd.ftctl("wait", "idle", "--no-wait", check=False).returncode == 5
    begin = time.monotonic()
    assert ftd.ftctl("wait", "idle", "--timeout", "1", check=False).returncode == 5
    assert time.monotonic() - begin < 3 * PATIENCE
    with subprocess.Popen([FTCTL, "-s", ftd.control, "wait", "drained"]) as waiting:
        time.sleep(0.3)
        assert waiting.poll() is None
        client.close()
        assert waiting.wait(10 * PATIENCE) == 0


def test_shutdown(ftd, upload):
    """It answers when it has happened; the transfer may finish."""
    client, _ = upload
    with subprocess.Popen([FTCTL, "-s", ftd.control, "shutdown", "--grace", "20s"], stdout=subprocess.PIPE) as down:
        until(lambda: ftd.ask("status")["state"] == "draining", 5)
        assert down.poll() is None
        client.sock.sendall(b"x" * 1_000_000)
        assert client.answer()[0]["status"] == "ok"
        assert down.wait(10 * PATIENCE) == 0 and down.stdout.read() == b"ended\n"
    assert ftd.process.wait(10) == 0
    assert (ftd.root / "half.bin").stat().st_size == 2_000_000
    assert ftd.ftctl("status", check=False).returncode == 3


# --- the command line

def test_no_daemon(tmp_path):
    done = ftctl("-s", tmp_path / "none", "status")
    assert done.returncode == 3 and "not running" in done.stderr
    assert ftctl("status", env={"FTCTL_SOCKET": str(tmp_path / "none")}).returncode == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_not_permitted(ftd):
    with tempfile.TemporaryDirectory() as directory:  # others may not reach the one that was built
        os.chmod(directory, 0o755)
        copy = shutil.copy(FTCTL, directory)
        done = run(copy, "-s", ftd.control, "status", check=False, user=65534, group=65534, extra_groups=[])
    assert done.returncode == 4


@pytest.mark.parametrize("args", [
    [], ["nonsense"], ["statu"], ["config"], ["show"], ["wait"], ["kick"], ["kick", "s1", "--from", "::/0"],
    ["status", "x"], ["status", "--reason", "x"], ["status", "--nonsense"], ["status", "--timeout", "soon"],
    ["list-transfers", "--watch=x"], ["status", "--watch=0"], ["shutdown", "--watch"], ["reload", "--dry-run=1"],
])
def test_wrong_command_lines(ftd, args):
    done = ftd.ftctl(*args, check=False)
    assert done.returncode == 2 and done.stdout == "" and done.stderr


@pytest.mark.parametrize("args", [["kick", "--from", "10.0.0.1/8"], ["wait", "forever"], ["show", "x1"],
                                  ["shutdown", "--grace", "long"]])
def test_wrong_words_for_the_daemon(ftd, args):
    assert ftd.ftctl(*args, check=False).returncode == 2
    refused = ftd.ftctl(*args, "--json", check=False)
    assert refused.returncode == 2 and json.loads(refused.stdout)["code"] == "bad_request"


def test_options_stand_anywhere(ftd):
    for args in (["--json", "status"], ["status", "--json"], ["--timeout=5", "status", "-j"]):
        assert json.loads(ftd.ftctl(*args).stdout)["pid"] == ftd.pid


def test_nearest_command():
    assert "did you mean list-sessions?" in ftctl("list-session").stderr


def test_help():
    text = ftctl("help").stdout
    for words in ("status", "config check", "shutdown", "--socket"):
        assert words in text
    assert "--reason" in ftctl("help", "kick").stdout and "--reason" in ftctl("kick", "--help").stdout


def test_watch(ftd):
    with subprocess.Popen([FTCTL, "-s", ftd.control, "--watch=1", "--json", "status"], stdout=subprocess.PIPE) as watch:
        first, second = (json.loads(watch.stdout.readline()) for _ in range(2))
        watch.terminate()
    assert first["pid"] == ftd.pid and second["uptime_s"] > first["uptime_s"]


def test_bash_completion(ftd, upload):
    """The real bash with the real completion file."""
    _, transfer = upload

    def complete(line):
        script = f"""source {SOURCE}/ctl/ftctl.bash-completion
            COMP_WORDS=({line}); COMP_CWORD=$(({len(line.split())} - 1)); _ftctl; printf '%s\\n' "${{COMPREPLY[@]}}" """
        return run("bash", "-c", script.replace("(ftctl", f"({FTCTL}"),
                   env={**os.environ, "FTCTL_SOCKET": str(ftd.control)}).stdout.split()

    assert complete("ftctl list") == ["list-sessions", "list-transfers", "list-uploads", "list-bans", "list-users"]
    assert complete("ftctl con") == ["config"]
    assert complete("ftctl config ''") == ["check", "show"]
    assert complete("ftctl wait ''") == ["ready", "idle", "drained"]
    assert complete("ftctl --json kick s") == [transfer["session"]]
    assert complete("ftctl cancel ''") == [transfer["id"]]
    assert complete("ftctl limit s1 n") == ["none"]
    assert set(complete("ftctl reload --")) >= {"--dry-run", "--no-wait", "--json"}
    assert "--reason" not in complete("ftctl status --")
