"""Quotas on every way that a request can go: what is charged once, what costs nothing, and that each answer tells what is left."""

import json
import re
import shutil

import pytest

from conftest import every_mpm, new_token
from errorlog import await_until
from server import key_entry
from test_http2 import curl
from test_quota import PROVIDER, PROXY, items, place, quota
from usage_backend import UsageBackend
from websockets_client import WebSocket, WebSocketBackend

ORIGIN = "https://app.example"
PREFLIGHT = [("Origin", ORIGIN), ("Access-Control-Request-Method", "POST")]
FIELDS = ("RateLimit", "RateLimit-Policy", "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests")


def caller(httpd, **attributes):
    """A key of a principal that nobody was before."""
    key = new_token("caller")
    httpd.entries.append(key_entry(key, key.rpartition("-")[2][:12], {"scopes": ["s"], **attributes}))
    httpd.write_keys("conf/keys.json", *httpd.entries)
    return key


def asked(httpd, key):
    """How often each of the quotas of /probe was charged before this."""
    left = items(httpd.get("/probe", token=key).header("RateLimit"))
    return {name.partition(".")[0]: 99 - item["r"] for name, item in left.items()}


def shows(answer):
    """Whether the answer has all fields, each once."""
    return all(len(answer.all(name)) == 1 for name in FIELDS)


@every_mpm
class TestWays:
    modules = (*PROXY, "rewrite", "include", "negotiation")
    expected = ("AH01631", "AH01630", "AH00135")

    @staticmethod
    def configure(httpd):
        httpd.entries = []
        keys = [caller(httpd) for _ in range(60)]
        httpd.spare = iter(keys)
        httpd.several = iter([caller(httpd, tenants=["a", "b"]) for _ in range(5)])
        for name in ("index.html", "page.txt", "a.css", "view.txt"):
            httpd.write(f"htdocs/q/{name}", name)
        httpd.write("htdocs/q/all.shtml", '<!--#include virtual="/q/page.txt" -->' * 3 + '<!--#include virtual="/other/page.txt" -->')
        httpd.write("htdocs/q/err.html", "error page")
        httpd.write("htdocs/other/page.txt", "other")
        httpd.write("htdocs/plain/index.html", "plain")
        return (PROVIDER + quota("one", "Requests 100/1h") + quota("two", "Requests 100/1h") + place("/probe", "one two") +
                place("/q", "one", "ErrorDocument 404 /q/err.html", "LlamaAuthCors https://other.example") +
                place("/other", "two one") + place("/plain", "none") +
                place("/q/scope", "one", "RequireScope absent") + place("/q/user", "one", "Require user nobody-else", "AuthzSendForbiddenOnFailure On").replace(
                    "Require valid-user\n", "") +
                place("/q/origin", "one", f"RequireOrigin {ORIGIN}") + place("/q/tenant", "one", "LlamaAuthForward X-Tenant one:tenants") +
                place("/q/flight", "one", "LlamaAuthPreflight on") + place("/q/cors", "one", f"LlamaAuthCors {ORIGIN}") +
                place("/q/denied", "one", "Require all denied").replace("Require valid-user\n", "") +
                f'<Directory "{httpd.root}/htdocs">\nOptions +Includes +MultiViews\nAddOutputFilter INCLUDES .shtml\nDirectoryIndex index.html\n'
                'RewriteEngine On\nRewriteRule "^q/moved$" "/q/page.txt" [L]\nRewriteRule "^q/away$" "/other/page.txt" [L]\n'
                'RewriteRule "^plain/moved$" "/q/page.txt" [L]\n</Directory>\n')

    @pytest.mark.parametrize("path, charged", [
        ("/q/page.txt", (1, 0)), ("/q/", (1, 0)), ("/q/moved", (1, 0)), ("/q/away", (1, 1)), ("/plain/moved", (1, 0)), ("/q/nothing", (1, 0)),
        ("/q/all.shtml", (1, 0)), ("/q/view", (1, 0)), ("/other/page.txt", (1, 1)), ("/plain/", (0, 0))])
    def test_once(self, httpd, path, charged):
        key = next(httpd.spare)
        answer = httpd.get(path, token=key)
        assert answer.status == (404 if path == "/q/nothing" else 200)
        assert shows(answer) == (charged != (0, 0)), answer
        assert asked(httpd, key) == dict(zip(("one", "two"), charged))

    @pytest.mark.parametrize("method, path, headers, status", [
        ("GET", "/q/scope", [], 403), ("GET", "/q/user", [], 403), ("GET", "/q/origin", [("Origin", "https://evil.example")], 403),
        ("GET", "/q/tenant", [], 403), ("OPTIONS", "/q/flight", PREFLIGHT, 200), ("OPTIONS", "/q/cors", PREFLIGHT, 204),
        ("GET", "/q/denied", [], 403), ("TRACE", "/q/page.txt", [], 200)])
    def test_free(self, httpd, method, path, headers, status):
        key = next(httpd.several) if path == "/q/tenant" else next(httpd.spare)
        answer = httpd.request(method, path, token=None if headers is PREFLIGHT else key, headers=headers)
        assert answer.status == status and answer.header("RateLimit") is None
        assert asked(httpd, key)["one"] == 0

    @pytest.mark.parametrize("method, path, headers, status", [
        ("HEAD", "/q/page.txt", [], 200), ("PUT", "/q/page.txt", [], 405), ("POST", "/q/page.txt", [], 200),
        ("OPTIONS", "/q/page.txt", [("Origin", ORIGIN)], 200), ("OPTIONS", "/q/page.txt", PREFLIGHT, 200),
        ("GET", "/q/page.txt", [("If-None-Match", "*")], 304), ("GET", "/q/page.txt", [("Range", "bytes=0-2")], 206),
        ("GET", "/q/page.txt", [("Range", "bytes=100-200")], 416), ("GET", "/q/page.txt", [("Expect", "100-continue")], 200),
        ("GET", "/q/page.txt", [("If-Match", '"x"')], 412), ("BREW", "/q/page.txt", [], 501)])
    def test_fields(self, httpd, method, path, headers, status):
        key = next(httpd.spare)
        answer = httpd.request(method, path, token=key, headers=headers)
        assert (answer.status, shows(answer)) == (status, True), answer
        assert asked(httpd, key)["one"] == 1


