"""System calls of a session that fail on demand: strace changes what the kernel says, the session is the real one."""
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import PATIENCE, until

FULL = os.environ.get("FTD_FULL") == "1"
EVERY = 12  # occurrences of a call up to which each of them fails in turn

# What the world makes of each call. A call that is new to the session and to this table fails in the ways of OTHER.
WRITES = ("ENOSPC", "EDQUOT", "EIO", "EROFS", "EINTR", "ENOMEM", "ESTALE")
NAMES = ("ENOSPC", "EDQUOT", "EIO", "EROFS", "ENOMEM", "EACCES", "ESTALE")
LOOKS = ("EIO", "ENOMEM", "EACCES", "ESTALE")
OTHER = ("EIO", "ENOMEM", "EINTR")
ERRNOS = {
    "openat2": ("ENOSPC", "EDQUOT", "EIO", "EROFS", "EMFILE", "ENFILE", "ENOMEM", "EINTR", "EACCES", "ESTALE"),
    "mkdirat": NAMES, "renameat": NAMES, "renameat2": NAMES, "unlinkat": ("EIO", "EROFS", "ENOMEM", "EACCES", "ESTALE"),
    "pwrite64": WRITES, "write": WRITES, "ftruncate": WRITES, "copy_file_range": (*WRITES, "EXDEV"),
    "fsync": ("EIO", "ENOSPC", "EDQUOT", "EINTR", "ESTALE"), "syncfs": ("EIO", "ENOSPC", "EDQUOT", "ESTALE"),
    "sync_file_range": ("EIO", "ENOSPC", "ENOMEM"),
    "pread64": ("EIO", "EINTR", "ENOMEM", "ESTALE"), "read": ("EIO", "EINTR", "ENOMEM", "ESTALE"),
    "getdents64": LOOKS, "statx": LOOKS, "newfstatat": LOOKS, "fstat": LOOKS, "fstatfs": ("EIO", "ENOMEM", "EINTR"),
    "fchmod": NAMES, "utimensat": NAMES, "fsetxattr": (*NAMES, "EOPNOTSUPP"), "fgetxattr": (*LOOKS, "EOPNOTSUPP"),
    "fremovexattr": NAMES, "sendfile": ("EIO", "EINTR", "ENOMEM", "EINVAL"),
    "fcntl": ("ENOLCK", "EINTR", "EIO"), "ioctl": ("EIO", "ENOTTY", "EOPNOTSUPP"), "lseek": ("EIO", "EINVAL"),
    "clone3": ("EAGAIN", "ENOMEM"), "recvfrom": ("EINTR",), "ppoll": ("EINTR",),
    "sendto": ("EINTR", "ENOMEM"), "sendmsg": ("EINTR", "ENOMEM"),
}
# They cannot fail, or the failure would be the test's: what was not closed is leaked by it; and a session that ends
# while it is traced may be reaped late.
NEVER = {"brk", "clock_nanosleep", "close", "exit", "futex", "geteuid", "getpid", "getrandom", "getrlimit", "gettid", "getuid",
         "madvise", "mmap", "mprotect", "munmap", "prlimit64", "restart_syscall", "rseq", "rt_sigprocmask",
         "set_robust_list", "shutdown", "tgkill"}

# What the client is told of each.
CODES = {
    "ENOSPC": {"disk_full"}, "EDQUOT": {"quota_exceeded"}, "EIO": {"io_error"}, "EROFS": {"io_error"},
    "EMFILE": {"busy"}, "ENFILE": {"busy"}, "ENOMEM": {"busy"}, "EINTR": {"busy"}, "EACCES": {"permission"},
    "ESTALE": {"io_error"}, "ENOLCK": {"busy"}, "EXDEV": {"link_refused", "unsupported"}, "EAGAIN": {"busy"},
    "EOPNOTSUPP": {"unsupported"},  # of a share with a quota
}


class Strace:
    """strace on one process, from when it is attached until it is let go; with "-f" also on its threads and children."""

    def __init__(self, pid, *options):
        self.pid = pid
        self.process = subprocess.Popen(["strace", "-p", str(pid), *options], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        said = self.process.stderr.readline()
        if b"attached" not in said:
            self.process.wait(5 * PATIENCE)
            pytest.skip(f"strace cannot be attached here: {said.decode(errors='replace').strip()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate(timeout=10 * PATIENCE)


def needs_strace():
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed (package strace)")


def calls_made(pid, act):
    """Which system calls the process makes while act() runs, and how many of each."""
    with tempfile.NamedTemporaryFile(mode="r", prefix="ftd-calls-") as out:
        with Strace(pid, "-f", "-c", "-U", "name,calls", "-o", out.name):
            act()
        made = dict(re.findall(r"^(\w+)\s+(\d+)$", out.read(), re.MULTILINE))
    made.pop("total", None)
    return {name: int(n) for name, n in made.items() if name not in NEVER}


def occurrences(n):
    if FULL and n <= EVERY:
        return range(1, n + 1)
    return sorted({1, (n + 2) // 2, n} if FULL else {1, n})


def all_cases(made):
    """(call, error, occurrence), those of different calls in turn, so that a few are of many."""
    each = [[(call, error, at) for at in occurrences(n) for error in ERRNOS.get(call, OTHER)]
            for call, n in sorted(made.items())]
    found = []
    for i in range(max(map(len, each))):
        found += [cases[i * 7 % len(cases)] if not FULL else cases[i] for cases in each if i < len(cases)]
    return found


def failing(pid, call, error, occurrence):
    how = f"retval={error[1]}" if isinstance(error, tuple) else f"error={error}"
    return Strace(pid, "-f", "-e", f"trace={call}", "-e", f"inject={call}:{how}:when={occurrence}", "-o", "/dev/null")


def descriptors(pid):
    """What the process has open, but for the directories that a session keeps."""
    found = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(fd)
        except FileNotFoundError:
            continue
        kept = (".ftd/digests", ".ftd/quota", ".ftd/staging", ".ftd/uploads")
        if not target.endswith(kept) and "/.ftd/quota/" not in target:
            found.append(target)
    return sorted(found)


def gone(pid):
    return not Path(f"/proc/{pid}").exists()


def quiet(pid, before):
    """The process waits, and has no more open than it had."""
    until(lambda: gone(pid) or descriptors(pid) == before, 1, f"descriptors: {before}, now {descriptors(pid)}, that")
