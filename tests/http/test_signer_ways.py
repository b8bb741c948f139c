"""Where an assertion goes: redirects, included pages, scripts, other kinds of backends; and that it ends with the caller's token."""

import json
import time

import pytest

from callers import BEARER, PROVIDER, key_of, write_callers
from client import build
from conftest import every_mpm
from behaviour import render
from fastcgi import FastCgi
from server import key_entry
from signer import claims, fresh_key, key_set
from signing import JWKS, KNOWN, backend_of, bearer, last_call, payload_of, signer_section, values, verify


@every_mpm
class TestElsewhere:
    """What comes of a request that had an assertion has it no more, nor the token whose place it took."""

    modules = ("proxy", "proxy_http", "include", "cgi", "cgid", "filter", "rewrite")
    notes = False

    @staticmethod
    def configure(httpd):
        httpd.modules = tuple(m for m in httpd.modules if m != ("cgid" if httpd.mpm == "prefork" else "cgi"))
        backend, other = backend_of(httpd), backend_of(httpd, "other")
        httpd.endpoint("backend").default = lambda peer, call: peer.send(
            render(502, b"no", []) if "fail" in call.target
            else render(200, b'<!--#include virtual="/other/x" --><!--#include virtual="/cgi/env.cgi" -->', [("Content-Type", "text/html")]))
        httpd.write("htdocs/cgi/env.cgi", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nenv\n").chmod(0o755)
        httpd.write("htdocs/signed/env.cgi", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nenv\n").chmod(0o755)
        sock = f"ScriptSock {httpd.root}/run/cgisock\n" if httpd.mpm != "prefork" else ""
        places = "".join(f"<Location /{name}>\n{KNOWN}LlamaAuthForward {header} assertion:internal\nOptions +Includes\n"
                         f"SetOutputFilter INCLUDES\nErrorDocument 502 /{to}\n</Location>\nProxyPass /{name} {backend}/{name}\n"
                         for name, header, to in (("a", "Authorization", "other/x"), ("b", "X-Assertion", "other/x"),
                                                  ("c", "Authorization", "cgi/env.cgi"), ("d", "X-Assertion", "cgi/env.cgi")))
        return write_callers(httpd) + signer_section(httpd) + sock + f"""
ProxyErrorOverride On
RewriteEngine on
RewriteRule ^/(signed|cgi)/ - [E=HTTP_AUTHORIZATION:%{{HTTP:Authorization}}]
{places}
<Location /other>
    Require all granted
</Location>
ProxyPass /other {other}
<Directory "{httpd.root}/htdocs">
    Options +ExecCGI
    AddHandler cgi-script .cgi
    CGIPassAuth On
    Require all granted
</Directory>
<Location /signed>
    {KNOWN}
    LlamaAuthForward Authorization assertion:internal
    LlamaAuthForward X-Assertion assertion:internal
    ErrorDocument 404 /cgi/env.cgi
</Location>
<Location /signed/moved>
    Redirect 404 /signed/moved
</Location>
"""

    @pytest.mark.parametrize("name", "abcd")
    @pytest.mark.parametrize("what", ["fail", "include"])
    def test_elsewhere(self, httpd, name, what):
        calls = len(httpd.endpoint("other").calls)
        response = httpd.get(f"/{name}/{what}", token=key_of("full"))
        [assertion] = values(last_call(httpd), "X-Assertion" if name in "bd" else "Authorization")
        assert payload_of(assertion)["sub"] == "full"
        others = httpd.endpoint("other").calls[calls:]
        assert len(others) == (what == "include" or name in "ab")
        assert [value for call in others for _, value in call.headers if "eyJ" in value] == [] and b"eyJ" not in response.body
        if name in "ac":
            assert key_of("full") not in str([call.headers for call in others]) and key_of("full").encode() not in response.body
        assert what == "fail" and name in "ab" or b"GATEWAY_INTERFACE" in response.body

    def test_script(self, httpd):
        """With CGIPassAuth a script sees the assertion, whatever copied the client's field before."""
        said = dict(line.split("=", 1) for line in httpd.get("/signed/env.cgi", token=key_of("full")).body.decode().splitlines() if "=" in line)
        assert payload_of(said["HTTP_AUTHORIZATION"]) == payload_of(said["HTTP_X_ASSERTION"]) and key_of("full") not in str(said)

    def test_error_page(self, httpd):
        response = httpd.get("/signed/moved", token=key_of("full"))
        assert response.status == 404 and b"GATEWAY_INTERFACE" in response.body
        assert b"eyJ" not in response.body and key_of("full").encode() not in response.body


class TestForwardProxy:
    """Its client says where the request goes."""

    modules = ("proxy", "proxy_http")

    @staticmethod
    def configure(httpd):
        backend_of(httpd)
        return write_callers(httpd) + signer_section(httpd) + ("ProxyRequests On\n<Proxy *>\nLlamaAuthForward Authorization assertion:internal\n"
                                                              f"LlamaAuthForward X-Assertion assertion:internal\n{KNOWN}</Proxy>\n")

    def test_none(self, httpd):
        url = httpd.endpoint("backend").url("/x")
        with httpd.connect() as connection:
            connection.send(build("GET", "/x", [("Proxy-Authorization", f"Bearer {key_of('full')}"), ("Authorization", "Basic eA==")])
                            .replace(b"GET /x", f"GET {url}".encode()))
            assert connection.read().status == 200
        assert [value for _, value in last_call(httpd).headers if "ey" in value or "Basic" in value] == []


class TestFastCgi:
    modules = ("proxy", "proxy_fcgi", "setenvif")

    @classmethod
    def setup_class(cls):
        cls.fcgi = FastCgi()

    @classmethod
    def teardown_class(cls):
        cls.fcgi.stop()

    @classmethod
    def configure(cls, httpd):
        text = write_callers(httpd) + signer_section(httpd) + "SetEnvIf Authorization (.*) HTTP_AUTHORIZATION=$1\n"
        for name, more in (("off", "CGIPassAuth Off"), ("on", "CGIPassAuth On")):
            text += (f"<Location /{name}>\n{KNOWN}{more}\nLlamaAuthForward Authorization assertion:internal\n"
                     f"LlamaAuthForward X-Assertion assertion:internal\nProxyPass fcgi://127.0.0.1:{cls.fcgi.port}/\n</Location>\n")
        return text

    @pytest.mark.parametrize("name", ["off", "on"])
    def test_sent(self, httpd, name):
        assert httpd.get(f"/{name}/x", token=key_of("full")).status == 200
        [assertion] = self.fcgi.all("HTTP_X_ASSERTION")
        assert payload_of(assertion)["sub"] == "full"
        assert self.fcgi.all("HTTP_AUTHORIZATION") == ([f"Bearer {assertion}"] if name == "on" else [])


class TestEnd:
    """`exp` is never past the caller's own token and its Leeway, whatever the verdict comes from."""

    modules = ("proxy", "proxy_http")
    processes = 1
    LEEWAY = 7

    @classmethod
    def configure(cls, httpd):
        cls.issuer = fresh_key()
        httpd.write("conf/jwks.json", json.dumps(key_set(cls.issuer)))
        now = int(time.time())
        httpd.write_keys("conf/keys.json", *(key_entry(f"key-that-ends-{seconds}-000001", f"in{seconds}", expires=time.strftime(
            "%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + seconds))) for seconds in (1800, 86400)))
        cls.ends = {seconds: now + seconds for seconds in (1800, 86400)}
        httpd.endpoint("introspection").default = cls.introspect
        return PROVIDER + f"""
<LlamaAuthProvider jwt jwt>
    JwksFile conf/jwks.json
    Leeway {cls.LEEWAY}s
    CacheTTL 5s
</LlamaAuthProvider>
<LlamaAuthProvider opaque introspection>
    Endpoint {httpd.endpoint("introspection").url("/introspect")}
    ClientAuth none
    CacheTTL 5s
    Match ^opaque
</LlamaAuthProvider>
{signer_section(httpd, more="Lifetime 1h")}{JWKS}
<Location /v1>
    {BEARER.replace("LlamaAuthUse keys", "LlamaAuthUse opaque jwt keys")}
    Require valid-user
    LlamaAuthForward Authorization assertion:internal
    ProxyPass {backend_of(httpd)}/
</Location>
"""

    @staticmethod
    def introspect(peer, call):
        token = call.body.decode().split("token=")[1].split("&")[0]
        peer.send(render(200, {"active": True, "sub": "alice", "exp": int(token.split("-")[1])}, []))

    def told(self, httpd, token):
        assert httpd.get("/v1/x", token=token).status == 200
        return verify(httpd, bearer(last_call(httpd).header("Authorization")))

    @pytest.mark.parametrize("seconds", [20, 1800])
    def test_jwt(self, httpd, seconds):
        end = int(time.time()) + seconds
        token = self.issuer.sign(claims(exp=end))
        assert [self.told(httpd, token)["exp"] for _ in range(3)] == [end + self.LEEWAY] * 3

    def test_jwt_that_has_ended(self, httpd):
        """Within the leeway it is still accepted."""
        end = int(time.time()) - 1
        assert self.told(httpd, self.issuer.sign(claims(exp=end)))["exp"] == end + self.LEEWAY

    @pytest.mark.parametrize("seconds", [20, 1800])
    def test_introspection(self, httpd, seconds):
        end = int(time.time()) + seconds
        assert [self.told(httpd, f"opaque-{end}-x")["exp"] for _ in range(3)] == [end] * 3

    def test_static(self, httpd):
        assert self.told(httpd, "key-that-ends-1800-000001")["exp"] == self.ends[1800]

    def test_longer(self, httpd):
        """A token that lives longer does not lengthen it."""
        for token in (self.issuer.sign(claims(exp=int(time.time()) + 86400)), "key-that-ends-86400-000001"):
            said = self.told(httpd, token)
            assert said["exp"] - said["iat"] == 3605

    def test_same_token_twice(self, httpd):
        """Two tokens of one caller with different ends do not share an assertion."""
        now = int(time.time())
        tokens = [self.issuer.sign({"aud": "llama-stack", "sub": "alice", "exp": now + seconds}) for seconds in (100, 200)]
        assert [self.told(httpd, token)["exp"] for token in tokens * 2] == [now + 100 + self.LEEWAY, now + 200 + self.LEEWAY] * 2


class TestOne:
    """Claim one:CATEGORY: a tenant is never guessed."""

    modules = ("proxy", "proxy_http")

    @staticmethod
    def configure(httpd):
        httpd.write_keys("conf/keys.json", *(key_entry(f"key-of-{name}-0000000001", name, {"tenant": tenants}) for name, tenants in (
            ("one", ["acme"]), ("same", ["acme", "acme"]), ("two", ["acme", "other"]), ("none", []))))
        return PROVIDER + signer_section(httpd, more="Claim one:tenant tenant\nClaim tenant tenants") + (
            f"{JWKS}<Location /v1>\n{KNOWN}LlamaAuthForward Authorization assertion:internal\nProxyPass {backend_of(httpd)}/\n</Location>\n")

    @pytest.mark.parametrize("name", ["one", "same", "none"])
    def test_told(self, httpd, name):
        assert httpd.get("/v1/x", token=f"key-of-{name}-0000000001").status == 200
        said = verify(httpd, bearer(last_call(httpd).header("Authorization")))
        assert (said.get("tenant"), said["tenants"]) == (("acme", ["acme"]) if name != "none" else (None, []))

    def test_refused(self, httpd):
        calls, mark = len(httpd.endpoint("backend").calls), httpd.log.mark()
        response = httpd.get("/v1/x", token="key-of-two-0000000001")
        assert (response.status, response.note("error")) == (403, "insufficient_attributes")
        assert response.json == {"error": {"detail": "Access denied: more than one value of attribute: tenant"}}
        assert "LlamaAuthForward Authorization assertion:internal sends one value, and the caller has acme,other" in httpd.log.await_line(
            "LA0030", mark).text
        assert len(httpd.endpoint("backend").calls) == calls
