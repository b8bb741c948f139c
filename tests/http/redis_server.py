"""A real Redis, from Debian's redis-tools: the server is the program redis-check-rdb under another name, and no service starts
when that package is installed. One process on a free loopback port, and on a unix socket too; ended by its pid."""

import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from errorlog import await_until
from server import free_port


class Redis:
    def __init__(self, password=None, options=()):
        self.root = Path(tempfile.mkdtemp(prefix="la-redis-"))
        self.root.chmod(0o755)
        self.port = free_port()
        self.socket = self.root / "redis.sock"
        self.password = password
        self.options = list(options)
        self.process = None
        self.start()

    def command(self):
        auth = ["--requirepass", self.password, "--masterauth", self.password] if self.password else []
        return ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.socket),
                "--unixsocketperm", "777", "--dir", str(self.root), "--save", "", "--appendonly", "no", *self.options, *auth]

    def start(self):
        program = shutil.which("redis-server") or shutil.which("redis-check-rdb")
        assert program, "redis is missing: apt-get install redis-tools"
        self.process = subprocess.Popen(self.command(), executable=program, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        await_until(lambda: "PONG" in self.cli("PING"), "redis to answer")

    def command_line(self, *words):
        auth = ["-a", self.password, "--no-auth-warning"] if self.password else []
        return ["redis-cli", "-h", "127.0.0.1", "-p", str(self.port), *auth, *words]

    def cli(self, *words, stdin=None):
        done = subprocess.run(self.command_line(*words), input=stdin, capture_output=True, timeout=30)
        return done.stdout.decode("latin-1").strip()

    def keys(self, pattern="*"):
        return sorted(self.cli("--raw", "KEYS", pattern).split())

    def get(self, key):
        """The bytes of a value."""
        done = subprocess.run(self.command_line("--raw", "GET", key), capture_output=True, timeout=30)
        return done.stdout[:-1]

    def set(self, key, value):
        self.cli("-x", "SET", key, stdin=value)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def remove(self):
        self.kill()
        shutil.rmtree(self.root, ignore_errors=True)
