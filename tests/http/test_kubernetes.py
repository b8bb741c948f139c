"""The kubernetes provider against a server that follows the API reference, over TLS: questions, verdicts, reviewer tokens
that rotate, and what happens when the server, the network or the configuration fails."""

import base64
import gzip
import json
import time

import pytest

from apiserver import API, ApiServer, DEFAULT_AUDIENCE, fail, failure, kube, service_account
from behaviour import close, drip, flood, hang, raw, render, reply, reset
from configs import everywhere, location
from conftest import every_mpm, new_token
from errorlog import await_until
from server import free_port

ERROR = "Authentication service error"
TIMEOUT = "Authentication service timeout"
INVALID = "Invalid or expired token"
HINT = "Authentication required. Please provide a valid Kubernetes service account token as a Bearer token"
REVIEWER = "reviewer-token-0123456789"
BOT = service_account("prod", "bot")


def cluster(name, url, *options):
    if not any(option.startswith("Breaker") for option in options):
        options += ("Breaker off",)
    lines = "\n    ".join([f"ApiServer {url}", *options])
    return f"<LlamaAuthProvider {name} kubernetes>\n    {lines}\n</LlamaAuthProvider>\n"


def serve(httpd, name="main", certificate="good"):
    """The API server of that name, with the reviewer known to it; its files are there for the configuration."""
    if name not in httpd.endpoints:
        httpd.endpoints[name] = ApiServer(tls=httpd.pki.server_context(certificate))
        httpd.endpoints[name].reviewers = {REVIEWER: True, "reviewer-without-rights": False}
        httpd.write("conf/ca.pem", httpd.pki.read("ca.pem")).chmod(0o644)
        httpd.write("conf/reviewer", REVIEWER + "\n").chmod(0o644)
        httpd.secrets |= {REVIEWER.encode(), b"reviewer-without-rights", b"reviewer-rotated"}
    return httpd.endpoints[name]


def site(httpd, name, *options, server="main", certificate="good"):
    """A provider, the location it guards and a file there."""
    return (cluster(name, serve(httpd, server, certificate).base(), "TLSCAFile conf/ca.pem", *options) +
            location("/" + name, name) + everywhere(httpd, "/" + name))


TOKEN = ("ReviewerToken file:conf/reviewer",)


