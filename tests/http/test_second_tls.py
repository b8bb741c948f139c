"""rediss:// (spec section 3): a Redis by TLS is one whose certificate is accepted for its name, or it is one that cannot be reached. It
gets no byte before, and nothing is ever sent without TLS instead. Where hiredis has no TLS, rediss:// is an error."""

import json
import re
import ssl
import subprocess
import threading
import time

import pytest

from behaviour import accept
from conftest import new_token
from endpoint import Endpoint
from errorlog import await_until
from pki import openssl
from redis_server import Redis
from server import MODULE, Httpd, free_port
from test_quota import PROVIDER, PROXY, Callers, place, quota, statuses
from test_second import MODULES, SECRET, ask, entries, operations, purge, status, text
from test_second_hostile import FakeRedis, listen, nothing_found
from traffic import by_name


HAS_TLS = b"SSL_connect" in MODULE.read_bytes()
needs_tls = pytest.mark.skipif(not HAS_TLS, reason="the module was built where hiredis has no TLS")


@pytest.fixture
def endpoint():
    server = Endpoint()
    server.default = by_name
    yield server
    server.stop()


@pytest.fixture
def start(endpoint, pki):
    """Starts an httpd with files of the PKI in conf/, below a Redis at that URL. expected: of the log, below error too."""
    made = []

    def start(url, words="cafile=conf/ca.pem", expected=(), env=None):
        httpd = Httpd(modules=MODULES, expected=expected, env=env)
        made.append(httpd)
        write_pki(httpd, pki)
        httpd.configure(text(httpd, endpoint.url(), url, words=words))
        httpd.start()
        return httpd
    yield start
    wrong = [line for httpd in made for line in httpd.stop()]
    for httpd in made:
        httpd.remove()
    assert not wrong, wrong


def write_pki(httpd, pki):
    """As an administrator keeps them: keys are for root alone, who starts httpd."""
    for name in ("ca.pem", "other-ca.pem", "client.pem", "client-foreign.pem"):
        httpd.write("conf/" + name, pki.read(name))
    for name in ("client.key", "client-foreign.key"):
        httpd.write("conf/" + name, pki.read(name)).chmod(0o600)
    httpd.write("conf/client-both.pem", pki.read("client.pem") + pki.read("client.key")).chmod(0o600)


@pytest.fixture
def redis(pki, request):
    """A real Redis that speaks TLS at a second port."""
    options = getattr(request, "param", {})
    port = free_port()
    server = Redis(options.get("password"), [
        "--bind", "127.0.0.1", "-::1", "--tls-port", str(port), "--tls-cert-file", str(pki.path(options.get("certificate", "good") + ".pem")),
        "--tls-key-file", str(pki.path(options.get("certificate", "good") + ".key")), "--tls-ca-cert-file", str(pki.path("ca.pem")),
        "--tls-auth-clients", options.get("clients", "no")])
    server.tls_port = port
    yield server
    server.remove()


def unavailable(why):
    return (rf"LA0052: second-level cache .* is unavailable: {why}",)


def awaits_outage(httpd, why):
    """It goes on without Redis, and says why."""
    def is_left_alone():
        assert ask(httpd, new_token()) == (200, "miss")
        return status(httpd)["shared_cache"]["breaker"]["state"] == "open"
    await_until(is_left_alone, "three failures")
    assert operations(httpd).get("stored", 0) == 0
    line = httpd.log.await_line("LA0052: ").text
    assert re.search(f"is unavailable: .*{why}", line), line


