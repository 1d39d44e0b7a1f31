"""A quota is never exceeded, not by a byte, and nothing of it is lost: not with a hundred uploads at once, not with
sessions killed at random moments, not with two daemons on one share."""
import errno
import os
import random
import signal
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

import harness
import resumable
from harness import PATIENCE, hashed, until
from wire import Closed

FULL = os.environ.get("FTD_FULL") == "1"
KIB = 1 << 10
QUOTA = 4096 * KIB
OWNER = "user.ftd.owner"


@pytest.fixture
def root():
    """A directory on a file system with attributes."""
    for place in (harness.SCRATCH, "/var/tmp", tempfile.gettempdir()):
        with tempfile.TemporaryDirectory(prefix="ftd-quota-", dir=place) as path:
            try:
                os.setxattr(path, OWNER, b"-")
                os.removexattr(path, OWNER)
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:
                    raise
                continue
            yield Path(path)
            return
    pytest.skip("no file system here has extended attributes of users")


@pytest.fixture
def with_quota(root, make_ftd):
    """A maker of daemons that serve the same directory."""
    def make(quota=f"{QUOTA // KIB}K", users=()):
        daemon = make_ftd({"log": {"level": "warning"}}, share={"root": str(root), "quota": quota}, start=False)
        daemon.root = root
        daemon.write_users(*(f"{user}:{hashed('secret')}" for user in users))
        return daemon.start()
    return make


def files(root):
    """Published files and their sizes."""
    found = {}
    for path in root.rglob("*"):
        if path.relative_to(root).parts[0] == ".ftd":
            continue
        try:
            if path.is_file():
                found[path] = path.stat().st_size
        except FileNotFoundError:
            pass
    return found


def owned(root):
    return sum(files(root).values())


def ledger(root, user="-"):
    """(used, the records that are not free) as the file has them."""
    data = (root / ".ftd/quota" / user).read_bytes()
    assert data[:8] == b"FTDQUOTA" and len(data) % 64 == 0
    records = [data[at:at + 64] for at in range(64, len(data), 64)]
    return struct.unpack_from("<Q", data, 16)[0], [r for r in records if any(r)]


def space(ftd):
    with ftd.client() as client:
        answer = client.ask({"opt": "space"})
    assert answer["status"] == "ok", answer
    return answer


def settled(ftd, root):
    """Whether what is told is what is there, and nothing is reserved."""
    told = space(ftd)
    return told["used"] == owned(root) and told["free"] == told["quota"] - told["used"]


def test_what_it_counts(with_quota, root):
    ftd = with_quota("100K")
    with ftd.client() as client:
        assert client.ask({"opt": "space"})["quota"] == 100 * KIB
        assert client.put("/a", bytes(60 * KIB))["status"] == "ok"
        told = client.ask({"opt": "space"})
        assert (told["used"], told["free"]) == (60 * KIB, 40 * KIB)
        refused = client.put("/b", bytes(40 * KIB + 1))
        assert (refused["code"], refused["limit"], refused["current"]) == ("quota_exceeded", 100 * KIB, 60 * KIB)
        assert client.put("/b", bytes(40 * KIB))["status"] == "ok"  # to the last byte
        assert client.put("/c", b"x")["code"] == "quota_exceeded"
        assert client.put("/empty", b"")["status"] == "ok"
        # what is replaced and removed is given back, what is moved counts as before
        assert client.ask({"opt": "remove", "filename": "/b"})["status"] == "ok"
        assert client.put("/a", bytes(10 * KIB))["status"] == "ok"
        assert client.ask({"opt": "space"})["used"] == 10 * KIB
        assert client.ask({"opt": "mkdir", "filename": "/d"})["status"] == "ok"
        assert client.ask({"opt": "rename", "filename": "/a", "to": "/d/a"})["status"] == "ok"
        assert client.ask({"opt": "rename", "filename": "/d", "to": "/e"})["status"] == "ok"
        copied = client.ask({"opt": "copy", "filename": "/e/a", "to": "/e/b"})
        assert copied["status"] == "ok"
        assert client.ask({"opt": "space"})["used"] == 20 * KIB
        assert client.put("/big", bytes(75 * KIB))["status"] == "ok"
        refused = client.ask({"opt": "copy", "filename": "/e/a", "to": "/f"})
        assert (refused["code"], refused["limit"], refused["current"]) == ("quota_exceeded", 100 * KIB, 95 * KIB)
        assert client.ask({"opt": "rename", "filename": "/e/a", "to": "/big", "if_exists": "replace"})["status"] == "ok"
        assert client.ask({"opt": "space"})["used"] == 20 * KIB
        assert client.ask({"opt": "rename", "filename": "/big", "to": "/big", "if_exists": "replace"})["status"] == "ok"
        assert client.ask({"opt": "remove", "filename": "/e", "recursive": True})["status"] == "ok"
        assert client.ask({"opt": "space"})["used"] == 10 * KIB
    assert ledger(root) == (10 * KIB, [])
    assert os.getxattr(root / "big", OWNER) == b"-"


