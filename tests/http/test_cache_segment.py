"""Spec section 6, the shared memory itself: its size, restarts, what it holds when it is full, and what it gives away."""

import base64
import hashlib
import re
import resource
import signal
import subprocess

import pytest

from behaviour import Hold, accept, reply
from configs import everywhere, location, provider
from conftest import every_mpm, new_token
from errorlog import await_until
from processes import shared_mappings, shared_memory, shares_memory
from server import sanitizer_environment
from test_mpm import in_parallel
from traffic import Burst, Doorman, by_name, check_own, name_of

event_and_prefork = pytest.mark.parametrize("mpm", ["event", "prefork"], indirect=True, scope="class")


def source(response):
    return response.note("cache")


def restart(httpd, how=signal.SIGUSR1):
    """Restarts, and waits until all processes are of the new generation, whose memory is the parent's. Their pids do not tell:
    the parent may start another process of the old generation before it handles the signal."""
    httpd.settle()
    httpd.graceful(how)
    await_until(lambda: (pids := httpd.children()) and all(shares_memory(pid, httpd.process.pid) for pid in pids), "the new children")


# ---- restarts ------------------------------------------------------------------------------------------------


@event_and_prefork
class TestRestarts:
    @staticmethod
    def configure(httpd):
        httpd.endpoint().default = by_name
        return TestRestarts.text(httpd)

    @staticmethod
    def text(httpd, size="LlamaAuthCacheSize 4M", name="corp", path="/validate", options=()):
        return (size + "\n" + provider(name, httpd.endpoint().url(path), *options) + location("/v1", name) +
                everywhere(httpd, "/v1"))

    def sources(self, httpd, *tokens):
        answers = [httpd.get("/v1", token=token) for token in tokens]
        for token, answer in zip(tokens, answers):
            check_own(token, answer)
        return [source(answer) for answer in answers]

    def change(self, httpd, **what):
        httpd.configure(self.text(httpd, **what))
        restart(httpd)

    @pytest.mark.parametrize("how", [signal.SIGUSR1, signal.SIGHUP], ids=["graceful", "restart"])
    def test_survives(self, httpd, how):
        tokens = [new_token() for _ in range(5)]
        refused = httpd.endpoint().on(new_token(), reply(401, b""))
        assert self.sources(httpd, *tokens) == ["miss"] * 5
        httpd.get("/v1", token=refused)
        for _ in range(3):
            restart(httpd, how)
            assert self.sources(httpd, *tokens) == ["hit"] * 5
            assert source(httpd.get("/v1", token=refused)) == "negative"
        assert [len(httpd.endpoint().calls_for(token)) for token in (*tokens, refused)] == [1] * 6

    def test_another_size(self, httpd, token):
        assert self.sources(httpd, token, token) == ["miss", "hit"]
        self.change(httpd, size="LlamaAuthCacheSize 5M")
        assert self.sources(httpd, token, token) == ["miss", "hit"]
        self.change(httpd, size="LlamaAuthCacheSize off")
        assert self.sources(httpd, token, token) == ["off", "off"]
        self.change(httpd)
        assert self.sources(httpd, token, token) == ["miss", "hit"]
        restart(httpd)
        assert self.sources(httpd, token) == ["hit"]

    @pytest.mark.parametrize("what", [{"path": "/other"}, {"name": "other"}, {"options": ("Timeout 9s",)},
                                      {"options": ("CacheTTL 5m",)}, {"options": ("CacheVary params",)}],
                             ids=["endpoint", "name", "timeout", "the default written out", "vary"])
    def test_another_definition(self, httpd, token, what):
        assert self.sources(httpd, token, token) == ["miss", "hit"]
        httpd.endpoint().on(token, reply(401, b""))
        self.change(httpd, **what)
        assert httpd.get("/v1", token=token).status == 401
        self.change(httpd)
        assert self.sources(httpd, token) == ["hit"]

    def test_segments_do_not_pile_up(self, httpd, token):
        before = len(shared_mappings(httpd.process.pid))
        for size in ("4M", "5M", "4M", "off", "4M"):
            self.change(httpd, size=f"LlamaAuthCacheSize {size}")
        assert len(shared_mappings(httpd.process.pid)) == before
        check_own(token, httpd.get("/v1", token=token))


