"""Spec section 6, what is kept: where an answer comes from, how long it is used again, and what it depends on. Restarts
and sizes stand in test_cache_segment.py, what happens at the same time in test_cache_flight.py."""

import time

import pytest

from behaviour import Hold, accept, reply
from client import Connection, build
from configs import everywhere, location, provider
from conftest import every_mpm, new_token
from errorlog import await_until
from traffic import Burst, by_name, check_own

ALL_NOTES = ("principal", "client_id", "provider", "attributes", "message", "attribute.roles", "attribute.scopes", "user",
             "type")


def source(response):
    return response.note("cache")


@every_mpm
class TestSources:
    """The note llama_auth.cache, with each value it can have."""
    expected = (r"is unavailable",)

    @staticmethod
    def configure(httpd):
        url = httpd.endpoint().url()
        httpd.endpoint().default = by_name
        return (provider("corp", url, "CacheVary none") + location("/v1", "corp") + everywhere(httpd, "/v1") +
                location("/scope", "corp", lines=("RequireScope a",)) + everywhere(httpd, "/scope") +
                location("/role", "corp", lines=("RequireAttribute roles admin",)) + everywhere(httpd, "/role") +
                provider("brief", url, "CacheTTL 1ms", "CacheStale 1h") + location("/brief", "brief") +
                everywhere(httpd, "/brief") +
                provider("zero", url, "CacheTTL 0", "CacheNegativeTTL 0") + location("/zero", "zero") +
                everywhere(httpd, "/zero"))

    def test_miss_then_hit(self, httpd, token):
        httpd.endpoint().on(token, accept("alice", {"roles": ["a,b", "ü"], "scopes": ["x"]}, message="welcome"))
        first, second = httpd.get("/v1", token=token), httpd.get("/v1", token=token)
        assert (source(first), source(second)) == ("miss", "hit")
        assert first.status == second.status == 200
        for name in ALL_NOTES:
            assert first.note(name) == second.note(name) is not None, name
        assert len(httpd.endpoint().calls_for(token)) == 1

    def test_hit_in_every_process(self, httpd, token):
        httpd.get("/v1", token=token)
        for answer in Burst(httpd, [("/v1", token)] * (httpd.workers // 2)).read():
            check_own(token, answer)
            assert source(answer) == "hit"
        assert len(httpd.endpoint().calls_for(token)) == 1

    def test_hit_over_one_connection(self, httpd):
        """Tokens in turn over a connection that remembers the last one."""
        tokens = [new_token() for _ in range(3)]
        with httpd.connect() as connection:
            for turn in range(4):
                for number, token in enumerate(tokens + tokens[:1] * 2):
                    for path in ("/v1/a", "/v1/b?c=d")[::1 if number % 2 else -1]:  # as the last one, and another
                        answer = connection.get(path, token=token)
                        check_own(token, answer)
                        assert turn == 0 or source(answer) == "hit"
        assert [len(httpd.endpoint().calls_for(token)) for token in tokens] == [1, 1, 1]

    def test_negative(self, httpd, token):
        httpd.endpoint().on(token, reply(403, b""))
        first, second = httpd.get("/v1", token=token), httpd.get("/v1", token=token)
        assert (source(first), source(second)) == ("miss", "negative")
        assert first.status == second.status == 401
        assert first.body == second.body and "Authentication failed: 403" in first.message
        assert first.challenge == second.challenge
        assert first.note("error") == second.note("error") == "invalid_token"
        assert second.note("user") is None and second.note("principal") is None
        assert len(httpd.endpoint().calls_for(token)) == 1

    def test_outage_is_not_kept(self, httpd, token):
        httpd.endpoint().on(token, reply(500, b""))
        for count in (1, 2):
            response = httpd.get("/v1", token=token)
            assert (response.status, response.note("error")) == (401, "provider_error")
            assert source(response) == "miss"
            assert len(httpd.endpoint().calls_for(token)) == count
        httpd.endpoint().on(token, by_name)
        check_own(token, httpd.get("/v1", token=token))

    def test_coalesced(self, httpd, token):
        hold = Hold(by_name)
        httpd.endpoint().on(token, hold)
        burst = Burst(httpd, [("/v1", token)] * (httpd.workers // 2))
        httpd.endpoint().await_call(token)
        hold.release()
        answers = burst.read()
        for answer in answers:
            check_own(token, answer)
        sources = [source(answer) for answer in answers]
        assert sources.count("miss") == 1
        assert set(sources) <= {"miss", "coalesced", "hit"}
        assert len(httpd.endpoint().calls_for(token)) == 1

    def test_stale(self, httpd, token):
        check_own(token, httpd.get("/brief", token=token))
        httpd.endpoint().on(token, reply(500, b""))
        response = await_until(lambda: self.asked_again(httpd, token), "its time to be over")
        assert source(response) == "stale"
        check_own(token, response)

    @staticmethod
    def asked_again(httpd, token):
        response = httpd.get("/brief", token=token)
        return response if len(httpd.endpoint().calls_for(token)) > 1 else None

    def test_off(self, httpd, token):
        for count in (1, 2, 3):
            response = httpd.get("/zero", token=token)
            assert source(response) == "off"
            check_own(token, response)
            assert len(httpd.endpoint().calls_for(token)) == count

    def test_no_note_without_a_look_up(self, httpd):
        assert source(httpd.get("/v1")) is None
        assert source(httpd.get("/v1", headers=[("Authorization", "Basic eDp5")])) is None

    def test_location_is_checked_on_a_hit(self, httpd, token):
        httpd.endpoint().on(token, accept("alice", {"roles": ["dev"], "scopes": ["b"]}))
        assert httpd.get("/v1", token=token).status == 200
        for path, code in (("/scope", "insufficient_scope"), ("/role", "insufficient_attributes")):
            response = httpd.get(path, token=token)
            assert (response.status, response.note("error"), source(response)) == (403, code, "hit")
        allowed = new_token()
        httpd.endpoint().on(allowed, accept("bob", {"roles": ["admin"], "scopes": ["a"]}))
        assert httpd.get("/scope", token=allowed).status == 200
        assert source(httpd.get("/role", token=allowed)) == "hit"
        assert len(httpd.endpoint().calls_for(token)) == 1

    def test_client_that_goes_away(self, httpd, token):
        """Row 25: who asks is gone before the answer; it is kept, and whoever waits for it gets it."""
        hold = Hold(by_name)
        httpd.endpoint().on(token, hold)
        gone = httpd.connect()
        gone.send(build("GET", "/v1", token=token))
        httpd.endpoint().await_call(token)
        waiting = Burst(httpd, [("/v1", token)] * 2)
        gone.close()
        hold.release()
        for answer in waiting.read():
            check_own(token, answer)
        assert source(httpd.get("/v1", token=token)) == "hit"
        assert len(httpd.endpoint().calls_for(token)) == 1


# ---- how long ----------------------------------------------------------------------------------------------

# Between the test's clock and the module's.
SLACK = 0.1


def lifetime(ask, again, seconds, expected):
    """Asks once, then on until the provider is asked again. What was kept is used no longer than `seconds` after it was
    kept, and not shorter; `expected` is the source meanwhile. Returns the first answer that is not from the cache."""
    before = time.monotonic()
    first = ask()
    after = time.monotonic()
    assert source(first) == "miss"
    while True:
        start = time.monotonic()
        response = ask()
        if again():
            assert time.monotonic() > before + seconds - SLACK, "forgotten too early"
            return response
        assert source(response) == expected
        assert start < after + seconds + SLACK, "used for too long"


def age(value):
    return [("Cache-Control", value)]


BRIEF = 0.4

# Provider, answer, seconds, source meanwhile.
LIFETIMES = {
    "CacheTTL": ("brief", by_name, BRIEF, "hit"),
    "CacheNegativeTTL": ("brief", reply(401, b""), BRIEF, "negative"),
    "expires_in": ("long", accept("a", expires_in=1), 1, "hit"),
    "expires_in with a fraction": ("long", accept("a", expires_in=0.5), 0.5, "hit"),
    "expires_in beyond CacheTTL": ("brief", accept("a", expires_in=3600), BRIEF, "hit"),
    "max-age": ("long", reply(200, {"principal": "a"}, age("max-age=1")), 1, "hit"),
    "max-age among others": ("long", reply(200, {"principal": "a"}, age('private, Max-Age="1", x=5')), 1, "hit"),
    "max-age beyond CacheTTL": ("brief", reply(200, {"principal": "a"}, age("max-age=600")), BRIEF, "hit"),
    "max-age below expires_in": ("long", reply(200, {"principal": "a", "expires_in": 60}, age("max-age=1")), 1, "hit"),
    "expires_in below max-age": ("long", reply(200, {"principal": "a", "expires_in": 1}, age("max-age=60")), 1, "hit"),
}

# Answers that are used once.
NOT_KEPT = {
    "no-store": ("long", reply(200, {"principal": "a"}, age("no-store")), 200),
    "no-store among others": ("long", reply(200, {"principal": "a"}, age("max-age=60, NO-STORE")), 200),
    "no-cache": ("long", reply(200, {"principal": "a"}, age("no-cache")), 200),
    "max-age 0": ("long", reply(200, {"principal": "a"}, age("max-age=0")), 200),
    "max-age that is no number": ("long", reply(200, {"principal": "a"}, age("max-age=soon")), 200),
    "expires_in 0": ("long", accept("a", expires_in=0), 200),
    "expires_in below 0": ("long", accept("a", expires_in=-5), 200),
    "CacheTTL 0": ("nottl", by_name, 200),
    "CacheNegativeTTL 0": ("noneg", reply(401, b""), 401),
}


class TestLifetimes:
    """Long and short times; row 22: a revoked token is refused within its time."""

    @staticmethod
    def configure(httpd):
        url = httpd.endpoint().url()
        httpd.endpoint().default = by_name
        kinds = {"brief": (f"CacheTTL {BRIEF * 1000:.0f}ms", f"CacheNegativeTTL {BRIEF * 1000:.0f}ms"),
                 "long": ("CacheTTL 1h", "CacheNegativeTTL 1h"),
                 "nottl": ("CacheTTL 0", "CacheNegativeTTL 1h"), "noneg": ("CacheTTL 1h", "CacheNegativeTTL 0")}
        return "".join(provider(name, url, *options) + location(f"/{name}", name) + everywhere(httpd, f"/{name}")
                       for name, options in kinds.items())

    @pytest.mark.parametrize("name, answer, seconds, expected", LIFETIMES.values(), ids=LIFETIMES.keys())
    def test_used_again(self, httpd, token, name, answer, seconds, expected):
        httpd.endpoint().on(token, answer)
        with httpd.connect() as connection:
            response = lifetime(lambda: connection.get(f"/{name}", token=token),
                                lambda: len(httpd.endpoint().calls_for(token)) > 1, seconds, expected)
        assert source(response) == "miss"

    @pytest.mark.parametrize("name, answer, status", NOT_KEPT.values(), ids=NOT_KEPT.keys())
    def test_not_kept(self, httpd, token, name, answer, status):
        httpd.endpoint().on(token, answer)
        for count in (1, 2):
            response = httpd.get(f"/{name}", token=token)
            assert (response.status, source(response)) == (status, "miss")
            assert len(httpd.endpoint().calls_for(token)) == count

    def test_the_other_kind_is_kept(self, httpd):
        refused = httpd.endpoint().on(new_token(), reply(401, b""))
        assert [source(httpd.get("/nottl", token=refused)) for _ in range(2)] == ["miss", "negative"]
        accepted = new_token()
        assert [source(httpd.get("/noneg", token=accepted)) for _ in range(2)] == ["miss", "hit"]

    def test_revoked(self, httpd, token):
        with httpd.connect() as connection:
            def ask():
                response = connection.get("/brief", token=token)
                httpd.endpoint().on(token, reply(401, b""))
                return response
            response = lifetime(ask, lambda: len(httpd.endpoint().calls_for(token)) > 1, BRIEF, "hit")
        assert (response.status, response.note("error")) == (401, "invalid_token")
        assert source(httpd.get("/brief", token=token)) == "negative"

    def test_admitted_again(self, httpd, token):
        httpd.endpoint().on(token, reply(401, b""))
        with httpd.connect() as connection:
            def ask():
                response = connection.get("/brief", token=token)
                httpd.endpoint().on(token, by_name)
                return response
            response = lifetime(ask, lambda: len(httpd.endpoint().calls_for(token)) > 1, BRIEF, "negative")
        check_own(token, response)
        assert source(httpd.get("/brief", token=token)) == "hit"


# ---- what it depends on ---------------------------------------------------------------------------------------

# CacheVary, what the other request differs in, whether it is answered by the same entry.
VARY = {
    "by default, nothing": (None, {}, True),
    "by default, the path": (None, {"path": "/b?x=1"}, False),
    "by default, the path below": (None, {"path": "/a/?x=1"}, False),
    "by default, an escape in the path": (None, {"path": "/%61?x=1"}, True),
    "by default, a parameter": (None, {"path": "/a?x=2"}, False),
    "by default, no parameters": (None, {"path": "/a?"}, False),
    "by default, a header": (None, {"headers": [("X-Tenant", "red")]}, True),
    "by default, the client": (None, {"client": "127.0.0.2"}, True),
    "none, all": ("none", {"path": "/b?x=2", "headers": [("X-Tenant", "red")], "client": "127.0.0.2"}, True),
    "path, the path": ("path", {"path": "/b?x=1"}, False),
    "path, a parameter": ("path", {"path": "/a?x=2"}, True),
    "params, the path": ("params", {"path": "/b?x=1"}, True),
    "params, a parameter": ("params", {"path": "/a?x=2"}, False),
    "params, their order": ("params", {"path": "/a?y=2&x=1"}, False),
    "header, its value": ("header:X-Tenant", {"headers": [("X-Tenant", "red")]}, False),
    "header, absent": ("header:X-Tenant", {"headers": []}, False),
    "header, empty": ("header:X-Tenant", {"headers": [("X-Tenant", "")]}, False),
    "header, twice": ("header:X-Tenant", {"headers": [("X-Tenant", "blue"), ("X-Tenant", "red")]}, False),
    "header, another one": ("header:X-Tenant", {"headers": [("X-Tenant", "blue"), ("X-Other", "x")]}, True),
    "header, the path": ("header:X-Tenant", {"path": "/b"}, True),
    "client_ip, the client": ("client_ip", {"client": "127.0.0.2"}, False),
    "client_ip, all others": ("client_ip", {"path": "/b?x=2", "headers": []}, True),
    "several, one of them": ("path client_ip header:X-Tenant", {"client": "127.0.0.2"}, False),
    "several, none of them": ("path client_ip header:X-Tenant", {"path": "/a?x=3"}, True),
}
KINDS = sorted({row[0] for row in VARY.values()}, key=str)


class TestVary:
    @staticmethod
    def configure(httpd):
        url = httpd.endpoint().url()
        httpd.endpoint().default = by_name
        return "".join(provider(f"p{n}", url, *([f"CacheVary {kind}"] if kind else [])) + location(f"/p{n}", f"p{n}") +
                       everywhere(httpd, f"/p{n}") for n, kind in enumerate(KINDS))

    @staticmethod
    def ask(httpd, base, token, path="/a?x=1", headers=(("X-Tenant", "blue"),), client="127.0.0.1"):
        with Connection(httpd.port, httpd.secrets, source=client) as connection:
            return connection.get(base + path, token=token, headers=headers)

    @pytest.mark.parametrize("vary, other, same", VARY.values(), ids=VARY.keys())
    def test_vary(self, httpd, token, vary, other, same):
        base = f"/p{KINDS.index(vary)}"
        assert source(self.ask(httpd, base, token)) == "miss"
        answer = self.ask(httpd, base, token, **other)
        check_own(token, answer)
        assert source(answer) == ("hit" if same else "miss")
        assert source(self.ask(httpd, base, token)) == "hit"
        assert len(httpd.endpoint().calls_for(token)) == (1 if same else 2)

    def test_allowed_here_says_nothing_of_there(self, httpd, token):
        """The endpoint sees the path, and lets this caller in at one of them only."""
        def judge(peer, call):
            allowed = call.json["request"]["path"].endswith("/a")
            (by_name if allowed else reply(403, b""))(peer, call)
        httpd.endpoint().on(token, judge)
        base = f"/p{KINDS.index(None)}"
        with httpd.connect() as connection:
            for path, status in (("/a", 200), ("/b", 401), ("/a", 200), ("/b", 401), ("/b/a", 200), ("/b/", 401)):
                assert connection.get(base + path, token=token).status == status, path
