"""A file system that hangs: FUSE, answered from here until it is told to stop. What it was asked then, it holds as a
server that is gone would: not even SIGKILL ends who waits. An empty directory of its root, in which nothing can be made."""
import ctypes
import errno
import os
import struct
import threading
import time

import pytest

FORGET, GETATTR, STATFS, INIT, OPENDIR, READDIR, INTERRUPT, BATCH_FORGET = 2, 3, 17, 26, 27, 28, 36, 42
FORCE, DETACH = 1, 2
BLOCKS = 4096
HEADER = struct.Struct("<IIQQIIII")  # length, operation, unique, node, uid, gid, pid, padding
libc = ctypes.CDLL(None, use_errno=True)


def attributes(node, mode, links):
    """struct fuse_attr"""
    now = int(time.time())
    return struct.pack("<QQQQQQIIIIIIIIII", node, 0, 0, now, now, now, 0, 0, 0, mode, links, 0, 0, 0, BLOCKS, 0)


class Hung:
    """Mounted at the path until close(). Nothing that it says may be kept: valid for no time."""

    def __init__(self, path):
        self.path, self.unanswered, self.hangs, self.lock = os.fsencode(path), [], False, threading.Lock()
        try:
            self.fd = os.open("/dev/fuse", os.O_RDWR)
        except OSError as e:
            pytest.skip(f"no FUSE here: {e}")
        options = b"fd=%d,rootmode=40755,user_id=0,group_id=0" % self.fd
        if libc.mount(b"hung", self.path, b"fuse", 0, options) < 0:
            os.close(self.fd)
            pytest.skip(f"file systems cannot be mounted here: {os.strerror(ctypes.get_errno())}")
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        os.stat(path)  # answered when INIT is: before, nobody's question is taken

    def _serve(self):
        while True:
            try:
                asked = os.read(self.fd, 1 << 18)
            except InterruptedError:
                continue
            except OSError as e:
                if e.errno == errno.ENOENT:  # taken back before it was read
                    continue
                return  # unmounted
            with self.lock:
                if self.hangs:
                    self.unanswered.append(asked)
                else:
                    self._answer(asked)

    def _answer(self, asked):
        _, operation, unique, node, *_ = HEADER.unpack_from(asked)
        if operation in (FORGET, BATCH_FORGET, INTERRUPT):
            return
        body, error = b"", 0
        if operation == INIT:
            major, minor, _, _ = struct.unpack_from("<IIII", asked, HEADER.size)
            body = struct.pack("<IIIIHHIIHHI28x", major, min(minor, 31), 0, 0, 16, 12, 1 << 16, 1, 0, 0, 0)
        elif operation == GETATTR:
            body = struct.pack("<QII", 0, 0, 0) + attributes(node, 0o40755, 2)
        elif operation == STATFS:
            body = struct.pack("<QQQQQIIII24x", BLOCKS, BLOCKS // 2, BLOCKS // 2, 1000, 500, 4096, 255, 4096, 0)
        elif operation == OPENDIR:
            body = struct.pack("<QII", 1, 0, 0)
        elif operation != READDIR:  # an empty answer is the end
            error = -errno.ENOENT if operation == 1 else -errno.EROFS
        try:
            os.write(self.fd, struct.pack("<IiQ", 16 + len(body), error, unique) + body)
        except OSError:
            pass  # whoever asked is gone

    def hang(self):
        with self.lock:
            self.hangs = True

    def held(self):
        """How many of its questions it has taken and not answered."""
        with self.lock:
            return len(self.unanswered)

    def recover(self):
        with self.lock:
            self.hangs = False
            for asked in self.unanswered:
                self._answer(asked)
            self.unanswered.clear()

    def close(self):
        """Everybody who waits gets an error, and the mount is gone."""
        if self.fd >= 0:
            libc.umount2(self.path, FORCE | DETACH)
            self.thread.join(5)
            os.close(self.fd)
            self.fd = -1
