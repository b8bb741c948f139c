"""A signer's keys: what `httpd -t` says of broken sections, the published set, virtual hosts, and files that change while httpd runs."""

import json
import os
import re

import pytest
from jwcrypto import jwk

from callers import BEARER, key_of, write_callers
from errorlog import await_until
from signing import JWKS, KNOWN, backend_of, bearer, last_call, make_pem, signer_section, verify, write_key

LINES = "Key file:conf/es256.pem\nIssuer i\nAudience a\n"


def encrypted(key):
    return key.export_to_pem(private_key=True, password=b"passphrase")


FILES = {
    "encrypted": lambda: encrypted(jwk.JWK.generate(kty="EC", crv="P-256")),
    "rsa1024": lambda: make_pem(kty="RSA", size=1024),
    "p521": lambda: make_pem(kty="EC", crv="P-521"),
    "ed448": lambda: make_pem(kty="OKP", crv="Ed448"),
    "public": lambda: jwk.JWK.generate(kty="EC", crv="P-256").export_to_pem(),
    "garbage": lambda: b"garbage",
    "empty": lambda: b"",
    "two": lambda: make_pem(kty="EC", crv="P-256") + make_pem(kty="EC", crv="P-256"),
    "large": lambda: make_pem(kty="EC", crv="P-256") + b"#" * 70000,
}

# What stands in the section, its error, and the line of the file that is blamed.
BROKEN = {
    "": ("<LlamaAuthSigner internal> has no Key, as in Key file:conf/signer.pem", 2),
    "Key file:conf/es256.pem\nAudience a": ("<LlamaAuthSigner internal> has no Issuer, as in Issuer https://api.example.com", 2),
    "Key file:conf/es256.pem\nIssuer a": ("<LlamaAuthSigner internal> has no Audience, as in Audience ogx", 2),
    "Key file:conf/missing.pem": ("conf/missing.pem: open: No such file or directory", 3),
    "Key file:conf": ("not a regular file", 3),
    "Issuer i\nKey file:conf/es256.pem file:conf/encrypted.pem": ("conf/encrypted.pem: the private key is encrypted", 4),
    "Key file:conf/rsa1024.pem": ("conf/rsa1024.pem: an RSA key of 1024 bits, expected EC P-256 or P-384", 3),
    "Key file:conf/p521.pem": ("conf/p521.pem: an EC key of secp521r1, expected", 3),
    "Key file:conf/ed448.pem": ("conf/ed448.pem: a key of type ED448, expected", 3),
    "Key file:conf/public.pem": ("conf/public.pem: no private key in PEM", 3),
    "Key file:conf/garbage.pem": ("conf/garbage.pem: no private key in PEM", 3),
    "Key file:conf/empty.pem": ("conf/empty.pem: no private key in PEM", 3),
    "Key file:conf/two.pem": ("conf/two.pem: there is more than one private key", 3),
    "Key file:conf/large.pem": ("conf/large.pem: larger than 65536 bytes", 3),
    "Key conf/es256.pem": ("Key: takes files of private keys, as in Key file:conf/signer.pem", 3),
    "Issuer a b": ("Issuer: takes one argument, as in Issuer https://api.example.com", 3),
    "Issuer a\nIssuer a": ("Issuer: stands twice", 4),
    'Audience ""': ("Audience: is no text in UTF-8, as in Audience ogx", 3),
    "Lifetime 9s": ("Lifetime: '9s' is no time from 10s to 1h, as in Lifetime 60s", 3),
    "Lifetime 2h": ("Lifetime: '2h' is no time", 3),
    "Claim roles": ("Claim: takes a category and a claim's name, as in Claim roles roles", 3),
    "Claim roles sub": ("Claim: sub is set by the module itself", 3),
    "Claim a x\nClaim b x": ("Claim: two lines make the claim x", 4),
    "Kid x": ("Kid: is no option of a signer; there are Key, Issuer, Audience, Lifetime, Claim", 3),
    "<Location />\n</Location>": ("a section cannot stand inside <LlamaAuthSigner>", 3),
}


def write_files(httpd):
    write_key(httpd, "es256")
    for name, make in FILES.items():
        httpd.write(f"conf/{name}.pem", make())


