"""A server that lies about what it holds: ft believes nothing, sends nothing for ever, and publishes nothing wrong."""
import pytest

from liar import ft, liar  # noqa: F401  (a fixture)
from wire import digest

MIB = 1 << 20
LARGE = 64 * MIB
ID = "u" + "0" * 48


@pytest.fixture
def large(tmp_path):
    with open(tmp_path / "large", "wb") as file:
        file.truncate(LARGE)
        file.write(b"begin")
    return tmp_path / "large"


def uploads(server):
    return [r["opt"] for r in server.requests if r.get("opt", "").startswith("upload")]


def script(**says):
    """Answers by operation; a part is answered behind its trailer."""
    def answer(request, send):
        opt = request.get("opt")
        if opt == "stat":
            send({"status": "error", "code": "not_found"})
        elif opt == "upload":
            send({"status": "error", "code": "permission"})
        elif opt is None and not request.get("more"):
            send(says.get("part", {"status": "ok", "ranges": [[0, LARGE]]}))
        elif opt == "upload-part" and "refuse" in says:
            send(says["refuse"])
        elif opt not in (None, "upload-part"):
            say = says.get(opt, {"status": "ok"})
            for header, body in say if isinstance(say, list) else [(say, b"")]:
                send({**header, **({"body": len(body)} if body else {})}, body)
    return answer


BEGUN = {"status": "ok", "upload": ID, "ranges": []}


@pytest.mark.parametrize("begun", [
    {"status": "ok"}, {"status": "ok", "upload": ID}, {"status": "ok", "ranges": []}, {**BEGUN, "upload": ""},
    {**BEGUN, "upload": "x" * 65}, {**BEGUN, "ranges": [[0, LARGE + 1]]}, {**BEGUN, "ranges": [[5, 4]]},
    {**BEGUN, "ranges": [[0, 9], [5, 12]]}, {**BEGUN, "ranges": [[0]]}, {**BEGUN, "ranges": {}},
    {**BEGUN, "ranges": [[2 * i, 2 * i + 1] for i in range(1001)]}, {**BEGUN, "ranges": [[0, 2**64]]}])
def test_beginnings_that_are_none(liar, large, begun):
    server = liar(script(**{"upload-begin": begun}))
    status, _, errors = ft("put", large, f"{server.url}/x")
    assert status == 12, errors
    assert uploads(server) == ["upload-begin"]


@pytest.mark.parametrize("frames", [
    [({"status": "ok", "more": True}, b"x" * 15), ({"status": "ok"}, b"")],
    [({"status": "ok", "more": True}, b"x" * 16 * 9), ({"status": "ok"}, b"")],
    [({"status": "ok", "more": True}, b"x" * 16 * 4)] * 3])
def test_block_digests_that_are_too_many(liar, large, frames):
    server = liar(script(**{"upload-begin": {**BEGUN, "ranges": [[0, LARGE]]}, "upload-status": frames}))
    status, _, errors = ft("put", large, f"{server.url}/x")
    assert status == 12, errors


def test_held_without_digests_is_not_believed(liar, large):
    """Blocks that nobody vouches for are sent."""
    server = liar(script(**{"upload-begin": {**BEGUN, "ranges": [[0, LARGE]]}}))
    ft("put", large, f"{server.url}/x")
    (part,) = [r for r in server.requests if r.get("opt") == "upload-part"]
    assert (part["offset"], part["filesize"]) == (0, LARGE)


@pytest.mark.parametrize("code, status", [("digest_mismatch", 11), ("size_mismatch", 11), ("upload_unknown", 6)])
def test_an_end_that_never_is_one(liar, large, code, status):
    server = liar(script(**{"upload-begin": BEGUN, "upload-end": {"status": "error", "code": code}}))
    got, _, errors = ft("put", "--retry-for", "30s", large, f"{server.url}/x")
    assert got == status, errors
    assert len(uploads(server)) < 20


def test_an_upload_that_is_never_known(liar, large):
    server = liar(script(**{"upload-begin": {"status": "error", "code": "upload_unknown"}}))
    status, _, errors = ft("put", "--retry-for", "30s", large, f"{server.url}/x")
    assert status == 6 and len(uploads(server)) < 20, errors


def test_what_is_taken_over_is_not_taken_back(liar, large):
    server = liar(script(**{"upload-begin": BEGUN, "refuse": {"status": "error", "code": "taken_over"}}))
    status, _, errors = ft("put", "--retry-for", "30s", large, f"{server.url}/x")
    assert status == 14, errors
    assert uploads(server) == ["upload-begin", "upload-part"]


