"""What a backend might read in another way than a rule did: trailers, queries, escapes in paths, overridden methods, members that come twice."""

import json

import pytest

from conftest import every_mpm, new_token
from server import key_entry
from test_model import Backend, JSON, PROVIDER, chunked, place, post
from test_trailers import block, ends, frame, DATA, END_HEADERS, END_STREAM, HEADERS, SETTINGS

BODY = b'{"model": "gpt-4", "+AG0-odel": "claude"}'
LATE = [("Content-Type", "application/json; charset=utf-7"), ("content-encoding", "deflate"), ("Mcp-Name", "x"), ("X-Late", "x")]

# path: status
QUERIES = {
    "model=gpt-4": 200, "%6dodel=gpt-4": 200, "a=1;b=2&model=gpt-4": 200, "model=&model=gpt-4": 400, "model&model=gpt-4": 400, "model=gpt-4&model=": 400,
    "MODEL=claude&model=gpt-4": 400, "MODEL=gpt-4": 400, "model=gpt-4;model=claude": 400, "model=gpt-4&x=1;model=claude": 400, "x;model=gpt-4": 400,
    "x;model=claude": 400, "model=gpt-4;x": 400, "model=gpt-4&mode%6c=claude": 400}
PATHS = {"/path/gpt-4": 200, "/path/a%2Fgpt-4?x=%25": 200, "/path/a%252Fgpt-4": 400, "/path/gpt-4%2F..%2Fclaude": 400, "/path/gpt-4%2F.": 400,
         "/path/gpt-4/../claude": 403, "/path/gpt-4..": 200, "/path/gpt-4%0A": 400, "/path/gpt-4%5C..%5Cclaude": 400}

# (members, what is reserved)
TOKENS = [(b'"max_tokens": 1', 1), (b'"max_tokens": 1, "max_tokens": 500', 10), (b'"max_tokens": 1, "MAX_TOKENS": 500', 10), (b'"MAX_TOKENS": 1', 10),
          (b'"max_tokens": 1, "max_completion_tokens": "500"', 10), (b'"max_tokens": 1, "max_completion_tokens": 5e2', 10),
          (b'"max_tokens": 1, "max_output_tokens": -1', 10), (b'"max_tokens": 1, "max_output_tokens": 99999999999999999999', 10)]


