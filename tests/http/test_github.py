"""The github provider against a server that follows GitHub's documentation, over TLS: questions, pages, scopes, rate
limits, and what happens when the server or the network fails."""

import gzip
import json
import time

import pytest

from behaviour import close, drip, flood, hang, raw, render, reply, reset
from configs import everywhere, location
from conftest import every_mpm, new_token
from errorlog import await_until
from githubapi import GithubApi, limited, message
from server import free_port

ERROR = "Authentication service error"
TIMEOUT = "Authentication service timeout"
REFUSED = "GitHub token validation failed. Please check your token and try again."
HINT = ("Authentication required. Please provide a valid GitHub access token (https://docs.github.com/en/authentication/"
        "keeping-your-account-and-data-secure/managing-your-personal-access-tokens) in the Authorization header (Bearer <token>)")


def section(name, url, *options):
    if not any(option.startswith("Breaker") for option in options):
        options += ("Breaker off",)
    lines = "\n    ".join([f"ApiBase {url}", *options])
    return f"<LlamaAuthProvider {name} github>\n    {lines}\n</LlamaAuthProvider>\n"


def serve(httpd, name="main", certificate="good", root="/api/v3"):
    if name not in httpd.endpoints:
        httpd.endpoints[name] = GithubApi(tls=httpd.pki.server_context(certificate), root=root)
        httpd.write("conf/ca.pem", httpd.pki.read("ca.pem")).chmod(0o644)
    return httpd.endpoints[name]


def site(httpd, name, *options, server="main", certificate="good"):
    """A provider, the location it guards and a file there."""
    return (section(name, serve(httpd, server, certificate).base(), "TLSCAFile conf/ca.pem", *options) +
            location("/" + name, name) + everywhere(httpd, "/" + name))


LISTS = ("Organizations on", "Teams on", "Claim login roles", "Claim organizations orgs", "Claim teams teams", "Claim scopes scopes",
         "Claim id ids")


