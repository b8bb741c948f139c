"""Quotas counted in a Redis that Sentinel looks after: a failover under load admits nobody beyond a limit by more than what was in flight."""

import threading

import pytest

from errorlog import await_until
from sentinel_server import Replicated
from server import Httpd
from test_quota import PROVIDER, PROXY, Callers, place, quota
from test_second import SECRET

LIMIT = 1000000
CLIENTS = 4


@pytest.fixture
def group():
    made = Replicated()
    yield made
    made.remove()


@pytest.fixture
def servers(group):
    made = []
    callers = None
    for _ in range(2):
        httpd = Httpd(modules=PROXY, expected=("LA0052", "LA0054"))
        made.append(httpd)
        if callers:
            callers.write(httpd)
        else:
            callers = Callers(httpd)
        httpd.key = callers["alice"]
        httpd.write("conf/secret", SECRET)
        httpd.configure(f"LlamaAuthCacheShared {group.url()} timeout=1s connect_timeout=1s\nLlamaAuthCacheSecret file:conf/secret\n" +
                        PROVIDER + quota("deny", "Outage deny", f"Requests {LIMIT}/1h") + quota("local", f"Requests {LIMIT}/1h") +
                        place("/deny", "deny") + place("/local", "local"))
        httpd.start()
    yield made
    wrong = [line for httpd in made for line in httpd.stop()]
    for httpd in made:
        httpd.remove()
    assert not wrong, wrong


class Load:
    """Clients that ask without a pause, half of them each server; the connection is kept."""

    def __init__(self, servers, path):
        self.ending = threading.Event()
        self.answers = []
        self.failures = []
        self.threads = [threading.Thread(target=self.run, args=(servers[number % len(servers)], path)) for number in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self, server, path):
        try:
            with server.visitor() as visitor:
                while not self.ending.is_set():
                    self.answers.append(visitor.get(path, token=server.key).status)
        except BaseException as error:
            self.failures.append(error)

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join()
        assert not self.failures, self.failures[0]
        return self.answers


def counted(redis):
    """What all counters there add up to: there is one, of alice."""
    return sum(int(redis.cli("HGET", key, "u")) for key in redis.keys("*:q:*"))


# Two machines that refuse while they know of no master; one machine, that counts alone meanwhile.
@pytest.mark.parametrize("path, machines", [("/deny", 2), ("/local", 1)])
@pytest.mark.parametrize("way", ["planned", "killed", "stopped"])
def test_under_load(group, servers, way, path, machines):
    """What was admitted was counted, but for what was in flight at the change: the new master knows it."""
    load = Load(servers[:machines], path)
    await_until(lambda: load.answers.count(404) > 100, "some answers")
    group.fail_over(way)
    group.await_failover()

    def counts_there():
        before = counted(group.second)
        asked = load.answers.count(404)
        await_until(lambda: load.answers.count(404) > asked + 50, "requests to be admitted", patience=60)
        return counted(group.second) > before
    await_until(counts_there, "the new master to be used", patience=60)
    asked = load.answers.count(404)
    await_until(lambda: load.answers.count(404) > asked + 200, "each machine to have used it")
    found = load.end()
    # What was counted alone is told again if the first time it was not answered: never too little.
    lost = found.count(404) - counted(group.second)
    assert set(found) <= {404, 503} and lost <= CLIENTS, lost
    assert path == "/local" or lost >= -CLIENTS, lost
