"""Spec section 6 under stress: floods of random tokens, restarts under load, and an endpoint that is gone."""

import pytest

import outages
from behaviour import reply
from client import build
from configs import everywhere, location, provider
from conftest import new_token
from errorlog import await_until
from outages import both_statuses
from processes import descriptors, resident, shared_mappings
from server import sanitizer_environment
from test_cache import source
from test_cache_segment import restart
from traffic import Burst, Doorman, Load, by_name, check_own, flood

REALLY_MANY = 100_000


class TestFlood:
    """Row 23: random tokens evict no valid identity, and each costs one call at most."""
    notes = False

    @staticmethod
    def configure(httpd):
        doorman = httpd.endpoints["doorman"] = Doorman()
        return ("LogLevel warn llama_auth:warn\n"
                'Header always set X-Note-cache "expr=%{note:llama_auth.cache}"\n'
                'Header always set X-Note-user "expr=%{REMOTE_USER}"\n'
                "LlamaAuthCacheSize 4M\n" + provider("corp", doorman.url(), "CacheVary none", "CacheTTL 1d") + location("/", "corp"))

    def test_random_tokens(self, httpd):
        doorman = httpd.endpoints["doorman"]
        valid = [new_token("good") for _ in range(200)]
        for token in valid:
            assert httpd.get("/", token=token).status == 200
        assert doorman.calls() == len(valid)
        head, tail = build("GET", "/", token="\0").split(b"\0")
        statuses = flood(httpd.port, (head + b"%x-flood" % (number * 0x9e3779b97f4a7c15 & 0xffffffffffffffff) + tail
                                      for number in range(REALLY_MANY)))
        assert statuses == {401: REALLY_MANY}
        assert doorman.calls() == len(valid) + REALLY_MANY
        for token in valid:
            answer = httpd.get("/", token=token)
            assert (answer.status, source(answer)) == (200, "hit")
        assert doorman.calls() == len(valid) + REALLY_MANY

    def test_the_same_invalid_token(self, httpd):
        """Repeated, it costs one call in all."""
        before = httpd.endpoints["doorman"].calls()
        request = build("GET", "/", token="always-the-same-one")
        assert flood(httpd.port, [request] * 5000) == {401: 5000}
        assert httpd.endpoints["doorman"].calls() == before + 1


class TestRestartsUnderLoad:
    """Row 15: graceful restarts while requests come in."""
    RESTARTS = 50
    expected = ()

    @staticmethod
    def configure(httpd):
        httpd.endpoint().default = by_name
        return ("LogLevel llama_auth:info\nLlamaAuthCacheSize 4M\n" + provider("corp", httpd.endpoint().url(), "CacheVary none", "CacheTTL 200ms") +
                location("/", "corp"))

    @staticmethod
    def footprint(httpd):
        parent, child = httpd.process.pid, httpd.children()[0]
        return {"descriptors of the parent": descriptors(parent), "segments of the parent": len(shared_mappings(parent)),
                "segments of a child": len(shared_mappings(child))}

    def test_nobody_notices(self, httpd):
        tokens = [new_token() for _ in range(40)]

        def choose(chance):
            return "/", chance.choice(tokens) if chance.random() < 0.8 else new_token()
        with Load(httpd, choose, check_own, clients=4, keep=False) as load:
            for number in range(3 + self.RESTARTS):
                if number == 3:  # what is made once is made
                    footprint, memory = self.footprint(httpd), resident(httpd.process.pid)
                before = load.answers
                await_until(lambda: load.failures or load.answers >= before + 30, "answers")
                restart(httpd)
            assert not load.failures, load.failures[0]
        # No more than before; the first look may have met a restart's own descriptor that is gone by now.
        await_until(lambda: all(now <= footprint[what] for what, now in self.footprint(httpd).items()),
                    f"no more than {footprint}")
        if not sanitizer_environment():  # which keeps freed memory for a while
            assert resident(httpd.process.pid) - memory < 50_000 * self.RESTARTS
        assert not httpd.log.since(module="llama_auth", level="error")

    def test_known_caller_is_a_hit_all_along(self, httpd, token):
        """Not one request of a known caller gets to the endpoint, restart or not."""
        httpd.configure(httpd.text.replace("CacheTTL 200ms", "CacheTTL 1h"))
        restart(httpd)
        check_own(token, httpd.get("/", token=token))

        def judge(_, response):
            assert source(response) == "hit", response
        with Load(httpd, lambda chance: ("/", token), judge, clients=2, keep=False) as load:
            for _ in range(3):
                before = load.answers
                await_until(lambda: load.failures or load.answers >= before + 20, "answers")
                restart(httpd)
        assert len(httpd.endpoint().calls_for(token)) == 1


# ---- an endpoint that is gone ------------------------------------------------------------------------------------

TTL = 0.5