class TestAnswers:
    """Fields on what backends, caches and other protocols answer."""
    modules = (*PROXY, "cache", "cache_disk", "http2")
    expected = ("AH0\\d+",)

    @staticmethod
    def configure(httpd):
        httpd.entries = []
        httpd.spare = iter([caller(httpd) for _ in range(40)])
        httpd.backend = httpd.endpoints["usage"] = UsageBackend()
        socket = httpd.endpoints["socket"] = WebSocketBackend()
        theirs = [("RATELIMIT", "1"), ("ratelimit-policy", "2"), ("X-RateLimit-Remaining-Requests", "3"), ("x-ratelimit-remaining-requests", "4"),
                  ("X-Ratelimit-Reset-Tokens", "5")]
        httpd.backend.more.update({
            "theirs": (200, "text/plain", b"x", theirs), "gone": (410, "text/plain", b"x", theirs), "nothing": (204, "text/plain", b"", theirs),
            "same": (304, "text/plain", b"", [*theirs, ("ETag", '"a"')]), "kept": (200, "text/plain", b"k", [*theirs, ("Cache-Control", "public, max-age=60")]),
            "fault": (500, "text/plain", b"x", theirs)})
        (httpd.root / "cache").mkdir()
        (httpd.root / "cache").chmod(0o777)
        return (PROVIDER + quota("one", "Requests 100/1h") + quota("live", "Concurrent 1") + place("/q", "one", backend=httpd.backend) +
                place("/override", "one", "ProxyErrorOverride On", backend=httpd.backend) + place("/small", "one", "LimitRequestBody 5") +
                place("/cached", "one", backend=httpd.backend) + place("/down", "one", "ProxyPass http://127.0.0.1:1/") + place("/probe", "one") +
                place("/ws", "one live", f'ProxyPass "http://127.0.0.1:{socket.port}/ws" upgrade=websocket') +
                "ErrorDocument 500 /fault.html\n" f'Protocols h2c http/1.1\nCacheRoot "{httpd.root}/cache"\nCacheEnable disk /cached\nCacheQuickHandler off\n')

    @pytest.mark.parametrize("path, status", [("/q/theirs", 200), ("/q/gone", 410), ("/q/nothing", 204), ("/q/same", 304), ("/q/fault", 500),
                                              ("/override/fault", 500), ("/override/gone", 410), ("/down/x", 503)])
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_backend(self, httpd, path, status, method):
        answer = httpd.request(method, path, token=next(httpd.spare))
        assert (answer.status, shows(answer)) == (status, True), answer
        assert answer.header("x-ratelimit-remaining-requests") == "99" and answer.header("x-ratelimit-reset-tokens") is None

    def test_too_large(self, httpd):
        httpd.write("htdocs/small/page.txt", "x")
        answer = httpd.get("/small/page.txt", token=next(httpd.spare), body=b"0123456789")
        assert (answer.status, shows(answer)) == (413, True), answer

    def test_cache(self, httpd):
        """What is left to one caller is never kept for others."""
        first, second = next(httpd.spare), next(httpd.spare)
        httpd.backend.more["kept"] = (200, "text/plain", b"k", [("Cache-Control", "public, max-age=60"), ("RateLimit", "theirs")])
        for key, left in ((first, 99), (first, 98), (second, 99), (first, 97)):
            answer = httpd.get("/cached/kept", token=key)
            assert (answer.status, shows(answer)) == (200, True)
            assert answer.header("x-ratelimit-remaining-requests") == str(left)
        assert len([c for c in httpd.backend.calls if c.target == "/cached/kept"]) == 1
        for file in (httpd.root / "cache").rglob("*.header"):
            assert b"one.requests" not in file.read_bytes()

    @pytest.mark.skipif(not shutil.which("curl"), reason="curl is missing")
    @pytest.mark.parametrize("path, status", [("/q/theirs", 200), ("/q/nothing", 204), ("/probe", 404)])
    def test_http2(self, httpd, path, status):
        (answer,) = curl(httpd, f"http://127.0.0.1:{httpd.port}{path}", token=next(httpd.spare))
        assert answer[0] == status
        assert answer[1]["x-ratelimit-remaining-requests"] == "99" and answer[1]["ratelimit"].startswith('"one.requests";r=99')

    def test_websocket(self, httpd):
        """Its place is taken until it closes."""
        key = next(httpd.spare)
        with WebSocket(httpd.port, "/ws", [("Authorization", f"Bearer {key}")]) as socket:
            assert socket.status == 101
            assert socket.ask("hello")["said"] == "hello"
            answer = httpd.get("/ws", token=key)
            assert answer.status == 429 and answer.message == "Quota exceeded: live allows 1 requests at once"
            assert socket.ask("again")["said"] == "again"
            socket.close()
        await_until(lambda: httpd.get("/ws", token=key).status != 429, "the place")


