"""Clients of others with DPoP: oauth4webapi and jose get a token of oidc-provider that is bound to their key, and call httpd with it.
Proofs one by one: test_dpop.py."""

import pytest

from configs import everywhere, location
from errorlog import await_until
from idp import CALLER, GATEWAY, SECRETS, resource
from keyserver import jwt
from prover import ALGS
from test_clients import run
from test_oidc import introspection

ALGORITHMS = ["ES256", "PS256"]  # which all of them know; they differ in how they name EdDSA


class TestClients:
    needs_idp = True

    @staticmethod
    def configure(httpd):
        httpd.secrets.add(SECRETS[GATEWAY].encode())
        issuer = (f"Issuer {httpd.idp.issuer}", f"Audience {resource('ES256')}", "PrincipalClaim client_id")
        sections = {"jwt": (), "nonce": ("DPoPNonce on",), "require": ("Binding require",)}
        text = "".join(jwt(name, *issuer, "Binding dpop" if name != "require" else "", *options) + location(f"/{name}", name) +
                       everywhere(httpd, f"/{name}") for name, options in sections.items())
        return text + introspection(httpd, "opaque", GATEWAY, f"Endpoint {httpd.idp.issuer}/token/introspection", "Binding dpop",
                                    "DPoPNonce on")

    @staticmethod
    def run(httpd, scenario, kind="ES256", **more):
        return run(scenario, "dpop.mjs", base=f"http://127.0.0.1:{httpd.port}", issuer=httpd.idp.issuer, id=CALLER, secret=SECRETS[CALLER],
                   resource=resource(kind), **more)

    @pytest.fixture(scope="class", autouse=True)
    def ready(self, httpd):
        """Proofs of the second in which the server began are refused."""
        await_until(lambda: "answers" in self.run(httpd, "oauthClient", paths=["/jwt"]), "the first proof to be accepted")

    @pytest.mark.parametrize("alg", ALGORITHMS)
    @pytest.mark.parametrize("path, kind", [("/jwt", "ES256"), ("/require", "ES256")])
    def test_oauth4webapi(self, httpd, path, kind, alg):
        said = self.run(httpd, "oauthClient", kind, paths=[path] * 3, alg=alg)
        assert said == {"type": "dpop", "answers": [{"status": 200, "body": "ok"}] * 3, "nonces": 0}

    @pytest.mark.parametrize("path, kind", [("/nonce", "ES256"), ("/opaque", "opaque")])
    def test_oauth4webapi_with_nonces(self, httpd, path, kind):
        """It is told once, and has a nonce of ours from then on."""
        said = self.run(httpd, "oauthClient", kind, paths=[path] * 3)
        assert said == {"type": "dpop", "answers": [{"status": 200, "body": "ok"}] * 3, "nonces": 1}

    @pytest.mark.parametrize("alg", ALGORITHMS)
    def test_jose(self, httpd, alg):
        said = self.run(httpd, "joseClient", path="/jwt", alg=alg)
        good = {"status": 200, "body": "ok"}
        assert (said["first"], said["fresh"]) == (good, good)
        for what in ("again", "bearer", "stolen"):
            assert said[what]["status"] == 401, (what, said)
            assert "Invalid token binding" in said[what]["body"]
            assert f'DPoP error="invalid_dpop_proof", algs="{ALGS}"' in said[what]["challenges"]

    def test_without_the_key(self, httpd):
        """oauth4webapi with a token of another client's: the key of the proof is not the token's."""
        said = self.run(httpd, "oauthClient", paths=["/jwt"], stolen=True)
        assert said["error"] == "WWWAuthenticateChallengeError", said
