"""With `MergeTrailers On` a trailer becomes a header field: no client speaks in the module's name by one."""

import pytest

from behaviour import reply
from callers import BEARER, key_of, write_callers
from conftest import every_mpm
from fastcgi import FastCgi

NAMES = ["X-Auth-User-Id", "x-auth-user-id", "X_Auth_User_Id", "X.Auth~User-Id"]
CGI = """#!/bin/sh
printf 'Content-Type: text/plain\\n\\n'
cat >/dev/null
env
"""


def chunked(path, trailers, token=None):
    """The bytes of a request whose body ends in trailers."""
    head = [f"POST {path} HTTP/1.1", "Host: x", "Transfer-Encoding: chunked"]
    if token:
        head.append(f"Authorization: Bearer {token}")
    lines = "".join(f"{name}: {value}\r\n" for name, value in trailers)
    return ("\r\n".join(head) + "\r\n\r\n" + f"3\r\nabc\r\n0\r\n{lines}\r\n").encode()


@every_mpm
class TestTrailers:
    modules = ("proxy", "proxy_http", "proxy_fcgi", "rewrite", "cgi", "cgid")

    @classmethod
    def setup_class(cls):
        cls.fcgi = FastCgi()

    @classmethod
    def teardown_class(cls):
        cls.fcgi.stop()

    @classmethod
    def configure(cls, httpd):
        httpd.modules = tuple(m for m in httpd.modules if m != ("cgid" if httpd.mpm == "prefork" else "cgi"))
        httpd.endpoint("backend").default = lambda peer, call: reply(200, b"{}")(peer, call)
        httpd.write("htdocs/cgi/x.cgi", CGI).chmod(0o755)
        forward = f"{BEARER}\nLlamaAuthForward X-Auth-User-Id principal\nRequire valid-user\n"
        httpd.write("htdocs/app/.htaccess", f"""{BEARER}
Require valid-user
LlamaAuthForward X-Htaccess-User principal
RewriteEngine on
RewriteRule "^(.*)$" "fcgi://127.0.0.1:{cls.fcgi.port}/$1" [P]
""")
        sock = f"ScriptSock {httpd.root}/run/cgisock\n" if httpd.mpm != "prefork" else ""
        return write_callers(httpd) + sock + f"""
MergeTrailers On
<Directory "{httpd.root}/htdocs">
    Options +ExecCGI +FollowSymLinks
    AllowOverride AuthConfig FileInfo
    AddHandler cgi-script .cgi
</Directory>
<Location /fcgi>
    {forward}
    ProxyPass "fcgi://127.0.0.1:{cls.fcgi.port}/"
</Location>
<Location /open>
    Require all granted
    ProxyPass "fcgi://127.0.0.1:{cls.fcgi.port}/"
</Location>
<Location /http>
    {forward}
    ProxyPass "http://127.0.0.1:{httpd.endpoint("backend").port}/"
</Location>
<Location /cgi>
    {forward}
</Location>
"""

    @staticmethod
    def send(httpd, path, trailers, token=key_of("full")):
        with httpd.connect() as connection:
            connection.send(chunked(path, trailers, token))
            response = connection.read()
        assert response.status == 200, response
        return response

    @pytest.mark.parametrize("name", NAMES)
    def test_fastcgi(self, httpd, name):
        self.send(httpd, "/fcgi/x", [(name, "root")])
        assert self.fcgi.all("HTTP_X_AUTH_USER_ID") == ["full"]
        self.send(httpd, "/open/x", [(name, "root")])
        assert self.fcgi.all("HTTP_X_AUTH_USER_ID") == []

    def test_other_trailers_stay(self, httpd):
        self.send(httpd, "/fcgi/x", [("X-A", "1"), ("X-Auth-User-Id", "root"), ("X-B", "2"), ("X-Auth-User-Id", "root")])
        assert self.fcgi.all("HTTP_X_AUTH_USER_ID") == ["full"]
        assert self.fcgi.all("HTTP_X_A") + self.fcgi.all("HTTP_X_B") == ["1", "2"]
        assert self.fcgi.calls[-1][1] == b"abc"

    def test_a_name_of_an_htaccess(self, httpd):
        self.send(httpd, "/app/x", [("X-Htaccess-User", "root"), ("X_Htaccess-User", "root")])
        assert self.fcgi.all("HTTP_X_HTACCESS_USER") == ["full"]

    @pytest.mark.parametrize("trailers", [[(name, "root")] for name in NAMES] + [[("Connection", "X-Auth-User-Id")]],
                             ids=lambda trailers: ": ".join(trailers[0]))
    def test_http_and_cgi(self, httpd, trailers):
        self.send(httpd, "/http/x", trailers)
        seen = httpd.endpoint("backend").calls[-1]
        assert [v for n, v in seen.headers if n.lower().replace("_", "-").startswith("x-auth")] == ["full"]
        lines = self.send(httpd, "/cgi/x.cgi", trailers).body.decode().splitlines()
        assert [line for line in lines if "X_AUTH" in line] == ["HTTP_X_AUTH_USER_ID=full"]