# ---- sizes ---------------------------------------------------------------------------------------------------

NO_SIZES = ["", "0", "0M", "-1M", "M", "big", "64MB", "1T", "1.5M", "64 M", "0x100000", "99999999999999999999",
            "17179869184G"]


def simple(httpd, size):
    httpd.endpoint().default = by_name
    httpd.configure(f"LlamaAuthCacheSize {size}\n" + provider("corp", httpd.endpoint().url()) + location("/", "corp"))


class TestSizes:
    def least(self, bare):
        simple(bare, "1K")
        status, said = bare.check()
        assert status != 0
        found = re.search(r"LlamaAuthCacheSize: 1K is too small, the least is (\d+)K", said)
        assert found, said
        return int(found.group(1))

    def test_least_is_named_and_works(self, bare, token):
        least = self.least(bare)
        simple(bare, f"{least - 1}K")
        assert bare.check()[0] != 0
        simple(bare, f"{least}K")
        assert bare.check()[0] == 0
        bare.start()
        assert [source(bare.get("/", token=token)) for _ in range(2)] == ["miss", "hit"]
        refused = bare.endpoint().on(new_token(), reply(401, b""))
        assert [source(bare.get("/", token=refused)) for _ in range(2)] == ["miss", "negative"]

    @pytest.mark.parametrize("size", NO_SIZES, ids=[repr(size) for size in NO_SIZES])
    def test_no_size(self, bare, size):
        simple(bare, size)
        status, said = bare.check()
        assert status != 0 and "LlamaAuthCacheSize" in said, said

    @pytest.mark.parametrize("size", ["1G", "1g", "500m", "4096K", "67108864", "OFF"])
    def test_size(self, bare, size):
        simple(bare, size)
        assert bare.check()[0] == 0, bare.check()[1]

    def test_not_in_a_virtual_host(self, bare):
        bare.configure(f"<VirtualHost 127.0.0.1:{bare.port}>\nLlamaAuthCacheSize 4M\n</VirtualHost>\n")
        status, said = bare.check()
        assert status != 0 and "LlamaAuthCacheSize belongs to the main server" in said, said

    def refused(self, httpd, size, **arguments):
        """Row 17: the server does not start, and its log says why."""
        simple(httpd, size)
        process = subprocess.Popen(httpd.command("-DFOREGROUND"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env=httpd.environment(), cwd=httpd.root, start_new_session=True, **arguments)
        try:
            assert process.wait(20) != 0
        finally:
            process.terminate()  # should it serve after all
            process.wait()
        line = httpd.log.await_line("cannot make the cache's shared memory \\(LlamaAuthCacheSize\\)")
        assert line.severe and re.search(r"\(\d+\)", line.text), line

    def test_more_than_the_process_may_have(self, bare):
        if sanitizer_environment():
            pytest.skip("AddressSanitizer needs more address space itself")
        limit = 4 << 30
        self.refused(bare, "8G", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))

    def test_more_than_there_is(self, bare):
        with open("/proc/sys/vm/overcommit_memory") as file:
            if file.read().strip() == "1":
                pytest.skip("this kernel promises memory that it does not have")
        self.refused(bare, "900G")


# ---- large identities ----------------------------------------------------------------------------------------


class TestLarge:
    @staticmethod
    def configure(httpd):
        return provider("corp", httpd.endpoint().url(), "CacheVary none") + location("/", "corp")

    @staticmethod
    def member(httpd, groups):
        teams = [f"group-{number:04}" for number in range(groups)]
        return httpd.endpoint().on(new_token(), accept("alice", {"teams": teams})), teams

    @pytest.mark.parametrize("groups", [1, 100, 350])
    def test_kept(self, httpd, groups):
        token, teams = self.member(httpd, groups)
        answers = [httpd.get("/", token=token) for _ in range(3)]
        assert [source(answer) for answer in answers] == ["miss", "hit", "hit"]
        for answer in answers:
            assert answer.note("attribute.teams").split(",") == teams
            assert answer.note("attributes") == answers[0].note("attributes")

    def test_too_large(self, httpd):
        token, teams = self.member(httpd, 1000)
        answers = [httpd.get("/", token=token) for _ in range(2)] + Burst(httpd, [("/", token)] * 6).read()
        for answer in answers:
            assert answer.status == 200
            assert answer.note("attribute.teams").split(",") == teams
            assert source(answer) == "miss"
        assert len(httpd.endpoint().calls_for(token)) == len(answers)


