"""RFC 9728 (LlamaAuthResource and its document), CORS preflights, and the caller in httpd's own Require and expressions."""

import pytest

from callers import BEARER, key_of, passed, write_callers
from conftest import every_mpm

RESOURCE = "https://api.example.com/mcp"
METADATA = "https://api.example.com/.well-known/oauth-protected-resource/mcp"

# What a proof may be signed with where Algorithms is not given (RFC 9728: dpop_signing_alg_values_supported).
PROOFS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]

CONFIG = f"""
<LlamaAuthProvider idp jwt>
    JwksFile conf/jwks.json
    ExpectIssuer https://idp.example.com/realms/a
</LlamaAuthProvider>
<Location /mcp>
    {BEARER}
    LlamaAuthResource {RESOURCE} mcp.read mcp.write
    AuthzSendForbiddenOnFailure On
    Require valid-user
    <Limit POST>
        RequireScope b
    </Limit>
    <Limit PUT>
        RequireAttribute roles admin
    </Limit>
</Location>
<Location /.well-known/oauth-protected-resource/mcp>
    SetHandler llama-auth-metadata
    LlamaAuthUse keys idp
    LlamaAuthResource {RESOURCE} mcp.read mcp.write
    Require all granted
</Location>
<LocationMatch "^/\\.well-known/oauth-protected-resource(/both)?$">
    SetHandler llama-auth-metadata
    LlamaAuthResource https://api.example.com/both
    LlamaAuthResourceServer https://a.example/x https://b.example
    Require all granted
</LocationMatch>
<Location /well-known>
    SetHandler llama-auth-metadata
    LlamaAuthResourceServer https://idp.example.com
    Require all granted
</Location>
<Location /well-known/bare>
    LlamaAuthResource https://api.example.com
    LlamaAuthTokenSource query:access_token
</Location>
<Location /well-known/members>
    LlamaAuthUse idp
    LlamaAuthResource https://api.example.com
    LlamaAuthResourceMember resource_name "Straße"
    LlamaAuthResourceMember resource_documentation https://docs.example.com
    LlamaAuthResourceMember flag true
    LlamaAuthResourceMember version 1
    LlamaAuthResourceMember list '["a", {{"b": null}}]'
    LlamaAuthResourceMember text '"true"'
</Location>
<Location /well-known/members/nested>
    LlamaAuthResourceMember version 2
    LlamaAuthResourceMember more x
</Location>
<Location /well-known/none>
    SetHandler llama-auth-metadata
</Location>
<Location /well-known-nobody>
    SetHandler llama-auth-metadata
    LlamaAuthUse keys
    LlamaAuthResource https://api.example.com
    Require all granted
</Location>
"""

JWKS = '{"keys": [{"kty": "EC", "crv": "P-256", "kid": "a", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",' \
       ' "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}'


# Binding of each provider, and more options: what the document says of proofs and certificates.
PROOF, ALWAYS, CERTIFICATE = ("dpop_signing_alg_values_supported", "dpop_bound_access_tokens_required",
                              "tls_client_certificate_bound_access_tokens")
BINDINGS = {
    "check": (["check"], {PROOF: PROOFS}),
    "require": (["require"], {PROOF: PROOFS}),
    "dpop": (["dpop"], {PROOF: PROOFS, ALWAYS: True}),
    "mtls": (["mtls"], {PROOF: PROOFS, CERTIFICATE: True}),
    "ignore": (["ignore"], {}),
    "both": (["dpop", "dpop"], {PROOF: PROOFS, ALWAYS: True}),
    "either": (["dpop", "require"], {PROOF: PROOFS}),
    "one-ignores": (["ignore", "dpop"], {PROOF: PROOFS}),
    "one-by-certificate": (["dpop", "mtls"], {PROOF: PROOFS, CERTIFICATE: True}),
    "all-ignore": (["ignore", "ignore"], {}),
    "algorithms": (["check\n Algorithms ES256 HS256"], {PROOF: ["ES256"]}),
    "two-lists": (["check\n Algorithms ES256", "dpop\n Algorithms PS256 ES256"], {PROOF: ["PS256", "ES256"]}),
    "list-of-one-that-ignores": (["check\n Algorithms ES256", "ignore\n Algorithms RS256"], {PROOF: ["ES256"]}),
    "secrets-alone": (["mtls\n Algorithms HS256"], {CERTIFICATE: True}),
}


