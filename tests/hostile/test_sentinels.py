"""No number turns a limit off: zero means zero, and a number below it is none."""
import pytest

from harness import FTD, run, served


def test_a_limit_of_zero_is_zero(make_ftd):
    ftd = make_ftd({"limits": {"file_size": "0"}})
    with ftd.client() as client:
        assert client.put("/f", b"x")["code"] == "file_too_large"
        assert client.put_pieces({"opt": "upload", "filename": "/f", "filesize": None}, [b"x"], {"status": "ok"})["code"] == \
            "file_too_large"
        assert client.put("/f", b"")["status"] == "ok"
    assert (ftd.root / "f").read_bytes() == b""


def test_a_limit_holds_for_content_of_unknown_size(make_ftd):
    ftd = make_ftd({"limits": {"file_size": "100"}})
    with ftd.client() as client:
        for pieces in ([b"x" * 101], [b"x" * 60] * 2, [b"x"] * 101):
            assert client.put_pieces({"opt": "upload", "filename": "/f", "filesize": None}, pieces, {})["code"] == "file_too_large"
        assert client.put_pieces({"opt": "upload", "filename": "/f", "filesize": None}, [b"x" * 50] * 2, {})["status"] == "ok"
        assert client.ask({"opt": "copy", "filename": "/f", "to": "/g"})["status"] == "ok"
    assert not (ftd.root / "f").stat().st_size > 100


@pytest.mark.parametrize("limit, value", [
    ("sessions", "unlimited"), ("sessions", 0), ("sessions", -1), ("sessions", 16385), ("sessions_per_address", 0),
    ("sessions_per_user", 0), ("sessions_per_user", -1), ("logins", 0), ("logins", -1), ("login_timeout", "0s"),
    ("login_timeout", "-1s"), ("login_timeout", "unlimited"), ("idle_timeout", "0"), ("stall_timeout", "0s"), ("file_size", "-1"),
    ("file_size", -1), ("file_size", "0x10"), ("file_size", "99999999999G"), ("free_space", "unlimited"), ("free_space", "-1"),
    ("session_rate", "0"), ("session_rate", "-1"), ("total_rate", "0"), ("total_rate", "1"), ("penalty", "-1s"),
    ("penalty", "unlimited")])
def test_numbers_that_are_none_stop_the_start(ftd, limit, value):
    """And a reload: what was in force stays."""
    ftd.write_conf({"limits": {limit: value}})
    done = run(FTD, "--check", ftd.conf, check=False)
    assert done.returncode == 2 and f"limits.{limit}" in done.stderr
    assert ftd.ftctl("reload", check=False).returncode == 1
    served(ftd)


@pytest.mark.parametrize("number", [-1, -2**63, 2**63, 2**64 - 1, 1e3, "1", True])
def test_numbers_that_are_none_on_the_wire(ftd, number):
    (ftd.root / "f").write_bytes(b"content")
    for request in ({"opt": "upload", "filename": "/g", "filesize": number}, {"opt": "download", "filename": "/f", "offset": number},
                    {"opt": "download", "filename": "/f", "length": number}, {"opt": "list", "filename": "/", "limit": number},
                    {"opt": "digest", "filename": "/f", "offset": number}, {"opt": "digest", "filename": "/f", "block": number}):
        with ftd.client() as client:
            assert client.ask(request)["code"] == "bad_request", request
    assert not (ftd.root / "g").exists()


@pytest.mark.parametrize("rate", ["0", "-1", "-1M", "", "1e9", "18446744073709551616"])
def test_rates_that_are_none(ftd, rate):
    with ftd.client() as client:
        client.names("/")
        number = ftd.sessions()[0]["id"]
        assert ftd.ftctl("limit", number, "--", rate, check=False).returncode in (1, 2)
        assert ftd.sessions()[0]["rate_limit"] is None
