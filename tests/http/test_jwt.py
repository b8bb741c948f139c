"""The jwt provider, one token at a time: algorithms, keys, claims and every option (spec section 4, jwt). The life of its key set is
test_jwt_keys.py's."""

import json
import time

import pytest

from behaviour import accept, reply
from configs import everywhere, location, provider
from keyserver import MESSAGE, accepted, jwt, key_server, rejected, unavailable
from signer import SHAPES, Key, assemble, claims, fresh_key, key

LOUD = {"alg": "ES256", "kid": "key-ES256", "typ": "JWT"}


def soon(seconds):
    return int(time.time()) + seconds


def serve_all(httpd):
    """A key server with a key for each asymmetric algorithm; its URL."""
    return key_server(httpd).put_keys(*(key(alg) for alg in SHAPES if not alg.startswith("HS")))


def chain(httpd, sections):
    """Providers and, for each, a location of its name."""
    return "".join(jwt(name, *options) + location(f"/{name}", name) + everywhere(httpd, f"/{name}")
                   for name, options in sections.items())


class TestAlgorithms:
    @staticmethod
    def configure(httpd):
        uri = f"JwksUri {serve_all(httpd)}"
        httpd.write("conf/secrets.json", json.dumps({"keys": [key(f"HS{bits}").public() for bits in (256, 384, 512)]}))
        key_server(httpd).put_keys(key("HS256"), key("ES256"), path="/shared")
        shared = f"JwksUri {key_server(httpd).url('/shared')}"
        return chain(httpd, {"default": [uri], "some": [uri, "Algorithms ES256 EdDSA"], "one": [uri, "Algorithms Ed25519"],
                             "secret": ["JwksFile conf/secrets.json", "Algorithms HS256 HS512"],
                             "shared": [shared, "Algorithms HS256"], "unshared": [shared]})

    @pytest.mark.parametrize("alg", [alg for alg in SHAPES if not alg.startswith("HS")])
    def test_default(self, httpd, alg):
        accepted(httpd.get("/default", token=key(alg).sign(claims(f"user-of-{alg}"))), f"user-of-{alg}")

    @pytest.mark.parametrize("alg", [alg for alg in SHAPES if not alg.startswith("HS")])
    def test_spoiled(self, httpd, alg):
        """One bit of the signature, one letter of what is signed, and no signature."""
        head, body, signature = key(alg).sign().split(".")
        place = len(signature) // 2
        wrong = "B" if signature[place] == "A" else "A"
        rejected(httpd.get("/default", token=f"{head}.{body}.{signature[:place]}{wrong}{signature[place + 1:]}"))
        other = key(alg).sign(claims("root")).split(".")[1]
        rejected(httpd.get("/default", token=f"{head}.{other}.{signature}"))
        rejected(httpd.get("/default", token=f"{head}.{body}."))

    @pytest.mark.parametrize("alg, path, good", [
        ("ES256", "some", True), ("EdDSA", "some", True), ("Ed25519", "some", True), ("RS256", "some", False),
        ("ES384", "some", False), ("Ed25519", "one", True), ("EdDSA", "one", True), ("Ed448", "one", False), ("ES256", "one", False),
        ("HS256", "secret", True), ("HS512", "secret", True), ("HS384", "secret", False),
        ("HS256", "shared", True), ("ES256", "shared", False), ("HS256", "unshared", False), ("ES256", "unshared", True)])
    def test_listed(self, httpd, alg, path, good):
        response = httpd.get(f"/{path}", token=key(alg).sign())
        accepted(response) if good else rejected(response)

    def test_both_names_of_a_curve(self, httpd):
        accepted(httpd.get("/default", token=key("EdDSA").sign(alg="Ed25519")))
        accepted(httpd.get("/default", token=key("Ed25519").sign(alg="EdDSA")))
        rejected(httpd.get("/default", token=key("EdDSA").sign(alg="Ed448")))


