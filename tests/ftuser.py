"""Who calls ft: somebody with a home of their own, at a terminal or not; and certificates by openssl."""
import fcntl
import hashlib
import os
import pty
import select
import signal
import ssl
import subprocess
import termios
import time

import harness
from harness import PATIENCE


ESCAPE = "\x1b[2J"  # what must not come to a screen


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, timeout=60)


class Certificate:
    """A certificate and its key in one directory; signed by another one where that is given."""

    def __init__(self, directory, name, names="DNS:localhost,IP:127.0.0.1", by=None, subject=None):
        self.file, self.key = directory / f"{name}.pem", directory / f"{name}.key"
        signer = ["-CA", by.file, "-CAkey", by.key] if by else []
        kind = ["-addext", f"subjectAltName={names}", "-addext", "basicConstraints=critical,CA:FALSE"] if by else []
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                "-keyout", self.key, "-out", self.file, "-subj", f"/CN={subject or name + ESCAPE}", *signer, *kind)
        der = ssl.PEM_cert_to_DER_cert(self.file.read_text())
        self.fingerprint = f"sha256:{hashlib.sha256(der).hexdigest()}"


class User:
    """Somebody with a home of their own who calls ft."""

    def __init__(self, home):
        self.home, self.known = home, home / ".config/ft/known_servers"
        self.env = {**os.environ, "HOME": str(home), "SSL_CERT_FILE": "/dev/null", "SSL_CERT_DIR": str(home)}
        for name in ("XDG_CONFIG_HOME", "FT_PASSWORD_FILE"):
            self.env.pop(name, None)

    def ft(self, *args, status=0, says="", **env):
        done = harness.run(harness.FT, *args, check=False, env={**self.env, **env}, start_new_session=True)
        assert done.returncode == status and says in done.stderr, (done.returncode, done.stdout, done.stderr)
        assert "\x1b" not in done.stdout + done.stderr
        return done

    def on_terminal(self, answer, *args, question="(yes/no)"):
        """The same at a terminal, with an answer to the question: (exit status, all that was shown)."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen([str(a) for a in (harness.FT, *args)], stdin=theirs, stdout=theirs, stderr=theirs,
                                   env={**self.env, "TERM": "dumb"}, start_new_session=True,
                                   preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY))
        os.close(theirs)
        shown, end = "", time.monotonic() + 20 * PATIENCE
        try:
            while time.monotonic() < end:
                if not select.select([ours], [], [], 0.2)[0]:
                    continue
                try:
                    data = os.read(ours, 65536)
                except OSError:  # nobody has the other side any more
                    break
                shown += data.decode()
                if answer is not None and question in shown:
                    os.write(ours, answer)
                    answer = None
            return process.wait(10 * PATIENCE), shown
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
            os.close(ours)