@needs_tls
class TestSharing:
    @pytest.mark.parametrize("redis", [{}, {"password": "s3cret"}], indirect=True, ids=["open", "password"])
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
    def test_a_token_is_shared(self, redis, start, token, host):
        user = f":{redis.password}@" if redis.password else ""
        one, two = (start(f"rediss://{user}{host}:{redis.tls_port}") for _ in range(2))
        assert (ask(one, token), ask(two, token)) == ((200, "miss"), (200, "shared"))
        assert len(entries(redis)) == 1 and operations(two)["hit"] == 1

    def test_the_systems_authorities(self, redis, start, pki, token):
        """Where no file is named; OpenSSL's own variable stands for the system's here."""
        env = {"SSL_CERT_FILE": str(pki.path("ca.pem")), "SSL_CERT_DIR": "/nowhere"}
        one = start(f"rediss://localhost:{redis.tls_port}/2", words="", env=env)
        assert ask(one, token) == (200, "miss") and operations(one)["stored"] == 1
        assert "db2" in redis.cli("INFO", "keyspace")

    def test_connections_are_used_again(self, redis, start):
        """Tickets, which TLS 1.3 sends behind the handshake, are nothing that is left to read."""
        one = start(f"rediss://localhost:{redis.tls_port}")
        with one.connect() as connection:
            for _ in range(40):
                assert connection.get("/v1", token=new_token()).status == 200
        assert operations(one)["stored"] == 40
        made = next(line for line in redis.cli("INFO", "stats").split() if line.startswith("total_connections_received:"))
        assert int(made.split(":")[1]) < 30  # one for each thread, and redis-cli's

    def test_a_large_entry(self, redis, start, endpoint, token):
        """Longer than a record of TLS."""
        endpoint.on(token, accept("alice", {"pad": ["x" * 5600]}))
        one, two = (start(f"rediss://localhost:{redis.tls_port}") for _ in range(2))
        assert (ask(one, token), ask(two, token)) == ((200, "miss"), (200, "shared"))
        assert int(redis.cli("STRLEN", *entries(redis))) > 16384

    def test_purges(self, redis, start):
        one, two = (start(f"rediss://localhost:{redis.tls_port}") for _ in range(2))
        token = new_token()
        assert (ask(one, token), ask(two, token)) == ((200, "miss"), (200, "shared"))
        assert purge(one, "all").json["shared_cache"] == "told"
        await_until(lambda: ask(two, token)[1] != "hit", "the purge to arrive")

    def test_restarted(self, redis, start, token):
        """Connections that Redis has closed are no failures."""
        one = start(f"rediss://localhost:{redis.tls_port}")
        ask(one, token)
        redis.kill()
        redis.start()
        for _ in range(3):
            assert ask(one, new_token()) == (200, "miss")
        assert operations(one)["unavailable"] == 0


@needs_tls
class TestClientCertificate:
    @pytest.mark.parametrize("redis", [{"clients": "yes"}], indirect=True)
    @pytest.mark.parametrize("words", ["certfile=conf/client.pem keyfile=conf/client.key", "certfile=conf/client-both.pem"])
    def test_shown(self, redis, start, token, words):
        one = start(f"rediss://127.0.0.1:{redis.tls_port}", words="cafile=conf/ca.pem " + words)
        assert ask(one, token) == (200, "miss") and len(entries(redis)) == 1

    @pytest.mark.parametrize("redis", [{"clients": "yes"}], indirect=True)
    @pytest.mark.parametrize("words", ["", "certfile=conf/client-foreign.pem keyfile=conf/client-foreign.key"])
    def test_missing(self, redis, start, words):
        one = start(f"rediss://127.0.0.1:{redis.tls_port}", words="cafile=conf/ca.pem " + words, expected=unavailable(".*"))
        awaits_outage(one, "(TLS: .*|it closed the connection|Connection reset by peer)")


