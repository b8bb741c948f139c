"""The second-level cache (spec sections 3 and 6) over a real Redis: what two servers share, what nobody can forge, what is
purged everywhere, and what its outages cost."""

import json
import re

import pytest

from behaviour import accept, reply
from configs import everywhere, location, provider
from conftest import new_token
from errorlog import await_until
from redis_server import Redis
from server import Httpd, client_id
from traffic import Load, by_name, check_own

SECRET = "0123456789abcdef0123456789abcdef0123456789"
OTHER = "another secret of more than thirty-two characters"
USER = {"Authorization": "Basic YWRtaW46c2VjcmV0"}  # admin:secret


def text(httpd, url, redis, *, secrets=("conf/secret",), words="", options=()):
    """A configuration with a shared cache; the provider's definition is the same on every machine. Unless a test is about them, times are
    long enough for a machine that has other things to do."""
    if "timeout=" not in words:
        words += " timeout=1s connect_timeout=1s"
    httpd.write("conf/secret", SECRET)
    httpd.write("conf/other", OTHER)
    httpd.write_passwords("conf/passwords", admin="secret")
    return (f"LlamaAuthCacheShared {redis} {words}\nLlamaAuthCacheSecret " +
            " ".join(f"file:{name}" for name in secrets) + "\n" +
            provider("corp", url, "CacheVary none", *options) + location("/v1", "corp") + everywhere(httpd, "/v1") + """
<Location "/status">
    SetHandler llama-auth-status
    AuthType Basic
    AuthName status
    AuthUserFile conf/passwords
    Require valid-user
</Location>
""")


MODULES = ("authn_file", "auth_basic")


class Machines:
    """Servers of one company: one Redis, one endpoint."""

    def __init__(self, password=None, redis_options=()):
        self.redis = Redis(password, redis_options)
        self.servers = []

    def add(self, url, redis=None, expected=(), **arguments):
        httpd = Httpd(modules=MODULES, expected=expected)
        httpd.configure(text(httpd, url, redis or f"redis://127.0.0.1:{self.redis.port}", **arguments))
        self.servers.append(httpd)
        httpd.start()
        return httpd

    def end(self):
        wrong = [line for server in self.servers for line in server.stop()]
        for server in self.servers:
            server.remove()
        self.redis.remove()
        assert not wrong, wrong


@pytest.fixture
def machines(request):
    made = Machines(**getattr(request, "param", {}))
    yield made
    made.end()


@pytest.fixture
def endpoint():
    from endpoint import Endpoint
    server = Endpoint()
    server.default = by_name
    yield server
    server.stop()


def ask(httpd, token):
    response = httpd.get("/v1", token=token)
    return response.status, response.note("cache")


def operations(httpd):
    return status(httpd)["shared_cache"]["operations"]


def status(httpd):
    return httpd.get("/status?format=json", headers=tuple(USER.items())).json


def purge(httpd, what):
    return httpd.request("POST", "/status", headers=(*USER.items(), ("Content-Type", "application/x-www-form-urlencoded")),
                         body=f"purge={what}".encode())


def entries(redis):
    return [key for key in redis.keys() if ":e:" in key]


