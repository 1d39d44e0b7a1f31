"""Resumable uploads as a client has them: what is held, what is missing, and how it goes on."""
import random

import xxhash

MIB = 1 << 20
BLOCK = 8 * MIB


def content(n, seed=1):
    return random.Random(seed).randbytes(n)


class TakenOver(AssertionError):
    """Another connection has begun the same upload since."""


def ok(answer):
    if answer.get("code") == "taken_over":
        raise TakenOver(answer)
    assert answer["status"] == "ok", answer
    return answer


def blocks(data):
    """The raw digest of each block."""
    return [xxhash.xxh3_128(data[i:i + BLOCK]).digest() for i in range(0, len(data), BLOCK)]


def blocks_digest(data):
    return "blocks:" + xxhash.xxh3_128(b"".join(blocks(data))).hexdigest()


def begin(c, name, size, **more):
    return c.ask({"opt": "upload-begin", "filename": name, "filesize": size, **more})


def part(c, upload, offset, data, **more):
    return c.ask({"opt": "upload-part", "upload": upload, "offset": offset, "filesize": len(data), **more}, data)


def end(c, upload, data, **more):
    return c.ask({"opt": "upload-end", "upload": upload, "filesize": len(data), "digest": blocks_digest(data), **more})


def missing(ranges, size):
    """What is not in the ranges, as (offset, end)."""
    at, gaps = 0, []
    for first, last in ranges:
        if first > at:
            gaps.append((at, first))
        at = last
    return gaps + [(at, size)] if at < size else gaps


def covered(wanted, ranges):
    return all(any(first <= a and b <= last for first, last in ranges) for a, b in wanted)


def left_behind(ftd):
    """Contents of unfinished uploads in the share's own directory."""
    uploads = ftd.root / ".ftd/uploads"
    return sorted(p.name for p in uploads.iterdir() if not p.name.endswith(".rec")) if uploads.exists() else []


def finish(c, answer, data):
    for first, last in missing(answer["ranges"], len(data)):
        ok(part(c, answer["upload"], first, data[first:last]))
    return ok(end(c, answer["upload"], data))


def differing(c, upload, data):
    """The blocks of which the disk has other content, or that it has not wholly: by their digests alone."""
    _, raw, last = c.pieces({"opt": "upload-status", "upload": upload, "blocks": True})
    ok(last)
    found = [raw[i:i + 16] for i in range(0, len(raw), 16)]
    return [i for i, good in enumerate(blocks(data)) if i >= len(found) or found[i] != good]


def resume(c, name, data, **more):
    """Goes on with the upload of that name as a careful client does: what differs is sent again, then the end. The
    receipt, and the answer of upload-begin."""
    begun = ok(begin(c, name, len(data), **more))
    for i in differing(c, begun["upload"], data):
        ok(part(c, begun["upload"], i * BLOCK, data[i * BLOCK:(i + 1) * BLOCK]))
    return ok(end(c, begun["upload"], data)), begun
