"""Where a request with a proof leads: other sections, redirects, subrequests, error pages, HTTP/2, what the backend gets. The proof is
about the URI that the client asked for, is verified for whoever looks at it, and counts once."""

import shutil
import subprocess

import pytest

from behaviour import reply
from configs import everywhere, location, provider
from keyserver import jwt, key_server
from prover import ALGS, REJECTED, Api, Prover, held, refused
from signer import claims, key
from test_quota import quota

INDEX = b"the protected page"


def idps(httpd, **sections):
    uri = f"JwksUri {key_server(httpd).put_keys(key('ES256'))}"
    return "".join(jwt(name, uri, *options) for name, options in sections.items())


@pytest.fixture(scope="class")
def prover():
    return Prover()


class TestWays:
    modules = ("rewrite", "include", "negotiation", "actions")
    expected = ("unable to include",)

    @staticmethod
    def configure(httpd):
        for name in ("a/index.html", "a/page.txt", "b/index.html", "b/page.txt"):
            httpd.write("htdocs/" + name, INDEX)
        httpd.write("htdocs/open/include.shtml", '<!--#include virtual="/a/page.txt" -->|<!--#include virtual="/b/page.txt" -->')
        httpd.write("htdocs/a/include.shtml", '<!--#include virtual="/a/page.txt" -->|<!--#include virtual="/b/page.txt" -->')
        text = idps(httpd, first=[], second=["Binding dpop"], ignoring=["Binding ignore"])
        text += location("/a", "first") + location("/b", "second") + location("/c", "ignoring")
        return text + """
AddType text/html .shtml
AddOutputFilter INCLUDES .shtml
<Directory "htdocs">
    Options +Includes +FollowSymLinks
</Directory>
RewriteEngine On
RewriteRule "^/a/rewritten$" "/b/page.txt" [PT]
RewriteRule "^/open/rewritten$" "/a/page.txt" [PT]
RewriteCond "%{LA-U:REMOTE_USER}" "(.*)"
RewriteRule "^/a/lookahead$" "/a/page.txt?%1" [PT]
<Location "/a/missing">
    ErrorDocument 404 /b/page.txt
</Location>
<Location "/a/ours">
    ErrorDocument 401 /b/page.txt
    ErrorDocument 404 /a/page.txt
</Location>
<Location "/open/missing">
    ErrorDocument 404 /b/page.txt
</Location>
<Location "/a/fallback">
    FallbackResource /b/page.txt
</Location>
<Location "/a/nested">
    LlamaAuthUse second
</Location>
Alias "/a/nested" "htdocs/b"
""".replace('"htdocs', f'"{httpd.root}/htdocs')

    @pytest.fixture(scope="class")
    def api(self, httpd):
        return Api(httpd, ready="/a/page.txt")

    PATHS = ["/a/page.txt", "/a/", "/b/", "/a/rewritten", "/open/rewritten", "/a/lookahead", "/a/fallback", "/a/nested/page.txt", "/a/nested/",
             "/a/include.shtml", "/open/include.shtml"]

    @pytest.mark.parametrize("path", PATHS)
    def test_ways(self, api, prover, path):
        token = prover.token()
        for _ in range(2):  # from the provider, and cached
            proof = prover.proof("GET", api.origin + path, token)
            response = api.send(path, token, proof)
            assert response.status == 200 and response.body.strip() in (INDEX, INDEX + b"|" + INDEX), response
            again = api.send(path, token, proof)
            assert INDEX not in again.body  # in the pages of the open one too
            assert again.status == (200 if path == "/open/include.shtml" else 401)
            response = api.call(path, prover, token=token, htu=api.origin + "/b/page.txt")
            assert INDEX not in response.body

    @pytest.mark.parametrize("path", ["/a/missing", "/open/missing", "/a/ours"])
    def test_error_pages(self, api, prover, path):
        token = prover.token()
        proof = prover.proof("GET", api.origin + path, token)
        response = api.send(path, token, proof)
        assert (response.status, response.body) == (404, INDEX)
        response = api.send(path, token, proof)
        assert INDEX not in response.body and response.status == (404 if path.startswith("/open") else 401)

    def test_error_page_of_ours(self, api, prover):
        """An ErrorDocument does not take the place of our answer, and its request spoils no challenge."""
        refused(api.call("/a/ours", prover, changes={"htm": "PUT"}))

    def test_posts(self, api, prover):
        """An error page is a GET; the proof is about the method that the client sent."""
        token = prover.token()
        proof = prover.proof("POST", api.origin + "/a/missing", token)
        response = api.send("/a/missing", token, proof, method="POST", body=b"x")
        assert (response.status, response.body) == (404, INDEX)

    def test_where_bindings_are_ignored(self, api, prover):
        """There DPoP is no scheme of ours, wherever the request comes from."""
        response = api.call("/c/page.txt", prover)
        assert (response.status, response.note("error")) == (401, "invalid_request")


