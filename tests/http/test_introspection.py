"""The introspection provider against a server that follows RFC 7662 to the letter, over TLS: how the module asks and who it says it
is, the verdict on what comes back, what is remembered of it, and the configuration."""

import json
import time

import pytest

from behaviour import reply
from configs import everywhere, location
from conftest import every_mpm, new_token
from errorlog import await_until
from introspector import Introspector, PATH, error

INACTIVE = "Token not active"
CLIENT, SECRET = "llm gateway:1", "s3cret of+the&gateway=%/?'é"
CREDENTIALS = (f'ClientId "{CLIENT}"', "ClientSecret file:conf/secret")
AUDIENCE, ISSUER = "https://llm.example", "https://idp.example.com/a"
OTHER_SECRET, BEARER_SECRET = "another-secret-of-mine", "bearer-secret-of-mine"


def provider(name, *options):
    if not any(option.startswith("Breaker") for option in options):
        options += ("Breaker off",)
    return "\n    ".join([f"<LlamaAuthProvider {name} introspection>", *options]) + "\n</LlamaAuthProvider>\n"


def serve(httpd, name="main", certificate="good"):
    """The server of that name, over TLS unless there is no certificate; our client is known to it, and its files are there."""
    if name not in httpd.endpoints:
        server = Introspector(tls=httpd.pki.server_context(certificate) if certificate else None)
        server.clients = {(CLIENT, SECRET): "basic", ("poster", OTHER_SECRET): "post", ("barred", OTHER_SECRET): "basic"}
        server.bearers, server.public, server.forbidden = {BEARER_SECRET}, {"public"}, {"barred"}
        httpd.endpoints[name] = server
        httpd.write("conf/ca.pem", httpd.pki.read("ca.pem")).chmod(0o644)
        httpd.write("conf/secret", SECRET + "\n").chmod(0o644)
        httpd.secrets |= {SECRET.encode(), OTHER_SECRET.encode(), BEARER_SECRET.encode()}
    return httpd.endpoints[name]


def guarded(httpd, name, *lines):
    return location("/" + name, name, lines=("Require valid-user", *lines)) + everywhere(httpd, "/" + name)


def site(httpd, name, *options, credentials=CREDENTIALS, rules=(), **where):
    """A provider that asks the server's endpoint, the location it guards and a file there."""
    return provider(name, f"Endpoint {serve(httpd, **where).at()}", "TLSCAFile conf/ca.pem", *credentials,
                    *options) + guarded(httpd, name, *rules)


def rejected(response):
    assert (response.status, response.message, response.note("error")) == (401, INACTIVE, "invalid_token"), response
    assert response.challenge["error"] == "invalid_token"
    assert response.note("user") is None


def attributes(response):
    return json.loads(response.note("attributes"))


