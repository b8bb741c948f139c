"""The key set of a jwt provider over time: when it is fetched, what becomes of verdicts when it changes, and what holds while it cannot
be had (spec section 4, jwt; targets.md section 4, rows 20 and 21)."""

import json
import os
import re
import signal
import threading
import time
from datetime import datetime, timedelta

import pytest

from behaviour import Hold, close, flood, hang, raw, render, reply, reset
from configs import everywhere, location
from conftest import every_mpm
from errorlog import KILLED, await_until
from keyserver import OUTAGE, accepted, jwt, key_server, rejected, unavailable
from processes import owner_of
from signer import claims, fresh_key, key, key_set
from test_cache_segment import restart
from traffic import Burst, Load

OLD, NEW = key("ES256", "old"), key("ES256", "new")
COOL_DOWN = 10
TROUBLE = r"key set"


def single(httpd, *options, keys=(OLD,)):
    """One provider, everywhere, whose keys are at the path `/jwks`."""
    url = key_server(httpd).put_keys(*keys)
    return jwt("idp", f"JwksUri {url}", *options) + location("/", "idp") + everywhere(httpd, "/x")


def fetches(httpd):
    return len(key_server(httpd).calls_to("/jwks"))


def await_fetches(httpd, more):
    """Waits until so many more fetches have begun."""
    before = fetches(httpd)
    await_until(lambda: fetches(httpd) >= before + more, f"{more} fetches")


def in_all_processes(httpd, signer, verdict, count=20, path="/x"):
    """The same verdict for new tokens on many connections at once, so that every process meets one."""
    for answer in Burst(httpd, [(path, signer.sign()) for _ in range(count)]).read():
        verdict(answer)


@every_mpm
class TestAhead:
    """Fetched before the first request needs it, once for all processes."""
    processes = 4

    @staticmethod
    def configure(httpd):
        return single(httpd)

    def test_before_a_request(self, httpd):
        httpd.log.await_line("fetched the key set")
        in_all_processes(httpd, OLD, accepted)
        assert fetches(httpd) == 1
        call = key_server(httpd).calls_to("/jwks")[0]
        assert (call.method, call.body, call.header("Authorization")) == ("GET", b"", None)

    def test_restarts_keep_it(self, httpd):
        """Nothing is fetched again, and nobody waits: the key server is out of order by then."""
        in_all_processes(httpd, OLD, accepted)
        before = fetches(httpd)
        key_server(httpd).put("/jwks", hang)
        restart(httpd)
        in_all_processes(httpd, OLD, accepted)
        assert fetches(httpd) == before
        key_server(httpd).put_keys(OLD)


class TestToken:
    """JwksToken goes to the key server, and follows its file."""
    processes = 1

    @staticmethod
    def configure(httpd):
        httpd.secrets |= {b"first-jwks-token", b"second-jwks-token"}
        httpd.write("conf/token", "first-jwks-token\n")
        return single(httpd, "JwksToken file:conf/token", "JwksRefresh 1s")

    def test_sent(self, httpd):
        def last():
            calls = key_server(httpd).calls_to("/jwks")
            return calls and calls[-1].header("Authorization")
        await_until(lambda: last() == "Bearer first-jwks-token", "the first token")
        httpd.write("conf/token", "second-jwks-token\n")
        await_until(lambda: last() == "Bearer second-jwks-token", "the second token")
        accepted(httpd.get("/", token=OLD.sign()))


def branches(httpd, behaviours, *options):
    """A provider for each behaviour, with a key set and a location of its name."""
    text = ""
    for name, behaviour in behaviours.items():
        url = key_server(httpd).put(f"/{name}", behaviour)
        text += jwt(name, f"JwksUri {url}", *options) + location(f"/{name}", name) + everywhere(httpd, f"/{name}")
    return text


def turn(httpd, behaviours):
    """Changes what the key sets are."""
    for name, behaviour in behaviours.items():
        key_server(httpd).put(f"/{name}", behaviour)


def await_accepted(httpd, names, signer, patience=25):
    for name in names:
        await_until(lambda: httpd.get(f"/{name}", token=signer.sign()).status == 200, f"the keys of {name}", patience)


