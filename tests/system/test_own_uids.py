"""Users with an account of the system: their sessions run as it, and nobody else gains anything by that."""
import os
import pwd
import signal
from pathlib import Path

import pytest

import wire
from accounts import capabilities, login, make, make_privileged, needs_root, session_of, status, uids, who_has_what
from harness import children, name_of, until
from resumable import begin, finish, ok, part

pytestmark = needs_root


def refused(ftd, user):
    """The answer; None: the connection was closed."""
    with ftd.client() as client:
        try:
            return client.login(user, "secret")
        except (wire.Closed, ConnectionResetError):
            return None


@pytest.fixture
def ftd(make_ftd):
    return make_privileged(make_ftd)


def test_who_has_what(ftd):
    nobody, games = pwd.getpwnam("nobody"), pwd.getpwnam("games")
    with login(ftd, "games"), login(ftd, "plain"), ftd.client() as anonymous:
        anonymous.list("/")
        who_has_what(ftd)
        assert uids(session_of(ftd, "games")) == {games.pw_uid, games.pw_gid}
        assert uids(session_of(ftd, "plain")) == {nobody.pw_uid, nobody.pw_gid}
        assert "0" not in status(session_of(ftd, "games"))["Groups"].split()
        assert len([pid for pid in children(ftd.pid) if name_of(pid) == "ftd-session"]) == 3


def test_files_are_the_accounts(ftd):
    with login(ftd, "games") as games, login(ftd, "mail") as mail:
        games.put("/of-games", b"mine" * 1000, mode=0o600)
        st = (ftd.root / "of-games").stat()
        assert (st.st_uid, st.st_gid) == (pwd.getpwnam("games").pw_uid, pwd.getpwnam("games").pw_gid)
        assert games.get("/of-games") == b"mine" * 1000
        assert mail.ask({"opt": "download", "filename": "/of-games"})["code"] == "permission"
        assert mail.ask({"opt": "remove", "filename": "/of-games"})["code"] == "permission"  # the directory is sticky
        assert (ftd.root / "of-games").read_bytes() == b"mine" * 1000


def test_the_supervisor_can_end_it(ftd):
    with login(ftd, "games") as games:
        games.list("/")
        pid = session_of(ftd, "games")
        ftd.ftctl("kick", ftd.sessions()[0]["id"])
        until(lambda: not Path(f"/proc/{pid}").exists(), 5)


def test_what_a_killed_session_left_goes_with_the_next(ftd):
    with login(ftd, "games") as games:
        games.send({"opt": "upload", "filename": "/large", "filesize": 50_000_000}, b"x" * 1_000_000)
        until(lambda: any(t["offset"] > 0 for t in ftd.transfers()), 10)
        os.kill(session_of(ftd, "games"), signal.SIGKILL)
        until(lambda: not ftd.sessions(), 10)
    assert not (ftd.root / "large").exists()
    with login(ftd, "games") as games:
        games.put("/small", b"x")
    assert ftd.staged() == []


def test_uploads_are_resumed(ftd):
    """A cut upload goes on in another session of the same account; nobody else's session can tell that it is there."""
    data = b"0123456789" * 100_000
    uid = pwd.getpwnam("games").pw_uid
    with login(ftd, "games") as games, login(ftd, "mail") as mail, login(ftd, "plain") as plain:
        a = ok(begin(games, "/resumed", len(data), mtime_ns=5))
        ok(part(games, a["upload"], 0, data[:500]))
        for other in (mail, plain):
            assert part(other, a["upload"], 500, b"x")["code"] == "upload_unknown"
            assert ok(other.ask({"opt": "upload-list"}))["uploads"] == []
            theirs = ok(begin(other, "/resumed", len(data), mtime_ns=5))
            assert theirs["ranges"] == []
            ok(other.ask({"opt": "upload-abort", "upload": theirs["upload"]}))
        (record,) = [p for p in (ftd.root / ".ftd/uploads").glob("*.rec") if p.stat().st_uid == uid]
        assert record.stat().st_mode & 0o777 == 0o600
        (content,) = [p for p in ftd.root.glob(".ftd-*") if p.stat().st_uid == uid]
        os.kill(session_of(ftd, "games"), signal.SIGKILL)
    with login(ftd, "games") as games:
        a = ok(begin(games, "/resumed", len(data), mtime_ns=5))
        assert a["ranges"] == [[0, 500]]
        finish(games, a, data)
        kept = {"opt": "upload", "filename": "/kept", "filesize": 3, "mtime_ns": 5, "keep": True}
        ok(games.ask(kept, b"abc"))
    assert (ftd.root / "resumed").read_bytes() == data and (ftd.root / "resumed").stat().st_uid == uid
    assert (ftd.root / "kept").read_bytes() == b"abc" and not content.exists()


