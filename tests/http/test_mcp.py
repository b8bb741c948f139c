"""RequireMcp and LlamaAuthMcpScope: which operations a caller may call, step-up, the fields that repeat them, JSON-RPC's errors."""

import base64
import json

import pytest

from conftest import every_mpm, new_token
from server import key_entry
from test_model import Backend, JSON, PROVIDER, place

PROXY = ("proxy", "proxy_http")


def callers(httpd):
    attributes = {"alice": {"scopes": ["mcp.read"], "tools": ["search", "x*"]}, "bob": {}, "carol": {"scopes": ["mcp.read", "mcp.write", "mcp.more"]},
                  "root": {"scopes": ["mcp.admin"]}}
    httpd.keys = {name: new_token(name) for name in attributes}
    httpd.write_keys("conf/keys.json", *(key_entry(httpd.keys[n], n, a) for n, a in attributes.items()))


def call(method, name=None, ident=1, **params):
    message = {"jsonrpc": "2.0", "id": ident, "method": method}
    if name is not None:
        params["name"] = name
    return {**message, "params": params} if params else message


def encoded(text):
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


# name: (body, code of JSON-RPC, status)
BAD = {
    "batch": (b'[{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}]', "null"),
    "empty batch": (b"[]", "null"),
    "no JSON": (b"{", "null"),
    "nothing": (b"", "null"),
    "method twice": (b'{"id": 1, "method": "tools/list", "method": "tools/call"}', "1"),
    "method in another case": (b'{"id": 1, "method": "tools/list", "Method": "tools/call"}', "1"),
    "method in another case alone": (b'{"id": 1, "METHOD": "tools/call"}', "1"),
    "method is a number": (b'{"id": "a\\"b", "method": 1}', '"a\\"b"'),
    "method is null": (b'{"id": 1, "method": null}', "1"),
    "method is empty": (b'{"id": 1, "method": ""}', "1"),
    "method with a line feed": (b'{"id": 1, "method": "tools/list\\n"}', "1"),
    "method with NUL": (b'{"id": 1, "method": "tools/list\\u0000"}', "1"),
    "params is a list": (b'{"id": 1.5, "method": "tools/call", "params": ["secret"]}', "1.5"),
    "params is null": (b'{"id": null, "method": "tools/list", "params": null}', "null"),
    "params twice": (b'{"id": 1, "method": "tools/call", "params": {"name": "search"}, "params": {"name": "secret"}}', "1"),
    "params in another case": (b'{"id": 1, "method": "tools/call", "params": {"name": "search"}, "PARAMS": {"name": "secret"}}', "1"),
    "params with a long s": ('{"id": 1, "method": "tools/call", "params": {"name": "search"}, "param\u017f": {"name": "secret"}}'.encode(), "1"),
    "name twice": (b'{"id": 1, "method": "tools/call", "params": {"name": "search", "name": "secret"}}', "1"),
    "name in another case": (b'{"id": 1, "method": "tools/call", "params": {"name": "search", "Name": "secret"}}', "1"),
    "name escaped": (b'{"id": 1, "method": "tools/call", "params": {"name": "search", "n\\u0061me": "secret"}}', "1"),
    "name is a list": (b'{"id": 1, "method": "tools/call", "params": {"name": ["search"]}}', "1"),
    "name is null": (b'{"id": 1, "method": "tools/call", "params": {"name": null}}', "1"),
    "name is too long": (b'{"id": 1, "method": "tools/call", "params": {"name": "' + b"x" * 8193 + b'"}}', "1"),
    "uri with dots": (b'{"id": 1, "method": "resources/read", "params": {"uri": "file:///public/../secret"}}', "1"),
    "uri with escaped dots": (b'{"id": 1, "method": "resources/read", "params": {"uri": "file:///public/%2E%2e/secret"}}', "1"),
    "id twice": (b'{"id": 1, "id": 2, "method": 1}', "null"),
    "long id": (b'{"id": "' + b"x" * 300 + b'", "method": 1}', "null"),
}


