"""A server that lies to the client: nothing outside the destination, no memory without bound, no crash."""
import os
import socket
import threading

import pytest

from harness import SANITIZED
from liar import ft, liar  # noqa: F401  (a fixture)
from wire import digest, encode

MIB = 1 << 20
FILE = {"type": "file", "mtime_ns": 10**18, "mode": 0o644, "etag": "e"}


@pytest.fixture
def place(tmp_path):
    """A destination with something beside it that must stay as it is."""
    (tmp_path / "outside").write_text("mine")
    (tmp_path / "dst").mkdir()
    return tmp_path / "dst"


def untouched(place):
    assert (place.parent / "outside").read_text() == "mine"
    assert sorted(os.listdir(place.parent)) == ["dst", "outside"]


def tree_of(*frames):
    """An answer function: stat says a directory, download-tree sends the frames and ends."""

    def answer(request, send):
        if request["opt"] == "stat":
            send({"status": "ok", "name": "t", "type": "dir", "filesize": 0, "mtime_ns": 0, "mode": 0o755, "etag": "e"})
        elif request["opt"] == "download-tree":
            for header, body in frames:
                send({"status": "ok", "more": True, **header, **({"body": len(body)} if body else {})}, body)
            send({"status": "ok", "entries": len(frames), "bytes": 0, "errors": 0})
        else:
            send({"status": "error", "code": "unsupported"})

    return answer


def file_frame(name, content=b"evil", **more):
    key = {"name_hex": name.hex()} if isinstance(name, bytes) else {"name": name}
    return {**FILE, **key, "filesize": len(content), "digest": digest(content), **more}, content


BAD_NAMES = ["..", ".", "../x", "a/../../x", "/abs", "/", "", "a//b", "a/", "./a", "../outside", "a/..", ".ftd", ".ftd-x",
             "a/.ftd/b", "x" * 256, b"nul\x00here", b"..", b"../\xff"]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("kind", ["file", "dir"])
def test_names_that_lead_out(liar, place, name, kind):
    header, body = file_frame(name)
    if kind == "dir":
        header, body = {**header, "type": "dir", "filesize": 0}, b""
        del header["digest"]
    server = liar(tree_of((header, body), file_frame("good", b"good")))
    status, _, errors = ft("get", "-r", f"{server.url}/t", place)
    assert status in (12, 15), errors
    assert (place / "t/good").read_text() == "good"
    assert [p.name for p in place.rglob("*") if p.is_file()] == ["good"]
    untouched(place)


def test_a_name_longer_than_any_path(liar, place):
    server = liar(tree_of(file_frame("/".join(["d" * 200] * 21))))
    assert ft("get", "-r", f"{server.url}/t", place)[0] == 12
    assert os.listdir(place / "t") == []


def test_a_file_in_place_of_a_directory_and_back(liar, place):
    server = liar(tree_of(file_frame("a"), file_frame("a/b"), file_frame("c/d"), file_frame("c")))
    status, _, _ = ft("get", "-r", f"{server.url}/t", place)
    assert status == 15
    assert (place / "t/a").is_file() and (place / "t/c/d").is_file()
    untouched(place)


def test_links_are_never_made_nor_followed(liar, place):
    link = {**FILE, "type": "link", "filesize": 0, "name": "link", "target": "../../outside"}
    (place / "t").mkdir()
    (place / "t/planted").symlink_to("..")
    (place / "t/leaf").symlink_to("../../outside")
    server = liar(tree_of((link, b""), file_frame("link/x"), file_frame("planted/x"), file_frame("planted/outside"),
                          file_frame("leaf", b"new")))
    ft("get", "-r", f"{server.url}/t", place)
    assert not (place / "t/link").is_symlink()
    assert not (place / "x").exists() and not (place / "outside").exists()
    assert not (place / "t/leaf").is_symlink() and (place / "t/leaf").read_text() == "new"
    untouched(place)


def test_set_id_bits_and_foreign_types_do_not_arrive(liar, place):
    server = liar(tree_of(file_frame("s", mode=0o6777), ({**FILE, "type": "device", "name": "null", "filesize": 0}, b"")))
    status, _, errors = ft("get", "-r", f"{server.url}/t", place)
    assert status == 0, errors
    assert (place / "t/s").stat().st_mode & 0o7022 == 0
    assert not (place / "t/null").exists()


