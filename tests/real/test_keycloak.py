"""Keycloak as its distribution has it, behind conf/keycloak.conf and conf/introspection.conf as they are shipped: who its tokens stand for,
which of them are none, and what its rotations, revocations, outages and restarts do to callers, whose every answer is checked."""

import base64
import json

import pytest

from crowd import INACTIVE, INVALID, PATH, STATUS, Crowd, ask, await_status, backend, forget, refused, revive, sort_lists, told
from errorlog import await_until
from keycloak import AUDIENCE, CLI, GATEWAY, HOME, OTHER, Keycloak
from prover import Api, Prover, held
from prover import refused as not_held
from server import client_id
from test_binding import Client, virtual_host
from test_binding import refused as not_shown
from test_clients import run
from test_confs import text_of
from test_status import guarded

pytestmark = pytest.mark.skipif(not (HOME.parent / "installed").exists(), reason="Keycloak is not installed")

ALGORITHMS = ("RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA")
STARTED = []


@pytest.fixture(scope="module", autouse=True)
def keycloak(tmp_path_factory, pki):
    """One for all classes; `configure` finds it in STARTED."""
    STARTED[:] = [Keycloak(tmp_path_factory.mktemp("real") / "keycloak", pki)]
    yield STARTED[0]
    STARTED[0].stop()


@pytest.fixture(autouse=True)
def alive(keycloak):
    yield
    revive(keycloak)


def bound(keycloak, prover, name="alice"):
    """An access token of a person, bound to a client's key."""
    return keycloak.sign_in(name, DPoP=prover.proof("POST", keycloak.url("token"), "", ath=None))["access_token"]


def header_of(token):
    return json.loads(base64.urlsafe_b64decode(token.partition(".")[0] + "=="))


