"""The memory of DPoP proofs, here and in Redis: each proof is accepted once, whatever happens to processes, generations, machines and
Redis; where that cannot be known the answer is the documented one. What a proof must be: test_dpop.py."""

import json
import os
import signal
import struct
import threading
import time

import pytest

from configs import everywhere, location
from errorlog import await_until
from keyserver import jwt
from processes import shared_mappings
from prover import Api, Prover, held, refused
from redis_server import Redis
from server import Httpd
from signer import key
from test_mpm import in_parallel
from test_second import SECRET
from test_second_hostile import FakeRedis, bulk

NAME = "api.example:8080"  # by which clients call all machines
AWAY = (r"second-level cache .* is unavailable",)
OLDER = "fedcba9876543210fedcba9876543210fedcba9876"


def sections(httpd, *options):
    httpd.write("conf/jwks.json", '{"keys": [%s]}' % json.dumps(key("ES256").public()))
    return ("ServerName api.example\n" + jwt("idp", "JwksFile conf/jwks.json", *options) + location("/a", "idp") + everywhere(httpd, "/a") +
            jwt("fresh", "JwksFile conf/jwks.json", "DPoPNonce on") + location("/nonce", "fresh") + everywhere(httpd, "/nonce") +
            '<Location "/status">\nSetHandler llama-auth-status\nRequire all granted\n</Location>\n')


def shared(port, secrets="file:conf/secret"):
    return (f"LlamaAuthCacheShared redis://127.0.0.1:{port} timeout=1s connect_timeout=1s\n"
            f"LlamaAuthCacheSecret {secrets}\n")


def counts(httpd):
    return httpd.get("/status?format=json").json["proofs"]


def api_of(httpd, ready="/a"):
    return Api(httpd, origin=f"http://{NAME}", ready=ready)


def new_proof(prover, path="/a", **changes):
    token = prover.token()
    return token, prover.proof("GET", f"http://{NAME}{path}", token, **changes)


@pytest.fixture(scope="module")
def prover():
    return Prover()


@pytest.fixture
def make():
    """make(text, expected) starts an httpd with these lines before the sections; it is stopped and its log judged at the end."""
    servers = []

    def start(text="", expected=(), **arguments):
        httpd = Httpd(expected=expected, **arguments)
        servers.append(httpd)
        httpd.write("conf/secret", SECRET)
        httpd.write("conf/older", OLDER)
        httpd.configure(text + sections(httpd))
        httpd.start()
        return httpd
    try:
        yield start
        wrong = [line for httpd in servers for line in httpd.stop()]
    finally:
        for httpd in servers:
            httpd.stop()
            httpd.remove()
    assert not wrong, wrong


@pytest.fixture
def redis():
    made = Redis()
    yield made
    made.remove()


@pytest.fixture
def machines(make, redis):
    """Two that share a Redis."""
    return [api_of(make(shared(redis.port), AWAY)) for _ in range(2)]


# ---- generations and processes -------------------------------------------------------------------


class TestGenerations:
    def test_graceful_restarts(self, make, prover):
        httpd = make()
        api = api_of(httpd)
        seen = []
        for how in (signal.SIGUSR1, signal.SIGHUP, signal.SIGUSR1):
            seen.append(new_proof(prover))
            held(api.send("/a", *seen[-1]))
            httpd.graceful(how)
            for token, proof in seen:
                refused(api.send("/a", token, proof))
        assert counts(httpd)["results"]["replayed"] == 6 and counts(httpd)["remembered"] >= 4

    def test_what_another_configuration_does_not_need(self, make, prover):
        httpd = make()
        api = api_of(httpd)
        seen = new_proof(prover)
        held(api.send("/a", *seen))
        text = httpd.text
        httpd.configure(text.replace("JwksFile", "Binding ignore\nJwksFile").replace("DPoPNonce on", ""))
        httpd.graceful()
        assert counts(httpd) is None
        httpd.configure(text)
        httpd.graceful()
        refused(api.send("/a", *seen))
        held(api.call("/a", prover))

    def test_a_start_without_the_memory(self, make, prover):
        """A proof from before the start may have been accepted before it."""
        before = int(time.time()) - 5
        httpd = make()
        mark = httpd.log.mark()
        api = api_of(httpd)
        refused(api.send("/a", *new_proof(prover, iat=before)))
        assert httpd.log.await_line("it is older than the memory of proofs", mark)
        held(api.send("/a", *new_proof(prover)))
        held(api.send("/a", *new_proof(prover, iat=int(time.time()) + 200)))
        assert counts(httpd)["results"]["old"] >= 1

    def test_stopped_and_started(self, make, prover):
        httpd = make()
        api = api_of(httpd)
        seen = new_proof(prover)
        held(api.send("/a", *seen))
        assert httpd.stop() == []
        httpd.log.mark()
        os.truncate(httpd.root / "logs" / "error.log", 0)
        httpd.start()
        refused(api.send("/a", *seen))

    def test_nonces(self, make, prover):
        httpd = make()
        api = api_of(httpd)
        nonce = api.call("/nonce", prover).header("DPoP-Nonce")
        httpd.graceful()
        held(api.call("/nonce", prover, changes={"nonce": nonce}))


