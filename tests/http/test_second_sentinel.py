"""redis+sentinel:// (spec section 3): the master that Redis Sentinel names. After a failover no purge is lost, nothing cached is believed
across the change, and a sentinel that hangs, lies or is gone costs its time and no more."""

import pytest

from behaviour import reply
from conftest import new_token
from endpoint import Endpoint
from errorlog import await_until
from redis_server import Redis
from sentinel_server import NAME, FakeSentinel, Replicated, Sentinel
from server import Httpd, client_id, free_port
from test_second import MODULES, ask, entries, operations, purge, status, text
from test_second_hostile import array
from traffic import Load, by_name, check_own

EXPECTED = ("LA0052", "LA0054", "LA0057")


@pytest.fixture
def endpoint():
    server = Endpoint()
    server.default = by_name
    yield server
    server.stop()


@pytest.fixture
def start(endpoint):
    """Starts a machine with this URL of LlamaAuthCacheShared."""
    made = []

    def start(url, words="timeout=1s connect_timeout=1s", expected=EXPECTED):
        httpd = Httpd(modules=MODULES, expected=expected)
        made.append(httpd)
        httpd.configure(text(httpd, endpoint.url(), url, words=words))
        httpd.start()
        return httpd
    yield start
    wrong = [line for httpd in made for line in httpd.stop()]
    for httpd in made:
        httpd.remove()
    assert not wrong, wrong


@pytest.fixture
def group(request):
    made = Replicated(**getattr(request, "param", {}))
    yield made
    made.remove()


class TestSharing:
    @pytest.mark.parametrize("group, user", [({}, ""), ({"password": "s3cret"}, ":s3cret@"),
                                             ({"password": "s3cret", "own_password": "s3cret"}, "default:s3cret@")], indirect=["group"])
    def test_with_the_master(self, group, start, token, user):
        one, two = start(group.url(user)), start(group.url(user))
        assert (ask(one, token), ask(two, token)) == ((200, "miss"), (200, "shared"))
        assert len(entries(group.first)) == 1


@pytest.mark.parametrize("way", ["planned", "killed", "stopped"])
class TestFailover:
    def test_under_load(self, group, start, endpoint, way):
        """No request fails; both machines find the new master, and share again."""
        one, two = start(group.url()), start(group.url())
        with Load(one, lambda chance: ("/v1", new_token()), check_own, clients=2, keep=False) as load, \
                Load(two, lambda chance: ("/v1", new_token()), check_own, clients=2, keep=False):
            await_until(lambda: load.answers > 20, "some answers")
            group.fail_over(way)
            group.await_failover()

            def shared():
                token = new_token()
                return ask(one, token)[0] == 200 and ask(two, token) == (200, "shared")
            await_until(shared, "the machines to share again")
        assert entries(group.second)

    def test_no_purge_is_lost(self, group, start, endpoint, way):
        """Whatever moment it is told at, and on whichever machine."""
        servers = start(group.url()), start(group.url())
        purges = [0, 0]
        told = []

        def purge_one(number):
            token = new_token("revoked")
            for server in servers:
                ask(server, token)
            endpoint.on(token, reply(401))
            answer = purge(servers[number % 2], f"client_id:{client_id(token)}")
            if answer.status == 200:
                assert answer.json["shared_cache"] == "told"
                purges[number % 2] += 1
                told.append(token)

        def changed():
            return all(server.named() == group.second.port for server in group.sentinels)
        purge_one(0)
        group.fail_over(way)
        number = 0
        while not changed():
            purge_one(number := number + 1)
        purges[:] = [0, 0]
        while min(purges) < 4:
            purge_one(number := number + 1)
        for token in told:
            for server in servers:
                await_until(lambda: ask(server, token)[0] == 401, "the purge to arrive")


