"""Rows 30, 36, 37 and 39 for quotas: processes that are killed and stopped, restarts, a full memory, a Redis that comes and goes, and
answers that are huge or lie."""

import json
import os
import signal
import threading
import time

import pytest

from behaviour import Hold, reply
from client import build
from conftest import every_mpm, new_token
from errorlog import await_until
from processes import resident
from server import key_entry
from test_limits import CLOSE, Crowd, ask_the_others, go_on, owners, stop
from test_quota import PROVIDER, PROXY, items, place, quota
from test_quota_redis import Machines
from test_usage import LOG, noted
from usage_backend import CHUNK, SSE, UsageBackend, events, usage

OK = reply(200, b"ok", [("Content-Type", "text/plain")])


def callers(httpd, count):
    keys = [new_token("caller") for _ in range(count)]
    httpd.write_keys("conf/keys.json", *(key_entry(key, f"p{index}") for index, key in enumerate(keys)))
    return keys


class Load:
    """Callers that ask for a path without a pause, until told to end; a connection for each request, as it may be cut by a restart."""

    def __init__(self, servers, path, key, threads=8):
        self.servers, self.path, self.key = servers, path, key
        self.ending = threading.Event()
        self.answers = []
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        while not self.ending.is_set():
            try:
                self.answers.append(self.servers[number % len(self.servers)].get(self.path, token=self.key, headers=CLOSE).status)
            except (OSError, AssertionError):
                pass  # the connection was cut

    def await_answers(self, count):
        target = len(self.answers) + count
        await_until(lambda: len(self.answers) >= target, f"{count} more answers")

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join()
        return self.answers


@every_mpm
class TestProcesses:
    """Rows 30 and 36."""
    modules = PROXY
    processes = 6

    @staticmethod
    def configure(httpd):
        httpd.keys = iter(callers(httpd, 20))
        backend = httpd.endpoint("backend")
        backend.default = OK
        return "ServerLimit 40\n" * (httpd.mpm != "prefork") + PROVIDER + quota("two", "Concurrent 2", "Requests 1000/1h") + place(
            "/q", "two", f"ProxyPass http://127.0.0.1:{backend.port}/q")

    @pytest.fixture
    def held(self, httpd):
        """A caller with one request that waits for the backend."""
        backend, hold, key = httpd.endpoint("backend"), Hold(OK), next(httpd.keys)
        before = len(backend.calls)
        backend.default = hold
        crowd = Crowd(httpd, [("/q", key)])
        await_until(lambda: len(backend.calls) > before, "the call")
        backend.default = OK
        inside = {owner for owner in owners(httpd, backend) if owner}
        yield key, inside, crowd
        hold.release()

    def test_killed(self, httpd, held):
        """A killed process takes no place with it, and no counts."""
        httpd.expect("child pid .* exit signal Killed", "AH00052")
        key, inside, _ = held
        left = items(httpd.get("/q", token=key).header("RateLimit"))["two.requests"]["r"]
        assert left == 998
        for pid in inside:
            os.kill(pid, signal.SIGKILL)
        await_until(lambda: not inside & set(httpd.children()), "the end of the process")
        hold = Hold(OK)
        httpd.endpoint("backend").default = hold
        before = len(httpd.endpoint("backend").calls)
        crowd = Crowd(httpd, [("/q", key)] * 2)
        await_until(lambda: len(httpd.endpoint("backend").calls) == before + 2, "two at once")
        assert httpd.get("/q", token=key, headers=CLOSE).status == 429
        httpd.endpoint("backend").default = OK
        hold.release()
        crowd.await_waiting(0)
        await_until(lambda: (answer := httpd.get("/q", token=key, headers=CLOSE)).status == 200 and
                    items(answer.header("RateLimit"))["two.requests"]["r"] < 998, "an answer")

    def test_stopped(self, httpd, held):
        """Others, and the same caller in other processes, go on; the request that is stopped is still one in flight."""
        key, inside, crowd = held
        other = next(httpd.keys)
        stop(inside)
        try:
            assert ask_the_others(httpd, "/q", key).status == 200
            for _ in range(3):
                assert ask_the_others(httpd, "/q", other).status == 200
        finally:
            go_on(inside)

    def test_restarts(self, httpd):
        """Graceful restarts under load: never more than two at once, and every count is kept. The path is this test's alone:
        requests that an earlier test gave up, on a process that it had stopped, may reach the backend now."""
        path, key, backend = "/q/restarts", next(httpd.keys), httpd.endpoint("backend")
        lock, inside, most, calls = threading.Lock(), [0], [0], [0]

        def slow(peer, call):
            if call.target == path:
                with lock:
                    calls[0] += 1
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                time.sleep(0.02)
                with lock:
                    inside[0] -= 1
            OK(peer, call)
        backend.default = slow
        load = Load([httpd], path, key, 6)
        for _ in range(4):
            load.await_answers(20)
            httpd.graceful()
        load.await_answers(20)
        found = load.end()
        assert most[0] == 2 and set(found) == {200, 429}
        left = items(httpd.get(path, token=key, headers=CLOSE).header("RateLimit"))["two.requests"]["r"]
        backend.default = OK
        assert left == 1000 - calls[0]


