"""Transfers that stand still until a test lets them end, and what is on the boards meanwhile."""
import random

import wire
from harness import until

MB = 1_000_000
PAGE = 4096


class Upload:
    """An upload that waits for the rest of its content."""

    def __init__(self, ftd, name, size=6 * MB, sent=2 * MB, tls=False):
        self.ftd, self.name, self.sent = ftd, name, sent
        self.data = random.Random(name).randbytes(size)
        self.client = ftd.secure() if tls else ftd.client()
        self.client.send({"opt": "upload", "filename": f"/{name}", "filesize": size,
                          "digest": wire.digest(self.data)}, self.data[:sent])
        self.row = until(self.find, 10, "the transfer on the board")
        self.id, self.session = self.row["id"], self.row["session"]

    def find(self):
        return next((t for t in self.ftd.transfers() if t["path"] == f"/{self.name}" and t["offset"] >= self.sent), None)

    def finish(self):
        self.client.sock.sendall(self.data[self.sent:])
        answer = self.client.answer()[0]
        assert answer["status"] == "ok" and answer["digest"] == wire.digest(self.data), answer
        assert (self.ftd.root / self.name).read_bytes() == self.data


class Download:
    """A download that is read slowly."""

    def __init__(self, ftd, name, size=30 * MB, tls=False):
        self.ftd, self.name = ftd, name
        self.data = random.Random(name).randbytes(size)
        (ftd.root / name).write_bytes(self.data)
        self.client = ftd.secure() if tls else ftd.client()
        self.client.send({"opt": "download", "filename": f"/{name}"})
        self.row = until(self.find, 10, "the transfer on the board")
        self.id, self.session = self.row["id"], self.row["session"]

    def find(self):
        return next((t for t in self.ftd.transfers() if t["path"] == f"/{self.name}" and t["offset"] > 0), None)

    def finish(self):
        _, content, last = self.client.rest_of_pieces()
        assert last["status"] == "ok" and content == self.data


def some_of_each(ftd, count=2):
    kinds = [(kind, tls) for kind in (Upload, Download) for tls in (False, True)] * count
    return [kind(ftd, f"{kind.__name__.lower()}{i}", tls=tls) for i, (kind, tls) in enumerate(kinds)]


def pages(ftd, board):
    """The pages of the slots that are in use, by their number."""
    data = (ftd.control.parent / board).read_bytes()
    found = {i - 1: data[i * PAGE:(i + 1) * PAGE] for i in range(1, len(data) // PAGE)}
    return {i: page for i, page in found.items() if any(page)}


def no_ghosts(ftd):
    """Nobody is told of, and no slot is in use."""
    until(lambda: not ftd.sessions() and not pages(ftd, "orders"), 15, "the slots' return")
