"""Configurations that are wrong are told with file, line and cure, and the old one goes on."""
import os
import re
import signal

import pytest

from harness import FTD, run, served, until

WRONG = [
    ('limits = { sesions = 5; };', "sessions"),                      # the nearest known name
    ('plaintext = "sometimes";', "loopback"),                        # what would be right
    ('limits = { sessions = 0; };', "1"),
    ('limits = { sessions = "many"; };', "sessions"),
    ('limits = { idle_timeout = 15; };', "idle_timeout"),
    ('limits = { idle_timeout = "15 parsecs"; };', "idle_timeout"),
    ('access = { deny = ( "172.16.10.1/24" ); };', "172.16.10.0/24"),
    ('access = { allow = ( "300.1.1.1" ); };', "300.1.1.1"),
    ('listen = ( { address = "::"; port = 80000; } );', "65535"),
    ('shares = ( );', "share"),
    ('shares = ( { path = "/"; root = "relative"; anonymous = "loopback"; rights = "full"; } );', "absolute"),
    ('shares = ( { path = "/"; root = "/srv"; anonymous = "loopback"; rights = "reed"; } );', "read"),
    ('limits = { sessions = 5 ', "bracket of line 3"),
    ('limits = { sessions = 5; }; }', "3"),
]


def wrong_file(ftd, text):
    """The daemon's own file with its setting of that name replaced by the wrong line; (path, line number)."""
    name = text.split(" ")[0]
    lines = [line for line in ftd.conf.read_text().splitlines() if not line.startswith(name + " ")]
    lines.insert(2, text)
    return "\n".join(lines) + "\n", 3


@pytest.mark.parametrize("text, cure", WRONG)
def test_reload_refuses_and_goes_on(ftd, text, cure):
    good = ftd.conf.read_text()
    generation = ftd.ask("status")["generation"]
    bad, line = wrong_file(ftd, text)
    ftd.conf.write_text(bad)

    checked = run(FTD, "--check", ftd.conf, check=False)
    assert checked.returncode == 2
    reloaded = ftd.ftctl("reload", check=False)
    assert reloaded.returncode == 1
    for told in (checked.stderr + checked.stdout, reloaded.stderr + reloaded.stdout):
        # what has no end is seen at the end of the file
        assert re.search(re.escape(f"{ftd.conf}:") + (r"\d+" if "bracket" in cure else str(line)), told), told
        assert cure in told, told

    served(ftd)
    assert ftd.ask("status")["generation"] == generation
    ftd.conf.write_text(good)
    ftd.ftctl("reload")
    served(ftd)


def test_own_port_at_another_address(ftd):
    good = ftd.conf.read_text()
    port = ftd.port
    text, n = re.subn(r"listen = .*;", f'listen = ( {{ address = "0.0.0.0"; port = {port}; }} );', good)
    assert n == 1
    ftd.conf.write_text(text)
    reloaded = ftd.ftctl("reload", check=False)
    assert reloaded.returncode == 1 and "this daemon has the port at another address" in reloaded.stderr + reloaded.stdout
    served(ftd)


def test_start_refuses(make_ftd):
    ftd = make_ftd(start=False)
    ftd.conf.write_text(wrong_file(ftd, WRONG[0][0])[0])
    started = run(FTD, "--config", ftd.conf, check=False, timeout=10)
    assert started.returncode == 2
    assert f"{ftd.conf}:3" in started.stderr


def test_every_problem_is_told(make_ftd):
    ftd = make_ftd(start=False)
    ftd.conf.write_text('sandboxx = "require";\nplaintext = "maybe";\n' + ftd.conf.read_text())
    told = run(FTD, "--check", ftd.conf, check=False).stderr
    assert f"{ftd.conf}:1" in told and f"{ftd.conf}:2" in told


@pytest.mark.parametrize("content", [b"", b"\0", b"\xff\xfe", b"{" * 100_000, b"limits = " + b"(" * 5000, b"x" * (2 << 20)])
def test_files_that_are_no_configuration(ftd, content):
    good = ftd.conf.read_bytes()
    ftd.conf.write_bytes(content)
    checked = run(FTD, "--check", ftd.conf, check=False)
    if content:  # an empty file is all defaults
        assert checked.returncode == 2 and str(ftd.conf) in checked.stderr
        assert ftd.ftctl("reload", check=False).returncode == 1
    served(ftd)
    ftd.conf.write_bytes(good)


def test_missing_file(make_ftd):
    ftd = make_ftd()
    ftd.conf.rename(ftd.dir / "away")
    assert ftd.ftctl("reload", check=False).returncode == 1
    served(ftd)
    (ftd.dir / "away").rename(ftd.conf)
    assert run(FTD, "--check", ftd.dir / "missing", check=False).returncode == 2


def test_dry_run_changes_nothing(ftd):
    ftd.write_conf({"limits": {"sessions": 100}})
    before = ftd.ask("status")
    ftd.ftctl("reload", "--dry-run")
    after = ftd.ask("status")
    assert (before["generation"], before["sessions_max"]) == (after["generation"], after["sessions_max"])


@pytest.mark.parametrize("how", ["ftctl", "signal"])
def test_good_reload_takes_effect(ftd, how):
    with ftd.client() as client:
        generation = ftd.ask("status")["generation"]
        ftd.write_conf({"limits": {"sessions": 100}})
        if how == "ftctl":
            ftd.ftctl("reload")
        else:
            os.kill(ftd.pid, signal.SIGHUP)
        until(lambda: ftd.ask("status")["generation"] > generation, 10, "the new generation")
        assert ftd.ask("status")["sessions_max"] == 100
        assert client.ask({"opt": "ping"})["status"] == "ok"
    served(ftd)


def test_new_share_is_served_after_reload(ftd):
    extra = ftd.dir / "extra"
    extra.mkdir()
    (extra / "f").write_text("in the new share")
    with ftd.client() as client:
        assert client.ask({"opt": "stat", "filename": "/extra"})["code"] == "not_found"
    ftd.write_conf({"shares": ftd.settings["shares"] + [
        {"path": "/extra", "root": str(extra), "anonymous": "loopback", "rights": "readonly"}]})
    ftd.ftctl("reload")
    with ftd.client() as client:
        assert client.get("/extra/f") == b"in the new share"
        assert client.put("/extra/g", b"x")["code"] == "permission"
        assert "extra" in client.names("/")


def test_transfer_under_way_survives_a_reload(ftd):
    with ftd.client() as client:
        client.send({"opt": "upload", "filename": "/during", "filesize": 1000}, b"x" * 500)
        until(lambda: ftd.transfers(), 10)
        for _ in range(3):
            ftd.ftctl("reload")
        client.sock.sendall(b"x" * 500)
        assert client.answer()[0]["status"] == "ok"
    assert (ftd.root / "during").read_bytes() == b"x" * 1000


def test_share_taken_away_ends_its_sessions(ftd):
    """Rights that are gone are gone for those who are connected too."""
    with ftd.client() as client:
        client.put("/f", b"x")
        share = dict(ftd.settings["shares"][0], rights="readonly")
        ftd.write_conf({"shares": [share]})
        ftd.ftctl("reload")

        def told():
            try:
                client.send({"opt": "upload", "filename": "/g", "filesize": 0})
                header, _ = client.answer()
                return header.get("code") in ("draining", "permission")
            except Exception:  # noqa: BLE001  (closed is as good)
                return True

        until(told, 10, "the end of the old rights")
    assert not (ftd.root / "g").exists() or (ftd.root / "g").stat().st_size == 0
    with ftd.client() as client:
        assert client.put("/h", b"x")["code"] == "permission"