@pytest.mark.parametrize("answer, status", [
    ({**FILE, "filesize": 4, "digest": digest(b"good")}, 11),
    ({**FILE, "filesize": 4, "digest": digest(b"evil", "sha256")}, 12),
    ({**FILE, "filesize": 4, "digest": "xxh3"}, 12),
    ({**FILE, "filesize": 4}, 12),
    ({**FILE, "filesize": 3, "digest": digest(b"evil")}, 12),
    ({**FILE, "filesize": 5, "digest": digest(b"evil")}, 11),
    ({**FILE, "filesize": 0, "digest": digest(b"evil")}, 12),
    ({**FILE, "filesize": -1, "digest": digest(b"evil")}, 12),
    ({**FILE, "filesize": "4", "digest": digest(b"evil")}, 12),
    ({**FILE, "filesize": 4, "digest": digest(b"evil"), "hole": 1}, 12),
    ({**FILE, "filesize": 4, "digest": digest(b"evil"), "hole": (1 << 63) - 1}, 12),
])
def test_content_that_is_not_what_was_promised(liar, place, answer, status):
    server = liar(lambda request, send: send({"status": "ok", "body": 4, **answer}, b"evil"))
    got, _, errors = ft("get", f"{server.url}/x", place)
    assert got == status, errors
    assert not (place / "x").exists()
    status, out, _ = ft("cat", f"{server.url}/x")
    assert status == got


@pytest.mark.parametrize("raw", [
    b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x01\x00\x01\x00", b"\x7f\xff\xff\xff", b"HTTP/1.1 200 OK\r\n\r\n",
    encode(b"[]"), encode(b"{"), encode(b'{"status":"ok","status":"ok"}'), encode(b'{"status":' * 20), encode(b"\xff"),
    encode({"status": "ok", "body": 65 * MIB}), encode({"status": "ok", "body": 1.5}), encode({}),
    encode({"status": "ok", "id": 999_999, "body": 0}), encode({"status": "maybe"}), encode({"status": 7}),
    encode(b"{" + b" " * 65_000 + b"}"),
])
@pytest.mark.parametrize("command", ["ls", "stat", "cat", "sum", "df", "get", "get -r", "mkdir", "put"])
def test_frames_that_are_none(liar, place, raw, command):
    server = liar(lambda request, send: send(None, raw=raw))
    source = [place.parent / "outside"] if command == "put" else []
    status, _, errors = ft(*command.split(), *source, f"{server.url}/x", *([place] if "get" in command else []))
    assert status == 12, errors
    untouched(place)


@pytest.mark.parametrize("cut", [0, 1, 3, 4, 5, 40, 150])
def test_frames_that_end_early(liar, place, cut):
    frame = encode({"status": "ok", "id": 2, **FILE, "filesize": 40, "body": 40, "digest": digest(b"x" * 40)}) + b"x" * 20

    def answer(request, send):
        send(None, raw=frame[:cut])
        return False

    server = liar(answer)
    status, _, errors = ft("get", f"{server.url}/x", place)
    assert status == 10, errors
    assert not (place / "x").exists()


def test_entries_without_end(liar, place):
    page = [{"name": f"n{i}" + "x" * 200, **FILE, "filesize": 1} for i in range(200)]

    def answer(request, send):
        for _ in range(200 if SANITIZED else 2000):  # 400,000 entries, 100 MB of text
            send({"status": "ok", "more": True, "entries": page})
        send({"status": "error", "code": "internal"})

    status, _, errors = ft("ls", liar(answer).url, timeout=300, memory=800)
    assert status == 15, errors


def test_directories_without_end_do_not_fill_the_memory(liar, place):
    def answer(request, send):
        if request["opt"] == "stat":
            return send({"status": "ok", "name": "t", **FILE, "type": "dir", "filesize": 0})
        for i in range(20_000):
            send({"status": "ok", "more": True, "name": f"d{i % 10}", **FILE, "type": "dir", "filesize": 0})
        return False

    status, _, _ = ft("get", "-r", f"{liar(answer).url}/t", place)
    assert status == 10


def test_a_listing_longer_than_asked_for(liar, place):
    def answer(request, send):
        if request["opt"] == "stat":
            return send({"status": "ok", "name": "t", **FILE, "type": "dir", "filesize": 0})
        for _ in range(20):
            send({"status": "ok", "more": True, "entries": [{"name": "n", **FILE, "filesize": 0}] * 100})
        return send({"status": "ok", "entries": []})

    server = liar(answer)
    assert ft("get", "-r", "--exclude", "z", f"{server.url}/t", place)[0] == 12


@pytest.mark.parametrize("name", ["../outside", "/abs", ".ftd", "a/../../b"])
def test_names_of_a_listing_that_lead_out(liar, place, name):
    def answer(request, send):
        if request["opt"] == "stat":
            send({"status": "ok", "name": "t", **FILE, "type": "dir", "filesize": 0})
        elif request["opt"] == "list":
            send({"status": "ok", "entries": [{"name": name, **FILE, "filesize": 4}]})
        else:
            send({"status": "ok", "body": 4, "filesize": 4, "digest": digest(b"evil"), **FILE}, b"evil")

    server = liar(answer)
    status, _, errors = ft("get", "-r", "--exclude", "z", f"{server.url}/t", place)
    assert status == 12, errors
    assert not any(r["opt"] == "download" for r in server.requests)
    untouched(place)