@every_mpm
class TestOperations:
    modules = PROXY

    @staticmethod
    def configure(httpd):
        callers(httpd)
        backend = httpd.endpoints["backend"] = Backend()
        rpc = "LlamaAuthErrorDocument default mcp"
        return (PROVIDER + "LlamaAuthScopeImplies mcp.admin mcp.read mcp.write mcp.more\n" +
                place("/mcp", "RequireMcp tools/list tools/call:get_* resources/read:file:///public/* prompts/get tasks/get:t* attribute:tools", rpc,
                      backend=backend) +
                place("/scopes", "RequireScope mcp.read", "LlamaAuthMcpScope tools/call:delete_* mcp.write", "LlamaAuthMcpScope tools/call:*_all mcp.more",
                      "LlamaAuthMcpScope *ize mcp.more", "LlamaAuthMcpScope ping mcp.more", rpc, "LlamaAuthResource https://x.example/scopes mcp.read",
                      backend=backend) +
                place("/both", "RequireMcp tools/call:a*", "LlamaAuthMcpScope tools/call mcp.write", rpc, backend=backend) +
                place("/plain", "RequireMcp tools/list", backend=backend) + place("/plain/open", "RequireMcp none", backend=backend) +
                place("/granted", "LlamaAuthMcpScope tools/call mcp.write", "Require all granted", backend=backend))

    def post(self, httpd, path, body, who="alice", fields=(), method="POST"):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpd.request(method, path, token=httpd.keys[who], body=body, headers=[JSON, *fields])

    @pytest.mark.parametrize("body, noted", [
        (call("tools/list"), "tools/list"), (call("tools/call", "search"), "tools/call:search"), (call("tools/call", "x/y"), "tools/call:x/y"),
        (call("tools/call", "get_a"), "tools/call:get_a"), (call("resources/read", uri="file:///public/a"), "resources/read:file:///public/a"),
        (call("resources/read", "x", uri="file:///public/a"), "resources/read:file:///public/a"), (call("prompts/get", "é"), "prompts/get:é"),
        (call("tasks/get", taskId="t1"), "tasks/get:t1"), (call("initialize", protocolVersion="x"), "initialize"), (call("ping"), "ping"),
        (call("server/discover"), "server/discover"), (call("notifications/initialized"), "notifications/initialized"),
        ({"jsonrpc": "2.0", "id": 1, "result": {}}, None)])
    def test_allowed(self, httpd, body, noted):
        backend = httpd.endpoints["backend"]
        backend.take()
        response = self.post(httpd, "/mcp", body)
        assert (response.status, response.note("mcp")) == (200, noted)
        got, = backend.take()
        assert got.body == json.dumps(body).encode()

    @pytest.mark.parametrize("body, operation", [
        (call("tools/call", "delete"), "tools/call:delete"), (call("tools/call", "Search"), "tools/call:Search"), (call("tools/call"), "tools/call"),
        (call("resources/read", uri="file:///secret"), "resources/read:file:///secret"), (call("resources/list"), "resources/list"),
        (call("resources/read", "file:///public/a"), "resources/read"), (call("tasks/get", taskId="x"), "tasks/get:x"),
        (call("Initialize"), "Initialize"), (call("tools/call:search"), "tools/call:search"), (call("search"), "search")])
    def test_refused(self, httpd, body, operation):
        httpd.endpoints["backend"].take()
        response = self.post(httpd, "/mcp", {**body, "id": "i1"})
        assert (response.status, response.note("error"), response.note("mcp")) == (403, "operation_not_allowed", operation)
        assert response.json == {"jsonrpc": "2.0", "id": "i1", "error": {"code": -32000, "message": f"Access denied: user may not call: {operation}"}}
        assert response.header("WWW-Authenticate") is None
        assert httpd.endpoints["backend"].take() == []

    @pytest.mark.parametrize("name", BAD)
    def test_bad(self, httpd, name):
        body, ident = BAD[name]
        httpd.endpoints["backend"].take()
        response = self.post(httpd, "/mcp", body)
        assert (response.status, response.note("error")) == (400, "invalid_request")
        assert set(response.json) == {"jsonrpc", "id", "error"}
        assert response.json["error"]["code"] == -32600
        assert response.body.startswith(f'{{"jsonrpc": "2.0", "id": {ident}, '.encode())
        assert httpd.endpoints["backend"].take() == []

    def test_type(self, httpd):
        response = httpd.request("POST", "/mcp", token=httpd.keys["alice"], body=b"{}", headers=[("Content-Type", "text/plain")])
        assert (response.status, response.json["error"]["code"]) == (415, -32600)

    @pytest.mark.parametrize("fields, status", [
        ([("Mcp-Method", "tools/call"), ("Mcp-Name", "search")], 200), ([("Mcp-Method", encoded("tools/call")), ("Mcp-Name", encoded("search"))], 200),
        ([("Mcp-Method", "tools/list")], 400), ([("Mcp-Name", "secret")], 400), ([("Mcp-Name", encoded("secret"))], 400), ([("Mcp-Name", "")], 400),
        ([("Mcp-Name", "Search")], 400), ([("Mcp-Name", "search"), ("Mcp-Name", "secret")], 400), ([("Mcp-Name", "=?base64?c2VhcmNo")], 400),
        ([("Mcp-Name", "=?base64?c2VhcmNo?=")], 200), ([("Mcp-Name", "=?base64?c2VhcmNo=?=")], 400)])
    def test_fields(self, httpd, fields, status):
        response = self.post(httpd, "/mcp", call("tools/call", "search", ident=7), fields=fields)
        assert response.status == status
        if status == 400:
            assert (response.json["id"], response.json["error"]["code"]) == (7, -32020)

    def test_fields_of_a_message_without_a_name(self, httpd):
        assert self.post(httpd, "/mcp", call("tools/list"), fields=[("Mcp-Method", "tools/list")]).status == 200
        assert self.post(httpd, "/mcp", call("tools/list"), fields=[("Mcp-Name", "x")]).status == 400
        assert self.post(httpd, "/mcp", {"id": 1, "result": {}}, fields=[("Mcp-Method", "tools/list")]).status == 400

    def test_methods(self, httpd):
        for method in ("GET", "HEAD", "DELETE", "OPTIONS"):
            assert httpd.request(method, "/mcp", token=httpd.keys["bob"]).status == 200
        for method in ("PUT", "PATCH", "X"):
            assert self.post(httpd, "/mcp", call("tools/call", "delete"), method=method).status == 403
            assert httpd.request(method, "/mcp", token=httpd.keys["bob"]).status == 400

    @pytest.mark.parametrize("name, who, missing, scopes", [
        ("delete_x", "alice", "mcp.write", "mcp.read mcp.write"), ("delete_all", "alice", "mcp.write", "mcp.read mcp.write mcp.more"),
        ("get_all", "alice", "mcp.more", "mcp.read mcp.more"), ("get_all", "bob", "mcp.read", "mcp.read")])
    def test_step_up(self, httpd, name, who, missing, scopes):
        response = self.post(httpd, "/scopes", call("tools/call", name), who=who)
        assert (response.status, response.note("error")) == (403, "insufficient_scope")
        message = f"Access denied: user does not have required scope: {missing}"
        assert response.challenge == {"realm": "m", "error": "insufficient_scope", "error_description": message, "scope": scopes,
                                      "resource_metadata": "https://x.example/.well-known/oauth-protected-resource/scopes"}
        assert response.json["error"]["message"] == message

    @pytest.mark.parametrize("method, name, who, status", [
        ("tools/call", "get_x", "alice", 200), ("tools/call", "delete_all", "carol", 200), ("tools/call", "delete_all", "root", 200),
        ("initialize", None, "alice", 200), ("notifications/ize", None, "alice", 200), ("ping", None, "alice", 403), ("ping", None, "carol", 200),
        ("x/authorize", None, "alice", 403)])
    def test_scopes(self, httpd, method, name, who, status):
        assert self.post(httpd, "/scopes", call(method, name), who=who).status == status

    def test_operations_speak_first(self, httpd):
        assert self.post(httpd, "/both", call("tools/call", "b")).note("error") == "operation_not_allowed"
        assert self.post(httpd, "/both", call("tools/call", "a")).note("error") == "insufficient_scope"

    def test_default_document(self, httpd):
        response = self.post(httpd, "/plain", call("x"))
        assert response.json == {"error": {"detail": "Access denied: user may not call: x"}}

    def test_none(self, httpd):
        assert self.post(httpd, "/plain/open", b"[]").status == 200

    def test_demands_a_caller(self, httpd):
        body = json.dumps(call("tools/list")).encode()
        assert httpd.request("POST", "/granted", headers=[JSON], body=body).status == 401
        assert self.post(httpd, "/granted", call("tools/list"), who="bob").status == 200
        assert self.post(httpd, "/granted", call("tools/call", "x"), who="bob").status == 403