@every_mpm
class TestPeople:
    needs_pki = True
    expected = (r"\[llama_auth:error\].*is unavailable",)

    @staticmethod
    def configure(httpd):
        return (site(httpd, "user") + site(httpd, "orgs", "Organizations on") + site(httpd, "lists", *LISTS) +
                site(httpd, "number", "PrincipalClaim id"))

    def test_question(self, httpd):
        token = serve(httpd).person(new_token(), "octocat", scopes=("repo",))
        assert httpd.get("/user/x", token=token).status == 200
        call = serve(httpd).call(token)
        assert (call.method, call.target, call.version, call.body) == ("GET", "/api/v3/user", "HTTP/1.1", b"")
        assert call.header("Accept") == "application/vnd.github+json"
        assert call.header("User-Agent") == "mod_llama_auth"
        assert call.header("X-GitHub-Api-Version") == "2022-11-28"
        assert call.header("Authorization") == "Bearer " + token
        for name in ("Content-Type", "Content-Length", "Cookie", "Expect", "Accept-Encoding"):
            assert call.header(name) is None

    def test_classic_token(self, httpd):
        token = serve(httpd).person(new_token(), "octocat", scopes=("read:org", "repo", "user:email"))
        for cache in ("miss", "hit"):
            response = httpd.get("/user/x", token=token)
            assert (response.status, response.note("user"), response.note("cache")) == (200, "octocat", cache)
            assert json.loads(response.note("attributes")) == {"roles": ["octocat"], "scopes": ["read:org", "repo", "user:email"]}

    @pytest.mark.parametrize("scopes, attributes", [(None, {"roles": ["octocat"]}), ((), {"roles": ["octocat"], "scopes": []})],
                             ids=["fine-grained", "classic without any"])
    def test_without_scopes(self, httpd, scopes, attributes):
        response = httpd.get("/user/x", token=serve(httpd).person(new_token(), "octocat", scopes=scopes))
        assert (response.status, json.loads(response.note("attributes"))) == (200, attributes)

    def test_organizations_are_teams(self, httpd):
        token = serve(httpd).person(new_token(), "octocat", scopes=("read:org",), orgs=["github", "a-b"], teams=[("github", "core")])
        response = httpd.get("/orgs/x", token=token)
        assert json.loads(response.note("attributes")) == {"roles": ["octocat"], "teams": ["github", "a-b"], "scopes": ["read:org"]}
        assert serve(httpd).targets(token) == ["/api/v3/user", "/api/v3/user/orgs?per_page=100&page=1"]

    def test_all_claims(self, httpd):
        token = serve(httpd).person(new_token(), "octocat", 583231, scopes=("user",), orgs=["github"],
                                    teams=[("github", "core"), ("a-b", "core")])
        response = httpd.get("/lists/x", token=token)
        assert json.loads(response.note("attributes")) == {"roles": ["octocat"], "orgs": ["github"], "ids": ["583231"],
                                                           "teams": ["github/core", "a-b/core"], "scopes": ["user"]}

    def test_number_as_principal(self, httpd):
        token = serve(httpd).person(new_token(), "octocat", 583231)
        assert httpd.get("/number/x", token=token).note("user") == "583231"

    @pytest.mark.parametrize("count, pages", [(0, 1), (99, 1), (100, 2), (250, 3)])
    def test_pages(self, httpd, count, pages):
        orgs = [f"org-{n}" for n in range(count)]
        token = serve(httpd).person(new_token(), "octocat", scopes=None, orgs=orgs)
        response = httpd.get("/orgs/x", token=token)
        assert json.loads(response.note("attributes"))["teams"] == orgs
        assert len(serve(httpd).calls_for(token)) == 1 + pages

    def test_a_thousand_and_more(self, httpd):
        mark = httpd.log.mark()
        orgs = [f"o{n}" for n in range(1200)]
        token = serve(httpd).person(new_token(), "octocat", scopes=None, orgs=orgs)
        assert httpd.get("/orgs/x", token=token).status == 200
        assert len(serve(httpd).calls_for(token)) == 11
        assert [e for e in httpd.log.since(mark, "llama_auth") if "LA0085" in e.text and e.level == "warn"]

    def test_unknown_token(self, httpd, token):
        for cache in ("miss", "negative"):
            response = httpd.get("/user/x", token=token)
            assert (response.status, response.message, response.note("error")) == (401, REFUSED, "invalid_token")
            assert response.note("cache") == cache
        assert serve(httpd).call(token)

    def test_no_token(self, httpd):
        assert httpd.get("/user/x").message == HINT

    def test_token_without_the_scope_for_lists(self, httpd):
        mark = httpd.log.mark()
        token = serve(httpd).person(new_token(), "octocat", scopes=("repo",), orgs=["github"])
        response = httpd.get("/orgs/x", token=token)
        assert (response.status, response.message, response.note("error")) == (401, REFUSED, "invalid_token")
        assert any("/user/orgs answered 403" in e.text for e in httpd.log.since(mark, "llama_auth", "info"))

    def test_app_installation_token(self, httpd):
        token = serve(httpd).on(new_token(), reply(403, message("Resource not accessible by integration"),
                                                   [("X-RateLimit-Remaining", "4999")]))
        assert httpd.get("/user/x", token=token).message == REFUSED

    def test_not_cached_past_its_own_end(self, httpd):
        end = int(time.time()) + 2
        token = serve(httpd).person(new_token(), "octocat", ends=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(end)))
        assert httpd.get("/user/x", token=token).note("cache") == "miss"
        await_until(lambda: time.time() > end, "the token's end")
        del serve(httpd).people[token]
        assert httpd.get("/user/x", token=token).message == REFUSED

    def test_own_limit_reached(self, httpd):
        """The same token, once its calls are used up: an outage, not a refusal, and nothing that is kept."""
        token = serve(httpd).person(new_token(), "octocat", scopes=None, orgs=["github"])
        serve(httpd).remaining[token] = 1
        response = httpd.get("/orgs/x", token=token)
        assert (response.status, response.message, response.note("error")) == (401, ERROR, "provider_error")
        serve(httpd).remaining[token] = 5000
        assert httpd.get("/orgs/x", token=token).status == 200


