"""What lies on disk of a resumable upload, as somebody writes it who should not: bits that turned, and claims that are
wrong under a checksum that is right. A reading of the layout of its own (daemon/common/record.h)."""
import struct

import xxhash

HEAD, CLAIM, SLOT, SLOTS, SUMS = 8192, 8192, 16384, 16384, 49152
# field: (offset, bytes)
FIELDS = {
    "magic": (0, 8), "size": (8, 8), "mtime": (16, 8), "flags": (24, 4), "mode": (28, 4), "how": (32, 4),
    "algorithm": (36, 4), "digest": (40, 32), "etag": (72, 80), "user": (152, 40), "name": (192, 40), "head check": (HEAD - 8, 8),
    "claim": (CLAIM, 8), "sums": (SUMS, 16),
}
for _i in range(2):
    _at = SLOTS + _i * SLOT
    FIELDS.update({f"sequence {_i}": (_at, 8), f"done {_i}": (_at + 8, 4), f"count {_i}": (_at + 12, 4),
                   f"ranges {_i}": (_at + 16, 16), f"slot check {_i}": (_at + SLOT - 8, 8)})


def flip(path, offset, bit):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        if byte:
            file.seek(offset)
            file.write(bytes([byte[0] ^ 1 << bit]))


def seal(data):
    """With the checksum that belongs to it."""
    return data[:-8] + struct.pack("<Q", xxhash.xxh3_64_intdigest(data[:-8]))


def rewrite(path, at, length, change):
    """change(bytearray) of a part that has a checksum."""
    with open(path, "r+b") as file:
        file.seek(at)
        data = bytearray(file.read(length))
        change(data)
        file.seek(at)
        file.write(seal(bytes(data)))


def head(path, **fields):
    """Fields of the head, as bytes or numbers."""
    def change(data):
        for name, value in fields.items():
            at, length = FIELDS[name]
            data[at:at + length] = value.ljust(length, b"\0") if isinstance(value, bytes) else value.to_bytes(length, "little")
    rewrite(path, 0, HEAD, change)


def newer_slot(path):
    with open(path, "rb") as file:
        data = file.read()
    sequences = [struct.unpack_from("<Q", data, SLOTS + i * SLOT)[0] for i in range(2)]
    return SLOTS + sequences.index(max(sequences)) * SLOT


def ranges(path, pairs, sequence=None, count=None):
    """Claims that those are held."""
    def change(data):
        if sequence is not None:
            struct.pack_into("<Q", data, 0, sequence)
        struct.pack_into("<II", data, 8, 0, len(pairs) if count is None else count)
        for i, pair in enumerate(pairs):
            struct.pack_into("<QQ", data, 16 + 16 * i, *pair)
    rewrite(path, newer_slot(path), SLOT, change)


def receipt(path, text, length=None):
    """Claims that it was published, and what was answered."""
    def change(data):
        struct.pack_into("<II", data, 8, 1, len(text) if length is None else length)
        data[16:16 + len(text)] = text
    rewrite(path, newer_slot(path), SLOT, change)
