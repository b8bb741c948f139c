"""Ory Hydra as its module has it, behind conf/introspection.conf with the provider that its comment gives, and its JWTs behind conf/jwks.conf:
who its tokens stand for, which are none, and what its rotations, revocations, outages and restarts do to callers."""

import re

import pytest

from crowd import INACTIVE, INVALID, STATUS, Crowd, ask, await_status, backend, forget, refused, revive, told
from hydra import PROGRAM, Hydra
from server import client_id
from test_confs import text_of
from test_introspection_servers import blocks
from test_status import guarded

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="Ory Hydra is not installed")

INACTIVE_REASON = "active is false, expected true"
STARTED = []


@pytest.fixture(scope="module", autouse=True)
def hydra(tmp_path_factory):
    """One for all classes; `configure` finds it in STARTED."""
    STARTED[:] = [Hydra(tmp_path_factory.mktemp("real") / "hydra")]
    yield STARTED[0]
    STARTED[0].stop()


@pytest.fixture(autouse=True)
def alive(hydra):
    yield
    revive(hydra)


class TestIntrospection:
    modules = ("proxy", "proxy_http", "auth_basic", "authn_file")
    expected = ("is unavailable",)

    @staticmethod
    def configure(httpd):
        text = text_of("introspection.conf", LLAMA_BACKEND=backend(httpd))
        block = blocks()["hydra"].replace("http://127.0.0.1:4445/", STARTED[0].admin_url("/"))
        block = block.replace("https://hydra.example.com/", STARTED[0].issuer)
        text, count = re.subn(r"^<LlamaAuthProvider idp .*?^</LlamaAuthProvider>\n", lambda _: block, text, flags=re.M | re.S)
        assert count == 1
        return text + guarded(httpd, STATUS)

    def test_person(self, httpd, hydra):
        for client in ("opaque", "jwt"):
            tokens = hydra.sign_in("alice", client, roles=["admin"], groups=["core team"])
            assert told(httpd, tokens["access_token"]) == {"user": "alice", "token": False, "roles": ["admin"], "teams": ["core team"],
                                                           "scopes": ["openid", "models.read", "offline"]}
            refused(httpd, tokens["id_token"], INACTIVE, INACTIVE_REASON)
            refused(httpd, tokens["refresh_token"], INACTIVE, 'token_use is "refresh_token", expected an access token')

    def test_client(self, httpd, hydra):
        assert told(httpd, hydra.token()) == {"user": "opaque", "token": False, "scopes": ["models.read"]}
        refused(httpd, hydra.token(audience="llama-stack"), INACTIVE, 'aud is "llama-stack", expected one of: llama-gateway')
        refused(httpd, "ory_at_nobody-ever-made-this-0001", INACTIVE, INACTIVE_REASON)

    def test_revoked_token(self, httpd, hydra):
        """It serves as long as the cache holds it, a purge ends it, and nobody else is concerned."""
        token, other = hydra.token(), hydra.token()
        with Crowd(httpd, "opaque", other) as crowd:
            assert told(httpd, token)["user"] == "opaque"
            hydra.revoke(token)
            assert ask(httpd, token).note("cache") == "hit"
            assert forget(httpd, f"client_id:{client_id(token)}") == 1
            refused(httpd, token, INACTIVE, INACTIVE_REASON)
            assert ask(httpd, other).note("cache") == "hit"
            crowd.await_answers()

    def test_person_is_gone(self, httpd, hydra):
        with Crowd(httpd, "opaque", hydra.token()) as crowd:
            tokens = [hydra.sign_in("dave", client)["access_token"] for client in ("opaque", "jwt")]
            for token in tokens:
                assert told(httpd, token)["user"] == "dave"
            hydra.sign_out("dave")
            assert forget(httpd, "principal:dave") == 2
            for token in tokens:
                refused(httpd, token, INACTIVE, INACTIVE_REASON)
            crowd.await_answers()

    def test_rotation(self, httpd, hydra):
        """Of the secret behind opaque tokens, which needs a restart: tokens of the old one serve until it is taken away."""
        old = hydra.token()
        with Crowd(httpd, "opaque", old, outages=True) as crowd:
            hydra.set_secrets("secret-of-the-system-0002", "secret-of-the-system-0001")
            forget(httpd, "all")
            new = crowd.add("opaque", hydra.token())
            for token in (old, new):
                await_status(httpd, token, 200)
            crowd.end_outages()
            crowd.await_answers()
            crowd.leave(old)
            crowd.outages = True
            hydra.set_secrets("secret-of-the-system-0002")
            forget(httpd, "all")
            await_status(httpd, new, 200)
            refused(httpd, old, INACTIVE, INACTIVE_REASON)
            crowd.await_answers()
            hydra.set_secrets("secret-of-the-system-0002", "secret-of-the-system-0001")  # which its keys are sealed with

    def test_hanging(self, httpd, hydra):
        """Who is known goes on; who is not is told of an outage; all is well afterwards."""
        unknown = [hydra.token() for _ in range(8)]
        with Crowd(httpd, "opaque", hydra.token(), outages=True) as crowd:
            crowd.await_answers()
            hydra.pause()
            try:
                for token in unknown:
                    crowd.add("opaque", token)
                crowd.await_answers(status=503)
                crowd.await_answers()
            finally:
                hydra.resume()
            for token in crowd.callers:
                await_status(httpd, token, 200)
            crowd.end_outages()
            crowd.await_answers()

    def test_restart(self, httpd, hydra):
        """Killed and started again under load: callers are served from the cache, then told of the outage, and never refused."""
        known, later = hydra.token(), hydra.token()
        with Crowd(httpd, "opaque", known, outages=True) as crowd:
            crowd.await_answers()
            hydra.kill()
            crowd.await_answers()
            response = ask(httpd, later)
            assert (response.status, response.message) == (503, "Authentication service error"), response
            forget(httpd, "all")  # as if the time of the cache had passed
            crowd.await_answers(status=503)
            crowd.add("opaque", later)
            hydra.start()
            for token in (known, later):
                await_status(httpd, token, 200)
            crowd.end_outages()
            crowd.await_answers()