USER = {"login": "octocat", "id": 1}
BYTES = json.dumps(USER).encode()
TEN_MB = 10 * 1024 * 1024

FAULTS = {
    "primary limit, 403": (limited(403), ERROR),
    "primary limit, 429": (limited(429), ERROR),
    "secondary limit, 403": (limited(403, True), ERROR),
    "secondary limit, 429": (limited(429, True), ERROR),
    "secondary limit without Retry-After": (reply(403, message("You have exceeded a secondary rate limit.")), ERROR),
    "too many bad logins": (reply(403, message("Maximum number of login attempts exceeded. Please try again later.")), ERROR),
    "reset": (reset, ERROR),
    "closed": (close, ERROR),
    "reset inside the body": (raw(render(200, USER)[:-5], then="reset"), ERROR),
    "short Content-Length": (raw(render(200, USER, length=len(BYTES) - 5)), ERROR),
    "long Content-Length": (raw(render(200, USER, length=len(BYTES) + 5)), ERROR),
    "one byte at a time": (drip(render(200, USER), 0.05), TIMEOUT),
    "no answer": (hang, TIMEOUT),
    "10 MB": (flood(TEN_MB, "chunked"), ERROR),
    "gzip": (reply(200, gzip.compress(BYTES), [("Content-Encoding", "gzip")]), ERROR),
    "gzip of 100 MB": (reply(200, gzip.compress(b"x" * 10 ** 8), [("Content-Encoding", "gzip")]), ERROR),
    "invalid UTF-8": (reply(200, b'{"login": "octo\xc3\x28cat"}'), ERROR),
    "NUL after it": (reply(200, BYTES + b"\0"), ERROR),
    "10,000 levels": (reply(200, b"[" * 10000 + b"]" * 10000), ERROR),
    "HTML": (reply(200, b"<html>unicorn</html>", [("Content-Type", "text/html")]), ERROR),
    "login twice": (reply(200, b'{"login": "octocat", "login": "admin"}'), ERROR),
    "302": (reply(302, b"", [("Location", "https://127.0.0.1:1/")]), ERROR),
    "404": (reply(404, message("Not Found")), ERROR),
    "500": (reply(500, b""), ERROR),
    "502, a unicorn": (reply(502, b"<html>", [("Content-Type", "text/html")]), ERROR),
}


# A user who cannot be used.
UNUSABLE = {"no login": {"id": 1}, "login 7": {"login": 7}, "login null": {"login": None}, "login with CR LF": {"login": "a\r\nX-Role: admin"},
            "login of two words": {"login": "x admin"}}


