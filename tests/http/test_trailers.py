"""With `MergeTrailers On` a trailer becomes a header field: no client speaks in the module's name by one."""

import struct

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


def chunked(path, trailers, token=None, fields=()):
    """The bytes of a request whose body ends in trailers."""
    head = [f"POST {path} HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", *(f"{name}: {value}" for name, value in fields)]
    if token:
        head.append(f"Authorization: Bearer {token}")
    lines = "".join(f"{name}: {value}\r\n" for name, value in trailers)
    return ("\r\n".join(head) + "\r\n\r\n" + f"3\r\nabc\r\n0\r\n{lines}\r\n").encode()


HEADERS, DATA, SETTINGS, END_STREAM, END_HEADERS = 1, 0, 4, 1, 4


def frame(kind, flags, content):
    return struct.pack(">I", len(content))[1:] + struct.pack(">BBI", kind, flags, 0 if kind == SETTINGS else 1) + content


def block(fields):
    """Fields as HPACK's literals that no table keeps."""
    return b"".join(b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode() for name, value in fields)


def http2(path, length, trailers):
    """The bytes of a connection with one request; `length`: its Content-Length field, or none."""
    fields = [(":method", "POST"), (":path", path), (":scheme", "http"), (":authority", "x"), ("authorization", f"Bearer {key_of('full')}"), *length]
    return (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, b"") + frame(HEADERS, END_HEADERS, block(fields)) +
            frame(DATA, 0, b"abc") + frame(HEADERS, END_HEADERS | END_STREAM, block(trailers)))


def ends(connection):
    """Reads frames until the answer ends."""
    while True:
        head = connection.take(9)
        connection.take(int.from_bytes(head[:3], "big"))
        if head[3] in (HEADERS, DATA) and head[4] & END_STREAM:
            return True


@every_mpm
class TestTrailers:
    modules = ("proxy", "proxy_http", "proxy_fcgi", "rewrite", "cgi", "cgid", "http2")

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
Protocols h2c http/1.1
<Directory "{httpd.root}/htdocs">
    Options +ExecCGI +FollowSymLinks
    AllowOverride AuthConfig FileInfo
    AddHandler cgi-script .cgi
</Directory>
<Location /fcgi>
    {forward}
    ProxyPass "fcgi://127.0.0.1:{cls.fcgi.port}/"
</Location>
<Location /hidden>
    {forward}
    LlamaAuthTokenSource header:x-api-key
    LlamaAuthForwardToken off
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
    def send(httpd, path, trailers, token=key_of("full"), fields=()):
        with httpd.connect() as connection:
            connection.send(chunked(path, trailers, token, fields))
            response = connection.read()
        assert response.status == 200, response
        return response

    @pytest.mark.parametrize("name", NAMES)
    def test_fastcgi(self, httpd, name):
        self.send(httpd, "/fcgi/x", [(name, "root")])
        assert self.fcgi.all("HTTP_X_AUTH_USER_ID") == ["full"]
        self.send(httpd, "/open/x", [(name, "root")])
        assert self.fcgi.all("HTTP_X_AUTH_USER_ID") == []

    @pytest.mark.parametrize("length", [[], [("content-length", "3")]], ids=["no length", "a length"])
    @pytest.mark.parametrize("path, told", [("/fcgi/x", ["full"]), ("/open/x", [])])
    def test_http2(self, httpd, path, told, length):
        if httpd.mpm == "prefork":
            pytest.skip("no HTTP/2 under prefork")
        calls = len(self.fcgi.calls)
        with httpd.connect() as connection:
            connection.socket.sendall(http2(path, length, [("x-auth-user-id", "root"), ("x-a", "1")]))
            assert ends(connection)
        assert len(self.fcgi.calls) == calls + 1 and self.fcgi.all("HTTP_X_AUTH_USER_ID") == told
        assert self.fcgi.all("HTTP_X_A") == ["1"]

    def test_other_trailers_stay(self, httpd):
        self.send(httpd, "/fcgi/x", [("X-A", "1"), ("X-Auth-User-Id", "root"), ("X-B", "2"), ("X-Auth-User-Id", "root")])
        assert self.fcgi.all("HTTP_X_AUTH_USER_ID") == ["full"]
        assert self.fcgi.all("HTTP_X_A") + self.fcgi.all("HTTP_X_B") == ["1", "2"]
        assert self.fcgi.calls[-1][1] == b"abc"

    def test_a_name_of_an_htaccess(self, httpd):
        self.send(httpd, "/app/x", [("X-Htaccess-User", "root"), ("X_Htaccess-User", "root")])
        assert self.fcgi.all("HTTP_X_HTACCESS_USER") == ["full"]

    @pytest.mark.parametrize("name", ["Authorization", "x-api-key", "DPoP", "Cookie", "Accept-Encoding", "Range", "If-None-Match", "Upgrade",
                                      "X-HTTP-Method-Override"])
    def test_too_late(self, httpd, name):
        """What was removed, or decided by, does not come back."""
        self.send(httpd, "/hidden/x", [("X-A", "1"), (name, "late")], token=None, fields=[("X-API-Key", key_of("full"))])
        assert self.fcgi.all("HTTP_X_A") == ["1"] and self.fcgi.all("HTTP_" + name.upper().replace("-", "_")) == []

    @pytest.mark.parametrize("trailers", [[(name, "root")] for name in NAMES] + [[("Connection", "X-Auth-User-Id")]],
                             ids=lambda trailers: ": ".join(trailers[0]))
    def test_http_and_cgi(self, httpd, trailers):
        self.send(httpd, "/http/x", trailers)
        seen = httpd.endpoint("backend").calls[-1]
        assert [v for n, v in seen.headers if n.lower().replace("_", "-").startswith("x-auth")] == ["full"]
        lines = self.send(httpd, "/cgi/x.cgi", trailers).body.decode().splitlines()
        assert [line for line in lines if "X_AUTH" in line] == ["HTTP_X_AUTH_USER_ID=full"]