class TestLate:
    """No key set when the server starts."""
    expected = (r"is unavailable", TROUBLE)
    BROKEN = {"s500": reply(500, b""), "s404": reply(404, b""), "reset": reset, "empty": reply(200, {"keys": []}), "hangs": hang}

    @classmethod
    def configure(cls, httpd):
        port = httpd.listen()
        return branches(httpd, cls.BROKEN, "Timeout 500ms") + (
            f"<VirtualHost 127.0.0.1:{port}>\nServerName 127.0.0.1\nLlamaAuthOutageStatus 503\n" + location("/s500", "s500") +
            everywhere(httpd, "/s500") + "</VirtualHost>\n")

    @pytest.fixture(scope="class")
    def mended(self, httpd):
        turn(httpd, {name: key_set(NEW) for name in self.BROKEN})

    @pytest.mark.parametrize("name", BROKEN)
    def test_outage(self, httpd, name):
        unavailable(httpd.get(f"/{name}", token=OLD.sign()))
        httpd.log.await_line(rf"{name}\b.*key set|key set.* {name}\b", module="llama_auth", level="error")

    def test_outage_status(self, httpd):
        answer = httpd.get("/s500", port=httpd.ports[1], token=OLD.sign())
        assert (answer.status, answer.message) == (503, OUTAGE)
        assert 1 <= int(answer.header("Retry-After")) <= 30

    def test_what_needs_no_key(self, httpd):
        """What is no JWT is not this provider's, keys or not."""
        rejected(httpd.get("/s500", token="opaque"))

    @pytest.mark.parametrize("name", BROKEN)
    def test_comes_later(self, httpd, mended, name):
        await_accepted(httpd, [name], NEW)
        rejected(httpd.get(f"/{name}", token=OLD.sign()))


class TestRefresh:
    """A key that comes or goes takes hold at the next refresh, and cached verdicts go with their key."""
    processes = 2

    @staticmethod
    def configure(httpd):
        return single(httpd, "JwksRefresh 1s", "CacheTTL 1h", "CacheNegativeTTL 1h")

    def test_withdrawn(self, httpd):
        key_server(httpd).put_keys(OLD, NEW)
        stays, goes = NEW.sign(), OLD.sign()
        await_until(lambda: httpd.get("/", token=stays).status == 200, "the new key")
        for token in (stays, goes):
            accepted(httpd.get("/", token=token))
            assert httpd.get("/", token=token).note("cache") == "hit"

        def judge(token, response):
            if token == stays:
                accepted(response)
        with Load(httpd, lambda chance: ("/", chance.choice((stays, goes))), judge, clients=3, keep=False):
            key_server(httpd).put_keys(NEW)
            await_until(lambda: httpd.get("/", token=goes).note("error") == "invalid_token", "the end of the old key", patience=6)
        for _ in range(20):
            rejected(httpd.get("/", token=goes))
            accepted(httpd.get("/", token=stays))
        key_server(httpd).put_keys(OLD, NEW)
        await_until(lambda: httpd.get("/", token=goes).status == 200, "the old key again", patience=6)

    def test_changed_under_the_same_kid(self, httpd):
        other = key("ES256", "other")
        key_server(httpd).put_keys(OLD)
        token, forged = OLD.sign(), other.sign(kid="old")
        await_until(lambda: httpd.get("/", token=token).status == 200, "the key")
        rejected(httpd.get("/", token=forged))
        assert httpd.get("/", token=forged).note("cache") == "negative"
        key_server(httpd).put_keys(other.public(kid="old"))
        await_until(lambda: httpd.get("/", token=forged).status == 200, "the other key", patience=6)
        rejected(httpd.get("/", token=token))

    def test_same_keys_keep_the_cache(self, httpd):
        """A refresh that brings the same keys, in other words, drops nothing."""
        token = OLD.sign()
        key_server(httpd).put_keys(OLD)
        await_until(lambda: httpd.get("/", token=token).status == 200, "the key")
        await_fetches(httpd, 1)
        await_until(lambda: httpd.get("/", token=token).note("cache") == "hit", "a hit")
        before = fetches(httpd)
        while fetches(httpd) < before + 2:
            assert httpd.get("/", token=token).note("cache") == "hit"


