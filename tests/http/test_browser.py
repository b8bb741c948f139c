"""Pages of other origins in headless Chromium: what LlamaAuthCors lets them read, what RequireOrigin lets them send, and an MCP client
that finds everything by itself and connects."""

import pytest

from callers import BEARER, key_of, write_callers
from errorlog import await_until
from test_clients import McpServer
from web_page import WebPage

HINT = "Authentication required. Please provide your API key as a Bearer token in the Authorization header"

CONFIG = """
<LlamaAuthProvider idp jwt>
    Issuer {issuer}
    Audience {url}
    PrincipalClaim client_id
</LlamaAuthProvider>
<Location "/mcp">
    AuthType Bearer
    AuthName mcp
    LlamaAuthUse idp
    LlamaAuthResource {url} models.read
    LlamaAuthForward X-Auth-User-Id principal
    LlamaAuthForwardToken off
    LlamaAuthCors {origin}
    RequireOrigin {origin}
    Require valid-user
    ProxyPass "http://127.0.0.1:{mcp}/mcp" flushpackets=on
</Location>
<Location "/.well-known/oauth-protected-resource/mcp">
    SetHandler llama-auth-metadata
    LlamaAuthUse idp
    LlamaAuthResource {url} models.read
    Require all granted
</Location>
<Location "/api">
    {bearer}
    LlamaAuthCors {origin}
    Require valid-user
</Location>
<Location "/closed">
    {bearer}
    Require valid-user
</Location>
"""


class TestBrowser:
    modules = ("proxy", "proxy_http")
    needs_idp = True

    @staticmethod
    def configure(httpd):
        page, mcp = httpd.endpoints["page"], httpd.endpoints["mcp"] = WebPage(), McpServer()
        httpd.endpoints["other"] = WebPage()
        for place in ("api", "closed"):
            httpd.write(f"htdocs/{place}/x.txt", "text")
        return write_callers(httpd) + CONFIG.format(issuer=httpd.idp.issuer, url=f"http://127.0.0.1:{httpd.port}/mcp", origin=page.origin,
                                                    mcp=mcp.port, bearer=BEARER)

    @staticmethod
    def run(chromium, call, *arguments):
        """What a function of the page returned; None when the page is left meanwhile."""
        script = f"const done = arguments[arguments.length - 1]; {call}(...[...arguments].slice(0, -1)).then(done)"
        return chromium.execute_async_script(script, *arguments)

    def ask(self, httpd, chromium, page, path, **options):
        chromium.get(httpd.endpoints[page].origin + "/")
        return self.run(chromium, "ask", f"http://127.0.0.1:{httpd.port}{path}", options)

    def test_reads_the_refusal(self, httpd, chromium):
        answer = self.ask(httpd, chromium, "page", "/api/x.txt")
        assert answer["status"] == 401 and HINT in answer["body"]
        assert answer["headers"]["www-authenticate"].startswith("Bearer realm=")

    def test_reads_the_answer_after_a_preflight(self, httpd, chromium):
        answer = self.ask(httpd, chromium, "page", "/api/x.txt", headers={"Authorization": f"Bearer {key_of('full')}"})
        assert (answer["status"], answer["body"]) == (200, "text")

    @pytest.mark.parametrize("page, path", [("other", "/api/x.txt"), ("page", "/closed/x.txt"), ("other", "/mcp")])
    def test_reads_nothing(self, httpd, chromium, page, path):
        assert self.ask(httpd, chromium, page, path) == {"error": "TypeError"}

    def test_finds_its_way_and_connects(self, httpd, chromium):
        page, url = httpd.endpoints["page"].origin, f"http://127.0.0.1:{httpd.port}/mcp"
        chromium.get(page + "/")
        assert self.run(chromium, "run", url) == {"left": True}
        await_until(lambda: chromium.current_url.startswith(page + "/callback"), "the browser to come back")
        assert self.run(chromium, "run", url) == {"tools": ["whoami"], "said": "page no token"}
