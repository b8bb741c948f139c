"""Tokens that are bound to a key, and DPoP proofs (RFC 9449) of an implementation that is not ours, python3-jwcrypto; and proofs that
it would not make, put together by hand."""

import hashlib
import time
import uuid

from jwcrypto.common import base64url_encode

from client import build
from errorlog import await_until
from signer import claims, fresh_key, key

REJECTED = "Invalid token binding"
ALGS = "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA"


def ath(token):
    return base64url_encode(hashlib.sha256(token.encode()).digest())


class Prover:
    """A client with a key of its own."""

    def __init__(self, alg="ES256"):
        self.key = fresh_key(alg)

    @property
    def jkt(self):
        return self.key.jwk.thumbprint()

    @property
    def jwk(self):
        return self.key.jwk.export_public(as_dict=True)

    def token(self, signer=None, **changes):
        """A token that is bound to this client; a change to None leaves a claim out."""
        return (signer or key("ES256")).sign(claims(**{"cnf": {"jkt": self.jkt}, **changes}))

    def proof(self, method, uri, token, header=None, signer=None, **changes):
        """header: changes to typ, alg and jwk, changes: to the claims; None leaves one out. signer: another key that signs."""
        changes = {name: value() if callable(value) else value for name, value in changes.items()}
        said = {"jti": uuid.uuid4().hex, "htm": method, "htu": uri, "iat": int(time.time()), "ath": ath(token), **changes}
        said = {name: value for name, value in said.items() if value is not None}
        return (signer or self.key).sign(said, **{"typ": "dpop+jwt", "kid": None, "jwk": self.jwk, **(header or {})})


class Api:
    """Requests with proofs to one server, which the client calls by one URI. ready: a path where proofs are accepted."""

    def __init__(self, httpd, origin=None, port=None, ready=None):
        self.httpd = httpd
        self.port = port or httpd.port
        self.origin = origin or f"http://127.0.0.1:{self.port}"
        if ready:  # proofs of the second in which the server began are refused, and `iat` has no fractions
            await_until(lambda: self.call(ready, Prover()).status == 200, "the first proof to be accepted")

    def fields(self, token, proofs, scheme="DPoP"):
        self.httpd.secrets.update(text.encode() for text in (token, *proofs) if len(text) >= 8)
        return [("Authorization", f"{scheme} {token}"), *(("DPoP", proof) for proof in proofs)]

    def send(self, path, token, *proofs, method="GET", scheme="DPoP", headers=(), **arguments):
        """Exactly these proofs, each in a field of its own."""
        arguments.setdefault("host", self.origin.split("://")[1])
        return self.httpd.request(method, path, port=self.port, headers=[*self.fields(token, proofs, scheme), *headers], **arguments)

    def call(self, path, prover, token=None, method="GET", htu=None, header=None, signer=None, changes=None, **arguments):
        """With a new proof for this request, but for what is changed."""
        token = token or prover.token()
        proof = prover.proof(method, htu or self.origin + path, token, header=header, signer=signer, **(changes or {}))
        return self.send(path, token, proof, method=method, **arguments)


def bytes_of(api, path, token, *proofs, method="GET"):
    """The request itself, for those who send it more than once."""
    return build(method, path, headers=api.fields(token, proofs), host=api.origin.split("://")[1])


def held(response, user="alice"):
    assert (response.status, response.note("user")) == (200, user), response
    assert not response.all("WWW-Authenticate")


def refused(response, error="invalid_dpop_proof", algs=ALGS):
    """error: of the challenge for DPoP; None: there is no such challenge."""
    assert (response.status, response.note("error")) == (401, "invalid_token"), response
    assert response.message == REJECTED
    assert response.challenge["error"] == "invalid_token"
    expected = {"error": error, "algs": algs} if error else None
    assert response.proof_challenge == expected, response