class TestTrouble:
    """Row 21: the key set turns into something else; the old keys serve on, for cached and for new tokens, and one line tells."""
    expected = (TROUBLE,)

    TROUBLES = {
        "s500": reply(500, b""), "s503-with-keys": reply(503, key_set(NEW)), "s401": reply(401, b""), "s204": reply(204, b""),
        "s302": reply(302, b"", [("Location", "/elsewhere")]), "nothing": reply(200, b""), "no-keys": reply(200, {"keys": []}),
        "empty-object": reply(200, {}), "list": reply(200, [OLD.public()]), "keys-object": reply(200, {"keys": {}}),
        "garbage": reply(200, b"\x00\xff garbage"), "html": reply(200, b"<html>Sign in</html>", [("Content-Type", "text/html")]),
        "cut-short": raw(render(200, key_set(OLD), length=2000)), "half": reply(200, json.dumps(key_set(OLD)).encode()[:-20]),
        "unusable": reply(200, {"keys": [{"kty": "RSA"}, OLD.public(use="enc")]}),
        "large": flood(10_000_000, "chunked"), "too-many": reply(200, {"keys": [OLD.public()] * 300}),
        "reset": reset, "closed": close, "hangs": hang,
    }

    @classmethod
    def configure(cls, httpd):
        return branches(httpd, dict.fromkeys(cls.TROUBLES, key_set(OLD)), "JwksRefresh 1s", "Timeout 500ms", "CacheTTL 1h",
                        "Breaker off")

    @pytest.fixture(scope="class")
    def cached(self, httpd):
        """Tokens that are in the cache, by name, while the key sets are good."""
        tokens = {name: OLD.sign() for name in self.TROUBLES}
        for name, token in tokens.items():
            accepted(httpd.get(f"/{name}", token=token))
        return tokens

    @pytest.fixture(scope="class")
    def broken(self, httpd, cached):
        """All key sets are in trouble, and each was fetched twice since."""
        server = key_server(httpd)
        before = {name: len(server.calls_to(f"/{name}")) for name in self.TROUBLES}
        turn(httpd, self.TROUBLES)
        for name, calls in before.items():
            await_until(lambda: len(server.calls_to(f"/{name}")) > calls + 2, f"fetches of {name}")

    @pytest.fixture(scope="class")
    def mended(self, httpd, broken):
        turn(httpd, dict.fromkeys(self.TROUBLES, key_set(OLD, NEW)))

    @pytest.mark.parametrize("name", TROUBLES)
    def test_old_keys_serve(self, httpd, cached, broken, name):
        accepted(httpd.get(f"/{name}", token=cached[name]))
        assert httpd.get(f"/{name}", token=cached[name]).note("cache") == "hit"
        in_all_processes(httpd, OLD, accepted, path=f"/{name}")
        times = [logged_at(line) for line in httpd.log.since(module="llama_auth", level="error")
                 if re.search(rf"provider {name}\b", line.text)]
        assert times and all(after - before > timedelta(seconds=59) for before, after in zip(times, times[1:])), times

    def test_nothing_else_is_called(self, httpd, broken):
        assert not key_server(httpd).calls_to("/elsewhere")

    @pytest.mark.parametrize("name", TROUBLES)
    def test_recovers(self, httpd, mended, name):
        await_accepted(httpd, [name], NEW)
        accepted(httpd.get(f"/{name}", token=OLD.sign()))


def logged_at(line):
    return datetime.strptime(re.match(r"\[(.*?)\]", line.text).group(1), "%a %b %d %H:%M:%S.%f %Y")


def unknown(response):
    """A kid that a fetch has shown to be unknown, or one of which nobody can tell yet."""
    (rejected if response.note("error") == "invalid_token" else unavailable)(response)


