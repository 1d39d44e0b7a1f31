"""A client of the wire and of the control socket, written from doc/PROTOCOL.md alone.

It shares nothing with the programs under test, and it can say what a good client never says.
"""
import ctypes
import hashlib
import json
import socket
import ssl
import struct

import xxhash

PREFIX = struct.Struct("<i")


def encode(header, body=b""):
    """One frame; header is an object or the raw bytes of one."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return PREFIX.pack(len(raw)) + raw + body


def digest(data, algorithm="xxh3"):
    """`algorithm:hex` of the bytes, as the protocol writes it."""
    make = {"xxh3": xxhash.xxh3_128, "sha256": hashlib.sha256}[algorithm]
    return f"{algorithm}:{make(data).hexdigest()}"


def tls_context(*alpn, oldest=ssl.TLSVersion.TLSv1_3, newest=ssl.TLSVersion.TLSv1_3, ca=None):
    """What a client speaks TLS with; without a CA file any certificate will do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if ca else ssl.CERT_NONE
    if ca:
        context.load_verify_locations(ca)
    context.minimum_version, context.maximum_version = oldest, newest
    context.set_alpn_protocols(list(alpn) or ["ftd/1"])
    return context


def tls_exporter(sock):
    """The 32 bytes that belong to this TLS connection alone (RFC 9266). Python's ssl has no name for them, so
    the library that it runs on is asked itself."""
    library = ctypes.CDLL("libssl.so.3")
    library.SSL_get_fd.argtypes = [ctypes.c_void_p]
    library.SSL_export_keying_material.argtypes = [
        ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p,
        ctypes.c_size_t, ctypes.c_int]
    # behind the head of the object: a reference to the socket, then the SSL
    ssl_pointer = ctypes.c_void_p.from_address(id(sock._sslobj) + object.__basicsize__ + 8).value
    assert library.SSL_get_fd(ssl_pointer) == sock.fileno(), "Python's ssl keeps its connection elsewhere"
    label, out = b"EXPORTER-Channel-Binding", ctypes.create_string_buffer(32)
    assert library.SSL_export_keying_material(ssl_pointer, out, 32, label, len(label), None, 0, 0) == 1
    return out.raw


class Closed(Exception):
    """The other side closed where a frame was expected."""


class Wire:
    """One connection. Methods that wait give up after the socket's timeout."""

    def __init__(self, sock, timeout=20):
        self.sock = sock
        self.sock.settimeout(timeout)
        self.buffer = bytearray()
        self.noise = []  # "working" and "notice" frames met on the way

    @classmethod
    def tcp(cls, port, host="127.0.0.1", timeout=20, rcvbuf=0, source=None):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if source:
            sock.bind((source, 0))
        sock.settimeout(timeout)
        sock.connect((host, port))
        return cls(sock, timeout)

    @classmethod
    def tls(cls, port, host="127.0.0.1", timeout=20, context=None, session=None, rcvbuf=0):
        plain = cls.tcp(port, host, timeout, rcvbuf)
        return cls((context or tls_context()).wrap_socket(plain.sock, session=session), timeout)

    @classmethod
    def unix(cls, path, timeout=20):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        sock.connect(path)
        return cls(sock, timeout)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- frames

    def send(self, header, body=b""):
        self.sock.sendall(encode(header, body))

    def read(self, n):
        """Exactly n bytes."""
        while len(self.buffer) < n:
            data = self.sock.recv(max(65536, min(n - len(self.buffer), 1 << 20)))
            if not data:
                raise Closed(bytes(self.buffer[:200]))
            self.buffer += data
        data = bytes(self.buffer[:n])
        del self.buffer[:n]
        return data

    def header(self):
        """The next header; its body is still to be read."""
        (length,) = PREFIX.unpack(self.read(4))
        assert 1 <= length <= 65536, f"the server sent a frame of {length} bytes"
        return json.loads(self.read(length))

    def frame(self):
        """The next frame whatever it is: (header, body)."""
        header = self.header()
        return header, self.read(header.get("body", 0))

    def answer(self):
        """The next frame that answers something."""
        while True:
            header, body = self.frame()
            if header.get("status") not in ("working", "notice"):
                return header, body
            self.noise.append(header)

    def ask(self, header, body=b""):
        """Sends one request and takes its one answer."""
        self.send(header, body)
        return self.answer()[0]

    def at_end(self):
        """True when the server has closed; a reset counts, a further frame does not."""
        try:
            return not self.buffer and self.sock.recv(1) == b""
        except ConnectionError:
            return True

    # --- conversations

    def hello(self):
        header = self.ask({"opt": "hello", "client": "tests", "version": [1]})
        assert header["status"] == "ok", header
        return header

    def login(self, user, password, **more):
        """The answer to a login with a password."""
        return self.ask({"opt": "login", "user": user, "password": password, **more})

    def login_key(self, user, key, exporter=None, **more):
        """The same with a key, which has .public and .sign()."""
        signed = b"ftd/1 login\0" + user.encode() + b"\0" + (exporter or tls_exporter(self.sock))
        return self.ask({"opt": "login", "user": user, "key": key.public.hex(),
                         "signature": key.sign(signed).hex(), **more})

    def put(self, name, data, **more):
        return self.ask({"opt": "upload", "filename": name, "filesize": len(data), **more}, data)

    def put_pieces(self, request, pieces, trailer):
        self.send({**request, "more": True})
        for piece in pieces:
            self.send({"more": True, "body": len(piece)}, piece)
        self.send(trailer)
        return self.answer()[0]

    def pieces(self, request):
        """An answer in pieces: (first header, all bytes, last header)."""
        self.send(request)
        return self.rest_of_pieces()

    def rest_of_pieces(self):
        first, content = None, bytearray()
        while True:
            header, body = self.answer()
            first = first or header
            content += body + bytes(header.get("hole", 0))
            if not header.get("more"):
                return first, bytes(content), header

    def get(self, name, **more):
        """The content of a file, its digest checked; an error frame raises AssertionError."""
        _, content, last = self.pieces({"opt": "download", "filename": name, **more})
        assert last["status"] == "ok", last
        assert last["digest"] == digest(content), last
        return content

    def list(self, name, **more):
        """All entries as a list; an error frame raises AssertionError."""
        self.send({"opt": "list", "filename": name, **more})
        entries = []
        while True:
            header, _ = self.answer()
            assert header["status"] == "ok", header
            entries += header.get("entries", [])
            if not header.get("more"):
                return entries

    def names(self, name, **more):
        """The names of list(), those in hex as bytes."""
        return {e["name"] if "name" in e else bytes.fromhex(e["name_hex"]) for e in self.list(name, **more)}


def datagram(port, payload=b'{"nonce":"tests"}', host="127.0.0.1", timeout=5):
    """One question to the UDP port: the reply as bytes; TimeoutError without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        sock.sendto(payload, (host, port))
        return sock.recv(2048)


def proxy_header(client, server="198.51.100.1", client_port=40000, server_port=8001, command=1, more=b""):
    """A PROXY header of version 2 that names client; None: no address (UNSPEC)."""
    if client is None:
        family, block = 0, b""
    elif ":" in client:
        family, pack = 0x21, lambda a: socket.inet_pton(socket.AF_INET6, a)
        block = pack(client) + pack("::1")
    else:
        family, block = 0x11, socket.inet_aton(client) + socket.inet_aton(server)
    if client is not None:
        block += struct.pack(">HH", client_port, server_port)
    block += more
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack(">BBH", 0x20 | command, family, len(block)) + block
