"""<LlamaAuthSigner> in the tests: key files, sections, and assertions as Debian's python3-jwcrypto reads them."""

import json

from jwcrypto import jwk, jws

from behaviour import render
from callers import BEARER

ALGORITHMS = {"es256": {"kty": "EC", "crv": "P-256"}, "es384": {"kty": "EC", "crv": "P-384"}, "eddsa": {"kty": "OKP", "crv": "Ed25519"},
              "rs256": {"kty": "RSA", "size": 2048}}
SIGNER = """
<LlamaAuthSigner {name}>
    Key      file:conf/{key}.pem
    Issuer   https://api.example.com
    Audience ogx
    {more}
</LlamaAuthSigner>
"""
KNOWN = f"{BEARER}Require valid-user\n"
JWKS = '<Location "/jwks">\nSetHandler llama-auth-jwks\nRequire all granted\n</Location>\n'


def make_pem(**shape):
    return jwk.JWK.generate(**shape).export_to_pem(private_key=True, password=None)


def write_key(httpd, name, algorithm="es256"):
    """A new key; as an administrator does it, by a rename."""
    httpd.write(f"conf/{name}.pem", make_pem(**ALGORITHMS[algorithm])).chmod(0o644)


def signer_section(httpd, name="internal", key="es256", more=""):
    if not (httpd.root / f"conf/{key}.pem").exists():
        write_key(httpd, key, key if key in ALGORITHMS else "es256")
    return SIGNER.format(name=name, key=key, more=more)


def backend_of(httpd, name="backend"):
    httpd.endpoint(name).default = lambda peer, call: peer.send(render(200, b"{}", []))
    return f"http://127.0.0.1:{httpd.endpoint(name).port}"


def last_call(httpd, name="backend"):
    return httpd.endpoint(name).calls[-1]


def values(call, name):
    return [value for field, value in call.headers if field.lower() == name.lower()]


def keys_of(httpd, path="/jwks"):
    return jwk.JWKSet.from_json(httpd.get(path).body)


def verify(httpd, text, path="/jwks"):
    """The claims of an assertion whose signature one of the published keys made, as jwcrypto sees it."""
    token = jws.JWS()
    token.deserialize(text)
    header = json.loads(token.objects["protected"])
    key = keys_of(httpd, path).get_key(header["kid"])
    assert key is not None and key.thumbprint() == header["kid"] and header["typ"] == "JWT" and set(header) == {"alg", "typ", "kid"}
    token.verify(key, alg=header["alg"])
    return json.loads(token.payload)


def bearer(value):
    assert value.startswith("Bearer ")
    return value[len("Bearer "):]


def payload_of(text):
    """The claims of an assertion, unchecked."""
    token = jws.JWS()
    token.deserialize(text.removeprefix("Bearer "))
    return json.loads(token.objects["payload"])
