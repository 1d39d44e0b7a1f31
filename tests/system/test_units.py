"""The units: systemd takes them without a word, and they give up nearly everything."""
import re
import shutil

import pytest

from harness import BUILD, SOURCE, run

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")


@pytest.fixture
def units(tmp_path):
    """The units as they are installed, the daemon being the one that was built."""
    text = (BUILD / "systemd/ftd.service").read_text()
    text, n = re.subn(r"^(Exec\w+)=\S+/ftd ", rf"\1={BUILD / 'daemon/ftd'} ", text, flags=re.M)
    assert n == 2 and "@" not in text.replace("native @", "").split("[Service]")[0]
    # the manual pages are not installed while tests run
    (tmp_path / "ftd.service").write_text(re.sub(r"^Documentation=.*\n", "", text, flags=re.M))
    socket = (SOURCE / "systemd/ftd.socket").read_text()
    (tmp_path / "ftd.socket").write_text(re.sub(r"^Documentation=.*\n", "", socket, flags=re.M))
    return tmp_path


def test_verify(units):
    done = run("systemd-analyze", "verify", units / "ftd.service", units / "ftd.socket")
    assert "ftd" not in done.stderr, done.stderr


def test_exposure(units):
    done = run("systemd-analyze", "security", "--offline=true", "--no-pager", units / "ftd.service")
    exposure = float(re.search(r"Overall exposure level for ftd.service: ([0-9.]+)", done.stdout).group(1))
    assert exposure <= 1.5


def test_every_message_is_in_the_catalog():
    header = (SOURCE / "daemon/supervisor/log.h").read_text()
    catalog = (SOURCE / "systemd/ftd.catalog").read_text()
    told = set(re.findall(r'MESSAGE_ID_\w+ "([0-9a-f]{32})"', header))
    assert told and told == set(re.findall(r"^-- ([0-9a-f]{32})$", catalog, flags=re.M))
