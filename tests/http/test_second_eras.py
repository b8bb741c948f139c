"""A purge that was answered holds, whatever becomes of Redis (targets.md, row 26): it loses a word, is emptied, restored, restarted, replaced
by another, or written to by somebody else, while calls are under way or not."""

import pytest

from behaviour import Hold, accept, reply
from conftest import new_token
from errorlog import await_until
from redis_server import Redis
from server import client_id
from test_second import Machines, ask, entries, purge, status, text
from traffic import build, by_name

ERA, EPOCH = "llama_auth:era", "llama_auth:epoch"


@pytest.fixture
def machines():
    made = Machines()
    yield made
    made.end()


@pytest.fixture
def endpoint():
    from endpoint import Endpoint
    server = Endpoint()
    server.default = by_name
    yield server
    server.stop()


EXPECTED = ("LA0054", "LA0052", "LA0057")


def position(redis):
    return redis.cli("GET", ERA), redis.cli("GET", EPOCH)


def heard(*servers):
    """Waits until each of them has asked Redis for purges since now."""
    before = [(server, status(server)["shared_cache"]["commands"]["count"]) for server in servers]
    for server, count in before:
        await_until(lambda: status(server)["shared_cache"]["commands"]["count"] > count + 1, "the next poll")


def revoked(endpoint, server, token):
    """At the provider, and by a purge."""
    endpoint.on(token, reply(401))
    answer = purge(server, f"client_id:{client_id(token)}")
    assert answer.status == 200 and answer.json["shared_cache"] == "told", answer.json


def snapshot(redis):
    """All that is there, as somebody who can read and write it keeps it."""
    return {key: redis.get(key) for key in redis.keys()}


def write(redis, kept):
    for key, value in kept.items():
        redis.set(key, value)


LOSSES = {
    "the number alone": lambda redis: redis.cli("DEL", EPOCH),
    "the era alone": lambda redis: redis.cli("DEL", ERA),
    "both": lambda redis: redis.cli("DEL", ERA, EPOCH),
    "everything": lambda redis: redis.cli("FLUSHALL"),
    "the number is text": lambda redis: redis.cli("SET", EPOCH, "many"),
    "the number is none": lambda redis: redis.cli("SET", EPOCH, "0"),
    "the number is the last": lambda redis: redis.cli("SET", EPOCH, str(2**63 - 1)),
    "the number is lower": lambda redis: redis.cli("SET", EPOCH, "1"),
    "the number is a list": lambda redis: (redis.cli("DEL", EPOCH), redis.cli("RPUSH", EPOCH, "x")),
    "the era is text": lambda redis: redis.cli("SET", ERA, "x" * 32),
    "the era is of the far future": lambda redis: redis.cli("SET", ERA, "7" + "f" * 15 + redis.cli("GET", ERA)[16:]),
    "the era is of another server": lambda redis: redis.cli("SET", ERA, redis.cli("GET", ERA)[:16] + "0" * 16),
}