@every_mpm
class TestSameReading:
    modules = ("proxy", "proxy_http", "proxy_wstunnel", "rewrite", "http2")

    @staticmethod
    def configure(httpd):
        httpd.keys = {name: new_token(name) for name in ("alice", *(f"r{row}" for row in range(len(TOKENS))))}
        httpd.write_keys("conf/keys.json", *(key_entry(key, name) for name, key in httpd.keys.items()))
        backend = httpd.endpoints["backend"] = Backend()
        listed = "RequireModel gpt-* a/*"
        return (PROVIDER + "MergeTrailers on\nProtocols h2c http/1.1\nAllowEncodedSlashes NoDecode\n<LlamaAuthQuota q>\nTokens 1000/1h\nReserve 10\n</LlamaAuthQuota>\n" +
                place("/own", listed, backend=backend) + place("/small", listed, "LlamaAuthBodyLimit 1K", backend=backend) +
                place("/query", listed, "LlamaAuthModelSource query:model", backend=backend) +
                place("/path", listed, "LlamaAuthModelSource path:^/path/(.+)$", f"ProxyPass http://127.0.0.1:{backend.port}/path nocanon") +
                place("/list", listed, "LlamaAuthModelList filter", f"ProxyPass http://127.0.0.1:{backend.port}/list upgrade=websocket") +
                place("/mcp", "RequireMcp tools/list", backend=backend) + place("/tokens", listed, "LlamaAuthQuotaUse q", backend=backend) +
                place("/from", listed, "RewriteEngine On", "RewriteRule .* /small/to"))

    def test_trailers(self, httpd):
        backend = httpd.endpoints["backend"]
        backend.take()
        trailers = "".join(f"{name}: {value}\r\n" for name, value in LATE).encode()
        response = httpd.request("POST", "/own/x", token=httpd.keys["alice"], headers=[JSON, ("Transfer-Encoding", "chunked")],
                                 body=chunked(BODY)[:-2] + trailers + b"\r\n")
        assert response.status == 200
        call, = backend.take()
        assert (call.all("Content-Type"), call.all("Content-Encoding"), call.all("Mcp-Name"), call.all("X-Late")) == (["application/json"], [], [], ["x"])

    def test_trailers_of_http2(self, httpd):
        backend = httpd.endpoints["backend"]
        backend.take()
        fields = [(":method", "POST"), (":path", "/own/x"), (":scheme", "http"), (":authority", "x"), ("content-type", "application/json"),
                  ("authorization", f"Bearer {httpd.keys['alice']}")]
        with httpd.connect() as connection:
            connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, b"") + frame(HEADERS, END_HEADERS, block(fields)) + frame(DATA, 0, BODY) +
                            frame(HEADERS, END_HEADERS | END_STREAM, block([(name.lower(), value) for name, value in LATE])))
            assert ends(connection)
        call, = backend.take()
        assert (call.all("Content-Type"), call.all("Content-Encoding"), call.all("Mcp-Name"), call.body) == (["application/json"], [], [], BODY)

    @pytest.mark.parametrize("kind, coding, status", [("application/json", "chunked", 200), ("application/json", "Chunked", 200), ("a/b+json", "chunked", 200),
                                                      ("x, a/b+json", "chunked", 415), ("a b/c+json", "chunked", 415), ("/c+json", "chunked", 415),
                                                      ("application/json", "gzip, chunked", 415), ("application/json", "deflate, chunked", 415)])
    def test_types_and_codings(self, httpd, kind, coding, status):
        fields = [("Content-Type", kind), ("Transfer-Encoding", coding)]
        assert httpd.request("POST", "/own/x", token=httpd.keys["alice"], headers=fields, body=chunked(BODY)).status == status

    @pytest.mark.parametrize("query", QUERIES)
    def test_query(self, httpd, query):
        assert httpd.get("/query?" + query, token=httpd.keys["alice"]).status == QUERIES[query]

    @pytest.mark.parametrize("path", PATHS)
    def test_path(self, httpd, path):
        assert httpd.get(path, token=httpd.keys["alice"]).status == PATHS[path]

    @pytest.mark.parametrize("row", range(len(TOKENS)))
    def test_reserve(self, httpd, row):
        rest, reserved = TOKENS[row]
        response = post(httpd, "/tokens/x", b'{"model": "gpt-4", ' + rest + b"}", who=f"r{row}")
        assert (response.status, response.header("x-ratelimit-remaining-tokens")) == (200, str(1000 - reserved))

    def test_a_smaller_limit_on_the_way(self, httpd):
        body = json.dumps({"model": "gpt-4", "pad": "p" * 1024}).encode()
        response = httpd.request("POST", "/from/x", token=httpd.keys["alice"], headers=[JSON, ("Transfer-Encoding", "chunked")], body=chunked(body))
        assert (response.status, response.note("error")) == (413, "body_too_large")

    def test_no_list_is_a_tunnel(self, httpd):
        backend = httpd.endpoints["backend"]
        backend.take()
        httpd.expect("LA0284")  # what this backend answers is no list
        fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Version", "13")]
        assert httpd.get("/list/x", token=httpd.keys["alice"], headers=fields).status == 502
        call, = backend.take()
        assert call.header("Upgrade") is None

    @pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
    def test_overridden_method(self, httpd, method):
        body = b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "secret"}}'
        override = ("X-HTTP-Method-Override", "POST")
        assert post(httpd, "/mcp", body, headers=[JSON, override], method=method).status == 403
        assert post(httpd, "/mcp", body, headers=[JSON], method=method).status == 200
        assert httpd.request(method, "/mcp", token=httpd.keys["alice"], headers=[override]).status == 200

    @pytest.mark.parametrize("name, field, status", [("=?base64?eA==?=", "=?base64?eA==?=", 400), ("=?base64?eA==?=", "=?base64?PT9iYXNlNjQ/ZUE9PT89?=", 200),
                                                     ("=?base64?", "=?base64?", 200), ("x", "=?base64?eA==?=", 200), ("x", "=?BASE64?eA==?=", 400)])
    def test_encoded_name(self, httpd, name, field, status):
        body = json.dumps({"id": 1, "method": "tools/list", "params": {"name": name}}).encode()
        assert post(httpd, "/mcp", body, headers=[JSON, ("Mcp-Name", field)]).status == status