@every_mpm
class TestIntrospection:
    needs_pki = True

    @staticmethod
    def configure(httpd):
        return "LimitRequestFieldSize 20000\n" + site(httpd, "plain") + site(httpd, "scoped", rules=("RequireScope models.read",))

    def test_question(self, httpd):
        token = serve(httpd).issue(new_token())
        assert httpd.get("/plain/x?a=b", token=token).status == 200
        call = serve(httpd).call(token)
        assert (call.method, call.target, call.version) == ("POST", PATH, "HTTP/1.1")
        assert call.body == b"token=" + token.encode() + b"&token_type_hint=access_token"
        assert call.header("Content-Type") == "application/x-www-form-urlencoded"
        assert call.header("Accept") == "application/json"
        assert call.basic == (CLIENT, SECRET)
        for name in ("Cookie", "Expect", "Accept-Encoding", "Transfer-Encoding"):
            assert call.header(name) is None

    def test_token_of_every_character(self, httpd):
        token = new_token() + "&token=other&active=true+%00" + "".join(chr(c) for c in range(0x21, 0x7f) if chr(c) != ",")
        serve(httpd).issue(token)
        assert httpd.get("/plain/x", token=token).status == 200
        assert serve(httpd).call(token).form == {"token": token, "token_type_hint": "access_token"}

    def test_token_of_16384_characters(self, httpd):
        token = serve(httpd).issue(new_token().ljust(16384, "%"))
        assert httpd.get("/plain/x", token=token).status == 200

    def test_answer_of_the_rfc(self, httpd):
        """The example of section 2.2, but for its end, and with claims that have default categories."""
        token = serve(httpd).issue(
            new_token(), client_id="l238j323ds-23ij4", username="jdoe", scope="read write dolphin", sub="Z5O3upPC88QrAjx00dis",
            aud="https://protected.example.net/resource", iss="https://server.example.com/", exp=time.time() + 300,
            iat=1419350238, extension_field="twenty-seven", groups=["ml", "ops x"], team="core", project="p", tenant="acme",
            namespace="ns", scp=["write", "whale"])
        for cache in ("miss", "hit"):
            response = httpd.get("/plain/x", token=token)
            assert (response.status, response.note("user")) == (200, "Z5O3upPC88QrAjx00dis")
            assert attributes(response) == {
                "roles": ["Z5O3upPC88QrAjx00dis", "jdoe"], "teams": ["ml", "ops x", "core"], "projects": ["p"],
                "namespaces": ["acme", "ns"], "scopes": ["read", "write", "dolphin", "whale"]}
            assert response.note("cache") == cache
        assert serve(httpd).call(token)

    def test_inactive(self, httpd, token):
        for cache in ("miss", "negative"):
            response = httpd.get("/plain/x", token=token)
            rejected(response)
            assert response.note("cache") == cache
        assert serve(httpd).call(token)

    def test_unsupported_token_type(self, httpd):
        token = serve(httpd).on(new_token(), error(400, "unsupported_token_type"))
        for cache in ("miss", "negative"):
            response = httpd.get("/plain/x", token=token)
            rejected(response)
            assert response.note("cache") == cache

    @pytest.mark.parametrize("active", ["true", "false", 1, None, [True], {}, "", "missing"], ids=repr)
    def test_active_is_not_true(self, httpd, active):
        said = {"sub": "alice"} if active == "missing" else {"active": active, "sub": "alice"}
        rejected(httpd.get("/plain/x", token=serve(httpd).on(new_token(), reply(200, said))))

    @pytest.mark.parametrize("scope, status", [("models.read", 200), ("a models.read b", 200), ("models.reader", 403), ("", 403)])
    def test_scopes(self, httpd, scope, status):
        token = serve(httpd).issue(new_token(), scope=scope)
        for _ in range(2):
            response = httpd.get("/scoped/x", token=token)
            assert response.status == status
            if status == 403:
                assert response.message == "Access denied: user does not have required scope: models.read"

    @pytest.mark.parametrize("said, principal", [
        ({"sub": "s", "username": "u", "client_id": "c"}, "s"), ({"username": "u v", "client_id": "c"}, "u v"),
        ({"client_id": "c"}, "c"), ({"sub": "naïve €"}, "naïve €")])
    def test_principal(self, httpd, said, principal):
        response = httpd.get("/plain/x", token=serve(httpd).on(new_token(), reply(200, {"active": True, **said})))
        assert (response.status, response.note("user")) == (200, principal)

    def test_no_token(self, httpd):
        before = len(serve(httpd).calls)
        response = httpd.get("/plain/x")
        assert (response.status, response.note("error")) == (401, "missing_token")
        assert response.message == ("Authentication required. Please provide a valid OAuth2 Bearer token validated by "
                                    f"127.0.0.1:{serve(httpd).port}")
        assert len(serve(httpd).calls) == before

    def test_connections_are_reused(self, httpd):
        before = serve(httpd).connections
        with httpd.connect() as connection:
            for _ in range(20):
                assert connection.get("/plain/x", token=serve(httpd).issue(new_token())).status == 200
        assert serve(httpd).connections - before <= httpd.workers


def soon(seconds):
    return time.time() + seconds