class TestKeys:
    """How a key is chosen, and what makes one unfit."""

    SETS = {
        "mixed": [key("RS256"), key("ES256"), key("EdDSA")],
        "twins": [key("ES256", "one"), key("ES256", "two")],
        "namesakes": [key("ES256", "same").public(), key("ES256", "other").public(kid="same")],
        "bare": [key("RS256").public(alg=None, use=None, kid=None)],
        "unfit": [key("ES256"), key("RS256").public(alg="PS256"), key("ES384").public(use="enc"),
                  key("ES512").public(key_ops=["sign"], use=None), Key("RS256", "short", kty="RSA", size=1024),
                  key("EdDSA").public(x="AAAA"), {"kty": "magic", "kid": "key-magic"}, 7],
        "private": [{**key("ES256").public(), **key("ES256").jwk.export(as_dict=True), "kid": "key-ES256"}],
    }

    @classmethod
    def configure(cls, httpd):
        return chain(httpd, {name: [f"JwksUri {key_server(httpd).put_keys(*keys, path='/' + name)}"]
                             for name, keys in cls.SETS.items()})

    CASES = {
        "by type": ("mixed", key("ES256"), {"kid": None}, True),
        "by type, RSA": ("mixed", key("RS256"), {"kid": None}, True),
        "by type, PSS with a PKCS#1 key": ("mixed", key("PS256"), {"kid": None}, False),
        "the first of several of a type": ("twins", key("ES256", "one"), {"kid": None}, True),
        "the second of several of a type": ("twins", key("ES256", "two"), {"kid": None}, True),
        "one of several by kid": ("twins", key("ES256", "two"), {}, True),
        "kid of the other": ("twins", key("ES256", "two"), {"kid": "one"}, False),
        "kid of another type": ("mixed", key("ES256"), {"kid": "key-RS256"}, False),
        "one kid twice, the first": ("namesakes", key("ES256", "same"), {}, True),
        "one kid twice, the second": ("namesakes", key("ES256", "other"), {"kid": "same"}, True),
        "unknown kid": ("mixed", key("ES256"), {"kid": "nobody"}, False),
        "empty kid": ("mixed", key("ES256"), {"kid": ""}, False),
        "key without kid, alg and use": ("bare", key("RS256"), {"kid": None}, True),
        "key without kid, token with": ("bare", key("RS256"), {}, False),
        "beside bad keys": ("unfit", key("ES256"), {}, True),
        "alg of the key": ("unfit", key("RS256"), {}, False),
        "use of the key": ("unfit", key("ES384"), {}, False),
        "key_ops of the key": ("unfit", key("ES512"), {}, False),
        "RSA of 1024 bits": ("unfit", Key("RS256", "short", kty="RSA", size=1024), {}, False),
        "broken key": ("unfit", key("EdDSA"), {}, False),
        "published with its private part": ("private", key("ES256"), {}, True),
    }

    @pytest.mark.parametrize("path, signer, header, good", CASES.values(), ids=CASES.keys())
    def test_case(self, httpd, path, signer, header, good):
        response = httpd.get(f"/{path}", token=signer.sign(**header))
        if good:
            accepted(response)
        elif response.note("error") == "provider_error":  # a second unknown kid within 10 seconds
            unavailable(response)
            assert header.get("kid") in ("nobody", "")
        else:
            rejected(response)

    def test_skipped_keys_are_logged(self, httpd):
        accepted(httpd.get("/unfit", token=key("ES256").sign()))
        for number in (4, 5, 6, 7):
            httpd.log.await_line(rf"unfit.*keys\[{number}\]", module="llama_auth")


