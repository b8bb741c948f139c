"""Forgetting what quotas counted, by a POST to the status page: which counters go, who may ask, and Redis."""

import threading

import pytest

from redis_server import Redis
from server import Httpd
from test_quota import PROVIDER, Callers, place, quota, statuses
from test_second import SECRET
from test_status import ADMIN, FORM, guarded, status_location

MODULES = ("proxy", "proxy_http", "authn_file", "auth_basic")
SECOND = quota("one", "Requests 1/1h", "Rate 1/1h") + quota("two", "Requests 1/1h") + quota("teams", "By attribute:teams", "Requests 1/1h")
PLACES = "".join(place(f"/{name}", name) for name in ("one", "two", "teams"))


def reset(httpd, what, path="/status", headers=(ADMIN, FORM), **more):
    return httpd.request("POST", path, headers=headers, body=f"quota={what}".encode(), **more)


def fill(*servers):
    """Uses up everything of both callers, on the first server, and sees it on all of them."""
    for path in ("/one", "/two", "/teams"):
        for name in ("alice", "bob"):
            statuses(servers[0], path, servers[0].callers[name], 1)
    for server in servers:
        assert used(server) == {"/one alice", "/one bob", "/two alice", "/two bob", "/teams alice", "/teams bob"}


def used(httpd):
    """Where whom a quota refuses now; whoever is not refused is charged."""
    found = set()
    for path in ("/one", "/two", "/teams"):
        for name in ("alice", "bob"):
            if statuses(httpd, path, httpd.callers[name], 1) == [429]:
                found.add(f"{path} {name}")
    return found


ALL = {"/one alice", "/one bob", "/two alice", "/two bob", "/teams alice", "/teams bob"}
CASES = [
    ("all", {"/teams bob"}, 8),  # alice and bob share team b, so the first to ask uses it up for both
    ("one", ALL - {"/one alice", "/one bob"}, 4),
    ("two", ALL - {"/two alice", "/two bob"}, 2),
    ("teams", ALL - {"/teams alice"}, 2),
    ("principal:alice", ALL - {"/one alice", "/two alice"}, 3),
    ("principal%3Aalice", ALL - {"/one alice", "/two alice"}, 3),
    ("principal:nobody", ALL, 0),
    ("principal:a*", ALL, 0),
]


class TestHere:
    modules = MODULES

    @staticmethod
    def configure(httpd):
        httpd.callers = Callers(httpd)
        host = httpd.listen()
        return (PROVIDER + SECOND + PLACES + guarded(httpd) + status_location("/open", "Require all granted") +
                status_location("/bearer", "AuthType Bearer", "LlamaAuthUse keys", "Require valid-user") +
                f"<VirtualHost 127.0.0.1:{host}>\nServerName other.example\n{quota('three', 'Requests 1/1h')}</VirtualHost>\n")

    @pytest.mark.parametrize("what, left, count", CASES)
    def test_forgets(self, httpd, what, left, count):
        reset(httpd, "all")
        fill(httpd)
        answer = reset(httpd, what)
        assert (answer.status, answer.json) == (200, {"forgotten": count, "shared_cache": "none"})
        assert used(httpd) == left

    @pytest.mark.parametrize("what, expected", [
        ("", 400), ("three", 200), ("nobody", 400), ("one two", 400), ("principal:", 400), ("client_ip", 400), ("ALL", 400), ("one*", 400),
        ("all&quota=all", 400), ("all&purge=all", 400), ("one%00", 400), ("x" * 5000, 400)])
    def test_names(self, httpd, what, expected):
        fill(httpd)
        assert reset(httpd, what).status == expected
        assert used(httpd) == ALL

    @pytest.mark.parametrize("path, headers, expected", [
        ("/open", (FORM,), 403), ("/open", (ADMIN, FORM), 403), ("/status", (FORM,), 401),
        ("/status", (ADMIN, FORM, ("Origin", "https://evil.example")), 403), ("/status", (ADMIN, FORM, ("Sec-Fetch-Site", "cross-site")), 403)])
    def test_who_may(self, httpd, path, headers, expected):
        fill(httpd)
        assert reset(httpd, "all", path, headers).status == expected
        assert used(httpd) == ALL

    def test_not_by_get(self, httpd):
        fill(httpd)
        httpd.get("/status?quota=all", headers=(ADMIN,))
        answer = httpd.request("PUT", "/status?quota=all", headers=(ADMIN,))
        assert answer.status == 405 and "POST" in answer.header("Allow")
        assert used(httpd) == ALL

    def test_in_the_query(self, httpd):
        assert httpd.request("POST", "/status?quota=two", headers=(ADMIN,)).status == 200

    def test_by_a_bearer(self, httpd):
        assert reset(httpd, "two", "/bearer", (("Authorization", f"Bearer {httpd.callers['dave']}"), FORM)).status == 200

    def test_htaccess(self, httpd):
        """An .htaccess that makes a page a status page lets nobody reset."""
        httpd.write("htdocs/mine/.htaccess", "SetHandler llama-auth-status\nAuthType Basic\nAuthName m\nAuthUserFile " +
                    f"{httpd.root}/conf/passwords\nRequire user admin\n")
        httpd.write("htdocs/mine/index.html", "mine\n")
        httpd.configure(self.configure(httpd) + f'<Directory "{httpd.root}/htdocs">\nAllowOverride All\n</Directory>\n')
        httpd.graceful()
        fill(httpd)
        assert reset(httpd, "all", "/mine/index.html").status == 403
        assert used(httpd) == ALL

    def test_log(self, httpd):
        fill(httpd)
        mark = httpd.log.mark()
        reset(httpd, "principal:alice")
        assert "admin reset quota principal:alice: 3 counters forgotten" in httpd.log.await_line("LA0300", mark).text