@every_mpm
class TestTokenReview:
    needs_pki = True

    @staticmethod
    def configure(httpd):
        return (site(httpd, "plain", *TOKEN) + site(httpd, "llm", *TOKEN, "Audience https://llm.example other") +
                site(httpd, "mapped", *TOKEN, "Claim uid ids", "Claim extra.authentication.kubernetes.io/pod-name pods",
                     "PrincipalClaim uid") + site(httpd, "never", *TOKEN, "CacheTTL 0", "CacheNegativeTTL 0"))

    def test_question(self, httpd):
        token = serve(httpd).user(new_token(), BOT)
        assert httpd.get("/plain/x", token=token).status == 200
        call = serve(httpd).call(token)
        assert (call.method, call.target, call.version) == ("POST", API + "/tokenreviews", "HTTP/1.1")
        assert call.json == {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        assert call.header("Authorization") == "Bearer " + REVIEWER
        assert call.header("User-Agent") == "mod_llama_auth"
        assert call.header("Expect") is None

    def test_service_account(self, httpd):
        token = serve(httpd).user(new_token(), BOT)
        for cache in ("miss", "hit"):
            response = httpd.get("/plain/x", token=token)
            assert (response.status, response.note("user")) == (200, "system:serviceaccount:prod:bot")
            assert json.loads(response.note("attributes")) == {
                "roles": ["system:serviceaccount:prod:bot"],
                "teams": ["system:serviceaccounts", "system:serviceaccounts:prod", "system:authenticated"]}
            assert response.note("cache") == cache
        assert serve(httpd).call(token)

    def test_user_with_nothing_but_a_name(self, httpd):
        token = serve(httpd).user(new_token(), {"username": "x admin"})
        response = httpd.get("/plain/x", token=token)
        assert (response.status, response.note("user")) == (200, "x admin")
        assert json.loads(response.note("attributes")) == {"roles": ["x admin"]}

    def test_mapped(self, httpd):
        response = httpd.get("/mapped/x", token=serve(httpd).user(new_token(), BOT))
        assert (response.status, response.note("user")) == (200, BOT["uid"])
        assert json.loads(response.note("attributes")) == {"ids": [BOT["uid"]], "pods": ["bot-0"]}

    def test_unknown_token(self, httpd, token):
        for cache in ("miss", "negative"):
            response = httpd.get("/plain/x", token=token)
            assert (response.status, response.message, response.note("error")) == (401, INVALID, "invalid_token")
            assert response.challenge["error"] == "invalid_token"
            assert response.note("cache") == cache
        assert serve(httpd).call(token)

    def test_no_token(self, httpd):
        assert httpd.get("/plain/x").message == HINT

    @pytest.mark.parametrize("audiences, asked, status", [
        (["https://llm.example"], "llm", 200), (["other", "third"], "llm", 200), (["third"], "llm", 401),
        ([DEFAULT_AUDIENCE], "llm", 401), (["https://llm.example"], "plain", 401), ([DEFAULT_AUDIENCE], "plain", 200)])
    def test_audiences(self, httpd, audiences, asked, status):
        token = serve(httpd).user(new_token(), BOT, audiences)
        response = httpd.get(f"/{asked}/x", token=token)
        assert response.status == status
        assert status == 200 or response.message == INVALID
        assert serve(httpd).call(token).json["spec"].get("audiences") == \
            (["https://llm.example", "other"] if asked == "llm" else None)

    def test_server_that_knows_nothing_of_audiences(self, httpd):
        server = serve(httpd)
        server.audience_aware = False
        try:
            assert httpd.get("/plain/x", token=server.user(new_token(), BOT)).status == 200
            assert httpd.get("/llm/x", token=server.user(new_token(), BOT, ["https://llm.example"])).message == INVALID
        finally:
            server.audience_aware = True

    def test_not_cached_past_its_own_end(self, httpd):
        def part(value):
            return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
        end = int(time.time()) + 2
        token = serve(httpd).user(f'{part({"alg": "RS256"})}.{part({"exp": end, "jti": new_token()})}.c2ln', BOT)
        assert httpd.get("/plain/x", token=token).note("cache") == "miss"
        if time.time() < end - 0.5:
            assert httpd.get("/plain/x", token=token).note("cache") == "hit"
        await_until(lambda: time.time() > end, "the token's end")
        del serve(httpd).users[token]
        assert httpd.get("/plain/x", token=token).message == INVALID

    def test_revoked(self, httpd):
        token = serve(httpd).user(new_token(), BOT)
        assert httpd.get("/never/x", token=token).status == 200
        del serve(httpd).users[token]
        assert httpd.get("/never/x", token=token).message == INVALID

    def test_reused_connections(self, httpd):
        before = serve(httpd).connections
        with httpd.connect() as connection:
            for _ in range(20):
                assert connection.get("/plain/x", token=serve(httpd).user(new_token(), BOT)).status == 200
        assert serve(httpd).connections - before <= httpd.workers


class TestSelfReview:
    needs_pki = True
    expected = (r"\[llama_auth:error\].*provider self is unavailable",)

    @staticmethod
    def configure(httpd):
        return site(httpd, "self", "Review self")

    def test_accepted(self, httpd):
        token = serve(httpd).user(new_token(), BOT)
        response = httpd.get("/self/x", token=token)
        assert (response.status, response.note("user")) == (200, BOT["username"])
        call = serve(httpd).call(token)
        assert (call.method, call.target) == ("POST", API + "/selfsubjectreviews")
        assert call.json == {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        assert call.header("Authorization") == "Bearer " + token

    def test_unknown(self, httpd, token):
        response = httpd.get("/self/x", token=token)
        assert (response.status, response.message, response.note("error")) == (401, INVALID, "invalid_token")

    def test_no_token(self, httpd):
        assert httpd.get("/self/x").message == HINT

    def test_anonymous_is_nobody(self, httpd):
        """A server that does not look at the token at all, as one without token authentication."""
        token = serve(httpd).user(new_token(), {"username": "system:anonymous", "groups": ["system:unauthenticated"]})
        assert httpd.get("/self/x", token=token).message == INVALID

    @pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
    def test_other_statuses(self, httpd, status):
        response = httpd.get("/self/x", token=serve(httpd).on(new_token(), fail(status)))
        assert (response.status, response.message) == (401, f"Token validation failed: {status}")
        assert response.note("error") == "provider_error"


class TestReviewer:
    """The reviewer's own credentials: rotation, and what the log says when they are wrong. In one process: each looks
    at the file by itself, once a second."""
    needs_pki = True
    processes = 1
    expected = (r"\[llama_auth:error\].*is unavailable",)

    @staticmethod
    def configure(httpd):
        return (site(httpd, "file", *TOKEN) + site(httpd, "wrong", "ReviewerToken not-a-reviewers-token") +
                site(httpd, "norights", "ReviewerToken reviewer-without-rights"))

    @pytest.mark.parametrize("name, status, cause", [
        ("wrong", 401, "does not accept ReviewerToken"), ("norights", 403, "system:auth-delegator")])
    def test_not_the_callers_fault(self, httpd, name, status, cause):
        mark = httpd.log.mark()
        token = serve(httpd).user(new_token(), BOT)
        for _ in range(2):
            response = httpd.get(f"/{name}/x", token=token)
            assert (response.status, response.message) == (401, f"Token validation failed: {status}")
            assert response.note("error") == "provider_error"
            assert response.challenge == {"realm": "custom"}
        assert len(serve(httpd).calls_for(token)) == 2
        lines = httpd.log.since(mark, "llama_auth", "error")
        assert len(lines) == 1 and cause in lines[0].text, lines

    def test_rotation(self, httpd):
        server = serve(httpd)

        def sent():
            token = server.user(new_token(), BOT)
            httpd.get("/file/x", token=token)
            return server.call(token).bearer
        assert sent() == REVIEWER
        server.reviewers["reviewer-rotated"] = True
        httpd.write("conf/reviewer", "reviewer-rotated").chmod(0o644)
        await_until(lambda: all(sent() == "reviewer-rotated" for _ in range(10)), "the new reviewer token")
        del server.reviewers[REVIEWER]
        assert httpd.get("/file/x", token=server.user(new_token(), BOT)).status == 200


GOOD = {"kind": "TokenReview", "status": {"authenticated": True, "user": BOT}}
BYTES = json.dumps(GOOD).encode()
TEN_MB = 10 * 1024 * 1024

FAULTS = {
    "reset": (reset, ERROR),
    "closed": (close, ERROR),
    "reset inside the body": (raw(render(201, GOOD)[:-20], then="reset"), ERROR),
    "short Content-Length": (raw(render(201, GOOD, length=len(BYTES) - 10)), ERROR),
    "long Content-Length": (raw(render(201, GOOD, length=len(BYTES) + 10)), ERROR),
    "one byte at a time": (drip(render(201, GOOD), 0.05), TIMEOUT),
    "no answer": (hang, TIMEOUT),
    "10 MB": (flood(TEN_MB, "chunked"), ERROR),
    "gzip": (reply(201, gzip.compress(BYTES), [("Content-Encoding", "gzip")]), ERROR),
    "gzip of 100 MB": (reply(201, gzip.compress(b"x" * 10 ** 8), [("Content-Encoding", "gzip")]), ERROR),
    "invalid UTF-8": (reply(201, BYTES.replace(b"prod", b"pr\xc3\x28")), ERROR),
    "NUL after it": (reply(201, BYTES + b"\0"), ERROR),
    "10,000 levels": (reply(201, b"[" * 10000 + b"]" * 10000), ERROR),
    "protobuf": (reply(201, b"k8s\0\n\x0b\n\x02v1", [("Content-Type", "application/vnd.kubernetes.protobuf")]), ERROR),
    "HTML": (reply(200, b"<html>", [("Content-Type", "text/html")]), ERROR),
    "a Status object as 200": (reply(200, failure(401)), ERROR),
    "no status": (reply(201, {"kind": "TokenReview"}), ERROR),
    "authenticated twice": (reply(201, b'{"status": {"authenticated": false, "authenticated": true, "user": {"username": "a"}}}'),
                            ERROR),
    "authenticated \"true\"": (reply(201, {"status": {"authenticated": "true", "user": BOT}}), ERROR),
    "302": (reply(302, b"", [("Location", "https://127.0.0.1:1/")]), "Token validation failed: 302"),
    "400": (fail(400), "Token validation failed: 400"),
    "404": (fail(404), "Token validation failed: 404"),
    "429 with Retry-After": (fail(429, headers=[("Retry-After", "1")]), "Token validation failed: 429"),
    "500": (fail(500), "Token validation failed: 500"),
    "503, not JSON": (reply(503, b"no healthy upstream"), "Token validation failed: 503"),
}


# Authenticated, as somebody who cannot be used.
UNUSABLE = {"no user": None, "no username": {"groups": ["system:masters"]}, "a null username": {"username": None}, "username a list": {"username": ["a"]},
            "username empty": {"username": ""}, "username with CR LF": {"username": "a\r\nX: y"}, "username with a blank before it": {"username": " a"}}


@every_mpm
class TestFaults:
    needs_pki = True
    expected = (r"\[llama_auth:error\].*provider ep is unavailable", r"LA0110")

    @staticmethod
    def configure(httpd):
        return "LlamaAuthOutageStatus 503\n" + site(httpd, "ep", *TOKEN, "Timeout 400ms") + site(httpd, "patient", *TOKEN)

    @pytest.mark.parametrize("behaviour, message", FAULTS.values(), ids=FAULTS.keys())
    def test_fault(self, httpd, behaviour, message):
        server = serve(httpd)
        token = server.on(new_token(), behaviour)
        response = httpd.get("/ep/x", token=token)
        assert (response.status, response.message) == (503, message)
        assert response.note("error") == ("provider_timeout" if message == TIMEOUT else "provider_error")
        assert response.note("user") is None
        server.behaviours.pop(token)  # the fault was not kept
        server.user(token, BOT)
        assert httpd.get("/ep/x", token=token).status == 200

    @pytest.mark.parametrize("user", UNUSABLE.values(), ids=UNUSABLE.keys())
    def test_unusable(self, httpd, user):
        """A rejection, which is kept, with the words of a malformed answer."""
        token = serve(httpd).on(new_token(), reply(201, {"status": {"authenticated": True, "user": user}}))
        for cache in ("miss", "negative"):
            response = httpd.get("/ep/x", token=token)
            assert (response.status, response.message, response.note("cache")) == (401, ERROR, cache)
            assert response.note("error") == "invalid_token"

    @pytest.mark.parametrize("behaviour", [
        drip(kube(201, GOOD), 0.0001, then="stay"), raw(kube(201, GOOD).replace(b"201 Created", b"201"), then="stay"),
        raw(kube(200, GOOD), then="stay")], ids=["one byte at a time", "no reason", "200"])
    def test_odd_but_good(self, httpd, behaviour):
        assert httpd.get("/patient/x", token=serve(httpd).on(new_token(), behaviour)).status == 200


class TestNetwork:
    """Certificates, and servers that are not there: nobody gets a token who has not shown who they are."""
    needs_pki = True
    expected = (r"\[llama_auth:error\].*is unavailable",)

    @staticmethod
    def configure(httpd):
        text = "".join(site(httpd, name, *TOKEN, server=name, certificate=name) for name in ("wrong-name", "foreign", "expired"))
        text += cluster("system", serve(httpd).base(), *TOKEN) + location("/system", "system") + everywhere(httpd, "/system")
        for name, url in (("refused", f"https://127.0.0.1:{free_port()}"), ("nohost", "https://no-such-host.invalid")):
            text += cluster(name, url, *TOKEN, "Timeout 5s") + location("/" + name, name) + everywhere(httpd, "/" + name)
        return text

    @pytest.mark.parametrize("name", ["wrong-name", "foreign", "expired", "system"])
    def test_untrusted(self, httpd, token, name):
        response = httpd.get(f"/{name}/x", token=token)
        assert (response.status, response.message) == (401, ERROR)
        assert not httpd.endpoints["main" if name == "system" else name].calls

    @pytest.mark.parametrize("name", ["refused", "nohost"])
    def test_nobody_there(self, httpd, token, name):
        assert httpd.get(f"/{name}/x", token=token).message == ERROR


class TestConfiguration:
    @pytest.mark.parametrize("lines, said", [
        ((), "ReviewerToken is missing, and the pod has none"),
        (("Review both",), "Review: 'both' is none of token|self"),
        (("ReviewerToken file:conf/absent",), "No such file"),
        (("Review self", "Audience a"), "Audience needs Review token"),
        (("Review self", "ReviewerToken secret-of-reviewer"), "ReviewerToken needs Review token"),
        (("Review self", "ApiServer https://k/?x=1"), "ApiServer: must have no query"),
        (("Review self", "Endpoint https://k"), "not an option of a kubernetes provider")])
    def test_refused(self, bare, lines, said):
        bare.secrets.add(b"secret-of-reviewer")
        body = "\n".join(lines)
        bare.configure(f"<LlamaAuthProvider k kubernetes>\n{body}\n</LlamaAuthProvider>\n" + location("/", "k"))
        status, text = bare.check()
        assert status != 0 and said in text and "secret-of-reviewer" not in text, text

    def test_accepted(self, bare):
        bare.configure("<LlamaAuthProvider k kubernetes>\nReview self\n</LlamaAuthProvider>\n" + location("/", "k"))
        assert bare.check()[0] == 0
