"""A private httpd for a test class: its own ServerRoot, a free loopback port, one MPM, started in the
foreground as a child of the tests and stopped by pid. Also `httpd -t` for the configuration tests."""

import base64
import grp
import hashlib
import json
import os
import pwd
import random
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import deque
from pathlib import Path

from client import Connection, Visitor
from endpoint import Endpoint
from errorlog import ErrorLog, await_until

ROOT = Path(__file__).resolve().parents[2]
MODULE = Path(os.environ.get("LA_MODULE", ROOT / ".build" / "release" / "mod_llama_auth.so")).resolve()
BASE_MODULES = ("authn_core", "authz_core", "authz_host", "authz_user", "alias", "dir", "mime", "headers", "env")
NOTES = ("principal", "client_id", "provider", "attributes", "message", "cache", "error", "model", "mcp",
         "attribute.roles", "attribute.teams", "attribute.scopes")
THREADS = 8


def apxs(name):
    tool = shutil.which("apxs") or shutil.which("apxs2")
    assert tool, "apxs is missing: apt-get install apache2-dev"
    return subprocess.run([tool, "-q", name], capture_output=True, text=True, check=True).stdout.strip()


def find_httpd():
    if "LA_HTTPD" in os.environ:
        return os.environ["LA_HTTPD"]
    return os.path.join(apxs("SBINDIR"), apxs("PROGNAME"))


HTTPD = find_httpd()
MODULES = apxs("LIBEXECDIR")

# A child that crashes shows where (crash.py).
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)


