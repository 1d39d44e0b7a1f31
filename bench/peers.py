"""Servers that ftd is measured beside, each with the client that people use with it. What they are told to store and
where they run is theirs; the source is what is sent."""
import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
ENVIRONMENT = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "LC_ALL": "C"}


def free_port():
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return sock.getsockname()[1]


def do(*command):
    done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env=ENVIRONMENT)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))[:200]}: {done.returncode}\n{done.stderr}")


def make_pair(scratch):
    """The certificate of those that speak TLS."""
    do("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
       "/CN=bench", "-addext", f"subjectAltName=IP:{HOST}", "-keyout", scratch / "key.pem", "-out",
       scratch / "certificate.pem")


class Server:
    """A server and its client. A name is that of a file or a directory in the source."""

    name, programs, has_tls, build = "", (), False, TOP / "build"

    def __init__(self, scratch, source, store=None):
        """store: where the share lies, if not beside the rest."""
        self.dir, self.source, self.port, self.tls_port = scratch / self.name.replace(" ", ""), source, free_port(), free_port()
        self.certificate, self.key = scratch / "certificate.pem", scratch / "key.pem"
        self.store = store or self.dir
        self.share, self.back, self.process = self.store / "share", self.dir / "back", None
        self.share.mkdir(parents=True)
        self.back.mkdir(parents=True)

    @classmethod
    def missing(cls):
        return [p for p in cls.programs if shutil.which(p, path=ENVIRONMENT["PATH"]) is None]

    def write(self, name, text):
        (self.dir / name).write_text(text)
        return self.dir / name

    def command(self):
        """What starts it in the foreground."""
        raise NotImplementedError

    def sending(self, name, tls=False, rate=None):
        """The client that sends, at so many bytes a second at most; its exit status 0 says that all was taken."""
        raise NotImplementedError

    def fetching(self, name, tls=False):
        raise NotImplementedError

    def put(self, name, tls=False):
        do(*self.sending(name, tls))

    def get(self, name, tls=False):
        do(*self.fetching(name, tls))

    def start(self):
        with open(self.dir / "log", "ab") as log:
            self.process = subprocess.Popen([str(c) for c in self.command()], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=ENVIRONMENT)
        self.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait(30)

    @contextlib.contextmanager
    def running(self):
        self.start()
        try:
            yield
        finally:
            self.stop()

    def wait(self):
        for _ in range(200):
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), 1):
                return
            time.sleep(0.05)
        sys.exit(f"{self.name} did not start:\n{(self.dir / 'log').read_text()}")

    def stored(self, name):
        return self.share / name

    def clear(self):
        for directory in (self.stored("x").parent, self.back):
            for entry in directory.iterdir():
                if not entry.name.startswith("."):
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def same(self, name):
        for copy in (self.stored(name), self.back / name):
            do("diff", "-r", "-q", self.source / name, copy)

    def cipher(self):
        """What is agreed on when nobody asks for anything."""
        context = ssl.create_default_context(cafile=self.certificate)
        context.set_alpn_protocols(["ftd/1", "http/1.1"])
        with socket.create_connection((HOST, self.tls_port)) as sock, context.wrap_socket(sock, server_hostname=HOST) as s:
            return s.cipher()[0]

    def files(self, name):
        root = self.source / name
        if root.is_file():
            return [name]
        return [str(p.relative_to(self.source)) for p in sorted(root.rglob("*")) if p.is_file()]


class Ftd(Server):
    name, has_tls, share_options = "ftd", True, ""

    def command(self):
        self.tls_port = self.port  # the same
        user = subprocess.check_output(["id", "-un"], text=True).strip()
        group = subprocess.check_output(["id", "-gn"], text=True).strip()
        (self.dir / "run").mkdir(exist_ok=True)
        return [self.build / "daemon/ftd", "--config", self.write("ftd.conf", f"""
            run_as = "{user}";
            listen = ( {{ address = "{HOST}"; port = {self.port}; }} );
            status = {{ address = "{HOST}"; port = {self.port}; }};
            control = {{ path = "{self.dir}/run/control"; group = "{group}"; operator_group = "{group}"; }};
            limits = {{ free_space = "16M"; }};
            tls = {{ certificate = "{self.certificate}"; key = "{self.key}"; }};
            log = {{ target = "stderr"; level = "warning"; }};
            shares = ( {{ path = "/"; root = "{self.share}"; anonymous = "loopback"; rights = "full";
                          {self.share_options} }} );
            """)]

    def ft(self, tls, command, *what):
        return [self.build / "client/ft", command, "-q", "-r", *(("--tls", "--ca", self.certificate) if tls else ()), *what]

    def sending(self, name, tls=False, rate=None):
        return self.ft(tls, "put", *(("--limit", rate) if rate else ()), self.source / name, f"ft://{HOST}:{self.port}/")

    def fetching(self, name, tls=False):
        return self.ft(tls, "get", f"ft://{HOST}:{self.port}/{name}", f"{self.back}/")


class Rsync(Server):
    name, programs, options = "rsync", ("rsync",), ()

    def command(self):
        return ["rsync", "--daemon", "--no-detach", "--address", HOST, "--port", self.port, "--config", self.write(
            "rsyncd.conf", f"use chroot = no\n[bench]\npath = {self.share}\nread only = no\nuid = {os.getuid()}\n"
                           f"gid = {os.getgid()}\n")]

    def sending(self, name, tls=False, rate=None):
        limit = [f"--bwlimit={rate // 1024}"] if rate else []
        return ["rsync", "-a", *self.options, *limit, self.source / name, f"rsync://{HOST}:{self.port}/bench/"]

    def fetching(self, name, tls=False):
        return ["rsync", "-a", f"rsync://{HOST}:{self.port}/bench/{name}", f"{self.back}/"]