class TestJwt:
    """conf/jwks.conf: nobody is asked."""
    modules = ("proxy", "proxy_http")
    expected = ("LA0060: .* cannot fetch the key set", "LA0024: .* fetching a newer one failed")

    @staticmethod
    def configure(httpd):
        server = STARTED[0]
        return text_of("jwks.conf", LLAMA_JWKS=f"{server.issuer}.well-known/jwks.json", LLAMA_ISSUER=server.issuer, LLAMA_BACKEND=backend(httpd))

    def test_person(self, httpd, hydra):
        tokens = hydra.sign_in("alice", "jwt", roles=["admin"])
        response = ask(httpd, tokens["access_token"])
        assert (response.json["user"], response.note("attribute.scopes")) == ("alice", "openid,models.read,offline")
        refused(httpd, tokens["id_token"], INVALID, 'aud is "jwt", expected one of: llama-stack')
        for token in (tokens["refresh_token"], hydra.token()):
            assert (ask(httpd, token).status, ask(httpd, token).message) == (401, INVALID)

    def test_rotation(self, httpd, hydra):
        """Nobody is refused for a key that is new, nor for one that is old; what a withdrawn one has signed ends with the next fetch."""
        with Crowd(httpd, "jwt", hydra.token("jwt"), outages=True) as crowd:
            crowd.await_answers()
            for kid in ("first", "second"):
                hydra.rotate(kid)
                await_status(httpd, crowd.add("jwt", hydra.token("jwt")), 200)
            crowd.end_outages()
            crowd.await_answers()
            gone = crowd.callers[1]
            crowd.leave(gone)
            crowd.outages = True
            hydra.withdraw("first")
            hydra.rotate("third")
            await_status(httpd, crowd.add("jwt", hydra.token("jwt")), 200)
            crowd.end_outages()
            refused(httpd, gone, INVALID, "its key is unknown", outage=True)
            crowd.await_answers()

    def test_outage(self, httpd, hydra):
        """Hanging, killed and started again under load: nobody notices, unless his key is new."""
        await_status(httpd, hydra.token("jwt"), 200)
        unseen = [hydra.token("jwt") for _ in range(3)]
        hydra.rotate("of-an-outage")
        later = hydra.token("jwt")
        with Crowd(httpd, "jwt", unseen[0]) as crowd:
            hydra.pause()
            crowd.add("jwt", unseen[1])
            assert ask(httpd, later).status == 503
            crowd.await_answers()
            hydra.kill()
            crowd.add("jwt", unseen[2])
            httpd.graceful()
            crowd.await_answers()
            hydra.start()
            await_status(httpd, later, 200)
            crowd.add("jwt", later)
            crowd.await_answers()