class TestSharing:
    def test_a_token_validated_by_one_is_a_shared_hit_on_the_other(self, machines, endpoint, token):
        endpoint.on(token, accept("alice", {"roles": ["a,b", "ü"], "scopes": ["x"]}, message="welcome"))
        one, two = machines.add(endpoint.url()), machines.add(endpoint.url())
        first, second = one.get("/v1", token=token), two.get("/v1", token=token)
        assert (first.note("cache"), second.note("cache")) == ("miss", "shared")
        for name in ("principal", "client_id", "provider", "attributes", "message", "attribute.roles", "user"):
            assert first.note(name) == second.note(name) is not None, name
        assert ask(two, token) == (200, "hit")
        assert len(endpoint.calls_for(token)) == 1
        assert operations(two)["hit"] == 1 and operations(one)["stored"] == 1

    def test_rejections_are_not_shared(self, machines, endpoint, token):
        endpoint.on(token, reply(403))
        one, two = machines.add(endpoint.url()), machines.add(endpoint.url())
        assert ask(one, token) == (401, "miss") == ask(two, token)
        assert not entries(machines.redis)

    @pytest.mark.parametrize("size, second, stored", [(5_000, "shared", 1), (7_000, "miss", 0)])
    def test_large_identities(self, machines, endpoint, token, size, second, stored):
        """What is too large for the cache (17 KB, with all its forms of the value) is not put into Redis either."""
        endpoint.on(token, accept("alice", {"pad": ["x" * size]}))
        one, two = machines.add(endpoint.url()), machines.add(endpoint.url())
        assert (ask(one, token), ask(two, token)) == ((200, "miss"), (200, second))
        answer = two.get("/v1", token=token)
        assert answer.note("cache") == ("hit" if stored else "miss")
        assert json.loads(answer.note("attributes")) == {"pad": ["x" * size]}
        assert len(entries(machines.redis)) == operations(one)["stored"] == stored

    def test_nothing_readable_lies_in_redis(self, machines, endpoint, token):
        endpoint.on(token, accept("alice-the-principal", {"roles": ["role-of-hers"]}))
        ask(machines.add(endpoint.url()), token)
        (key,) = entries(machines.redis)
        stored = machines.redis.get(key)
        for canary in (token, "alice-the-principal", "role-of-hers", client_id(token)):
            assert canary.encode() not in stored and canary not in key
        assert re.fullmatch(r"llama_auth:e:[0-9a-f]{64}", key)

    def test_an_entry_goes_with_its_time(self, machines, endpoint, token):
        endpoint.on(token, accept("alice", {}, expires_in=7))
        ask(machines.add(endpoint.url()), token)
        (key,) = entries(machines.redis)
        assert 0 < int(machines.redis.cli("PTTL", key)) <= 7000

    def test_another_definition_of_the_provider_is_another_question(self, machines, endpoint, token):
        one = machines.add(endpoint.url())
        two = machines.add(endpoint.url(), options=("PrincipalClaim principal",))
        assert ask(one, token) == (200, "miss") == ask(two, token)

    def test_prefix_keeps_companies_apart(self, machines, endpoint, token):
        one = machines.add(endpoint.url())
        two = machines.add(endpoint.url(), words="prefix=other:")
        assert ask(one, token) == (200, "miss") == ask(two, token)
        assert any(key.startswith("other:e:") for key in machines.redis.keys())

    def test_unix_socket(self, machines, endpoint, token):
        one = machines.add(endpoint.url(), redis=f"unix:{machines.redis.socket}")
        two = machines.add(endpoint.url())
        assert (ask(one, token), ask(two, token)) == ((200, "miss"), (200, "shared"))

    def test_database(self, machines, endpoint, token):
        ask(machines.add(endpoint.url(), redis=f"redis://127.0.0.1:{machines.redis.port}/3"), token)
        assert not entries(machines.redis)
        assert "keys=" in machines.redis.cli("INFO", "keyspace").split("db3:")[1]


@pytest.mark.parametrize("machines", [{"password": "s3cret word/%"}], indirect=True)
class TestPassword:
    def test_in_the_url(self, machines, endpoint, token):
        one = machines.add(endpoint.url(), redis=f"redis://:s3cret%20word%2F%25@127.0.0.1:{machines.redis.port}")
        assert ask(one, token) == (200, "miss")
        assert len(entries(machines.redis)) == 1
        assert "s3cret" not in json.dumps(status(one))

    def test_from_a_file_over_a_socket(self, machines, endpoint, token):
        (machines.redis.root / "password").write_text("s3cret word/%\n")
        name = str(machines.redis.root / "password").replace("/", "%2F")
        one = machines.add(endpoint.url(), redis=f"unix://default:file:{name}@{machines.redis.socket}")
        assert ask(one, token) == (200, "miss")
        assert len(entries(machines.redis)) == 1

    def test_a_wrong_one_is_an_outage(self, machines, endpoint):
        one = machines.add(endpoint.url(), redis=f"redis://:wrong@127.0.0.1:{machines.redis.port}",
                           expected=(r"LA0052: .* refuses the password",))
        for _ in range(5):
            assert ask(one, new_token()) == (200, "miss")
        assert status(one)["shared_cache"]["breaker"]["state"] == "open"


