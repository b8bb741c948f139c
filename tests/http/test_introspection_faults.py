"""The introspection provider when its server, or the way to it, fails: each fault is an outage with its documented words, is not kept,
costs nobody else anything, and shows no token to a stranger (targets.md section 4, rows 1 to 12)."""

import gzip
import json
import time

import pytest

import outages
from behaviour import close, drip, flood, hang, raw, render, reply, reset
from configs import everywhere, location
from conftest import every_mpm, new_token
from introspector import error, oauth
from outages import both_statuses
from processes import resident
from server import free_port, sanitizer_environment
from test_faults import full_listener
from test_introspection import CREDENTIALS, provider, rejected, serve, site

ERROR = "Authentication service error"
TIMEOUT = "Authentication service timeout"
MALFORMED = "Token introspection error"
GOOD = {"active": True, "sub": "alice", "pad": "x" * 100}
BYTES = json.dumps(GOOD).encode()
TEN_MB = 10 * 1024 * 1024


def failed(status):
    return f"Token introspection failed: {status}"


def said(**members):
    return reply(200, {"active": True, **members})


FAULTS = {
    "reset": (reset, ERROR),
    "closed": (close, ERROR),
    "reset inside the body": (raw(render(200, GOOD)[:-20], then="reset"), ERROR),
    "short Content-Length": (raw(render(200, GOOD, length=len(BYTES) - 10)), MALFORMED),
    "long Content-Length": (raw(render(200, GOOD, length=len(BYTES) + 10)), ERROR),
    "one byte at a time": (drip(render(200, GOOD), 0.05), TIMEOUT),
    "no answer": (hang, TIMEOUT),
    "no end": (raw(render(200, GOOD)[:-20], then="hang"), TIMEOUT),
    "10 MB": (flood(TEN_MB, "length"), ERROR),
    "10 MB in chunks": (flood(TEN_MB, "chunked"), ERROR),
    "10 MB of a 400": (raw(render(400, b"x" * TEN_MB)), ERROR),
    "gzip": (reply(200, gzip.compress(BYTES), [("Content-Encoding", "gzip")]), MALFORMED),
    "gzip of 100 MB": (reply(200, gzip.compress(b'{"active":true,"sub":"alice","pad":"' + b"x" * 10 ** 8 + b'"}'),
                             [("Content-Encoding", "gzip")]), MALFORMED),
    "nothing": (reply(200, b""), MALFORMED),
    "HTML": (reply(200, b"<html>", [("Content-Type", "text/html")]), MALFORMED),
    "a form": (reply(200, b"active=true&sub=alice"), MALFORMED),
    "a JWT (RFC 9701)": (reply(200, b"eyJhbGciOiJSUzI1NiJ9.e30.c2ln", [("Content-Type", "application/token-introspection+jwt")]), MALFORMED),
    "not an object": (reply(200, [GOOD]), MALFORMED),
    "true": (reply(200, True), MALFORMED),
    "invalid UTF-8": (reply(200, BYTES.replace(b"alice", b"al\xc3\x28")), MALFORMED),
    "NUL after it": (reply(200, BYTES + b"\0"), MALFORMED),
    "10,000 levels": (reply(200, b'{"active":true,"sub":"alice","x":' + b"[" * 10000 + b"]" * 10000 + b"}"), MALFORMED),
    "active twice": (reply(200, b'{"active": false, "active": true, "sub": "alice"}'), MALFORMED),
    "single quotes": (reply(200, b"{'active': true, 'sub': 'alice'}"), MALFORMED),
    "201": (reply(201, GOOD), failed(201)),
    "204": (reply(204), failed(204)),
    "302": (reply(302, b"", [("Location", "https://127.0.0.1:1/")]), failed(302)),
    "400": (error(400, "invalid_request"), failed(400)),
    "400 in another shape": (reply(400, ["unsupported_token_type"]), failed(400)),
    "401": (error(401, "invalid_client"), failed(401)),
    "401 for the type of token": (error(401, "unsupported_token_type"), failed(401)),
    "403": (error(403, "unauthorized_client"), failed(403)),
    "404": (reply(404, {"active": False}), failed(404)),
    "429 with Retry-After": (reply(429, b"", [("Retry-After", "60")]), failed(429)),
    "500": (reply(500, GOOD), failed(500)),
    "503, not JSON": (reply(503, b"no healthy upstream"), failed(503)),
}