# ---- a full cache ----------------------------------------------------------------------------------------------


class TestFull:
    """Row 16: more callers than there is room for, in the smallest cache there is."""
    CALLERS = 1500

    @staticmethod
    def configure(httpd):
        doorman = httpd.endpoints["doorman"] = Doorman()
        return ("LlamaAuthCacheSize 500K\n" + provider("corp", doorman.url(), "CacheVary none") + location("/", "corp"))

    def test_evicts_and_answers(self, httpd):
        order, sources = [new_token("good") for _ in range(self.CALLERS)], []

        def ask(number):
            with httpd.connect() as connection:
                for token in order[number::4]:
                    answer = connection.get("/", token=token)
                    check_own(token, answer)
                    sources.append(source(answer))
        in_parallel(4, ask)
        assert sources == ["miss"] * self.CALLERS
        sources.clear()
        order.reverse()  # the last ones are still there, and make way for the others
        in_parallel(4, ask)
        assert set(sources) == {"hit", "miss"}
        assert httpd.endpoints["doorman"].calls() == self.CALLERS + sources.count("miss")
        assert source(httpd.get("/", token=order[-1])) == "hit"


# ---- what it gives away -----------------------------------------------------------------------------------------


class TestSecrets:
    """No token, and nothing that a token can be guessed from, in shared memory or in a log at trace8."""
    expected = (r"is unavailable",)

    @staticmethod
    def configure(httpd):
        return ("LlamaAuthCacheSize 4M\n" + provider("corp", httpd.endpoint().url(), "CacheVary none") +
                location("/", "corp"))

    @staticmethod
    def traces(token):
        digest = hashlib.sha256(token.encode()).digest()
        return {"token": token[:20].encode(), "end of the token": token[-20:].encode(), "digest": digest[:8],
                "end of the digest": digest[-8:], "hex": digest.hex()[:16].encode(), "HEX": digest.hex()[:16].upper().encode(),
                "base64 of the digest": base64.b64encode(digest)[:12], "base64": base64.b64encode(token.encode())[:16]}

    def make_history(self, httpd):
        """Every kind of answer, some without a principal, and calls that wait for one another."""
        tokens = {kind: new_token("secret") for kind in ("accepted", "anonymous", "rejected", "outage", "together")}
        hold = Hold(by_name)
        on = httpd.endpoint().on
        on(tokens["accepted"], by_name)
        on(tokens["anonymous"], reply(200, {"attributes": {"roles": ["nobody-in-particular"]}}))
        on(tokens["rejected"], reply(401, b""))
        on(tokens["outage"], reply(500, b""))
        on(tokens["together"], hold)
        burst = Burst(httpd, [("/", tokens["together"])] * 6)
        for kind in ("accepted", "anonymous", "rejected", "outage"):
            for _ in range(3):
                httpd.get("/", token=tokens[kind])
        return tokens, hold, burst

    def search(self, httpd, tokens):
        memory = shared_memory(httpd.children()[0])
        assert len(memory) > 4 << 20
        for kind, token in tokens.items():
            for name, trace in self.traces(token).items():
                assert trace not in memory, f"{name} of the {kind} one is in shared memory"
        return memory

    def test_nothing_of_a_token(self, httpd):
        tokens, hold, burst = self.make_history(httpd)
        self.search(httpd, tokens)
        hold.release()
        for answer in burst.read():
            check_own(tokens["together"], answer)
        memory = self.search(httpd, tokens)
        for known in (name_of(tokens["accepted"]), "nobody-in-particular", "Authentication failed: 401"):
            assert known.encode() in memory, "the search does not find what is there"

        log = httpd.log.everything()
        access = "\n".join(httpd.access_lines()).encode()
        for kind, token in tokens.items():
            for name, trace in self.traces(token).items():
                assert trace not in log, f"{name} of the {kind} one is in the error log"
                assert trace not in access or kind == "anonymous" and name == "hex", f"{name} of the {kind} one is logged"
        assert hashlib.sha256(tokens["rejected"].encode()).hexdigest()[:8].encode() in log
