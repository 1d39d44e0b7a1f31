"""ftd --daemon: for systems without systemd."""
import os
import signal
import subprocess

from harness import FTD, PATIENCE, served, until


def test_detached(make_ftd, tmp_path):
    ftd = make_ftd(start=False)

    def start():
        # its output is a pipe: who waits for the end of it does not wait for the daemon's
        with open(tmp_path / "log", "ab") as log:
            return subprocess.run([FTD, "--config", os.path.relpath(ftd.conf, tmp_path), "--daemon"], cwd=tmp_path,
                                  stdout=subprocess.PIPE, stderr=log, timeout=20 * PATIENCE)

    assert start().returncode == 0
    pid = int((ftd.control.parent / "ftd.pid").read_text())
    try:
        served(ftd)
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        assert os.getsid(pid) != os.getsid(0)
        ftd.ftctl("reload")  # it finds its file still
        assert start().returncode == 1
    finally:
        os.kill(pid, signal.SIGTERM)
    until(lambda: not os.path.exists(f"/proc/{pid}"), 20)
    assert "ended" in (tmp_path / "log").read_text()