def test_control_characters_do_not_reach_the_screen(liar, place):
    evil = "\x1b]0;title\x07\x1b[2J\r\n\x9b31m"
    server = liar(lambda request, send: send({"status": "error", "code": evil[:60], "message": evil}))
    for command in (["ls", server.url], ["get", f"{server.url}/x", place], ["mkdir", f"{server.url}/x"]):
        status, out, errors = ft(*command)
        assert status == 1
        assert not set("\x1b\x07\r\x9b") & set(errors) and errors.count("\n") == 1
    listing = {"status": "ok", "entries": [{"name": evil, **FILE, "filesize": 1, "etag": evil}]}
    server = liar(lambda request, send: send(listing))
    for options in ([], ["-l"], ["-R"], ["--json"]):
        _, out, errors = ft("ls", *options, server.url)
        assert not set(b"\x1b\x07\r") & set(out + errors.encode()) and out.count(b"\n") == 1
    notice = {"status": "notice", "message": evil}

    def with_notice(request, send):
        send(notice)
        send({"status": "ok", "name": evil, **FILE, "filesize": 1})

    _, out, errors = ft("stat", f"{liar(with_notice).url}/x")
    assert not set(b"\x1b\x07\r") & set(out + errors.encode())


def test_receipts_for_something_else(liar, place):
    source = place.parent / "outside"
    server = liar(lambda request, send: send({"status": "ok", "filesize": 4, "digest": digest(b"else")}))
    assert ft("put", source, f"{server.url}/")[0] == 11
    server = liar(lambda request, send: send({"status": "continue"}))
    assert ft("put", source, f"{server.url}/")[0] == 12


def test_an_early_yes_to_a_large_upload(liar, place):
    large = place / "large"
    large.write_bytes(bytes(range(256)) * 4096 * 8)
    answered = []

    def answer(request, send):
        if request.get("opt") == "upload":
            send({"status": "ok", "filesize": 8 * MIB})
            answered.append(1)

    assert ft("put", large, f"{liar(answer).url}/")[0] == 12
    assert answered


@pytest.mark.parametrize("refusal", [{"code": "busy"}, {"code": "busy", "retry_after_ms": 1}, {"code": "quota_exceeded", "close": True},
                                     {"code": "draining", "close": True, "retry_after_ms": 1}])
def test_a_refusal_and_a_reset_in_the_middle_of_an_upload(liar, place, refusal):
    large = place / "large"
    large.write_bytes(bytes(range(256)) * 4096 * 16)

    def answer(request, send):
        if request.get("opt") == "upload":
            send({"status": "error", **refusal})
            return False

    for options in ([], ["--retry-for", "2s"]):
        status, _, errors = ft("put", *options, large, large, f"{liar(answer).url}/")
        assert status in (9, 10, 14) and errors.count("\n") < 8, errors


def test_block_digests_that_lie(liar, place):
    (place / ".ft-x.part").write_bytes(b"held")
    for blocks in (b"", b"\0" * 15, b"\0" * 32, b"\0" * 16 * 1000):
        def answer(request, send):
            if request["opt"] == "digest":
                send({"status": "ok", "body": len(blocks)}, blocks)
            elif request["opt"] == "stat":
                send({"status": "ok", **FILE, "filesize": 4})
            else:
                send({"status": "ok", "body": 4, **FILE, "filesize": 4, "digest": digest(b"good")}, b"good")

        status, _, errors = ft("get", f"{liar(answer).url}/x", place)
        assert status == 12, errors
        assert not (place / "x").exists()


@pytest.mark.parametrize("after", ["", "x" * 40_000])
def test_pages_without_progress(liar, place, after):
    def answer(request, send):
        if request["opt"] == "stat":
            send({"status": "ok", "name": "t", **FILE, "type": "dir", "filesize": 0})
        else:
            send({"status": "ok", "entries": [], "after": after})

    status, _, _ = ft("get", "-r", "--exclude", "z", f"{liar(answer).url}/t", place)
    assert status == (12 if after else 0)


def test_a_server_that_always_wants_another_try(liar, place):
    server = liar(lambda request, send: send({"status": "error", "code": "busy", "retry_after_ms": 1}))
    (place / "f").write_text("f")
    for command in (["put", place / "f", server.url], ["get", f"{server.url}/x", place], ["ls", server.url]):
        assert ft(*command)[0] == 14
        assert ft(*command, "--retry-for", "2s")[0] == 14


@pytest.mark.parametrize("reply", [b"", b"{}", b"null", b'{"status":"ready"}', b'{"nonce":"x","status":"ready"}',
                                   b'{"status":' * 100, b"\xff" * 1400])
def test_status_replies_that_are_none(reply):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)

        def serve():
            try:
                while True:
                    _, peer = sock.recvfrom(2048)
                    for _ in range(5):
                        sock.sendto(reply, peer)
            except OSError:
                pass

        threading.Thread(target=serve, daemon=True).start()
        status, out, _ = ft("ping", "--timeout", "700ms", f"127.0.0.1:{sock.getsockname()[1]}")
        assert (status, out) == (3, b"")
