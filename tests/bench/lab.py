"""The temporary directory that everything lives in, and the processes started in it.

Each process gets a session of its own and is ended by its id; leaving the Lab ends what is left and removes the
directory. Ports are loopback ports that were free a moment ago.
"""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import jwts
import load
import machine


class Server:
    """A running server: its process and its port."""

    def __init__(self, name, process, port, log):
        self.name, self.process, self.port, self.log = name, process, port, log

    @property
    def pid(self):
        return self.process.pid

    def children(self):
        return machine.tree(self.pid) - {self.pid}

    def wait_until_listening(self, seconds=10):
        deadline = time.monotonic() + seconds
        while not _listens(self.port):
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended at once: {self.tail()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not listen after {seconds} s: {self.tail()}")
            time.sleep(0.002)

    def tail(self):
        return self.log.read_text(errors="replace").strip()[-400:] if self.log.exists() else ""


class Lab:
    """Directory, ports, keys and processes of one run; a context manager."""

    def __init__(self, server_core, load_core):
        self.server_core, self.load_core = server_core, load_core
        self.root = Path(tempfile.mkdtemp(prefix="llama-bench-"))
        self._servers = []
        self._redis = None

    def __enter__(self):
        self.root.chmod(0o755)
        self.docroot = self.directory("docs")
        event = b'data: {"choices": [{"delta": {"content": "' + b"x" * 155 + b'"}}]}\n\n'
        (self.docroot / "file.bin").write_bytes((event * 5).ljust(load.FILE_BYTES, b":"))
        self.cert, self.key = self._certificate()
        self.tokens = jwts.Tokens(self)
        return self

    def __exit__(self, *_):
        self.stop(*self._servers)
        shutil.rmtree(self.root, ignore_errors=True)

    def directory(self, name, mode=0o755):
        path = self.root / name
        path.mkdir(exist_ok=True)
        path.chmod(mode)
        return path

    def write(self, name, text):
        path = self.root / name
        path.write_text(text)
        return path

    def start(self, name, command, port, core):
        """Starts a server pinned to `core` (None: either of the two); it writes what it has to say to NAME.log."""
        log = self.root / f"{name}.log"
        cores = [self.server_core, self.load_core] if core is None else [core]
        with open(log, "ab") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                       start_new_session=True, preexec_fn=machine.pin(*cores))
        server = Server(name, process, port, log)
        self._servers.append(server)
        return server

    def stop(self, *servers):
        """Ends servers: SIGTERM to each first process, SIGKILL to the session of one that does not obey."""
        for server in servers:
            if server.process.poll() is None:
                server.process.terminate()
        for server in servers:
            try:
                server.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.process.wait()
        self._servers = [s for s in self._servers if s not in servers]

    def redis(self):
        """The port of a Redis, started at the first call; redis-tools has the server under another name."""
        if not self._redis:
            program = shutil.which("redis-server") or shutil.which("redis-check-rdb") or "redis-server"
            port = free_port()
            options = f"--port {port} --bind 127.0.0.1 --save '' --appendonly no --dir {self.root}"
            self._redis = self.start("redis", ["bash", "-c", f"exec -a redis-server {program} {options}"], port, self.load_core)
            self._redis.wait_until_listening()
        return self._redis.port

    def _certificate(self):
        """A self-signed RSA 2048 certificate for 127.0.0.1: for TLS at the endpoint, and the key of the JWT row."""
        cert, key = self.root / "cert.pem", self.root / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", key, "-out", cert],
                       check=True, stderr=subprocess.DEVNULL)
        return cert, key

    def jwt(self, claims):
        """An RS256 JWT under the certificate's key."""
        header = {"alg": "RS256", "typ": "JWT", "kid": "bench"}
        signed = b".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=signed, check=True,
                                   stdout=subprocess.PIPE).stdout
        return (signed + b"." + _base64url(signature)).decode()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")
