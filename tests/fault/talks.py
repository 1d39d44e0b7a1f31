"""All that a client says in one connection, and what it keeps of the answers: conversations for whatever may happen to a
connection."""
import itertools
import ssl

import resumable
import wire
from books import Books, state_of
from harness import PATIENCE
from resumable import MIB, begin, end, ok, part

SMALL = 12
LARGE = resumable.content(2 * MIB + 77)
TREE = sorted(f"file{i}" for i in range(60))


def whole(c, where, books):
    name = f"{where}/whole"
    books.begins(name, state_of(LARGE))
    ok(c.put(name, LARGE, parents=True, digest=wire.digest(LARGE)))
    books.acknowledged(name)


def in_pieces(c, where, books):
    name, pieces = f"{where}/pieces", [LARGE[i:i + MIB] for i in range(0, len(LARGE), MIB)]
    books.begins(name, state_of(LARGE))
    request = {"opt": "upload", "filename": name, "parents": True, "digest": "xxh3"}
    receipt = ok(c.put_pieces(request, pieces, {"digest": wire.digest(LARGE)}))
    assert receipt["digest"] == wire.digest(LARGE)
    books.acknowledged(name)


def in_parts(c, where, books):
    name, third = f"{where}/parts", len(LARGE) // 3 + 1
    books.begins(name, state_of(LARGE))
    begun = ok(begin(c, name, len(LARGE), mtime_ns=1, parents=True))
    for at in range(0, len(LARGE), third):
        ok(part(c, begun["upload"], at, LARGE[at:at + third]))
    ok(end(c, begun["upload"], LARGE))
    books.acknowledged(name)


def sent_ahead(c, where, books):
    names = {f"{where}/{i}": LARGE[i * 1000:i * 1300] for i in range(SMALL)}
    for name, data in names.items():
        books.begins(name, state_of(data))
    request = {"opt": "upload", "parents": True}
    frames = [wire.encode({**request, "filename": name, "filesize": len(data), "digest": wire.digest(data)}, data)
              for name, data in names.items()]
    c.sock.sendall(b"".join(frames))
    for name in names:
        ok(c.answer()[0])
        books.acknowledged(name)


def download(c, _, __):
    assert c.get("/served/large") == LARGE


def listing(c, _, __):
    assert sorted(c.names("/served/tree")) == TREE


CONVERSATIONS = (whole, in_pieces, in_parts, sent_ahead, download, listing)


def furnish(ftd):
    (ftd.root / "served/tree").mkdir(parents=True)
    (ftd.root / "served/large").write_bytes(LARGE)
    for name in TREE:
        (ftd.root / "served/tree" / name).write_bytes(b"")
    return ftd


class Talk:
    """One conversation over one connection after another."""
    numbers = itertools.count()

    def __init__(self, ftd, way, what, secure=False):
        self.ftd, self.way, self.what, self.secure, self.books, self.cuts = ftd, way, what, secure, Books(), 0

    def once(self, plan=None, timeout=20):
        """Whether it came to its end, and its connection."""
        self.where = f"/{self.what.__name__}{next(self.numbers)}"
        client, link = self.way.client(plan, timeout=timeout * PATIENCE)
        try:
            if self.secure:
                client.sock = wire.tls_context().wrap_socket(client.sock)
            client.hello()
            self.what(client, self.where, self.books)
            return True, link
        except (wire.Closed, ConnectionError, TimeoutError, ssl.SSLError):
            return False, link
        finally:
            client.close()

    def cut(self, plan, timeout=20):
        self.cuts += 1
        self.once(plan, timeout)
        if self.what is in_parts:
            self.goes_on()

    def goes_on(self):
        """Also while the session of the connection that was cut does not know it yet."""
        name = f"{self.where}/parts"
        if self.books.acknowledged_by_now().get(name):
            return
        self.books.begins(name, state_of(LARGE))
        with self.ftd.client() as c:
            try:
                resumable.resume(c, name, LARGE, mtime_ns=1, parents=True)
            except resumable.TakenOver:  # the one upload-begin of the connection that was cut was read after ours
                resumable.resume(c, name, LARGE, mtime_ns=1, parents=True)
        self.books.acknowledged(name)
