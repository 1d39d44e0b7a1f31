"""Who has an upload: a newer connection gets it within two seconds, whatever the older one does and wherever it is, and the
older one has stopped writing before."""
import contextlib
import os
import random
import signal
import subprocess
import threading

import pytest

from harness import PATIENCE, until
from resumable import MIB, begin, content, end, finish, missing, ok, part
from wire import encode


def writer(ftd, upload, data, sent):
    """A connection in the middle of a part of which so many bytes have come; and its row of the transfers."""
    c = ftd.client()
    c.hello()
    raw = encode({"opt": "upload-part", "upload": upload, "offset": 0, "filesize": len(data)})
    c.sock.sendall(raw + data[:sent])
    row = until(lambda: next((t for t in ftd.transfers() if t["offset"] == sent), None), PATIENCE, "the transfer")
    return c, row


def pid_of(ftd, row):
    return next(s["pid"] for s in ftd.sessions() if s["id"] == row["session"])


def takes_over(old, new, name, data, held):
    """The claim is answered, which it is only where the older one let go within two seconds; then it ends well."""
    a = ok(begin(new, name, len(data), mtime_ns=1))
    assert a["ranges"] == [[0, held]]
    assert old.answer()[0]["code"] == "taken_over"
    finish(new, a, data)


def test_a_client_that_stands_still(ftd):
    data = content(2 * MIB)
    with ftd.client() as new:
        a = ok(begin(new, "/still", len(data), mtime_ns=1))
        old, _ = writer(ftd, a["upload"], data, MIB)
        takes_over(old, new, "/still", data, MIB)
        old.close()
    assert (ftd.root / "still").read_bytes() == data


def test_a_transfer_that_is_paused(ftd):
    data = content(2 * MIB)
    with ftd.client() as new:
        a = ok(begin(new, "/paused", len(data), mtime_ns=1))
        old, row = writer(ftd, a["upload"], data, MIB)
        ftd.ftctl("pause", row["id"])
        until(lambda: next(t for t in ftd.transfers() if t["id"] == row["id"])["state"] == "paused", PATIENCE, "the pause")
        a = ok(begin(new, "/paused", len(data), mtime_ns=1))
        assert a["ranges"] == [[0, MIB]]
        finish(new, a, data)
        until(lambda: not [t for t in ftd.transfers() if t["id"] == row["id"]], PATIENCE, "the end of the paused transfer")
        old.close()
    assert (ftd.root / "paused").read_bytes() == data


def test_a_session_that_is_stopped(ftd):
    """It cannot let go, so nobody gets the upload; once it runs again it does not write another byte."""
    data = content(2 * MIB)
    with ftd.client() as new:
        a = ok(begin(new, "/stopped", len(data), mtime_ns=1))
        old, row = writer(ftd, a["upload"], data, MIB)
        pid = pid_of(ftd, row)
        os.kill(pid, signal.SIGSTOP)
        try:
            refused = begin(new, "/stopped", len(data), mtime_ns=1)
            assert refused["code"] == "busy" and refused["retry_after_ms"] > 0
            old.sock.sendall(b"x" * 1000)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert old.answer()[0]["code"] == "taken_over"
        old.close()
        a = ok(begin(new, "/stopped", len(data), mtime_ns=1))
        assert a["ranges"][0][0] == 0 and a["ranges"][0][1] in (MIB, MIB + 1000)
        ok(part(new, a["upload"], MIB, data[MIB:]))
        ok(end(new, a["upload"], data))
    assert (ftd.root / "stopped").read_bytes() == data


def test_two_daemons_on_one_share(make_ftd):
    """Begun at one, taken over at the other while it is being sent, and ended at the first again."""
    data = content(3 * MIB)
    one = make_ftd()
    other = make_ftd(share={"root": str(one.root)})
    with one.client() as c, other.client() as new:
        a = ok(begin(c, "/both", len(data), mtime_ns=1))
        old, _ = writer(one, a["upload"], data, MIB)
        b = ok(begin(new, "/both", len(data), mtime_ns=1))
        assert b["ranges"] == [[0, MIB]] and old.answer()[0]["code"] == "taken_over"
        old.close()
        assert part(c, a["upload"], 0, b"x")["code"] == "taken_over"
        # with the newest id both may send
        ok(part(c, b["upload"], 2 * MIB, data[2 * MIB:]))
        ok(part(new, b["upload"], MIB, data[MIB:2 * MIB]))
        receipt = ok(end(c, b["upload"], data))
        assert ok(end(new, b["upload"], data)) == receipt
    assert (one.root / "both").read_bytes() == data