class TestOutage:
    """Row 2: with a warm cache an outage is not noticed, until the time is over; then, where CacheStale says so, the
    stale answer. By default an outage is a 401, on the second port a 503."""
    expected = (r"is unavailable",)

    @staticmethod
    def configure(httpd):
        httpd.endpoint().default = by_name
        url, brief = httpd.endpoint().url(), f"CacheTTL {TTL * 1000:.0f}ms"
        long = [provider("stale", url, brief, "CacheStale 1h", "CacheNegativeTTL 300ms", "Breaker off"), provider("brief", url, brief, "Breaker off"),
                provider("late", url, brief, f"CacheStale {TTL * 1000:.0f}ms", "Breaker off")]
        places = "".join(location(f"/{name}", name) + everywhere(httpd, f"/{name}") for name in ("stale", "brief", "late"))
        return "".join(long) + places + outages.host_503(httpd)

    def until_asked(self, httpd, path, token, port=None):
        """Asks until the endpoint is asked again; hits until then. Returns that answer."""
        calls = len(httpd.endpoint().calls_for(token))
        with httpd.connect(port) as connection:
            while True:
                answer = connection.get(path, token=token)
                if len(httpd.endpoint().calls_for(token)) > calls:
                    return answer
                assert (answer.status, source(answer)) == (200, "hit")
                check_own(token, answer)

    def warm(self, httpd, path, token):
        check_own(token, httpd.get(path, token=token))
        httpd.endpoint().on(token, reply(502, b""))

    @both_statuses
    def test_without_stale(self, httpd, token, status):
        self.warm(httpd, "/brief", token)
        outages.check(self.until_asked(httpd, "/brief", token, outages.port(httpd, status)), status, "Authentication failed: 502")
        httpd.endpoint().on(token, by_name)
        check_own(token, httpd.get("/brief", token=token))

    @both_statuses
    def test_stale(self, httpd, token, status):
        self.warm(httpd, "/stale", token)
        port = outages.port(httpd, status)
        for _ in range(5):
            answer = self.until_asked(httpd, "/stale", token, port)
            assert source(answer) == "stale"
            check_own(token, answer)
        httpd.endpoint().on(token, by_name)
        answer = httpd.get("/stale", token=token)
        assert source(answer) == "miss"
        assert source(httpd.get("/stale", token=token)) == "hit"

    def test_stale_ends(self, httpd, token):
        self.warm(httpd, "/late", token)
        answer = self.until_asked(httpd, "/late", token)
        assert source(answer) == "stale" or answer.status == 401
        answer = await_until(lambda: self.refused(httpd, "/late", token), "the stale answer to end")
        assert answer.note("error") == "provider_error"

    @staticmethod
    def refused(httpd, path, token):
        answer = httpd.get(path, token=token)
        return answer if answer.status != 200 else None

    def test_stale_is_for_outages_only(self, httpd, token):
        self.warm(httpd, "/stale", token)
        assert source(self.until_asked(httpd, "/stale", token)) == "stale"
        httpd.endpoint().on(token, reply(403, b""))
        answer = self.until_asked(httpd, "/stale", token)
        assert (answer.status, answer.note("error")) == (401, "invalid_token")
        httpd.endpoint().on(token, reply(502, b""))
        answer = await_until(lambda: self.no_longer(httpd, token), "the rejection to be forgotten")
        assert answer.note("error") == "provider_error"

    @staticmethod
    def no_longer(httpd, token):
        answer = httpd.get("/stale", token=token)
        return None if source(answer) == "negative" else answer

    def test_stale_for_all_who_wait(self, httpd, token):
        self.warm(httpd, "/stale", token)
        self.until_asked(httpd, "/stale", token)
        for answer in Burst(httpd, [("/stale", token)] * 8).read():
            check_own(token, answer)
            assert source(answer) == "stale"

    def test_log_tells_of_the_outage_once(self, httpd):
        """Hits and stale answers say nothing of the endpoint's health: no line comes and goes with them."""
        hot, gone = new_token(), new_token()
        httpd.endpoint().on(gone, reply(502, b""))
        check_own(hot, httpd.get("/stale", token=hot))
        self.warm(httpd, "/stale", hot)
        httpd.get("/stale", token=gone)
        mark = httpd.log.mark()
        for _ in range(10):
            assert httpd.get("/stale", token=gone).status == 401
            check_own(hot, httpd.get("/stale", token=hot))
        lines = [line for line in httpd.log.since(mark, module="llama_auth")
                 if "is unavailable" in line.text or "available again" in line.text]
        assert not lines, lines

    def test_log_tells_of_an_outage_that_stale_answers_hide(self, httpd, token):
        self.warm(httpd, "/stale", token)
        fresh = new_token()
        check_own(fresh, httpd.get("/stale", token=fresh))
        mark = httpd.log.mark()
        assert source(self.until_asked(httpd, "/stale", token)) == "stale"
        httpd.log.await_line(r"provider stale is unavailable: .* answered 502", mark, level="error")


class TestGone:
    """The same with nothing at all behind the address."""
    expected = (r"is unavailable",)

    @staticmethod
    def configure(httpd):
        httpd.endpoint().default = by_name
        return (provider("corp", httpd.endpoint().url(), f"CacheTTL {TTL * 1000:.0f}ms", "CacheStale 1h",
                         "ConnectTimeout 2s") + location("/", "corp") + outages.host_503(httpd))

    def test_warm_and_cold(self, httpd, token):
        check_own(token, httpd.get("/", token=token))
        httpd.endpoints.pop("main").stop()
        seen = []

        def stale():
            answer = httpd.get("/", token=token)
            check_own(token, answer)
            seen.append(source(answer))
            return seen[-1] == "stale"
        await_until(stale, "a stale answer")
        assert set(seen) <= {"hit", "stale"}
        for status in (401, 503):
            outages.check(httpd.get("/", port=outages.port(httpd, status), token=new_token()), status, "Authentication service error")
        assert stale()
