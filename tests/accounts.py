"""A daemon whose users have accounts of the system, and what its processes may do."""
import os
import pwd
import shutil
from pathlib import Path

import pytest

from harness import children, hashed, name_of, until

needs_root = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")

KILL, SETGID, SETUID = 1 << 5, 1 << 6, 1 << 7
CAPABILITIES = "+kill,+setgid,+setuid"


def as_nobody(*capabilities):
    """What systemd does for User=, and for AmbientCapabilities= where they are given."""
    nobody = pwd.getpwnam("nobody")
    given = [f"--{which}-caps={c}" for c in capabilities for which in ("inh", "ambient")]
    return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", *given]


def make(make_ftd, *capabilities, **share):
    daemon = make_ftd(user="nobody", start=False, wrapper=as_nobody(*capabilities), share=share)
    daemon.root.chmod(0o1777)
    secret = hashed("secret")
    daemon.write_users(f"games:{secret}:account=games", f"mail:{secret}:account=mail", f"plain:{secret}",
                       f"boss:{secret}:account=root", f"ghost:{secret}:account=no-such-account")
    os.chown(daemon.dir / "users", 0, pwd.getpwnam("nobody").pw_gid)
    return daemon.start()


def login(ftd, user):
    client = ftd.client()
    assert client.login(user, "secret")["status"] == "ok"
    return client


def make_privileged(make_ftd, **share):
    """Until the keeper has made what sessions of other uids need, they are told that it is busy."""
    daemon = make(make_ftd, CAPABILITIES, **share)
    uploads = daemon.root / ".ftd/uploads"
    until(lambda: uploads.exists() and uploads.stat().st_mode & 0o7777 == 0o1777, 10)
    return daemon


def status(pid):
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)


def capabilities(pid):
    fields = status(pid)
    return int(fields["CapEff"], 16), int(fields["CapPrm"], 16)


def uids(pid):
    return {int(n) for n in status(pid)["Uid"].split()} | {int(n) for n in status(pid)["Gid"].split()}


def session_of(ftd, user):
    return next(s["pid"] for s in ftd.sessions() if s["user"] == user)


def who_has_what(ftd):
    """The supervisor and the sessionhouse what they need, all others nothing."""
    assert capabilities(ftd.pid) == (KILL, KILL | SETUID | SETGID)
    until(lambda: not [p for p in children(ftd.pid) if name_of(p) in ("ftd-gate", "ftd-verifier")], 5)
    seen = [(name_of(pid) == "ftd-sessionhous", capabilities(pid)) for pid in children(ftd.pid)]
    assert len(seen) >= 4 and set(seen) == {(True, (SETUID | SETGID, SETUID | SETGID)), (False, (0, 0))}, seen