class TestJwt:
    """conf/keycloak.conf"""
    modules = ("proxy", "proxy_http")
    expected = ("LA0060: .* cannot fetch the key set", "LA0024: .* fetching a newer one failed")

    @staticmethod
    def configure(httpd):
        return text_of("keycloak.conf", LLAMA_ISSUER=STARTED[0].issuer, LLAMA_BACKEND=backend(httpd))

    def test_person(self, httpd, keycloak):
        answer = sort_lists(told(httpd, keycloak.token("alice")))
        assert answer.pop("scopes") == ["email", "openid", "profile"]
        assert answer == {"user": "alice", "token": True, "roles": ["admin", "offline_access"], "teams": ["/core"]}

    def test_service_account(self, httpd, keycloak):
        assert told(httpd, keycloak.token())["user"] == f"service-account-{CLI}"

    def test_scope_that_writes_groups(self, httpd, keycloak):
        """The comment of conf/keycloak.conf warns of it."""
        token = keycloak.token("alice", scope="openid microprofile-jwt")
        assert {"/core", "admin"} <= set(told(httpd, token)["teams"])

    def test_client_named_as_the_audience(self, httpd, keycloak):
        """And of that."""
        keycloak.add_client(AUDIENCE)
        assert ask(httpd, keycloak.sign_in("bob", by=AUDIENCE)["id_token"]).status == 200

    def test_lightweight_token(self, httpd, keycloak):
        """It does not say who the caller is: nobody."""
        keycloak.set_attributes(CLI, client_use_lightweight_access_token_enabled="true")
        try:
            token = keycloak.token("alice")
        finally:
            keycloak.set_attributes(CLI, client_use_lightweight_access_token_enabled="false")
        refused(httpd, token, INVALID, "aud is missing")

    def test_algorithms(self, httpd, keycloak):
        """Keycloak makes a key for each when it is first asked for it, so httpd meets keys that it does not know."""
        tokens = {}
        try:
            for algorithm in ALGORITHMS:
                keycloak.set_attributes(CLI, access_token_signed_response_alg=algorithm)
                tokens[algorithm] = keycloak.token("alice")
        finally:
            keycloak.set_attributes(CLI, access_token_signed_response_alg="RS256")
        assert [header_of(token)["alg"] for token in tokens.values()] == list(ALGORITHMS)
        for token in tokens.values():
            await_status(httpd, token, 200)

    def test_wrong_audience(self, httpd, keycloak):
        refused(httpd, keycloak.token("alice", by=OTHER), INVALID, f"expected one of: {AUDIENCE}")

    def test_other_tokens(self, httpd, keycloak):
        refused(httpd, keycloak.sign_in("alice", scope="offline_access")["refresh_token"], INVALID, "HS512")
        tokens = keycloak.sign_in("alice")
        refused(httpd, tokens["refresh_token"], INVALID, "HS512")
        refused(httpd, tokens["id_token"], INVALID, f'aud is "{CLI}", expected one of: {AUDIENCE}')

    def test_another_realm(self, httpd, keycloak):
        keycloak.administer("GET", "/corp")
        response = ask(httpd, keycloak.admin_token)
        assert (response.status, response.message) == (401, INVALID)

    def test_rotation(self, httpd, keycloak):
        """Nobody is refused for a key that is new, and nobody for one that is old."""
        with Crowd(httpd, "alice", keycloak.token("alice"), outages=True) as crowd:
            crowd.await_answers()
            for priority in (200, 201):
                old = keycloak.active_key()
                new = keycloak.rotate(priority)
                token = crowd.add("bob", keycloak.token("bob"))
                assert header_of(token)["kid"] == new != old
                await_status(httpd, token, 200)
            crowd.end_outages()
            crowd.await_answers()

    def test_withdrawn_key(self, httpd, keycloak):
        """What a key that is gone has signed ends with the next fetch; what the others have signed goes on."""
        gone = keycloak.token("carol")
        with Crowd(httpd, "carol", gone, outages=True) as crowd:
            await_status(httpd, gone, 200)
            keycloak.rotate(300)
            crowd.add("alice", keycloak.token("alice"))
            await_status(httpd, crowd.callers[-1], 200)
            crowd.leave(gone)
            keycloak.withdraw(header_of(gone)["kid"])
            keycloak.rotate(301)
            crowd.add("bob", keycloak.token("bob"))
            await_status(httpd, crowd.callers[-1], 200)
            refused(httpd, gone, INVALID, "its key is unknown", outage=True)
            crowd.end_outages()
            crowd.await_answers()

    def test_hanging(self, httpd, keycloak):
        """Tokens of known keys are accepted, those never seen too, over a graceful restart; one of a new key waits for the key."""
        await_status(httpd, keycloak.token("alice"), 200)
        tokens = [keycloak.token(name) for name in ("alice", "bob", "carol")]
        keycloak.rotate(400)
        later = keycloak.token("bob")
        keycloak.pause()
        try:
            with Crowd(httpd, "alice", tokens[0]) as crowd:
                for name, token in zip(("bob", "carol"), tokens[1:]):
                    crowd.add(name, token)
                crowd.await_answers()
                response = ask(httpd, later)
                assert response.status == 503 and response.header("Retry-After"), response
                crowd.await_answers()
        finally:
            keycloak.resume()
        await_status(httpd, later, 200)

    def test_restart(self, httpd, keycloak):
        """Killed and started again under load: nobody notices."""
        with Crowd(httpd, "alice", keycloak.token("alice")) as crowd:
            crowd.await_answers()
            keycloak.kill()
            crowd.await_answers()
            httpd.graceful()
            crowd.await_answers()
            keycloak.start()
            crowd.add("bob", keycloak.token("bob"))
            crowd.await_answers()


