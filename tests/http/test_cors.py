"""LlamaAuthCors: preflights are answered here, and pages of the listed origins can read every answer, whoever gives it."""

import pytest

from callers import BEARER, key_of, write_callers
from cors_backend import CorsBackend
from test_http2 import curl

APP, OTHER = "https://app.example", "https://evil.example"
EXPOSED = ("WWW-Authenticate, Retry-After, RateLimit, RateLimit-Policy, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, "
           "x-ratelimit-reset-requests, x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens, Mcp-Session-Id, "
           "MCP-Protocol-Version, x-request-id, DPoP-Nonce")

CONFIG = """
<Location /api>
    {bearer}
    Require valid-user
    LlamaAuthCors HTTPS://App.example:443 http://localhost:6274 http://[::1]:5173 null
    ProxyPass "{backend}/api"
    ProxyErrorOverride Off
    ErrorDocument 404 /errors/404.html
    ErrorDocument 405 "no such method"
    Header always set Access-Control-Allow-Origin "https://from-mod-headers.example"
</Location>
<Location /api/scope>
    RequireScope b
</Location>
<Location /api/denied>
    Require all denied
</Location>
<Location /api/away>
    ProxyPass !
</Location>
<Location /api/off>
    LlamaAuthCors off
</Location>
<Location /api/any>
    LlamaAuthCors *
</Location>
<Location /api/limited>
    <LimitExcept GET POST>
        Require all denied
    </LimitExcept>
</Location>
<Location /api/satisfied>
    Satisfy any
    Deny from all
    RequireScope b
</Location>
<Location /api/let-through>
    LlamaAuthPreflight on
</Location>
<Location /api/metadata>
    SetHandler llama-auth-metadata
    LlamaAuthResource https://api.example/mcp
    LlamaAuthResourceServer https://idp.example
    Require all granted
</Location>
<Location /api/rewritten>
    RewriteEngine On
    RewriteRule ^.*$ /elsewhere/page.txt [L]
</Location>
<Location /rewritten>
    RewriteEngine On
    RewriteRule ^.*$ /elsewhere/page.txt [L]
</Location>
<Location /errors>
    Require all granted
</Location>
<Location /elsewhere>
    LlamaAuthCors https://elsewhere.example
</Location>
"""


def cors_of(response):
    """The answer's CORS fields, by the rest of their name."""
    prefix = "access-control-"
    return {name.lower()[len(prefix):]: value for name, value in response.headers if name.lower().startswith(prefix)}


def readable(origin):
    return {"allow-origin": origin, "expose-headers": EXPOSED}


def varies(response):
    return "origin" in [word.strip().lower() for value in response.all("Vary") for word in value.split(",")]


def preflight(*more, origin=APP, method="POST"):
    return [("Origin", origin), ("Access-Control-Request-Method", method), *more]


FIELDS = ("Access-Control-Request-Headers", "authorization,content-type, MCP-Protocol-Version")
ASKED = {"allow-origin": APP, "allow-methods": "POST", "max-age": "600"}
UNREADABLE = {}

