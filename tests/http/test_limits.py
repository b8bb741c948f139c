"""What all processes may hold together (spec section 6): half of the workers for whoever waits, whatever for, and limits that
hold over stopped processes and graceful restarts (targets.md section 4, rows 28, 30 and 36)."""

import os
import select
import signal

import pytest

from behaviour import Hold, reply
from client import build
from configs import everywhere, location, provider
from conftest import every_mpm, new_token
from errorlog import await_until
from keyserver import accepted, jwt, key_server
from processes import owner_of
from signer import key, key_set
from test_cache import source
from test_cache_segment import restart
from test_gate import DOWN, check_outage, check_refused
from traffic import Burst, by_name, check_own

CLOSE = [("Connection", "close")]


class Crowd:
    """Requests on connections of their own, which they do not keep: a client that lingers holds a worker of prefork's."""

    def __init__(self, httpd, requests):
        self.open = []
        for path, token in requests:
            connection = httpd.connect()
            connection.send(build("GET", path, token=token, headers=CLOSE))
            self.open.append((token, connection))

    def take(self):
        """Those that have their answer by now, as pairs of token and answer."""
        ready = select.select([connection.socket for _, connection in self.open], [], [], 0.01)[0]
        taken = [pair for pair in self.open if pair[1].socket in ready]
        self.open = [pair for pair in self.open if pair[1].socket not in ready]
        answers = []
        for token, connection in taken:
            answers.append((token, connection.read()))
            connection.close()
        return answers

    def await_waiting(self, count):
        """Until no more than so many wait; returns the answers of the others."""
        answers = []

        def settled():
            answers.extend(self.take())
            return len(self.open) <= count
        await_until(settled, f"all but {count} to be answered")
        return answers


def ask(httpd, path, token):
    """One request on a connection that is not kept."""
    with httpd.connect() as connection:
        connection.send(build("GET", path, token=token, headers=CLOSE))
        return connection.read()


# ---- workers -----------------------------------------------------------------------------------------------------