class TestLosses:
    @pytest.mark.parametrize("loss", LOSSES)
    def test_entries_of_before_are_never_believed(self, machines, endpoint, loss):
        """Not when numbers repeat either: her entry was stored at the third number, and the third comes again."""
        one, two = machines.add(endpoint.url(), expected=EXPECTED), machines.add(endpoint.url(), expected=EXPECTED)
        alice = new_token("alice")
        for _ in range(2):
            purge(one, "principal:nobody")
        assert ask(one, alice) == (200, "miss") and len(entries(machines.redis)) == 1
        before = machines.redis.cli("GET", ERA)
        entry = {key: machines.redis.get(key) for key in entries(machines.redis)}
        LOSSES[loss](machines.redis)
        revoked(endpoint, one, alice)
        write(machines.redis, entry)
        assert machines.redis.cli("GET", ERA) != before
        for _ in range(4):
            assert ask(one, alice)[0] == ask(two, alice)[0] == 401
            assert purge(two, "principal:nobody").json["shared_cache"] == "told"

    @pytest.mark.parametrize("loss", LOSSES)
    def test_what_is_cached_goes_on_every_machine(self, machines, endpoint, loss):
        one, two = machines.add(endpoint.url(), expected=EXPECTED), machines.add(endpoint.url(), expected=EXPECTED)
        alice = new_token("alice")
        for _ in range(2):  # the first may be what begins the era, and the number is 1 then
            purge(one, "principal:nobody")
        assert (ask(one, alice), ask(two, alice)) == ((200, "miss"), (200, "shared"))
        LOSSES[loss](machines.redis)
        endpoint.on(alice, reply(401))
        for server in (one, two):
            await_until(lambda: ask(server, alice)[0] == 401, "it to notice")

    @pytest.mark.parametrize("loss", ["the number alone", "everything"])
    def test_a_call_under_way_is_not_kept(self, machines, endpoint, loss):
        one, two = machines.add(endpoint.url(), expected=EXPECTED), machines.add(endpoint.url(), expected=EXPECTED)
        for _ in range(2):
            purge(one, "principal:nobody")
        hold = Hold(accept("alice", {}))
        alice = endpoint.on(new_token("alice"), hold)
        with one.connect() as waiting:
            waiting.send(build("GET", "/v1", token=alice))
            endpoint.await_call(alice)
            LOSSES[loss](machines.redis)
            revoked(endpoint, two, alice)
            heard(one)
            hold.release()
            assert waiting.read().status == 200
        assert ask(one, alice)[0] == ask(two, alice)[0] == 401

    def test_quiet_while_nothing_is_lost(self, machines, endpoint):
        """Polls, misses, new machines and graceful restarts change no position and drop nothing."""
        one, two = machines.add(endpoint.url()), machines.add(endpoint.url())
        alice = new_token("alice")
        ask(one, alice)
        before, drops = position(machines.redis), status(one)["cache"]["purges"]
        ask(two, alice)
        three = machines.add(endpoint.url())
        assert ask(three, alice) == (200, "shared")
        two.graceful()
        heard(one, two, three)
        assert ask(two, alice) == ask(one, alice) == ask(three, alice) == (200, "hit")
        assert position(machines.redis) == before and status(one)["cache"]["purges"] == drops

    def test_a_purge_is_precise_where_it_was_asked_for(self, machines, endpoint):
        one = machines.add(endpoint.url())
        alice, bob = new_token("alice"), new_token("bob")
        ask(one, alice), ask(one, bob)
        heard(one)
        revoked(endpoint, one, alice)
        heard(one)
        assert ask(one, bob) == (200, "hit") and ask(one, alice)[0] == 401


class TestAnotherServer:
    def test_restored_and_nobody_else_knows(self, machines, endpoint):
        """The machine that took the purge is gone with what it knew: the server that was restored is another process."""
        one = machines.add(endpoint.url(), expected=EXPECTED)
        alice = new_token("alice")
        ask(one, alice)
        machines.redis.cli("SAVE")
        revoked(endpoint, one, alice)
        one.stop()
        machines.redis.kill()
        machines.redis.start()
        assert len(entries(machines.redis)) == 1
        two = machines.add(endpoint.url(), expected=EXPECTED)
        assert ask(two, alice)[0] == 401

    @pytest.mark.parametrize("there", ["prefix", "database", "server", "none"])
    def test_and_back(self, machines, endpoint, there):
        """A graceful restart to another place and one back, where her entry still lies; she is purged between."""
        other = Redis() if there == "server" else machines.redis
        place, words = {"prefix": (machines.redis.port, "prefix=other:"), "database": (f"{machines.redis.port}/1", ""),
                        "server": (other.port, ""), "none": (0, "")}[there]
        one = machines.add(endpoint.url(), expected=EXPECTED)
        home = text(one, endpoint.url(), f"redis://127.0.0.1:{machines.redis.port}")
        away = text(one, endpoint.url(), f"redis://127.0.0.1:{place}", words=words)
        if there == "none":
            away = "\n".join(line for line in away.splitlines() if not line.startswith("LlamaAuthCache"))
        alice = new_token("alice")
        try:
            assert ask(one, alice) == (200, "miss")
            one.configure(away)
            one.graceful()
            assert ask(one, alice)[1] == "miss"
            endpoint.on(alice, reply(401))
            assert purge(one, f"client_id:{client_id(alice)}").status == 200
            one.configure(home)
            one.graceful()
            assert ask(one, alice)[0] == 401
            two = machines.add(endpoint.url(), expected=EXPECTED)

            def shared():
                """A process that comes back later may begin an era of its own once more."""
                bob = new_token("bob")
                return ask(one, bob)[0] == 200 and ask(two, bob) == (200, "shared")
            await_until(shared, "what one machine stores to serve the other")
            assert ask(two, alice)[0] == 401
        finally:
            if other is not machines.redis:
                other.remove()

    def test_numbers_of_another_place(self, machines, endpoint):
        """A machine that knows of five purges elsewhere comes to a place where the third and fourth were hers."""
        one = machines.add(endpoint.url(), words="prefix=old:", expected=EXPECTED)
        other = machines.add(endpoint.url(), words="prefix=new:", expected=EXPECTED)
        alice = new_token("alice")
        for _ in range(5):
            purge(one, "principal:nobody")
        purge(other, "principal:nobody")
        assert ask(other, alice) == (200, "miss")
        revoked(endpoint, other, alice)
        purge(other, "principal:nobody")
        one.configure(text(one, endpoint.url(), f"redis://127.0.0.1:{machines.redis.port}", words="prefix=new:"))
        one.graceful()
        assert ask(one, alice)[0] == 401

    def test_another_size_of_the_cache(self, machines, endpoint):
        """The new segment does not know what the old one did."""
        one = machines.add(endpoint.url(), expected=EXPECTED)
        alice = new_token("alice")
        ask(one, alice)
        kept = snapshot(machines.redis)
        revoked(endpoint, one, alice)
        one.configure("LlamaAuthCacheSize 16M\n" + text(one, endpoint.url(), f"redis://127.0.0.1:{machines.redis.port}"))
        write(machines.redis, kept)
        one.graceful()
        assert ask(one, alice)[0] == 401


