"""Places with little room, and as much of it as a test says: a small file system; or a large one of which a user has a
quota that the kernel holds."""
import contextlib
import ctypes
import functools
import os
import pwd
import struct
import tempfile
from pathlib import Path

import pytest

import disk
from harness import SCRATCH, run

PAGE = 4096
USER = "nobody"  # for whom quotas hold


class Small:
    """A file system of a few megabytes and a few files, in memory."""
    code, units, slow = "disk_full", ("pages", "files"), False

    def __init__(self, root):
        self.root, self.filler, self.files = root, root / ".filler", []

    def fill(self, unit, n):
        """Leaves so much free."""
        self.empty()
        if unit == "files":
            for i in range(self.free("files") - n):
                self.files.append(self.root / f".filler{i}")
                self.files[-1].touch()
            return
        self.filler.touch()
        with open(self.filler, "wb") as out:
            os.posix_fallocate(out.fileno(), 0, max(self.free("pages") - n, 0) * PAGE)
        assert self.free("pages") == n

    def free(self, unit):
        st = os.statvfs(self.root)
        return st.f_bavail * st.f_frsize // PAGE if unit == "pages" else st.f_favail

    def empty(self):
        self.filler.unlink(missing_ok=True)
        while self.files:
            self.files.pop().unlink()


class Quota:
    """What the user of the daemon may have of an ext4, by quotactl(2)."""
    code, units, slow = "quota_exceeded", ("pages", "files"), False
    LIMITS = struct.Struct("8QI4x")  # struct if_dqblk
    GET, SET, USER, BLOCKS_AND_FILES = 0x800007, 0x800008, 0, 1 | 4

    def __init__(self, root):
        mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
        self.device = next(device for device, where, *_ in mounts if where == str(root))
        self.root, self.uid = root, pwd.getpwnam(USER).pw_uid
        self.library = ctypes.CDLL(None, use_errno=True)

    def call(self, command, data):
        buffer = ctypes.create_string_buffer(data, self.LIMITS.size)
        if self.library.quotactl(command << 8 | self.USER, self.device.encode(), self.uid, buffer) < 0:
            raise OSError(ctypes.get_errno(), "quotactl")
        return buffer.raw

    def limit(self, blocks, files):
        """In KiB; 0: no limit."""
        self.call(self.SET, self.LIMITS.pack(blocks, 0, 0, files, 0, 0, 0, 0, self.BLOCKS_AND_FILES))

    def fill(self, unit, n):
        _, _, used, _, _, files, *_ = self.LIMITS.unpack(self.call(self.GET, b""))
        self.limit(*((used + 1023) // 1024 + n * 4, 0) if unit == "pages" else (0, files + n))

    def empty(self):
        self.limit(0, 0)


class Group:
    """What a subvolume of a btrfs may have. Its kernel reserves for each change much more than that will take."""
    code, units, slow = "quota_exceeded", ("pages",), True
    STEP = 24 << 10

    def __init__(self, root):
        self.root, self.above = root, root.parent

    def limit(self, limit):
        """Set from above: beneath, even that may be refused."""
        run("btrfs", "qgroup", "limit", str(limit), self.id, self.above)

    @functools.cached_property
    def id(self):
        return "0/" + run("btrfs", "inspect-internal", "rootid", self.root).stdout.strip()

    def fill(self, _, n):
        said = run("btrfs", "qgroup", "show", "-f", "--raw", "--sync", self.root).stdout
        self.limit(int(said.split("\n")[2].split()[1]) + n * self.STEP)

    def empty(self):
        self.limit("none")


# --- how each is made

def on_tmpfs(_, root):
    done = run("mount", "-t", "tmpfs", "-o", "size=16M,nr_inodes=200,mode=0755", "none", root, check=False)
    if done.returncode != 0:
        pytest.skip("file systems cannot be mounted here")
    return Small(root)


def on_ext4(directory, root):
    disk.needs("mkfs.ext4")
    image = directory / "image"
    image.touch()
    os.truncate(image, 64 << 20)
    run("mkfs.ext4", "-q", "-F", "-O", "quota", image)
    try:
        disk.mount(image, root, "usrquota")
    except OSError as error:
        pytest.skip(f"no quotas of ext4 here (CONFIG_QFMT_V2): {error}")
    return Quota(root)


def on_btrfs(directory, root):
    disk.needs("mkfs.btrfs", "btrfs")
    image = directory / "image"
    image.touch()
    os.truncate(image, 256 << 20)
    run("mkfs.btrfs", "-q", image)
    try:
        disk.mount(image, root)
    except OSError as error:
        pytest.skip(f"no btrfs here: {error}")
    run("btrfs", "quota", "enable", root)
    run("btrfs", "subvolume", "create", root / "share")
    return Group(root / "share")


@contextlib.contextmanager
def place(make):
    """What one of these makes, and USER owns where a quota is held."""
    with tempfile.TemporaryDirectory(prefix="ftd-small-", dir=SCRATCH) as path:
        directory, root = Path(path), Path(path) / "root"
        directory.chmod(0o755)
        root.mkdir()
        if os.geteuid() != 0:
            pytest.skip("only root may mount a file system")
        try:
            made = make(directory, root)
            if made.code == "quota_exceeded":
                os.chown(made.root, *pwd.getpwnam(USER)[2:4])
            yield made
        finally:
            run("umount", "-l", root, check=False)
