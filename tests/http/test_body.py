"""Bodies that a rule reads reach the handler byte for byte, whatever they come in and whoever takes them."""

import hashlib
import json
import subprocess

import pytest

from client import build
from conftest import every_mpm
from fastcgi import FastCgi
from test_model import Backend, JSON, PROVIDER, callers, chunked, place

KB = 1024
SIZES = (0, 1, 8000, 70 * KB, 256 * KB - 60, 256 * KB, 300 * KB, 3 * KB * KB)


def body_of(size):
    """A body whose bytes are all different in their place."""
    pad = "".join(f"{i:07x}," for i in range(size // 8 + 1))[:size]
    return json.dumps({"pad": pad, "model": "gpt-4"}).encode()


CGI = """#!/usr/bin/python3
import hashlib, os, sys
body = sys.stdin.buffer.read()
print("Content-Type: text/plain\\n")
print(len(body), hashlib.sha256(body).hexdigest(), os.environ.get("CONTENT_LENGTH"))
"""


def digest(body):
    return f"{len(body)} {hashlib.sha256(body).hexdigest()}"


@every_mpm
class TestWays:
    modules = ("proxy", "proxy_http", "proxy_fcgi", "cgi", "cgid", "rewrite")

    @staticmethod
    def configure(httpd):
        callers(httpd)
        httpd.modules = tuple(m for m in httpd.modules if m != ("cgid" if httpd.mpm == "prefork" else "cgi"))
        sock = f"ScriptSock {httpd.root}/run/cgisock\n" if httpd.mpm != "prefork" else ""
        backend = httpd.endpoints["backend"] = Backend()
        httpd.fcgi = FastCgi()
        httpd.write("htdocs/cgi/read.cgi", CGI).chmod(0o755)
        httpd.write("htdocs/deep/.htaccess", "RewriteEngine On\nRewriteRule ^x$ /own/rewritten\n")
        httpd.write("htdocs/deep/y", "y\n")
        rule = "RequireModel attribute:models"
        return (PROVIDER + sock + place("/own", rule, backend=backend) + place("/cgi", rule, "SetHandler cgi-script", "Options ExecCGI") +
                place("/fcgi", rule, f"ProxyPass fcgi://127.0.0.1:{httpd.fcgi.port}/") +
                f'<Directory "{httpd.root}/htdocs/deep">\nAllowOverride FileInfo\n</Directory>\n' + place("/deep", rule))

    def send(self, httpd, path, body, way):
        fields = [JSON, ("Transfer-Encoding", "chunked")] if way == "chunked" else [JSON]
        return httpd.request("POST", path, token=httpd.keys["alice"], headers=fields, body=chunked(body, 5000) if way == "chunked" else body)

    @pytest.mark.parametrize("way", ["length", "chunked"])
    @pytest.mark.parametrize("size", SIZES)
    def test_proxy_http(self, httpd, size, way):
        backend = httpd.endpoints["backend"]
        backend.take()
        body = body_of(size)
        assert self.send(httpd, "/own/x", body, way).status == 200
        call, = backend.take()
        assert digest(call.body) == digest(body)

    @pytest.mark.parametrize("way", ["length", "chunked"])
    @pytest.mark.parametrize("size", SIZES)
    def test_cgi(self, httpd, size, way):
        body = body_of(size)
        response = self.send(httpd, "/cgi/read.cgi", body, way)
        assert response.status == 200
        assert response.body.decode().startswith(digest(body) + " ")

    @pytest.mark.parametrize("size", SIZES)
    def test_proxy_fcgi(self, httpd, size):
        body = body_of(size)
        assert self.send(httpd, "/fcgi/x", body, "length").status == 200
        assert digest(httpd.fcgi.server.calls[-1][1]) == digest(body)

    @pytest.mark.parametrize("size", SIZES)
    def test_internal_redirect(self, httpd, size):
        backend = httpd.endpoints["backend"]
        backend.take()
        body = body_of(size)
        assert self.send(httpd, "/deep/x", body, "length").status == 200
        call, = backend.take()
        assert (call.target, digest(call.body)) == ("/own/rewritten", digest(body))

    def test_expect_continue(self, httpd):
        with httpd.connect() as connection:
            body = body_of(100)
            connection.send(build("POST", "/own/x", token=httpd.keys["alice"],
                                  headers=[JSON, ("Content-Length", str(len(body))), ("Expect", "100-continue")]))
            assert connection.take_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
            connection.send(body)
            assert connection.read("POST").status == 200
        call, = httpd.endpoints["backend"].take()[-1:]
        assert call.body == body

    def test_pipelined(self, httpd):
        """What follows a body belongs to the next request."""
        with httpd.connect() as connection:
            body = body_of(9000)
            one = build("POST", "/own/x", token=httpd.keys["alice"], headers=[JSON], body=body)
            connection.send(one + one.replace(b"gpt-4", b"xpt-4") + one)
            assert [connection.read("POST").status for _ in range(3)] == [200, 403, 200]

    def test_broken_chunks(self, httpd):
        with httpd.connect() as connection:
            connection.send(build("POST", "/own/x", token=httpd.keys["alice"], headers=[JSON, ("Transfer-Encoding", "chunked")]) + b"zz\r\n")
            assert connection.read("POST").status == 400

    def test_client_that_leaves(self, httpd):
        with httpd.connect() as connection:
            connection.send(build("POST", "/own/x", token=httpd.keys["alice"], headers=[JSON, ("Content-Length", "100")]) + b'{"model"')
        httpd.log.await_line("LA0282")

    def test_no_file_stays(self, httpd):
        assert self.send(httpd, "/own/x", body_of(KB * KB), "length").status == 200
        names = subprocess.run(["ls", "/tmp"], capture_output=True, text=True, check=True).stdout
        assert "llama_auth." not in names


class TestHttp2:
    modules = ("proxy", "proxy_http", "http2")

    @staticmethod
    def configure(httpd):
        callers(httpd)
        backend = httpd.endpoints["backend"] = Backend()
        return PROVIDER + "Protocols h2c http/1.1\n" + place("/own", "RequireModel attribute:models", backend=backend)

    def curl(self, httpd, body, *more):
        done = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "-w", "%{http_code}", "-o", "/dev/null", "-H", "Content-Type: application/json",
                               "-H", f"Authorization: Bearer {httpd.keys['alice']}", *more, "--data-binary", "@-", f"http://127.0.0.1:{httpd.port}/own/x"],
                              input=body, capture_output=True, check=True, timeout=30)
        return int(done.stdout)

    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("length", [True, False], ids=["length", "no length"])
    def test_body(self, httpd, size, length):
        backend = httpd.endpoints["backend"]
        backend.take()
        body = body_of(size)
        assert self.curl(httpd, body, *([] if length else ["-H", "Transfer-Encoding: chunked", "-H", "Content-Length:"])) == 200
        call, = backend.take()
        assert digest(call.body) == digest(body)

    def test_refused(self, httpd):
        assert self.curl(httpd, b'{"model": "claude"}') == 403
        assert self.curl(httpd, b'{"model": "gpt-4", "model": "x"}') == 400