class TestWriter:
    def test_everything_is_put_back(self, machines, endpoint):
        """As it was before the purge: entries, number and era."""
        one, two = machines.add(endpoint.url(), expected=EXPECTED), machines.add(endpoint.url(), expected=EXPECTED)
        alice = new_token("alice")
        assert (ask(one, alice), ask(two, alice)) == ((200, "miss"), (200, "shared"))
        kept = snapshot(machines.redis)
        revoked(endpoint, one, alice)
        heard(two)
        for _ in range(3):
            write(machines.redis, kept)
            assert ask(one, alice)[0] == ask(two, alice)[0] == 401

    def test_an_era_of_before_is_put_back(self, machines, endpoint):
        """With its entries, after a new era in which she was purged."""
        one = machines.add(endpoint.url(), expected=EXPECTED)
        alice = new_token("alice")
        ask(one, alice)
        kept = snapshot(machines.redis)
        machines.redis.cli("FLUSHALL")
        heard(one)
        revoked(endpoint, one, alice)
        write(machines.redis, kept)
        assert ask(one, alice)[0] == 401
        heard(one)
        assert machines.redis.get(ERA) != kept[ERA] and ask(one, alice)[0] == 401


class TestUnreachable:
    def test_a_purge_that_could_not_be_told_is_told_later(self, machines, endpoint):
        """Answered with 502; it holds where it was asked for, and everywhere once Redis answers again, which has lost nothing."""
        one, two = machines.add(endpoint.url(), expected=EXPECTED), machines.add(endpoint.url(), expected=EXPECTED)
        alice = new_token("alice")
        assert (ask(one, alice), ask(two, alice)) == ((200, "miss"), (200, "shared"))
        endpoint.on(alice, reply(401))
        machines.redis.pause()
        try:
            answer = purge(one, f"client_id:{client_id(alice)}")
        finally:
            machines.redis.resume()
        assert answer.status == 502 and answer.json["shared_cache"] == "unreachable"
        assert len(entries(machines.redis)) == 1
        assert ask(one, alice)[0] == 401
        await_until(lambda: ask(two, alice)[0] == 401, "the other machine to hear of it")

    def test_news_come_through_an_open_breaker(self, machines, endpoint):
        """Redis is back, and the breaker is open still: requests go on without it, purges arrive."""
        one, two = machines.add(endpoint.url(), expected=EXPECTED), machines.add(endpoint.url(), expected=EXPECTED)
        alice = new_token("alice")
        ask(two, alice)
        machines.redis.pause()
        while status(two)["shared_cache"]["breaker"]["state"] != "open":
            ask(two, new_token())
        machines.redis.resume()
        revoked(endpoint, one, alice)
        await_until(lambda: ask(two, alice)[0] == 401, "the other machine to hear of it", patience=4)
        assert status(two)["shared_cache"]["breaker"]["state"] == "open"

    def test_too_large_for_a_cache(self, machines, endpoint, token):
        """What no machine can keep does not lie in Redis, to be fetched for each request."""
        endpoint.on(token, accept("alice", {"roles": [f"{number}" * 1000 for number in range(10, 30)]}))
        one = machines.add(endpoint.url())
        for _ in range(2):
            assert ask(one, token) == (200, "miss")
        assert not entries(machines.redis)
