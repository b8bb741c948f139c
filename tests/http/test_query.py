"""Tokens in query strings: seen by nobody who logs or shows requests, and by handlers only where LlamaAuthForwardToken lets them."""

import re

import pytest

from behaviour import reply
from callers import BEARER, key_of, write_callers
from conftest import every_mpm
from errorlog import await_until

K = key_of("full")
TELL = """#!/bin/sh
printf 'Content-Type: text/plain\\n\\n'
env | grep -v '^HTTP_\\(COOKIE\\|HOST\\)'
"""
SECTION = f"""    {BEARER}
    LlamaAuthTokenSource Authorization query:t query:access_token
    Require valid-user
"""


def tree(httpd, name, switch):
    """Ways to a handler below /name/, and what the handlers are told."""
    backend = f"http://127.0.0.1:{httpd.endpoint('backend').port}"
    for path in ("cgi/x.cgi", "index/index.cgi", "fallback/x.cgi", "rewritten/x.cgi", "error/x.cgi", "sub/x.cgi"):
        httpd.write(f"htdocs/{name}/{path}", TELL).chmod(0o755)
    httpd.write(f"htdocs/{name}/sub/page.shtml", f'<!--#include virtual="/{name}/sub/x.cgi" -->')
    return f"""
<Location /{name}>
{SECTION}
    LlamaAuthForwardToken {switch}
</Location>
<Location /{name}/proxy>
    ProxyPass "{backend}/{name}"
</Location>
<Location /{name}/nocanon>
    ProxyPass "{backend}/{name}" nocanon
</Location>
<Location /{name}/down>
    ProxyPass "http://127.0.0.1:1/"
</Location>
<Location /{name}/denied>
    Require all denied
    ErrorDocument 403 /{name}/error/x.cgi
</Location>
<Location /{name}/error/>
    ErrorDocument 404 /{name}/error/x.cgi
</Location>
<Directory "{httpd.root}/htdocs/{name}/index">
    DirectoryIndex index.cgi
</Directory>
<Directory "{httpd.root}/htdocs/{name}/fallback">
    FallbackResource /{name}/fallback/x.cgi
</Directory>
<Directory "{httpd.root}/htdocs/{name}/rewritten">
    RewriteEngine on
    RewriteRule "^dir$" "/{name}/rewritten/x.cgi" [L]
    RewriteRule "^more$" "/{name}/rewritten/x.cgi?a=9" [L,QSA]
    RewriteRule "^p$" "{backend}/{name}/p" [P,L]
</Directory>
RewriteRule "^/{name}/server/(.*)$" "/{name}/rewritten/x.cgi" [PT]
RewriteRule "^/{name}/server-proxy/(.*)$" "{backend}/{name}/$1" [P]
RewriteRule "^/{name}/forbidden$" - [F]
RewriteRule "^/{name}/gone$" - [G]
RewriteRule "^/{name}/moved$" /elsewhere [R,L]
"""


def configuration(httpd):
    httpd.endpoint("backend").default = lambda peer, call: reply(200, b"{}")(peer, call)
    (httpd.root / "htdocs" / "link").symlink_to("/etc/hostname")
    httpd.write("htdocs/open/x.cgi", TELL).chmod(0o755)
    httpd.write("htdocs/broken/.htaccess", "Bogus line\n")
    httpd.write("htdocs/htaccess/x.cgi", TELL).chmod(0o755)
    httpd.write("htdocs/htaccess/.htaccess", f"{BEARER}\nLlamaAuthTokenSource query:hidden\nRequire valid-user\n")
    backend = f"http://127.0.0.1:{httpd.endpoint('backend').port}"
    return write_callers(httpd) + f"""
ScriptSock {httpd.root}/run/cgisock
ExtendedStatus On
LogFormat "%r|%q|%{{Referer}}i|%U|%f|%>s" shown
CustomLog logs/shown.log shown
ForensicLog logs/forensic.log
<Directory "{httpd.root}/htdocs">
    Options +ExecCGI +Includes -FollowSymLinks +SymLinksIfOwnerMatch
    AllowOverride All
    AddHandler cgi-script .cgi
    AddOutputFilter INCLUDES .shtml
</Directory>
RewriteEngine on
<Location /server-status>
    SetHandler server-status
</Location>
<Location /open>
    Require all granted
</Location>
<Location /open/nocanon>
    ProxyPass "{backend}/open" nocanon
</Location>
""" + tree(httpd, "on", "on") + tree(httpd, "off", "off")


# Ways to a CGI: what follows /on or /off.
WAYS = ["cgi/x.cgi", "index/", "fallback/nothing", "rewritten/dir", "rewritten/more", "server/x", "error/nothing", "denied/x",
        "sub/x.cgi", "sub/page.shtml"]
PROXIED = ["proxy/x", "nocanon/x", "rewritten/p", "server-proxy/x"]
# Answered by httpd itself, mostly before anybody is authenticated.
EARLY = ["forbidden", "gone", "moved", "down/x", "nothing", "a%2fb", "%zz", "%00", "cgi/x.cgi/..%2f..", "../../../x", "cgi"]

