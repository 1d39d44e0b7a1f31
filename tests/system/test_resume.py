"""Not a byte of an upload is lost: connections cut at random bytes, sessions and the daemon killed, newer connections that
take over, parts side by side; and what is not right is never published."""
import os
import random
import signal
import subprocess
import threading
import time

import pytest
import xxhash

from harness import PATIENCE, hashed, until
from resumable import BLOCK, MIB, begin, blocks_digest, content, end, finish, left_behind, missing, ok, part
from wire import digest, encode

NOBODY = "u" + "0" * 48


def cut(c, upload, offset, data, at):
    """Sends a part up to so many bytes of its content."""
    raw = encode({"opt": "upload-part", "upload": upload, "offset": offset, "filesize": len(data)})
    c.sock.sendall(raw + data[:at])
    c.close()


def test_in_one_go(ftd):
    data = content(BLOCK + 12345)
    with ftd.client() as c:
        a = ok(begin(c, "/big", len(data), mtime_ns=5, mode=0o640))
        assert a["ranges"] == [] and a["block"] == BLOCK and len(a["upload"]) == 49
        assert not (ftd.root / "big").exists()
        assert ok(part(c, a["upload"], 0, data))["ranges"] == [[0, len(data)]]
        receipt = ok(end(c, a["upload"], data))
        assert receipt["filesize"] == len(data) and receipt["digest"] == blocks_digest(data)
        assert receipt["mtime_ns"] == 5
        again = ok(end(c, a["upload"], data))
        assert again == receipt
    assert (ftd.root / "big").read_bytes() == data
    assert (ftd.root / "big").stat().st_mode & 0o777 == 0o640
    assert left_behind(ftd) == []


def test_cut_at_random_bytes(ftd):
    data, rng = content(3 * MIB), random.Random(7)
    c = ftd.client()
    a = ok(begin(c, "/cut", len(data), mtime_ns=1))
    held = 0
    for _ in range(12):
        gaps = missing(a["ranges"], len(data))
        if not gaps:
            break
        first, last = gaps[0]
        at = rng.randrange(0, last - first)
        cut(c, a["upload"], first, data[first:last], at)
        until(lambda: not ftd.sessions(), PATIENCE, "the end of the cut session")
        c = ftd.client()
        a = ok(begin(c, "/cut", len(data), mtime_ns=1))
        now = sum(b - a for a, b in a["ranges"])
        assert now >= held
        held = now
    finish(c, a, data)
    c.close()
    assert (ftd.root / "cut").read_bytes() == data
    assert left_behind(ftd) == []


def test_whatever_arrived_counts(ftd):
    data = content(2 * MIB)
    c = ftd.client()
    a = ok(begin(c, "/counts", len(data), mtime_ns=1))
    cut(c, a["upload"], 0, data, MIB + 17)
    until(lambda: not ftd.sessions(), PATIENCE, "the end of the session")
    with ftd.client() as c:
        a = ok(begin(c, "/counts", len(data), mtime_ns=1))
        assert a["ranges"] == [[0, MIB + 17]]
        finish(c, a, data)
    assert (ftd.root / "counts").read_bytes() == data


def test_session_killed(ftd):
    data = content(4 * MIB)
    with ftd.client() as c:
        a = ok(begin(c, "/killed", len(data), mtime_ns=1))
        ok(part(c, a["upload"], 0, data[:MIB]))
        c.sock.sendall(encode({"opt": "upload-part", "upload": a["upload"], "offset": MIB, "filesize": 3 * MIB}) +
                       data[MIB:2 * MIB])
        time.sleep(0.2)
        os.kill(ftd.sessions()[0]["pid"], signal.SIGKILL)
        assert c.at_end()
    with ftd.client() as c:
        a = ok(begin(c, "/killed", len(data), mtime_ns=1))
        assert a["ranges"][0][0] == 0 and a["ranges"][0][1] >= MIB
        finish(c, a, data)
    assert (ftd.root / "killed").read_bytes() == data