class TestMetadataOfBindings:
    """What a client learns of tokens that are bound to a key."""
    expected = ("LA0060: .* cannot fetch the key set",)  # in the background, where the class takes longer than that

    @staticmethod
    def configure(httpd):
        text = write_callers(httpd)
        for name, (bindings, _) in BINDINGS.items():
            names = [f"{name}-{i}" for i, _ in enumerate(bindings)]
            for provider, binding in zip(names, bindings):
                text += (f"<LlamaAuthProvider {provider} jwt>\n JwksUri http://127.0.0.1:1/jwks\n Breaker off\n Binding {binding}\n"
                         "</LlamaAuthProvider>\n")
            text += (f"<Location /{name}>\n SetHandler llama-auth-metadata\n LlamaAuthUse {' '.join(names)}\n Require all granted\n"
                     f" LlamaAuthResource {RESOURCE}\n LlamaAuthResourceServer https://idp.example.com\n</Location>\n")
        return text + ("<Location /with-keys>\n SetHandler llama-auth-metadata\n LlamaAuthUse dpop-0 keys\n Require all granted\n"
                       f" LlamaAuthResource {RESOURCE}\n LlamaAuthResourceServer https://idp.example.com\n</Location>\n"
                       "<Location /nobody>\n SetHandler llama-auth-metadata\n Require all granted\n"
                       f" LlamaAuthResource {RESOURCE}\n LlamaAuthResourceServer https://idp.example.com\n</Location>\n")

    @staticmethod
    def members(httpd, path):
        document = httpd.get(path).json
        return {name: document[name] for name in (PROOF, ALWAYS, CERTIFICATE) if name in document}

    @pytest.mark.parametrize("name", BINDINGS)
    def test_members(self, httpd, name):
        assert self.members(httpd, f"/{name}") == BINDINGS[name][1]

    def test_a_provider_that_knows_no_bindings(self, httpd):
        """Its tokens are never bound: proofs are not required of everybody."""
        assert self.members(httpd, "/with-keys") == {PROOF: PROOFS}

    def test_no_provider(self, httpd):
        assert self.members(httpd, "/nobody") == {}