# name: (path, headers, fields of a 204, or the status of an ordinary request)
PREFLIGHTS = {
    "no fields asked for": ("/api/x", preflight(), ASKED),
    "all fields as asked for": ("/api/x", preflight(FIELDS), {**ASKED, "allow-headers": FIELDS[1]}),
    "fields in two lines": ("/api/x", preflight(("Access-Control-Request-Headers", "a"), ("Access-Control-Request-Headers", "b")),
                            {**ASKED, "allow-headers": "a, b"}),
    "another method": ("/api/x", preflight(method="DELETE"), {**ASKED, "allow-methods": "DELETE"}),
    "a method that httpd does not know": ("/api/x", preflight(method="Frob"), {**ASKED, "allow-methods": "Frob"}),
    "another port": ("/api/x", preflight(origin="http://localhost:6274"), {**ASKED, "allow-origin": "http://localhost:6274"}),
    "an address": ("/api/x", preflight(origin="http://[::1]:5173"), {**ASKED, "allow-origin": "http://[::1]:5173"}),
    "null": ("/api/x", preflight(origin="null"), {**ASKED, "allow-origin": "null"}),
    "a token does not matter": ("/api/x", preflight(("Authorization", "Basic x")), ASKED),
    "nobody is let in": ("/api/denied/x", preflight(), ASKED),
    "a rule": ("/api/scope/x", preflight(), ASKED),
    "Satisfy any": ("/api/satisfied/x", preflight(), ASKED),
    "limited methods": ("/api/limited/x", preflight(), ASKED),
    "beside LlamaAuthPreflight": ("/api/let-through/x", preflight(), ASKED),
    "nothing there": ("/api/away/nothing", preflight(), ASKED),
    "any": ("/api/any/x", preflight(origin=OTHER), {**ASKED, "allow-origin": "*"}),
    "the line of where a redirect leads": ("/rewritten/x", preflight(origin="https://elsewhere.example"),
                                           {**ASKED, "allow-origin": "https://elsewhere.example"}),
    "the line of where the client asked": ("/api/rewritten/x", preflight(), ASKED),
    "off": ("/api/off/x", preflight(), 401),
    "another origin": ("/api/x", preflight(origin=OTHER), 401),
    "another scheme": ("/api/x", preflight(origin="http://app.example"), 401),
    "a longer host": ("/api/x", preflight(origin="https://app.example.evil.example"), 401),
    "a port that is not listed": ("/api/x", preflight(origin="http://localhost:6275"), 401),
    "two origins": ("/api/x", preflight(("Origin", "http://localhost:6274")), 401),
    "two origins in one": ("/api/x", preflight(origin=f"{APP} {OTHER}"), 401),
    "an empty origin": ("/api/x", preflight(origin=""), 401),
    "no method": ("/api/x", preflight(method=""), 401),
    "a method that is none": ("/api/x", preflight(method="PO ST"), 401),
    "fields that are none": ("/api/x", preflight(("Access-Control-Request-Headers", "a, b(c")), 401),
    "too many fields": ("/api/x", preflight(*2 * [("Access-Control-Request-Headers", "x" * 5000)]), 400),
    "a body": ("/api/x", preflight(("Content-Length", "2")), 401),
    "another origin, let through": ("/api/let-through/x", preflight(origin=OTHER), 200),
}

# name: (method, path, caller, status)
ANSWERS = {
    "backend": ("GET", "/api/x", "full", 200),
    "backend, HEAD": ("HEAD", "/api/x", "full", 200),
    "backend, OPTIONS": ("OPTIONS", "/api/x", "full", 200),
    "backend, a stream": ("GET", "/api/stream", "full", 200),
    "backend, after an interim answer": ("GET", "/api/hints", "full", 200),
    "backend's 204": ("GET", "/api/204", "full", 204),
    "backend's 304": ("GET", "/api/304", "full", 304),
    "backend's 401": ("GET", "/api/401", "full", 401),
    "backend's 404": ("GET", "/api/404", "full", 404),
    "backend's 500": ("GET", "/api/500", "full", 500),
    "no token": ("GET", "/api/x", "anon", 401),
    "no token, POST": ("POST", "/api/x", "anon", 401),
    "no scope": ("GET", "/api/scope/x", "some", 403),
    "no scope, Satisfy any": ("GET", "/api/satisfied/x", "some", 403),
    "httpd's own 403": ("GET", "/api/denied/x", "full", 403),
    "httpd's own 404, with a page": ("GET", "/api/away/nothing", "full", 404),
    "httpd's own file": ("GET", "/api/away/page.txt", "full", 200),
    "httpd's own 405, with a text": ("DELETE", "/api/away/page.txt", "full", 405),
    "a page of another section": ("GET", "/api/rewritten/x", "full", 200),
}