@needs_tls
class TestRefused:
    """Row 12, for Redis: no password is sent to whoever it is."""

    @pytest.mark.parametrize("certificate, words, why", [
        ("wrong-name", "cafile=conf/ca.pem", "not accepted for {host}: (hostname|IP address) mismatch"),
        ("foreign", "cafile=conf/ca.pem", "not accepted for {host}: unable to get local issuer"),
        ("good", "cafile=conf/other-ca.pem", "not accepted for {host}: unable to get local issuer"),
        ("good", "", "not accepted for {host}: unable to get local issuer"),
        ("expired", "cafile=conf/ca.pem", "not accepted for {host}: certificate has expired"),
        ("future", "cafile=conf/ca.pem", "not accepted for {host}: certificate is not yet valid"),
        ("client", "cafile=conf/ca.pem", "not accepted for {host}: (unsupported|unsuitable) certificate purpose"),
    ])
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_certificate(self, start, pki, certificate, words, why, host):
        heard = []

        def answer(command):
            heard.append(command)
            return nothing_found(command)
        fake = FakeRedis(answer, tls=pki.server_context(certificate), host=host)
        one = start(f"rediss://:s3cret-of-redis@{host}:{fake.port}", words=words, expected=unavailable(".*"))
        awaits_outage(one, why.format(host=host))
        assert fake.questions and not heard
        assert "s3cret" not in json.dumps(status(one))
        fake.stop()

    def test_old_versions(self, start, pki):
        fake = FakeRedis(nothing_found, tls=pki.server_context("good", maximum=ssl.TLSVersion.TLSv1_1), host="localhost")
        awaits_outage(start(f"rediss://localhost:{fake.port}", expected=unavailable(".*")), "TLS: .*(version|alert)")
        fake.stop()

    def test_no_tls_there(self, redis, start):
        """It is not tried without. It may take the greeting for the beginning of a line, and wait for its end."""
        one = start(f"rediss://localhost:{redis.port}", words="cafile=conf/ca.pem connect_timeout=100ms timeout=100ms",
                    expected=unavailable(".*"))
        awaits_outage(one, "(timeout|TLS: .*)")
        assert not entries(redis)

    def test_tls_there_and_none_here(self, redis, start):
        one = start(f"redis://localhost:{redis.tls_port}", words="", expected=unavailable(".*"))
        awaits_outage(one, ".")

    @pytest.mark.parametrize("host, told", [("localhost", "localhost"), ("127.0.0.1", None)])
    def test_the_name_is_told(self, start, pki, host, told):
        """A server with many certificates chooses by it; an address is none."""
        names = []
        context = pki.server_context("good")
        context.sni_callback = lambda _, name, __: names.append(name)
        fake = FakeRedis(nothing_found, tls=context, host=host)
        ask(start(f"rediss://{host}:{fake.port}", expected=unavailable(".*")), new_token())
        assert set(names) == {told}
        fake.stop()


def accepting(serve):
    """A listener that hands each connection to a thread of its own."""
    listener = listen("localhost")

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    return listener


def say_nothing(connection):
    with connection:
        while connection.recv(4096):
            pass


def trickle(connection):
    """A record of 16 KB, a byte now and then."""
    with connection:
        try:
            connection.sendall(b"\x16\x03\x03\x40\x00")
            while True:
                connection.sendall(b"\x02")
                time.sleep(0.02)
        except OSError:
            pass


def flood(connection):
    """Empty records without end, as fast as they are taken."""
    with connection:
        try:
            while True:
                connection.sendall(b"\x16\x03\x03\x00\x01\x00" * 2000)
        except OSError:
            pass


@needs_tls
class TestHanging:
    """Rows 32 and 33: the handshake is part of connect_timeout."""

    @pytest.mark.parametrize("serve", [say_nothing, trickle, flood], ids=lambda f: f.__name__)
    def test_in_the_handshake(self, start, serve):
        listener = accepting(serve)
        one = start(f"rediss://localhost:{listener.getsockname()[1]}", words="cafile=conf/ca.pem timeout=50ms connect_timeout=50ms",
                    expected=unavailable(".*"))
        awaits_outage(one, "(timeout|TLS: .*)")
        assert status(one)["shared_cache"]["commands"]["count"] >= 3
        listener.close()

    def test_stopped(self, redis, start):
        one = start(f"rediss://localhost:{redis.tls_port}", words="cafile=conf/ca.pem timeout=50ms connect_timeout=50ms",
                    expected=unavailable("timeout"))
        ask(one, new_token())
        redis.pause()
        try:
            for _ in range(5):
                assert ask(one, new_token()) == (200, "miss")
        finally:
            redis.resume()
        assert "timeout" in status(one)["shared_cache"]["last_error"]["text"]