class TestTwoMasters:
    """After a planned failover the old master serves for seconds, and sentinels learn of the new one at different times. Here each machine
    has a sentinel of its own, and hears of it when the test says so."""

    @pytest.fixture
    def masters(self):
        first = Redis()
        second = Redis(None, ["--replicaof", "127.0.0.1", str(first.port)])
        await_until(lambda: "master_link_status:up" in second.cli("INFO", "replication"), "the replica to follow")
        sentinels = [FakeSentinel(first.port) for _ in range(2)]
        yield first, second, sentinels
        for server in sentinels:
            server.stop()
        second.remove()
        first.remove()

    @staticmethod
    def url(sentinel):
        return f"redis+sentinel://127.0.0.1:{sentinel.port}/{NAME}"

    def changed(self, httpd, redis):
        """All processes of that machine have come to this server."""
        def known():
            lines = [line.text for line in httpd.log.since() if "LA0450" in line.text]
            return sum(f"port {redis.port}" in line for line in lines) == httpd.processes
        await_until(known, "the machine to use the other master")

    def test_a_purge_that_the_old_one_took(self, masters, start, endpoint):
        """It was told, so it holds: also on the machine that had changed over and did not hear of it. Here that machine could not leave
        word at the old master, as when it cannot reach it."""
        first, second, (early, late) = masters
        one, two = start(self.url(early)), start(self.url(late))
        self.changed(one, first), self.changed(two, first)
        second.cli("REPLICAOF", "NO", "ONE")
        early.says = second.port
        self.changed(one, second)
        first.cli("DEL", "llama_auth:moved")
        alice = new_token("alice")
        assert ask(one, alice) == (200, "miss") and ask(one, alice) == (200, "hit")
        endpoint.on(alice, reply(401))
        answer = purge(two, f"client_id:{client_id(alice)}")
        assert answer.status == 200 and answer.json["shared_cache"] == "told"
        assert ask(one, alice) == (200, "hit")
        late.says = second.port
        self.changed(two, second)
        await_until(lambda: ask(one, alice)[0] == 401, "the purge to arrive")

    def test_word_is_left(self, masters, start):
        """A machine that has not changed over yet counts and tells nothing at the old one, and may use it again if nothing comes of it."""
        first, second, (early, late) = masters
        one, two = start(self.url(early)), start(self.url(late))
        self.changed(one, first), self.changed(two, first)
        second.cli("REPLICAOF", "NO", "ONE")
        early.says = second.port
        self.changed(one, second)
        assert first.cli("GET", "llama_auth:moved").strip('"') == f"127.0.0.1 {second.port}"
        assert 0 < int(first.cli("PTTL", "llama_auth:moved")) <= 10000
        assert purge(two, "all").status == 502
        assert "another server has taken its place" in status(two)["shared_cache"]["last_error"]["text"]
        first.cli("DEL", "llama_auth:moved")
        await_until(lambda: purge(two, "all").status == 200, "the purge to be told")

    def test_the_old_one_is_left(self, masters, start):
        """By a machine whose connections to it work, within seconds, and without a request that fails."""
        first, second, (early, _) = masters
        one = start(self.url(early))
        self.changed(one, first)
        second.cli("REPLICAOF", "NO", "ONE")
        early.says = second.port
        self.changed(one, second)
        for _ in range(5):
            assert ask(one, new_token()) == (200, "miss")
        assert operations(one)["unavailable"] == 0

    def test_entries_of_the_old_one_are_not_believed(self, masters, start, endpoint):
        first, second, (early, _) = masters
        one = start(self.url(early))
        alice = new_token("alice")
        ask(one, alice)
        await_until(lambda: entries(second), "the entry to be replicated")
        second.cli("REPLICAOF", "NO", "ONE")
        early.says = second.port
        self.changed(one, second)
        endpoint.on(alice, reply(401))
        await_until(lambda: ask(one, alice)[0] == 401, "the change to be noticed")
        assert ask(start(self.url(early)), alice)[0] == 401