# What a claim or header says, and whether `provider` accepts the token. A claim of None is left out.
ALICE = {"sub": "alice"}
CASES = {
    "plain": ("plain", ALICE, {}, True),
    "no typ": ("plain", ALICE, {"typ": None}, True),
    "typ of another kind": ("plain", ALICE, {"typ": "at+jwt"}, True),
    "crit": ("plain", ALICE, {"crit": ["exp"], "exp": 1}, False),
    "empty crit": ("plain", ALICE, {"crit": []}, False),
    "unencoded payload": ("plain", ALICE, {"b64": False}, False),
    "aud in a list": ("plain", {"aud": ["else", "llama-stack"]}, {}, True),
    "aud is another": ("plain", {"aud": "llama-stack2"}, {}, False),
    "aud in another case": ("plain", {"aud": "Llama-Stack"}, {}, False),
    "aud is missing": ("plain", {"aud": None}, {}, False),
    "aud is an empty list": ("plain", {"aud": []}, {}, False),
    "aud is a number": ("plain", {"aud": 7}, {}, False),
    "aud in a list with a number": ("plain", {"aud": ["llama-stack", 7]}, {}, False),
    "aud is an object": ("plain", {"aud": {"llama-stack": 1}}, {}, False),
    "own aud": ("audiences", {"aud": "api-two"}, {}, True),
    "default aud where others are listed": ("audiences", {}, {}, False),
    "any aud": ("any", {"aud": "whatever"}, {}, True),
    "no aud at all": ("any", {"aud": None}, {}, True),
    "any aud, but no number": ("any", {"aud": 7}, {}, False),
    "exp long ago": ("plain", {"exp": -3600}, {}, False),
    "exp within the leeway": ("plain", {"exp": -30}, {}, True),
    "exp past the leeway": ("plain", {"exp": -62}, {}, False),
    "exp past no leeway": ("strict", {"exp": -1}, {}, False),
    "exp within a long leeway": ("lenient", {"exp": -500}, {}, True),
    "exp with a fraction": ("plain", {"exp": 100.5}, {}, True),
    "exp is missing": ("plain", {"exp": None}, {}, False),
    "exp may be missing": ("endless", {"exp": None}, {}, True),
    "exp long ago, though it may be missing": ("endless", {"exp": -3600}, {}, False),
    "exp is text": ("plain", {"exp": "4102444800"}, {}, False),
    "exp is text, though it may be missing": ("endless", {"exp": "4102444800"}, {}, False),
    "exp is a list": ("plain", {"exp": [4102444800]}, {}, False),
    "exp is true": ("plain", {"exp": True}, {}, False),
    "exp past all years": ("plain", {"exp": 1e300}, {}, True),
    "exp before all years": ("plain", {"exp": -1e300}, {}, False),
    "nbf long ago": ("plain", {"nbf": -100}, {}, True),
    "nbf within the leeway": ("plain", {"nbf": 30}, {}, True),
    "nbf past the leeway": ("plain", {"nbf": 70}, {}, False),
    "nbf past no leeway": ("strict", {"nbf": 5}, {}, False),
    "nbf past all years": ("plain", {"nbf": 1e300}, {}, False),
    "nbf is text": ("plain", {"nbf": "0"}, {}, False),
    "iat to come": ("plain", {"iat": 5000}, {}, True),
    "iss, none wanted": ("plain", {"iss": "https://anybody.example"}, {}, True),
    "iss": ("issuer", {"iss": "https://issuer.example"}, {}, True),
    "iss with a slash": ("issuer", {"iss": "https://issuer.example/"}, {}, False),
    "iss is missing": ("issuer", {}, {}, False),
    "iss is a list": ("issuer", {"iss": ["https://issuer.example"]}, {}, False),
    "typ wanted": ("typed", ALICE, {"typ": "at+jwt"}, True),
    "typ in another case": ("typed", ALICE, {"typ": "AT+JWT"}, True),
    "typ in full": ("typed", ALICE, {"typ": "application/at+jwt"}, True),
    "typ is another": ("typed", ALICE, {"typ": "JWT"}, False),
    "typ is missing": ("typed", ALICE, {"typ": None}, False),
    "sub is missing": ("plain", {"sub": None}, {}, False),
    "sub is empty": ("plain", {"sub": ""}, {}, False),
    "sub is a number": ("plain", {"sub": 7}, {}, True),
    "sub is a list, username is not": ("plain", {"sub": [7], "username": "alice"}, {}, False),
    "sub with a blank behind it": ("plain", {"sub": "alice "}, {}, False),
    "sub with a newline": ("plain", {"sub": "a\r\nX-Admin: 1"}, {}, False),
    "sub with a NUL": ("plain", {"sub": "alice\0"}, {}, False),
}
TIMES = ("exp", "nbf", "iat")