class TestChains:
    """Several providers: a binding that does not hold is one provider's rejection."""

    @staticmethod
    def configure(httpd):
        text = idps(httpd, check=[], dpop=["Binding dpop"], mtls=["Binding mtls"], ignoring=["Binding ignore"],
                    some=["Algorithms ES256"], edd=["Algorithms ES256 EdDSA", "Binding dpop"], nonce=["DPoPNonce on"])
        httpd.endpoint("keys-of-old").default = reply(401, {})
        text += provider("others", httpd.endpoint("keys-of-old").url())
        for path, names in {"/cd": "check dpop", "/mc": "mtls check", "/ic": "ignoring check", "/ci": "check ignoring", "/se": "some edd",
                            "/nc": "nonce check", "/no": "nonce others", "/on": "others nonce"}.items():
            text += location(path, *names.split()) + everywhere(httpd, path)
        return text

    @pytest.fixture(scope="class")
    def api(self, httpd):
        return Api(httpd, ready="/cd")

    def test_first_that_accepts(self, api, prover):
        for path, provider in (("/cd", "check"), ("/mc", "check"), ("/ic", "check"), ("/ci", "check"), ("/nc", "check")):
            response = api.call(path, prover)
            held(response)
            assert response.note("provider") == provider

    def test_the_algorithms_of_each(self, api):
        client = Prover("EdDSA")
        response = api.call("/se", client)
        held(response)
        assert response.note("provider") == "edd"
        refused(api.call("/se", Prover("ES384")), algs="ES256 EdDSA")

    def test_bearer(self, api, prover):
        bound, free = prover.token(), key("ES256").sign(claims())
        held(api.send("/cd", free, scheme="Bearer"))
        refused(api.send("/cd", bound, scheme="Bearer"))
        response = api.send("/ic", bound, scheme="Bearer")
        held(response)
        assert response.note("provider") == "ignoring"  # it was told not to look

    def test_the_proof_counts_once(self, api, prover):
        token = prover.token()
        proof = prover.proof("GET", api.origin + "/mc", token)
        held(api.send("/mc", token, proof))
        refused(api.send("/mc", token, proof))

    def test_the_last_rejection_speaks(self, api, prover):
        token = key("ES256").sign(claims())
        for path in ("/cd", "/mc"):
            response = api.call(path, prover, token=token)
            assert (response.status, response.message) == (401, REJECTED)
            assert response.proof_challenge == {"error": "invalid_token", "algs": ALGS}

    def test_another_rejection_hides_no_challenge(self, api, prover):
        """A client that is not told `use_dpop_nonce` sends no nonce, so it would never be let in."""
        for path in ("/no", "/on"):
            response = api.call(path, prover)
            assert response.status == 401
            assert response.proof_challenge == {"error": "use_dpop_nonce", "algs": ALGS}
            held(api.call(path, prover, changes={"nonce": response.header("DPoP-Nonce")}))
            response = api.call(path, prover, changes={"nonce": response.header("DPoP-Nonce"), "htm": "PUT"})
            assert response.proof_challenge == {"error": "invalid_dpop_proof", "algs": ALGS}


class TestForwardProxy:
    """It takes a token in Proxy-Authorization and no proof; the client's proof is about its token for the origin."""
    modules = ("proxy", "proxy_http")

    @staticmethod
    def configure(httpd):
        httpd.endpoint("origin").default = reply(200, {})
        return idps(httpd, idp=[]) + ("ProxyRequests On\n<Proxy *>\nAuthType Bearer\nAuthName custom\nLlamaAuthUse idp\n"
                                      "Require valid-user\nLlamaAuthForwardToken off\n</Proxy>\n")

    def ask(self, httpd, *headers):
        httpd.secrets.update(value.split()[-1].encode() for _, value in headers)
        origin = httpd.endpoint("origin")
        return httpd.get(origin.url("/x"), headers=headers, host=f"127.0.0.1:{origin.port}")

    def test_the_proof_is_the_origins(self, httpd):
        token = key("ES256").sign(claims())
        response = self.ask(httpd, ("Proxy-Authorization", f"Bearer {token}"), ("Authorization", "DPoP token-for-the-origin"),
                            ("DPoP", "proof-for-the-origin"))
        assert response.status == 200
        call = httpd.endpoint("origin").calls[-1]
        assert call.header("Proxy-Authorization") is None
        assert (call.header("Authorization"), call.header("DPoP")) == ("DPoP token-for-the-origin", "proof-for-the-origin")

    def test_bound_tokens(self, httpd, prover):
        token = prover.token()
        proof = prover.proof("GET", httpd.endpoint("origin").url("/x"), token)
        calls = len(httpd.endpoint("origin").calls)
        for field in ("Authorization", "Proxy-Authorization"):
            for scheme in ("Bearer", "DPoP"):
                response = self.ask(httpd, (field, f"{scheme} {token}"), ("DPoP", proof))
                assert response.status == 407 and not response.all("WWW-Authenticate")
        assert len(httpd.endpoint("origin").calls) == calls