@needs_tls
def test_quotas(pki, redis):
    """Counted by TLS: one budget for two machines."""
    servers = []
    callers = None
    for _ in range(2):
        httpd = Httpd(modules=PROXY)
        if callers:
            callers.write(httpd)
        else:
            callers = Callers(httpd)
        write_pki(httpd, pki)
        httpd.write("conf/secret", SECRET)
        httpd.configure(f"LlamaAuthCacheShared rediss://localhost:{redis.tls_port} cafile=conf/ca.pem timeout=1s connect_timeout=1s\n"
                        "LlamaAuthCacheSecret file:conf/secret\n" + PROVIDER + quota("five", "Requests 5/1h") + place("/five", "five"))
        httpd.start()
        servers.append(httpd)
    found = [statuses(servers[i % 2], "/five", callers["alice"], 1)[0] for i in range(7)]
    wrong = [line for server in servers for line in server.stop()]
    for server in servers:
        server.remove()
    assert found == [404] * 5 + [429] * 2 and not wrong


ERRORS = {
    "a file of authorities that is none": ("cafile=conf/secret", "cafile: .*conf/secret holds no certificate in PEM"),
    "one that is missing": ("cafile=conf/missing.pem", "cafile: .*missing.pem holds no certificate.*No such file"),
    "one without a name": ("cafile=", "cafile names no path"),
    "one named twice": ("cafile=conf/ca.pem cafile=conf/ca.pem", "cafile is given twice"),
    "a certificate that is none": ("certfile=conf/secret", "certfile: .*conf/secret holds no certificate in PEM"),
    "a certificate without its key": ("certfile=conf/client.pem", "keyfile: .*client.pem holds no private key of that certificate"),
    "another's key": ("certfile=conf/client.pem keyfile=conf/client-foreign.key", "keyfile: .*holds no private key of that certificate"),
    "a key without its certificate": ("keyfile=conf/client.key", "keyfile needs certfile"),
    "a key with a passphrase": ("certfile=conf/client.pem keyfile=conf/locked.key", "keyfile: .*without a passphrase"),
    "no verification": ("verify=off", "verify is not known: .*cafile=, certfile= and keyfile="),
}


class TestConfiguration:
    def check(self, bare, pki, line):
        write_pki(bare, pki)
        bare.write("conf/secret", SECRET)
        openssl("pkey", "-in", "client.key", "-aes128", "-passout", "pass:word", "-out", "locked.key", directory=bare.root / "conf")
        bare.configure("LlamaAuthCacheSecret file:conf/secret\n" + line + "\n")
        return bare.check()

    def test_it_is_there_where_hiredis_has_it(self):
        found = subprocess.run(["gcc", "-E", "-"], input=b"#include <hiredis/hiredis_ssl.h>\n", capture_output=True)
        assert HAS_TLS or found.returncode != 0

    @pytest.mark.skipif(HAS_TLS, reason="it is there")
    def test_without_tls(self, bare, pki):
        code, said = self.check(bare, pki, "LlamaAuthCacheShared rediss://:hidden-word@h cafile=conf/ca.pem")
        assert code != 0 and "LlamaAuthCacheShared: rediss:// needs hiredis with TLS (hiredis_ssl), and this module was built without" in said
        assert "hidden-word" not in said

    @needs_tls
    @pytest.mark.parametrize("name", ERRORS)
    def test_error(self, bare, pki, name):
        words, message = ERRORS[name]
        code, said = self.check(bare, pki, f"LlamaAuthCacheShared rediss://:hidden-word@h {words}")
        assert code != 0 and re.search("LlamaAuthCacheShared.*" + message, said), said
        assert "hidden-word" not in said

    @pytest.mark.parametrize("word", ["cafile", "certfile", "keyfile"])
    def test_files_without_tls(self, bare, pki, word):
        code, said = self.check(bare, pki, f"LlamaAuthCacheShared redis://h {word}=conf/client-both.pem")
        assert code != 0 and "are for TLS, of which the URL says rediss://" in said