class TestUnknownKid:
    """Fetched early for a kid that is not there, at most once in 10 seconds, whoever asks."""
    processes = 4
    expected = (TROUBLE, "is unavailable")

    @staticmethod
    def configure(httpd):
        return single(httpd, "CacheTTL 1h", "CacheNegativeTTL 100ms")

    def test_flood(self, httpd):
        times = []

        def answer(peer, call):
            times.append(time.monotonic())
            reply(200, key_set(OLD))(peer, call)
        accepted(httpd.get("/", token=OLD.sign()))
        known, stranger, late = OLD.sign(), fresh_key(), fresh_key()
        strange = [stranger.sign(kid=f"unknown-{number}") for number in range(1000)]
        key_server(httpd).put("/jwks", answer)

        def choose(chance):
            return "/", known if chance.random() < 0.5 else chance.choice(strange)

        def judge(token, response):
            accepted(response) if token == known else unknown(response)
        with Load(httpd, choose, judge, clients=4, keep=False) as load:
            await_until(lambda: len(times) == 1 and load.answers > 300 or load.failures, "the first early fetch")
            key_server(httpd).paths["/jwks"] = lambda peer, call: times.append(time.monotonic()) or reply(
                200, key_set(OLD, late))(peer, call)
            await_until(lambda: len(times) == 2 or load.failures, "the second", patience=COOL_DOWN + 5)
            await_until(lambda: httpd.get("/", token=late.sign()).status == 200, "the key of the second", patience=2)
            time.sleep(0.5)
        assert len(times) == 2
        assert times[1] - times[0] > COOL_DOWN - 0.1


class TestRotationUnderForgeries:
    """Strangers use every early fetch up with kids that they make up; the issuer rotates meanwhile."""
    processes = 4
    expected = (TROUBLE,)

    @staticmethod
    def configure(httpd):
        return single(httpd, "CacheTTL 1h", "CacheNegativeTTL 100ms")

    def test_no_false_rejection(self, httpd):
        stranger, new = fresh_key(), fresh_key()
        accepted(httpd.get("/", token=OLD.sign()))
        rejected(httpd.get("/", token=stranger.sign()))  # the fetch that it caused has shown that there is no such key
        rejected(httpd.get("/", token=stranger.sign()))  # and that holds until the next one
        before = fetches(httpd)
        key_server(httpd).put_keys(OLD, new)
        answer = httpd.get("/", token=new.sign())
        unavailable(answer)
        unavailable(httpd.get("/", token=fresh_key().sign()))
        assert fetches(httpd) == before
        seen = []

        def served():
            answer = httpd.get("/", token=new.sign())
            seen.append((answer.status, answer.note("error")))
            httpd.get("/", token=fresh_key().sign())
            accepted(httpd.get("/", token=OLD.sign()))
            return answer.status == 200
        await_until(served, "the new key", patience=COOL_DOWN + 5)
        assert set(seen) <= {(401, "provider_error"), (200, None)}, set(seen)


class TestKeysWithoutNames:
    """Neither tokens nor keys need have a kid (RFC 7515, RFC 7517)."""
    expected = (TROUBLE,)

    @staticmethod
    def configure(httpd):
        return single(httpd, keys=[OLD.public(kid=None)])

    def test_rollover(self, httpd):
        new = fresh_key()
        accepted(httpd.get("/", token=OLD.sign(kid=None)))
        key_server(httpd).put_keys(OLD.public(kid=None), new.public(kid=None))
        before = fetches(httpd)
        accepted(httpd.get("/", token=new.sign(kid=None)))
        assert fetches(httpd) == before + 1
        accepted(httpd.get("/", token=OLD.sign(kid=None)))
        unavailable(httpd.get("/", token=fresh_key().sign(kid=None)))  # of a key that may be newer still
        assert fetches(httpd) == before + 1


class TestSlowKeyServer:
    """While an early fetch lasts, who has a known key does not wait for it, and who has an unknown one waits and is served."""
    processes = 4

    @staticmethod
    def configure(httpd):
        return single(httpd, "CacheTTL 1h")

    def test_new_key(self, httpd):
        new = fresh_key()
        accepted(httpd.get("/", token=OLD.sign()))
        before, hold = fetches(httpd), Hold(reply(200, key_set(OLD, new)))
        key_server(httpd).put("/jwks", hold)
        first = Burst(httpd, [("/", new.sign())])
        await_until(lambda: fetches(httpd) > before, "the early fetch")
        others = Burst(httpd, [("/", new.sign()) for _ in range(6)])
        in_all_processes(httpd, OLD, accepted)
        assert not first.answered() and not others.answered()
        hold.release()
        for answer in first.read() + others.read():
            accepted(answer)
        assert fetches(httpd) == before + 1