class TestForgery:
    def broken(self, machines, endpoint, token, change):
        """Stores an entry on one machine, changes it in Redis and asks the other."""
        one, two = machines.add(endpoint.url()), machines.add(endpoint.url(), expected=("LA0056",))
        ask(one, token)
        (key,) = entries(machines.redis)
        change(machines.redis, key)
        return two, ask(two, token)

    @pytest.mark.parametrize("change", [
        pytest.param(lambda r, k: r.set(k, r.get(k)[:-1]), id="truncated"),
        pytest.param(lambda r, k: r.set(k, r.get(k)[:40] + bytes([r.get(k)[40] ^ 1]) + r.get(k)[41:]), id="altered"),
        pytest.param(lambda r, k: r.set(k, b""), id="empty"),
        pytest.param(lambda r, k: r.set(k, b"LA\x02" + r.get(k)[3:]), id="another format"),
        pytest.param(lambda r, k: r.set(k, b'{"principal": "root"}'), id="somebody's JSON"),
        pytest.param(lambda r, k: r.set(k, b"x" * 1000000), id="a megabyte"),
    ])
    def test_unreadable_is_a_miss_and_logged_once(self, machines, endpoint, token, change):
        two, answer = self.broken(machines, endpoint, token, change)
        assert answer == (200, "miss")
        assert len(endpoint.calls_for(token)) == 2
        assert operations(two)["unreadable"] == 1
        self.again(machines, endpoint, two, change)
        assert sum("LA0056" in line.text for line in two.log.since()) == 1

    def again(self, machines, endpoint, two, change):
        token = new_token()
        known = set(entries(machines.redis))
        ask(machines.servers[0], token)
        (key,) = set(entries(machines.redis)) - known
        change(machines.redis, key)
        assert ask(two, token) == (200, "miss")
        assert operations(two)["unreadable"] == 2

    def test_a_wrong_type_is_a_miss(self, machines, endpoint, token):
        def change(redis, key):
            redis.cli("DEL", key)
            redis.cli("RPUSH", key, "x")
        _, answer = self.broken(machines, endpoint, token, change)
        assert answer == (200, "miss")

    def test_an_entry_copied_to_another_key_is_a_miss(self, machines, endpoint):
        mallory, alice = new_token("mallory"), new_token("alice")
        one, two = machines.add(endpoint.url()), machines.add(endpoint.url(), expected=("LA0056",))
        ask(one, mallory)
        (hers,) = entries(machines.redis)
        ask(one, alice)
        (his,) = set(entries(machines.redis)) - {hers}
        machines.redis.set(hers, machines.redis.get(his))
        assert ask(two, mallory) == (200, "miss")
        assert two.get("/v1", token=mallory).note("principal") == one.get("/v1", token=mallory).note("principal")

    def test_another_secret_is_a_miss(self, machines, endpoint, token):
        one, two = machines.add(endpoint.url()), machines.add(endpoint.url(), secrets=("conf/other",))
        assert ask(one, token) == (200, "miss") == ask(two, token)


class TestRotation:
    def test_two_secrets_in_force(self, machines, endpoint, token):
        """The old secret's entries are read, new ones are written under the new secret."""
        old = machines.add(endpoint.url())
        both = machines.add(endpoint.url(), secrets=("conf/other", "conf/secret"))
        new = machines.add(endpoint.url(), secrets=("conf/other",))
        assert (ask(old, token), ask(both, token), ask(new, token)) == ((200, "miss"), (200, "shared"), (200, "miss"))
        later = new_token()
        assert (ask(both, later), ask(new, later), ask(old, later)) == ((200, "miss"), (200, "shared"), (200, "miss"))

    def test_a_changed_file_is_taken_up(self, machines, endpoint):
        one, two = machines.add(endpoint.url()), machines.add(endpoint.url())
        for server in (one, two):
            server.write("conf/secret", OTHER)

        def shared_under_the_new():
            token = new_token()
            names = set(entries(machines.redis))
            ask(one, token)
            return ask(two, token) == (200, "shared") and set(entries(machines.redis)) - names
        await_until(shared_under_the_new, "both to use the new secret")