MODULES = ("proxy", "proxy_http", "rewrite", "include", "filter", "cgid", "status", "log_forensic")


def variables(response):
    return dict(line.split("=", 1) for line in response.body.decode().splitlines() if "=" in line)


class TestQuery:
    modules = MODULES
    expected = ("AH00037", "AH01630", "AH01114", "AH00957", "AH02454", "AH00959", "AH10244", "AH00127", "AH00135", "Bogus")

    @staticmethod
    def configure(httpd):
        httpd.secrets.add(K.encode())
        return configuration(httpd)

    @staticmethod
    def logs(httpd, mark):
        """All that the logs say once the request of that mark is in them."""
        def written():
            text = (httpd.root / "logs" / "shown.log").read_text("utf-8", "replace")
            return text if mark in text else None
        text = await_until(written, f"the access log to have {mark}")
        text += (httpd.root / "logs" / "access.log").read_text("utf-8", "replace")
        fields = (httpd.root / "logs" / "forensic.log").read_text("utf-8", "replace")
        return text + re.sub(r"Authorization:[^|\n]*", "", fields) + httpd.log.everything().decode("utf-8", "replace")

    @pytest.mark.parametrize("name", ["t", "access_token", "%74"])
    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("switch", ["on", "off"])
    def test_cgi(self, httpd, switch, way, name):
        response = httpd.get(f"/{switch}/{way}?a=1&{name}={K}&mark=cgi")
        assert response.status in (200, 403, 404), response
        seen = variables(response)
        assert K not in seen["REQUEST_URI"]
        if switch == "off":
            assert K not in response.body.decode()
        elif way in ("error/nothing", "denied/x"):
            assert K in seen["REDIRECT_QUERY_STRING"]
        elif way != "sub/page.shtml":
            assert f"{name}={K}" in seen["QUERY_STRING"] and "a=1" in seen["QUERY_STRING"]
        if way not in ("error/nothing", "denied/x"):
            assert seen["REMOTE_USER"] == "full"
        assert K not in self.logs(httpd, f"/{switch}/{way}")

    @pytest.mark.parametrize("way", PROXIED)
    @pytest.mark.parametrize("query, left", [
        (f"t={K}", ""), (f"a=1&t={K}&b=%41+c", "?a=1&b=%41+c"), (f"t={K}&t=", ""), (f"%74={K}&a=%20", "?a=%20"),
        ("a=1", "?a=1"), ("", "")])
    def test_proxy(self, httpd, way, query, left):
        backend = httpd.endpoint("backend")
        token = None if K in query else K
        for switch in ("on", "off"):
            assert httpd.get(f"/{switch}/{way}?{query}", token=token).status == 200
            path = f"/{switch}/{way[-1]}"
            whole = path + (f"?{query}" if query else "")
            assert backend.calls[-1].target.rstrip("?") == (path + left if switch == "off" else whole)
        assert K not in self.logs(httpd, f"/off/{way}")

    @pytest.mark.parametrize("switch", ["on", "off"])
    @pytest.mark.parametrize("way", EARLY)
    def test_httpds_own_answers(self, httpd, switch, way):
        httpd.get(f"/{switch}/{way}?t={K}&mark={switch}-{EARLY.index(way)}")
        assert K not in self.logs(httpd, f"mark={switch}-{EARLY.index(way)}")

    @pytest.mark.parametrize("line", [
        "GET /link?t={K}&mark=0 HTTP/1.1\r\nHost: x", "GET /broken/x?t={K}&mark=1 HTTP/1.1\r\nHost: x",
        "TRACE /on/x?t={K}&mark=2 HTTP/1.1\r\nHost: x", "OPTIONS /on/x?t={K}&mark=3 HTTP/1.1\r\nHost: x",
        "GET /on/x?t={K}&mark=4 HTTP/1.1\r\nHost: a b", "GET /on/x?t={K}&mark=5 HTTP/1.1\r\nHost: x\r\nExpect: y",
        "GET /on/x?t={K}&mark=6 HTTP/1.1", "GET /on/x?t={K}&mark=7 HTTP/7.1\r\nHost: x",
        "GET  /on/x?t={K}&mark=8  HTTP/1.1\r\nHost: x", "GET /on/x?t={K}&mark=9",
        "POST /on/x?t={K}&mark=10 HTTP/1.1\r\nHost: x\r\nContent-Length: y",
        "GET /on/x?mark=11 a?t={K} HTTP/1.1\r\nHost: x", "GET /on/x?mark=12#t={K} HTTP/1.1\r\nHost: x",
        "GET http://x/on/x?t={K}&mark=13 HTTP/1.1\r\nHost: x", "BREW /on/x?t={K}&mark=14 HTTP/1.1\r\nHost: x",
        "GET /on/x?t={K}&mark=15 HTTP/1.1\r\nHost: x\r\nBad Field: 1",
        "GET /on/x?mark=16 HTTP/1.1\r\nHost: x\r\nReferer: http://x/on?t={K}",
        "GET /on/x?mark=17 HTTP/1.1\r\nHost: x\r\nReferer: http://x/on?a=1&access_token={K}#t={K}\r\nAuthorization: Basic x",
    ])
    def test_requests_that_fail(self, httpd, line):
        with httpd.connect() as connection:
            connection.socket.sendall((line.replace("{K}", K) + "\r\nConnection: close\r\n\r\n").encode())
            connection.take_rest()
        assert K not in self.logs(httpd, re.search(r"mark=\d+", line).group())

    def test_scoreboard(self, httpd):
        """While a request is answered, and afterwards."""
        def slow(peer, call):
            page.append(httpd.get("/server-status").body.decode())
            reply(200, b"{}")(peer, call)
        page = []
        backend = httpd.endpoint("backend")
        before, backend.default = backend.default, slow
        try:
            assert httpd.get(f"/on/proxy/x?t={K}&b=2").status == 200
        finally:
            backend.default = before
        httpd.get(f"/on/%00?t={K}&b=3")
        page.append(httpd.get("/server-status").body.decode())
        assert "GET /on/proxy/x?b=2 HTTP/1.1" in page[0]
        assert K not in "".join(page)

    def test_a_parameter_of_another_sections_name_stays(self, httpd):
        seen = variables(httpd.get("/open/x.cgi?t=3&access_token=4"))
        assert seen["QUERY_STRING"] == "t=3&access_token=4"
        assert httpd.get("/open/nocanon/x?t=3&u=%41").status == 200
        assert httpd.endpoint("backend").calls[-1].target == "/open/x?t=3&u=%41"

    def test_a_redirect_to_a_directory_keeps_it(self, httpd):
        assert httpd.get(f"/on/index?a=1&t={K}").header("Location").endswith(f"/on/index/?a=1&t={K}")

    def test_names_of_an_htaccess(self, httpd):
        seen = variables(httpd.get(f"/htaccess/x.cgi?hidden={K}&mark=htaccess"))
        assert seen["REMOTE_USER"] == "full" and seen["REQUEST_URI"] == "/htaccess/x.cgi?mark=htaccess"
        lines = (httpd.root / "logs" / "access.log").read_text()
        assert K not in lines

    def test_a_question_mark_of_the_path_is_no_query(self, httpd):
        """The path that was authorized is the one that is served."""
        response = httpd.get(f"/off/proxy/y%3Ft={K[:5]}?t={K}")
        assert response.status == 200
        assert httpd.endpoint("backend").calls[-1].target == f"/off/y%3Ft={K[:5]}"