def test_content_of_unknown_length(with_quota, root):
    ftd = with_quota("100K")
    with ftd.client() as client:
        request = {"opt": "upload", "filename": "/a", "filesize": None}
        refused = client.put_pieces(request, [bytes(60 * KIB)] * 2, {"body": 0})
        assert (refused["code"], refused["limit"]) == ("quota_exceeded", 100 * KIB)
        assert ledger(root) == (0, [])
        assert client.put_pieces(request, [bytes(50 * KIB)] * 2, {"body": 0})["status"] == "ok"
        refused = client.ask({"opt": "upload", "filename": "/b", "more": True, "hole": 1})
        assert refused["code"] == "quota_exceeded"
    assert ledger(root) == (100 * KIB, [])


def test_users_have_one_each(make_ftd, root):
    """Whoever replaces or removes a file, its owner is credited."""
    ftd = make_ftd(share={"root": str(root), "quota": "100K"}, start=False)
    ftd.write_users(f"alice:{hashed('a')}", f"bob:{hashed('b')}")
    ftd.start()
    with ftd.connect() as alice, ftd.connect() as bob:
        for client, user in ((alice, "alice"), (bob, "bob")):
            assert client.login(user, user[0])["status"] == "ok"
            assert client.put(f"/{user}", bytes(80 * KIB))["status"] == "ok"
            assert client.ask({"opt": "space"})["used"] == 80 * KIB
        assert alice.put("/bob", bytes(20 * KIB))["status"] == "ok"
        assert alice.ask({"opt": "space"})["free"] == 0
        assert bob.ask({"opt": "space"})["used"] == 0
        assert bob.ask({"opt": "rename", "filename": "/bob", "to": "/hers"})["status"] == "ok"
        assert bob.ask({"opt": "copy", "filename": "/hers", "to": "/his"})["status"] == "ok"
        assert bob.ask({"opt": "space"})["used"] == 20 * KIB
        assert bob.ask({"opt": "rename", "filename": "/his", "to": "/alice", "if_exists": "replace"})["status"] == "ok"
        assert bob.ask({"opt": "remove", "filename": "/hers"})["status"] == "ok"
        assert alice.ask({"opt": "space"})["used"] == 0
    assert (ledger(root, "alice"), ledger(root, "bob")) == ((0, []), (20 * KIB, []))


def test_what_was_there_before_counts_to_nobody(with_quota, root):
    (root / "old").write_bytes(bytes(200 * KIB))
    ftd = with_quota("100K")
    with ftd.client() as client:
        assert client.ask({"opt": "space"})["used"] == 0
        assert client.put("/new", bytes(100 * KIB))["status"] == "ok"
        assert client.ask({"opt": "remove", "filename": "/old"})["status"] == "ok"
        assert client.ask({"opt": "space"})["used"] == 100 * KIB


def test_nobody_hides_files_from_the_count(with_quota, root):
    ftd = with_quota("100K")
    with ftd.client() as client:
        assert client.ask({"opt": "mkdir", "filename": "/d"})["status"] == "ok"
        assert client.put("/d/a", bytes(60 * KIB), mode=0)["status"] == "ok"
        for name in ("/d/a", "/d"):
            assert client.ask({"opt": "set", "filename": name, "mode": 0})["status"] == "ok"
    assert (root / "d/a").stat().st_mode & 0o777 == 0o400
    assert (root / "d").stat().st_mode & 0o777 == 0o500