class TestMetadata:
    expected = ("AH01631", "LA0032")

    @staticmethod
    def configure(httpd):
        httpd.write("conf/jwks.json", JWKS)
        httpd.write("htdocs/mcp/x", "x")
        return write_callers(httpd) + CONFIG

    def test_document(self, httpd):
        response = httpd.get("/.well-known/oauth-protected-resource/mcp", headers=[("Origin", "https://inspector.example")])
        assert response.status == 200
        assert response.json == {"resource": RESOURCE, "authorization_servers": ["https://idp.example.com/realms/a"],
                                 "scopes_supported": ["mcp.read", "mcp.write"], "bearer_methods_supported": ["header"],
                                 "dpop_signing_alg_values_supported": PROOFS}
        assert response.header("Access-Control-Allow-Origin") == "*"
        assert response.header("Content-Type") == "application/json"

    def test_least(self, httpd):
        assert httpd.get("/well-known/bare").json == {"resource": "https://api.example.com", "bearer_methods_supported": ["query"],
                                                      "authorization_servers": ["https://idp.example.com"]}

    @pytest.mark.parametrize("path", ["", "/both"])
    def test_root(self, httpd, path):
        document = httpd.get(f"/.well-known/oauth-protected-resource{path}").json
        assert document["resource"] == "https://api.example.com/both"
        assert document["authorization_servers"] == ["https://a.example/x", "https://b.example"]

    def test_members(self, httpd):
        least = {"resource": "https://api.example.com", "authorization_servers": ["https://idp.example.com"],
                 "bearer_methods_supported": ["header"]}
        more = {"resource_name": "Straße", "resource_documentation": "https://docs.example.com", "flag": True, "version": "1",
                "list": ["a", {"b": None}], "text": "true", "dpop_signing_alg_values_supported": PROOFS}
        assert httpd.get("/well-known/members").json == {**least, **more}
        assert httpd.get("/well-known/members/nested").json == {**least, **more, "version": "2", "more": "x"}

    def test_head_and_preflight(self, httpd):
        path = "/.well-known/oauth-protected-resource/mcp"
        head = httpd.request("HEAD", path)
        assert head.status == 200 and head.body == b"" and int(head.header("Content-Length")) > 50
        preflight = httpd.request("OPTIONS", path, headers=[("Origin", "https://x"), ("Access-Control-Request-Method", "GET"),
                                                            ("Access-Control-Request-Headers", "mcp-protocol-version")])
        assert preflight.status == 204
        assert preflight.header("Access-Control-Allow-Origin") == "*"
        assert preflight.header("Access-Control-Allow-Headers") == "*"

    def test_other_methods(self, httpd):
        response = httpd.request("POST", "/.well-known/oauth-protected-resource/mcp", body=b"x")
        assert response.status == 405
        assert {word.strip() for word in response.header("Allow").split(",")} - {"TRACE"} == {"GET", "HEAD", "OPTIONS"}

    def test_without_an_authorization_server(self, httpd):
        mark = httpd.log.mark()
        assert httpd.get("/well-known-nobody").status == 500
        assert "LlamaAuthResourceServer" in httpd.log.await_line("LA0032", mark).text

    def test_without_a_resource(self, httpd):
        mark = httpd.log.mark()
        assert httpd.get("/well-known/none").status == 500
        httpd.log.await_line("LA0032", mark)

    @pytest.mark.parametrize("method, caller, status, carries", [
        ("GET", "anon", 401, True), ("GET", "unknown", 401, True), ("POST", "some", 403, True), ("PUT", "some", 403, False)])
    def test_challenge(self, httpd, method, caller, status, carries):
        response = httpd.request(method, "/mcp/x", token="nobody" if caller == "unknown" else key_of(caller))
        assert response.status == status
        if carries:
            assert response.challenge["resource_metadata"] == METADATA
        else:
            assert response.header("WWW-Authenticate") is None


# resource: where its document is
URLS = {
    "https://a.example": "https://a.example/.well-known/oauth-protected-resource",
    "https://a.example/": "https://a.example/.well-known/oauth-protected-resource",
    "https://a.example/x": "https://a.example/.well-known/oauth-protected-resource/x",
    "https://a.example/x/": "https://a.example/.well-known/oauth-protected-resource/x/",
    "https://a.example:8443/x/y": "https://a.example:8443/.well-known/oauth-protected-resource/x/y",
    "https://a.example/x?y=z": "https://a.example/.well-known/oauth-protected-resource/x?y=z",
    "https://a.example?y=z": "https://a.example/.well-known/oauth-protected-resource?y=z",
    "https://a.example/?y=z": "https://a.example/.well-known/oauth-protected-resource?y=z",
    "http://127.0.0.1:8080/x": "http://127.0.0.1:8080/.well-known/oauth-protected-resource/x",
}


class TestUrls:
    @staticmethod
    def configure(httpd):
        text = write_callers(httpd)
        for number, url in enumerate(URLS):
            text += f"<Location /{number}/>\n{BEARER}LlamaAuthResource {url}\nRequire valid-user\n</Location>\n"
        return text

    @pytest.mark.parametrize("url", URLS)
    def test_url(self, httpd, url):
        response = httpd.get(f"/{list(URLS).index(url)}/x")
        assert response.challenge["resource_metadata"] == URLS[url]


PREFLIGHT = [("Origin", "https://app.example"), ("Access-Control-Request-Method", "POST")]