class TestSections:
    """Which quotas hold where."""
    modules = ("remoteip", "setenvif")

    @staticmethod
    def configure(httpd):
        httpd.entries = []
        httpd.spare = iter([caller(httpd) for _ in range(30)])
        httpd.other = httpd.listen()
        return (PROVIDER + "RemoteIPHeader X-Client\nRemoteIPInternalProxy 127.0.0.1\n" + quota("one", "Requests 100/1h") + quota("two", "Requests 100/1h") +
                quota("ip", "By client_ip", "Requests 2/1h") + quota("fails", 'When "file(\'/nowhere\') == \'a\'"', "Requests 100/1h") +
                place("/q", "one") + place("/q/two", "two") + place("/q/none", "none") + place("/q/both", "one two") + place("/fails", "fails") +
                '<Location "/q/inherits">\nRequireScope s\n</Location>\n'
                '<If "%{REQUEST_URI} =~ m#^/q/if#">\nLlamaAuthQuotaUse two\n</If>\n<LocationMatch "^/q/never">\nLlamaAuthQuotaUse two one\n</LocationMatch>\n'
                '<Location "/q/never">\nLlamaAuthQuotaUse none\n</Location>\n' + place("/probe", "one two") +
                '<Location "/ip">\nLlamaAuthQuotaUse ip\nRequire all granted\n</Location>\n' +
                f"<VirtualHost 127.0.0.1:{httpd.other}>\nServerName other\n" + quota("own", "Requests 100/1h") + quota("vip", "By client_ip", "Requests 2/1h") +
                place("/own", "own one") + place("/ip", "vip").replace("Require valid-user", "Require all granted") + "</VirtualHost>\n")

    @pytest.mark.parametrize("path, names", [
        ("/q", ["one"]), ("/q/x", ["one"]), ("/q/two", ["two"]), ("/q/two/x", ["two"]), ("/q/none", []), ("/q/both", ["one", "two"]),
        ("/q/inherits", ["one"]), ("/q/if", ["two"]), ("/q/never", []), ("/fails", ["fails"]), ("/", [])])
    def test_nesting(self, httpd, path, names):
        httpd.expect("Cannot open file /nowhere")
        answer = httpd.get(path, token=next(httpd.spare))
        assert list(items(answer.header("RateLimit") or "") if answer.header("RateLimit") else []) == [f"{n}.requests" for n in names]

    def test_virtual_host(self, httpd):
        key = next(httpd.spare)
        answer = httpd.get("/own", token=key, port=httpd.other)
        assert list(items(answer.header("RateLimit"))) == ["own.requests", "one.requests"]
        assert items(httpd.get("/q", token=key).header("RateLimit"))["one.requests"]["r"] == 98  # the main server's is one

    @pytest.mark.parametrize("first, second, same", [
        ("192.0.2.1", "192.0.2.1", True), ("192.0.2.2", "192.0.2.3", False), ("2001:db8:1:1::1", "2001:db8:1:1:ffff::2", True),
        ("2001:db8:2:1::1", "2001:db8:2:2::1", False), ("::ffff:198.51.100.1", "198.51.100.1", True), ("::ffff:198.51.100.2", "::ffff:198.51.100.3", False)])
    def test_addresses(self, httpd, first, second, same):
        for port in (httpd.port, httpd.other):
            answers = [httpd.get("/ip", headers=[("X-Client", address)], port=port) for address in (first, first, second)]
            assert [a.status for a in answers] == [404, 404, 429 if same else 404]


