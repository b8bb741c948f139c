"""Quotas counted in Redis: one budget for two machines, and what becomes of it when Redis is away, empty, full or slow."""

import threading

import pytest

from errorlog import await_until
from redis_server import Redis
from server import Httpd
from test_quota import PROVIDER, PROXY, Callers, items, place, quota, statuses
from test_second import SECRET
from usage_backend import UsageBackend

AWAY = (r"second-level cache .* is unavailable",)
QUOTAS = (quota("five", "Requests 5/1h") + quota("ten", "Requests 10/1d aligned") + quota("rate", "Rate 6/1h burst=3") +
          quota("tokens", "Tokens 100/1h", "Reserve 10") + quota("here", "Shared off", "Requests 2/1h") +
          quota("open", "Outage allow", "Requests 5/1h") + quota("shut", "Outage deny", "Requests 5/1h") + quota("fifty", "Requests 50/1h") +
          quota("many", "By attribute:teams", *(f"Requests {n}/{n}h" for n in range(9, 3, -1))))
NAMES = ("five", "ten", "rate", "here", "open", "shut", "fifty", "many")


class Machines:
    """Servers of one company: one Redis, one backend, the same keys."""

    def __init__(self, redis_options=()):
        self.redis = Redis(None, redis_options)
        self.backend = UsageBackend()
        self.servers = []
        self.callers = None
        for _ in range(2):
            self.add()

    def add(self):
        httpd = Httpd(modules=PROXY, expected=AWAY)
        if self.callers:
            self.callers.write(httpd)
        else:
            self.callers = Callers(httpd)
        httpd.write("conf/secret", SECRET)
        httpd.configure(f"LlamaAuthCacheShared redis://127.0.0.1:{self.redis.port} timeout=1s connect_timeout=1s\n"
                        "LlamaAuthCacheSecret file:conf/secret\n" + PROVIDER + QUOTAS + "".join(place(f"/{n}", n) for n in NAMES) +
                        place("/mixed", "here five") + place("/tokens", "tokens", backend=self.backend))
        self.servers.append(httpd)
        httpd.start()

    def end(self):
        wrong = [line for server in self.servers for line in server.stop()]
        for server in self.servers:
            server.remove()
        self.backend.stop()
        self.redis.remove()
        assert not wrong, wrong


@pytest.fixture
def machines(request):
    made = Machines(**getattr(request, "param", {}))
    try:
        yield made
    finally:
        made.end()


@pytest.mark.parametrize("path, most", [("/five", 5), ("/ten", 10), ("/rate", 3)])
def test_one_budget(machines, path, most):
    key = machines.callers["alice"]
    found = [machines.servers[i % 2].get(path, token=key) for i in range(most + 2)]
    assert [a.status for a in found] == [404] * most + [429] * 2
    left = [list(items(a.header("RateLimit")).values())[0]["r"] for a in found]
    assert left == list(range(most - 1, -1, -1)) + [0, 0]
    assert int(found[-1].header("Retry-After")) > 100
    assert statuses(machines.servers[0], path, machines.callers["bob"], 1) == [404]


def test_many_counters(machines):
    """A request is charged to a dozen counters in one call."""
    key = machines.callers["alice"]
    found = [machines.servers[i % 2].get("/many", token=key).status for i in range(6)]
    assert found == [404] * 4 + [429] * 2


def test_not_shared(machines):
    for server in machines.servers:
        assert statuses(server, "/here", machines.callers["alice"], 3) == [404, 404, 429]