# What is said of a token besides `active` and `sub`, and the providers that take it.
CLAIMS = {
    "nothing": (lambda: {}, {"plain", "leeway"}),
    "exp to come": (lambda: {"exp": soon(60)}, {"plain", "leeway"}),
    "exp a whole number": (lambda: {"exp": int(soon(60))}, {"plain", "leeway"}),
    "exp just past": (lambda: {"exp": soon(-5)}, {"leeway"}),
    "exp past": (lambda: {"exp": soon(-60)}, set()),
    "exp 0": (lambda: {"exp": 0}, set()),
    "exp -1": (lambda: {"exp": -1}, set()),
    "exp far": (lambda: {"exp": 1e18}, {"plain", "leeway"}),
    "exp a string": (lambda: {"exp": str(int(soon(60)))}, set()),
    "exp null is absent": (lambda: {"exp": None}, {"plain", "leeway"}),
    "exp true": (lambda: {"exp": True}, set()),
    "nbf past": (lambda: {"nbf": soon(-1)}, {"plain", "leeway"}),
    "nbf just to come": (lambda: {"nbf": soon(10)}, {"leeway"}),
    "nbf to come": (lambda: {"nbf": soon(90)}, set()),
    "nbf a string": (lambda: {"nbf": "0"}, set()),
    "the audience": (lambda: {"aud": AUDIENCE}, {"plain", "leeway", "audience"}),
    "one of the audiences": (lambda: {"aud": ["x", "second"]}, {"plain", "leeway", "audience"}),
    "another audience": (lambda: {"aud": AUDIENCE + "/"}, {"plain", "leeway"}),
    "other audiences": (lambda: {"aud": ["x", "y"]}, {"plain", "leeway"}),
    "no audience at all": (lambda: {"aud": []}, {"plain", "leeway"}),
    "aud an object": (lambda: {"aud": {AUDIENCE: 1}}, set()),
    "aud with a number": (lambda: {"aud": [AUDIENCE, 7]}, set()),
    "aud null is absent": (lambda: {"aud": None}, {"plain", "leeway"}),
    "the issuer": (lambda: {"iss": ISSUER}, {"plain", "leeway", "issuer"}),
    "another issuer": (lambda: {"iss": ISSUER + "/"}, {"plain", "leeway"}),
    "iss a list": (lambda: {"iss": [ISSUER]}, set()),
    "iss 7": (lambda: {"iss": 7}, set()),
    "iss null is absent": (lambda: {"iss": None}, {"plain", "leeway"}),
    "an access token": (lambda: {"token_use": "access_token", "token_type": "Bearer", "typ": "Bearer"}, {"plain", "leeway"}),
    "Hydra's refresh token": (lambda: {"token_use": "refresh_token"}, set()),
    "a refresh token": (lambda: {"token_type": "refresh_token"}, set()),
    "Cognito's ID token": (lambda: {"token_use": "id"}, set()),
    **{f"Keycloak's {kind} token": (lambda kind=kind: {"typ": kind, "token_type": "Bearer"}, set()) for kind in ("Refresh", "Offline", "ID")},
    "issuer and audience": (lambda: {"iss": ISSUER, "aud": ["second"]}, {"plain", "leeway", "audience", "issuer"}),
}