def test_daemon_restarted(ftd):
    data = content(2 * MIB)
    with ftd.client() as c:
        a = ok(begin(c, "/restart", len(data), mtime_ns=1))
        ok(part(c, a["upload"], 100, data[100:MIB]))
    ftd.stop()
    ftd.start()
    with ftd.client() as c:
        b = ok(begin(c, "/restart", len(data), upload=a["upload"]))
        assert b["ranges"] == [[100, MIB]] and b["upload"] != a["upload"]
        finish(c, b, data)
    assert (ftd.root / "restart").read_bytes() == data


def test_changed_source(ftd):
    data = content(MIB)
    with ftd.client() as c:
        a = ok(begin(c, "/changed", len(data), mtime_ns=1))
        ok(part(c, a["upload"], 0, data[:1000]))
        assert begin(c, "/changed", len(data), mtime_ns=2, upload=a["upload"])["code"] == "changed"
        b = ok(begin(c, "/changed", len(data), mtime_ns=2))
        assert b["ranges"] == [] and b["upload"][:33] != a["upload"][:33]
        # the older one has not suffered
        assert ok(c.ask({"opt": "upload-status", "upload": a["upload"]}))["ranges"] == [[0, 1000]]


def test_taken_over(ftd):
    data = content(4 * MIB)
    old, new = ftd.client(), ftd.client()
    old.hello()
    a = ok(begin(old, "/taken", len(data), mtime_ns=1))
    old.sock.sendall(encode({"opt": "upload-part", "upload": a["upload"], "offset": 0, "filesize": len(data)}) +
                     data[:MIB])
    until(ftd.transfers, PATIENCE, "the transfer")
    began = time.monotonic()
    b = ok(begin(new, "/taken", len(data), mtime_ns=1))
    assert time.monotonic() - began < 10
    assert missing(b["ranges"], len(data))[0][0] <= MIB
    assert old.answer()[0]["code"] == "taken_over"
    old.close()
    assert part(new, a["upload"], 0, b"x" * 10)["code"] == "taken_over"
    assert end(new, a["upload"], data)["code"] == "taken_over"
    finish(new, b, data)
    new.close()
    assert (ftd.root / "taken").read_bytes() == data