def test_parallel(machines):
    found = []

    def ask(server):
        found.extend(statuses(server, "/fifty", machines.callers["alice"], 10))
    threads = [threading.Thread(target=ask, args=(machines.servers[i % 2],)) for i in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [404] * 50 + [429] * 50


def tokens_left(answer):
    return items(answer.header("RateLimit"))["tokens.tokens"]["r"]


def test_tokens(machines):
    """What one machine's answer used, the other one knows."""
    first, second = machines.servers
    key = machines.callers["alice"]
    assert tokens_left(first.get("/tokens/stream", token=key)) == 90
    await_until(lambda: "30" in machines.redis.cli("HGET", machines.redis.keys("*q:*")[0], "u"), "the settlement")
    assert tokens_left(second.get("/tokens/none", token=key)) == 60


def test_names(machines):
    """Redis learns neither who is counted nor for what."""
    statuses(machines.servers[0], "/five", machines.callers["alice"], 1)
    names = machines.redis.keys("*q:*")
    assert len(names) == 1 and "alice" not in names[0] and "five" not in names[0]
    assert 0 < int(machines.redis.cli("PTTL", names[0]).split()[-1]) <= 3600 * 1000 + 1


@pytest.mark.parametrize("way", ["killed", "stopped"])
def test_away(machines, way):
    """local goes on from what this machine saw last; allow does not limit; deny refuses."""
    server, other = machines.servers
    key = machines.callers["alice"]
    assert statuses(server, "/five", key, 2) + statuses(other, "/five", key, 1) == [404] * 3
    assert statuses(server, "/five", key, 1) == [404]
    (machines.redis.kill if way == "killed" else machines.redis.pause)()
    try:
        assert statuses(server, "/five", key, 2) == [404, 429]
        answer = server.get("/open", token=key)
        assert answer.status == 404 and answer.header("RateLimit") is None
        refused = server.get("/shut", token=key)
        assert (refused.status, refused.message) == (503, "Quota service unavailable")
        assert refused.note("error") == "quota_error" and 1 <= int(refused.header("Retry-After")) <= 30
    finally:
        machines.redis.resume()


def test_emptied(machines):
    """Counts that Redis lost go on from what a machine remembers."""
    server, other = machines.servers
    key = machines.callers["alice"]
    assert statuses(server, "/five", key, 4) == [404] * 4
    machines.redis.cli("FLUSHALL")
    assert statuses(server, "/five", key, 2) == [404, 429]
    assert statuses(other, "/five", key, 1) == [429]


def test_restarted(machines):
    server = machines.servers[0]
    key = machines.callers["alice"]
    assert statuses(server, "/rate", key, 2) == [404] * 2
    machines.redis.kill()
    machines.redis.start()
    assert statuses(server, "/rate", key, 2) == [404, 429]


@pytest.mark.parametrize("machines", [{"redis_options": ("--maxmemory", "1", "--maxmemory-policy", "noeviction")}], indirect=True)
def test_full(machines):
    """A Redis that takes nothing more is one that does not answer."""
    server = machines.servers[0]
    assert statuses(server, "/five", machines.callers["alice"], 6) == [404] * 5 + [429]
    assert server.get("/shut", token=machines.callers["alice"]).status == 503


def fill(machines, is_full):
    """A full Redis refuses to count, and keeps what it has."""
    machines.redis.cli("CONFIG", "SET", "maxmemory", "1" if is_full else "0")


@pytest.mark.parametrize("path, before, alone, after", [("/five", 2, 2, 1), ("/five", 2, 3, 0), ("/rate", 1, 1, 1), ("/ten", 3, 5, 2)])
def test_back(machines, path, before, alone, after):
    """What was counted here alone, Redis is told when it is back: a caller's requests never add up to more."""
    server, other = machines.servers
    key = machines.callers["alice"]
    machines.redis.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert statuses(server, path, key, before) == [404] * before
    fill(machines, True)
    assert statuses(server, path, key, alone) == [404] * alone
    fill(machines, False)
    assert statuses(server, path, key, after + 1) == [404] * after + [429]
    assert statuses(other, path, key, 1) == [429]


def test_settled_alone(machines):
    """Tokens that could not be settled in Redis are told it later; until then this machine knows them."""
    server, other = machines.servers
    key = machines.callers["alice"]

    def answer(peer, call):
        fill(machines, True)
        machines.backend.answer(peer, call)
    assert tokens_left(server.get("/tokens/none", token=key)) == 90
    await_until(lambda: machines.redis.cli("HGET", machines.redis.keys("*q:*")[0], "u").strip() == "0", "Reserve to be given back")
    machines.backend.default = answer
    assert tokens_left(server.get("/tokens/stream", token=key)) == 90
    machines.backend.default = machines.backend.answer
    await_until(lambda: tokens_left(server.get("/tokens/none", token=key)) == 60, "the settlement")
    fill(machines, False)
    await_until(lambda: tokens_left(server.get("/tokens/none", token=key)) == 60, "Redis to be told")
    assert tokens_left(other.get("/tokens/none", token=key)) == 60


def test_settled_here_too(machines):
    """What Redis was told of tokens, this machine goes on from."""
    server = machines.servers[0]
    key = machines.callers["alice"]
    server.get("/tokens/stream", token=key)
    await_until(lambda: "30" in machines.redis.cli("HGET", machines.redis.keys("*q:*")[0], "u"), "the settlement")
    machines.redis.cli("FLUSHALL")
    await_until(lambda: tokens_left(server.get("/tokens/none", token=key)) == 60, "what was settled")


def test_deny_is_emptied(machines):
    server = machines.servers[0]
    key = machines.callers["alice"]
    assert statuses(server, "/shut", key, 4) == [404] * 4
    machines.redis.cli("FLUSHALL")
    assert statuses(server, "/shut", key, 2) == [404, 429]


def test_fields_of_a_refusal_here(machines):
    """A limit of this machine refuses before Redis is asked; the fields tell what is left there all the same."""
    server = machines.servers[0]
    key = machines.callers["alice"]
    answer = [server.get("/mixed", token=key) for _ in range(3)][-1]
    assert answer.status == 429
    assert {n: i["r"] for n, i in items(answer.header("RateLimit")).items()} == {"here.requests": 0, "five.requests": 3}
    refused = items(server.get("/mixed", token=key).header("RateLimit"))
    assert refused["five.requests"]["r"] == 3


def test_no_fields_of_what_is_unknown(machines):
    machines.redis.kill()
    answer = machines.servers[0].get("/shut", token=machines.callers["alice"])
    assert answer.status == 503 and answer.header("RateLimit") is None and answer.header("x-ratelimit-limit-requests") is None


def test_garbage(machines):
    """Values of others under our names are no counts, and end nothing."""
    server = machines.servers[0]
    key = machines.callers["alice"]
    statuses(server, "/five", key, 1)
    name = machines.redis.keys("*q:*")[0]
    for command in (("HSET", name, "u", "x", "e", "y"), ("HSET", name, "u", "-5"), ("HSET", name, "e", "1e300", "u", "1e300")):
        machines.redis.cli(*command)
        assert server.get("/five", token=key).status in (404, 429)
    machines.redis.cli("DEL", name)
    machines.redis.cli("SET", name, "text")  # of another type: the script fails
    assert server.get("/five", token=key).status in (404, 429)
