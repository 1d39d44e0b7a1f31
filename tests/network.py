"""Machines of a test's own: network namespaces, joined by a cable (veth). Nothing of them is left behind."""
import contextlib
import ctypes
import os
import shutil
import threading

import pytest

from harness import run

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
SERVER = "10.77.0.1"


def checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def namespace():
    """A new network, as a descriptor that it lives as long as; loopback is up."""
    result = []

    def inside():
        try:
            checked(LIBC.unshare(CLONE_NEWNET))
            run("ip", "link", "set", "lo", "up")
            result.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            result.append(error)

    thread = threading.Thread(target=inside)  # the network is the thread's alone
    thread.start()
    thread.join()
    if isinstance(result[0], OSError):
        raise result[0]
    return result[0]


@contextlib.contextmanager
def entered(network):
    """Sockets made and programs started by this thread are in that network."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        checked(LIBC.setns(network, CLONE_NEWNET))
        try:
            yield
        finally:
            checked(LIBC.setns(home, CLONE_NEWNET))
    finally:
        os.close(home)


class Network:
    """A server's machine (10.77.0.1) and one of strangers with as many addresses (10.77.1.1 to …) as wanted."""

    def __init__(self, strangers=1):
        self.server, self.outside = namespace(), namespace()
        self.addresses = [f"10.77.{1 + i // 250}.{1 + i % 250}" for i in range(strangers)]
        with entered(self.server):
            run("ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns",
                f"/proc/{os.getpid()}/fd/{self.outside}")
            run("ip", "address", "add", f"{SERVER}/16", "dev", "cable")
            run("ip", "link", "set", "cable", "up")
        with entered(self.outside):
            for address in self.addresses:
                run("ip", "address", "add", f"{address}/16", "dev", "cable")
            run("ip", "link", "set", "cable", "up")

    @staticmethod
    def add(network, address):
        """One more address, as 2001:db8::1/32, on that machine."""
        with entered(network):
            run("ip", "address", "add", address, "dev", "cable", *(["nodad"] if ":" in address else []))

    def close(self):
        os.close(self.server)
        os.close(self.outside)

    def serve(self, make_ftd, changes=None, **how):
        """A daemon on the server's machine that listens on all of its addresses."""
        ftd = make_ftd(changes, start=False, **how)
        ftd.write_conf({"listen": [{"address": "0.0.0.0", "port": ftd.port}]})
        with entered(self.server):
            return ftd.start()


@pytest.fixture(name="network")
def make_network(request):
    """request.param: how many addresses the strangers have."""
    if os.geteuid() != 0:
        pytest.skip("needs root for network namespaces")
    if not shutil.which("ip"):
        pytest.skip("needs ip (iproute2) for network namespaces")
    try:
        made = Network(getattr(request, "param", 1))
    except (OSError, AssertionError) as error:
        pytest.skip(f"no network namespace or veth here: {error}")
    yield made
    made.close()
