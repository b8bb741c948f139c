"""Row 19: the clock jumps, an hour and ten years, both ways, by libfaketime under httpd (monotonic time goes on, as it does when somebody
sets the clock); and the part of row 22 that waits for a CacheTTL."""

import glob
import json
import time

import pytest

from behaviour import accept, reply
from configs import everywhere, location, provider
from conftest import new_token
from errorlog import await_until
from prover import Api, Prover, held, refused
from server import MODULE, Httpd, key_entry, sanitizer_environment
from client import build
from signer import Key, claims
from signing import KNOWN, backend_of, last_call, payload_of, signer_section

HOUR = 3600
YEARS = 10 * 365 * 24 * HOUR
TTL = 300
QUOTAS = {"window": "Requests 2/1h", "aligned": "Requests 2/1h aligned", "rate": "Rate 2/1h"}


@pytest.fixture(scope="class")
def key():
    return Key("ES256", "k")


@pytest.fixture
def server(key):
    """An httpd whose clock set() turns."""
    (library,) = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    preload = ":".join(filter(None, [sanitizer_environment().get("LD_PRELOAD"), library]))
    httpd = Httpd(expected=("is unavailable",), modules=("proxy", "proxy_http", "headers"))
    clock = httpd.write("clock", "+0")
    clock.chmod(0o644)
    httpd.env = {"LD_PRELOAD": preload, "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
                 "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    def turn(seconds):
        httpd.write("clock", f"{seconds:+d}").chmod(0o644)
    httpd.turn = turn
    httpd.write("htdocs/folder/index.html", "index")
    httpd.write("conf/jwks.json", json.dumps({"keys": [key.public()]}))
    httpd.write_keys("conf/keys.json", key_entry("static-key-that-ends", "ci", expires=time.strftime(
        "%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1800))))
    httpd.configure(provider("corp", httpd.endpoint().url(), "CacheVary none", f"CacheTTL {TTL}s", "CacheStale 1h") +
                    location("/v1", "corp") + everywhere(httpd, "/v1") +
                    "<LlamaAuthProvider idp jwt>\nJwksFile conf/jwks.json\nCacheTTL 1d\nLeeway 0\n</LlamaAuthProvider>\n" +
                    location("/jwt", "idp") + everywhere(httpd, "/jwt") +
                    "<LlamaAuthProvider bound jwt>\nJwksFile conf/jwks.json\nBinding dpop\n</LlamaAuthProvider>\n" +
                    location("/bound", "bound") + everywhere(httpd, "/bound") +
                    "<LlamaAuthProvider nonces jwt>\nJwksFile conf/jwks.json\nDPoPNonce on\n</LlamaAuthProvider>\n" +
                    location("/nonces", "nonces") + everywhere(httpd, "/nonces") +
                    location("/folder", "nonces") + "<Location /folder/index.html>\nLlamaAuthUse nonces bound\n</Location>\n" +
                    "<LlamaAuthProvider keys static>\nFile conf/keys.json\n</LlamaAuthProvider>\n" +
                    location("/keys", "keys") + everywhere(httpd, "/keys") + signer_section(httpd) +
                    f"<Location /signed>\n{KNOWN}RequireModel *\nLlamaAuthForward Authorization assertion:internal\n"
                    f"LlamaAuthForward X-Assertion assertion:internal\nLlamaAuthForward X-Other assertion:internal\n"
                    f"RequestHeader set X-Other other\nProxyPass {backend_of(httpd)}/\n</Location>\n" +
                    "".join(f"<LlamaAuthQuota {name}>\nBy client_ip\n{line}\n</LlamaAuthQuota>\n"
                            f"<Location /{name}>\nLlamaAuthQuotaUse {name}\nRequire all granted\n</Location>\n" for name, line in QUOTAS.items()))
    try:
        httpd.start()
        yield httpd
        wrong = httpd.stop()
    finally:
        httpd.stop()
        httpd.remove()
    assert not wrong, wrong


def ask(httpd, path, token):
    answer = httpd.get(path, token=token)
    return answer.status, answer.note("cache")


@pytest.mark.skipif("asan" in str(MODULE), reason="libfaketime and ASan's allocator wait for each other at start-up")
class TestClock:
    @pytest.mark.parametrize("jump", [HOUR, YEARS])
    def test_expired_is_refused(self, server, key, jump):
        """What ends in half an hour, cached or not, is over after the jump."""
        token, jwt = new_token(), key.sign(claims(exp=int(time.time()) + 1800))
        server.endpoint().on(token, accept("alice", {}, expires_in=1800))
        assert ask(server, "/v1", token) == (200, "miss") and ask(server, "/v1", token) == (200, "hit")
        assert ask(server, "/jwt", jwt)[0] == 200 and ask(server, "/jwt", jwt) == (200, "hit")
        assert ask(server, "/keys", "static-key-that-ends")[0] == 200
        server.endpoint().on(token, reply(401))
        server.turn(jump)
        assert ask(server, "/v1", token)[0] == 401
        assert ask(server, "/jwt", jwt)[0] == 401
        assert ask(server, "/keys", "static-key-that-ends")[0] == 401

    @pytest.mark.parametrize("jump", [HOUR, YEARS])
    def test_nothing_becomes_immortal(self, server, jump):
        """What was kept while the clock was ahead is not kept for all the time until then."""
        token = new_token()
        server.endpoint().on(token, accept("alice", {}))
        server.turn(jump)
        assert ask(server, "/v1", token) == (200, "miss") and ask(server, "/v1", token) == (200, "hit")
        server.endpoint().on(token, reply(401))
        server.turn(0)
        assert ask(server, "/v1", token)[0] == 401

    @pytest.mark.parametrize("jump", [HOUR, YEARS])
    def test_back_and_forth(self, server, jump):
        """A clock that was put back serves everybody, and what was kept then ends with its time."""
        token = new_token()
        server.endpoint().on(token, accept("alice", {}))
        assert ask(server, "/v1", token) == (200, "miss")
        server.turn(-jump)
        assert ask(server, "/v1", token)[0] == 200
        server.endpoint().on(token, reply(401))
        server.turn(TTL + 1)
        assert ask(server, "/v1", token)[0] == 401

    def test_revoked_within_its_ttl(self, server):
        token = new_token()
        server.endpoint().on(token, accept("alice", {}))
        ask(server, "/v1", token)
        server.endpoint().on(token, reply(401))
        assert ask(server, "/v1", token) == (200, "hit")
        server.turn(TTL + 1)
        assert ask(server, "/v1", token)[0] == 401

    @pytest.mark.parametrize("jump", [HOUR, YEARS, -HOUR, -YEARS])
    @pytest.mark.parametrize("name", QUOTAS)
    def test_quotas(self, server, name, jump):
        """Only an aligned window follows the clock, and only forward; nobody waits longer than the period."""
        def statuses(count):
            return [server.get(f"/{name}").status for _ in range(count)]
        assert statuses(3) == [404, 404, 429]
        server.turn(jump)
        assert statuses(1) == [404 if name == "aligned" and jump > 0 else 429]
        assert statuses(2)[-1] == 429
        server.turn(0)
        if name != "aligned" or jump > 0:  # else it is forward again
            answer = server.get(f"/{name}")
            assert answer.status == 429 and int(answer.header("Retry-After")) <= HOUR

    @pytest.mark.parametrize("jump", [31, 61, -HOUR])
    def test_assertion_behind_a_slow_body(self, server, jump):
        """Who reads it finds it good for half of its Lifetime at least, however long the body took."""
        body = b'{"model": "m"}'
        with server.connect() as connection:
            connection.send(build("POST", "/signed", token="static-key-that-ends", headers=[
                ("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Expect", "100-continue")]))
            assert connection.read_head()[1] == 100
            server.turn(jump)
            connection.send(body)
            assert connection.read().status == 200
        now = time.time() + jump
        for header in ("Authorization", "X-Assertion"):
            said = payload_of(last_call(server, "backend").header(header))
            assert said["iat"] <= now and now + 29 <= said["exp"] <= now + 60
        assert last_call(server, "backend").header("X-Other") == "other"  # mod_headers put it in an assertion's place

    def proof_of(self, api, prover, token, path="/bound", ahead=0, **changes):
        """As a client makes it whose clock is so far ahead of ours."""
        return prover.proof("GET", api.origin + path, token, iat=int(time.time()) + ahead, **changes)

    @pytest.mark.parametrize("jump", [HOUR, YEARS, -HOUR + 60, -HOUR - 60, -YEARS])
    def test_no_proof_counts_twice(self, server, key, jump):
        """Wherever the clock goes, and comes back to."""
        api, prover = Api(server), Prover()
        server.expect("LA0412: the clock was put back")
        token = prover.token(key, exp=int(time.time()) + 2 * YEARS)
        await_until(lambda: api.send("/bound", token, self.proof_of(api, prover, token)).status == 200, "the first proof to be accepted")
        proof = self.proof_of(api, prover, token)
        held(api.send("/bound", token, proof))
        refused(api.send("/bound", token, proof))
        server.turn(jump)
        refused(api.send("/bound", token, proof))
        if jump > 0 or jump < -HOUR:  # else it is before the memory's beginning, which it waits for
            def works(ahead):
                return api.send("/bound", token, self.proof_of(api, prover, token, ahead=ahead)).status == 200
            await_until(lambda: works(jump + 1), "proofs of the new time to be accepted")
        later = self.proof_of(api, prover, token, ahead=jump + 2)
        api.send("/bound", token, later)
        refused(api.send("/bound", token, later))
        server.turn(0)
        refused(api.send("/bound", token, proof))
        refused(api.send("/bound", token, later))
        await_until(lambda: api.send("/bound", token, self.proof_of(api, prover, token, ahead=120)).status == 200,
                    "new proofs to be accepted")
        server.turn(400)  # all lives are over, and the clock goes back once more
        api.send("/bound", token, self.proof_of(api, prover, token, ahead=400))
        server.turn(0)
        refused(api.send("/bound", token, proof))

    def test_nonces(self, server, key):
        """Good for five minutes; a new one comes with answers before that, with good ones too."""
        api, prover = Api(server), Prover()
        token = prover.token(key, exp=int(time.time()) + HOUR)

        def ask(nonce, ahead):
            return api.send("/nonces", token, self.proof_of(api, prover, token, "/nonces", ahead, nonce=nonce))
        nonce = ask(None, 1).header("DPoP-Nonce")
        answer = ask(nonce, 1)
        held(answer)
        assert answer.header("DPoP-Nonce") is None
        server.turn(200)
        answer = ask(nonce, 200)
        held(answer)
        newer = answer.header("DPoP-Nonce")
        assert newer and newer != nonce
        answer = api.send("/folder/", token, self.proof_of(api, prover, token, "/folder/", 200, nonce=nonce))
        held(answer)  # in two sections
        assert answer.header("DPoP-Nonce")
        server.turn(301)
        refused(ask(nonce, 301), "use_dpop_nonce")
        held(ask(newer, 301))
        for jump in (HOUR, YEARS, -HOUR, -YEARS):
            server.turn(jump)
            answer = ask(newer, jump)
            assert answer.status == 401 and answer.proof_challenge["error"] in ("use_dpop_nonce", "invalid_token"), answer
