"""A way between a client and the daemon that does what networks do: it is cut after so many bytes, falls silent, is slow,
comes in crumbs, changes bits. Each connection goes as the plan says that holds when it is made."""
import dataclasses
import json
import select
import socket
import struct
import threading
import time

import wire

CHUNK = 64 << 10
PREFIX = 4


@dataclasses.dataclass
class Way:
    """One direction. Offsets count from the connection's first byte."""
    cut_after: int = None  # bytes that are let through, then:
    end: str = "close"  # or "reset", "drop" (silence, as if a cable were out)
    crumbs: int = CHUNK  # bytes sent at once at most
    delay: float = 0  # s between two crumbs
    flips: dict = dataclasses.field(default_factory=dict)  # offset: bits that are turned there


@dataclasses.dataclass
class Plan:
    up: Way = dataclasses.field(default_factory=Way)  # from the client
    down: Way = dataclasses.field(default_factory=Way)


class Link(threading.Thread):
    """One connection. What went through is in .up and .down, as it arrived."""

    def __init__(self, client, port, plan):
        super().__init__(daemon=True)
        self.client, self.plan, self.up, self.down = client, plan, bytearray(), bytearray()
        self.server = socket.create_connection(("127.0.0.1", port))
        for sock in (self.client, self.server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.released = threading.Event()

    def run(self):
        how = "close"
        try:
            how = self.carry()
        except OSError:  # one of them is gone
            pass
        if how == "drop":
            self.released.wait()
        for sock in (self.client, self.server):
            if how == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()

    def carry(self):
        """How the connection ends."""
        ways = {self.client: (self.server, self.plan.up, self.up), self.server: (self.client, self.plan.down, self.down)}
        while ways:
            for source in select.select(list(ways), [], [], 0.2)[0]:
                to, way, seen = ways[source]
                data = source.recv(CHUNK)
                if not data:
                    del ways[source]
                    to.shutdown(socket.SHUT_WR)
                elif not self.pass_on(to, way, seen, data):
                    return way.end
            if self.released.is_set():
                break
        return "close"

    @staticmethod
    def pass_on(to, way, seen, data):
        """False: that was all that goes this way."""
        rest = len(data) if way.cut_after is None else min(len(data), way.cut_after - len(seen))
        for at in range(0, rest, way.crumbs):
            piece = bytearray(data[at:min(at + way.crumbs, rest)])
            for offset, bits in way.flips.items():
                if len(seen) <= offset < len(seen) + len(piece):
                    piece[offset - len(seen)] ^= bits
            to.sendall(piece)
            seen += piece
            if way.delay:
                time.sleep(way.delay)
        return way.cut_after is None or len(seen) < way.cut_after


class Proxy:
    """Listens at .port; .links are the connections so far."""

    def __init__(self, port):
        self.to, self.plan, self.links, self.lock = port, Plan(), [], threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:  # closed
                return
            try:
                link = Link(client, self.to, self.plan)
            except OSError:  # the daemon is away
                client.close()
                continue
            self.links.append(link)
            link.start()

    def client(self, plan=None, **how):
        """A client over a connection that goes so, and that connection."""
        with self.lock:
            self.plan, before = plan or Plan(), len(self.links)
            client = wire.Wire.tcp(self.port, **how)
            while len(self.links) == before:  # the plan is read there
                time.sleep(0.0005)
            return client, self.links[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for link in self.links:
            link.released.set()
        for link in self.links:
            link.join(10)


# --- where frames end

def body_of(header):
    """How many bytes follow it."""
    if "body" in header:
        return header["body"]
    if header.get("opt") in ("upload", "upload-part") and not header.get("more"):
        return header["filesize"]
    return 0


def boundaries(stream):
    """The offsets behind each header and each body of what went one way."""
    found, at = [], 0
    while at < len(stream):
        length = struct.unpack_from("<i", stream, at)[0]
        header = json.loads(bytes(stream[at + PREFIX:at + PREFIX + length]))
        at += PREFIX + length
        found.append(at)
        at += body_of(header)
        found.append(at)
    assert at == len(stream), "the stream ends inside a frame"
    return sorted(set(found))


def records(stream):
    """The same of TLS."""
    found, at = [], 0
    while at < len(stream):
        at += 5 + struct.unpack_from(">H", stream, at + 3)[0]
        found.append(at)
    return found