def test_parallel_parts(ftd):
    data = content(16 * MIB + 333)
    with ftd.client() as c:
        a = ok(begin(c, "/parallel", len(data)))
        step, errors = len(data) // 4 + 1, []

        def send(i):
            with ftd.client() as p:
                piece = data[i * step:(i + 1) * step]
                answer = part(p, a["upload"], i * step, piece, digest=digest(piece))
                if answer["status"] != "ok":
                    errors.append(answer)
        threads = [threading.Thread(target=send, args=(i,)) for i in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not errors
        ok(end(c, a["upload"], data))
    assert (ftd.root / "parallel").read_bytes() == data


def test_overlapping_part_waits(ftd):
    data = content(MIB)
    with ftd.client() as c, ftd.client() as other:
        a = ok(begin(c, "/overlap", len(data)))
        c.sock.sendall(encode({"opt": "upload-part", "upload": a["upload"], "offset": 0, "filesize": MIB}) + data[:10])
        until(ftd.transfers, PATIENCE, "the transfer")
        refused = part(other, a["upload"], 5, b"xyz")
        assert refused["code"] == "busy" and refused["retry_after_ms"] > 0
        assert end(other, a["upload"], data)["code"] == "busy"
        c.sock.sendall(data[10:])
        assert c.answer()[0]["ranges"] == [[0, MIB]]
        # of overlapping parts the later counts
        ok(part(other, a["upload"], 5, b"xyz"))
        ok(end(other, a["upload"], data[:5] + b"xyz" + data[8:]))
    assert (ftd.root / "overlap").read_bytes() == data[:5] + b"xyz" + data[8:]


@pytest.mark.parametrize("bad", ["", "u", "x" * 49, NOBODY, "u" + "A" * 48, "u" + "0" * 49, "u../../../../etc/passwd", 5, None,
                                 "u" + "0" * 47 + "\0"])
def test_bad_ids(ftd, bad):
    with ftd.client() as c:
        c.hello()
        for opt in ("upload-begin", "upload-end", "upload-status", "upload-abort"):
            assert c.ask({"opt": opt, "upload": bad, "filesize": 1})["code"] in ("upload_unknown", "bad_request")
        assert part(c, bad, 0, b"1")["code"] in ("upload_unknown", "bad_request")
        assert c.ask({"opt": "ping"})["status"] == "ok"


def test_too_many_ranges(ftd):
    with ftd.client() as c:
        a = ok(begin(c, "/ranges", 4000))
        for i in range(1000):
            answer = ok(part(c, a["upload"], 3 * i, b"x"))
        assert len(answer["ranges"]) == 1000
        assert part(c, a["upload"], 3500, b"x")["code"] == "bad_request"
        ok(part(c, a["upload"], 1, b"yy"))
        assert len(ok(part(c, a["upload"], 3500, b"x"))["ranges"]) == 1000


def test_unknown_length(ftd):
    data = content(MIB + 5)
    with ftd.client() as c:
        a = ok(begin(c, "/unknown", None, mtime_ns=3))
        answer = c.put_pieces({"opt": "upload-part", "upload": a["upload"], "offset": 0}, [data[:MIB], data[MIB:]], {})
        assert ok(answer)["ranges"] == [[0, len(data)]]
        assert c.ask({"opt": "upload-end", "upload": a["upload"]})["code"] == "bad_request"
        assert end(c, a["upload"], data[:-1])["code"] == "size_mismatch"
        ok(end(c, a["upload"], data))
    assert (ftd.root / "unknown").read_bytes() == data


def test_what_was_void_is_in_no_file(ftd):
    """It had made the content longer than it is to be."""
    data = content(1000)
    with ftd.client() as c:
        a = ok(begin(c, "/void", None, mtime_ns=3))
        request = {"opt": "upload-part", "upload": a["upload"], "offset": 0}
        void = c.put_pieces(request, [content(5000)], {"status": "error", "code": "cancelled"})
        assert void["code"] == "cancelled"
        assert ok(part(c, a["upload"], 0, data))["ranges"] == [[0, 1000]]
        assert ok(end(c, a["upload"], data))["filesize"] == 1000
    assert (ftd.root / "void").read_bytes() == data


def test_mismatches_stay_open(ftd):
    data = content(MIB)
    with ftd.client() as c:
        a = ok(begin(c, "/mismatch", len(data)))
        ok(part(c, a["upload"], 0, data[:-10]))
        refused = end(c, a["upload"], data)
        assert refused["code"] == "size_mismatch" and refused["ranges"] == [[0, MIB - 10]]
        ok(part(c, a["upload"], MIB - 10, b"x" * 10))
        assert end(c, a["upload"], data)["code"] == "digest_mismatch"
        # a part that is not what it says does not count, nor what was there
        assert part(c, a["upload"], MIB - 10, b"y" * 10, digest=digest(b"z"))["code"] == "digest_mismatch"
        piece = {"opt": "upload-part", "upload": a["upload"], "offset": 0, "filesize": 10}
        for announced, code in (({}, "bad_request"), ({"digest": "xxh3"}, "digest_mismatch")):
            assert c.put_pieces({**piece, **announced}, [data[:10]], {"digest": digest(b"z")})["code"] == code
        ok(c.put_pieces({**piece, "digest": "xxh3"}, [data[:10]], {"digest": digest(data[:10])}))
        assert ok(c.ask({"opt": "upload-status", "upload": a["upload"]}))["ranges"] == [[0, MIB - 10]]
        assert not (ftd.root / "mismatch").exists()
        ok(part(c, a["upload"], MIB - 10, data[-10:]))
        ok(end(c, a["upload"], data))
    assert (ftd.root / "mismatch").read_bytes() == data


def test_what_was_announced_holds(ftd):
    data = content(1000)
    with ftd.client() as c:
        a = ok(begin(c, "/announced", len(data), digest=digest(data)))
        ok(part(c, a["upload"], 0, data[:-1] + b"x"))
        for more in ({}, {"digest": "sha256"}):
            assert c.ask({"opt": "upload-end", "upload": a["upload"], **more})["code"] == "digest_mismatch"
        ok(part(c, a["upload"], 999, data[999:]))
        assert ok(c.ask({"opt": "upload-end", "upload": a["upload"]}))["digest"] == digest(data)


def test_holes(ftd):
    with ftd.client() as c:
        a = ok(begin(c, "/holes", 3 * MIB))
        ok(part(c, a["upload"], MIB, b"x" * 100))
        data = bytes(MIB) + b"x" * 100 + bytes(2 * MIB - 100)
        assert end(c, a["upload"], data)["code"] == "size_mismatch"
        ok(end(c, a["upload"], data, holes=True))
    assert (ftd.root / "holes").read_bytes() == data


def test_flipped_bit_is_found(ftd):
    data = content(BLOCK + MIB)
    with ftd.client() as c:
        a = ok(begin(c, "/flip", len(data), mtime_ns=1))
        ok(part(c, a["upload"], 0, data))
    (name,) = left_behind(ftd)
    with open(ftd.root / ".ftd/uploads" / name, "r+b") as f:
        f.seek(BLOCK + 5)
        f.write(bytes([data[BLOCK + 5] ^ 1]))
    with ftd.client() as c:
        a = ok(begin(c, "/flip", len(data), mtime_ns=1))
        assert end(c, a["upload"], data)["code"] == "digest_mismatch"
        _, sums, last = c.pieces({"opt": "upload-status", "upload": a["upload"], "blocks": True})
        assert last["digest"] == digest(sums)
        good = [xxhash.xxh3_128(data[i:i + BLOCK]).digest() for i in (0, BLOCK)]
        assert sums[:16] == good[0] and sums[16:] != good[1]
        ok(part(c, a["upload"], BLOCK, data[BLOCK:]))
        ok(end(c, a["upload"], data))
    assert (ftd.root / "flip").read_bytes() == data


def test_damaged_record_begins_anew(ftd):
    data = content(MIB)
    for damage in (0, 9000, 20000, 40000):
        with ftd.client() as c:
            a = ok(begin(c, "/record", len(data), mtime_ns=1))
            ok(part(c, a["upload"], 0, data[:1000]))
        (record,) = (ftd.root / ".ftd/uploads").glob("*.rec")
        with open(record, "r+b") as f:
            f.seek(damage)
            f.write(os.urandom(3000))
        with ftd.client() as c:
            b = ok(begin(c, "/record", len(data), mtime_ns=1))
            assert b["ranges"] in ([], [[0, 1000]])
            ok(c.ask({"opt": "upload-abort", "upload": b["upload"]}))
    assert left_behind(ftd) == [] and not (ftd.root / "record").exists()


def test_abort_and_name_in_the_way(ftd):
    with ftd.client() as c:
        a = ok(begin(c, "/gone", 10))
        ok(part(c, a["upload"], 0, b"12345"))
        ok(c.ask({"opt": "upload-abort", "upload": a["upload"]}))
        assert c.ask({"opt": "upload-status", "upload": a["upload"]})["code"] == "upload_unknown"
        assert left_behind(ftd) == []
        a = ok(begin(c, "/taken-name", 3, if_exists="fail"))
        ok(part(c, a["upload"], 0, b"abc"))
        ok(c.put("/taken-name", b"other"))
        refused = end(c, a["upload"], b"abc")
        assert refused["code"] == "exists" and refused["current"]["name"] == "taken-name"
        ok(c.ask({"opt": "remove", "filename": "/taken-name"}))
        ok(end(c, a["upload"], b"abc"))
    assert (ftd.root / "taken-name").read_bytes() == b"abc"


def test_other_users_ids(make_ftd):
    ftd = make_ftd({}, share={"anonymous": "anywhere"}, start=False)
    ftd.write_users(f"alice:{hashed('a')}", f"bob:{hashed('b')}")
    ftd.start()
    with ftd.client() as alice, ftd.client() as bob, ftd.client() as nobody:
        ok(alice.login("alice", "a"))
        ok(bob.login("bob", "b"))
        a = ok(begin(alice, "/hers", 10, mtime_ns=1))
        for other in (bob, nobody):
            assert other.ask({"opt": "upload-status", "upload": a["upload"]})["code"] == "upload_unknown"
            assert part(other, a["upload"], 0, b"1")["code"] == "upload_unknown"
            assert other.ask({"opt": "upload-abort", "upload": a["upload"]})["code"] == "upload_unknown"
            assert other.ask({"opt": "upload-begin", "upload": a["upload"]})["code"] == "upload_unknown"
            assert ok(other.ask({"opt": "upload-list"}))["uploads"] == []
            assert ok(begin(other, "/hers", 10, mtime_ns=1))["upload"][:33] != a["upload"][:33]
        (entry,) = ok(alice.ask({"opt": "upload-list"}))["uploads"]
        assert entry["upload"] == a["upload"] and entry["filename"] == "/hers" and entry["filesize"] == 10
        assert entry["held"] == 0


def test_expiry(make_ftd):
    ftd = make_ftd({"uploads": {"keep": "1h"}})
    with ftd.client() as c:
        old, young = ok(begin(c, "/old", 10)), ok(begin(c, "/young", 10))
        assert old["expires_s"] == 3600
    ftd.stop()
    records = {p.name: p for p in (ftd.root / ".ftd/uploads").glob("*.rec")}
    session = int(old["upload"][1:17], 16)
    (record,) = (p for n, p in records.items() if n.startswith(f"{session:016x}-"))
    os.utime(record, (time.time() - 4000,) * 2)
    ftd.start()
    until(lambda: len(left_behind(ftd)) == 1, PATIENCE, "the keeper")
    with ftd.client() as c:
        assert c.ask({"opt": "upload-status", "upload": old["upload"]})["code"] == "upload_unknown"
        ok(c.ask({"opt": "upload-status", "upload": young["upload"]}))
        # an id says when it was given
        aged = old["upload"][:33] + f"{int(time.time()) - 3700:08x}" + old["upload"][41:]
        for opt in ("upload-begin", "upload-status", "upload-end", "upload-abort"):
            assert c.ask({"opt": opt, "upload": aged, "filesize": 10})["code"] == "upload_expired"
        assert part(c, aged, 0, b"x")["code"] == "upload_expired"


def test_full_disk_keeps_what_is_held(make_ftd, tmp_path):
    root, data = tmp_path / "small", content(6 * MIB)
    root.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8M,mode=0777", "none", str(root)], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("file systems cannot be mounted here")
    try:
        (root / "filler").write_bytes(bytes(4 * MIB))
        ftd = make_ftd({"limits": {"free_space": "0"}}, share={"root": str(root)})
        with ftd.client() as c:
            c.hello()
            a = ok(begin(c, "/full", None, mtime_ns=1))
            answer = c.put_pieces({"opt": "upload-part", "upload": a["upload"], "offset": 0},
                                  [data[i:i + MIB] for i in range(0, len(data), MIB)], {})
            assert answer["code"] == "disk_full"
            (held,) = ok(c.ask({"opt": "upload-status", "upload": a["upload"]}))["ranges"]
            assert held[0] == 0 and held[1] >= MIB
            (root / "filler").unlink()
            ok(part(c, a["upload"], held[1], data[held[1]:]))
            ok(end(c, a["upload"], data))
        assert (root / "full").read_bytes() == data
        ftd.stop()
    finally:
        subprocess.run(["umount", "-l", str(root)], check=False)


def records(ftd):
    return sorted((ftd.root / ".ftd/uploads").glob("*.rec"))


def test_killed_between_name_and_receipt(ftd):
    """What a session leaves that is killed there: the record of the moment before, and the file under its name."""
    data = content(MIB)
    for kind, name in (("replace", "/named"), ("keep_both", "/named"), ("fail", "/fresh")):
        with ftd.client() as c:
            a = ok(begin(c, name, len(data), mtime_ns=7, if_exists=kind))
            ok(part(c, a["upload"], 0, data))
            receipt = ok(end(c, a["upload"], data))
            (record,) = records(ftd)
            unfinish(record)
            again = ok(end(c, a["upload"], data))
            assert again == receipt, kind
            assert ok(end(c, a["upload"], data)) == receipt
            # something else has the name now: nobody can tell any more
            unfinish(record)
            (ftd.root / receipt.get("filename", name)[1:]).write_bytes(b"other")
            assert end(c, a["upload"], data)["code"] == "upload_unknown"
        record.unlink()
    assert left_behind(ftd) == []


@pytest.mark.parametrize("receipt", [False, True], ids=["without a receipt", "with one"])
def test_killed_before_the_name(ftd, receipt):
    """The same, but the rename did not happen, or not for good: the power may be cut before a disk has it."""
    data = content(MIB)
    with ftd.client() as c:
        a = ok(begin(c, "/unnamed", len(data), mtime_ns=7))
        ok(part(c, a["upload"], 0, data))
        (name,) = left_behind(ftd)
        ok(end(c, a["upload"], data))
        (record,) = records(ftd)
        if not receipt:
            unfinish(record)
        (ftd.root / "unnamed").rename(ftd.root / ".ftd/uploads" / name)
        assert ok(c.ask({"opt": "upload-status", "upload": a["upload"]}))["ranges"] == [[0, len(data)]]
        b = ok(begin(c, "/unnamed", len(data), mtime_ns=7))
        assert b["ranges"] == [[0, len(data)]]
        ok(part(c, b["upload"], 5, b"xyz"))
        assert end(c, b["upload"], data)["code"] == "digest_mismatch"
        ok(part(c, b["upload"], 5, data[5:8]))
        ok(end(c, b["upload"], data))
    assert (ftd.root / "unnamed").read_bytes() == data


def unfinish(record):
    """Takes the newest checkpoint away, the receipt: what was written before it counts again."""
    raw = bytearray(record.read_bytes())
    newest = max((16384, 32768), key=lambda at: int.from_bytes(raw[at:at + 8], "little"))
    raw[newest] ^= 0xff
    record.write_bytes(raw)


def verifying(ftd, name):
    """The pid of the session that verifies it."""
    row = until(lambda: next((t for t in ftd.transfers() if t["path"] == name and t["state"] == "verifying"), None), PATIENCE,
                "the verifying")
    return next(s["pid"] for s in ftd.sessions() if s["id"] == row["session"])


def test_others_are_answered_while_it_is_verified(ftd):
    """Of an upload that is nearly all hole the digest takes its time."""
    size = 64 << 30
    with ftd.client() as c, ftd.client() as other:
        a = ok(begin(c, "/slow", None, mtime_ns=7))
        ok(part(c, a["upload"], 0, b"abc"))
        c.send({"opt": "upload-end", "upload": a["upload"], "filesize": size, "holes": True, "digest": "sha256"})
        pid = verifying(ftd, "/slow")
        os.kill(pid, signal.SIGSTOP)
        try:
            status = ok(other.ask({"opt": "upload-status", "upload": a["upload"]}))
            assert status["state"] == "verifying" and status["ranges"] == [[0, 3]]
            busy = part(other, a["upload"], 0, b"x")
            assert busy["code"] == "busy" and busy["retry_after_ms"] > 0
            busy = end(other, a["upload"], b"abc")
            assert busy["code"] == "busy" and busy["retry_after_ms"] > 0
        finally:
            os.kill(pid, signal.SIGCONT)
        b = ok(begin(other, "/slow", None, mtime_ns=7))
        assert c.answer()[0]["code"] == "taken_over"
        assert b["ranges"] == [[0, 3]]
        ok(end(other, b["upload"], b"abc"))
    assert (ftd.root / "slow").read_bytes() == b"abc"