class TestClaims:
    """What an active token's answer says of its use: each provider demands something else."""
    needs_pki = True
    PROVIDERS = {"plain": (), "leeway": ("Leeway 30s",), "audience": (f"Audience {AUDIENCE} second",), "issuer": (f"ExpectIssuer {ISSUER}",)}

    @classmethod
    def configure(cls, httpd):
        return ("".join(site(httpd, name, *options) for name, options in cls.PROVIDERS.items()) +
                site(httpd, "mapped", "PrincipalClaim ext.id email", "Claim realm_access.roles roles", "Claim email mail") +
                site(httpd, "resource", f"Audience {AUDIENCE}", rules=("LlamaAuthResource https://api.example.com/mcp",)) +
                location("/other", "resource", lines=("Require valid-user", "LlamaAuthResource https://api.example.com/other")) +
                everywhere(httpd, "/other"))

    @pytest.mark.parametrize("name", PROVIDERS)
    @pytest.mark.parametrize("make, takers", CLAIMS.values(), ids=CLAIMS.keys())
    def test_validity(self, httpd, name, make, takers):
        response = httpd.get(f"/{name}/x", token=serve(httpd).issue(new_token(), **make()))
        if name in takers:
            assert (response.status, response.note("user")) == (200, "alice")
        else:
            rejected(response)

    @pytest.mark.parametrize("name, said, reason", [
        ("audience", {"aud": ["account", "x"]}, f'aud is "account", "x", expected one of: {AUDIENCE} second'),
        ("audience", {}, f"aud is missing, expected one of: {AUDIENCE} second"),
        ("issuer", {"iss": "https://b.example"}, f'iss is "https://b.example", expected {ISSUER}'),
        ("plain", {"exp": 1700000000}, "it expired at 2023-11-14T22:13:20Z")], ids=["aud", "no aud", "iss", "exp"])
    def test_reason(self, httpd, name, said, reason):
        token = serve(httpd).issue(new_token(), **said)
        for cache in ("miss", "negative"):
            mark = httpd.log.mark()
            response = httpd.get(f"/{name}/x", token=token)
            rejected(response)
            assert response.note("cache") == cache
            line = httpd.log.await_line(f"provider {name} rejected token [0-9a-f]{{8}}: ", mark, level="info")
            assert line.text.endswith(f": {reason}"), line

    def test_mapped(self, httpd):
        said = {"ext": {"id": "id-7"}, "email": "a@b.example", "realm_access": {"roles": ["admin", "dev x"]}, "scope": "a b"}
        response = httpd.get("/mapped/x", token=serve(httpd).issue(new_token(), **said))
        assert (response.status, response.note("user")) == (200, "id-7")
        assert attributes(response) == {"roles": ["admin", "dev x"], "mail": ["a@b.example"]}

    def test_a_resource_is_an_audience(self, httpd):
        """Section 9; and what was said for one resource says nothing of another."""
        token = serve(httpd).issue(new_token(), aud="https://api.example.com/mcp")
        for _ in range(2):
            assert httpd.get("/resource/x", token=token).status == 200
            rejected(httpd.get("/other/x", token=token))


class TestRemembered:
    """What of an answer is used again, and until when."""
    needs_pki = True
    expected = (r"\[llama_auth:error\].*is unavailable",)

    @staticmethod
    def configure(httpd):
        return (site(httpd, "plain") + site(httpd, "leeway", "Leeway 2s") + site(httpd, "never", "CacheTTL 0", "CacheNegativeTTL 0") +
                site(httpd, "brief", "CacheTTL 1s", "CacheNegativeTTL 1s") +
                site(httpd, "stale", "CacheTTL 1s", "CacheStale 1h"))

    def test_the_answers_own_cache_control_has_no_say(self, httpd):
        """Introspection answers carry `no-store` by habit; CacheTTL is for the administrator to set."""
        token = serve(httpd).issue(new_token())
        assert [httpd.get("/plain/x", token=token).note("cache") for _ in range(2)] == ["miss", "hit"]

    def test_path_and_query_make_no_difference(self, httpd):
        token = serve(httpd).issue(new_token())
        assert [httpd.get(path, token=token).note("cache") for path in ("/plain/x?a=1", "/plain/y")] == ["miss", "hit"]

    @pytest.mark.parametrize("name, leeway", [("plain", 0), ("leeway", 2)])
    def test_not_past_its_end(self, httpd, name, leeway):
        end = time.time() + 1.5
        token = serve(httpd).issue(new_token(), exp=end)
        assert httpd.get(f"/{name}/x", token=token).note("cache") == "miss"
        serve(httpd).revoke(token)  # nobody but the cache takes it from now on
        while time.time() < end + leeway - 0.5:
            assert httpd.get(f"/{name}/x", token=token).note("cache") == "hit"
            time.sleep(0.1)
        await_until(lambda: time.time() > end + leeway, "the token's end")
        rejected(httpd.get(f"/{name}/x", token=token))

    def test_nothing_without_a_time(self, httpd, token):
        rejected(httpd.get("/never/x", token=token))
        serve(httpd).issue(token)
        assert httpd.get("/never/x", token=token).status == 200
        serve(httpd).revoke(token)
        rejected(httpd.get("/never/x", token=token))

    def test_revoked(self, httpd):
        """Row 22."""
        token = serve(httpd).issue(new_token())
        assert httpd.get("/brief/x", token=token).status == 200
        serve(httpd).revoke(token)
        await_until(lambda: httpd.get("/brief/x", token=token).status == 401, "its end", patience=3)

    def test_activated(self, httpd, token):
        rejected(httpd.get("/brief/x", token=token))
        serve(httpd).issue(token)
        await_until(lambda: httpd.get("/brief/x", token=token).status == 200, "the end of its rejection", patience=3)

    def test_outage_with_a_warm_cache(self, httpd):
        """Row 2: known callers are served as long as CacheTTL, and as CacheStale allows."""
        token = serve(httpd).issue(new_token())
        for name in ("plain", "brief", "stale"):
            assert httpd.get(f"/{name}/x", token=token).status == 200
        serve(httpd).on(token, reply(503, b""))
        await_until(lambda: httpd.get("/brief/x", token=token).status == 401, "the end of CacheTTL", patience=3)
        assert httpd.get("/brief/x", token=token).message == "Token introspection failed: 503"
        await_until(lambda: httpd.get("/stale/x", token=token).note("cache") == "stale", "a stale one")
        response = httpd.get("/stale/x", token=token)
        assert (response.status, response.note("user")) == (200, "alice")
        assert httpd.get("/plain/x", token=token).note("cache") == "hit"

    def test_rejection_ends_a_stale_one(self, httpd):
        token = serve(httpd).issue(new_token())
        assert httpd.get("/stale/x", token=token).status == 200
        serve(httpd).revoke(token)
        await_until(lambda: httpd.get("/stale/x", token=token).status == 401, "its end", patience=3)


