"""A proxy between a client and a server that cuts connections, and counts what it passes on."""
import socket
import threading
import time


class Cutter:
    """Passes bytes on to a server, and cuts each connection after some of them (down: to the client)."""

    def __init__(self, port, cuts, up=False, delay=0):
        self.target, self.cuts, self.up, self.delay = port, list(cuts), up, delay
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.connections, self.socks = self.listener.getsockname()[1], 0, []
        self.up_bytes, self.down_bytes, self.refuse = 0, 0, False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.refuse:
                client.close()
                continue
            budget = self.cuts.pop(0) if self.cuts else None
            server = socket.create_connection(("127.0.0.1", self.target))
            self.socks += [client, server]
            for up, a, b in ((True, client, server), (False, server, client)):
                n = budget if up == self.up else None
                threading.Thread(target=self._pass, args=(up, a, b, n, (client, server)), daemon=True).start()

    def _pass(self, up, a, b, budget, both):
        try:
            while data := a.recv(1 << 20):
                time.sleep(self.delay)
                if budget is not None and len(data) >= budget:
                    b.sendall(data[:budget])
                    self._count(up, budget)
                    break
                budget = budget - len(data) if budget is not None else None
                b.sendall(data)
                self._count(up, len(data))
        except OSError:
            pass
        for sock in both:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _count(self, up, n):
        with self.lock:
            if up:
                self.up_bytes += n
            else:
                self.down_bytes += n

    def cut_all(self):
        """Ends what is under way now."""
        for sock in list(self.socks):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.cut_all()
        for sock in self.socks:
            sock.close()

    def url(self, path):
        return f"ft://127.0.0.1:{self.port}{path}"