class Vsftpd(Server):
    name, programs = "vsftpd", ("vsftpd", "lftp")

    @classmethod
    def missing(cls):
        return super().missing() or (["root"] if os.getuid() else [])

    def command(self):
        # an anonymous root must not be writable, so what is written lies below it
        pub, empty = self.share / "pub", self.dir / "empty"
        pub.mkdir(exist_ok=True)
        empty.mkdir(exist_ok=True)
        shutil.chown(pub, "ftp")
        return ["vsftpd", self.write("vsftpd.conf", f"""\
listen=YES
background=NO
listen_address={HOST}
listen_port={self.port}
anonymous_enable=YES
no_anon_password=YES
anon_root={self.share}
write_enable=YES
anon_upload_enable=YES
anon_mkdir_write_enable=YES
anon_other_write_enable=YES
anon_umask=022
secure_chroot_dir={empty}
seccomp_sandbox=NO
xferlog_enable=NO
""")]

    def stored(self, name):
        return self.share / "pub" / name

    def lftp(self, command):
        return ["lftp", "-e", f"set cmd:fail-exit yes; {command}; bye", "-p", self.port, HOST]

    def sending(self, name, tls=False, rate=None):
        what = "mirror -R --no-perms {0} pub/{1}" if (self.source / name).is_dir() else "put {0} -o pub/{1}"
        limit = f"set net:limit-rate {rate}; set net:limit-max {rate // 10}; " if rate else ""
        return self.lftp(limit + what.format(self.source / name, name))

    def fetching(self, name, tls=False):
        what = "mirror pub/{1} {0}" if (self.source / name).is_dir() else "get pub/{1} -o {0}"
        return self.lftp(what.format(self.back / name, name))


class Nginx(Server):
    name, programs, has_tls = "nginx", ("nginx", "curl"), True

    def command(self):
        user = "user root;" if os.getuid() == 0 else ""
        return ["nginx", "-p", self.dir, "-c", self.write("nginx.conf", f"""
            {user} daemon off; pid {self.dir}/pid; error_log {self.dir}/error.log; worker_processes 2;
            events {{ worker_connections 1024; }}
            http {{
                access_log off; sendfile on; client_max_body_size 0; keepalive_requests 1000000;
                client_body_temp_path {self.store}/body; proxy_temp_path {self.dir}/t1; fastcgi_temp_path {self.dir}/t2;
                uwsgi_temp_path {self.dir}/t3; scgi_temp_path {self.dir}/t4;
                ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {self.certificate}; ssl_certificate_key {self.key};
                server {{ listen {HOST}:{self.port}; listen {HOST}:{self.tls_port} ssl; root {self.share};
                         location / {{ dav_methods PUT; create_full_put_path on; }} }}
            }}""")]

    def curl(self, tls, pairs, *options):
        """One curl for all, over one connection; pairs: (option, file, path of the URL)."""
        url = f"https://{HOST}:{self.tls_port}/" if tls else f"http://{HOST}:{self.port}/"
        config = f'cacert = "{self.certificate}"\n' + "".join(f'{option} = "{path}"\nurl = "{url}{rest}"\n' for option, path, rest in pairs)
        return ["curl", "-s", "-S", "-f", "--create-dirs", *options, "-K", self.write("curl.conf", config)]

    def sending(self, name, tls=False, rate=None):
        limit = ("--limit-rate", rate) if rate else ()
        return self.curl(tls, [("upload-file", self.source / f, f) for f in self.files(name)], *limit)

    def fetching(self, name, tls=False):
        return self.curl(tls, [("output", self.back / f, f) for f in self.files(name)])


class Sftp(Server):
    """OpenSSH with its internal-sftp, for whoever runs this."""

    name, programs, options = "sftp", ("sshd", "sftp", "ssh-keygen"), ""

    def command(self):
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd does not start without
        for key in ("host", "identity"):
            if not (self.dir / key).exists():
                do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.dir / key)
        return [shutil.which("sshd", path=ENVIRONMENT["PATH"]), "-D", "-e", "-f", self.write("sshd_config", f"""\
ListenAddress {HOST}:{self.port}
HostKey {self.dir}/host
AuthorizedKeysFile {self.dir}/identity.pub
PidFile none
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
LogLevel ERROR
Subsystem sftp internal-sftp
""")]

    def sftp(self, command, *options):
        return ["sftp", "-q", "-F", "none", "-i", self.dir / "identity", "-o", "StrictHostKeyChecking=no", "-o",
                "UserKnownHostsFile=/dev/null", "-P", self.port, *options, "-b", self.write("batch", command + "\n"), HOST]

    def sending(self, name, tls=False, rate=None):
        recursive = "-R" if (self.source / name).is_dir() else ""
        limit = ("-l", rate * 8 // 1024) if rate else ()
        return self.sftp(f"put {self.options} {recursive} {self.source / name} {self.share}/", *limit)

    def fetching(self, name, tls=False):
        return self.sftp(f"get -R {self.share / name} {self.back}/")