class TestClientAuth:
    """ClientAuth: each way, and what is said when it is the wrong one. In one process: each looks at secrets for itself."""
    needs_pki = True
    processes = 1
    env = {"LA_TEST_SECRET": OTHER_SECRET}
    expected = (r"\[llama_auth:error\].*is unavailable",)
    WAYS = {
        "basic": CREDENTIALS,
        "post": ("ClientId poster", "ClientSecret env:LA_TEST_SECRET", "ClientAuth post"),
        "bearer": (f"ClientSecret {BEARER_SECRET}", "ClientAuth bearer"),
        "public": ("ClientId public", "ClientAuth none"),
    }
    WRONG = {
        "wrong-secret": (401, ("ClientId poster", "ClientSecret not-the-secret", "ClientAuth post")),
        "wrong-way": (401, ("ClientId poster", f"ClientSecret {OTHER_SECRET}", "ClientAuth basic")),
        "wrong-bearer": (401, ("ClientSecret not-the-secret", "ClientAuth bearer")),
        "nobody": (401, ("ClientAuth none",)),
        "barred": (403, ("ClientId barred", f"ClientSecret {OTHER_SECRET}")),
    }

    @classmethod
    def configure(cls, httpd):
        httpd.write("conf/rotated", BEARER_SECRET).chmod(0o644)
        ways = {**cls.WAYS, **{name: lines for name, (_, lines) in cls.WRONG.items()},
                "rotated": ("ClientSecret file:conf/rotated", "ClientAuth bearer")}
        httpd.secrets |= {b"not-the-secret", b"rotated-secret-of-mine"}
        return "".join(site(httpd, name, credentials=lines) for name, lines in ways.items())

    @pytest.mark.parametrize("name, form, authorization", [
        ("basic", {}, "Basic"), ("post", {"client_id": "poster", "client_secret": OTHER_SECRET}, None),
        ("bearer", {}, "Bearer"), ("public", {"client_id": "public"}, None)])
    def test_accepted(self, httpd, name, form, authorization):
        token = serve(httpd).issue(new_token())
        assert httpd.get(f"/{name}/x", token=token).status == 200
        call = serve(httpd).call(token)
        assert call.form == {"token": token, "token_type_hint": "access_token", **form}
        assert (call.header("Authorization") or "").partition(" ")[0] == (authorization or "")

    @pytest.mark.parametrize("name", WRONG)
    def test_our_own_credentials_are_wrong(self, httpd, name):
        """Row 10: an outage that the log explains, and no fault of the caller; not kept."""
        mark, status = httpd.log.mark(), self.WRONG[name][0]
        token = serve(httpd).issue(new_token())
        for _ in range(2):
            response = httpd.get(f"/{name}/x", token=token)
            assert (response.status, response.message) == (401, f"Token introspection failed: {status}")
            assert response.note("error") == "provider_error"
            assert response.challenge == {"realm": "custom"}
        assert len(serve(httpd).calls_for(token)) == 2
        lines = httpd.log.since(mark, "llama_auth", "error")
        assert len(lines) == 1 and f"{status} to our own credentials: ClientId, ClientSecret or ClientAuth" in lines[0].text, lines

    def test_secret_is_rotated(self, httpd):
        server = serve(httpd)

        def asks():
            return httpd.get("/rotated/x", token=server.issue(new_token())).status == 200
        assert asks()
        server.bearers.add("rotated-secret-of-mine")
        httpd.write("conf/rotated", "rotated-secret-of-mine\n").chmod(0o644)
        await_until(lambda: "Bearer rotated-secret-of-mine" in [asks() and c.header("Authorization") for c in server.calls[-1:]],
                    "the new secret")
        server.bearers.remove(BEARER_SECRET)
        assert asks()


