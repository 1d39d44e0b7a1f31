"""Uploads of one request that are kept where they are cut, and uploads that begin with a file of the server."""
import xxhash

from harness import PATIENCE, until
from resumable import BLOCK, MIB, begin, content, end, finish, left_behind, ok, part
from wire import digest, encode


def test_base_counts_as_held(ftd):
    data = content(3 * BLOCK + 777)
    changed = data[:BLOCK + 5] + b"!" + data[BLOCK + 6:]
    (ftd.root / "old").write_bytes(data)
    with ftd.client() as c:
        # onto itself, longer and shorter than what is sent
        for base, name, size in (("/old", "/old", len(data)), ("/old", "/less", 2 * BLOCK + 9), ("/less", "/more", len(data))):
            a = ok(begin(c, name, size, mtime_ns=4, base=base))
            held = min(size, (ftd.root / base[1:]).stat().st_size)
            assert a["ranges"] == [[0, held]]
            _, sums, _ = c.pieces({"opt": "upload-status", "upload": a["upload"], "blocks": True})
            whole = held // BLOCK if held < size else -(-size // BLOCK)
            was = (ftd.root / base[1:]).read_bytes()
            for i in range(whole):
                assert sums[16 * i:16 * i + 16] == xxhash.xxh3_128(was[i * BLOCK:min((i + 1) * BLOCK, size)]).digest()
            ok(part(c, a["upload"], BLOCK, changed[BLOCK:2 * BLOCK]))
            a["ranges"] = ok(c.ask({"opt": "upload-status", "upload": a["upload"]}))["ranges"]
            finish(c, a, changed[:size])
            assert (ftd.root / name[1:]).read_bytes() == changed[:size]
            (ftd.root / "old").write_bytes(data)
    assert left_behind(ftd) == []


def test_base_is_looked_at_once(ftd):
    data = content(BLOCK)
    (ftd.root / "old").write_bytes(data)
    with ftd.client() as c:
        a = ok(begin(c, "/new", BLOCK, mtime_ns=4, base="/old"))
        ok(part(c, a["upload"], 0, b"new"))
        (ftd.root / "old").write_bytes(b"")
        b = ok(begin(c, "/new", BLOCK, mtime_ns=4, base="/old"))
        assert b["ranges"] == [[0, BLOCK]]
        finish(c, b, b"new" + data[3:])
    assert (ftd.root / "new").read_bytes() == b"new" + data[3:]


def test_base_that_is_none(ftd):
    (ftd.root / "directory").mkdir()
    with ftd.client() as c:
        c.hello()
        for base, code in (("/missing", "not_found"), ("/directory", "not_a_file"), ("/", "not_a_file"), ("/a/../b", "bad_name"),
                           ("/.ftd/uploads/x", "bad_name"), (5, "bad_request")):
            assert begin(c, "/new", 10, mtime_ns=4, base=base)["code"] == code, base
        assert left_behind(ftd) == [] and not list((ftd.root / ".ftd/uploads").glob("*"))
        assert begin(c, "/new", 10, need=["base"])["status"] == "ok"
        assert begin(c, "/new", 10, need=["to"])["code"] == "unsupported"


def test_base_must_be_readable(make_ftd):
    rules = [{"path": "/secret", "rights": "create"}, {"path": "/", "rights": "create,read,list,replace"}]
    ftd = make_ftd(start=False)
    (ftd.root / "secret").mkdir()
    ftd.write_conf({"shares": [{"path": "/", "root": str(ftd.root), "anonymous": "anywhere", "rules": rules}]})
    ftd.start()
    (ftd.root / "secret/file").write_bytes(b"0123456789")
    with ftd.client() as c:
        for base in ("/secret/file", "/secret/missing"):
            assert begin(c, "/new", 10, mtime_ns=4, base=base)["code"] == "permission"


def put_kept(ftd, name, data, at, **more):
    """Sends an upload with keep up to so many bytes of its content, and is gone when they have arrived."""
    with ftd.client() as c:
        c.sock.sendall(encode({"opt": "upload", "filename": name, "filesize": len(data), "keep": True, **more}) + data[:at])
        until(lambda: [t for t in ftd.transfers() if t["offset"] == at], PATIENCE, "the transfer")
    until(lambda: not ftd.sessions(), PATIENCE, "the end of the session")


def test_kept_where_it_is_cut(ftd):
    data = content(3 * MIB)
    put_kept(ftd, "/kept", data, MIB + 3, mtime_ns=9)
    assert not (ftd.root / "kept").exists()
    with ftd.client() as c:
        other = ok(begin(c, "/kept", len(data), mtime_ns=8))
        assert other["ranges"] == []
        ok(c.ask({"opt": "upload-abort", "upload": other["upload"]}))
        a = ok(begin(c, "/kept", len(data), mtime_ns=9))
        assert a["ranges"] == [[0, MIB + 3]]
        finish(c, a, data)
    assert (ftd.root / "kept").read_bytes() == data
    assert left_behind(ftd) == []