# What a refused token says, and what the log says of it: what came and what was expected.
REASONS = {
    "aud": ("plain", {"aud": "account"}, {}, 'aud is "account", expected one of: llama-stack'),
    "aud, a list": ("audiences", {"aud": ["a", "b", "c", "d"]}, {}, 'aud is "a", "b", "c" and 1 more, expected one of: api-one api-two'),
    "no aud": ("audiences", {"aud": None}, {}, "aud is missing, expected one of: api-one api-two"),
    "iss": ("issuer", {"iss": "https://b.example"}, {}, 'iss is "https://b.example", expected https://issuer.example'),
    "exp": ("plain", {"exp": 1700000000}, {}, "it expired at 2023-11-14T22:13:20Z"),
    "nbf": ("plain", {"nbf": 4102444800}, {}, "it is not valid before 2100-01-01T00:00:00Z (nbf)"),
    "typ": ("typed", ALICE, {"typ": "JWT"}, 'typ is "JWT", expected at+jwt'),
    "alg": ("narrow", ALICE, {}, "alg is ES256, expected one of: RS256 EdDSA"),
    "an alg that is none": ("plain", ALICE, {"alg": "none"}, 'alg is "none", expected one of: RS256 RS384 RS512 '
                            "PS256 PS384 PS512 ES256 ES384 ES512 EdDSA HS256 HS384 HS512"),
    "a long text": ("plain", {"aud": "a" * 150}, {}, f'aud is "{"a" * 100}"..., expected one of: llama-stack'),
    "a forged line": ("plain", {"aud": "a\n[error] \x1b[1m\u00e9"}, {}, r'aud is "a\\n[error] \\u001b[1m\\u00e9", expected one of: llama-stack'),
}