class TestPurge:
    @pytest.mark.parametrize("what, hers, his", [("all", 1, 1), ("principal:alice", 1, 0), ("client_id", 1, 0)])
    def test_reaches_every_machine(self, machines, endpoint, what, hers, his):
        alice, bob = new_token(), new_token()
        endpoint.on(alice, accept("alice", {}))
        endpoint.on(bob, accept("bob", {}))
        one, two = machines.add(endpoint.url()), machines.add(endpoint.url())
        for token in (alice, bob):
            assert (ask(one, token), ask(two, token)) == ((200, "miss"), (200, "shared"))
        endpoint.on(alice, reply(401))
        endpoint.on(bob, reply(401))
        answer = purge(one, what if what != "client_id" else f"client_id:{client_id(alice)}")
        assert answer.status == 200 and answer.json == {"dropped": hers + his, "shared_cache": "told"}
        assert ask(one, alice)[0] == 401
        await_until(lambda: ask(two, alice)[0] == 401, "the other machine to hear of it")
        assert ask(one, bob)[0] == (401 if his else 200)
        assert ask(two, bob)[0] == 401  # another machine's purge drops everything

    def test_an_entry_from_before_is_not_taken(self, machines, endpoint, token):
        """Its machine has not heard of the purge when it asks for the entry: the answer itself brings the news."""
        endpoint.on(token, accept("alice", {}))
        one, two = machines.add(endpoint.url()), machines.add(endpoint.url())
        ask(one, token)
        assert purge(one, "principal:alice").json["shared_cache"] == "told"
        assert len(entries(machines.redis)) == 1
        assert ask(two, token) == (200, "miss")
        assert operations(two)["purged"] == 1

    def test_a_lost_record_purges_all(self, machines, endpoint, token):
        one, two = machines.add(endpoint.url()), machines.add(endpoint.url())
        assert (ask(one, token), ask(two, token)) == ((200, "miss"), (200, "shared"))
        machines.redis.cli("INCR", "llama_auth:epoch")
        await_until(lambda: ask(two, token)[1] != "hit", "two to drop everything")

    def test_a_redis_that_began_anew(self, machines, endpoint, token):
        one = machines.add(endpoint.url(), expected=("LA0054", "LA0052"))
        assert purge(one, "all").json["shared_cache"] == "told"
        await_until(lambda: status(one)["cache"]["purges"] >= 2, "its own purge to come back")
        assert ask(one, token) == (200, "miss")
        machines.redis.cli("FLUSHALL")
        await_until(lambda: any("LA0054" in line.text for line in one.log.since()), "the server to notice")
        assert ask(one, token)[1] != "hit"

    def restored(self, machines, endpoint, token, *options):
        """A machine whose Redis has an entry, and has forgotten the purge that took it, of which it said the number and no more
        before it died."""
        one = machines.add(endpoint.url(), expected=("LA0054", "LA0052", "LA0057"))
        assert ask(one, token) == (200, "miss")
        purge(one, "principal:somebody")
        machines.redis.cli("SAVE")
        endpoint.on(token, reply(401))
        assert purge(one, "all").json["shared_cache"] == "told"
        machines.redis.kill()
        machines.redis.options += options
        machines.redis.start()
        assert len(entries(machines.redis)) == 1
        return one

    @staticmethod
    def logged(httpd, number):
        return [line for line in httpd.log.since() if number in line.text]

    def test_a_redis_restored_from_a_snapshot(self, machines, endpoint, token):
        one = self.restored(machines, endpoint, token)
        await_until(lambda: self.logged(one, "LA0054"), "the server to notice")
        two = machines.add(endpoint.url())
        assert ask(one, token)[0] == ask(two, token)[0] == 401
        assert len(self.logged(one, "LA0054")) == 1

    def test_a_restored_one_that_takes_no_purge_is_not_believed(self, machines, endpoint, token):
        one = self.restored(machines, endpoint, token, "--min-replicas-to-write", "1")
        await_until(lambda: self.logged(one, "LA0057"), "the server to notice")
        failures = status(one)["cache"]["purges"]
        await_until(lambda: status(one)["cache"]["purges"] >= failures + 2, "it to try again")
        assert ask(one, token)[0] == 401
        assert len(self.logged(one, "LA0057")) == 1 and not self.logged(one, "LA0054")
        machines.redis.cli("CONFIG", "SET", "min-replicas-to-write", "0")
        await_until(lambda: self.logged(one, "LA0054"), "a new era")
        fresh = new_token()
        assert ask(one, fresh) == (200, "miss")
        await_until(lambda: len(entries(machines.redis)) == 2, "entries to be shared again")

    def test_purges_under_load_are_no_new_beginning(self, machines, endpoint):
        """An answer that was under way when the next purge came does not look like a Redis that lost something."""
        one = machines.add(endpoint.url())
        # Connections are not kept: event closes those that rest when its workers run out.
        with Load(one, lambda chance: ("/v1", new_token()), check_own, clients=6, keep=False) as load:
            for _ in range(100):
                purge(one, "principal:nobody")
        assert not load.failures, load.failures[0]
        assert not self.logged(one, "LA0054")

    def test_unreachable_is_said(self, machines, endpoint, token):
        one = machines.add(endpoint.url(), expected=("LA0052",))
        ask(one, token)
        machines.redis.kill()
        answer = purge(one, "all")
        assert answer.status == 502 and answer.json == {"dropped": 1, "shared_cache": "unreachable"}
        assert ask(one, token) == (200, "miss")