# An active token of somebody who cannot be used.
UNUSABLE = {
    "no principal": said(scope="a"), "principal null": said(sub=None, username=None), "principal empty": said(sub=""),
    "principal a list": said(sub=["alice"]), "principal true": said(sub=True), "principal with CR LF": said(sub="a\r\nX-Admin: 1"),
    "principal with a blank behind it": said(sub="alice "),
}


@every_mpm
class TestFaults:
    """With LlamaAuthOutageStatus 503."""
    needs_pki = True
    expected = (r"\[llama_auth:error\].*provider ep is unavailable", r"LA0110: .*cannot be used")

    @staticmethod
    def configure(httpd):
        return "LlamaAuthOutageStatus 503\n" + site(httpd, "ep", "Timeout 400ms") + site(httpd, "patient")

    @pytest.mark.parametrize("behaviour, message", FAULTS.values(), ids=FAULTS.keys())
    def test_fault(self, httpd, behaviour, message):
        server = serve(httpd)
        token = server.on(new_token(), behaviour)
        response = httpd.get("/ep/x", token=token)
        outages.check(response, 503, message)
        server.behaviours.pop(token)  # the fault was not kept
        server.issue(token)
        assert httpd.get("/ep/x", token=token).status == 200

    @pytest.mark.parametrize("behaviour", UNUSABLE.values(), ids=UNUSABLE.keys())
    def test_unusable(self, httpd, behaviour):
        """A rejection with the words of a malformed answer, which is kept."""
        token = serve(httpd).on(new_token(), behaviour)
        for cache in ("miss", "negative"):
            response = httpd.get("/ep/x", token=token)
            assert (response.status, response.message, response.note("cache")) == (401, MALFORMED, cache)
            assert response.challenge["error"] == response.note("error") == "invalid_token"

    @pytest.mark.parametrize("behaviour", [
        drip(oauth(200, GOOD), 0.0001, then="stay"), raw(oauth(200, GOOD).replace(b"200 OK", b"200"), then="stay"),
        raw(b"HTTP/1.1 100 Continue\r\n\r\n" + oauth(200, GOOD), then="stay"),
        reply(200, GOOD, [("Content-Type", "text/plain")])], ids=["one byte at a time", "no reason", "100 first", "another type"])
    def test_odd_but_good(self, httpd, behaviour):
        assert httpd.get("/patient/x", token=serve(httpd).on(new_token(), behaviour)).status == 200


class TestFaultsByDefault:
    """With the status that Llama Stack has, 401: told apart from a rejection by the challenge, which names no error."""
    needs_pki = True
    processes = 1
    expected = (r"\[llama_auth:error\].*provider (ep|slow) is unavailable",)

    @staticmethod
    def configure(httpd):
        return site(httpd, "ep", "Timeout 400ms") + site(httpd, "slow", "Timeout 2s") + outages.host_503(httpd)

    def good(self, httpd):
        assert httpd.get("/ep/x", token=serve(httpd).issue(new_token())).status == 200

    @pytest.mark.parametrize("behaviour, message", FAULTS.values(), ids=FAULTS.keys())
    def test_fault(self, httpd, behaviour, message):
        self.good(httpd)
        mark = httpd.log.mark()
        response = httpd.get("/ep/x", token=serve(httpd).on(new_token(), behaviour))
        outages.check(response, 401, message)
        lines = httpd.log.since(mark, "llama_auth", "error")
        assert len(lines) == 1, lines
        self.good(httpd)

    def test_a_rejection_is_no_outage(self, httpd):
        self.good(httpd)
        mark = httpd.log.mark()
        for behaviour in (error(400, "unsupported_token_type"), reply(200, {"active": False}), reply(200, {"active": True, "exp": "1"})):
            rejected(httpd.get("/ep/x", token=serve(httpd).on(new_token(), behaviour)))
        assert not httpd.log.since(mark, "llama_auth", "error")

    @both_statuses
    def test_one_byte_a_second_holds_nobody_else(self, httpd, status):
        """Row 4."""
        known = serve(httpd).issue(new_token())
        assert httpd.get("/slow/x", token=known).status == 200
        slow = serve(httpd).on(new_token(), drip(render(200, GOOD), 1))
        began = time.monotonic()
        with httpd.connect(outages.port(httpd, status)) as connection:
            connection.send(f"GET /slow/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {slow}\r\n\r\n".encode())
            serve(httpd).await_call(slow)
            for _ in range(10):
                assert httpd.get("/slow/x", token=known).note("cache") == "hit"
                assert httpd.get("/slow/x", token=serve(httpd).issue(new_token())).status == 200
            assert time.monotonic() - began < 1.5
            outages.check(connection.read(), status, TIMEOUT)
        assert 1.9 < time.monotonic() - began < 4

    def test_flat_memory(self, httpd):
        """Row 5."""
        def answers():
            for _ in range(10):
                assert httpd.get("/ep/x", token=serve(httpd).on(new_token(), flood(TEN_MB, "chunked"))).message == ERROR
        answers()
        before = resident(httpd.children()[0])
        answers()
        if not sanitizer_environment():  # which keeps freed memory for a while
            assert resident(httpd.children()[0]) - before < TEN_MB