class TestClaims:
    @staticmethod
    def configure(httpd):
        uri = f"JwksUri {serve_all(httpd)}"
        return chain(httpd, {
            "plain": [uri], "audiences": [uri, "Audience api-one api-two"], "any": [uri, "Audience none"],
            "strict": [uri, "Leeway 0"], "lenient": [uri, "Leeway 10m"], "narrow": [uri, "Algorithms EdDSA RS256"],
            "endless": [uri, "RequireExp off"],
            "issuer": [uri, "ExpectIssuer https://issuer.example"], "typed": [uri, "RequireType at+jwt"],
            "named": [uri, "PrincipalClaim email preferred_username", "Claim realm_access.roles roles", "Claim email names"],
            "matched": [uri, 'Match "^eyJ"'], "uncached": [uri, "CacheTTL 0", "CacheNegativeTTL 0"]})

    @pytest.mark.parametrize("path, changes, header, good", CASES.values(), ids=CASES.keys())
    def test_case(self, httpd, path, changes, header, good):
        def absolute(name, value):
            return soon(0) + value if name in TIMES and isinstance(value, (int, float)) and abs(value) < 1e9 else value
        payload = claims(**{name: value if value is True else absolute(name, value) for name, value in changes.items()})
        mark = httpd.log.mark()
        response = httpd.get(f"/{path}", token=key("ES256").sign(payload, **header))
        if good:
            accepted(response)
        else:
            rejected(response)
            line = httpd.log.await_line(f"provider {path} rejected token [0-9a-f]{{8}}: ", mark, level="info")
            assert not line.text.endswith(MESSAGE), line  # it says why

    @pytest.mark.parametrize("path, changes, header, reason", REASONS.values(), ids=REASONS.keys())
    def test_reason(self, httpd, path, changes, header, reason):
        mark = httpd.log.mark()
        payload = claims(**changes)
        token = assemble({**LOUD, **header}, payload, b"x" * 64) if "alg" in header else key("ES256").sign(payload, **header)
        rejected(httpd.get(f"/{path}", token=token))
        line = httpd.log.await_line(f"provider {path} rejected token [0-9a-f]{{8}}: ", mark, level="info")
        assert line.text.endswith(f": {reason}"), line
        assert not any(part in httpd.log.everything().decode() for part in token.split(".")[1:] if len(part) > 8)

    @pytest.mark.parametrize("said, user", [
        ({"sub": "s", "username": "u", "client_id": "c"}, "s"), ({"sub": None, "username": "u", "client_id": "c"}, "u"),
        ({"sub": None, "client_id": "c"}, "c")], ids=["sub", "username", "client_id"])
    def test_principal(self, httpd, said, user):
        accepted(httpd.get("/plain", token=key("ES256").sign(claims(**said))), user)

    def test_attributes(self, httpd):
        said = claims(sub="alice", username="al", groups=["g1", 2, True, {"no": 1}, None, "g1"], team="t1 g1", project="p1  p2",
                      tenant="n1", namespace=["n2", "n1"], scope="a b", scp=["b", "c"])
        response = httpd.get("/plain", token=key("ES256").sign(said))
        accepted(response, "alice")
        assert json.loads(response.note("attributes")) == {
            "roles": ["alice", "al"], "teams": ["g1", "2", "true", "t1 g1"], "projects": ["p1  p2"],
            "namespaces": ["n1", "n2"], "scopes": ["a", "b", "c"]}

    def test_own_claims(self, httpd):
        said = claims(sub="alice", preferred_username="al", realm_access={"roles": ["admin", "dev"]})
        response = httpd.get("/named", token=key("ES256").sign(said))
        accepted(response, "al")
        assert json.loads(response.note("attributes")) == {"roles": ["admin", "dev"]}
        accepted(httpd.get("/named", token=key("ES256").sign({**said, "email": "a@b.example"})), "a@b.example")

    def test_match(self, httpd):
        accepted(httpd.get("/matched", token=key("ES256").sign()))
        response = httpd.get("/matched", token="opaque-" + key("ES256").sign())
        assert (response.status, response.message) == (401, "Invalid token")

    def test_cached_until_the_end(self, httpd):
        token = key("ES256").sign(claims(exp=soon(3)))
        assert [httpd.get("/strict", token=token).note("cache") for _ in range(2)] == ["miss", "hit"]
        time.sleep(3.1)
        rejected(httpd.get("/strict", token=token))

    def test_cached(self, httpd):
        for token, expected in ((key("ES256").sign(), "hit"), (key("ES256").sign(claims(aud="x")), "negative")):
            assert [httpd.get("/plain", token=token).note("cache") for _ in range(2)] == ["miss", expected]
            assert [httpd.get("/uncached", token=token).note("cache") for _ in range(2)] == ["off", "off"]