class TestMemory:
    """Rows 36 and 37: another size, more workers, and a memory that is full."""
    modules = PROXY
    processes = 4

    def text(self, httpd, *lines, limit=50):
        return "".join(f"{line}\n" for line in lines) + PROVIDER + quota("some", f"Requests {limit}/1h") + quota(
            "few", "Requests 2/1h") + quota("ip", "By client_ip", "Requests 2/1h") + place("/some", "some") + place("/few", "few")

    @pytest.mark.parametrize("before, after", [
        (["LlamaAuthQuotaSize 64K"], ["LlamaAuthQuotaSize 4M"]), (["LlamaAuthQuotaSize 4M"], ["LlamaAuthQuotaSize 64K"]),
        (["ServerLimit 4"], ["LlamaAuthQuotaSize 1M", "MaxRequestWorkers 8"])])
    def test_size_changes(self, bare, before, after):
        """Under load: exactly the limit is admitted, but for those that were in flight at the change."""
        bare.modules += PROXY
        (key,) = callers(bare, 1)
        bare.configure(self.text(bare, *before))
        bare.start()
        load = Load([bare], "/some", key, 4)
        load.await_answers(20)
        bare.configure(self.text(bare, *after))
        bare.graceful()
        load.await_answers(150)
        found = load.end()
        assert 50 <= found.count(404) <= 50 + 4 and set(found) == {404, 429}
        assert bare.get("/some", token=key).status == 429

    def test_another_limit(self, bare):
        """Another N keeps the counts."""
        bare.modules += PROXY
        (key,) = callers(bare, 1)
        bare.configure(self.text(bare, limit=3))
        bare.start()
        assert [bare.get("/some", token=key).status for _ in range(4)] == [404] * 3 + [429]
        bare.configure(self.text(bare, limit=5))
        bare.graceful()
        found = []  # a child of the generation before may answer first, by its own N

        def asked():
            found.append(bare.get("/some", token=key, headers=CLOSE).status)
            return found.count(404) == 2
        await_until(asked, "two more")
        assert bare.get("/some", token=key, headers=CLOSE).status == 429

    def test_full(self, bare):
        """Ten times as many callers as there is room for: all are answered, each at most twice by a counter that is there."""
        bare.modules += PROXY
        keys = callers(bare, 5000)
        bare.configure(self.text(bare, "LlamaAuthQuotaSize 64K"))
        bare.start()
        with bare.visitor() as visitor:
            found = [visitor.get("/few", token=key).status for key in keys]
            assert set(found) == {404}
            last = keys[-1]
            assert [visitor.get("/few", token=last).status for _ in range(2)] == [404, 429]
        bare.log.await_line("LA0310: LlamaAuthQuotaSize: the memory of quotas is full")


