"""DPoP proofs (RFC 9449) in number. Each is good once and for minutes, so every slice gets new ones, signed just before it."""

import base64
import hashlib
import itertools
import json
import time

import jwts

SLICE = 16000
_serials = itertools.count(1)


class Prover:
    """One client: its key, its token, and its proofs for one path of a server."""

    def __init__(self, lab, path):
        self.lab, self.path = lab, path
        self.client = jwts.Signer("ES256")
        self.jwk = {name: value for name, value in self.client.jwk().items() if name != "kid"}
        self.header = jwts.encode(json.dumps({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk}).encode())
        self.become("alice")

    def become(self, subject):
        """The caller of that name, who has the same key."""
        self.token = self.sign_token(subject)
        self.ath = jwts.encode(hashlib.sha256(self.token.encode()).digest()).decode()

    def sign_token(self, subject):
        member = {name: self.jwk[name] for name in ("crv", "kty", "x", "y")}
        jkt = jwts.encode(hashlib.sha256(json.dumps(member, separators=(",", ":")).encode()).digest()).decode()
        header = {"alg": "ES256", "typ": "JWT", "kid": jwts.KID}
        claims = {"iss": "https://idp.example", "sub": subject, "aud": "bench", "exp": int(time.time()) + 86400, "cnf": {"jkt": jkt}}
        signed = b".".join(jwts.encode(json.dumps(part).encode()) for part in (header, claims))
        return (signed + b"." + jwts.encode(self.lab.tokens.signer("ES256").sign(signed))).decode()

    def proof(self, host):
        """host: and port, by the Host field. A minute ahead: what is older than the memory of a server that starts is refused."""
        claims = {"jti": f"{time.time_ns():x}-{next(_serials):x}-0123456789abcdef", "htm": "GET", "htu": f"http://{host}{self.path}",
                  "iat": int(time.time()) + 60, "ath": self.ath}
        signed = self.header + b"." + base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=")
        return (signed + b"." + jwts.encode(self.client.sign(signed))).decode()

    def fields(self, port=""):
        return {"Authorization": f"DPoP {self.token}", "DPoP": self.proof(f"localhost{port}")}

    def write(self, count=SLICE):
        """A file for one slice: the token, then proofs, a line each. wrk's Host has no port. Each slice is another caller's: one alone
        gets a quarter of the memory of proofs."""
        self.become(f"alice-{next(_serials)}")
        return self.lab.write("proofs", "".join(line + "\n" for line in [self.token, *(self.proof("localhost") for _ in range(count))]))
