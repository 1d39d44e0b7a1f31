"""A disk that can lose its power: a file system on a loop device whose file is copied at an instant (a reflink),
while everything goes on. The copy has what reached the device by then, and nothing of what the machine still had in
memory."""
import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from harness import SCRATCH, run

SIZE, OUTER = 320 << 20, 2 << 30  # XFS takes no less than 300 MB; both are sparse
MAKE = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
}


def needs(*programs):
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def mount(image, where, *options):
    where.mkdir(exist_ok=True)
    done = run("mount", "-o", ",".join(("loop", *options)), image, where, check=False)
    if done.returncode != 0:
        raise OSError(done.stderr.strip())


def umount(where):
    done = run("umount", where, check=False)
    if done.returncode != 0:
        run("umount", "--lazy", where)


class Disk:
    """The file system at .root; cut() gives what another machine would find after the power has failed."""

    def __init__(self, directory, kind):
        self.kind, self.outer, self.root = kind, directory / "outer", directory / "root"
        self.image, self.cuts, self.mounted = self.outer / "disk", 0, []

    def start(self, directory):
        backing = directory / "backing"
        for path, size, make, where in ((backing, OUTER, MAKE["xfs"], self.outer),
                                        (self.image, SIZE, MAKE[self.kind], self.root)):
            with open(path, "wb") as out:
                out.truncate(size)
            run(*make, path)
            mount(path, where)
            self.mounted.append(where)

    def freeze(self):
        """The copy, made at one instant."""
        self.cuts += 1
        copy = self.outer / f"cut{self.cuts}"
        run("cp", "--reflink=always", self.image, copy)
        return copy

    @contextlib.contextmanager
    def found(self, copy):
        """What the copy has, after its journal was replayed."""
        where = self.outer.parent / "after"
        mount(copy, where, *(("nouuid",) if self.kind == "xfs" else ()))
        try:
            yield where
        finally:
            umount(where)
            copy.unlink()

    def stop(self):
        for where in reversed(self.mounted):
            umount(where)


@contextlib.contextmanager
def disk(kind):
    needs("mkfs.xfs", MAKE[kind][0], "mount")
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    with tempfile.TemporaryDirectory(prefix="ftd-disk-", dir=SCRATCH) as path:
        made = Disk(Path(path), kind)
        try:
            made.start(Path(path))
        except OSError as error:
            made.stop()
            pytest.skip(f"no {kind} on a loop device here: {error}")
        try:
            yield made
        finally:
            made.stop()