class TestForgeries:
    """Tokens that no issuer made. Nothing in them makes the module fetch anything."""

    @staticmethod
    def configure(httpd):
        key_server(httpd, "evil").put_keys(key("ES256", "evil"), path="/jwks")
        return "LimitRequestFieldSize 20000\n" + chain(httpd, {"plain": [f"JwksUri {serve_all(httpd)}", "Algorithms RS256 ES256 EdDSA HS256"]})

    @staticmethod
    def confused(header):
        """HMAC under the text of the RSA key that everybody can read."""
        secret = Key("HS256", "key-RS256")
        secret.jwk = type(secret.jwk).from_json(json.dumps({"kty": "oct", "k": key("RS256").public()["n"]}))
        return secret.sign(**header)

    def test_unsigned(self, httpd):
        for alg in ("none", "None", "NONE", ""):
            rejected(httpd.get("/plain", token=assemble({**LOUD, "alg": alg}, claims())))
            rejected(httpd.get("/plain", token=assemble({**LOUD, "alg": alg}, claims(), b"x" * 64)))

    def test_confused_algorithms(self, httpd):
        rejected(httpd.get("/plain", token=self.confused({})))
        rejected(httpd.get("/plain", token=self.confused({"kid": None})))
        rejected(httpd.get("/plain", token=key("RS256").sign(alg="ES256")))
        rejected(httpd.get("/plain", token=key("ES256").sign(alg="ES384")))

    def test_keys_of_its_own(self, httpd):
        evil = key("ES256", "evil")
        url = key_server(httpd, "evil").url("/jwks")
        for header in ({"jwk": evil.public()}, {"jku": url}, {"x5u": url}, {"x5c": ["AAAA"]}):
            rejected(httpd.get("/plain", token=evil.sign(**header, kid="key-ES256")))
            rejected(httpd.get("/plain", token=evil.sign(**header)))
            accepted(httpd.get("/plain", token=key("ES256").sign(**header)))
        assert key_server(httpd, "evil").connections == 0

    def test_zero_signatures(self, httpd):
        for size in (0, 1, 64, 256):
            rejected(httpd.get("/plain", token=assemble(LOUD, claims(), bytes(size))))

    @pytest.mark.parametrize("payload", [
        b'{"aud":"x","aud":"llama-stack","sub":"a","exp":4102444800}', b"{'aud':'llama-stack','sub':'a','exp':4102444800}",
        b'{"aud":"llama-stack","sub":"a","exp":NaN}', b'{"aud":"llama-stack","sub":"a","exp":4102444800}\0',
        b'{"aud":"llama-stack","sub":"a","exp":4102444800} x', b'["llama-stack"]', b"", b"7",
        b'{"aud":"llama-stack","sub":"\xff","exp":4102444800}', b'{"a":' * 900 + b"1" + b"}" * 900])
    def test_no_json(self, httpd, payload):
        rejected(httpd.get("/plain", token=key("ES256").sign(payload)))

    def test_no_base64url(self, httpd):
        head, body, signature = key("ES256").sign().split(".")
        for token in (f"{head}.{body}.{signature}=", f"{head}.{body}.{signature}A", f"{head}.{body}+.{signature}",
                      f"{head}.{body}.{signature[:-1]}", f"{head}..{signature}"):
            rejected(httpd.get("/plain", token=token))

    def test_largest(self, httpd):
        """Tokens have at most 16384 bytes."""
        token = key("ES256").sign(claims(pad="x" * 11800))
        assert 15500 < len(token) <= 16384
        accepted(httpd.get("/plain", token=token))


class TestChains:
    """What is not the provider's goes on to the next one."""

    @staticmethod
    def configure(httpd):
        httpd.endpoint().default = accept("somebody")
        for name in ("one", "two"):
            key_server(httpd).put_keys(key("ES256", name), path=f"/{name}")
        sections = "".join(jwt(name, f"JwksUri {key_server(httpd).url('/' + name)}", f"ExpectIssuer https://{name}.example")
                           for name in ("one", "two"))
        return (sections + provider("custom", httpd.endpoint().url()) + location("/both", "one", "two") + everywhere(httpd, "/both") +
                location("/all", "one", "two", "custom") + everywhere(httpd, "/all"))

    @pytest.mark.parametrize("name", ["one", "two"])
    def test_by_issuer(self, httpd, name):
        token = key("ES256", name).sign(claims(iss=f"https://{name}.example"))
        for path in ("/both", "/all"):
            response = httpd.get(path, token=token)
            accepted(response, "alice")
            assert response.note("provider") == name
        assert not httpd.endpoint().calls_for(token)

    @pytest.mark.parametrize("token", ["opaque", "a.b", "a.b.c.d.e", key("ES256").sign(claims(iss="https://three.example"))],
                             ids=["opaque", "one dot", "JWE", "another issuer"])
    def test_nobody_else(self, httpd, token):
        rejected(httpd.get("/both", token=token))
        accepted(httpd.get("/all", token=token), "somebody")

    def test_forged_for_one(self, httpd):
        """It claims to be `one`'s: `two` says that it is not its own, and `custom` decides."""
        token = key("ES256", "two").sign(claims(iss="https://one.example"), kid="one")
        httpd.endpoint().on(token, reply(403, b""))
        rejected(httpd.get("/both", token=token))
        assert httpd.get("/all", token=token).message == "Authentication failed: 403"


