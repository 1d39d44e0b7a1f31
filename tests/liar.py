"""A server that says what a test wants it to say, and the client run against it."""
import json
import socket
import subprocess
import threading

import pytest

import harness
from harness import PATIENCE, SANITIZED
from wire import encode


class Liar:
    """Answers hello truthfully, and everything else as the test says: answer(request, send) for each request."""

    def __init__(self, answer):
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ft://127.0.0.1:{self.listener.getsockname()[1]}"
        self.socks, self.requests = [], []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.socks.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        stream = sock.makefile("rb")

        def send(header, body=b"", raw=b""):
            if isinstance(header, dict) and "id" not in header and "id" in request:
                header = {"id": request["id"], **header}
            sock.sendall((encode(header, body) if header is not None else b"") + raw)

        try:
            while prefix := stream.read(4):
                request = json.loads(stream.read(int.from_bytes(prefix, "little")))
                request["content"] = stream.read(request.get("body", request.get("filesize") or 0)
                                                 if request.get("opt") == "upload" and not request.get("more")
                                                 else request.get("body", 0))
                self.requests.append(request)
                if request.get("opt") == "hello":
                    send({"status": "ok", "server": "liar", "version": 1})
                elif self.answer(request, send) is False:
                    break
        except OSError:
            pass
        finally:
            stream.close()
            sock.close()

    def close(self):
        self.listener.close()
        for sock in self.socks:
            sock.close()


@pytest.fixture
def liar():
    """A maker of servers that say what answer() says."""
    made = []

    def make(answer):
        made.append(Liar(answer))
        return made[-1]

    yield make
    for server in made:
        server.close()


def ft(*args, timeout=30, memory=200):
    """Exit status, output and errors; never a crash, never more MB of data than that."""
    limited = [] if SANITIZED else ["prlimit", f"--data={memory * 1_000_000}"]
    done = subprocess.run([str(a) for a in (*limited, harness.FT, *args)], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=timeout * PATIENCE, check=False)
    errors = done.stderr.decode(errors="surrogateescape")
    assert done.returncode >= 0 and "Sanitizer" not in errors and "runtime error" not in errors, errors
    return done.returncode, done.stdout, errors