def test_parts_in_any_order_that_overlap(ftd):
    """Several connections at once: who comes upon bytes that another one sends is told to wait, and nothing is lost."""
    data, rng = content(6 * MIB), random.Random(11)
    cuts = [(at, min(at + rng.randrange(100_000, 700_000), len(data))) for at in range(0, len(data), 150_000)]
    rng.shuffle(cuts)
    with ftd.client() as c:
        a = ok(begin(c, "/any", len(data), mtime_ns=1))
        errors = []

        def send(mine):
            with ftd.client() as p:
                wanted = list(mine)
                for _ in range(2000):
                    if not wanted:
                        return
                    first, last = wanted.pop(0)
                    answer = part(p, a["upload"], first, data[first:last])
                    if answer.get("code") == "busy":
                        wanted.append((first, last))
                    elif answer["status"] != "ok":
                        break
                errors.append(answer)

        threads = [threading.Thread(target=send, args=(cuts[i::4],)) for i in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not errors
        assert missing(ok(c.ask({"opt": "upload-status", "upload": a["upload"]}))["ranges"], len(data)) == []
        ok(end(c, a["upload"], data))
    assert (ftd.root / "any").read_bytes() == data


def test_one_record_for_the_whole(ftd):
    """Two sessions and three parts are one upload in the log, and one transfer in a session."""
    data = content(3 * MIB)
    with ftd.client() as c:
        a = ok(begin(c, "/whole", len(data), mtime_ns=1))
        ok(part(c, a["upload"], 0, data[:MIB]))
    with ftd.client() as c:
        a = ok(begin(c, "/whole", len(data), mtime_ns=1))
        ok(part(c, a["upload"], MIB, data[MIB:2 * MIB]))
        ok(part(c, a["upload"], 2 * MIB, data[2 * MIB:]))
        ok(end(c, a["upload"], data))
    lines = until(lambda: [line for line in ftd.errors.splitlines() if "/whole" in line], PATIENCE, "the record")
    assert len(lines) == 1 and "upload /whole: ok, 3.0 MiB in" in lines[0] and "3 parts" in lines[0]


def test_a_full_disk_does_not_keep_a_record_from_being_written(make_ftd, tmp_path):
    """What has its room goes on to its end; what is to begin is refused and leaves nothing."""
    root, data = tmp_path / "small", content(3 * MIB)
    root.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8M,mode=0777", "none", str(root)], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("file systems cannot be mounted here")
    try:
        ftd = make_ftd({"limits": {"free_space": "0"}}, share={"root": str(root)})
        with ftd.client() as c:
            a = ok(begin(c, "/roomy", len(data), mtime_ns=1))
            with open(root / "filler", "wb", buffering=0) as f, pytest.raises(OSError):
                while True:
                    f.write(bytes(4096))
            before = sorted(os.listdir(root / ".ftd/uploads"))
            assert begin(c, "/late", 10, mtime_ns=1)["code"] == "disk_full"
            assert sorted(os.listdir(root / ".ftd/uploads")) == before
            ok(part(c, a["upload"], 0, data[:MIB]))
            ok(part(c, a["upload"], MIB, data[MIB:]))
            ok(end(c, a["upload"], data))
        assert (root / "roomy").read_bytes() == data
        ftd.stop()
    finally:
        subprocess.run(["umount", "-l", str(root)], check=False)


def test_many_begin_at_once(ftd):
    """Of those that begin what is not there yet, one is told so and has it: the others take nothing away."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(ftd.client()) for _ in range(6)]
        for i in range(100):
            for c in clients:
                c.send({"opt": "upload-begin", "filename": f"/many{i}", "filesize": 10, "mtime_ns": 1})
            answers = [c.answer()[0] for c in clients]
            assert {x.get("code", "ok") for x in answers} <= {"ok", "taken_over", "busy"}, answers
            states = [clients[0].ask({"opt": "upload-status", "upload": x["upload"]})
                      for x in answers if x["status"] == "ok"]
            assert [s for s in states if s["status"] == "ok"], (answers, states)
