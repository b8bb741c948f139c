"""Spec section 6, single flight: one call for all who ask the same at the same time, in all threads and processes,
whatever becomes of the one that makes it."""

import os
import random
import signal
from collections import Counter

import pytest

from behaviour import Hold, reply
from configs import everywhere, location, provider
from conftest import every_mpm, new_token
from errorlog import KILLED, await_until
from processes import owner_of
from traffic import Burst, Load, by_name, check_own

MANY = 500


def sources(answers):
    return sorted(answer.note("cache") for answer in answers)


def check_sources(answers, late):
    """One made the call and the others waited for it; who was so slow that it had ended found it in the cache."""
    counts = Counter(sources(answers))
    assert counts["miss"] == 1 and counts["coalesced"] + counts[late] == len(answers) - 1, counts
    assert counts["coalesced"] > len(answers) // 2, counts


def busy(httpd):
    """Workers that work on a request, the one that tells it included."""
    lines = httpd.get("/server-status?auto").body.decode().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("BusyWorkers:"))


def await_busy(httpd, count):
    """Waits until so many requests, and the one that asks, are under way."""
    await_until(lambda: busy(httpd) > count, f"{count} requests to be under way")


STATUS = '<Location "/server-status">\nSetHandler server-status\n</Location>\n'


class TestMany:
    """Row 24: 500 requests with one new token, 4 processes, an endpoint that takes at least 300 ms. They are fewer than half of the
    workers, and than the threads of one process, which may get them all: it keeps one free (workers.c)."""
    processes = 4
    expected = (r"is unavailable",)

    @staticmethod
    def configure(httpd):
        httpd.endpoint().default = by_name
        threads = MANY + 10
        return (f"ThreadLimit {threads}\nThreadsPerChild {threads}\nMaxRequestWorkers {4 * threads}\nMaxSpareThreads {4 * threads}\n" +
                provider("corp", httpd.endpoint().url(), "Breaker 5 1h") + location("/v1", "corp") + everywhere(httpd, "/v1"))

    def run(self, httpd, token, behaviour):
        """Lets the endpoint answer when all requests are under way."""
        hold = Hold(behaviour)
        httpd.endpoint().on(token, lambda peer, call: peer.wait(0.3) or hold(peer, call))
        mark = httpd.log.mark()
        burst = Burst(httpd, [("/v1", token)] * MANY)
        await_until(lambda: sum("LA0033" in line.text for line in httpd.log.since(mark)) >= MANY, "all to be looked up")
        hold.release()
        answers = burst.read()
        assert len(httpd.endpoint().calls_for(token)) == 1
        return answers

    def test_accepted(self, httpd, token):
        answers = self.run(httpd, token, by_name)
        for answer in answers:
            check_own(token, answer)
        check_sources(answers, "hit")

    def test_as_they_come(self, httpd, token):
        """The same, but answered after 300 ms: who comes later finds it in the cache."""
        httpd.endpoint().on(token, lambda peer, call: peer.wait(0.3) or by_name(peer, call))
        answers = Burst(httpd, [("/v1", token)] * MANY).read()
        for answer in answers:
            check_own(token, answer)
        assert sources(answers).count("miss") == 1
        assert len(httpd.endpoint().calls_for(token)) == 1

    def test_rejected(self, httpd, token):
        answers = self.run(httpd, token, reply(403, b""))
        check_sources(answers, "negative")
        for answer in answers:
            assert (answer.status, answer.note("error")) == (401, "invalid_token")
            assert answer.message == "Authentication failed: 403"

    def test_outage(self, httpd, token):
        """A failure is shared too, and counts once for the breaker: five in a row would open it."""
        answers = self.run(httpd, token, reply(500, b""))
        assert sources(answers) == ["coalesced"] * (MANY - 1) + ["miss"]
        for answer in answers:
            assert (answer.status, answer.note("error")) == (401, "provider_error")
            assert answer.message == "Authentication failed: 500"
        check_own(new := new_token(), httpd.get("/v1", token=new))

    def test_other_callers_meanwhile(self, httpd):
        """Hits and other misses go their own way while calls are under way."""
        slow, known = [new_token() for _ in range(10)], new_token()
        check_own(known, httpd.get("/v1", token=known))
        hold = Hold(by_name)
        for token in slow:
            httpd.endpoint().on(token, hold)
        burst = Burst(httpd, [("/v1", token) for token in slow for _ in range(10)])
        for token in slow:
            httpd.endpoint().await_call(token)
        for answer in Burst(httpd, [("/v1", known)] * 20).read():
            assert answer.note("cache") == "hit"
        other = new_token()
        check_own(other, httpd.get("/v1", token=other))
        hold.release()
        for number, answer in enumerate(burst.read()):
            check_own(slow[number // 10], answer)
        assert [len(httpd.endpoint().calls_for(token)) for token in slow] == [1] * 10


@every_mpm
class TestDeath:
    """Row 14: the process that makes the call is killed; another one makes it, and everybody else is served."""
    modules = ("status",)
    processes = 6
    expected = (KILLED + r" \(9\)",)

    @staticmethod
    def configure(httpd):
        httpd.endpoint().default = by_name
        return (STATUS + provider("corp", httpd.endpoint().url(), "Timeout 1h") +  # nobody takes over for the time it takes
                location("/v1", "corp") + everywhere(httpd, "/v1"))

    def leader(self, httpd, token, numbers):
        """The process that made the last call for this token, which is the numbers-th."""
        await_until(lambda: len(httpd.endpoint().calls_for(token)) == numbers, f"call {numbers}")
        call = httpd.endpoint().calls_for(token)[-1]
        peer = next(peer for peer in list(httpd.endpoint().peers) if peer.number == call.connection)
        return owner_of(peer.socket.getpeername()[1], httpd.children())

    @pytest.mark.parametrize("deaths", [1, 2])
    def test_leader_is_killed(self, httpd, token, deaths):
        # With threads more than two processes can take: there is somebody left to take over.
        count = httpd.workers // 2 - 2 if httpd.mpm == "prefork" else 2 * httpd.workers // httpd.processes + 4
        hangs = [Hold(by_name) for _ in range(deaths)]
        turns = iter(hangs)
        httpd.endpoint().on(token, lambda peer, call: next(turns, by_name)(peer, call))
        burst = Burst(httpd, [("/v1", token)] * count)
        await_busy(httpd, count)
        for number in range(deaths):
            os.kill(self.leader(httpd, token, number + 1), signal.SIGKILL)
        answers = burst.read()
        for hang in hangs:
            hang.release()
        served = [answer for answer in answers if answer is not None]
        for answer in served:
            check_own(token, answer)
        assert len(httpd.endpoint().calls_for(token)) == deaths + 1
        assert served and len(answers) > len(served)
        if httpd.mpm == "prefork":
            assert len(served) == count - deaths
        assert sources(served) == ["coalesced"] * (len(served) - 1) + ["miss"]
        assert httpd.get("/v1", token=token).note("cache") == "hit"


class TestKills:
    """Row 13: children are killed again and again while all of them look up, store and wait; no answer is ever another
    caller's, none is an outage, and nothing stays blocked."""
    processes = 4
    expected = (KILLED + r" \(9\)",)
    KILLS = 15

    @staticmethod
    def configure(httpd):
        httpd.endpoint().default = by_name
        return ("LlamaAuthCacheSize 500K\n" + provider("corp", httpd.endpoint().url(), "CacheTTL 30ms", "CacheVary none",
                                                       "CacheNegativeTTL 30ms") +
                location("/", "corp"))

    def test_answers_stay_right(self, httpd):
        good = [new_token() for _ in range(60)]
        bad = {httpd.endpoint().on(new_token("bad"), reply(403, b"")) for _ in range(20)}
        known = good + sorted(bad)

        def choose(chance):
            return "/", chance.choice(known)

        def judge(token, response):
            if token in bad:
                assert (response.status, response.note("error"), response.note("user")) == (401, "invalid_token", None)
            else:
                check_own(token, response)
        chance = random.Random(1)
        with Load(httpd, choose, judge, clients=8, may_break=True) as load:
            for _ in range(self.KILLS):
                before = load.answers
                await_until(lambda: load.failures or load.answers >= before + 40, "answers")
                os.kill(chance.choice(await_until(httpd.children, "children")), signal.SIGKILL)
            before = load.answers
            await_until(lambda: load.failures or load.answers >= before + 400, "answers after the last kill")
        assert load.broken
        for token in good:
            check_own(token, httpd.get("/", token=token))