class TestDeath:
    """The process that fetches is killed: another one fetches."""
    processes = 4
    expected = (KILLED + r" \(9\)", TROUBLE)

    @staticmethod
    def configure(httpd):
        text = single(httpd, "Timeout 1h", "ConnectTimeout 20s")
        TestDeath.hold = Hold(reply(200, key_set(OLD)))
        TestDeath.turns = iter([TestDeath.hold])
        key_server(httpd).put("/jwks", lambda peer, call: next(TestDeath.turns, reply(200, key_set(OLD)))(peer, call))
        return text

    def test_of_the_first_fetch(self, httpd):
        await_until(lambda: fetches(httpd) == 1, "the first fetch")
        answers = []
        waiting = threading.Thread(target=lambda: answers.extend(Burst(httpd, [("/x", OLD.sign())] * 12).read()))
        waiting.start()
        peer = next(iter(key_server(httpd).peers))
        os.kill(owner_of(peer.socket.getpeername()[1], httpd.children()), signal.SIGKILL)
        waiting.join()
        self.hold.release()
        served = [answer for answer in answers if answer is not None]
        assert served
        for answer in served:
            accepted(answer)
        assert fetches(httpd) == 2


def write_keys(httpd, *keys):
    httpd.write("conf/keys.json", json.dumps(key_set(*keys)))


def from_file(httpd):
    write_keys(httpd, OLD)
    return jwt("idp", "JwksFile conf/keys.json", "CacheTTL 1h", "CacheNegativeTTL 1h") + location("/", "idp") + everywhere(httpd, "/x")


def settled(httpd, token, status):
    await_until(lambda: all(httpd.get("/", token=token).status == status for _ in range(20)), f"{status}", patience=5)


class TestFile:
    """JwksFile is looked at once a second."""

    @staticmethod
    def configure(httpd):
        return from_file(httpd)

    def test_change(self, httpd):
        write_keys(httpd, OLD)
        old, new = OLD.sign(), NEW.sign()
        settled(httpd, old, 200)
        rejected(httpd.get("/", token=new))
        write_keys(httpd, OLD, NEW)
        settled(httpd, new, 200)
        accepted(httpd.get("/", token=old))
        write_keys(httpd, NEW)
        settled(httpd, old, 401)
        accepted(httpd.get("/", token=new))


class TestBrokenFile:
    """A broken new version leaves the keys before in force, in the process that saw them; one line in its log tells."""
    processes = 1
    expected = (r"keys\.json",)

    @staticmethod
    def configure(httpd):
        return from_file(httpd)

    @pytest.mark.parametrize("content", ["", '{"keys": [', '{"keys": []}', '{"keys": [{"kty": "RSA"}]}', "keys"],
                             ids=["empty", "cut short", "no keys", "no usable key", "no JSON"])
    def test_broken(self, httpd, content):
        write_keys(httpd, OLD)
        token = OLD.sign()
        settled(httpd, token, 200)
        mark = httpd.log.mark()
        httpd.write("conf/keys.json", content)
        await_until(lambda: httpd.get("/", token=OLD.sign()).status and httpd.log.since(mark, "llama_auth", "error"), "the error")
        assert "keys.json" in httpd.log.since(mark, "llama_auth", "error")[0].text
        in_all_processes(httpd, OLD, accepted)
        accepted(httpd.get("/", token=token))
        time.sleep(1.2)
        in_all_processes(httpd, OLD, accepted)
        assert len(httpd.log.since(mark, "llama_auth", "error")) == 1

    def test_vanished(self, httpd):
        write_keys(httpd, OLD)
        token = OLD.sign()
        settled(httpd, token, 200)
        (httpd.root / "conf" / "keys.json").unlink()
        time.sleep(1.5)
        in_all_processes(httpd, OLD, accepted)
        write_keys(httpd, NEW)
        settled(httpd, token, 401)


class TestManyKeys:
    """A set as large as may be."""

    @staticmethod
    def configure(httpd):
        keys = [fresh_key() for _ in range(255)]
        return single(httpd, keys=[*keys, OLD])

    def test_the_last(self, httpd):
        accepted(httpd.get("/", token=OLD.sign()))
        in_all_processes(httpd, OLD, accepted)
        accepted(httpd.get("/", token=OLD.sign(claims("bob"))), "bob")