def test_a_lost_or_damaged_file_is_counted_anew(with_quota, root):
    ftd = with_quota("100K")
    with ftd.client() as client:
        assert client.put("/a", bytes(60 * KIB))["status"] == "ok"
        path = root / ".ftd/quota/-"
        until(lambda: path.read_bytes()[12] == 0, 20, "the first count")
        damaged = bytearray(path.read_bytes())
        damaged[16] ^= 1
        path.write_bytes(damaged)
        refused = client.put("/b", bytes(50 * KIB))  # it is not known how much is left
        assert refused["code"] == "busy" and refused["retry_after_ms"] > 0
        assert (root / ".ftd/quota/-~bad").read_bytes() == damaged
        until(lambda: client.put("/b", bytes(50 * KIB))["code"] == "quota_exceeded", 20, "a count")
        assert client.ask({"opt": "space"})["used"] == 60 * KIB
        ftd.told("was damaged")
        path.unlink()
        (root / ".ftd/quota/~count").touch()
        until(lambda: client.ask({"opt": "space"})["used"] == 60 * KIB, 20, "a count")


def test_no_directory_counts_twice(make_ftd, root):
    (root / "in").mkdir()
    base = {"anonymous": "loopback", "rights": "full"}
    ftd = make_ftd({"shares": [{"path": "/", "root": str(root), "quota": "1M", **base},
                               {"path": "/in", "root": str(root / "in"), **base}]}, start=False)
    done = harness.run(harness.FTD, "--check", ftd.conf, check=False)
    assert done.returncode == 2 and "one lies in the other" in done.stderr


# --- many at once

class Clients:
    """Threads that upload, and what they met."""

    def __init__(self, daemons, n, work, users=()):
        self.daemons, self.work, self.users, self.problems, self.refused = daemons, work, users, [], 0
        self.end = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(i,)) for i in range(n)]

    def _run(self, number):
        dice = random.Random(number)
        while not self.end.is_set():
            try:
                with self.daemons[number % len(self.daemons)].client(timeout=20 * PATIENCE) as client:
                    if self.users:
                        client.login(self.users[number % len(self.users)], "secret")
                    while not self.end.is_set():
                        answer = self.work(client, dice, number)
                        if answer["status"] == "ok":
                            continue
                        if answer["code"] == "quota_exceeded":
                            self.refused += 1
                        elif answer["code"] not in ("not_found", "exists", "busy", "changed"):
                            self.problems.append(answer)
                            return
            except (Closed, ConnectionError, BrokenPipeError):
                pass  # its session was killed
            except Exception as error:  # noqa: BLE001  (told by the test)
                self.problems.append(repr(error))
                return

    def run(self, seconds, meanwhile):
        for thread in self.threads:
            thread.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.problems:
            meanwhile()
        self.end.set()
        for thread in self.threads:
            thread.join(60 * PATIENCE)
        assert not self.problems, self.problems[:3]