class TestHints:
    @staticmethod
    def configure(httpd):
        uri = f"JwksUri {serve_all(httpd)}"
        return chain(httpd, {"plain": [uri], "issuer": [uri, "Issuer https://issuer.example/realm"],
                             "expect": [uri, "ExpectIssuer https://issuer.example"]})

    @pytest.mark.parametrize("path, where", [("plain", "in the Authorization header"), ("issuer", "from https://issuer.example/realm"),
                                             ("expect", "from https://issuer.example")])
    def test_no_token(self, httpd, path, where):
        response = httpd.get(f"/{path}")
        assert (response.status, response.note("error")) == (401, "missing_token")
        assert response.message == f"Authentication required. Please provide a valid OAuth2 Bearer token {where}"

    def test_issuer_beside_a_uri_is_expected(self, httpd):
        signer = key("ES256")
        accepted(httpd.get("/issuer", token=signer.sign(claims(iss="https://issuer.example/realm"))))
        rejected(httpd.get("/issuer", token=signer.sign(claims(iss="https://issuer.example"))))


URI = "JwksUri https://issuer.example/jwks"
MISTAKES = {
    "no source": ([], "JwksUri"),
    "two sources": ([URI, "JwksFile conf/keys.json"], "JwksFile"),
    "no URL": (["JwksUri issuer.example/jwks"], "JwksUri"),
    "another scheme": (["JwksUri file:///etc/passwd"], "JwksUri"),
    "issuer with a query": (["Issuer https://issuer.example/?a=b"], "Issuer"),
    "issuer with a fragment": (["Issuer https://issuer.example/#a"], "Issuer"),
    "issuer is no URL": (["Issuer issuer.example"], "Issuer"),
    "algorithm none": ([URI, "Algorithms RS256 none"], "none"),
    "unknown algorithm": ([URI, "Algorithms RS257"], "RS257"),
    "no algorithm": ([URI, "Algorithms"], "Algorithms"),
    "audience none and another": ([URI, "Audience none api"], "Audience"),
    "refresh of no time": ([URI, "JwksRefresh 0"], "JwksRefresh"),
    "leeway is no duration": ([URI, "Leeway soon"], "Leeway"),
    "RequireExp maybe": ([URI, "RequireExp maybe"], "RequireExp"),
    "missing file": (["JwksFile conf/missing.json"], "missing.json"),
    "broken file": (["JwksFile conf/broken.json"], "broken.json"),
    "no usable key": (["JwksFile conf/secret.json"], "secret.json"),
    "missing secret": ([URI, "JwksToken file:conf/missing"], "JwksToken"),
    "option of another type": ([URI, "ClientId me"], "ClientId"),
    "misspelt option": ([URI, "Audiense me"], "Audience"),
}


class TestMistakes:
    """`httpd -t` finds them."""

    @pytest.mark.parametrize("options, named", MISTAKES.values(), ids=MISTAKES.keys())
    def test_refused(self, bare, options, named):
        bare.write("conf/keys.json", json.dumps({"keys": [fresh_key().public()]}))
        bare.write("conf/secret.json", json.dumps({"keys": [key("HS256").public()]}))
        bare.write("conf/broken.json", '{"keys": [')
        bare.configure(jwt("idp", *options) + location("/", "idp"))
        status, said = bare.check()
        assert status != 0 and named in said and "test.conf" in said, said

    @pytest.mark.parametrize("options", [[URI], ["JwksFile conf/keys.json"], ["Issuer https://issuer.example"],
                                         [URI, "Algorithms HS256", "Audience none", "JwksRefresh 5m", "JwksToken literal"]])
    def test_good(self, bare, options):
        bare.write("conf/keys.json", json.dumps({"keys": [fresh_key().public()]}))
        bare.configure(jwt("idp", *options) + location("/", "idp"))
        assert bare.check()[0] == 0, bare.check()
