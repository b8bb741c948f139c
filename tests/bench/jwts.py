"""Signed tokens in number, the key set that verifies them, and what a verification costs by itself.

Signing an RSA token takes as long as serving ten, so a file of them is made once and sent in turn; what the server remembers
of one ends (CacheTTL) long before its turn comes again.
"""

import base64
import json
import subprocess
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

COUNT = 16000
TTL = "300ms"
KID = "bench"


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def number(value, size=None):
    return encode(value.to_bytes(size or (value.bit_length() + 7) // 8, "big")).decode()


class Signer:
    """One key; alg: RS256 or ES256."""

    def __init__(self, alg):
        self.alg = alg
        self.key = rsa.generate_private_key(65537, 2048) if alg == "RS256" else ec.generate_private_key(ec.SECP256R1())

    def jwk(self):
        public = self.key.public_key().public_numbers()
        if self.alg == "RS256":
            return {"kty": "RSA", "kid": KID, "n": number(public.n), "e": number(public.e)}
        return {"kty": "EC", "crv": "P-256", "kid": KID, "x": number(public.x, 32), "y": number(public.y, 32)}

    def sign(self, data):
        if self.alg == "RS256":
            return self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        r, s = utils.decode_dss_signature(self.key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def token(self, serial):
        now = int(time.time())
        header = {"alg": self.alg, "typ": "JWT", "kid": KID}
        claims = {"iss": "https://idp.example", "sub": "alice", "aud": "bench", "exp": now + 86400, "iat": now,
                  "scope": "models.read telemetry.read", "jti": str(serial)}
        signed = b".".join(encode(json.dumps(part).encode()) for part in (header, claims))
        return (signed + b"." + encode(self.sign(signed))).decode()

    def public_pem(self):
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def private_pem(self):
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class Tokens:
    """Files of tokens in a Lab, made when they are first asked for."""

    def __init__(self, lab):
        self.lab, self.signers = lab, {}

    def signer(self, alg):
        if alg not in self.signers:
            self.signers[alg] = Signer(alg)
        return self.signers[alg]

    def key_set(self, alg):
        return self.lab.write(f"{alg}.jwks", json.dumps({"keys": [self.signer(alg).jwk()]}))

    def public_key(self, alg):
        return self.lab.write(f"{alg}.pem", self.signer(alg).public_pem())

    def private_key(self, alg):
        return self.lab.write(f"{alg}-private.pem", self.signer(alg).private_pem())

    def file(self, alg):
        path = self.lab.root / f"{alg}.tokens"
        if not path.exists():
            signer = self.signer(alg)
            path.write_text("".join(signer.token(serial) + "\n" for serial in range(COUNT)))
        return path


def verification_us():
    """{alg: microseconds of libcrypto's bare verification}, by `openssl speed`."""
    done = subprocess.run(["openssl", "speed", "-mr", "-seconds", "1", "rsa2048", "ecdsap256"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=True)
    rows = [line.split(":") for line in done.stdout.splitlines() if line.startswith(("+F2:", "+F4:"))]
    return {"RS256" if row[0] == "+F2" else "ES256": 1e6 / float(row[-1]) for row in rows}