# name: (location, method, headers, passes or status)
PREFLIGHTS = {
    "let through": ("on", "OPTIONS", PREFLIGHT, True),
    "with a rule": ("rule", "OPTIONS", PREFLIGHT, True),
    "with a rule and no Require": ("bare", "OPTIONS", PREFLIGHT, True),
    "with all granted": ("granted", "OPTIONS", PREFLIGHT, True),
    "with Satisfy any": ("any", "OPTIONS", PREFLIGHT, True),
    "nested": ("on/sub", "OPTIONS", PREFLIGHT, True),
    "off by default": ("off", "OPTIONS", PREFLIGHT, 401),
    "off again, nested": ("on/off", "OPTIONS", PREFLIGHT, 401),
    "without Origin": ("on", "OPTIONS", PREFLIGHT[1:], 401),
    "without the method": ("on", "OPTIONS", PREFLIGHT[:1], 401),
    "plain OPTIONS": ("on", "OPTIONS", [], 401),
    "GET that looks like one": ("on", "GET", PREFLIGHT, 401),
    "POST that looks like one": ("rule", "POST", PREFLIGHT, 401),
    "method in another case": ("on", "options", PREFLIGHT, 401),
    "all denied stays so": ("denied", "OPTIONS", PREFLIGHT, 403),
    "an address that is not allowed": ("address", "OPTIONS", PREFLIGHT, 403),
    "a malformed token does not matter": ("on", "OPTIONS", [*PREFLIGHT, ("Authorization", "Basic x")], True),
    "another AuthType": ("basic", "OPTIONS", PREFLIGHT, 401),
    "misconfigured": ("broken", "OPTIONS", PREFLIGHT, 500),
}

SECTIONS = {
    "on": f"{BEARER}LlamaAuthPreflight on\nRequire valid-user",
    "on/sub": "Options None",
    "on/off": "LlamaAuthPreflight off",
    "rule": f"{BEARER}LlamaAuthPreflight on\nRequire valid-user\nRequireScope b\nRequireAttribute roles admin",
    "bare": f"{BEARER}LlamaAuthPreflight on\nRequireScope b",
    "granted": f"{BEARER}LlamaAuthPreflight on\nRequireScope b\nRequire all granted",
    "any": f"{BEARER}LlamaAuthPreflight on\nRequireScope b\nSatisfy any\nOrder allow,deny\nAllow from all",
    "off": f"{BEARER}Require valid-user",
    "denied": f"{BEARER}LlamaAuthPreflight on\nRequire all denied",
    "address": f"{BEARER}LlamaAuthPreflight on\n<RequireAll>\nRequire ip 10.1.2.3\nRequire valid-user\n</RequireAll>",
    "basic": "AuthType Basic\nAuthName b\nAuthBasicProvider file\nAuthUserFile conf/passwords\nLlamaAuthPreflight on\nRequire valid-user",
    "broken": "LlamaAuthPreflight on\nRequireScope b\nRequire all granted",
}


@every_mpm
class TestPreflight:
    modules = ("access_compat", "auth_basic", "authn_file")
    expected = ("AH01630", "LA0020", "AH01631", "AH01797")

    @staticmethod
    def configure(httpd):
        httpd.write_passwords("conf/passwords", u="p")
        text = write_callers(httpd)
        for name, lines in SECTIONS.items():
            httpd.write(f"htdocs/{name}/x", "x")
            text += f"<Location /{name}>\n{lines}\n</Location>\n"
        return text

    @pytest.mark.parametrize("name", PREFLIGHTS)
    def test_preflight(self, httpd, name):
        where, method, headers, expected = PREFLIGHTS[name]
        response = httpd.request(method, f"/{where}/x", headers=headers)
        if expected is True:
            assert passed(response), response
            assert response.note("user") is None and response.note("principal") is None
        else:
            assert response.status == expected, response