def test_kept_and_complete(ftd):
    data = content(2 * MIB + 1)
    with ftd.client() as c:
        c.hello()
        request = {"opt": "upload", "filename": "/kept", "filesize": len(data), "keep": True, "mtime_ns": 9, "mode": 0o600}
        receipt = ok(c.ask(request, data))
        assert receipt["digest"] == digest(data) and receipt["mtime_ns"] == 9
        again = ok(c.ask({**request, "expect": True, "digest": digest(data)}))
        assert again["unchanged"] is True
        # without a time and a digest it is an upload as any other
        ok(c.ask({"opt": "upload", "filename": "/plain", "filesize": 3, "keep": True}, b"abc"))
        ok(c.ask({"opt": "upload", "filename": "/need", "filesize": 3, "keep": True, "need": ["keep"]}, b"abc"))
        refused = c.ask({**request, "if_exists": "fail"}, data)
        assert refused["code"] == "exists" and refused["current"]["name"] == "kept"
    assert (ftd.root / "kept").read_bytes() == data
    assert left_behind(ftd) == []


def test_kept_is_sent_again_whole(ftd):
    data = content(2 * MIB)
    put_kept(ftd, "/again", b"x" * len(data), MIB, mtime_ns=9)
    with ftd.client() as c:
        ok(c.ask({"opt": "upload", "filename": "/again", "filesize": len(data), "keep": True, "mtime_ns": 9}, data))
    assert (ftd.root / "again").read_bytes() == data
    assert left_behind(ftd) == []


def test_kept_in_pieces_of_unknown_length(ftd):
    data = content(2 * MIB + 7)
    request = {"opt": "upload", "filename": "/pieces", "keep": True, "mtime_ns": 9, "filesize": None}
    with ftd.client() as c:
        c.sock.sendall(encode({**request, "more": True}) + encode({"body": MIB, "more": True}) + data[:MIB])
        c.sock.sendall(encode({"body": MIB, "more": True}) + data[MIB:MIB + 99])
        until(lambda: [t for t in ftd.transfers() if t["offset"] == MIB + 99], PATIENCE, "the transfer")
    until(lambda: not ftd.sessions(), PATIENCE, "the end of the session")
    with ftd.client() as c:
        a = ok(begin(c, "/pieces", None, mtime_ns=9))
        assert a["ranges"] == [[0, MIB + 99]]
        # what is sent again may be shorter
        ok(c.put_pieces(request, [data[:99]], {"digest": digest(data[:99])}))
        assert (ftd.root / "pieces").read_bytes() == data[:99]
        ok(c.put_pieces({**request, "mtime_ns": 10}, [data[:MIB], data[MIB:]], {"digest": digest(data)}))
    assert (ftd.root / "pieces").read_bytes() == data
    assert left_behind(ftd) == []


def test_kept_but_given_up(ftd):
    request = {"opt": "upload", "filename": "/up", "keep": True, "mtime_ns": 9}
    with ftd.client() as c:
        c.hello()
        answer = c.put_pieces(request, [b"abc"], {"status": "error", "code": "cancelled"})
        assert answer["code"] == "cancelled" and left_behind(ftd) == []
        # what is wrong somewhere is looked at block by block
        refused = c.ask({**request, "filesize": 3, "digest": digest(b"abc")}, b"abd")
        assert refused["code"] == "digest_mismatch" and not (ftd.root / "up").exists()
        a = ok(begin(c, "/up", 3, mtime_ns=9))
        assert a["ranges"] == [[0, 3]]
        ok(part(c, a["upload"], 2, b"c"))
        ok(end(c, a["upload"], b"abc"))
    assert (ftd.root / "up").read_bytes() == b"abc"


def test_kept_taken_over(ftd):
    data = content(4 * MIB)
    old, new = ftd.client(), ftd.client()
    old.hello()
    old.sock.sendall(encode({"opt": "upload", "filename": "/over", "filesize": len(data), "keep": True, "mtime_ns": 1}) +
                     data[:MIB])
    until(lambda: [t for t in ftd.transfers() if t["offset"] == MIB], PATIENCE, "the transfer")
    a = ok(begin(new, "/over", len(data), mtime_ns=1))
    assert a["ranges"] == [[0, MIB]]
    assert old.answer()[0]["code"] == "taken_over"
    old.close()
    finish(new, a, data)
    new.close()
    assert (ftd.root / "over").read_bytes() == data
