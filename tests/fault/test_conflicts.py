"""Several clients at one name: whoever is last counts, whole; who reads the old content reads it to its end or is told;
what a name was taken away from is published where the client said, or refused."""
import os
import threading

import pytest

import wire
from harness import until

MIB = 1 << 20
A, B, OLD = (os.urandom(MIB) * 24 for _ in range(3))


def begin(ftd, name, data, sent=8 * MIB, **more):
    """An upload that has come as far as that."""
    client = ftd.client()
    client.send({"opt": "upload", "filename": name, "filesize": len(data), **more}, data[:sent])
    until(lambda: any(t["path"] == name and t["offset"] >= sent for t in ftd.transfers()), 10, "the transfer")
    return client


def finish(client, data, sent=8 * MIB):
    client.sock.sendall(data[sent:])
    header = client.answer()[0]
    client.close()
    return header


@pytest.mark.parametrize("first_ends_first", [True, False], ids=["in order", "overtaken"])
def test_two_uploads_to_one_name(ftd, first_ends_first):
    one = begin(ftd, "/name", A)
    two = begin(ftd, "/name", B, sent=9 * MIB)
    order = [(one, A, 8 * MIB), (two, B, 9 * MIB)]
    for client, data, sent in order if first_ends_first else reversed(order):
        answer = finish(client, data, sent)
        assert answer["status"] == "ok" and answer["digest"] == wire.digest(data)
        assert (ftd.root / "name").read_bytes() == data


@pytest.mark.parametrize("code", ["exists", "changed"])
def test_the_slower_of_two_is_refused(ftd, code):
    how = {"if_exists": "fail"}
    if code == "changed":
        (ftd.root / "name").write_bytes(b"old")
        with ftd.client() as client:
            how = {"if_match": client.ask({"opt": "stat", "filename": "/name"})["etag"]}
    slow, fast = begin(ftd, "/name", A, **how), begin(ftd, "/name", B, sent=9 * MIB, **how)
    assert finish(fast, B, 9 * MIB)["status"] == "ok"
    answer = finish(slow, A)
    assert answer["code"] == code and answer["current"]["filesize"] == len(B)
    assert (ftd.root / "name").read_bytes() == B


def test_both_are_kept(ftd):
    clients = [begin(ftd, "/name.txt", A, if_exists="keep_both"), begin(ftd, "/name.txt", A, if_exists="keep_both")]
    answers = [finish(client, A) for client in clients]
    assert [a.get("filename") for a in answers] == [None, "/name (2).txt"]
    assert (ftd.root / "name.txt").read_bytes() == (ftd.root / "name (2).txt").read_bytes() == A


def test_many_at_once(ftd):
    """Content of exactly one of them at any time, and of one that was answered at the end."""
    contents = [bytes([i]) * 200_000 for i in range(8)]
    wrong, ends = [], threading.Event()

    def upload(data):
        with ftd.client() as client:
            for _ in range(30):
                if client.put("/name", data)["status"] != "ok":
                    wrong.append("an upload was refused")

    def read():
        with ftd.client() as client:
            while not ends.is_set():
                if client.get("/name") not in contents:
                    wrong.append("a mixture was read")

    with ftd.client() as client:
        client.put("/name", contents[0])
    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=upload, args=(data,)) for data in contents]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join(60)
    ends.set()
    reader.join(20)
    assert not wrong and (ftd.root / "name").read_bytes() in contents


@pytest.mark.parametrize("event", ["upload", "rename over", "remove", "rename away"])
def test_old_content_is_read_to_its_end(ftd, event):
    """What a name had when a download began is what comes, whatever happens to the name."""
    (ftd.root / "name").write_bytes(OLD)
    (ftd.root / "other").write_bytes(B)
    reader = ftd.client(rcvbuf=64 << 10)
    reader.send({"opt": "download", "filename": "/name"})
    header, body = reader.frame()
    with ftd.client() as client:
        if event == "upload":
            assert client.put("/name", A)["status"] == "ok"
        else:
            assert client.ask({
                "rename over": {"opt": "rename", "filename": "/other", "to": "/name", "if_exists": "replace"},
                "rename away": {"opt": "rename", "filename": "/name", "to": "/away"},
                "remove": {"opt": "remove", "filename": "/name"}}[event])["status"] == "ok"
    content = bytearray(body)
    while header.get("more"):
        header, body = reader.answer()
        content += body
    reader.close()
    assert header["status"] == "ok" and content == OLD and header["digest"] == wire.digest(OLD)
    found = (ftd.root / "name").read_bytes() if (ftd.root / "name").exists() else None
    assert found == {"upload": A, "rename over": B}.get(event)


def test_written_in_place_by_somebody_else(ftd):
    """Another program changes the file while it is read: the download is void, not a mixture."""
    (ftd.root / "name").write_bytes(OLD)
    reader = ftd.client(rcvbuf=64 << 10)
    reader.send({"opt": "download", "filename": "/name"})
    header, _ = reader.frame()
    with open(ftd.root / "name", "r+b") as file:
        file.truncate(len(OLD) // 2)
    while header.get("more"):
        header, _ = reader.answer()
    assert header["status"] == "error" and header["code"] == "changed"
    reader.close()


def test_removed_while_it_is_uploaded(ftd):
    (ftd.root / "name").write_bytes(b"old")
    upload = begin(ftd, "/name", A)
    with ftd.client() as client:
        assert client.ask({"opt": "remove", "filename": "/name"})["status"] == "ok"
    assert finish(upload, A)["status"] == "ok"
    assert (ftd.root / "name").read_bytes() == A


def test_directory_is_renamed_while_a_file_for_it_comes(ftd):
    """The file goes where its directory went: never elsewhere, never lost after an ok."""
    (ftd.root / "there").mkdir()
    upload = begin(ftd, "/there/name", A)
    with ftd.client() as client:
        assert client.ask({"opt": "rename", "filename": "/there", "to": "/moved"})["status"] == "ok"
    assert finish(upload, A)["status"] == "ok"
    assert (ftd.root / "moved/name").read_bytes() == A and not (ftd.root / "there").exists()


def test_directory_is_removed_while_a_file_for_it_comes(ftd):
    (ftd.root / "there").mkdir()
    upload = begin(ftd, "/there/name", A)
    with ftd.client() as client:
        assert client.ask({"opt": "remove", "filename": "/there"})["status"] == "ok"
    assert finish(upload, A)["code"] == "not_found"
    assert not (ftd.root / "there").exists() and not ftd.staged()


def test_directory_takes_the_name_of_an_upload(ftd):
    upload = begin(ftd, "/name", A)
    with ftd.client() as client:
        assert client.ask({"opt": "mkdir", "filename": "/name"})["status"] == "ok"
    assert finish(upload, A)["code"] == "not_a_file"
    assert (ftd.root / "name").is_dir() and not ftd.staged()