PRESETS = [
    ("llama", {"error": {"message": "%"}}, None), ("ogx", {"error": {"message": "%"}}, None),
    ("openai", {"error": {"message": "%", "type": "tokens", "param": None, "code": "insufficient_quota"}}, "requests"),
    ("anthropic", {"type": "error", "error": {"type": "rate_limit_error", "message": "%"}}, None),
    ("problem", {"type": "about:blank", "title": "Too Many Requests", "status": 429, "detail": "%", "code": "insufficient_quota"}, None),
]


class TestDocuments:
    modules = PROXY

    @staticmethod
    def configure(httpd):
        httpd.entries = []
        httpd.spare = iter([caller(httpd) for _ in range(20)])
        backend = httpd.endpoints["usage"] = UsageBackend()
        quotas = quota("requests", "Requests 1/90s") + quota("tokens", "Tokens 9/1h") + quota("long", "Rate 1/30s")
        return PROVIDER + quotas + "".join(
            place(f"/{preset}/{use}", use, f"LlamaAuthErrorDocument default {preset}", backend=backend)
            for preset, *_ in PRESETS for use in ("requests", "tokens", "long"))

    @staticmethod
    def refusal(httpd, key, preset, use):
        """The first answer that is one."""
        path = f"/{preset}/{use}/stream"
        await_until(lambda: httpd.get(path, token=key).status == 429, "a refusal")
        answer = httpd.get(path, token=key)
        assert (answer.status, answer.header("Cache-Control")) == (429, "no-store")
        return answer, re.search(r"Quota exceeded: [^'\"]*", str(answer.json)).group()

    @pytest.mark.parametrize("preset, document, kind", PRESETS)
    def test_document(self, httpd, preset, document, kind):
        key = next(httpd.spare)
        answer, message = self.refusal(httpd, key, preset, "tokens")
        seconds = answer.header("Retry-After")
        assert message == f"Quota exceeded: tokens allows 9 tokens per 1h, try again in {seconds} s"
        assert json.dumps(answer.json) == json.dumps(document).replace("%", message)
        assert answer.note("error") == "insufficient_quota" and answer.header("x-should-retry") == "false"
        answer, message = self.refusal(httpd, key, preset, "requests")
        seconds = answer.header("Retry-After")
        assert message == f"Quota exceeded: requests allows 1 requests per 90s, try again in {seconds} s" and 85 < int(seconds) <= 90
        assert answer.header("x-should-retry") == "false" and answer.note("error") == "rate_limit_exceeded"
        assert kind is None or answer.json["error"]["type"] == kind and answer.json["error"]["code"] == "rate_limit_exceeded"
        answer, message = self.refusal(httpd, key, preset, "long")
        assert message.startswith("Quota exceeded: long allows 1 requests per 30s")
        assert answer.header("x-should-retry") is None and 25 < int(answer.header("Retry-After")) <= 30