class TestIntrospection:
    """conf/introspection.conf: Keycloak is asked."""
    modules = ("proxy", "proxy_http", "auth_basic", "authn_file")
    expected = ("is unavailable",)

    @staticmethod
    def configure(httpd):
        httpd.write("conf/introspection.secret", STARTED[0].secret_of(GATEWAY)).chmod(0o644)
        return text_of("introspection.conf", LLAMA_ISSUER=STARTED[0].issuer, LLAMA_BACKEND=backend(httpd)) + guarded(httpd, STATUS)

    def test_person(self, httpd, keycloak):
        answer = sort_lists(told(httpd, keycloak.token("alice")))
        assert answer.pop("scopes") == ["email", "openid", "profile"]
        assert answer == {"user": "alice", "token": False, "roles": ["admin", "offline_access", "ops"], "teams": ["/core"]}

    def test_service_account(self, httpd, keycloak):
        assert told(httpd, keycloak.token())["user"] == f"service-account-{CLI}"

    def test_lightweight_token(self, httpd, keycloak):
        """Keycloak says all that the token does not."""
        keycloak.set_attributes(CLI, client_use_lightweight_access_token_enabled="true")
        try:
            token = keycloak.token("alice")
        finally:
            keycloak.set_attributes(CLI, client_use_lightweight_access_token_enabled="false")
        assert told(httpd, token)["user"] == "alice"

    def test_wrong_audience(self, httpd, keycloak):
        """Keycloak itself says nothing of tokens that are not for the client that asks."""
        refused(httpd, keycloak.token("carol", by=OTHER), INACTIVE, "active is false, expected true")

    def test_other_tokens(self, httpd, keycloak):
        """Keycloak calls an ID token of the client that asks active."""
        tokens = {**keycloak.sign_in("alice"), "offline": keycloak.sign_in("alice", scope="offline_access")["refresh_token"]}
        for name in ("refresh_token", "id_token", "offline"):
            refused(httpd, tokens[name], INACTIVE, "active is false, expected true")
        refused(httpd, keycloak.sign_in("alice", by=GATEWAY)["id_token"], INACTIVE, 'token_type is "ID", expected an access token')

    def test_revoked_token(self, httpd, keycloak):
        """It serves as long as the cache holds it, a purge ends it, and nobody else is concerned."""
        token, other = keycloak.token("alice"), keycloak.token("bob")
        with Crowd(httpd, "bob", other) as crowd:
            assert told(httpd, token)["user"] == "alice"
            crowd.await_answers()
            keycloak.revoke(token)
            assert ask(httpd, token).note("cache") == "hit"
            assert forget(httpd, f"client_id:{client_id(token)}") == 1
            refused(httpd, token, INACTIVE, "active is false, expected true")
            assert ask(httpd, other).note("cache") == "hit"
            crowd.await_answers()

    @pytest.mark.parametrize("how", ["sign_out", "disable"])
    def test_person_is_gone(self, httpd, keycloak, how):
        with Crowd(httpd, "bob", keycloak.token("bob")) as crowd:
            tokens = [keycloak.token("dave"), keycloak.token("dave")]
            for token in tokens:
                assert told(httpd, token)["user"] == "dave"
            getattr(keycloak, how)("dave")
            assert forget(httpd, "principal:dave") == 2
            for token in tokens:
                refused(httpd, token, INACTIVE, "active is false, expected true")
            crowd.await_answers()

    def test_rotation(self, httpd, keycloak):
        """Of the realm's keys: it is Keycloak that knows them. Of httpd's own secret: the file is read again."""
        with Crowd(httpd, "alice", keycloak.token("alice")) as crowd:
            keycloak.rotate(500)
            crowd.add("bob", keycloak.token("bob"))
            crowd.await_answers()
        secret = keycloak.new_secret(GATEWAY)
        token = keycloak.token("bob")
        mark = httpd.log.mark()
        response = ask(httpd, token)
        assert (response.status, response.message) == (503, "Token introspection failed: 401")
        httpd.log.await_line("ClientId, ClientSecret or ClientAuth is wrong", mark)
        httpd.write("conf/introspection.secret", secret).chmod(0o644)
        await_status(httpd, token, 200)

    def test_hanging(self, httpd, keycloak):
        """Who is known goes on; who is not is told of an outage, at once when the breaker has opened; all is well afterwards."""
        unknown = [keycloak.token(name) for name in ("alice", "bob") * 4]
        with Crowd(httpd, "alice", keycloak.token("alice"), outages=True) as crowd:
            crowd.await_answers()
            keycloak.pause()
            try:
                for token in unknown:
                    crowd.add("bob" if token in unknown[1::2] else "alice", token)
                crowd.await_answers(status=503)
                crowd.await_answers()
                assert ask(httpd, unknown[0]).status == 503
            finally:
                keycloak.resume()
            for token in crowd.callers:
                await_status(httpd, token, 200)
            crowd.end_outages()
            crowd.await_answers()

    def test_restart(self, httpd, keycloak):
        """Stopped and started again under load: callers are served from the cache, then told of the outage, and never refused. (Killed,
        it loses sessions that began a moment before, and says so.)"""
        alice, bob = keycloak.token("alice"), keycloak.token("bob")
        with Crowd(httpd, "alice", alice, outages=True) as crowd:
            crowd.await_answers()
            keycloak.stop()
            crowd.await_answers()
            response = ask(httpd, bob)
            assert (response.status, response.message) == (503, "Authentication service error"), response
            forget(httpd, "all")  # as if the time of the cache had passed
            crowd.await_answers(status=503)
            crowd.add("bob", bob)
            keycloak.start()
            for token in (alice, bob):
                await_status(httpd, token, 200)
            crowd.end_outages()
            crowd.await_answers()


