"""Started as root, the daemon gives that up before it serves, and cannot take it back."""
import os
from pathlib import Path

import pytest

import resumable
from harness import children, served, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give it up")


@pytest.fixture
def nobody(make_ftd):
    return make_ftd(user="nobody")


def identity(pid):
    fields = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    return {fields["Uid"], fields["Gid"]}, int(fields["CapEff"], 16) | int(fields["CapPrm"], 16), fields["Groups"].split()


def test_every_process_is_nobody(nobody):
    with nobody.client() as client:
        client.put("/f", b"x")
        pids = [nobody.pid, *children(nobody.pid)]
        assert len(pids) >= 6
        for pid in pids:
            ids, capabilities, groups = identity(pid)
            assert ids == {"\t".join(["65534"] * 4)} and capabilities == 0 and "0" not in groups
    assert (nobody.root / "f").stat().st_uid == 65534


def test_what_nobody_may_not_is_refused(nobody):
    (nobody.root / "of-root").mkdir(mode=0o700)
    (nobody.root / "secret").write_text("of root")
    (nobody.root / "secret").chmod(0o600)
    with nobody.client() as client:
        for request in ({"opt": "download", "filename": "/secret"}, {"opt": "list", "filename": "/of-root"},
                        {"opt": "upload", "filename": "/of-root/f", "filesize": 0},
                        {"opt": "set", "filename": "/secret", "mode": 0o777}):
            assert client.ask(request)["code"] == "permission", request
        # a tree tells what it could not read and goes on
        assert {e["name"] for e in client.list("/", recursive=True)} >= {"secret", "of-root"}


@pytest.mark.parametrize("share", [{}, {"quota": "1G"}], ids=["", "quota"])
@pytest.mark.parametrize("mode", [0o444, 0o400, 0])
def test_files_that_nobody_may_write(make_ftd, share, mode):
    """A user without root's rights cannot write them either, once they have that mode."""
    ftd = make_ftd(user="nobody", share=share)
    try:
        os.setxattr(ftd.root, "user.tried", b"")
    except OSError as error:
        if share:
            pytest.skip(f"quotas need extended attributes of users: {error}")
    told = mode | 0o400 if share else mode  # what cannot be read cannot be counted
    data = bytes(100_000)

    def mode_of(name):
        return (ftd.root / name).stat().st_mode & 0o7777

    with ftd.client() as client:
        resumable.ok(client.put("/whole", data, mode=mode))
        begun = resumable.ok(resumable.begin(client, "/parts", len(data), mode=mode, mtime_ns=1))
        half = len(data) // 2
        resumable.ok(resumable.part(client, begun["upload"], 0, data[:half]))
        resumable.ok(resumable.finish(client, resumable.begin(client, "/parts", len(data), mode=mode, mtime_ns=1), data))
        assert mode_of("whole") == mode_of("parts") == told
        if told:
            resumable.ok(client.ask({"opt": "copy", "filename": "/whole", "to": "/copy"}))
            assert mode_of("copy") == told


def test_serves_reloads_and_stops(nobody):
    served(nobody)
    generation = nobody.ask("status")["generation"]
    nobody.conf.chmod(0o644)
    nobody.ftctl("reload")
    until(lambda: nobody.ask("status")["generation"] > generation, 5)
    served(nobody)