AT, NONE = "Endpoint https://idp.example.com/i", "ClientAuth none"
ID, HIDDEN = "ClientId llm", "ClientSecret hidden-secret-0"


class TestConfiguration:
    @pytest.mark.parametrize("lines, said", [
        ((NONE,), "Endpoint or Issuer is missing"), ((AT,), "ClientId and ClientSecret are needed"),
        ((AT, ID), "ClientId and ClientSecret are needed"), ((AT, HIDDEN, "ClientAuth post"), "ClientId and ClientSecret are needed"),
        ((AT, "ClientAuth bearer"), "ClientAuth bearer needs ClientSecret"),
        ((AT, ID, HIDDEN, "ClientAuth bearer"), "no use for ClientId"), ((AT, HIDDEN, NONE), "no use for ClientSecret"),
        ((AT, ID, HIDDEN, "ClientAuth private_key_jwt"), "none of basic|post|bearer|none"),
        ((AT, ID, "ClientSecret file:conf/absent"), "No such file"), ((AT, ID, "ClientSecret env:LA_ABSENT"), "no variable LA_ABSENT"),
        (("Issuer https://idp.example.com/?a=b", NONE), "Issuer: must have no query"),
        (("Endpoint https://u:hidden-secret-0@idp/", NONE), "password"), ((AT, NONE, "Audience"), "Audience takes AUD..."),
        ((AT, NONE, "Leeway soon"), "is no duration"), ((AT, NONE, "ClientID a", "ClientId b"), "only once"),
        ((AT, NONE, "ExpectIsuer a"), "ExpectIssuer"), ((AT, NONE, "JwksUri https://idp"), "not an option of a introspection provider")])
    def test_refused(self, bare, lines, said):
        bare.secrets.add(b"hidden-secret-0")
        bare.configure(provider("idp", *lines) + location("/", "idp"))
        status, text = bare.check()
        assert status != 0 and said in text and "hidden-secret-0" not in text, text

    @pytest.mark.parametrize("lines", [
        (AT, NONE), (AT, ID, NONE), (AT, ID, HIDDEN), (AT, HIDDEN, "ClientAuth bearer"), ("Issuer https://idp.example.com/a", NONE),
        (AT, "Issuer https://idp.example.com/a", NONE, "ExpectIssuer urn:x", "Audience a b", "Leeway 1m")])
    def test_accepted(self, bare, lines):
        bare.configure(provider("idp", *lines) + location("/", "idp"))
        assert bare.check()[0] == 0

    @pytest.mark.parametrize("line, warned", [
        ("Endpoint http://idp.example.com/i", True), ("Issuer http://idp.example.com", True), ("Endpoint http://127.0.0.1/i", False),
        ("Endpoint http://localhost:8080/i", False), (AT, False)])
    def test_plain_http(self, bare, line, warned):
        bare.configure(provider("idp", line, NONE) + location("/", "idp"))
        status, text = bare.check()
        assert status == 0 and ("is plain http to another machine" in text) == warned, text