class TestOutage:
    def test_killed_under_load(self, machines, endpoint):
        """No request fails, whatever moment it is killed at, and it is used again when it is back."""
        one = machines.add(endpoint.url(), expected=("LA0052",))
        with one.connect() as connection:
            for number in range(300):
                if number == 100:
                    machines.redis.kill()
                assert connection.get("/v1", token=new_token()).status == 200
        # Not at once: the background's question may be under way, which is the probe once the breaker has been open for its time.
        await_until(lambda: status(one)["shared_cache"]["breaker"]["state"] == "open", "the breaker to be open")
        machines.redis.start()

        def is_used_again():
            ask(one, new_token())
            return status(one)["shared_cache"]["breaker"]["state"] == "closed"
        await_until(is_used_again, "the shared cache to be used again")
        stored = operations(one)["stored"]
        ask(one, new_token())
        assert operations(one)["stored"] == stored + 1
        assert sum("LA0052" in line.text for line in one.log.since()) == 1
        assert sum("LA0053" in line.text for line in one.log.since()) == 1

    def test_hanging(self, machines, endpoint):
        """A stopped server is asked three times, each for its timeout, and then left alone."""
        one = machines.add(endpoint.url(), words="timeout=50ms connect_timeout=50ms", expected=("LA0052",))
        ask(one, new_token())
        machines.redis.pause()
        try:
            for _ in range(20):
                assert ask(one, new_token()) == (200, "miss")
        finally:
            machines.redis.resume()
        shared = status(one)["shared_cache"]
        assert shared["operations"]["unavailable"] < 8
        assert shared["operations"]["skipped"] >= 13
        assert "timeout" in shared["last_error"]["text"]

    @pytest.mark.parametrize("machines", [{"redis_options": ("--maxmemory", "1")}], indirect=True)
    def test_full(self, machines, endpoint):
        one = machines.add(endpoint.url())
        for _ in range(10):
            assert ask(one, new_token()) == (200, "miss")
        shared = status(one)["shared_cache"]
        assert shared["operations"]["store_failed"] == 10 and shared["breaker"]["state"] == "closed"

    def test_nobody_listens(self, machines, endpoint, token):
        machines.redis.kill()
        one = machines.add(endpoint.url(), expected=("LA0052",))
        assert (ask(one, token), ask(one, token)) == ((200, "miss"), (200, "hit"))

    def test_graceful_restart_keeps_it(self, machines, endpoint):
        token, other = new_token(), new_token()
        one, two = machines.add(endpoint.url()), machines.add(endpoint.url())
        ask(one, token)
        before = status(one)["shared_cache"]["operations"]["stored"]
        two.graceful()
        assert ask(two, token) == (200, "shared")
        one.graceful()
        assert ask(one, token) == (200, "hit")
        ask(one, other)
        assert status(one)["shared_cache"]["operations"]["stored"] == before + 1


