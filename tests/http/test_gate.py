"""Breaker and MaxConcurrent: what no request may do to an endpoint that is down or slow, and what an endpoint
that is down or slow may not do to those who do not need it. All processes together."""

import threading
import time

import pytest

from behaviour import Hold, hang, reply
from configs import everywhere, location, provider
from conftest import every_mpm, new_token
from errorlog import await_until
from test_cache import source
from traffic import Burst, Load, by_name, check_own

ERROR = "Authentication service error"
DOWN = reply(503, b"")


def check_outage(answer, status=503):
    assert (answer.status, answer.note("error")) == (status, "provider_error"), answer
    assert answer.note("user") is None


def check_refused(answer, most=30):
    """What is said while no call is made."""
    check_outage(answer)
    assert answer.message == ERROR
    assert 1 <= int(answer.header("Retry-After")) <= most


@every_mpm
class TestBreaker:
    """Each test has a provider of its own: what is open stays open."""
    expected = (r"is unavailable",)
    OPEN_S = 0.6

    @staticmethod
    def configure(httpd):
        httpd.endpoint().default = by_name
        url = httpd.endpoint().url()
        brief = f"Breaker 3 {TestBreaker.OPEN_S * 1000:.0f}ms"
        kinds = {"hour": ("Breaker 3 1h",), "shared": ("Breaker 1 1h",), "slow": ("Breaker 2 1h", "Timeout 100ms"),
                 "five": ("Breaker 1 5s",), "second": ("Breaker 1 1100ms",),
                 "probe": (brief,), "again": (brief,), "never": ("Breaker off",),
                 "mixed": ("Breaker 3 1h",), "stale": ("Breaker 1 1h", "CacheTTL 1ms", "CacheStale 1h"),
                 "warm": ("Breaker 1 1h",), "one": ("Breaker 1 1h",), "apart": ("Breaker 1 1h",),
                 "other": ("Breaker 1 1h",), "default": ("Breaker 5 10s",)}
        httpd.other = httpd.listen()
        return ("LlamaAuthOutageStatus 503\n" +
                "".join(provider(name, url, *options) + location(f"/{name}", name) + everywhere(httpd, f"/{name}")
                        for name, options in kinds.items()).replace("Breaker 5 10s\n", "") +  # the default
                f"<VirtualHost 127.0.0.1:{httpd.other}>\nServerName 127.0.0.1\nLlamaAuthOutageStatus 401\n</VirtualHost>\n")

    def ask(self, httpd, name, behaviour=by_name, port=None):
        """One request with a new token. Returns the answer and whether it made a call."""
        token = httpd.endpoint().on(new_token(), behaviour)
        answer = httpd.get(f"/{name}", token=token, port=port)
        return answer, len(httpd.endpoint().calls_for(token)) == 1

    def fail(self, httpd, name, times, behaviour=DOWN):
        for _ in range(times):
            answer, called = self.ask(httpd, name, behaviour)
            assert answer.status == 503 and called

    @pytest.mark.parametrize("name, failures", [("hour", 3), ("default", 5)])
    def test_opens(self, httpd, name, failures):
        mark = httpd.log.mark()
        self.fail(httpd, name, failures)
        httpd.log.await_line(f"provider {name}: no calls for a while, its breaker opened", mark, level="warn")
        for _ in range(5):
            answer, called = self.ask(httpd, name)
            check_refused(answer)
            assert not called
        assert source(answer) == "miss"

    def test_open_for_all_processes(self, httpd):
        self.fail(httpd, "shared", 1)
        before = len(httpd.endpoint().calls)
        for answer in Burst(httpd, [("/shared", new_token()) for _ in range(httpd.workers // 2)]).read():
            check_refused(answer)
            assert answer.header("Retry-After") == "30"
        assert len(httpd.endpoint().calls) == before

    def test_timeouts_count(self, httpd):
        self.fail(httpd, "slow", 2, hang)
        answer, called = self.ask(httpd, "slow")
        check_refused(answer)
        assert not called

    def test_retry_after(self, httpd):
        """By the breaker, and so for the outage that opens it."""
        opened, called = self.ask(httpd, "five", DOWN)
        assert called and opened.header("Retry-After") == "5"
        check_refused(self.ask(httpd, "five")[0], most=5)

    def test_retry_after_of_a_probe(self, httpd):
        """A probe that fails closes the door for as long again."""
        self.fail(httpd, "second", 1)

        def probe():
            answer, called = self.ask(httpd, "second", DOWN)
            return answer if called else None
        assert await_until(probe, "a probe").header("Retry-After") == "2"

    def test_default_status(self, httpd):
        """Where outages are 401s."""
        self.fail(httpd, "one", 1)
        answer, called = self.ask(httpd, "one", port=httpd.other)
        check_outage(answer, 401)
        assert answer.message == ERROR and "error" not in answer.challenge and not called

    def test_others_are_asked(self, httpd):
        self.fail(httpd, "apart", 1)
        assert not self.ask(httpd, "apart")[1]
        answer, called = self.ask(httpd, "other")
        assert answer.status == 200 and called

    def test_answers_between(self, httpd):
        """Only outages in a row count; a rejection is an answer."""
        for behaviour in (by_name, reply(403, b"")):
            self.fail(httpd, "mixed", 2)
            assert self.ask(httpd, "mixed", behaviour)[1]
        self.fail(httpd, "mixed", 3)
        assert not self.ask(httpd, "mixed")[1]

    def test_off(self, httpd):
        self.fail(httpd, "never", 12)
        assert self.ask(httpd, "never")[0].status == 200

    def await_call(self, httpd, name, behaviour):
        """Asks until a call is made, and is under way; those before it are refused. Returns the request."""
        while True:
            token = httpd.endpoint().on(new_token(), behaviour)
            burst = Burst(httpd, [(f"/{name}", token)])
            while not httpd.endpoint().calls_for(token) and not burst.answered():
                pass
            if httpd.endpoint().calls_for(token):
                return burst
            check_refused(burst.read()[0])

    def test_one_probe(self, httpd):
        before = time.monotonic()
        self.fail(httpd, "probe", 3)
        hold, mark = Hold(by_name), httpd.log.mark()
        probe = self.await_call(httpd, "probe", hold)
        assert time.monotonic() - before > self.OPEN_S - 0.1
        calls = len(httpd.endpoint().calls)
        for answer in Burst(httpd, [("/probe", new_token()) for _ in range(httpd.workers // 2 - 1)]).read():
            check_refused(answer)
        assert len(httpd.endpoint().calls) == calls
        hold.release()
        assert probe.read()[0].status == 200
        httpd.log.await_line("provider probe: its breaker closed", mark, level="notice")
        for answer in Burst(httpd, [("/probe", new_token()) for _ in range(httpd.workers // 2)]).read():
            assert answer.status == 200

    def test_failed_probe(self, httpd):
        self.fail(httpd, "again", 3)
        for _ in range(2):
            before = time.monotonic()
            hold = Hold(DOWN)
            probe = self.await_call(httpd, "again", hold)
            hold.release()
            check_outage(probe.read()[0])
        assert time.monotonic() - before > self.OPEN_S - 0.1
        assert self.await_call(httpd, "again", by_name).read()[0].status == 200
        assert self.ask(httpd, "again")[0].status == 200

    def test_stale_while_open(self, httpd, token):
        check_own(token, httpd.get("/stale", token=token))
        self.fail(httpd, "stale", 1)

        def served():
            answer = httpd.get("/stale", token=token)
            check_own(token, answer)
            return source(answer) == "stale"
        await_until(served, "its time to be over")
        for _ in range(5):
            assert served()
        assert len(httpd.endpoint().calls_for(token)) == 1
        check_refused(self.ask(httpd, "stale")[0])

    def test_hits_while_open(self, httpd, token):
        refused = httpd.endpoint().on(new_token(), reply(403, b""))
        check_own(token, httpd.get("/warm", token=token))
        httpd.get("/warm", token=refused)
        self.fail(httpd, "warm", 1)
        answer = httpd.get("/warm", token=token)
        check_own(token, answer)
        assert source(answer) == "hit"
        answer = httpd.get("/warm", token=refused)
        assert (answer.status, source(answer)) == (401, "negative")


# ---- the limit ---------------------------------------------------------------------------------------------------


class Counted:
    """Answers after a while, and knows how many calls were under way at once."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds
        self.lock = threading.Lock()
        self.inside = self.most = self.calls = 0
        self.released = threading.Event()

    def __call__(self, peer, call):
        with self.lock:
            self.inside += 1
            self.calls += 1
            self.most = max(self.most, self.inside)
        if not self.seconds:
            while not self.released.wait(0.05) and not peer.endpoint.stopping.is_set():
                pass
        elif peer.wait(self.seconds):
            return
        with self.lock:
            self.inside -= 1
        by_name(peer, call)


LIMIT = 3


def limited(httpd):
    url = httpd.endpoint().url()
    return ("LlamaAuthOutageStatus 503\n" +
            provider("wide", url, f"MaxConcurrent {LIMIT}", "ConnectTimeout 30s") + location("/wide", "wide") +
            everywhere(httpd, "/wide") +
            provider("narrow", url, "MaxConcurrent 1", "ConnectTimeout 300ms", "Breaker 1 1h") +
            location("/narrow", "narrow") + everywhere(httpd, "/narrow"))


@every_mpm
class TestLimit:
    processes = 4
    expected = (r"is unavailable",)

    @staticmethod
    def configure(httpd):
        return limited(httpd)

    def test_never_more(self, httpd):
        """As many as may wait come at once; all are served, a few at a time."""
        counted = httpd.endpoint().default = Counted(0.02)
        tokens = [new_token() for _ in range(httpd.workers // 2)]
        for token, answer in zip(tokens, Burst(httpd, [("/wide", token) for token in tokens]).read()):
            check_own(token, answer)
        assert counted.calls == len(tokens)
        assert 1 <= counted.most <= LIMIT

    def test_waits_in_vain(self, httpd):
        """ConnectTimeout for a permit; that is no failure of the endpoint's, so its breaker stays closed."""
        hold, first, second = Hold(by_name), new_token(), new_token()
        httpd.endpoint().default = by_name
        httpd.endpoint().on(first, hold)
        burst = Burst(httpd, [("/narrow", first)])
        httpd.endpoint().await_call(first)
        start = time.monotonic()
        check_refused(httpd.get("/narrow", token=second))
        assert time.monotonic() - start > 0.25
        assert not httpd.endpoint().calls_for(second)
        hold.release()
        check_own(first, burst.read()[0])
        check_own(second, httpd.get("/narrow", token=second))

    def test_waits_with_success(self, httpd):
        hold, first, second = Hold(by_name), new_token(), new_token()
        httpd.endpoint().default = by_name
        httpd.endpoint().on(first, hold)
        burst = Burst(httpd, [("/wide", first)] + [("/wide", httpd.endpoint().on(new_token(), hold))
                                                   for _ in range(LIMIT - 1)])
        httpd.endpoint().await_call(first)
        late = Burst(httpd, [("/wide", second)])
        hold.release()
        check_own(second, late.read()[0])
        assert all(answer.status == 200 for answer in burst.read())


class TestQueue:
    """More than may wait: half of the workers call or wait, the others are told at once, and remain for those who need
    no call."""
    processes = 4
    expected = (r"is unavailable",)

    @staticmethod
    def configure(httpd):
        return limited(httpd)

    def test_who_may_not_even_wait(self, httpd):
        counted = httpd.endpoint().default = Counted()
        tokens = [new_token() for _ in range(httpd.workers - 8)]
        too_many = len(tokens) - httpd.workers // 2
        burst = Burst(httpd, [("/wide", token) for token in tokens])
        await_until(lambda: burst.answered() == too_many and counted.calls == LIMIT, "refusals and calls")
        assert counted.most == LIMIT
        counted.released.set()
        answers = burst.read()
        assert sorted(answer.status for answer in answers) == [200] * (httpd.workers // 2) + [503] * too_many
        for token, answer in zip(tokens, answers):
            if answer.status == 200:
                check_own(token, answer)
            else:
                check_refused(answer)
        assert counted.calls == httpd.workers // 2


class TestHangingEndpoint:
    """The endpoint never answers, and random tokens keep coming: known callers do not notice."""
    expected = (r"is unavailable",)

    @staticmethod
    def configure(httpd):
        return (provider("corp", httpd.endpoint().url(), "MaxConcurrent 4", "Timeout 60s", "ConnectTimeout 20s",
                         "Breaker off", "CacheVary none") + location("/", "corp"))

    def test_known_callers(self, httpd):
        known = [new_token() for _ in range(10)]
        httpd.endpoint().default = by_name
        for token in known:
            check_own(token, httpd.get("/", token=token))
        hold = httpd.endpoint().default = Hold(reply(403, b""))

        def judge(token, answer):
            assert answer.status == 401
        with Load(httpd, lambda chance: ("/", new_token("random")), judge, clients=12, keep=False):
            await_until(lambda: len(httpd.endpoint().calls) >= len(known) + 4, "calls that hang")
            for number in range(200):
                start = time.monotonic()
                answer = httpd.get("/", token=known[number % len(known)])
                check_own(known[number % len(known)], answer)
                assert source(answer) == "hit"
                assert time.monotonic() - start < 10
            assert len(httpd.endpoint().calls) == len(known) + 4
            hold.release()