@pytest.mark.parametrize("lines", BROKEN, ids=lambda lines: lines.replace("\n", ";") or "nothing")
def test_refused_at_startup(bare, lines):
    write_files(bare)
    bare.configure(f"\n<LlamaAuthSigner internal>\n{lines}\n</LlamaAuthSigner>\n")
    status, said = bare.check()
    error, line = BROKEN[lines]
    assert status != 0 and error in said and f"line {line} of {bare.root}/conf/test.conf" in said, said


HOST = "<VirtualHost *:{port}>\n{}</VirtualHost>\n"
SECTION = f"<LlamaAuthSigner internal>\n{LINES}</LlamaAuthSigner>\n"
FORWARD = "<Location />\nLlamaAuthForward {} {}\n</Location>\n"
SENDS = FORWARD.format("Authorization", "assertion:internal")

REFUSED = {
    "a name": ("<LlamaAuthSigner>\n</LlamaAuthSigner>\n", "takes one name: <LlamaAuthSigner internal>"),
    "two names": ("<LlamaAuthSigner a b>\n</LlamaAuthSigner>\n", "takes one name"),
    "a strange name": ("<LlamaAuthSigner a:b>\n</LlamaAuthSigner>\n", "'a:b' is no name of a signer"),
    "text behind it": ("<LlamaAuthSigner a> Key x\n</LlamaAuthSigner>\n", "takes a name and ends with '>'"),
    "twice": (SECTION + SECTION, "internal is already defined at"),
    "twice in a host": (SECTION + HOST.format(SECTION, port=1), "internal is already defined at"),
    "twice, the host first": (HOST.format(SECTION, port=1) + SECTION, "internal is already defined at"),
    "in a section": (f"<Location />\n{SECTION}</Location>\n", "<LlamaAuthSigner not allowed in <Location> context"),
    "unknown": (SENDS, "LlamaAuthForward: there is no signer internal; a <LlamaAuthSigner> must stand before its use"),
    "later": (SENDS + SECTION, "there is no signer internal"),
    "mistyped": (SECTION + FORWARD.format("X-A", "assertion:internel"), "there is no signer internel, did you mean internal?"),
    "another case": (SECTION + FORWARD.format("X-A", "assertion:Internal"), "there is no signer Internal, did you mean internal?"),
    "another host's": (HOST.format(SECTION, port=1) + SENDS, "there is no signer internal"),
    "another host's, in a host": (HOST.format(SECTION, port=1) + HOST.format(SENDS, port=2), "there is no signer internal"),
    "no name": (SECTION + FORWARD.format("X-A", "assertion:"), "assertion: takes a signer's name, as in LlamaAuthForward Authorization"),
    "Authorization for others": (SECTION + FORWARD.format("Authorization", "principal"), "cannot carry the caller, except as assertion:SIGNER"),
    "Cookie": (SECTION + FORWARD.format("Cookie", "assertion:internal"), "Cookie cannot carry the caller"),
    "Proxy-Authorization": (SECTION + FORWARD.format("Proxy-Authorization", "assertion:internal"), "Proxy-Authorization cannot carry"),
    "twice in one header": (SECTION + FORWARD.format("authorization", "assertion:internal\nLlamaAuthForward Authorization assertion:internal"),
                            "Authorization is named twice in this section"),
    "a backend's token": (SECTION + FORWARD.format("Authorization", "assertion:internal\nLlamaAuthBackendToken x"), "both are the backend's credential"),
    "a backend's token elsewhere": (SECTION + FORWARD.format("Authorization", "assertion:internal\nLlamaAuthBackendToken x header:X-Key"),
                                    "both are the backend's credential"),
    "a backend's token in its header": (SECTION + FORWARD.format("X-Key", "assertion:internal\nLlamaAuthBackendToken x header:x_key"),
                                        "both are the backend's credential"),
    "a token's source": (SECTION + "<Location /a>\nLlamaAuthTokenSource header:X-A\n</Location>\n" + FORWARD.format("X-A", "assertion:internal"),
                         "X-A is the header of a LlamaAuthTokenSource"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_there(bare, name):
    write_files(bare)
    text, error = REFUSED[name]
    bare.configure(text)
    status, said = bare.check()
    assert status != 0 and error in said, said


@pytest.mark.parametrize("text", [
    SECTION + SENDS, SECTION + HOST.format(SENDS, port=1), HOST.format(SECTION + SENDS, port=1) + HOST.format(SECTION + SENDS, port=2),
    SECTION + FORWARD.format("X-A", "assertion:internal\nLlamaAuthBackendToken x"),
    SECTION + "<Location /a>\nLlamaAuthForward Authorization assertion:internal\n</Location>\n<Location /b>\nLlamaAuthBackendToken x\n</Location>\n",
    SECTION + "<Location /a>\nLlamaAuthTokenSource Authorization\n</Location>\n" + SENDS], ids=range(6))
def test_accepted(bare, text):
    write_files(bare)
    bare.configure(text)
    status, said = bare.check()
    assert status == 0 and "LA0" not in said, said


def test_warning_without_a_signer(bare):
    bare.configure(JWKS)
    status, said = bare.check()
    assert status == 0 and "SetHandler llama-auth-jwks, and no <LlamaAuthSigner>: there are no keys to publish" in said


def test_no_warning_of_a_resource(bare):
    """MCP forbids that the token goes on: it does not where an assertion takes its place."""
    write_files(bare)
    text = SECTION + ("<LlamaAuthProvider jwt jwt>\nJwksUri https://127.0.0.1:1/keys\n</LlamaAuthProvider>\n<Location /mcp>\n"
                      "AuthType Bearer\nLlamaAuthUse jwt\nRequire valid-user\nLlamaAuthResource https://api.example.com/mcp\n"
                      "LlamaAuthResourceServer https://idp.example.com\n{}</Location>\n")
    for line, warned in (("", True), ("LlamaAuthForward Authorization assertion:internal\n", False),
                         ("LlamaAuthForward X-A assertion:internal\n", True)):
        bare.configure(text.format(line))
        status, said = bare.check()
        assert status == 0 and ("LlamaAuthResource without LlamaAuthForwardToken off" in said) == warned, said


class TestHtaccess:
    expected = (r"htaccess: LlamaAuthForward: assertion: is for the server's own configuration",)

    @staticmethod
    def configure(httpd):
        httpd.write("htdocs/.htaccess", f"{BEARER}LlamaAuthForward X-A assertion:internal\nRequire valid-user\n")
        return write_callers(httpd) + signer_section(httpd) + f'<Directory "{httpd.root}/htdocs">\nAllowOverride AuthConfig\n</Directory>\n'

    def test_refused(self, httpd):
        assert httpd.get("/index.html", token=key_of("full")).status == 500


class TestPublished:
    modules = ("proxy", "proxy_http")
    expected = ("LA0372",)

    @staticmethod
    def configure(httpd):
        backend = backend_of(httpd)
        write_key(httpd, "next", "es384")
        text = "<VirtualHost *:{}>\nServerName {}\n{}</VirtualHost>\n"
        httpd.own, httpd.other, httpd.none = httpd.listen(), httpd.listen(), httpd.listen()
        common = write_callers(httpd) + signer_section(httpd, "shared", "rs256")
        own = signer_section(httpd, "internal", "es256").replace("es256.pem", "es256.pem file:conf/next.pem")
        use = f"<Location /v1>\n{KNOWN}LlamaAuthForward Authorization assertion:{{}}\nProxyPass {backend}/\n</Location>\n"
        below = f"<Location />\n{KNOWN}ProxyPass {backend}/\n</Location>\n" + JWKS
        return (common + JWKS + text.format(httpd.own, "own", own + use.format("internal") + below) +
                text.format(httpd.other, "other", signer_section(httpd, "internal", "eddsa") + use.format("internal") + JWKS) +
                text.format(httpd.none, "none", use.format("shared") + JWKS))

    def algorithms(self, httpd, port):
        return [key["alg"] for key in httpd.get("/jwks", port=port).json["keys"]]

    def test_each_host_its_own(self, httpd):
        assert self.algorithms(httpd, httpd.port) == self.algorithms(httpd, httpd.none) == ["RS256"]
        assert self.algorithms(httpd, httpd.own) == ["RS256", "ES256", "ES384"]
        assert self.algorithms(httpd, httpd.other) == ["RS256", "EdDSA"]

    @pytest.mark.parametrize("host, algorithm", [("own", "ES256"), ("other", "EdDSA"), ("none", "RS256")])
    def test_each_signs_by_its_own(self, httpd, host, algorithm):
        port = getattr(httpd, host)
        assert httpd.get("/v1/x", port=port, token=key_of("full")).status == 200
        header = json.loads(jwk.base64url_decode(bearer(last_call(httpd).header("Authorization")).split(".")[0]))
        [key] = [key for key in httpd.get("/jwks", port=port).json["keys"] if key["kid"] == header["kid"]]
        assert key["alg"] == header["alg"] == algorithm

    def test_members(self, httpd):
        members = {"ES256": {"crv", "x", "y"}, "ES384": {"crv", "x", "y"}, "EdDSA": {"crv", "x"}, "RS256": {"n", "e"}}
        for port in (httpd.own, httpd.other):
            for key in httpd.get("/jwks", port=port).json["keys"]:
                assert set(key) == members[key["alg"]] | {"kty", "use", "alg", "kid"} and key["use"] == "sig"
                assert jwk.JWK(**key).thumbprint() == key["kid"]

    @pytest.mark.parametrize("token", [None, "nobody"])
    def test_fields(self, httpd, token):
        """To anybody, and under a ProxyPass of a section around it."""
        calls = len(httpd.endpoint("backend").calls)
        response = httpd.get("/jwks", port=httpd.own, token=token, headers=[("Origin", "https://app.example.com")])
        assert response.status == 200 and response.header("Content-Type") == "application/jwk-set+json"
        assert response.header("Cache-Control") == "public, max-age=300" and response.header("Access-Control-Allow-Origin") == "*"
        assert len(httpd.endpoint("backend").calls) == calls
        head = httpd.request("HEAD", "/jwks", port=httpd.own)
        assert (head.status, head.body, head.header("Content-Length")) == (200, b"", str(len(response.body)))

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "PROPFIND"])
    def test_other_methods(self, httpd, method):
        response = httpd.request(method, "/jwks", port=httpd.own)
        assert response.status == 405 and set(response.header("Allow").replace(" ", "").split(",")) - {"TRACE"} == {"GET", "HEAD", "OPTIONS"}

    def test_preflight(self, httpd):
        response = httpd.request("OPTIONS", "/jwks", port=httpd.own, headers=[("Origin", "https://app.example.com"),
                                                                              ("Access-Control-Request-Method", "GET")])
        assert response.status == 204 and response.header("Access-Control-Allow-Origin") == "*"


