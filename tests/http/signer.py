"""Keys and tokens made by an implementation that is not ours, Debian's python3-jwcrypto; and tokens that it would not make, put
together by hand."""

import json
import time
import uuid
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from jwcrypto import jwk, jws
from jwcrypto.common import base64url_encode

RSA = {"kty": "RSA", "size": 2048}
SHAPES = {
    **{alg: RSA for alg in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")},
    "ES256": {"kty": "EC", "crv": "P-256"}, "ES384": {"kty": "EC", "crv": "P-384"}, "ES512": {"kty": "EC", "crv": "P-521"},
    "EdDSA": {"kty": "OKP", "crv": "Ed25519"}, "Ed25519": {"kty": "OKP", "crv": "Ed25519"}, "Ed448": {"kty": "OKP", "crv": "Ed448"},
    "HS256": {"kty": "oct", "size": 256}, "HS384": {"kty": "oct", "size": 384}, "HS512": {"kty": "oct", "size": 512},
}
# The names of RFC 9864, which jwcrypto 1.1 does not know.
BY_HAND = ("Ed25519", "Ed448")


class Key:
    """A key pair, or a secret, with the algorithm that it signs with. shape: what jwcrypto is to generate; by default what fits."""

    def __init__(self, alg, kid, **shape):
        self.alg = alg
        self.kid = kid
        self.jwk = jwk.JWK.generate(**(shape or SHAPES[alg]))

    def public(self, **changes):
        """The JWK that a key server publishes (of a secret: itself); a change to None leaves a member out."""
        exported = self.jwk.export(private_key=self.jwk.kty == "oct", as_dict=True)
        entry = {**exported, "kid": self.kid, "use": "sig", "alg": self.alg, **changes}
        return {name: value for name, value in entry.items() if value is not None}

    def sign(self, payload=None, **header):
        """A token. payload: claims, or the exact bytes; header: changes to `alg`, `kid` and `typ`, None leaves one out."""
        fields = {"alg": self.alg, "kid": self.kid, "typ": "JWT", **header}
        fields = {name: value for name, value in fields.items() if value is not None}
        data = encode(claims() if payload is None else payload)
        if self.alg in BY_HAND or fields["alg"] != self.alg or {"crit", "b64"} & set(fields):  # which jwcrypto refuses to sign
            return self.sign_raw(json.dumps(fields).encode(), data)
        token = jws.JWS(data)
        token.add_signature(self.jwk, None, json.dumps(fields), None)
        return token.serialize(compact=True)

    def sign_raw(self, header, data):
        """Any bytes for a header, signed as the key's own algorithm would."""
        signed = f"{base64url_encode(header)}.{base64url_encode(data)}"
        private = self.jwk.get_op_key("sign")
        if isinstance(private, (Ed25519PrivateKey, Ed448PrivateKey)):
            return f"{signed}.{base64url_encode(private.sign(signed.encode()))}"
        core = jws.JWSCore(self.alg, self.jwk, None, data)
        return f"{signed}.{base64url_encode(core.engine.sign(self.jwk, signed.encode()))}"


@lru_cache(maxsize=None)
def key(alg, kid=None):
    """The key of that name, made on first use: RSA keys take a moment."""
    return Key(alg, kid or f"key-{alg}")


def fresh_key(alg="ES256"):
    """A key that no other test knows."""
    return Key(alg, f"{alg}-{uuid.uuid4().hex}")


def claims(sub="alice", **changes):
    """What an issuer says of a caller; unique, so that no cache knows the token. A change to None leaves a claim out."""
    said = {"aud": "llama-stack", "sub": sub, "exp": int(time.time()) + 600, "jti": uuid.uuid4().hex, **changes}
    return {name: value for name, value in said.items() if value is not None}


def key_set(*keys):
    """keys: Key, or a JWK as a dict."""
    return {"keys": [k.public() if isinstance(k, Key) else k for k in keys]}


def encode(value):
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def assemble(header, payload, signature=b""):
    """A token of any parts, signed by nobody."""
    return ".".join(base64url_encode(encode(part)) for part in (header, payload, signature))