class TestDpop:
    """Tokens that Keycloak has bound to a client's key, by both configurations: the first host verifies them, the second one asks."""
    modules = ("proxy", "proxy_http")
    hosts = pytest.mark.parametrize("host", ["jwt", "introspection"])

    @staticmethod
    def configure(httpd):
        httpd.write("conf/introspection.secret", STARTED[0].secret_of(GATEWAY)).chmod(0o644)
        url, issuer, port = backend(httpd), STARTED[0].issuer, httpd.listen()
        texts = (text_of("keycloak.conf", LLAMA_ISSUER=issuer, LLAMA_BACKEND=url),
                 text_of("introspection.conf", LLAMA_ISSUER=issuer, LLAMA_BACKEND=url))
        return "".join(f"<VirtualHost 127.0.0.1:{number}>\nServerName 127.0.0.1\n{text}</VirtualHost>\n"
                       for number, text in zip((httpd.port, port), texts))

    @pytest.fixture
    def api(self, httpd, keycloak, host):
        """Ready: proofs of the second in which the server began are refused."""
        api = Api(httpd, port=httpd.ports[host == "introspection"])
        await_until(lambda: api.call(PATH, prover := Prover(), token=bound(keycloak, prover)).status == 200, "the first proof")
        return api

    @hosts
    @pytest.mark.parametrize("algorithm", ["ES256", "PS256", "EdDSA"])
    def test_proof(self, api, keycloak, algorithm):
        """Good for one request; the next one needs its own, though the token is known by then."""
        prover = Prover(algorithm)
        token = bound(keycloak, prover)
        for _ in range(2):
            proof = prover.proof("GET", api.origin + PATH, token)
            held(api.send(PATH, token, proof))
            for _ in range(2):
                not_held(api.send(PATH, token, proof))

    @hosts
    def test_stolen_token(self, api, httpd, keycloak):
        prover, thief = Prover(), Prover()
        token = bound(keycloak, prover)
        for _ in range(2):
            not_held(api.call(PATH, thief, token=token))
            not_held(httpd.get(PATH, token=token, port=api.port))
            held(api.call(PATH, prover, token=token))

    @hosts
    def test_token_without_a_key(self, api, keycloak):
        not_held(api.call(PATH, Prover(), token=keycloak.token("alice")), error="invalid_token")

    @hosts
    def test_clients_of_others(self, api, keycloak):
        """oauth4webapi from the issuer's discovery to two requests, and jose, whose proof is sent a second time."""
        server = {"base": api.origin, "issuer": keycloak.issuer, "id": CLI, "secret": keycloak.secret_of(CLI), "resource": AUDIENCE}
        said = run("oauthClient", "dpop.mjs", paths=[PATH] * 2, **server)
        assert (said["type"], said["nonces"]) == ("dpop", 0)
        assert [json.loads(answer["body"])["user"] for answer in said["answers"]] == [f"service-account-{CLI}"] * 2
        said = run("joseClient", "dpop.mjs", path=PATH, alg="ES256", **server)
        assert [said[what]["status"] for what in ("first", "fresh", "again", "bearer", "stolen")] == [200, 200, 401, 401, 401]

    def test_introspection_names_the_key(self, keycloak):
        prover = Prover()
        said = keycloak.post("token/introspect", GATEWAY, {"token": bound(keycloak, prover)})
        assert said["cnf"] == {"jkt": prover.jkt, "kc-jkt-type": "DPoP"}


class TestCertificate:
    """Tokens that Keycloak has bound to a client's TLS certificate, where TLS ends in httpd."""
    modules = ("proxy", "proxy_http", "ssl", "socache_shmcb")
    needs_pki = True

    @staticmethod
    def configure(httpd):
        text = text_of("keycloak.conf", LLAMA_ISSUER=STARTED[0].issuer, LLAMA_BACKEND=backend(httpd))
        return virtual_host(httpd, "SSLVerifyClient optional_no_ca\n" + text)

    def test_certificate(self, httpd, keycloak):
        keycloak.set_attributes(CLI, tls_client_certificate_bound_access_tokens="true")
        try:
            token = keycloak.token(certificate="client")
        finally:
            keycloak.set_attributes(CLI, tls_client_certificate_bound_access_tokens="false")
        await_until(lambda: Client(httpd, "client").get(PATH, token).status == 200, "the key set")
        for _ in range(2):
            assert Client(httpd, "client").get(PATH, token).json["user"] == f"service-account-{CLI}"
            for other in ("client-foreign", None):
                not_shown(Client(httpd, other).get(PATH, token))