@every_mpm
class TestFaults:
    needs_pki = True
    expected = (r"\[llama_auth:error\].*provider ep is unavailable", r"LA0110")

    @staticmethod
    def configure(httpd):
        return "LlamaAuthOutageStatus 503\n" + site(httpd, "ep", "Organizations on", "Timeout 400ms")

    @pytest.mark.parametrize("behaviour, text", FAULTS.values(), ids=FAULTS.keys())
    def test_fault(self, httpd, behaviour, text):
        server = serve(httpd)
        token = server.on(new_token(), behaviour)
        response = httpd.get("/ep/x", token=token)
        assert (response.status, response.message) == (503, text)
        assert response.note("error") == ("provider_timeout" if text == TIMEOUT else "provider_error")
        assert response.note("user") is None
        server.behaviours.pop(token)  # the fault was not kept
        server.person(token, "octocat", scopes=None)
        assert httpd.get("/ep/x", token=token).status == 200

    @pytest.mark.parametrize("user", UNUSABLE.values(), ids=UNUSABLE.keys())
    def test_unusable(self, httpd, user):
        """A rejection, which is kept, with the words of a malformed answer."""
        token = serve(httpd).on(new_token(), reply(200, user))
        for cache in ("miss", "negative"):
            response = httpd.get("/ep/x", token=token)
            assert (response.status, response.message, response.note("cache")) == (401, ERROR, cache)
            assert response.note("error") == "invalid_token"

    @pytest.mark.parametrize("behaviour, text", [
        (limited(403), ERROR), (reset, ERROR), (hang, TIMEOUT), (reply(200, {"message": "no list"}), ERROR),
        (reply(200, [{"id": 1}]), ERROR), (reply(500, b""), ERROR)],
        ids=["limit", "reset", "no answer", "no list", "no login", "500"])
    def test_fault_in_the_second_call(self, httpd, behaviour, text):
        server = serve(httpd)
        token = server.person(new_token(), "octocat", scopes=None)
        server.on_path[token, "/api/v3/user/orgs"] = behaviour
        response = httpd.get("/ep/x", token=token)
        assert (response.status, response.message) == (503, text)
        del server.on_path[token, "/api/v3/user/orgs"]
        assert httpd.get("/ep/x", token=token).status == 200

    def test_one_timeout_for_all_calls(self, httpd):
        """Each page comes just in time, all together do not."""
        server = serve(httpd)
        token = server.person(new_token(), "octocat", scopes=None, orgs=[f"o{n}" for n in range(900)])

        def slow(peer, call):
            peer.wait(0.15)
            server.answer(peer, call)
        server.on(token, slow)
        start = time.monotonic()
        assert httpd.get("/ep/x", token=token).message == TIMEOUT
        assert time.monotonic() - start < 1.5
        assert len(server.calls_for(token)) < 6


class TestNetwork:
    """Certificates, and servers that are not there: nobody gets a token who has not shown who they are."""
    needs_pki = True
    expected = (r"\[llama_auth:error\].*is unavailable",)

    @staticmethod
    def configure(httpd):
        text = "".join(site(httpd, name, server=name, certificate=name) for name in ("wrong-name", "foreign", "expired"))
        text += section("system", serve(httpd).base()) + location("/system", "system") + everywhere(httpd, "/system")
        for name, url in (("refused", f"https://127.0.0.1:{free_port()}"), ("nohost", "https://no-such-host.invalid")):
            text += section(name, url, "Timeout 5s") + location("/" + name, name) + everywhere(httpd, "/" + name)
        return text + site(httpd, "matched", r"Match ^gh[pousr]_")

    @pytest.mark.parametrize("name", ["wrong-name", "foreign", "expired", "system"])
    def test_untrusted(self, httpd, token, name):
        response = httpd.get(f"/{name}/x", token=token)
        assert (response.status, response.message) == (401, ERROR)
        assert not [c for c in httpd.endpoints["main" if name == "system" else name].calls if c.token == token]

    @pytest.mark.parametrize("name", ["refused", "nohost"])
    def test_nobody_there(self, httpd, token, name):
        assert httpd.get(f"/{name}/x", token=token).message == ERROR

    def test_match(self, httpd, token):
        assert httpd.get("/matched/x", token=token).message == "Invalid token"
        assert not serve(httpd).calls_for(token)
        mine = serve(httpd).person(new_token("ghp_x"), "octocat")
        assert httpd.get("/matched/x", token=mine).status == 200


class TestConfiguration:
    @pytest.mark.parametrize("lines, said", [
        (("ApiBase api.github.com",), "ApiBase: must begin with"), (("ApiBase https://g/?a",), "ApiBase: must have no query"),
        (("Teams maybe",), "Teams: must be on or off"), (("Organisations on",), "did you mean Organizations?"),
        (("Audience a",), "not an option of a github provider")])
    def test_refused(self, bare, lines, said):
        body = "\n".join(lines)
        bare.configure(f"<LlamaAuthProvider g github>\n{body}\n</LlamaAuthProvider>\n" + location("/", "g"))
        status, text = bare.check()
        assert status != 0 and said in text, text

    def test_accepted(self, bare):
        bare.configure("<LlamaAuthProvider g github>\nTeams on\n</LlamaAuthProvider>\n" + location("/", "g"))
        assert bare.check()[0] == 0
