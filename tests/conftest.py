"""Fixtures of the system and hostile tests."""
import resource
import signal
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
pytest.register_assert_rewrite("accounts", "wire", "harness", "ftuser", "taken", "injection", "scenes", "disk", "hung",
                               "small", "resumable", "invariants", "books", "proxy", "talks")
import harness  # noqa: E402  (found through the lines above)


def pytest_configure(config):
    config.addinivalue_line("markers", "heavy: takes long or much memory; left out by scripts/check --quick")
    config.addinivalue_line("markers", "scale: thousands of connections; left out with sanitizers")
    config.addinivalue_line("markers", "guest: boots an emulated machine; left out by scripts/check --quick")
    config.addinivalue_line("markers", "release: proves something of the build that ships, as what its sandbox refuses; left out "
                            "with sanitizers")
    config.addinivalue_line("markers", "service: boots a systemd of its own; left out with sanitizers")


def terminate(*_):
    raise KeyboardInterrupt


def pytest_sessionstart():
    signal.signal(signal.SIGTERM, terminate)  # fixtures end what they have started
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def daemons():
    """A maker of daemons with settings of the test's own; each is stopped and looked after."""
    made = []

    def make(changes=None, start=True, **how):
        daemon = harness.Daemon(changes, **how)
        made.append(daemon)
        return daemon.start() if start else daemon

    yield make
    try:
        for daemon in made:
            daemon.stop()
    finally:
        for daemon in made:
            print(daemon.errors)  # shown where the test has failed
            daemon.remove()


make_ftd = pytest.fixture(daemons, name="make_ftd")
make_shared_ftd = pytest.fixture(daemons, name="make_shared_ftd", scope="module")


@pytest.fixture
def ftd(make_ftd):
    """One daemon with one share that gives loopback every right."""
    return make_ftd()


@pytest.fixture(scope="module")
def shared_ftd(make_shared_ftd):
    """The same for all tests of a file, where they leave nothing for one another to find."""
    return make_shared_ftd()


@pytest.fixture
def scratch():
    """A directory in memory where the machine has one."""
    with tempfile.TemporaryDirectory(prefix="ftd-scratch-", dir=harness.SCRATCH) as path:
        yield Path(path)


def pytest_make_parametrize_id(val):
    """Short names for long values."""
    return repr(val)[:24]