def upload(client, dice, number):
    """A new file: of known or unknown length, in one or several pieces."""
    name, size = f"/{number}-{dice.randrange(1 << 60):x}", dice.choice((1, 1000, 20 * KIB, 60 * KIB))
    if dice.random() < 0.6:
        return client.put(name, bytes(size))
    request = {"opt": "upload", "filename": name, "filesize": None}
    return client.put_pieces(request, [bytes(size // 2), bytes(size - size // 2)], {"body": 0})


def churn(client, dice, number):
    """Whatever changes what counts, on names that many use."""
    name, other = f"/n{dice.randrange(60)}", f"/n{dice.randrange(60)}"
    what = dice.random()
    if what < 0.55:
        return client.put(name, bytes(dice.randrange(150 * KIB)))
    if what < 0.7:
        return client.ask({"opt": "remove", "filename": name})
    if what < 0.85:
        return client.ask({"opt": "rename", "filename": name, "to": other, "if_exists": "replace"})
    if name == other:
        return upload(client, dice, number)
    return client.ask({"opt": "copy", "filename": name, "to": other, "if_exists": "replace"})


def kill_one(daemons):
    """Some session, wherever it is."""
    pids = [s["pid"] for s in random.choice(daemons).sessions() if s["pid"]]
    try:
        if pids:
            os.kill(random.choice(pids), signal.SIGKILL)
    except ProcessLookupError:
        pass
    return bool(pids)


@pytest.mark.parametrize("daemons", [1, 2])
def test_a_hundred_uploads_at_once(with_quota, root, daemons):
    made = [with_quota() for _ in range(daemons)]
    most = killed = 0

    def meanwhile():
        nonlocal most, killed
        most = max(most, owned(root))  # files only come: at the end of the walk there are as many at the least
        assert most <= QUOTA
        killed += kill_one(made)
        time.sleep(0.02)

    clients = Clients(made, 100, upload)
    clients.run(40 if FULL else 4, meanwhile)
    assert owned(root) <= QUOTA
    assert clients.refused > 0 and killed > 10, (clients.refused, killed)
    until(lambda: settled(made[0], root), 20, "an exact account")
    until(lambda: ledger(root) == (owned(root), []), 20, "no reservation being left")
    with made[-1].client() as client:  # what is left is left to the last byte
        left = QUOTA - owned(root)
        assert client.put("/more", bytes(left + 1))["code"] == "quota_exceeded"
        assert client.put("/rest", bytes(left))["status"] == "ok"
    assert owned(root) == QUOTA


def owned_by(root):
    """The bytes of each user, by what the files say."""
    sums = {}
    for path, size in files(root).items():
        user = os.getxattr(path, OWNER).decode()
        sums[user] = sums.get(user, 0) + size
    return sums


def exact(root, users):
    """Whether all ledgers say what the files say, and nothing is reserved."""
    sums = owned_by(root)
    return all(ledger(root, user) == (sums.get(user, 0), []) for user in users)


@pytest.mark.parametrize("daemons, users", [(1, ()), (2, ()), (2, ("alice", "bob"))])
def test_everything_that_changes_names_at_once(with_quota, root, daemons, users):
    made = [with_quota(users=users) for _ in range(daemons)]

    def meanwhile():
        kill_one(made)
        time.sleep(0.02)

    clients = Clients(made, 24, churn, users)
    clients.run(60 if FULL else 4, meanwhile)
    assert all(used <= QUOTA for used in owned_by(root).values())
    # a session killed between the two steps of a removal leaves it to the next count to say what was done
    until(lambda: space(made[0]) and exact(root, users or ("-",)), 30, "exact accounts")


# --- what must stay free

@pytest.fixture
def small_disk(scratch):
    """A file system of 48 MiB."""
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48M", "ftd-test", scratch], capture_output=True)
    if done.returncode != 0:
        pytest.skip("only root can mount a file system")
    yield scratch
    subprocess.run(["umount", "-l", scratch], check=True)


def test_uploads_at_once_leave_free_what_they_must(small_disk, make_ftd):
    """Who is let in has its room; who is not is told before it has sent anything."""
    ftd = make_ftd({"limits": {"free_space": "16M"}}, share={"root": str(small_disk)})
    size, mib = 10 << 20, 1 << 20
    clients = [ftd.client() for _ in range(8)]
    for i, client in enumerate(clients):
        client.send({"opt": "upload", "filename": f"/{i}", "filesize": size, "expect": True})
    answers = [client.frame()[0] for client in clients]
    let_in = [c for c, a in zip(clients, answers) if a["status"] == "continue"]
    assert len(let_in) == 3
    assert {a.get("code") for a in answers if a["status"] == "error"} == {"disk_full"}
    for client in let_in:
        client.sock.sendall(bytes(size))
    assert all(client.answer()[0]["status"] == "ok" for client in let_in)
    vfs = os.statvfs(small_disk)
    free = vfs.f_bavail * vfs.f_bsize
    assert free >= 16 * mib
    # of unknown length; and holes, which need nothing
    request = {"opt": "upload", "filename": "/more", "filesize": None}
    refused = clients[0].put_pieces(request, [bytes(mib)] * (free // mib), {"body": 0})
    assert refused["code"] == "disk_full"
    removed = let_in[0].ask({"opt": "remove", "filename": f"/{clients.index(let_in[0])}"})
    assert removed["status"] == "ok"
    client = let_in[0]
    client.send({"opt": "upload", "filename": "/sparse", "filesize": 4 * mib, "more": True})
    client.send({"more": True, "body": mib}, b"x" * mib)
    client.send({"hole": 3 * mib})
    assert client.answer()[0]["status"] == "ok"
    assert (small_disk / "sparse").stat().st_blocks * 512 == mib
    for client in clients:
        client.close()


def test_an_upload_that_another_connection_ends(with_quota):
    """The one that began it stays, and keeps nobody from uploading."""
    ftd = with_quota("1M")
    with ftd.client() as first, ftd.client() as second:
        begun = resumable.ok(resumable.begin(first, "/a", 1000, mtime_ns=1))
        resumable.ok(resumable.part(second, begun["upload"], 0, bytes(1000)))
        resumable.ok(resumable.end(second, begun["upload"], bytes(1000)))
        for i in range(3):
            assert second.put(f"/b{i}", bytes(1000))["status"] == "ok"
            assert resumable.ok(resumable.begin(second, f"/c{i}", 1000))["ranges"] == []