class TestCors:
    modules = ("proxy", "proxy_http", "rewrite", "access_compat")
    expected = ("AH01630", "AH01797")

    @staticmethod
    def configure(httpd):
        backend = httpd.endpoints["backend"] = CorsBackend()
        for path in ("api/away/page.txt", "elsewhere/page.txt", "errors/404.html"):
            httpd.write(f"htdocs/{path}", "text")
        return write_callers(httpd) + CONFIG.replace("{bearer}", BEARER).replace("{backend}", backend.base())

    @pytest.mark.parametrize("name", PREFLIGHTS)
    def test_preflight(self, httpd, name):
        path, headers, expected = PREFLIGHTS[name]
        response = httpd.request("OPTIONS", path, headers=headers, body=b"{}" if name == "a body" else b"")
        if isinstance(expected, int):
            assert response.status == expected, response
            assert "allow-methods" not in cors_of(response) and "max-age" not in cors_of(response)
        else:
            assert (response.status, response.body) == (204, b""), response
            assert cors_of(response) == expected
            assert response.header("WWW-Authenticate") is None and varies(response)

    def test_no_preflight_reaches_the_backend(self, httpd):
        before = len(httpd.endpoints["backend"].calls)
        assert httpd.request("OPTIONS", "/api/x", headers=preflight(FIELDS)).status == 204
        assert len(httpd.endpoints["backend"].calls) == before

    @pytest.mark.parametrize("origin, fields", [(APP, readable(APP)), (OTHER, UNREADABLE), (None, UNREADABLE), ("null", readable("null")),
                                                (f"{APP}, {APP}", UNREADABLE)])
    @pytest.mark.parametrize("name", ANSWERS)
    def test_answer(self, httpd, name, origin, fields):
        method, path, caller, status = ANSWERS[name]
        response = httpd.request(method, path, token=key_of(caller), headers=[("Origin", origin)] if origin else [])
        assert response.status == status, response
        assert cors_of(response) == fields and varies(response), response

    @pytest.mark.parametrize("origin, fields", [(OTHER, readable("*")), ("null", readable("*")), (None, UNREADABLE)])
    @pytest.mark.parametrize("caller", ["full", "anon"])
    def test_any(self, httpd, origin, fields, caller):
        response = httpd.get("/api/any/x", token=key_of(caller), headers=[("Origin", origin)] if origin else [])
        assert cors_of(response) == fields and varies(response)

    def test_other_words_of_vary_stay(self, httpd):
        response = httpd.get("/api/x", token=key_of("full"))
        assert sorted(word.strip() for value in response.all("Vary") for word in value.split(",")) == ["Accept", "Origin"]

    def test_off_leaves_the_backend_alone(self, httpd):
        response = httpd.get("/api/off/x", token=key_of("full"), headers=[("Origin", APP)])
        assert cors_of(response)["allow-credentials"] == "true" and not varies(response)

    @pytest.mark.parametrize("origin", [APP, OTHER, None])
    def test_metadata_is_open(self, httpd, origin):
        response = httpd.get("/api/metadata", headers=[("Origin", origin)] if origin else [])
        assert cors_of(response) == {"allow-origin": "*"}

    def test_metadata_answers_preflights_of_all(self, httpd):
        response = httpd.request("OPTIONS", "/api/metadata", headers=preflight(FIELDS, origin=OTHER))
        assert response.status == 204 and cors_of(response)["allow-origin"] == "*"


class TestCorsHttp2:
    modules = ("http2", "proxy", "proxy_http", "access_compat", "rewrite")

    @staticmethod
    def configure(httpd):
        return "Protocols h2c http/1.1\n" + TestCors.configure(httpd)

    def test_preflight(self, httpd):
        arguments = [part for name, value in preflight(FIELDS) for part in ("-H", f"{name}: {value}")]
        [(status, headers, _)] = curl(httpd, "-X", "OPTIONS", *arguments, f"http://127.0.0.1:{httpd.port}/api/x")
        assert status == 204 and headers["access-control-allow-headers"] == FIELDS[1]

    @pytest.mark.parametrize("caller, status", [("full", 200), ("anon", 401)])
    @pytest.mark.parametrize("origin", [APP, OTHER])
    def test_answer(self, httpd, caller, status, origin):
        [(got, headers, _)] = curl(httpd, "-H", f"Origin: {origin}", f"http://127.0.0.1:{httpd.port}/api/x", token=key_of(caller))
        assert got == status and "Origin" in headers["vary"]
        assert headers.get("access-control-allow-origin") == (APP if origin == APP else None)
        assert "access-control-allow-credentials" not in headers


@pytest.mark.parametrize("quick", ["on", "off"])
class TestCorsAndCache:
    """mod_cache keeps an answer for each origin, and none for a page that RequireOrigin refuses."""

    @pytest.fixture
    def caching(self, bare, quick):
        bare.modules += ("cache", "cache_disk", "expires")
        (bare.root / "cache").mkdir()
        (bare.root / "cache").chmod(0o777)
        for path in ("cors", "demanded"):
            bare.write(f"htdocs/{path}/page.txt", "text")
        bare.configure(f"""
CacheRoot "{bare.root}/cache"
CacheEnable disk /
CacheQuickHandler {quick}
ExpiresActive On
ExpiresDefault "access plus 1 hour"
<Location /cors>
    LlamaAuthCors {APP} http://localhost:6274
</Location>
<Location /demanded>
    RequireOrigin {APP}
</Location>
""")
        bare.start()
        return bare

    def test_each_origin_has_its_answer(self, caching):
        for _ in range(2):
            for origin, fields in ((None, UNREADABLE), (APP, readable(APP)), ("http://localhost:6274", readable("http://localhost:6274")),
                                   (OTHER, UNREADABLE)):
                response = caching.get("/cors/page.txt", headers=[("Origin", origin)] if origin else [])
                assert response.status == 200 and cors_of(response) == fields

    def test_a_refused_origin_gets_nothing_from_the_cache(self, caching):
        for _ in range(2):
            for origin, status in ((None, 200), (APP, 200), (OTHER, 403)):
                response = caching.get("/demanded/page.txt", headers=[("Origin", origin)] if origin else [])
                assert response.status == status
