"""Digests at rest: what was noted when a file was written is what it is checked against, whoever changed the file."""
import os
import shutil

import pytest

import xxhash

from wire import digest

SIZE = 3 << 20
OLD = 1_000_000_000_000_000_007  # a time long ago, as files have that come from elsewhere


@pytest.fixture(name="ftd")
def emptied(shared_ftd):
    """One daemon for all; its share is empty."""
    yield shared_ftd
    for path in shared_ftd.root.iterdir():
        if path.name != ".ftd":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def content(seed=0, size=SIZE):
    return bytes([seed]) + os.urandom(size - 1)


def flip(path, at=SIZE // 2):
    """One bit, as a bad disk would."""
    was = os.stat(path)
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 4]))
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def change(path, at=SIZE // 2):
    """The same by somebody who means it."""
    flip(path, at)
    os.utime(path, ns=(OLD, os.stat(path).st_mtime_ns + 1))


def settle(path):
    """It was written long ago."""
    os.utime(path, ns=(OLD, OLD))


def is_found(client, name):
    """A download of a damaged file has the digest that it should have, so the receiver sees."""
    _, got, last = client.pieces({"opt": "download", "filename": name})
    assert last["status"] == "ok", last
    return last["digest"] != digest(got)


def is_fine(client, name, data):
    return client.get(name) == data


@pytest.mark.parametrize("size", [SIZE, 256 << 10])
def test_flipped_bits_are_found(ftd, scratch, size):
    data = content(size=size)
    with ftd.client() as client:
        receipt = client.put("/x", data)
        assert receipt["digest"] == digest(data)
        flip(ftd.root / "x", size - 1)
        assert is_found(client, "/x")
        done = ftd.ft("get", f"{ftd.url}/x", scratch / "x", check=False)
        assert done.returncode == 11, done
        assert os.listdir(scratch) == []
        # it is not stuck: what replaces it is another file
        assert client.put("/x", data)["status"] == "ok"
        assert is_fine(client, "/x", data)
    ftd.ft("get", f"{ftd.url}/x", scratch / "x")
    assert (scratch / "x").read_bytes() == data


def test_what_is_changed_on_purpose_is_another_content(ftd):
    with ftd.client() as client:
        client.put("/x", content(), mtime_ns=OLD)
        change(ftd.root / "x")
        assert is_fine(client, "/x", (ftd.root / "x").read_bytes())
        with open(ftd.root / "x", "ab") as f:
            f.write(b"more")
        settle(ftd.root / "x")
        assert is_fine(client, "/x", (ftd.root / "x").read_bytes())


@pytest.mark.parametrize("mode", [0o644, 0o444, 0])
def test_a_file_that_nobody_may_write_has_its_digest(ftd, mode):
    with ftd.client() as client:
        assert client.put("/x", content(), mode=mode)["status"] == "ok"
        assert os.stat(ftd.root / "x").st_mode & 0o7777 == mode
        os.chmod(ftd.root / "x", 0o644)
        flip(ftd.root / "x")
        assert is_found(client, "/x")


def test_the_digest_goes_where_the_file_goes(ftd):
    with ftd.client() as client:
        for name in ("/renamed", "/copied", "/set"):
            client.put("/x", content())
            flip(ftd.root / "x")
            how = {"/renamed": {"opt": "rename", "to": name}, "/copied": {"opt": "copy", "to": name},
                   "/set": {"opt": "set", "mtime_ns": OLD}}[name]
            assert client.ask({"filename": "/x", **how})["status"] == "ok"
            assert is_found(client, "/x" if name == "/set" else name), name


def test_a_file_that_replaces_one_has_its_own(ftd):
    with ftd.client() as client:
        first, second = content(1), content(2)
        client.put("/x", first, mtime_ns=OLD)
        client.put("/x", second, mtime_ns=OLD)
        assert is_fine(client, "/x", second)
        client.put("/y", first, mtime_ns=OLD)
        assert client.ask({"opt": "rename", "filename": "/y", "to": "/x", "if_exists": "replace"})["status"] == "ok"
        assert is_fine(client, "/x", first)


def test_the_old_time_set_again_does_not_bring_the_old_digest_back(ftd):
    with ftd.client() as client:
        client.put("/x", content(), mtime_ns=OLD)
        change(ftd.root / "x")
        assert client.ask({"opt": "set", "filename": "/x", "mtime_ns": OLD})["status"] == "ok"
        assert is_fine(client, "/x", (ftd.root / "x").read_bytes())


def test_a_whole_download_notes_what_it_has_read(ftd):
    data = content()
    (ftd.root / "x").write_bytes(data)
    settle(ftd.root / "x")
    with ftd.client() as client:
        client.pieces({"opt": "download", "filename": "/x", "offset": 1})
        client.pieces({"opt": "download", "filename": "/x", "length": SIZE - 1})
        flip(ftd.root / "x")
        assert not is_found(client, "/x")  # of parts nothing is noted
        flip(ftd.root / "x")
        assert is_found(client, "/x")


def test_a_tree_is_checked_as_well(ftd, scratch):
    data = content()
    with ftd.client() as client:
        client.put("/d/x", data, parents=True)
        client.put("/d/y", data)
        flip(ftd.root / "d/x")
    done = ftd.ft("get", "-r", f"{ftd.url}/d", scratch, check=False)
    assert done.returncode in (11, 15), done
    assert [p.name for p in scratch.rglob("*") if p.is_file()] == ["y"]


def test_over_tls(ftd):
    data = content()
    with ftd.secure() as client:
        client.put("/x", data)
        assert is_fine(client, "/x", data)
        flip(ftd.root / "x")
        assert is_found(client, "/x")


def test_a_file_cut_while_it_is_sent_is_void(ftd):
    """It goes out without being read: what is missing then is filled up and said to be void."""
    size = 64 << 20
    with ftd.connect(rcvbuf=1 << 16) as client:
        client.hello()
        with ftd.client() as other:
            other.put("/x", content(size=size))
        client.send({"opt": "download", "filename": "/x"})
        first = client.header()
        os.truncate(ftd.root / "x", 1 << 20)
        client.read(first["body"])
        last = first
        while last.get("more"):
            last, _ = client.answer()
        assert last["code"] == "changed", last


def test_holes_are_told_without_being_read(ftd):
    size = 64 << 20
    with open(ftd.root / "x", "wb") as f:
        f.truncate(size)
        f.write(b"begin")
        f.seek(size - 3)
        f.write(b"end")
    settle(ftd.root / "x")
    data = (ftd.root / "x").read_bytes()
    with ftd.client() as client:
        for holes in (False, True, True, False):
            assert client.get("/x", holes=holes) == data


# --- what is told, and what is read


def whole(client, name, **more):
    return client.ask({"opt": "digest", "filename": name, **more})


def blocks(data):
    step = 8 << 20
    raw = b"".join(xxhash.xxh3_128(data[at:at + step]).digest() for at in range(0, len(data), step))
    return "blocks:" + xxhash.xxh3_128(raw).hexdigest()


def in_parts(client, name, data):
    """A resumable upload; what is known of it afterwards is the digest of its blocks."""
    begun = client.ask({"opt": "upload-begin", "filename": name, "filesize": len(data), "mtime_ns": OLD})
    part = client.ask({"opt": "upload-part", "upload": begun["upload"], "offset": 0, "filesize": len(data)}, data)
    assert part["status"] == "ok", part
    done = client.ask({"opt": "upload-end", "upload": begun["upload"], "filesize": len(data), "digest": blocks(data)})
    assert done["status"] == "ok", done


def test_digests_are_told_where_they_are_known(ftd):
    data = content()
    with ftd.client() as client:
        client.put("/d/large", data, parents=True)
        client.put("/d/small", b"x")
        (ftd.root / "d/unknown").write_bytes(data)

        def told(**more):
            return {e["name"]: e.get("digest") for e in client.list("/d", **more)}

        assert told(digest="xxh3") == {"large": digest(data), "small": None, "unknown": None}
        assert set(told(digest="blocks").values()) == set(told().values()) == {None}
        assert client.ask({"opt": "stat", "filename": "/d/large", "digest": "xxh3"})["digest"] == digest(data)
        assert "digest" not in client.ask({"opt": "stat", "filename": "/d/large"})
        change(ftd.root / "d/large")
        assert set(told(digest="xxh3").values()) == {None}
        in_parts(client, "/d/parts", data)
        assert told(digest="blocks")["parts"] == blocks(data)


def test_a_download_has_the_digest_that_is_known(ftd, scratch):
    data = content()

    def asked(name, **more):
        """Which digest is announced, and what it is."""
        first, got, last = client.pieces({"opt": "download", "filename": name, "digest": "known", **more})
        assert got == data[more.get("offset", 0):]
        return first["digest"].split(":")[0], last["digest"]

    with ftd.client() as client:
        client.put("/whole", data)
        in_parts(client, "/parts", data)
        (ftd.root / "unknown").write_bytes(data)
        client.put("/small", b"x")
        assert asked("/whole") == asked("/unknown") == ("xxh3", digest(data))
        assert asked("/parts") == ("blocks", blocks(data))
        assert asked("/parts", offset=1) == ("xxh3", digest(data[1:]))
        assert client.ask({"opt": "download", "filename": "/none", "digest": "known"})["code"] == "not_found"
        for name in ("whole", "parts", "unknown", "small"):
            ftd.ft("get", f"{ftd.url}/{name}", scratch / name)
            assert (scratch / name).read_bytes() == (b"x" if name == "small" else data)
            (scratch / name).unlink()
        flip(ftd.root / "parts")
        assert ftd.ft("get", f"{ftd.url}/parts", scratch / "x", check=False).returncode == 11
        assert os.listdir(scratch) == []


def test_digests_are_for_who_may_read(make_ftd):
    ftd = make_ftd(share={"rights": "list,create"})
    with ftd.client() as client:
        client.put("/x", content())
        assert "digest" not in client.list("/", digest="xxh3")[0]
        assert "digest" not in client.ask({"opt": "stat", "filename": "/x", "digest": "xxh3"})


def test_a_known_digest_is_told_and_verify_reads(ftd):
    data = content()
    with ftd.client() as client:
        client.put("/x", data)
        assert whole(client, "/x")["digest"] == whole(client, "/x", verify=True)["digest"] == digest(data)
        assert whole(client, "/x", digest="blocks")["digest"] == blocks(data)  # read, and then noted as well
        flip(ftd.root / "x")
        for algorithm in ("xxh3", "blocks", "sha256"):
            assert whole(client, "/x", digest=algorithm, verify=True)["code"] == "digest_mismatch"
        assert whole(client, "/x")["digest"] == digest(data)  # what it should be
        assert whole(client, "/x", digest="sha256")["code"] == "digest_mismatch"
        damaged = (ftd.root / "x").read_bytes()
        assert whole(client, "/x", length=SIZE - 1)["digest"] == digest(damaged[:-1])  # what the disk has
        _, raw, _ = client.pieces({"opt": "digest", "filename": "/x", "block": 1 << 20})
        assert raw[16:32] == xxhash.xxh3_128(damaged[1 << 20:2 << 20]).digest()
        # who means it says so
        os.utime(ftd.root / "x")
        assert whole(client, "/x", verify=True)["digest"] == digest(damaged)
    ftd.told("its digest was noted of")


@pytest.mark.parametrize("put", [lambda c, data: c.put("/x", data), lambda c, data: in_parts(c, "/x", data)],
                         ids=["whole", "parts"])
def test_what_is_put_together_of_parts_is_compared_as_a_whole(ftd, scratch, put):
    """Each part is as the disk has it, and so is all that a first try has left."""
    data = content()
    with ftd.client() as client:
        put(client, data)
    ftd.ft("get", "-j", "2", f"{ftd.url}/x", scratch / "good")
    assert (scratch / "good").read_bytes() == data
    (scratch / "good").unlink()
    flip(ftd.root / "x", 100)
    damaged = (ftd.root / "x").read_bytes()
    done = ftd.ft("get", "-j", "2", f"{ftd.url}/x", scratch / "x", check=False)
    assert (done.returncode, os.listdir(scratch)) == (11, []), done
    for held in (SIZE, SIZE // 2):
        (scratch / ".ft-x.part").write_bytes(damaged[:held])
        done = ftd.ft("get", f"{ftd.url}/x", scratch / "x", check=False)
        assert (done.returncode, os.listdir(scratch)) == (11, []), done


def test_ft_sum_verifies(ftd, scratch):
    with ftd.client() as client:
        client.put("/x", content())
    told = ftd.ft("sum", f"{ftd.url}/x").stdout
    assert ftd.ft("sum", "--verify", f"{ftd.url}/x").stdout == told
    (scratch / "list").write_text(told)
    ftd.ft("sum", "-c", scratch / "list", ftd.url)
    flip(ftd.root / "x")
    assert ftd.ft("sum", f"{ftd.url}/x").stdout == told
    for how in (["--verify", f"{ftd.url}/x"], ["-c", scratch / "list", ftd.url]):
        assert ftd.ft("sum", *how, check=False).returncode == 11


def test_any_digest_that_is_known_finds_damage(ftd, scratch):
    """What was uploaded in parts has no xxh3; it is not made anew of a damaged content."""
    data = content()
    with ftd.client() as client:
        in_parts(client, "/x", data)
        flip(ftd.root / "x")
        for opt in ("download", "digest"):
            _, _, last = client.pieces({"opt": opt, "filename": "/x", "digest": "xxh3"})
            assert last["code"] == "digest_mismatch", (opt, last)
        done = ftd.ft("get", f"{ftd.url}/x", scratch / "x", check=False)
        assert done.returncode == 11, done
        assert os.listdir(scratch) == []
        flip(ftd.root / "x")
        assert is_fine(client, "/x", data)
        assert {"xxh3", "blocks"} == {a for a in ("xxh3", "blocks", "sha256")
                                      if client.list("/", digest=a)[0].get("digest")}


def test_an_upload_that_is_repeated_replaces_what_was_damaged(ftd):
    data = content()
    with ftd.client() as client:
        assert client.put("/x", data, mtime_ns=OLD)["status"] == "ok"
        flip(ftd.root / "x")
        request = {"opt": "upload", "filename": "/x", "filesize": SIZE, "expect": True, "digest": digest(data)}
        assert client.ask(request)["status"] == "continue"
        client.sock.sendall(data)
        assert client.answer()[0]["status"] == "ok"
        assert is_fine(client, "/x", data)
        assert client.ask(request)["unchanged"] is True


# --- where the file has no room for it


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give it up")
def test_a_file_of_somebody_else_has_its_digest_in_the_share(make_ftd):
    """The daemon may read it, and no more."""
    ftd = make_ftd(user="nobody")
    data = content()
    with ftd.client() as client:
        client.put("/x", b"so that there is a place for it")
        for name in "of-root", "other":
            (ftd.root / name).write_bytes(data)
            settle(ftd.root / name)
        assert is_fine(client, "/of-root", data)
        assert os.listxattr(ftd.root / "of-root") == []
        assert client.ask({"opt": "stat", "filename": "/of-root", "digest": "xxh3"})["digest"] == digest(data)
        flip(ftd.root / "of-root")
        assert is_found(client, "/of-root")
        # it is of this file, not of this name
        os.rename(ftd.root / "other", ftd.root / "of-root")
        assert "digest" not in client.ask({"opt": "stat", "filename": "/of-root", "digest": "xxh3"})
        assert is_fine(client, "/of-root", data)
        table = ftd.root / ".ftd/digests"
        assert os.stat(table).st_mode & 0o7777 == 0o600
        table.write_bytes(os.urandom(4 << 20))  # whatever is in there
        assert is_fine(client, "/of-root", data)