@every_mpm
class TestHanging:
    """Row 28: 40 connections wait at endpoints that hang."""
    expected = (r"is unavailable",)
    COUNT = 40

    @staticmethod
    def configure(httpd):
        url = httpd.endpoint().url()
        options = ("MaxConcurrent 6", "Timeout 60s", "ConnectTimeout 60s")
        return ("LlamaAuthOutageStatus 503\n" + "".join(
            provider(name, url, *options) + location(f"/{name}", name) + everywhere(httpd, f"/{name}") for name in ("one", "two")))

    # ids: how many tokens, at which providers.
    @pytest.mark.parametrize("tokens, names", [(1, ["one"]), (40, ["one"]), (20, ["one"]), (1, ["one", "two"]), (40, ["one", "two"])])
    def test_known_callers(self, httpd, tokens, names):
        hold, known = Hold(by_name), new_token()
        httpd.endpoint().default = by_name
        for name in names:
            check_own(known, ask(httpd, f"/{name}", known))
        httpd.endpoint().default = hold
        random = [new_token("random") for _ in range(tokens)]
        crowd = Crowd(httpd, [(f"/{names[number % len(names)]}", random[number % tokens]) for number in range(self.COUNT)])
        refused = crowd.await_waiting(httpd.workers // 2)
        assert len(crowd.open) == httpd.workers // 2
        for _, answer in refused:
            check_refused(answer)
        for _ in range(20):
            for name in names:
                answer = ask(httpd, f"/{name}", known)
                check_own(known, answer)
                assert source(answer) == "hit"
        assert len(crowd.take()) == 0
        hold.release()
        for token, answer in crowd.await_waiting(0):
            check_own(token, answer)

    def test_all_is_given_back(self, httpd):
        """After all this as many may wait as at first."""
        self.test_known_callers(httpd, 1, ["one"])
        self.test_known_callers(httpd, 40, ["one", "two"])


class TestProbe:
    """Row 28: a breaker's probe hangs. Who has its token is refused like everybody else."""
    expected = (r"is unavailable",)

    @staticmethod
    def configure(httpd):
        return ("LlamaAuthOutageStatus 503\n" + provider("corp", httpd.endpoint().url(), "Breaker 1 50ms", "Timeout 60s") +
                location("/", "corp") + everywhere(httpd, "/x"))

    def test_nobody_joins(self, httpd, token):
        hold, first = Hold(by_name), new_token()
        httpd.endpoint().default = hold
        check_outage(httpd.get("/x", token=httpd.endpoint().on(first, DOWN)))
        probes = []

        def probing():
            probes.append(Burst(httpd, [("/x", token)]))
            await_until(lambda: probes[-1].answered() or httpd.endpoint().calls_for(token), "an answer or a call")
            return httpd.endpoint().calls_for(token)
        await_until(probing, "the probe")
        for answer in Burst(httpd, [("/x", token)] * (httpd.workers // 2)).read():
            check_refused(answer)
        hold.release()
        check_own(token, probes[-1].read()[0])
        assert len(httpd.endpoint().calls_for(token)) == 1


# ---- stopped processes --------------------------------------------------------------------------------------------


def stop(pids):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)


def go_on(pids):
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def owners(httpd, endpoint):
    """The children that have a connection to the endpoint."""
    return {owner_of(peer.socket.getpeername()[1], httpd.children()) for peer in list(endpoint.peers)}


def ask_the_others(httpd, path, token):
    """A stopped process may have taken the connection: then another one."""
    for _ in range(100):
        with httpd.connect() as connection:
            connection.send(build("GET", path, token=token, headers=CLOSE))
            if select.select([connection.socket], [], [], 1)[0]:
                return connection.read()
    raise AssertionError("nobody answers")


class TestStopped:
    """Row 30: processes are stopped while they call. Others go on after the deadline that the calls had."""
    processes = 6
    expected = (r"is unavailable",)

    @staticmethod
    def configure(httpd):
        return ("LlamaAuthOutageStatus 503\n" +
                provider("corp", httpd.endpoint().url(), "MaxConcurrent 2", "Timeout 5s", "ConnectTimeout 100ms", "CacheVary none") +
                location("/", "corp"))

    def test_permits(self, httpd):
        hold, tokens = Hold(by_name), [new_token(), new_token()]
        httpd.endpoint().default = by_name
        for token in tokens:
            httpd.endpoint().on(token, hold)
        held = Crowd(httpd, [("/", token) for token in tokens])
        for token in tokens:
            httpd.endpoint().await_call(token)
        stopped = owners(httpd, httpd.endpoint())
        stop(stopped)
        try:
            check_refused(ask_the_others(httpd, "/", new_token()))
            await_until(lambda: ask_the_others(httpd, "/", new_token()).status == 200, "the deadline")
            check_own(tokens[0], ask_the_others(httpd, "/", httpd.endpoint().on(tokens[0], by_name)))
        finally:
            hold.release()
            go_on(stopped)
        held.await_waiting(0)
        # What the stopped ones gave back was nobody else's: never more than two.
        again, late = Hold(by_name), [new_token() for _ in range(3)]
        for token in late:
            httpd.endpoint().on(token, again)
        crowd = Crowd(httpd, [("/", token) for token in late])
        assert [answer.status for _, answer in crowd.await_waiting(2)] == [503]

        def calls():
            return sum(len(httpd.endpoint().calls_for(token)) for token in late)
        await_until(lambda: calls() >= 2, "both calls to arrive")
        again.release()
        crowd.await_waiting(0)
        assert calls() == 2


class TestStoppedFetch:
    """Row 30: the process is stopped that fetches the keys."""
    processes = 4
    expected = (r"key set",)
    OLD, NEW = key("ES256", "old"), key("ES256", "new")

    @staticmethod
    def configure(httpd):
        url = key_server(httpd).put_keys(TestStoppedFetch.OLD)
        return (jwt("idp", f"JwksUri {url}", "Timeout 2s", "ConnectTimeout 1s") + location("/", "idp") + everywhere(httpd, "/x"))

    def test_others_fetch(self, httpd):
        httpd.log.await_line("fetched the key set")
        server, hold = key_server(httpd), Hold(reply(200, key_set(self.OLD)))
        server.put("/jwks", hold)
        before = len(server.calls_to("/jwks"))
        early = Crowd(httpd, [("/x", self.NEW.sign())])  # its kid is unknown: an early fetch
        await_until(lambda: len(server.calls_to("/jwks")) > before, "the early fetch")
        stopped = owners(httpd, server)
        stop(stopped)
        try:
            server.put_keys(self.NEW)
            await_until(lambda: ask_the_others(httpd, "/x", self.NEW.sign()).status == 200, "another fetch")
        finally:
            hold.release()
            go_on(stopped)
        early.await_waiting(0)
        accepted(httpd.get("/x", token=self.NEW.sign()))  # the old answer did not come after the new one


# ---- restarts -----------------------------------------------------------------------------------------------------


class TestRestarts:
    """Row 36: what a graceful restart must not forget."""
    processes = 4
    expected = (r"is unavailable",)

    @staticmethod
    def text(httpd, corp=(), more=""):
        url = httpd.endpoint().url()
        # Old children that still wait keep their places in the scoreboard.
        return ("ServerLimit 24\nLlamaAuthOutageStatus 503\n" + more +
                provider("corp", url, *(corp or ("MaxConcurrent 2",)), "Timeout 60s", "ConnectTimeout 100ms") + location("/corp", "corp") +
                provider("down", url, "Breaker 1 1h") + location("/down", "down") +
                everywhere(httpd, "/corp") + everywhere(httpd, "/down"))

    @staticmethod
    def configure(httpd):
        httpd.endpoint().default = by_name
        return TestRestarts.text(httpd)

    def reload(self, httpd, **what):
        httpd.configure(self.text(httpd, **what))
        httpd.graceful()

    def open_breaker(self, httpd):
        check_outage(httpd.get("/down/x", token=httpd.endpoint().on(new_token(), DOWN)))

    def called(self, httpd, path):
        """Whether a new token makes a call."""
        token = new_token()
        answer = httpd.get(path, token=token)
        if httpd.endpoint().calls_for(token):
            check_own(token, answer)
            return True
        check_refused(answer)
        return False

    @staticmethod
    def another(httpd, name):
        """A provider in front of all others, which moves their places."""
        return provider(name, httpd.endpoint().url(), "MaxConcurrent 9") + location(f"/{name}", name)

    @pytest.mark.parametrize("change", ["nothing", "another provider", "one fewer", "many more", "other options", "more permits"])
    def test_limits_hold(self, httpd, change):
        more = self.another(httpd, "first") if change == "one fewer" else ""
        httpd.configure(self.text(httpd, more=more))
        restart(httpd)
        httpd.endpoint().default = hold = Hold(by_name)
        token, other = new_token(), new_token()
        crowd = Crowd(httpd, [("/corp/x", token), ("/corp/x", other)])
        for each in (token, other):
            httpd.endpoint().await_call(each)
        for number in range(3):
            if change == "another provider":
                more = self.another(httpd, f"new-{number}")
            if change == "one fewer":
                more = ""
            if change == "many more":
                more = "".join(self.another(httpd, f"p-{number}-{i}") for i in range(20 * (number + 1)))
            if change == "more permits":
                more = provider("wide", httpd.endpoint().url(), f"MaxConcurrent {200 * (number + 1)}")
            options = ("MaxConcurrent 2", f"CacheTTL {number + 1}h") if change == "other options" else ()
            self.reload(httpd, more=more, corp=options)
            assert not self.called(httpd, "/corp/x")
            if change in ("nothing", "another provider", "one fewer"):
                crowd_again = Crowd(httpd, [("/corp/x", token)])  # joins the call of the old generation
                assert not crowd_again.take()
                crowd.open += crowd_again.open
        assert len(httpd.endpoint().calls_for(token)) == 1
        hold.release()
        for each, answer in crowd.await_waiting(0):
            check_own(each, answer)

    @pytest.mark.parametrize("change", ["nothing", "another provider", "many more"])
    def test_open_breaker_holds(self, httpd, change):
        httpd.endpoint().default = by_name
        httpd.configure(self.text(httpd))
        restart(httpd)
        if self.called(httpd, "/down/x"):
            self.open_breaker(httpd)
        more = {"nothing": "", "another provider": self.another(httpd, "before"),
                "many more": "".join(self.another(httpd, f"m-{i}") for i in range(90))}[change]
        for _ in range(3):
            self.reload(httpd, more=more)
            assert not self.called(httpd, "/down/x")

    def test_changed_provider_is_tried(self, httpd):
        """It may be repaired: one request finds out."""
        httpd.endpoint().default = by_name
        httpd.configure(self.text(httpd))
        restart(httpd)
        if self.called(httpd, "/down/x"):
            self.open_breaker(httpd)
        repaired = self.text(httpd).replace("Breaker 1 1h", "Breaker 1 2h")
        httpd.configure(repaired)
        restart(httpd)
        assert self.called(httpd, "/down/x")
        assert self.called(httpd, "/down/x")
        restart(httpd)
        self.open_breaker(httpd)
        assert not self.called(httpd, "/down/x")
        httpd.configure(self.text(httpd))
        restart(httpd)
        check_outage(httpd.get("/down/x", token=httpd.endpoint().on(new_token(), DOWN)))  # the probe
        assert not self.called(httpd, "/down/x")

    def test_new_provider_starts_closed(self, httpd):
        """It may get the gates of one that is gone."""
        httpd.endpoint().default = by_name
        for number in range(8):
            name = f"brief-{number}"
            more = provider(name, httpd.endpoint().url(), "Breaker 1 1h") + location("/brief", name) + everywhere(httpd, "/brief")
            httpd.configure(self.text(httpd, more=more))
            restart(httpd)
            assert self.called(httpd, "/brief/x")
            check_outage(httpd.get("/brief/x", token=httpd.endpoint().on(new_token(), DOWN)))
            assert not self.called(httpd, "/brief/x")