def unfinished(ftd):
    return ftd.ask("list-uploads")["uploads"]


def test_ftctl_tells_of_unfinished_uploads_what_may_be_known(ftd):
    """Neither the claim nor the path, but that it is there, whose, since when, and who sends it; it is not discarded."""
    data = b"0123456789" * 100_000
    with login(ftd, "games") as games:
        session = games.hello()["session"]
        a = ok(begin(games, "/secret-name", len(data), mtime_ns=5))
        ok(part(games, a["upload"], 0, data[:500]))
        (row,) = unfinished(ftd)
        assert (row["id"], row["user"], row["state"]) == (a["upload"][:33], "games", "private")
        assert row["path"] is row["size"] is row["held"] is row["session"] is None
        assert row["last_byte"] < row["expires"]
        assert ftd.ask("show", id=row["id"])["upload"] == {**row, "pieces": None}
        shown = ftd.ftctl("show", row["id"]).stdout
        assert "private" in shown and "games" in shown and "secret-name" not in shown
        games.send({"opt": "upload-part", "upload": a["upload"], "offset": 500, "filesize": len(data) - 500})
        games.sock.sendall(data[500:600])
        until(lambda: unfinished(ftd)[0]["session"] == session, 10)
        refused = ftd.ftctl("upload", "discard", row["id"], check=False)
        assert refused.returncode == 4 and "own account" in refused.stderr
        games.sock.sendall(data[600:])
        ok(games.answer()[0])
        finish(games, {**a, "ranges": [[0, len(data)]]}, data)
        assert list((ftd.root / ".ftd/uploads").glob("*.rec")), "its receipt"
        assert unfinished(ftd) == []
    assert (ftd.root / "secret-name").read_bytes() == data


def test_unfinished_uploads_of_who_has_no_name_any_more(ftd):
    with login(ftd, "games") as games:
        ok(begin(games, "/mine", 10, mtime_ns=5))
    for p in (ftd.root / ".ftd/uploads").iterdir():
        os.chown(p, 54321, 54321)
    (row,) = unfinished(ftd)
    assert (row["user"], row["state"]) == ("54321", "private")
    for p in (*ftd.root.glob(".ftd-*"), *(ftd.root / ".ftd/uploads").iterdir()):
        p.unlink()
    assert unfinished(ftd) == []


def test_a_record_that_another_made_is_not_ours(ftd):
    """Who has an account may plant names where records lie: that is a refusal, and nothing more."""
    with login(ftd, "games") as games:
        a = ok(begin(games, "/mine", 10, mtime_ns=5))
        (record,) = (ftd.root / ".ftd/uploads").glob("*.rec")
        ok(games.ask({"opt": "upload-abort", "upload": a["upload"]}))
        record.write_bytes(b"planted")
        os.chown(record, pwd.getpwnam("mail").pw_uid, 0)
        record.chmod(0o666)
        refused = begin(games, "/mine", 10, mtime_ns=5)
        assert refused["code"] in ("permission", "busy") and record.read_bytes() == b"planted"
        assert games.put("/mine", b"abc")["status"] == "ok"


def test_what_nobody_goes_on_with_goes_when_the_user_comes_again(make_ftd):
    ftd = make_privileged(make_ftd)
    with login(ftd, "games") as games:
        ok(begin(games, "/old", 10, mtime_ns=5))
        (record,) = (ftd.root / ".ftd/uploads").glob("*.rec")
        os.utime(record, (1_000_000_000,) * 2)
    with login(ftd, "games") as games:
        a = ok(begin(games, "/new", 10, mtime_ns=5))
        assert not record.exists() and len(list(ftd.root.glob(".ftd-*"))) == 1
        ok(games.ask({"opt": "upload-abort", "upload": a["upload"]}))


def test_quotas_are_the_file_systems(make_ftd):
    ftd = make_privileged(make_ftd, quota="1K")
    with login(ftd, "games") as games, login(ftd, "plain") as plain:
        assert games.put("/large", b"x" * 5000)["status"] == "ok"
        assert plain.put("/other", b"x" * 5000)["code"] == "quota_exceeded"


def test_never_root_and_never_somebody_unknown(ftd):
    for user in ("boss", "ghost"):
        assert refused(ftd, user) is None
    until(lambda: "cannot become root: it is root" in ftd.errors and "cannot become no-such-account" in ftd.errors, 5)
    until(lambda: not ftd.sessions(), 5)


def test_without_the_drop_in_such_users_are_refused(make_ftd):
    ftd = make(make_ftd)
    assert refused(ftd, "games")["code"] == "account_disabled"
    until(lambda: "own-uids.conf" in ftd.errors, 5)
    with login(ftd, "plain") as plain:
        plain.put("/f", b"x")
    assert capabilities(ftd.pid) == (0, 0)