class TestCache:
    """mod_cache's keys tell query strings apart."""
    modules = ("cache", "cache_disk", "proxy", "proxy_http")

    @staticmethod
    def configure(httpd):
        httpd.write("cache/.keep", "").parent.chmod(0o777)
        httpd.endpoint("backend").default = lambda peer, call: reply(200, call.target.encode(), [("Cache-Control", "max-age=60")])(peer, call)
        return write_callers(httpd) + f"""
CacheRoot "{httpd.root}/cache"
CacheEnable disk /
<Location /private>
{SECTION}
</Location>
ProxyPass /open "http://127.0.0.1:{httpd.endpoint("backend").port}"
"""

    def test_keys(self, httpd):
        for _ in range(2):
            for query in ("?t=1", "?t=2", "?t=2&a=1", ""):
                assert httpd.get("/open/x" + query).body.decode() == "/x" + query


class TestForwardProxy:
    """The path of a forward proxy's request is a whole URL, and logged as one."""
    modules = ("proxy", "proxy_http")

    @staticmethod
    def configure(httpd):
        httpd.secrets.add(K.encode())
        httpd.endpoint("backend").default = lambda peer, call: reply(200, b"{}")(peer, call)
        return write_callers(httpd) + f'ProxyRequests On\n<Proxy "*">\n{SECTION}</Proxy>\nCustomLog logs/access.log "%U %f %q"\n'

    def test_logged_without_the_token(self, httpd):
        assert httpd.get(httpd.endpoint("backend").url(f"/p/x?n=1&t={K}")).status == 200
        assert httpd.endpoint("backend").calls[-1].target == f"/p/x?n=1&t={K}"
        assert all(K not in line for line in httpd.logged("/p/x", 2))


@every_mpm
class TestEveryMpm:
    modules = ("proxy", "proxy_http", "status")

    @staticmethod
    def configure(httpd):
        httpd.secrets.add(K.encode())
        httpd.endpoint("backend").default = lambda peer, call: reply(200, b"{}")(peer, call)
        return write_callers(httpd) + f"""
<Location /p>
{SECTION}
    LlamaAuthForwardToken off
    ProxyPass "http://127.0.0.1:{httpd.endpoint("backend").port}/p"
</Location>
"""

    def test_token(self, httpd):
        with httpd.connect() as connection:
            for number in range(3):
                assert connection.get(f"/p/x?n={number}&t={K}").status == 200
                assert httpd.endpoint("backend").calls[-1].target == f"/p/x?n={number}"
                assert connection.get(f"/p/x?n={number}&u={K[:6]}").status == 401
        assert all(K not in line for line in httpd.logged("/p/x", 6))