class TestProcesses:
    def test_killed(self, make, prover):
        """Children are killed while the same proofs come by many connections: no proof gets through twice."""
        httpd = make(expected=("exit signal Killed",), processes=3)
        api = api_of(httpd)
        proofs = [new_proof(prover) for _ in range(40)]
        got_through = [0] * len(proofs)
        lock = threading.Lock()

        def client(number):
            for i in range(2 * len(proofs)):
                at = (i + 10 * number) % len(proofs)
                try:
                    response = api.send("/a", *proofs[at])
                except (OSError, EOFError, AssertionError, ValueError):  # its child is gone
                    continue
                with lock:
                    got_through[at] += response.status == 200

        def killer():
            for _ in range(6):
                children = httpd.children()
                if children:
                    os.kill(children[0], signal.SIGKILL)
                await_until(lambda: len(set(httpd.children()) - set(children[:1])) >= 2, "a new child")
        thread = threading.Thread(target=killer)
        thread.start()
        in_parallel(4, client)
        thread.join()
        assert max(got_through) == 1
        for token, proof in proofs:
            refused(api.send("/a", token, proof)) if got_through[proofs.index((token, proof))] else api.send("/a", token, proof)
        for token, proof in proofs:
            refused(api.send("/a", token, proof))

    def test_stopped(self, make, prover):
        """The others go on."""
        httpd = make()
        api = api_of(httpd)
        seen = new_proof(prover)
        held(api.send("/a", *seen))
        stopped = httpd.children()[0]
        os.kill(stopped, signal.SIGSTOP)
        try:
            refused(api.send("/a", *seen))
            later = [new_proof(prover, iat=int(time.time()) + ahead) for ahead in (0, 60, 120, 180, 240)]
            for token, proof in later:
                held(api.send("/a", token, proof))
        finally:
            os.kill(stopped, signal.SIGCONT)
        for token, proof in [seen, *later]:
            refused(api.send("/a", token, proof))