class TestSentinels:
    """Ways in which sentinels fail, one of them or all."""

    @pytest.fixture
    def redis(self):
        server = Redis()
        yield server
        server.remove()

    @pytest.fixture
    def more(self):
        """Makes real servers that end with the test."""
        made = []

        def make(kind, *arguments):
            made.append(kind(*arguments))
            return made[-1]
        yield make
        for server in made:
            server.remove()

    @pytest.fixture
    def fakes(self):
        made = []

        def fake(says):
            made.append(FakeSentinel(says))
            return made[-1]
        yield fake
        for server in made:
            server.stop()

    @staticmethod
    def url(*sentinels):
        return "redis+sentinel://" + ",".join(f"127.0.0.1:{s if isinstance(s, int) else s.port}" for s in sentinels) + f"/{NAME}"

    @staticmethod
    def known_by_all(*servers):
        for httpd in servers:
            await_until(lambda: sum("LA0450" in line.text for line in httpd.log.since()) == httpd.processes, "each process to know the master")

    LIES = {
        "nothing": lambda test: None,
        "a port where nobody listens": lambda test: free_port(),
        "a replica": lambda test: test.replica.port,
        "no master": lambda test: b"*-1\r\n",
        "an error": lambda test: b"-ERR no\r\n",
        "a password": lambda test: b"-NOAUTH Authentication required.\r\n",
        "no address": lambda test: b"*2\r\n$1\r\nx\r\n$5\r\n99999\r\n",
        "port 0": lambda test: b"*2\r\n$9\r\n127.0.0.1\r\n$1\r\n0\r\n",
        "a name that is none": lambda test: b"*2\r\n$12\r\nhost.invalid\r\n$4\r\n6379\r\n",
        "a host with a NUL": lambda test: b"*2\r\n$11\r\n127.0.0.1\0x\r\n$4\r\n6379\r\n",
        "too much": lambda test: b"*400000000\r\n",
        "a list of lists": lambda test: b"*2\r\n*0\r\n*0\r\n",
        "garbage": lambda test: b"HTTP/1.1 200 OK\r\n\r\n",
        "itself": lambda test: test.liar.port,
    }

    @pytest.mark.parametrize("lie", LIES)
    def test_one_that_lies(self, redis, more, fakes, start, lie):
        """The next one is believed, by each request within its time."""
        self.replica = more(Redis, None, ["--replicaof", "127.0.0.1", str(redis.port)]) if lie == "a replica" else None
        self.liar = fakes(None)
        self.liar.says = self.LIES[lie](self)
        one = start(self.url(self.liar, fakes(redis.port)))
        for _ in range(10):
            assert ask(one, new_token()) == (200, "miss")
        assert operations(one)["stored"] >= 9 and status(one)["shared_cache"]["breaker"]["state"] == "closed"

    @pytest.mark.parametrize("lie", ["nothing", "a port where nobody listens", "no master", "garbage", "a name that is none", "itself"])
    def test_all_lie(self, fakes, start, lie):
        """Requests go on without Redis."""
        self.liar = fakes(None)
        self.liar.says = self.LIES[lie](self)
        one = start(self.url(self.liar, fakes(self.liar.says)), words="timeout=100ms connect_timeout=100ms")

        def is_left_alone():
            assert ask(one, new_token()) == (200, "miss")
            return status(one)["shared_cache"]["breaker"]["state"] == "open"
        await_until(is_left_alone, "three failures")

    def test_gone_while_the_master_serves(self, redis, fakes, start):
        """What is known is used on; a purge is told."""
        sentinel = fakes(redis.port)
        one = start(self.url(sentinel, free_port()))
        self.known_by_all(one)
        sentinel.says = b"-ERR gone\r\n"
        sentinel.stop()
        for _ in range(5):
            assert ask(one, new_token()) == (200, "miss")
        assert purge(one, "all").json["shared_cache"] == "told"
        assert operations(one)["unavailable"] == 0

    def test_a_connection_is_kept(self, redis, fakes, start):
        """By the thread that asks once a second."""
        sentinel = fakes(redis.port)
        one = start(self.url(sentinel))
        await_until(lambda: max(sentinel.questions, default=0) > 3, "questions over one connection")

    def test_hanging_ones_delay_no_purge(self, redis, fakes, start):
        """Row 33: purges from another machine arrive while all sentinels hang."""
        sentinels = [fakes(redis.port) for _ in range(4)]
        one, two = start(self.url(*sentinels)), start(self.url(*sentinels))
        token = new_token()
        self.known_by_all(one, two)
        assert (ask(one, token), ask(two, token)) == ((200, "miss"), (200, "shared"))
        for sentinel in sentinels:
            sentinel.says = None
        assert purge(one, "all").json["shared_cache"] == "told"
        await_until(lambda: ask(two, token)[1] != "hit", "the purge to arrive", patience=4)

    @pytest.mark.parametrize("another", ["agrees with us", "is gone"])
    def test_one_that_turns_does_not_bring_us_away(self, redis, more, fakes, start, another):
        """From a master that serves: more than half of those that answer must name the other one."""
        other = more(Redis)
        sentinels = fakes(redis.port), fakes(redis.port if another == "agrees with us" else b"-ERR no\r\n"), fakes(redis.port)
        one = start(self.url(*sentinels))
        self.known_by_all(one)
        sentinels[0].says = other.port
        asked = sum(sum(sentinel.questions) for sentinel in sentinels)
        await_until(lambda: sum(sum(sentinel.questions) for sentinel in sentinels) > asked + 8, "both processes to ask again and again")
        for _ in range(10):
            assert ask(one, new_token()) == (200, "miss")
        assert not entries(other) and not other.cli("GET", "llama_auth:era")

    def test_one_that_turns_while_the_master_is_slow(self, redis, more, fakes, start):
        """It may bring a process away for a moment, not for good."""
        other = more(Redis)
        sentinels = [fakes(redis.port) for _ in range(3)]
        one = start(self.url(*sentinels), words="timeout=100ms connect_timeout=100ms")
        self.known_by_all(one)
        sentinels[1].says = other.port
        redis.pause()
        await_until(lambda: ask(one, new_token()) and operations(one)["unavailable"] >= 3, "three failures")
        redis.resume()

        def shared():
            before = len(entries(redis))
            for _ in range(10):
                ask(one, new_token())
            return len(entries(redis)) == before + 10
        await_until(shared, "all processes to be back")

    def test_a_master_by_name(self, more, fakes, start):
        """Looked up in the background."""
        redis = more(Redis, None, ["--bind", "127.0.0.1", "-::1"])
        one = start(self.url(fakes(b"*2\r\n$9\r\nlocalhost\r\n$%d\r\n%d\r\n" % (len(str(redis.port)), redis.port))))

        def stored():
            ask(one, new_token())
            return entries(redis)
        await_until(stored, "the name to be looked up")

    def test_the_same_master_at_another_address(self, more, fakes, start):
        """As of a name with several addresses: nobody has taken its place."""
        redis = more(Redis, None, ["--bind", "127.0.0.1", "127.0.0.2"])

        def says(host):
            return array(host, b"%d" % redis.port)
        sentinel = fakes(says(b"127.0.0.1"))
        one = start(self.url(sentinel))
        self.known_by_all(one)
        sentinel.says = says(b"127.0.0.2")
        await_until(lambda: sum("at 127.0.0.2" in line.text for line in one.log.since()) == one.processes, "each process to change over")
        assert redis.cli("EXISTS", "llama_auth:moved").split()[-1] == "0"
        for _ in range(5):
            assert ask(one, new_token()) == (200, "miss")
        assert operations(one)["stored"] == 5

    def test_redis_that_is_a_sentinel(self, redis, more, start):
        sentinel = more(Sentinel, redis, 1)
        one = start(f"redis://127.0.0.1:{sentinel.port}", expected=(r"LA0052: .*it is a sentinel, .*redis\+sentinel://",))
        for _ in range(4):
            assert ask(one, new_token()) == (200, "miss")
        one.log.await_line("LA0052")

    @pytest.mark.parametrize("url", [lambda r, s: f"redis://127.0.0.1:{r.port}", lambda r, s: f"redis+sentinel://127.0.0.1:{s.port}/{NAME}"])
    def test_a_cluster(self, more, fakes, start, url):
        cluster = more(Redis, None, ["--cluster-enabled", "yes", "--cluster-port", str(free_port())])
        one = start(url(cluster, fakes(cluster.port)), expected=(r"LA0052: .*it is a cluster, which cannot be used",))
        for _ in range(4):
            assert ask(one, new_token()) == (200, "miss")
        one.log.await_line("LA0052")