class TestConfiguration:
    CASES = [
        ("without a secret", "LlamaAuthCacheShared redis://127.0.0.1", "test.conf:1: LlamaAuthCacheShared needs LlamaAuthCacheSecret"),
        ("without a cache", "LlamaAuthCacheSize off\nLlamaAuthCacheShared redis://127.0.0.1\nLlamaAuthCacheSecret file:conf/secret",
         "LlamaAuthCacheSize is off"),
        ("another scheme", "LlamaAuthCacheShared http://127.0.0.1", "must be redis://"),
        ("no host", "LlamaAuthCacheShared redis:///1", "must be redis://"),
        ("no port", "LlamaAuthCacheShared redis://127.0.0.1:0", "port must be"),
        ("a large port", "LlamaAuthCacheShared redis://127.0.0.1:65536", "port must be"),
        ("a database that is none", "LlamaAuthCacheShared redis://127.0.0.1/a", "number of a database"),
        ("a relative socket", "LlamaAuthCacheShared unix:run/redis.sock", "unix:/path"),
        ("a socket with a host", "LlamaAuthCacheShared unix://:p@host/run/redis.sock", "unix:/path"),
        ("a query", "LlamaAuthCacheShared redis://127.0.0.1?timeout=1s", "words after it"),
        ("a query of a socket", "LlamaAuthCacheShared unix:/run/redis.sock?timeout=1s", "words after it"),
        ("a password as a word", "LlamaAuthCacheShared redis://127.0.0.1 password=x", "password is not known"),
        ("an unknown word", "LlamaAuthCacheShared redis://127.0.0.1 tls=on", "tls is not known"),
        ("a bad timeout", "LlamaAuthCacheShared redis://127.0.0.1 timeout=0", "timeout"),
        ("user without password", "LlamaAuthCacheShared redis://bob@127.0.0.1", "no password"),
        ("twice", "LlamaAuthCacheShared none\nLlamaAuthCacheShared none", "only once"),
        ("a short secret", "LlamaAuthCacheSecret file:conf/short", "fewer than 32"),
        ("a missing secret", "LlamaAuthCacheSecret file:conf/nowhere", "nowhere"),
        ("a literal secret", f"LlamaAuthCacheSecret {SECRET}", "file:PATH"),
        ("in a virtual host", "<VirtualHost *:1>\nLlamaAuthCacheShared none\n</VirtualHost>", "main server"),
    ]

    @pytest.mark.parametrize("line, message", [pytest.param(*case[1:], id=case[0]) for case in CASES])
    def test_refused(self, bare, line, message):
        bare.write("conf/secret", SECRET)
        bare.write("conf/short", "short")
        bare.configure(line)
        code, said = bare.check()
        assert code != 0 and message in said, said
        assert SECRET not in said

    @pytest.mark.parametrize("line", [
        "LlamaAuthCacheShared none", "LlamaAuthCacheShared redis://:pw@[::1]:6380/2", "LlamaAuthCacheShared unix:/run/redis.sock timeout=1s",
        "LlamaAuthCacheShared unix:///run/redis.sock", "LlamaAuthCacheShared unix://:p@/run/redis.sock",
        "LlamaAuthCacheShared redis://u:p@127.0.0.1/4 timeout=1s connect_timeout=20ms prefix=a:"])
    def test_taken(self, bare, line):
        bare.write("conf/secret", SECRET)
        bare.configure(line + "\nLlamaAuthCacheSecret file:conf/secret file:conf/secret\n")
        assert bare.check()[0] == 0, bare.check()[1]