def test_what_our_own_late_request_took_over_is_begun_again_once(liar, large):
    """A begin without an answer may be read late, and take over from the one that we sent after it. That excuses one
    taken_over; the next one is somebody else's."""
    begins = []

    def answer(request, send):
        if request.get("opt") == "upload-part":
            return send({"status": "error", "code": "taken_over"})
        if request.get("opt") != "upload-begin":
            return request.get("opt") is None or other(request, send)
        begins.append(request.get("upload"))
        return len(begins) > 1 and send(BEGUN)

    other = script()
    server = liar(answer)
    status, _, errors = ft("put", "--retry-for", "30s", large, f"{server.url}/x")
    assert status == 14, errors
    assert begins == [None, None, None] and uploads(server).count("upload-part") == 2


@pytest.mark.parametrize("unheard", [False, {"status": "error", "code": "busy", "retry_after_ms": 1}])
def test_an_id_that_our_own_request_made_void(liar, large, unheard):
    """The id that it would have made was not told: without one the upload is found again."""
    begins = []

    def answer(request, send):
        opt = request.get("opt")
        if opt == "upload-begin":
            begins.append(request.get("upload"))
            if len(begins) == 2:
                return unheard and send(unheard)
            return send({"status": "error", "code": "taken_over"} if len(begins) == 3 else BEGUN)
        if opt == "upload-part" and len(begins) == 1:
            return False
        return rest(request, send)

    rest = script(**{"upload-end": {"status": "error", "code": "permission"}})
    server = liar(answer)
    status, _, errors = ft("put", "--retry-for", "30s", large, f"{server.url}/x")
    assert begins == [None, ID, ID, None] and "upload-end" in uploads(server), (begins, errors)
    assert status == 6, errors


@pytest.mark.parametrize("receipt, status", [({"status": "continue"}, 12), ({"status": "ok", "digest": "blocks:" + "0" * 32}, 11)])
def test_a_receipt_for_something_else(liar, large, receipt, status):
    server = liar(script(**{"upload-begin": BEGUN, "upload-end": receipt}))
    got, _, errors = ft("put", large, f"{server.url}/x")
    assert got == status, errors


def test_a_server_that_cannot_resume_gets_the_whole(liar, large):
    def answer(request, send):
        opt = request.get("opt")
        if opt == "upload":
            send({"status": "continue"})
        elif opt is not None:
            send({"status": "error", "code": "not_found" if opt == "stat" else "unsupported"})
        elif "digest" in request:
            send({"status": "ok", "digest": request["digest"]})

    server = liar(answer)
    status, _, errors = ft("put", large, f"{server.url}/x")
    assert status == 0, errors
    assert uploads(server) == ["upload-begin", "upload"]


# --- downloads in ranges

def ranges(size, content, **entry):
    """stat tells a file of that size; each range is answered as content(offset, length) says."""
    facts = {"type": "file", "mtime_ns": 5, "mode": 0o644, "etag": "e", "filesize": size, **entry}

    def answer(request, send):
        if request.get("opt") == "stat":
            send({"status": "ok", **facts})
        elif request.get("opt") == "download":
            header, body = content(request.get("offset", 0), min(request.get("length", size), size - request.get("offset", 0)))
            send({"status": "ok", **facts, **header, "body": len(body)}, body)
    return answer


@pytest.mark.parametrize("content, status", [
    (lambda at, n: ({"digest": digest(b"x" * (n + 1))}, b"x" * (n + 1)), 12),
    (lambda at, n: ({"digest": digest(b"x" * (n - 1))}, b"x" * (n - 1)), 11),
    (lambda at, n: ({"digest": digest(b"x")}, b"x" * n), 11),
    (lambda at, n: ({}, b"x" * n), 12),
    (lambda at, n: ({"status": "error", "code": "changed"}, b""), 8)])
@pytest.mark.parametrize("connections", [1, 3])
def test_ranges_that_are_not_what_was_asked_for(liar, tmp_path, content, status, connections):
    size = MIB if connections == 1 else 3 * MIB
    server = liar(ranges(size, content))
    got, _, errors = ft("get", "-j", connections, f"{server.url}/x", tmp_path / "x")
    assert got == status, errors
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("args", [[], ["-j", "3"]])
def test_sizes_that_are_none(liar, tmp_path, args):
    """No memory is taken for what a server says only."""
    for size in (2**46 - 1, 2**50, 2**63 - 1):
        server = liar(ranges(size, lambda at, n: ({"digest": digest(b"x")}, b"x")))
        got, _, errors = ft("get", *args, f"{server.url}/x", tmp_path / "x")
        assert got in (11, 12), errors
        assert not (tmp_path / "x").exists()