class TestRedis:
    """Row 37: under load nobody is admitted beyond the limit by more than what was in flight at the change."""

    @pytest.fixture
    def machines(self):
        made = Machines()
        yield made
        made.end()

    @pytest.mark.parametrize("way", ["killed", "paused", "emptied", "restarted", "full"])
    def test_under_load(self, machines, way):
        servers = machines.servers if way == "emptied" else machines.servers[:1]
        load = Load(servers, "/fifty", machines.callers["alice"], 4)
        await_until(lambda: load.answers.count(404) >= 10, "some answers")
        redis = machines.redis
        if way == "emptied":
            redis.cli("FLUSHALL")
        elif way == "paused":
            redis.pause()
            load.await_answers(8)
            redis.resume()
        elif way == "full":
            redis.cli("CONFIG", "SET", "maxmemory", "1")
            load.await_answers(10)
            redis.cli("CONFIG", "SET", "maxmemory", "0")
        else:
            redis.kill()
            if way == "killed":
                load.await_answers(8)
            redis.start()
        await_until(lambda: load.answers[-20:].count(429) == 20, "the limit")
        found = load.end()
        assert set(found) == {404, 429} and 50 - 8 <= found.count(404) <= 50 + 8, found.count(404)


class TestHuge:
    """Row 39: passes untouched and undelayed, memory flat."""
    modules = PROXY

    @staticmethod
    def configure(httpd):
        (httpd.key,) = callers(httpd, 1)
        httpd.backend = httpd.endpoints["usage"] = UsageBackend()
        httpd.backend.default = TestHuge.answer
        return PROVIDER + LOG + quota("tokens", "Tokens 1000000/1h") + place("/huge", "tokens", backend=httpd.backend)

    TOLD = json.dumps({"usage": usage()}).encode()
    PIECE = b"x" * (1 << 20)
    EVENTS = events(CHUNK) * 5000
    #: name: (type, beginning, piece, how often, end)
    ANSWERS = {
        "line": ("application/json", b'{"text":"', PIECE, 1024, b'",' + TOLD[1:]),
        "nested": ("application/json", b'{"text":', b"[" * (1 << 20), 100, b""),
        "events": (SSE, b"", EVENTS, 200, events(TOLD)),
        "event": (SSE, b'data: {"text":"', PIECE, 200, b'",' + TOLD[1:] + b"\n\n"),
        "lines": ("application/x-ndjson", b"", b'{"message":{}}\n' * 50000, 20, TOLD + b"\n"),
        "broken": ("application/json", b'{"text":"', b"\xff\xfe\xc0\x80\xed\xa0\x80" * 100000, 50, b'",' + TOLD[1:]),
        "digits": ("application/json", b'{"usage":{"output_tokens":', b"9" * (1 << 20), 50, b"}}"),
    }

    @classmethod
    def answer(cls, peer, call):
        kind, beginning, piece, count, end = cls.ANSWERS[call.target.rpartition("/")[2]]
        length = len(beginning) + count * len(piece) + len(end)
        peer.send(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode() + beginning)
        for _ in range(count):
            peer.send(piece)
        peer.send(end)

    @pytest.mark.parametrize("name, expected", [
        ("line", "response 7 5 12"), ("nested", "none 0 0 0"), ("events", "response 7 5 12"), ("event", "response 7 5 12"),
        ("lines", "response 7 5 12"), ("broken", "response 7 5 12"), ("digits", "none 0 0 0")])
    def test_answer(self, httpd, name, expected):
        _, beginning, piece, count, end = self.ANSWERS[name]
        before = max(resident(pid) for pid in httpd.children())
        received, first, last = 0, b"", b""
        with httpd.connect() as connection:
            connection.send(build("GET", f"/huge/{name}", token=httpd.key, headers=CLOSE))
            connection.take_until(b"\r\n\r\n")
            first = received = len(connection.buffer)
            last = connection.buffer
            while data := connection.socket.recv(1 << 20):
                received += len(data)
                last = (last + data)[-200:]
        assert received == len(beginning) + count * len(piece) + len(end)
        assert last.endswith(end)
        assert max(resident(pid) for pid in httpd.children()) - before < 16 << 20
        assert noted(httpd, f"/huge/{name}") == expected
