"""mod_cache, which knows of one credential, the Authorization field."""

import pytest

from callers import BEARER, key_of, write_callers
from signing import signer_section

BARE = key_of("bare")


@pytest.mark.parametrize("quick", ["on", "off"])
class TestCachesOfOthers:
    """mod_cache keeps no answer to a caller whose token it cannot see."""
    SOURCES = {"header": lambda key: {"headers": [("X-Api-Key", key)]}, "cookie": lambda key: {"headers": [("Cookie", f"session={key}")]},
               "query": lambda key: {"query": f"?access_token={key}"}, "off": lambda key: {"token": key}, "unset": lambda key: {"token": key},
               "signed": lambda key: {"token": key},
               "index": lambda key: {"headers": [("X-Api-Key", key)]}, "inner": lambda key: {"headers": [("X-Api-Key", key)]}}

    @pytest.fixture
    def caching(self, bare, quick):
        bare.modules += ("cache", "cache_disk", "cgid", "rewrite")
        httpd = bare
        (httpd.root / "cache").mkdir()
        (httpd.root / "cache").chmod(0o777)
        sections = {"header": "LlamaAuthTokenSource header:x-api-key", "cookie": "LlamaAuthTokenSource cookie:session",
                    "query": "LlamaAuthTokenSource query:access_token", "off": "LlamaAuthForwardToken off",
                    "signed": "LlamaAuthForward Authorization assertion:internal",
                    "unset": "RequestHeader unset Authorization", "index": "LlamaAuthTokenSource header:x-api-key",
                    "inner": "LlamaAuthTokenSource header:x-api-key\n RewriteEngine On\n RewriteRule ^.*$ /public/page.cgi [L]"}
        for name in [*sections, "public"]:
            how = "public, max-age=60" if name == "signed" else "max-age=60"  # of a field Authorization mod_cache knows, and `public` frees it
            httpd.write(f"htdocs/{name}/page.cgi", f'#!/bin/sh\nprintf "Content-Type: text/plain\\nCache-Control: {how}\\n\\nfor $REMOTE_USER"\n').chmod(0o755)
        text = write_callers(httpd) + signer_section(httpd) + f"""
ScriptSock cgisock
CacheRoot "{httpd.root}/cache"
CacheEnable disk /
CacheQuickHandler {quick}
<Directory "{httpd.root}/htdocs">
    Options +ExecCGI +FollowSymLinks
    AddHandler cgi-script .cgi
    DirectoryIndex page.cgi
</Directory>
<Directory "{httpd.root}/htdocs/index">
    <Files page.cgi>
        AuthType None
        RequireScope none
        Require all granted
    </Files>
</Directory>
"""
        for name, line in sections.items():
            text += f'<Directory "{httpd.root}/htdocs/{name}">\n {BEARER}\n {line}\n RequireScope a\n Require valid-user\n</Directory>\n'
        httpd.configure(text)
        httpd.start()
        return httpd

    @staticmethod
    def ask(httpd, name, key):
        how = TestCachesOfOthers.SOURCES[name](key)
        path = {"index": "/index/", "inner": "/inner/any"}.get(name, f"/{name}/page.cgi")
        return httpd.get(path + how.pop("query", ""), **how)

    @pytest.mark.parametrize("name", SOURCES)
    def test_nobody_gets_the_answer_of_another(self, caching, name):
        full = self.ask(caching, name, key_of("full"))
        assert full.status == 200
        caching.logged(f" /{name}/", 1)  # by now it would be stored
        assert self.ask(caching, name, key_of("some")).body in (b"for some", b"for ")
        path = {"index": "/index/", "inner": "/inner/any"}.get(name, f"/{name}/page.cgi")
        assert caching.get(path).status == 401
        assert self.ask(caching, name, BARE).status == 403

    def test_an_open_page_is_kept(self, caching):
        for _ in range(2):
            assert caching.get("/public/page.cgi").status == 200
            caching.logged(" /public/", 1)
        assert list((caching.root / "cache").rglob("*.data"))