# name: (lines, {caller: passes})
REQUIRES = {
    "scope": ("Require llama-scope b", {"full": 1, "some": 0, "bare": 0, "anon": 0}),
    "any scope": ("Require llama-scope x a", {"full": 1, "some": 1, "bare": 0, "anon": 0}),
    "attribute": ("Require llama-attribute roles admin", {"full": 1, "some": 0, "bare": 0, "anon": 0}),
    "any value": ("Require llama-attribute roles x dev", {"full": 1, "some": 1, "bare": 0}),
    "value with a space": ('Require llama-attribute scopes "a b"', {"case": 1, "full": 0}),
    "two lines are any": ("Require llama-scope b\nRequire llama-attribute roles dev", {"full": 1, "some": 1, "bare": 0}),
    "RequireAll": ("<RequireAll>\nRequire llama-scope a\nRequire llama-attribute roles admin\n</RequireAll>", {"full": 1, "some": 0}),
    "RequireAny": ("<RequireAny>\nRequire llama-scope b\nRequire user bare\n</RequireAny>", {"full": 1, "bare": 1, "some": 0}),
    "RequireNone": ("<RequireAll>\nRequire valid-user\n<RequireNone>\nRequire llama-attribute roles admin\n</RequireNone>\n</RequireAll>",
                    {"full": 0, "some": 1, "bare": 1, "anon": 0}),
    "not, beside all granted": ("<RequireAll>\nRequire all granted\nRequire not llama-scope b\n</RequireAll>", {"some": 1, "anon": 1}),
    "not, and a rule that asks": ("<RequireAll>\nRequire all granted\nRequire not llama-scope b\n</RequireAll>\nRequireScope a",
                                  {"full": 0, "some": 1, "anon": 0}),
    "not": ("<RequireAll>\nRequire valid-user\nRequire not llama-scope b\n</RequireAll>", {"full": 0, "some": 1, "anon": 0}),
    "beside RequireScope": ("Require llama-scope b\nRequireScope a", {"full": 1, "some": 0, "bare": 0}),
    "expression": ("Require expr \"%{REMOTE_USER} != '' && 'admin' in llama_attribute('roles')\"", {"full": 1, "some": 0, "bare": 0, "anon": 0}),
    "expression over text": ("Require expr \"%{REMOTE_USER} != '' && %{llama_attribute:roles} == 'admin,dev'\"", {"full": 1, "some": 0}),
    "expression, absent category": ("Require expr \"%{REMOTE_USER} != '' && 'x' in llama_attribute('nothing')\"", {"full": 0}),
    "expression, in any case": ("Require expr \"%{REMOTE_USER} != '' && 'b' in LLAMA_ATTRIBUTE('scopes')\"", {"full": 1, "some": 0}),
}


@every_mpm
class TestRequire:
    expected = ("AH01631", "AH01629")

    @staticmethod
    def configure(httpd):
        text = write_callers(httpd)
        for number, (lines, _) in enumerate(REQUIRES.values()):
            httpd.write(f"htdocs/{number}/x", "x")
            text += f'<Location /{number}/>\n{BEARER}{lines}\nHeader set X-Roles "expr=%{{llama_attribute:roles}}"\n</Location>\n'
        return text

    @pytest.mark.parametrize("name", REQUIRES)
    def test_require(self, httpd, name):
        for caller, passes in REQUIRES[name][1].items():
            response = httpd.get(f"/{list(REQUIRES).index(name)}/x", token=key_of(caller))
            assert (response.status == 200) == bool(passes), response
            if not passes:
                assert response.note("error") in ("missing_token", "access_denied", "insufficient_scope")
            if caller == "full" and passes:
                assert response.header("X-Roles") == "admin,dev"


@pytest.mark.parametrize("line, said", [
    ("Require llama-scope", "takes scopes"), ("Require llama-scope 'a\"b'", "is no scope"),
    ("Require llama-attribute roles", "takes a category"), ("Require llama-attribute roles ''", "a value is empty"),
    ("Require expr \"'a' in llama_attributes('b')\"", "llama_attributes")])
def test_refused_at_startup(bare, line, said):
    bare.configure(f"<Location />\n{line}\n</Location>\n")
    status, text = bare.check()
    assert status != 0 and said in text