class TestSources:
    """The scheme DPoP is taken from Authorization alone."""

    @staticmethod
    def configure(httpd):
        text = idps(httpd, idp=[])
        for path, sources in {"/both": "Authorization header:X-Token", "/header": "header:X-Token", "/query": "query:t"}.items():
            text += location(path, "idp", lines=("Require valid-user", f"LlamaAuthTokenSource {sources}")) + everywhere(httpd, path)
        return text + "Action la-header /header/x virtual\n<Location /both/to-header>\nSetHandler la-header\n</Location>\n"

    modules = ("actions",)

    @pytest.fixture(scope="class")
    def api(self, httpd):
        return Api(httpd, ready="/both")

    def test_other_sources(self, api, prover):
        token = prover.token()
        proof = prover.proof("GET", api.origin + "/header", token)
        for path, fields, sent in (("/header", [("X-Token", token)], "/header"), ("/query", [], f"/query?t={token}")):
            response = api.httpd.get(sent, headers=[*fields, ("DPoP", proof)], host=api.origin.split("://")[1])
            refused(response)

    def test_one_token_in_two_sources(self, api, prover):
        token = prover.token()
        held(api.call("/both", prover, token=token, headers=[("X-Token", token)]))
        refused(api.send("/both", token, headers=[("X-Token", token)]))
        response = api.call("/both", prover, token=token, headers=[("X-Token", prover.token())])
        assert response.status == 400

    def test_a_section_that_takes_it_from_elsewhere(self, api, prover):
        """The caller by DPoP is not taken for the caller of a bare token."""
        token = prover.token()
        held(api.call("/both/x", prover, token=token, headers=[("X-Token", token)]))
        response = api.call("/both/to-header", prover, token=token, headers=[("X-Token", token)])
        refused(response)


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is missing")
class TestHttp2:
    modules = ("http2",)

    @staticmethod
    def configure(httpd):
        return ("Protocols h2c http/1.1\n" + idps(httpd, idp=["Binding dpop"]) + quota("n", "Requests 100/1h") +
                location("/h2", "idp", lines=("Require valid-user", "LlamaAuthQuotaUse n")) + everywhere(httpd, "/h2") +
                everywhere(httpd, "/open") + "<Location /counted>\nLlamaAuthQuotaUse n\n</Location>\n" + everywhere(httpd, "/counted"))

    @pytest.fixture(scope="class")
    def api(self, httpd):
        return Api(httpd, ready="/h2")

    @staticmethod
    def curl(api, how, path, fields=(), method="GET"):
        command = ["curl", "-s", "-i", how, "--max-time", "20", "--noproxy", "*", "-X", method, api.origin + path]
        words = (word for name, value in fields for word in ("-H", f"{name}: {value}"))
        return subprocess.run([*command, *words], stdout=subprocess.PIPE, timeout=30, check=True).stdout.decode()

    def test_upgrade(self, api, prover):
        """httpd would serve such a request twice, and the proof would be seen before."""
        token = prover.token()
        fields = api.fields(token, [prover.proof("GET", api.origin + "/h2/x", token)])
        assert self.curl(api, "--http2", "/open/x").startswith("HTTP/1.1 101")  # this httpd does it
        before = int(api.call("/h2/x", prover).header("x-ratelimit-remaining-requests"))
        answer = self.curl(api, "--http2", "/h2/x", fields)
        assert answer.startswith("HTTP/1.1 200") and f"x-ratelimit-remaining-requests: {before - 1}\r\n" in answer
        assert self.curl(api, "--http2", "/h2/x", fields).startswith("HTTP/1.1 401")
        assert self.curl(api, "--http2", "/counted/x").startswith("HTTP/1.1 200")

    def test_http2(self, api, prover):
        def ask(token, *proofs, method="GET"):
            return self.curl(api, "--http2-prior-knowledge", "/h2/x?a=b", api.fields(token, proofs), method)
        token = prover.token()
        proof = prover.proof("GET", api.origin + "/h2/x", token)
        assert ask(token, proof).startswith("HTTP/2 200")
        for said in (ask(token, proof), ask(token), ask(token, prover.proof("GET", api.origin + "/h2/x", token), proof),
                     ask(token, prover.proof("POST", api.origin + "/h2/x", token))):
            assert said.startswith("HTTP/2 401") and 'www-authenticate: DPoP error="invalid_dpop_proof"' in said, said
