"""An introspection provider that knows its issuer only: the endpoint is found in the issuer's metadata, once for all processes, ahead
of need; what is not believed of it; and what happens while it cannot be had. What of metadata counts: test_jwt_discovery.py."""

import pytest

from behaviour import hang, reply
from conftest import every_mpm, new_token
from errorlog import await_until
from introspector import OAUTH, OPENID, PATH
from test_introspection import CREDENTIALS, INACTIVE, guarded, provider, rejected, serve
from traffic import Burst

ERROR = "Authentication service error"
HINT = "Authentication required. Please provide a valid OAuth2 Bearer token from "


def found(httpd, name, issuer, *options, ca="TLSCAFile conf/ca.pem"):
    return provider(name, f"Issuer {issuer}", ca, *CREDENTIALS, *options) + guarded(httpd, name)


def unavailable(response):
    assert (response.status, response.message, response.note("error")) == (401, ERROR, "provider_error"), response
    assert response.challenge == {"realm": "custom"}


@every_mpm
class TestFound:
    """Over TLS, with two processes that share what is found."""
    needs_pki = True

    @staticmethod
    def configure(httpd):
        server = serve(httpd)
        return found(httpd, "idp", server.publish("/realm"))

    def test_accepted(self, httpd):
        server = serve(httpd)
        token = server.issue(new_token(), iss=server.url("/realm"))
        response = httpd.get("/idp/x", token=token)
        assert (response.status, response.note("user")) == (200, "alice")
        call = server.call(token)
        assert (call.method, call.target) == ("POST", PATH)
        assert httpd.get("/idp/x", token=token).note("cache") == "hit"

    def test_another_issuer(self, httpd):
        """RFC 7662 makes `iss` optional: without it the token is taken; ExpectIssuer demands it."""
        server = serve(httpd)
        assert httpd.get("/idp/x", token=server.issue(new_token())).status == 200
        for members in ({"iss": server.url("/realm/")}, {"iss": server.url("")}, {"iss": [server.url("/realm")]}):
            rejected(httpd.get("/idp/x", token=server.issue(new_token(), **members)))

    def test_inactive(self, httpd, token):
        rejected(httpd.get("/idp/x", token=token))

    def test_fetched_once_for_all(self, httpd):
        server = serve(httpd)
        tokens = [server.issue(new_token(), iss=server.url("/realm")) for _ in range(httpd.workers // 2)]
        assert {answer.status for answer in Burst(httpd, [("/idp/x", token) for token in tokens]).read()} == {200}
        assert server.fetches() == ["/realm" + OPENID]

    def test_no_token(self, httpd):
        assert httpd.get("/idp/x").message == HINT + serve(httpd).url("/realm")


class TestFirstRequests:
    """Before anything is known, without a background tick to be ahead: the first requests wait for one fetch, and all are served who
    together hold less than half of the workers."""
    needs_pki = True
    processes = 3

    @staticmethod
    def configure(httpd):
        server = serve(httpd)
        return found(httpd, "idp", server.publish("/first"))

    def test_all_at_once(self, httpd):
        server = serve(httpd)
        tokens = [server.issue(new_token(), iss=server.url("/first")) for _ in range(10)]
        assert [answer.status for answer in Burst(httpd, [("/idp/x", token) for token in tokens]).read()] == [200] * 10
        assert server.fetches() == ["/first" + OPENID]


class TestPlaces:
    """RFC 8414, and what an administrator says beside the issuer."""
    needs_pki = True

    @staticmethod
    def configure(httpd):
        server, other = serve(httpd), serve(httpd, "other")
        text = found(httpd, "oauth", server.publish("/a", path=OAUTH + "/a"))
        text += found(httpd, "inserted", server.publish("/b", path=OPENID + "/b"))
        text += found(httpd, "named", server.publish("/c"), "ExpectIssuer urn:idp:c")
        text += found(httpd, "both", server.publish("/d", introspection_endpoint=other.at()), f"Endpoint {server.at()}")
        return text + found(httpd, "moved", server.publish("/e", introspection_endpoint=other.at()))

    @pytest.mark.parametrize("name, issuer", [("oauth", "/a"), ("inserted", "/b")])
    def test_found(self, httpd, name, issuer):
        server = serve(httpd)
        assert httpd.get(f"/{name}/x", token=server.issue(new_token(), iss=server.url(issuer))).status == 200

    def test_expect_issuer_is_another_name(self, httpd):
        server = serve(httpd)
        assert httpd.get("/named/x", token=server.issue(new_token(), iss="urn:idp:c")).status == 200
        rejected(httpd.get("/named/x", token=server.issue(new_token(), iss=server.url("/c"))))

    def test_endpoint_goes_before_discovery(self, httpd):
        server = serve(httpd)
        token = server.issue(new_token(), iss=server.url("/d"))
        assert httpd.get("/both/x", token=token).status == 200
        assert server.call(token)
        rejected(httpd.get("/both/x", token=server.issue(new_token(), iss=server.url("/e"))))
        assert httpd.get("/both/x").message == HINT + server.url("/d")
        assert "/d" + OPENID not in server.fetches()

    def test_an_endpoint_on_another_server(self, httpd):
        other = serve(httpd, "other")
        token = other.issue(new_token(), iss=serve(httpd).url("/e"))
        assert httpd.get("/moved/x", token=token).status == 200
        assert other.call(token).basic


class TestNotBelieved:
    """An outage, and neither the token nor our credentials go to what such metadata names."""
    needs_pki = True
    expected = (r"is unavailable", r"introspection endpoint")
    BAD = {
        "another-issuer": lambda url, trap: {"issuer": url + "/", "introspection_endpoint": trap},
        "no-issuer": lambda url, trap: {"issuer": None, "introspection_endpoint": trap},
        "plain-http": lambda url, trap: {"introspection_endpoint": trap},
        "no-endpoint": lambda url, trap: {"introspection_endpoint": None},
        "a-list": lambda url, trap: {"introspection_endpoint": [trap]},
        "relative": lambda url, trap: {"introspection_endpoint": PATH},
        "a-file": lambda url, trap: {"introspection_endpoint": "file:///etc/passwd"},
    }

    @classmethod
    def configure(cls, httpd):
        server, trap = serve(httpd), serve(httpd, "trap", None)
        text = "".join(found(httpd, name, server.publish("/" + name, **make(server.url("/" + name), trap.at())))
                       for name, make in cls.BAD.items())
        for name in ("garbage", "hangs"):
            server.metadata[f"/{name}{OPENID}"] = hang if name == "hangs" else reply(200, b"<html>")
            text += found(httpd, name, server.url("/" + name), "Timeout 300ms")
        foreign = serve(httpd, "foreign", "foreign")
        return text + found(httpd, "foreign", foreign.publish("/f"))

    @pytest.mark.parametrize("name", [*BAD, "garbage", "hangs", "foreign"])
    def test_outage(self, httpd, token, name):
        unavailable(httpd.get(f"/{name}/x", token=token))
        for server in ("main", "trap", "foreign"):
            assert not httpd.endpoints[server].questions()


class TestComesLater:
    """A server that is not there when httpd starts is asked again soon; one that goes is not missed while the endpoint answers."""
    needs_pki = True
    expected = (r"is unavailable", r"introspection endpoint")

    @staticmethod
    def configure(httpd):
        server = serve(httpd)
        server.metadata["/late" + OPENID] = reply(503, b"")
        return "LlamaAuthOutageStatus 503\n" + found(httpd, "idp", server.url("/late"))

    def test_found_later(self, httpd):
        server, mark = serve(httpd), 0
        token = server.issue(new_token(), iss=server.url("/late"))
        for _ in range(10):
            response = httpd.get("/idp/x", token=token)
            assert (response.status, response.message) == (503, ERROR)
            assert 1 <= int(response.header("Retry-After")) <= 30
        assert len(server.fetches()) <= 3  # a pause follows each failure
        assert not server.questions()
        lines = [line for line in httpd.log.since(mark, "llama_auth", "error") if "LA0060" in line.text]
        assert len(lines) == 1 and "cannot fetch the introspection endpoint's URL" in lines[0].text, lines
        server.publish("/late")
        await_until(lambda: httpd.get("/idp/x", token=token).status == 200, "the endpoint")
        server.metadata["/late" + OPENID] = reply(503, b"")
        assert httpd.get("/idp/x", token=server.issue(new_token(), iss=server.url("/late"))).status == 200
        assert httpd.get("/idp/x", token=new_token()).message == INACTIVE


class TestRestart:
    """What was found outlives a graceful restart, and so an issuer that is down then."""
    needs_pki = True

    @staticmethod
    def configure(httpd):
        return found(httpd, "idp", serve(httpd).publish("/kept"))

    def test_kept(self, httpd):
        server = serve(httpd)
        assert httpd.get("/idp/x", token=server.issue(new_token(), iss=server.url("/kept"))).status == 200
        server.metadata.clear()
        before = len(server.fetches())
        httpd.graceful()
        assert httpd.get("/idp/x", token=server.issue(new_token(), iss=server.url("/kept"))).status == 200
        assert len(server.fetches()) == before


class TestMetadata:
    """RFC 9728: the issuer is the protected resource's authorization server, by whichever option it is known."""
    needs_pki = True

    @staticmethod
    def configure(httpd):
        server = serve(httpd)
        expected = provider("expected", f"Endpoint {server.at()}", "TLSCAFile conf/ca.pem", *CREDENTIALS, "ExpectIssuer https://idp.example.com")
        text = provider("found", f"Issuer {server.publish('/m')}", "TLSCAFile conf/ca.pem", *CREDENTIALS) + expected
        return text + "".join(f"""
<Location "/.well-known/oauth-protected-resource/{name}">
    SetHandler llama-auth-metadata
    LlamaAuthUse {name}
    LlamaAuthResource https://api.example.com/{name} models.read
    Require all granted
</Location>
""" for name in ("found", "expected"))

    @pytest.mark.parametrize("name", ["found", "expected"])
    def test_authorization_servers(self, httpd, name):
        issuer = serve(httpd).url("/m") if name == "found" else "https://idp.example.com"
        assert httpd.get(f"/.well-known/oauth-protected-resource/{name}").json["authorization_servers"] == [issuer]
