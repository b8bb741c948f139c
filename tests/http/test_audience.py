"""Where LlamaAuthResource holds, tokens are for it (spec section 9), whoever asked first and wherever the verdict comes from."""

import itertools

import pytest

from configs import everywhere, location
from conftest import new_token
from introspector import Introspector
from keyserver import accepted, jwt, key_server, rejected
from redis_server import Redis
from server import Httpd
from signer import claims, key

RESOURCE = "https://api.example.com/mcp"
PLACES = {"/plain": (), "/mcp": (f"LlamaAuthResource {RESOURCE}",), "/other": ("LlamaAuthResource https://api.example.com/other",)}

# aud: where a token of it is accepted by `jwt` with the default audience, with an Audience line, and with none
AUDIENCES = {
    "llama-stack": ("/plain", "", "/plain"),
    RESOURCE: ("/mcp", "/mcp", "/plain /mcp"),
    "HTTPS://API.EXAMPLE.COM:443/mcp": ("/mcp", "/mcp", "/plain /mcp"),
    "https://api.example.com/mcp/": ("", "", "/plain"),
    "own": ("", "/plain /mcp /other", "/plain"),
    ("x", RESOURCE): ("/mcp", "/mcp", "/plain /mcp"),
}
PROVIDERS = {"default": (), "line": ("Audience own",), "none": ("Audience none",)}


def sections(httpd, kinds):
    return "".join(location(f"/{kind}{place}", kind, lines=(*lines, "LlamaAuthForwardToken off", "Require valid-user")) +
                   everywhere(httpd, f"/{kind}{place}") for kind in kinds for place, lines in PLACES.items())


# Pages of /default/plain that lead to another place: what to ask for, and how it leads there.
WAYS = {"rewritten": "RewriteRule ^/default/plain/rewritten/(.*)$ /default/$1 [PT]\n",
        "redirected": "<Location /default/plain/redirected>\nRewriteEngine On\nRewriteCond %{REQUEST_URI} redirected/(.*)\nRewriteRule ^ /default/%1 [L]\n</Location>\n"}


class TestJwt:
    modules = ("rewrite", "include")
    expected = ("unable to include",)

    @staticmethod
    def configure(httpd):
        uri = f"JwksUri {key_server(httpd).put_keys(key('ES256'))}"
        httpd.write("htdocs/default/page.shtml", "".join(f'<!--#include virtual="/default{place}" -->|' for place in PLACES))
        ways = "".join(WAYS.values()) + f"""
<Directory {httpd.root}/htdocs/default>
    Options +Includes
    AddType text/html .shtml
    AddOutputFilter INCLUDES .shtml
</Directory>
"""
        return ("RewriteEngine On\n" + "".join(jwt(name, uri, *options) for name, options in PROVIDERS.items()) +
                location("/default/page.shtml", "default", lines=("LlamaAuthForwardToken off", "Require valid-user")) +
                sections(httpd, PROVIDERS) + ways)

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("aud, there", [("llama-stack", "/plain"), (RESOURCE, "/mcp")])
    def test_on_the_way(self, httpd, way, aud, there):
        """The caller of the place that a request comes from is nobody at the place that it is led to."""
        for place in PLACES:
            token = key("ES256").sign(claims(aud=aud))
            served = httpd.get(f"/default/plain/{way}{place}", token=token).status == 200
            assert served == (place == there and (way == "rewritten" or there == "/plain"))

    def test_included(self, httpd):
        body = httpd.get("/default/page.shtml", token=key("ES256").sign(claims())).body.decode()
        assert [part == "ok\n" for part in body.split("|")[:3]] == [place == "/plain" for place in PLACES], body

    @pytest.mark.parametrize("kind", PROVIDERS)
    @pytest.mark.parametrize("aud", AUDIENCES, ids=str)
    def test_every_order(self, httpd, kind, aud):
        """Nothing that is remembered of one place says anything of another."""
        good = AUDIENCES[aud][list(PROVIDERS).index(kind)].split()
        for order in itertools.permutations(PLACES):
            token = key("ES256").sign(claims(aud=list(aud) if isinstance(aud, tuple) else aud))
            for place in order * 2:
                (accepted if place in good else rejected)(httpd.get(f"/{kind}{place}", token=token))
            assert httpd.get(f"/{kind}{order[0]}", token=token).note("cache") == ("hit" if order[0] in good else "negative")

    def test_log(self, httpd):
        mark = httpd.log.mark()
        rejected(httpd.get("/line/mcp", token=key("ES256").sign(claims())))
        assert f'aud is "llama-stack", expected one of: {RESOURCE} own' in httpd.log.await_line("LA0026", mark).text


def issuer(httpd):
    if "issuer" not in httpd.endpoints:
        httpd.endpoints["issuer"] = Introspector()
        httpd.endpoints["issuer"].public = {None}
    return httpd.endpoints["issuer"]


def introspection(httpd, kind, *options):
    return "\n    ".join([f"<LlamaAuthProvider {kind} introspection>", f"Endpoint {issuer(httpd).at()}", "ClientAuth none", "Breaker off",
                          *options]) + "\n</LlamaAuthProvider>\n"


class TestIntrospection:
    @staticmethod
    def configure(httpd):
        return introspection(httpd, "any") + introspection(httpd, "line", "Audience own") + sections(httpd, ("any", "line"))

    @pytest.mark.parametrize("kind, aud, good", [
        ("any", None, "/plain"), ("any", "else", "/plain"), ("any", RESOURCE, "/plain /mcp"), ("any", ["else", RESOURCE], "/plain /mcp"),
        ("line", None, ""), ("line", "own", "/plain /mcp /other"), ("line", RESOURCE, "/mcp"), ("line", "else", "")])
    def test_every_order(self, httpd, kind, aud, good):
        for order in itertools.permutations(PLACES):
            token = issuer(httpd).issue(new_token(), **({"aud": aud} if aud else {}))
            for place in order * 2:
                response = httpd.get(f"/{kind}{place}", token=token)
                assert response.status == (200 if place in good.split() else 401), response


def test_second_level():
    """An acceptance of one machine and place serves another machine at no other place."""
    redis = Redis()
    servers = [Httpd(), Httpd()]
    try:
        for httpd in servers:
            httpd.write("conf/secret", "0123456789abcdef0123456789abcdef0123456789")
            text = introspection(servers[0], "any")
            httpd.configure(f"LlamaAuthCacheShared redis://127.0.0.1:{redis.port} timeout=1s connect_timeout=1s\n"
                            "LlamaAuthCacheSecret file:conf/secret\n" + text + sections(httpd, ("any",)))
            httpd.start()
        token = issuer(servers[0]).issue(new_token(), aud="else")
        accepted(servers[0].get("/any/plain", token=token))
        assert servers[1].get("/any/mcp", token=token).status == 401
        assert servers[1].get("/any/plain", token=token).note("cache") == "shared"
        assert servers[0].get("/any/mcp", token=token).status == 401
    finally:
        wrong = [line for httpd in servers for line in httpd.stop()]
        for httpd in servers:
            httpd.remove()
        redis.remove()
    assert not wrong
