"""Twenty thousand requests written ahead by one who does not read: the session stays small."""
import threading
import time

from harness import SANITIZED, descriptors, private_kb, served, until
import wire


def test_requests_written_ahead(ftd):
    ftd.root.joinpath("d").mkdir()
    for i in range(200):
        ftd.root.joinpath("d", "n" * 200 + str(i)).touch()
    request = wire.encode({"opt": "list", "filename": "/d"})
    with ftd.client(rcvbuf=4096) as client:
        client.list("/")
        (session,) = ftd.sessions()
        client.sock.setblocking(False)
        sent, end, largest = 0, time.monotonic() + 8, 0
        data = memoryview(request * 20_000)
        while sent < len(data) and time.monotonic() < end:
            try:
                sent += client.sock.send(data[sent:sent + 65536])
            except BlockingIOError:
                time.sleep(0.05)
            largest = max(largest, private_kb(session["pid"]))
        served(ftd)
        print(f"{sent // len(request)} requests taken, {largest} kB private at most")
        # 1 MiB unread answers, 256 KiB read ahead, and room for the work itself
        if not SANITIZED:
            assert largest < 4096
    until(lambda: not ftd.sessions(), 20, "the session's end")


def test_reading_late_still_gets_everything(ftd):
    """The same by one who reads in the end: nothing is lost, nothing is out of order."""
    with ftd.client() as client:
        client.list("/")
        n = 20_000
        writer = threading.Thread(target=lambda: client.sock.sendall(
            b"".join(wire.encode({"opt": "ping", "id": i}) for i in range(n))))
        writer.start()
        time.sleep(1)
        for i in range(n):
            assert client.answer()[0]["id"] == i
        writer.join(20)


def test_connections_come_and_go(ftd):
    """Descriptors of the daemon do not grow with the connections it has seen."""
    served(ftd)
    until(lambda: not ftd.sessions(), 10)
    before = descriptors(ftd.pid)
    for _ in range(300):
        ftd.connect().close()
    for _ in range(50):
        with ftd.connect() as client:
            client.sock.sendall(b"\xff\xff\xff\xff")
    served(ftd)
    until(lambda: descriptors(ftd.pid) <= before + 2, 10, "the descriptors' return")
