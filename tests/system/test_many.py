"""Many clients at once: everything arrives as it was, the totals are right to the byte, nothing stays."""
import os
import random
import threading
import time

import pytest
import xxhash

from harness import PATIENCE, SANITIZED, children, descriptors, until

FULL = os.environ.get("FTD_FULL") == "1"
CLIENTS = 200
SIZES = [0, 1, 4095, 4096, 65_536, 65_537, 262_144, 1_000_000, 1 << 20, (1 << 20) + 1, 4 << 20]
# 64 MiB for each where there is memory for it; else for a few.
LARGE = CLIENTS if FULL else 20


def content(size, seed):
    """Bytes that no other client has, chunk by chunk: two hundred whole files would not fit in memory."""
    block = random.Random(seed).randbytes(65_536)
    for start in range(0, size, len(block)):
        yield block[:size - start]


def digest_of(chunks):
    state = xxhash.xxh3_128()
    for chunk in chunks:
        state.update(chunk)
    return f"xxh3:{state.hexdigest()}"


def put(client, name, size, seed, digest):
    client.send({"opt": "upload", "filename": name, "filesize": size, "digest": digest})
    for chunk in content(size, seed):
        client.sock.sendall(chunk)
    answer = client.answer()[0]
    assert answer["status"] == "ok", answer
    return answer["digest"]


def received(client, name):
    """The content of a file, chunk by chunk."""
    client.send({"opt": "download", "filename": name})
    header = {"more": True}
    while header.get("more"):
        header = client.header()
        assert header["status"] in ("ok", "working"), header
        left = header.get("body", 0)
        while left:
            chunk = client.read(min(left, 65_536))
            left -= len(chunk)
            yield chunk


def one_client(ftd, number, gate, moved, failures):
    try:
        sizes = random.Random(number).sample(SIZES, 4) + ([64 << 20] if number < LARGE else [])
        gate.wait(60 * PATIENCE)
        with ftd.client(timeout=120 * PATIENCE) as client:
            for size in sizes:
                name, digest = f"/client-{number}-{size}", digest_of(content(size, number))
                assert put(client, name, size, number, digest) == digest
                assert digest_of(received(client, name)) == digest
                assert client.ask({"opt": "remove", "filename": name})["status"] == "ok"
                moved[number] += size
            assert client.ask({"opt": "quit"})["status"] == "ok"
    except Exception as error:  # noqa: BLE001  (told below, with the number)
        failures.append((number, repr(error)))


def many(ftd, clients):
    gate, moved, failures = threading.Barrier(clients), [0] * clients, []
    threads = [threading.Thread(target=one_client, args=(ftd, n, gate, moved, failures)) for n in range(clients)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300 * PATIENCE)
    assert not failures
    print(f"{clients} clients, {sum(moved) / 1e6:.0f} MB each way, {time.monotonic() - begin:.1f} s")
    return sum(moved)


def nothing_stays(ftd, before):
    until(lambda: not ftd.sessions(), 15, "the end of all sessions")
    until(lambda: len(children(ftd.pid)) == before[0], 15, "the end of all session processes")
    until(lambda: descriptors(ftd.pid) <= before[1], 15, "the return of all descriptors")
    assert not ftd.staged()


def test_a_few(ftd):
    before = len(children(ftd.pid)), descriptors(ftd.pid)
    many(ftd, 8)
    nothing_stays(ftd, before)


@pytest.mark.heavy
@pytest.mark.skipif(SANITIZED, reason="too much for a build with sanitizers")
def test_two_hundred(ftd):
    before = len(children(ftd.pid)), descriptors(ftd.pid)
    total = many(ftd, CLIENTS)
    nothing_stays(ftd, before)
    status = ftd.ftctl("status", json_out=True)
    assert (status["bytes_in_total"], status["bytes_out_total"]) == (total, total)
    files = 4 * CLIENTS + LARGE
    assert (status["uploads_total"], status["downloads_total"], status["failed_total"]) == (files, files, 0)
    assert (status["sessions"], status["transfers"]) == (0, 0)
    assert status["sessions_total"] >= CLIENTS