class TestPermits:
    modules = MODULES

    @staticmethod
    def configure(httpd):
        httpd.callers = Callers(httpd)
        backend = httpd.endpoint("slow")
        httpd.held = threading.Semaphore(0)
        httpd.entered = threading.Semaphore(0)

        def answer(peer, call):
            httpd.entered.release()
            httpd.held.acquire(timeout=20)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        backend.default = answer
        return (PROVIDER + quota("one", "Concurrent 1") + guarded(httpd) +
                place("/slow", "one").replace("</Location>", f"ProxyPass http://127.0.0.1:{backend.port}/\n</Location>"))

    def test_stay(self, httpd):
        thread = threading.Thread(target=httpd.get, args=("/slow",), kwargs={"token": httpd.callers["alice"]})
        thread.start()
        assert httpd.entered.acquire(timeout=20)
        assert reset(httpd, "all").status == 200
        assert httpd.get("/slow", token=httpd.callers["alice"]).status == 429
        httpd.held.release()
        thread.join()


def test_nobody_guards_it(bare):
    bare.configure(status_location("/status", "Require all granted"))
    bare.start()
    try:
        assert reset(bare, "all").status == 403
    finally:
        assert not bare.stop()


class Machines:
    """Two servers with one Redis, and a prefix that is a pattern in Redis's eyes."""
    PREFIX = "la[*]?^x-"

    def __init__(self):
        self.redis = Redis(None)
        self.servers = []
        for _ in range(2):
            httpd = Httpd(modules=MODULES, expected=(r"second-level cache .* is unavailable",))
            self.servers.append(httpd)
            httpd.callers = self.servers[0].callers if len(self.servers) > 1 else Callers(httpd)
            httpd.callers.write(httpd)
            httpd.write("conf/secret", SECRET)
            httpd.configure(f'LlamaAuthCacheShared redis://127.0.0.1:{self.redis.port} timeout=2s connect_timeout=2s "prefix={self.PREFIX}"\n'
                            "LlamaAuthCacheSecret file:conf/secret\n" + PROVIDER + SECOND + quota("here", "Shared off", "Requests 1/1h") +
                            PLACES + place("/here", "here") + guarded(httpd))
            httpd.start()

    def end(self):
        wrong = [line for server in self.servers for line in server.stop()]
        for server in self.servers:
            server.remove()
        self.redis.remove()
        assert not wrong, wrong


@pytest.fixture
def machines():
    made = Machines()
    try:
        yield made
    finally:
        made.end()


@pytest.mark.parametrize("what, left, count", CASES)
def test_both_machines(machines, what, left, count):
    """What one machine is told to forget, the other one forgets with its next question to Redis."""
    first, second = machines.servers
    fill(first, second)
    answer = reset(second, what)
    assert (answer.status, answer.json) == (200, {"forgotten": count, "shared_cache": "told"})
    assert used(first) == left
    assert used(second) == ALL  # asked anew on the first one


def test_only_ours(machines):
    """A prefix of wildcards stands for itself: what others keep in the same Redis is left alone."""
    first, _ = machines.servers
    fill(first)
    name = next(key for key in machines.redis.keys("*q:*"))
    strange = {"lax*y-" + name[len(name.split("q:")[0]):]: "hash", "laXXq:0:1": "string"}
    for key, kind in strange.items():
        machines.redis.cli(*(("HSET", key, "u", "7", "e", "1") if kind == "hash" else ("SET", key, "7")))
    assert reset(first, "all").status == 200
    assert [machines.redis.cli("HGET", key, "u") if kind == "hash" else machines.redis.cli("GET", key) for key, kind in strange.items()] == ["7", "7"]
    for key in machines.redis.keys("*q:*"):
        if key not in strange:
            kind = machines.redis.cli("TYPE", key)
            assert (machines.redis.cli("HGET", key, "u") if kind == "hash" else machines.redis.cli("GET", key)) == "0"
            assert 0 < int(machines.redis.cli("PTTL", key)) <= 3600 * 1000 + 1


MAKE = "for i = 1, 5000 do redis.call('HSET', ARGV[1] .. i, 'u', '5', 'e', '9') end"
COUNT = ("local n = 0 for _, k in ipairs(redis.call('KEYS', '*q:0123456789abcdef:*')) do "
         "if redis.call('HGET', k, 'u') == '0' then n = n + 1 end end return n")


def test_many(machines):
    """More counters than one SCAN shows."""
    first, _ = machines.servers
    fill(first)
    machines.redis.cli("EVAL", MAKE, "0", machines.redis.keys("*q:*")[0].split("q:")[0] + "q:0123456789abcdef:")
    assert machines.redis.cli("EVAL", COUNT, "0") == "0"
    assert reset(first, "all").status == 200
    assert machines.redis.cli("EVAL", COUNT, "0") == "5000"


def test_unreachable(machines):
    """This machine forgets; the answer says that the others do not know."""
    first, _ = machines.servers
    fill(first)
    machines.redis.kill()
    answer = reset(first, "one")
    assert (answer.status, answer.json) == (502, {"forgotten": 4, "shared_cache": "unreachable"})
    assert used(first) == ALL - {"/one alice", "/one bob"}
    assert reset(first, "here").status == 200  # is counted here alone
