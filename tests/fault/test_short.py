"""Every read and write of a session does only a part of what was asked, and every third is interrupted: all goes as if
they did not. The daemon is built so (short.c)."""
import pytest

import harness
import scenes


@pytest.fixture(scope="module")
def short(make_shared_ftd):
    return make_shared_ftd(program=harness.BUILD / "tests/fault/short")


@pytest.mark.parametrize("scene", scenes.SCENES, ids=lambda scene: scene.__name__)
def test_in_parts(short, scene):
    path = short.root / scene.__name__
    scenes.furnish(path)
    with short.client() as client:
        s = scenes.Scene(client, f"/{scene.__name__}", path)
        scene(s)
    assert s.outcome == scenes.Outcome()