class TestNoSigner:
    expected = ("LA0372", "LA0046")

    @staticmethod
    def configure(httpd):
        return JWKS

    def test_none(self, httpd):
        mark = httpd.log.mark()
        assert httpd.get("/jwks").status == 500
        assert "<LlamaAuthSigner> is missing for /jwks" in httpd.log.await_line("LA0372", mark).text


class TestFiles:
    """One process follows three files. conf/hidden.pem is root's alone."""

    modules = ("proxy", "proxy_http")
    processes = 1

    @staticmethod
    def configure(httpd):
        write_key(httpd, "first")
        write_key(httpd, "next", "es384")
        httpd.write("conf/old.pem", (httpd.root / "conf/first.pem").read_bytes()).chmod(0o644)
        write_key(httpd, "hidden")
        (httpd.root / "conf/hidden.pem").chmod(0o600)
        return write_callers(httpd) + (signer_section(httpd, "rotating", "first").replace("first.pem", "first.pem file:conf/next.pem file:conf/old.pem") +
                                       signer_section(httpd, "fixed", "hidden") + JWKS) + "".join(
            f"<Location /{name}>\n{KNOWN}LlamaAuthForward Authorization assertion:{name}\nProxyPass {backend_of(httpd)}/\n</Location>\n"
            for name in ("rotating", "fixed"))

    def assertion(self, httpd, name="rotating"):
        assert httpd.get(f"/{name}/x", token=key_of("full")).status == 200
        return bearer(last_call(httpd).header("Authorization"))

    def kid(self, httpd, name="rotating"):
        return json.loads(jwk.base64url_decode(self.assertion(httpd, name).split(".")[0]))["kid"]

    @staticmethod
    def thumbprint(httpd, name):
        return jwk.JWK.from_pem((httpd.root / f"conf/{name}.pem").read_bytes()).thumbprint()

    def says_so(self, httpd, mark):
        return self.kid(httpd) and any("LA0002" in line.text for line in httpd.log.since(mark))

    def copy(self, httpd, source, target):
        httpd.write(f"conf/{target}.pem", (httpd.root / f"conf/{source}.pem").read_bytes()).chmod(0o644)

    def test_rotation(self, httpd):
        """What is published before signs then, and what signed is published still; at each moment the set has both."""
        first, second = self.thumbprint(httpd, "first"), self.thumbprint(httpd, "next")
        old, published = self.assertion(httpd), {key["kid"] for key in httpd.get("/jwks").json["keys"]}
        assert {first, second} <= published and self.kid(httpd) == first
        self.copy(httpd, "first", "old")
        self.copy(httpd, "next", "first")

        def has_turned():
            assert {key["kid"] for key in httpd.get("/jwks").json["keys"]} == published
            assert verify(httpd, old)["sub"] == verify(httpd, self.assertion(httpd))["sub"] == "full"
            return self.kid(httpd) == second
        await_until(has_turned, "the new key to sign")

    def test_broken(self, httpd):
        kid = self.kid(httpd)
        for broken in (b"", b"garbage", make_pem(kty="RSA", size=1024), FILES["encrypted"](), None):
            mark = httpd.log.mark()
            httpd.expect("LA0002")
            if broken is None:
                os.remove(httpd.root / "conf/first.pem")
            else:
                httpd.write("conf/first.pem", broken).chmod(0o644)
            await_until(lambda: self.says_so(httpd, mark), "a line about the broken file")
            assert self.kid(httpd) == kid and verify(httpd, self.assertion(httpd))["sub"] == "full"
        write_key(httpd, "first")
        fresh = self.thumbprint(httpd, "first")
        await_until(lambda: self.kid(httpd) == fresh, "the key that is whole again")

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose file it is")
    def test_root_only(self, httpd):
        """It signs; a change of it is seen at a graceful restart, and nobody is told of errors meanwhile."""
        mark, kid = httpd.log.mark(), self.kid(httpd, "fixed")
        assert kid == self.thumbprint(httpd, "hidden") and kid in [key["kid"] for key in httpd.get("/jwks").json["keys"]]
        write_key(httpd, "hidden")
        (httpd.root / "conf/hidden.pem").chmod(0o600)
        write_key(httpd, "first")
        await_until(lambda: self.kid(httpd) == self.thumbprint(httpd, "first"), "a change of the other key to be seen")
        assert self.kid(httpd, "fixed") == kid
        assert not [line for line in httpd.log.since(mark) if "hidden.pem" in line.text]
        httpd.graceful()
        await_until(lambda: self.kid(httpd, "fixed") == self.thumbprint(httpd, "hidden"), "the new key after the restart")

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose file it is")
    def test_no_longer_root_only(self, httpd):
        """Processes that began before that follow it like those that began after it: else they would sign by two keys for good."""
        kid = self.kid(httpd, "fixed")
        write_key(httpd, "hidden")
        assert (httpd.root / "conf/hidden.pem").stat().st_mode & 0o777 == 0o644
        await_until(lambda: self.kid(httpd, "fixed") == self.thumbprint(httpd, "hidden"), "the key that httpd's User may read now")
        assert kid != self.kid(httpd, "fixed") in [key["kid"] for key in httpd.get("/jwks").json["keys"]]

    def test_announced(self, httpd):
        for name in ("rotating", "fixed"):
            assert re.search(rf"LA0373: signer {name}, .*test.conf:\d+: ES256, kid [\w-]{{43}}".encode(), httpd.log.everything())

    def test_no_key_is_told(self, httpd):
        for name in ("first", "next", "old", "hidden"):
            secret = (httpd.root / f"conf/{name}.pem").read_text().splitlines()[1]
            assert secret.encode() not in httpd.log.everything() + httpd.get("/jwks").body