def sanitizer_environment():
    """An instrumented module needs its runtimes loaded first."""
    kind = next((kind for kind in ("asan", "tsan") if f"/{kind}/" in str(MODULE)), None)
    names = {"asan": ("libasan.so", "libubsan.so"), "tsan": ("libtsan.so",), None: ()}[kind]
    found = [subprocess.run(["gcc", f"-print-file-name={n}"], capture_output=True, text=True).stdout.strip() for n in names]
    if kind == "tsan":
        log = Path(os.environ["LA_SANITIZER_LOGS"]) / "log"
        return {"LD_PRELOAD": found[0], "TSAN_OPTIONS": f"report_signal_unsafe=0:history_size=4:exitcode=0:log_path={log}"}
    if not kind:
        return {}
    found += filter(None, [os.environ.get("LA_APR")])  # an APR to take the place of the system's
    return {"LD_PRELOAD": ":".join(found), "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}


# The last ports that were given out, each held by the name of a socket, which is free again when this process ends.
HELD = deque(maxlen=200)


def free_port():
    """A port below those that the kernel gives to outgoing connections: one of them could take it before httpd does. Of test
    processes that run side by side each has its share of the ports; whatever their shares, none is given a port that another holds."""
    share, shares = map(int, os.environ.get("LA_SHARE", "0/1").split("/"))
    while True:
        port = random.randrange(10000 + share, 32768, shares)
        held = socket.socket(socket.AF_UNIX)
        try:
            held.bind(f"\0la-test-port-{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            held.close()
            continue
        HELD.append(held)
        return port


def unprivileged():
    """User and group that httpd's children run as when the tests run as root."""
    for user, group in (("www-data", "www-data"), ("nobody", "nogroup"), ("nobody", "nobody")):
        try:
            return pwd.getpwnam(user), grp.getgrnam(group)
        except KeyError:
            pass
    raise AssertionError("no unprivileged user to run httpd as")


def key_entry(key, principal, attributes=None, name=None, **more):
    """One entry of a static provider's file (spec section 4)."""
    entry = {"id": name or principal, "sha256": hashlib.sha256(key.encode()).hexdigest(), "principal": principal}
    if attributes is not None:
        entry["attributes"] = attributes
    return {**entry, **more}


def client_id(token):
    return hashlib.sha256(token if isinstance(token, bytes) else token.encode()).hexdigest()[:32]


def is_running(stat):
    """Whether a thread's state in its stat file is R."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "R"
    except (OSError, IndexError):  # it has ended
        return False


class Httpd:
    """Life: made, configured with write() and configure(), start(), requests, stop(), remove()."""

    def __init__(self, mpm="event", modules=(), processes=2, expected=(), env=None, notes=True, module=True):
        self.root = Path(tempfile.mkdtemp(prefix="la-http-"))
        self.root.chmod(0o755)
        self.mpm = mpm
        self.modules = BASE_MODULES + tuple(modules)
        self.processes = processes
        # Of event's own, where processes of an older generation still take places.
        self.expected = ["server reached MaxRequestWorkers setting", "AH03490: scoreboard is full", *expected]
        self.env = dict(env or {})
        self.notes = notes
        self.module = module
        self.port = free_port()
        self.ports = [self.port]
        self.process = None
        self.secrets = set()
        self.endpoints = {}
        self.text = ""
        for name in ("conf", "htdocs", "logs", "run", "cores"):
            (self.root / name).mkdir()
        (self.root / "cores").chmod(0o777)  # a child writes its own
        self.write("htdocs/index.html", "hello\n")
        self.write("conf/mime.types", "text/html html\ntext/plain txt\n")
        self.log = ErrorLog(self.root / "logs" / "error.log", self.root / "logs" / "stderr.log", cores=self.root / "cores", program=HTTPD)

    # ---- before the start ------------------------------------------------------------------------

    def write(self, path, content):
        """A file below the ServerRoot; replaced in one step, as an administrator should do it."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(target.name + ".new")
        temporary.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.replace(temporary, target)
        return target

    def write_keys(self, path, *entries):
        return self.write(path, json.dumps({"keys": list(entries)}, indent=1))

    def write_passwords(self, path, **users):
        def line(user, password):
            digest = base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()
            return f"{user}:{{SHA}}{digest}\n"
        return self.write(path, "".join(line(u, p) for u, p in users.items()))

    def endpoint(self, name="main", **arguments):
        """The endpoint of that name, started on first use and stopped with the server."""
        if name not in self.endpoints:
            self.endpoints[name] = Endpoint(**arguments)
        return self.endpoints[name]

    def listen(self):
        """One more port, for a virtual host."""
        self.ports.append(free_port())
        return self.ports[-1]

    def configure(self, text):
        self.text = text
        self.write("conf/test.conf", text)
        self.write("conf/httpd.conf", self.skeleton())

    def skeleton(self):
        lines = [f'ServerRoot "{self.root}"', "ServerName 127.0.0.1", "DefaultRuntimeDir run", "PidFile run/httpd.pid",
                 "CoreDumpDirectory cores"]
        lines += [f"Listen 127.0.0.1:{port}" for port in self.ports]
        lines += [f"LoadModule {m}_module {MODULES}/mod_{m}.so" for m in (f"mpm_{self.mpm}", *self.modules)]
        if self.module:
            lines.append(f"LoadModule llama_auth_module {self.reachable_module()}")
        if os.geteuid() == 0:
            user, group = unprivileged()
            lines += [f"User {user.pw_name}", f"Group {group.gr_name}"]
        lines += [
            "TypesConfig conf/mime.types", 'DocumentRoot "htdocs"', "ErrorLog logs/error.log",
            "LogLevel info" + (" llama_auth:trace8" if self.module else ""),
            'LogFormat "%>s %u %{llama_auth.principal}n %{llama_auth.error}n %r" test',
            *self.accept_mutex(),
            "CustomLog logs/access.log test", "Timeout 30", "GracefulShutdownTimeout 5", "KeepAliveTimeout 30", "MaxKeepAliveRequests 0",
            *self.mpm_lines()]
        if self.notes:
            lines += [f'Header always set X-Note-{n.replace(".", "-").replace("_", "-")} "expr=%{{note:llama_auth.{n}}}"'
                      for n in NOTES]
            lines += ['Header always set X-Note-user "expr=%{REMOTE_USER}"',
                      'Header always set X-Note-type "expr=%{AUTH_TYPE}"']
        lines.append("Include conf/test.conf")
        return "\n".join(lines) + "\n"

    def reachable_module(self):
        """The module where httpd's User can read it too: the clone may be in a home that others may not enter."""
        copy = self.root / "mod_llama_auth.so"
        if not copy.exists():
            shutil.copy(MODULE, copy)
        return copy

    def accept_mutex(self):
        """Under valgrind, which loses sight of the owner of a pthread mutex; event has none."""
        return ["Mutex fcntl mpm-accept"] if "LA_HTTPD" in os.environ and self.mpm != "event" else []

    @property
    def workers(self):
        """Threads that can run requests, all processes together."""
        return self.processes * THREADS

    def mpm_lines(self):
        if self.mpm == "prefork":
            return [f"StartServers {self.workers // 2}", f"MaxRequestWorkers {self.workers}", "MinSpareServers 2"]
        return [f"StartServers {self.processes}", f"ServerLimit {self.processes}", f"ThreadsPerChild {THREADS}",
                f"MaxRequestWorkers {self.workers}", "MinSpareThreads 1", f"MaxSpareThreads {self.workers}"]

    # ---- the process -----------------------------------------------------------------------------

    def environment(self):
        return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LANG": "C.UTF-8", **sanitizer_environment(), **self.env}

    def command(self, *arguments):
        return [HTTPD, "-d", str(self.root), "-f", str(self.root / "conf" / "httpd.conf"), *arguments]

    def check(self, user=None):
        """`httpd -t`: exit status and everything it said."""
        done = subprocess.run(self.command("-t"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                              env=self.environment(), user=user, cwd=self.root)
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def start(self):
        for endpoint in self.endpoints.values():
            endpoint.secrets = self.secrets
        stderr = open(self.root / "logs" / "stderr.log", "ab")
        with stderr:
            self.process = subprocess.Popen(self.command("-DFOREGROUND"), stdin=subprocess.DEVNULL, stdout=stderr,
                                            stderr=stderr, env=self.environment(), cwd=self.root,
                                            start_new_session=True)  # it signals its whole group when it ends
        await_until(self.serving, "httpd to serve")

    def serving(self):
        """httpd listens while it reads its configuration a second time, so only its log says that it is ready."""
        if self.process.poll() is not None:
            raise AssertionError("httpd did not start:\n" + self.log.everything().decode("utf-8", "replace"))
        return any("resuming normal operations" in line.text for line in self.log.since())

    def graceful(self, how=signal.SIGUSR1):
        """Restarts, and waits until the new generation serves."""
        mark = self.log.mark()
        self.process.send_signal(how)
        self.log.await_line("resuming normal operations", mark)

    def children(self):
        """The pids of the server's child processes."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
            return [int(pid) for pid in file.read().split()]

    def stop(self):
        """Ends the server; returns what its log says was wrong."""
        if self.process is None:
            return []
        wrong = []
        if self.process.poll() is not None:
            wrong.append(f"httpd was gone, status {self.process.returncode}")
        else:
            self.settle()
            # Gracefully: on SIGTERM httpd's event MPM frees sockets under its worker threads, which now and then
            # ends a child with a segmentation fault of its own (in apr_os_sock_get).
            self.process.send_signal(signal.SIGWINCH)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                wrong.append("httpd did not end within 30 s of SIGWINCH")
        self.process = None
        return wrong + self.log.verdict(self.expected, self.secrets)

    def settle(self):
        """Gives httpd the time to close the connections that its clients have left, a second at most: the event MPM crashes now
        and then when SIGHUP or SIGTERM meets a worker thread that is just doing so (crash.py)."""
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline and (self.open_connections() or self.running_threads()):
            time.sleep(0.005)

    def running_threads(self):
        """Threads of the children that run or wait for a processor: those that wait for work sleep."""
        return sum(is_running(task) for pid in self.children() for task in Path(f"/proc/{pid}/task").glob("*/stat"))

    def open_connections(self):
        """Connections that this server has not closed."""
        with open("/proc/net/tcp") as file:
            rows = [line.split()[1:4:2] for line in file][1:]
        ports = {f"{port:04X}" for port in self.ports}
        return sum(own.split(":")[1] in ports and state in ("01", "08") for own, state in rows)

    def remove(self):
        for endpoint in self.endpoints.values():
            endpoint.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    # ---- requests --------------------------------------------------------------------------------

    def connect(self, port=None):
        return Connection(port or self.port, self.secrets)

    def visitor(self):
        return Visitor(self.connect)

    def request(self, method, path, port=None, **arguments):
        with self.connect(port) as connection:
            return connection.request(method, path, **arguments)

    def get(self, path, **arguments):
        return self.request("GET", path, **arguments)

    def expect(self, *patterns):
        """Declares error lines that belong to the test from here on."""
        self.expected += patterns

    def logged(self, text, count):
        """The lines of the access log with that text, once there are so many, in any order: each is written after its answer, by
        one of several processes."""
        def lines():
            return [line for line in self.access_lines() if text in line]
        await_until(lambda: len(lines()) >= count, f"{count} access log lines with {text!r}")
        return lines()

    def access_lines(self):
        path = self.root / "logs" / "access.log"
        return path.read_text("utf-8", "replace").splitlines() if path.exists() else []