class Memory:
    """The memory of proofs in a child, as src/shm/replay.c draws it."""
    TABLES = 16
    HEADS, HELD, SHARES = 152, 152 + 8 * TABLES, 4096
    SHARES_BYTES = 8192
    WORDS = SHARES + TABLES * SHARES_BYTES
    TABLE_BYTES = 64 * 128 * (4 ** 5 - 1) // 3

    def __init__(self, pid):
        self.file = open(f"/proc/{pid}/mem", "r+b", buffering=0)
        for start, _ in shared_mappings(pid):
            begin = self.read_at(start, 4096).find(b"2alperal")
            if begin >= 0 and begin % 64 == 0:
                self.start = start + begin
                return
        raise AssertionError("there is no memory of proofs")

    def read_at(self, address, size):
        self.file.seek(address)
        return self.file.read(size)

    def read(self, offset, form):
        return struct.unpack(form, self.read_at(self.start + offset, struct.calcsize(form)))

    def write(self, offset, data):
        self.file.seek(self.start + offset)
        self.file.write(data)

    def heads(self):
        return self.read(self.HEADS, f"<{self.TABLES}Q")

    def fill(self):
        """Takes every free word of the minutes that have begun, as so many proofs would."""
        for i, head in enumerate(self.heads()):
            if head:
                serial = (head & 0xffffffff) % 65535 + 1
                self.write(self.WORDS + i * self.TABLE_BYTES, struct.pack("<Q", 0xabcdef << 16 | serial) * (self.TABLE_BYTES // 8))

    def shares(self, minute):
        """Which table is the minute's, and its counts of owners."""
        table = [head >> 32 for head in self.heads()].index(minute)
        return table, list(self.read(self.SHARES + table * self.SHARES_BYTES, f"<{self.SHARES_BYTES // 4}I"))

    def give(self, minute, places, count):
        """As if the owner of these places had sent so many more that end in the minute."""
        table, counts = self.shares(minute)
        for place in places:
            counts[place] += count
        self.write(self.SHARES + table * self.SHARES_BYTES, struct.pack(f"<{len(counts)}I", *counts))
        held, = self.read(self.HELD + 8 * table, "<Q")
        self.write(self.HELD + 8 * table, struct.pack("<Q", held + count))


class TestRoom:
    def test_full(self, make, prover):
        httpd = make(expected=("LA0410",))
        api = api_of(httpd)
        iat = int(time.time()) + 1
        held(api.send("/a", *new_proof(prover, iat=iat)))
        Memory(httpd.children()[0]).fill()
        mark = httpd.log.mark()
        for _ in range(3):
            refused(api.send("/a", *new_proof(prover, iat=iat)))
        lines = [line for line in httpd.log.since(mark) if "LA0410" in line.text]
        assert len(lines) == 1 and "memory of DPoP proofs is full" in lines[0].text
        assert counts(httpd)["results"]["full"] == 3
        held(api.send("/a", *new_proof(prover, iat=iat + 120)))  # another minute has room

    def test_one_caller(self, make):
        """Whoever dates proofs to one minute, with whatever keys, has a share of it: others are served, and so is he in other minutes."""
        httpd = make(expected=("LA0420",))
        api = api_of(httpd)
        memory = Memory(httpd.children()[0])
        iat = (int(time.time()) // 60 + 3) * 60 + 7
        minute = iat // 60 + 5
        keys = [Prover(), Prover()]

        def send(name, number=0, at=iat):
            token = keys[number].token(sub=name)
            return api.send("/a", token, keys[number].proof("GET", f"http://{NAME}/a", token, iat=at))
        held(send("alice"), "alice")
        _, before = memory.shares(minute)
        held(send("eve"), "eve")
        _, after = memory.shares(minute)
        memory.give(minute, [i for i, count in enumerate(after) if count != before[i]], 100000)
        mark = httpd.log.mark()
        for number in (0, 1, 0, 1):
            refused(send("eve", number))
        for number in (0, 1):
            held(send("alice", number), "alice")
            held(send("mallory", number), "mallory")
            held(send("eve", number, iat + 60), "eve")
        warnings = [line for line in httpd.log.since(mark) if "LA0420" in line.text]
        assert len(warnings) == 1 and 'the caller "eve" has sent so many DPoP proofs' in warnings[0].text
        httpd.log.await_line("Binding: its caller's proofs have taken their share of the memory", mark)
        results = counts(httpd)["results"]
        assert (results["over_share"], results["full"], results["refused"]) == (4, 0, 0)

    def test_one_caller_after_a_restart(self, make, prover):
        """The share is of the server, not of a process or a generation."""
        httpd = make(expected=("LA0420",))
        api = api_of(httpd)
        iat = (int(time.time()) // 60 + 3) * 60 + 7
        held(api.send("/a", *new_proof(prover, iat=iat)))
        memory = Memory(httpd.children()[0])
        _, places = memory.shares(iat // 60 + 5)
        memory.give(iat // 60 + 5, [i for i, count in enumerate(places) if count], 100000)
        for how in (signal.SIGUSR1, signal.SIGHUP):
            httpd.graceful(how)
            refused(api.send("/a", *new_proof(prover, iat=iat)))
        assert counts(httpd)["results"]["over_share"] == 2


# ---- several machines ----------------------------------------------------------------------------


class TestMachines:
    def test_once_for_all(self, machines, redis, prover):
        first, second = machines
        token, proof = new_proof(prover, jti="a-jti-that-nobody-else-has")
        held(first.send("/a", token, proof))
        mark = second.httpd.log.mark()
        refused(second.send("/a", token, proof))
        second.httpd.log.await_line("its jti was seen before", mark)
        refused(first.send("/a", token, proof))
        held(second.call("/a", prover))
        names = redis.keys("*p:*")
        assert names and not any("jti" in name or prover.jkt in name for name in names)
        assert all(200000 < int(redis.cli("PTTL", name).split()[-1]) < 1000000 for name in names)
        assert counts(second.httpd)["results"]["replayed"] == 1 and counts(second.httpd)["alone"] == 0

    def test_race(self, machines, prover):
        for _ in range(5):
            seen, statuses = new_proof(prover), []
            in_parallel(8, lambda i: statuses.append(machines[i % 2].send("/a", *seen).status))
            assert sorted(statuses) == [200] + 7 * [401]

    @pytest.mark.parametrize("lines, secrets", [(("new", "older"), ("older",)), (("older",), ("new", "older")),
                                                (("new", "older"), ("new",)), (("new",), ("new", "older"))])
    def test_while_the_secret_changes(self, make, redis, prover, lines, secrets):
        files = {"new": "file:conf/secret", "older": "file:conf/older"}
        first, second = [api_of(make(shared(redis.port, " ".join(files[name] for name in names)), AWAY)) for names in (lines, secrets)]
        seen = new_proof(prover)
        held(first.send("/a", *seen))
        refused(second.send("/a", *seen))
        nonce = first.call("/nonce", prover).header("DPoP-Nonce")
        if lines[0] in secrets:
            held(second.call("/nonce", prover, changes={"nonce": nonce}))

    def test_nonces(self, machines, make, prover):
        nonce = machines[0].call("/nonce", prover).header("DPoP-Nonce")
        held(machines[1].call("/nonce", prover, changes={"nonce": nonce}))
        stranger = api_of(make())
        refused(stranger.call("/nonce", prover, changes={"nonce": nonce}), "use_dpop_nonce")

    def test_a_secret_without_redis(self, make, prover):
        first, second = [api_of(make("LlamaAuthCacheSecret file:conf/secret\n")) for _ in range(2)]
        nonce = first.call("/nonce", prover).header("DPoP-Nonce")
        held(second.call("/nonce", prover, changes={"nonce": nonce}))

    def test_purges_forget_no_proof(self, machines, prover):
        first, second = machines
        seen = new_proof(prover)
        held(first.send("/a", *seen))
        assert first.httpd.request("POST", "/status", body=b"purge=all",
                                   headers=[("Content-Type", "application/x-www-form-urlencoded")]).status in (200, 403)
        refused(first.send("/a", *seen))
        refused(second.send("/a", *seen))


def share_again(machines, prover):
    """Waits until a proof that one accepts is refused by the other."""
    def shares():
        seen = new_proof(prover)
        held(machines[0].send("/a", *seen))
        return machines[1].send("/a", *seen).status == 401
    await_until(shares, "both to share a memory again")


class TestRedisAway:
    """Each machine goes on alone, and says so."""

    def go_on_alone(self, machines, prover):
        first, second = machines
        marks = [api.httpd.log.mark() for api in machines]
        for _ in range(6):
            seen = new_proof(prover)
            held(first.send("/a", *seen))
            refused(first.send("/a", *seen))
            held(second.send("/a", *seen))
            refused(second.send("/a", *seen))
        for api, mark in zip(machines, marks):
            lines = [line for line in api.httpd.log.since(mark) if "LA0413" in line.text]
            assert len(lines) == 1 and "goes on alone" in lines[0].text, lines
            assert counts(api.httpd)["alone"] == 6

    def test_killed_and_started(self, machines, redis, prover):
        """The whole Redis is gone, with all that it held."""
        first, second = machines
        seen = new_proof(prover)
        held(first.send("/a", *seen))
        redis.kill()
        self.go_on_alone(machines, prover)
        redis.start()
        refused(first.send("/a", *seen))
        share_again(machines, prover)

    def test_hangs(self, machines, redis, prover):
        redis.pause()
        self.go_on_alone(machines, prover)
        redis.resume()
        share_again(machines, prover)

    def test_emptied(self, machines, redis, prover):
        """What a machine has seen itself it knows; the other machine's proofs are forgotten with Redis."""
        first, second = machines
        seen = new_proof(prover)
        held(first.send("/a", *seen))
        redis.cli("FLUSHALL")
        refused(first.send("/a", *seen))
        held(second.send("/a", *seen))
        refused(second.send("/a", *seen))
        share_again(machines, prover)

    def test_restarted_between_two(self, machines, redis, prover):
        first, second = machines
        seen = new_proof(prover)
        held(first.send("/a", *seen))
        redis.kill()
        redis.start()
        refused(first.send("/a", *seen))
        share_again(machines, prover)

    def test_full(self, machines, redis, prover):
        redis.cli("CONFIG", "SET", "maxmemory", "1")
        self.go_on_alone(machines, prover)
        redis.cli("CONFIG", "SET", "maxmemory", "0")
        share_again(machines, prover)

    @pytest.mark.parametrize("answer", [b"+QUEUED\r\n", b":1\r\n", b"*2\r\n:1\r\n:2\r\n", b"-ERR unknown command\r\n", b"-MOVED 1 127.0.0.1:1\r\n",
                                        b"HTTP/1.1 200 OK\r\n\r\n", b"$3\r\nOK", b"*1000000\r\n", b"\xff\xfe\r\n"])
    def test_nonsense(self, make, prover, answer):
        """Whatever answers SET with something else is away."""
        fake = FakeRedis(lambda words: [answer if words[0] == b"SET" else bulk(None)])
        try:
            api = api_of(make(shared(fake.port), AWAY))
            mark = api.httpd.log.mark()
            for _ in range(3):
                seen = new_proof(prover)
                held(api.send("/a", *seen))
                refused(api.send("/a", *seen))
            assert counts(api.httpd)["alone"] >= 3
        finally:
            fake.stop()