class TestRedirect:
    """Row 8."""
    needs_pki = True
    expected = (r"provider ep is unavailable",)

    @staticmethod
    def configure(httpd):
        serve(httpd, "elsewhere")
        return site(httpd, "ep") + outages.host_503(httpd)

    @both_statuses
    @pytest.mark.parametrize("redirect", [301, 302, 303, 307, 308])
    def test_is_not_followed(self, httpd, redirect, status):
        elsewhere = serve(httpd, "elsewhere")
        token = serve(httpd).on(new_token(), reply(redirect, b"", [("Location", elsewhere.at())]))
        response = httpd.get("/ep/x", port=outages.port(httpd, status), token=token)
        outages.check(response, status, failed(redirect))
        assert response.header("Location") is None
        assert (elsewhere.connections, elsewhere.calls) == (0, [])


class TestNoStorm:
    """Row 9: a server that says 429 is left alone for a while."""
    needs_pki = True
    expected = (r"provider ep(401|503) is unavailable",)

    @staticmethod
    def configure(httpd):
        return "".join(site(httpd, f"ep{status}", "Breaker 3 30s") for status in (401, 503)) + outages.host_503(httpd)

    @both_statuses
    def test_breaker(self, httpd, status, monkeypatch):
        server = serve(httpd)
        known = server.issue(new_token())

        def get(token):
            return httpd.get(f"/ep{status}/x", port=outages.port(httpd, status), token=token)
        assert get(known).status == 200
        monkeypatch.setattr(server, "default", reply(429, b"", [("Retry-After", "60")]))
        before = len(server.calls)
        for message in [failed(429)] * 3 + [ERROR] * 17:
            outages.check(get(new_token()), status, message)
        assert len(server.calls) == before + 3
        assert get(known).status == 200


class TestNetwork:
    """Certificates, and servers that are not there (rows 1, 11, 12): nobody gets a token who has not shown who they are."""
    needs_pki = True
    expected = (r"\[llama_auth:error\].*is unavailable",)
    sockets = []

    @classmethod
    def configure(cls, httpd):
        text = "".join(provider(name, f"Endpoint {serve(httpd, name, name).at()}", "TLSCAFile conf/ca.pem", *CREDENTIALS)
                       for name in ("wrong-name", "foreign", "expired"))
        cls.sockets = list(full_listener())
        plain = serve(httpd, "plain", None)
        full = f"https://127.0.0.1:{cls.sockets[0].getsockname()[1]}/"
        urls = {"system": serve(httpd).at(), "scheme": plain.at().replace("http:", "https:"),
                "refused": f"https://127.0.0.1:{free_port()}", "nohost": "https://no-such-host.invalid", "full": full}
        times = {name: ("Timeout 3s", "ConnectTimeout 300ms") for name in ("refused", "nohost", "full")}  # a busy machine may take long to shake hands
        text += "".join(provider(name, f"Endpoint {url}", *CREDENTIALS, *times.get(name, ())) for name, url in urls.items())
        for name in ("wrong-name", "foreign", "expired", *urls):
            text += location("/" + name, name) + everywhere(httpd, "/" + name)
        return text + outages.host_503(httpd)

    @classmethod
    def teardown_class(cls):
        for one in cls.sockets and [cls.sockets[0], *cls.sockets[1]]:
            one.close()

    @both_statuses
    @pytest.mark.parametrize("name", ["wrong-name", "foreign", "expired", "system", "scheme"])
    def test_untrusted(self, httpd, token, name, status):
        outages.check(httpd.get(f"/{name}/x", port=outages.port(httpd, status), token=token), status, ERROR)
        assert not httpd.endpoints[{"system": "main", "scheme": "plain"}.get(name, name)].calls

    @both_statuses
    @pytest.mark.parametrize("name, message", [("refused", ERROR), ("nohost", ERROR), ("full", TIMEOUT)])
    def test_nobody_there(self, httpd, token, name, message, status):
        began = time.monotonic()
        outages.check(httpd.get(f"/{name}/x", port=outages.port(httpd, status), token=token), status, message)
        assert time.monotonic() - began < 4
