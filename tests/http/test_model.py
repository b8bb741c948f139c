"""RequireModel: which model a body, a path or a query names, who may name it, and that the backend gets the same body."""

import json
import urllib.parse

import pytest

from bodies import BODIES, READERS
from client import build
from conftest import every_mpm, new_token
from endpoint import Endpoint
from errorlog import await_until
from server import key_entry
from behaviour import render

PROXY = ("proxy", "proxy_http")
JSON = ("Content-Type", "application/json")
PROVIDER = "<LlamaAuthProvider keys static>\nFile conf/keys.json\n</LlamaAuthProvider>\n"
NONE = "The request names no model"


class Backend(Endpoint):
    """Answers 200, and keeps what it got."""

    def __init__(self):
        super().__init__()
        self.default = lambda peer, call: peer.send(render(200, {"path": call.target}))

    def take(self):
        """The calls since the last time."""
        with self.lock:
            calls, self.calls = self.calls, []
        return calls


def place(path, *lines, backend=None, section="Location"):
    more = ["AuthType Bearer", "AuthName m", "LlamaAuthUse keys", *lines]
    if not any(line.startswith("Require ") for line in lines):
        more.append("Require valid-user")
    if backend:
        more.append(f"ProxyPass http://127.0.0.1:{backend.port}{path}")
    return f'<{section} "{path}">\n' + "".join(f"{line}\n" for line in more) + f"</{section}>\n"


def callers(httpd):
    attributes = {"alice": {"models": ["gpt-*", "meta-llama/Llama-3"]}, "bob": {}, "carol": {"models": ["*"], "plan": ["x"]}}
    httpd.keys = {name: new_token(name) for name in attributes}
    httpd.write_keys("conf/keys.json", *(key_entry(httpd.keys[n], n, a) for n, a in attributes.items()))


def chunked(body, size=7):
    parts = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(f"{len(p):x}\r\n".encode() + p + b"\r\n" for p in parts) + b"0\r\n\r\n"


def post(httpd, path, body, who="alice", headers=(JSON,), method="POST"):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpd.request(method, path, token=httpd.keys[who], body=body, headers=list(headers))


class TestBodies:
    """The table of bodies: what is accepted means the same to everybody."""

    modules = PROXY

    @staticmethod
    def configure(httpd):
        callers(httpd)
        httpd.endpoints["backend"] = Backend()
        return PROVIDER + place("/v1", "RequireModel *", "LlamaAuthForward X-Model model", backend=httpd.endpoints["backend"])

    def test_enough(self):
        assert len(BODIES) >= 100

    @pytest.mark.parametrize("name", BODIES)
    def test_body(self, httpd, name):
        body, wanted = BODIES[name]
        backend = httpd.endpoints["backend"]
        backend.take()
        response = post(httpd, "/v1/x", body)
        if wanted == 400:
            assert (response.status, response.note("error")) == (400, "invalid_request")
            assert backend.take() == []
            return
        assert response.status == 200, response
        call, = backend.take()
        assert call.body == body
        assert response.note("model") == wanted.strip(" ")  # a field has no blanks at its ends
        assert urllib.parse.unquote(call.header("X-Model")) == wanted.strip(" ")
        assert call.header("X-Model").isascii()
        assert {kind: read(call.body) for kind, read in READERS.items()} == dict.fromkeys(READERS, wanted)

    def test_nothing_of_a_stranger_is_read(self, httpd):
        with httpd.connect() as connection:
            connection.send(build("POST", "/v1/x", headers=[JSON, ("Content-Length", "100"), ("Expect", "100-continue")], token="nobody"))
            response = connection.read("POST")
            assert (response.status, response.interim) == (401, [])


# name: (fields, body, status)
TYPES = {
    "json": ({"Content-Type": "application/json"}, 200),
    "any case": ({"Content-Type": "Application/JSON"}, 200),
    "utf-8": ({"Content-Type": "application/json; charset=utf-8"}, 200),
    "UTF-8 quoted": ({"Content-Type": 'application/json;charset="UTF-8"'}, 200),
    "another parameter": ({"Content-Type": "application/json; profile=x"}, 200),
    "+json": ({"Content-Type": "application/vnd.api+json"}, 200),
    "identity": ({"Content-Type": "application/json", "Content-Encoding": "identity"}, 200),
    "none": ({}, 415),
    "text": ({"Content-Type": "text/plain"}, 415),
    "text/json": ({"Content-Type": "text/json"}, 415),
    "form": ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    "multipart": ({"Content-Type": "multipart/form-data; boundary=b"}, 415),
    "latin": ({"Content-Type": "application/json; charset=iso-8859-1"}, 415),
    "utf-16": ({"Content-Type": "application/json; charset=utf-16"}, 415),
    "two charsets": ({"Content-Type": "application/json; charset=utf-8; charset=utf-7"}, 415),
    "blank before =": ({"Content-Type": "application/json; charset =utf-7"}, 415),
    "extended charset": ({"Content-Type": "application/json; charset*=utf-7''"}, 415),
    "charset in quotes": ({"Content-Type": 'application/json; x="; charset=utf-7"'}, 415),
    "two types": ({"Content-Type": "application/json, text/plain"}, 415),
    "+json alone": ({"Content-Type": "+json"}, 415),
    "longer": ({"Content-Type": "application/jsonx"}, 415),
    "gzip": ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
    "no encoding": ({"Content-Type": "application/json", "Content-Encoding": ""}, 415),
    "two encodings": ({"Content-Type": "application/json", "Content-Encoding": "identity, gzip"}, 415),
}


@every_mpm
class TestRules:
    modules = (*PROXY, "rewrite", "negotiation")

    @staticmethod
    def configure(httpd):
        callers(httpd)
        backend = httpd.endpoints["backend"] = Backend()
        httpd.write("htdocs/dir/index.html", "index\n")
        listed = "RequireModel attribute:models"
        return (PROVIDER + place("/own", listed, backend=backend) + place("/any", "RequireModel *", "LlamaAuthBodyLimit 1K", backend=backend) +
                place("/hidden", listed, "LlamaAuthModelRefusal 404", backend=backend) +
                place("/both", "RequireModel gpt-* x", "RequireModel *4", backend=backend) +
                place("/post", "<Limit POST>\nRequireModel gpt-4\n</Limit>", backend=backend) +
                place("/own/free", "RequireModel none", backend=backend) +
                place("/granted", "RequireModel gpt-4", "Require all granted", backend=backend) +
                place("/scopes", "RequireModel *", "RequireScope x", backend=backend) +
                place("/path", listed, r"LlamaAuthModelSource path:^/path/(.+)$ query:model body:model", backend=backend) +
                place("/query", listed, "LlamaAuthModelSource query:model", backend=backend) +
                place("/engine", listed, "LlamaAuthModelSource body:engine", backend=backend) +
                place("/dir/", "RequireModel *") +
                '<Location "/from">\nRewriteEngine On\nRewriteRule .* /own/to\n</Location>\n')

    def test_allowed(self, httpd):
        assert post(httpd, "/own/x", {"model": "gpt-4"}).status == 200
        assert post(httpd, "/own/x", {"model": "meta-llama/Llama-3"}).status == 200

    @pytest.mark.parametrize("who, model", [("alice", "claude"), ("alice", "GPT-4"), ("alice", "xgpt-4"), ("bob", "gpt-4")])
    def test_refused(self, httpd, who, model):
        httpd.endpoints["backend"].take()
        response = post(httpd, "/own/x", {"model": model}, who=who)
        assert (response.status, response.note("error")) == (403, "model_not_allowed")
        assert response.json == {"error": {"detail": f"Access denied: user does not have access to model: {model}"}}
        assert response.note("model") == model
        assert httpd.endpoints["backend"].take() == []

    def test_refused_as_unknown(self, httpd):
        response = post(httpd, "/hidden/x", {"model": "claude"})
        assert (response.status, response.note("error")) == (404, "model_not_found")
        assert response.message == "The model 'claude' does not exist or you do not have access to it"

    def test_the_connection_stays_usable(self, httpd):
        with httpd.connect() as connection:
            for size in (10, 200000):
                body = json.dumps({"pad": "p" * size, "model": "claude"}).encode()
                assert connection.request("POST", "/own/x", token=httpd.keys["alice"], headers=[JSON], body=body).status == 403
            assert connection.request("POST", "/own/x", token=httpd.keys["alice"], headers=[JSON], body=b'{"model": "gpt-4"}').status == 200

    @pytest.mark.parametrize("model, status", [("gpt-4", 200), ("x4", 403), ("gpt-5", 403), ("x", 403)])
    def test_all_lines_hold(self, httpd, model, status):
        assert post(httpd, "/both/x", {"model": model}).status == status

    def test_limit(self, httpd):
        assert post(httpd, "/post/x", {"model": "gpt-5"}).status == 403
        assert post(httpd, "/post/x", {"model": "gpt-5"}, method="PUT").status == 200

    def test_none(self, httpd):
        assert post(httpd, "/own/free/x", {"model": "claude"}, who="bob").status == 200
        assert post(httpd, "/own/free/x", b"x", headers=[], who="bob").status == 200

    def test_demands_a_caller(self, httpd):
        assert httpd.request("POST", "/granted/x", headers=[JSON], body=b'{"model": "gpt-4"}').status == 401
        assert post(httpd, "/granted/x", {"model": "gpt-4"}, who="bob").status == 200

    def test_other_rules_come_first(self, httpd):
        assert post(httpd, "/scopes/x", b"no JSON").note("error") == "insufficient_scope"

    @pytest.mark.parametrize("name", TYPES)
    def test_type(self, httpd, name):
        fields, status = TYPES[name]
        response = post(httpd, "/own/x", {"model": "gpt-4"}, headers=fields.items())
        assert response.status == status
        if status == 415:
            assert response.note("error") == "unsupported_media_type"

    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
    def test_any_method(self, httpd, method):
        backend = httpd.endpoints["backend"]
        backend.take()
        assert post(httpd, "/own/x", {"model": "claude"}, method=method).status == 403
        assert post(httpd, "/own/x", {"model": "gpt-4"}, method=method).status == 200
        call, = backend.take()
        assert (call.method, call.body) == (method, b'{"model": "gpt-4"}')

    def test_no_body(self, httpd):
        for method in ("GET", "POST"):
            response = httpd.request(method, "/own/x", token=httpd.keys["alice"])
            assert (response.status, response.message) == (400, NONE)
        assert post(httpd, "/own/x", {}).message == NONE

    @pytest.mark.parametrize("size, status", [(1024, 200), (1025, 413)])
    def test_body_limit(self, httpd, size, status):
        head, tail = b'{"model": "m", "p": "', b'"}'
        body = head + b"p" * (size - len(head) - len(tail)) + tail
        assert post(httpd, "/any/x", body).status == status
        chunks = httpd.request("POST", "/any/x", token=httpd.keys["bob"], headers=[JSON, ("Transfer-Encoding", "chunked")],
                               body=chunked(body, 100))
        assert chunks.status == status
        if status == 413:
            assert chunks.note("error") == "body_too_large"

    def test_too_large_by_its_fields(self, httpd):
        with httpd.connect() as connection:
            connection.send(build("POST", "/any/x", headers=[JSON, ("Content-Length", "1025"), ("Expect", "100-continue")], token=httpd.keys["bob"]))
            response = connection.read("POST")
            assert (response.status, response.interim) == (413, [])
            assert connection.closed()

    @pytest.mark.parametrize("path, status", [("/path/gpt-4", 200), ("/path/claude", 403), ("/path/meta-llama/Llama-3", 200), ("/path/%67pt-4", 200),
                                              ("/path/gpt-4?model=gpt-4", 200), ("/path/gpt-4?model=gpt-5", 400), ("/path?model=gpt-4", 200),
                                              ("/path?model=gpt-4&model=gpt-5", 400), ("/path?model=gpt-4&mode%6c=gpt%2D4", 200), ("/path", 400),
                                              ("/path?model=claude", 403), ("/path/gpt-%00", 404), ("/path/gpt-%01", 400), ("/path/gpt-%FF", 400),
                                              ("/query?model=meta-llama%2FLlama-3", 200), ("/query/gpt-4", 400), ("/query?model=", 400),
                                              ("/query?model=a+b", 403)])
    def test_sources(self, httpd, path, status):
        assert httpd.get(path, token=httpd.keys["alice"]).status == status

    def test_sources_that_disagree(self, httpd):
        assert post(httpd, "/path/gpt-4", {"model": "gpt-4"}).status == 200
        assert post(httpd, "/path/gpt-4", {"model": "gpt-5"}).status == 400
        assert post(httpd, "/path/gpt-4?model=gpt-4", {"messages": []}).status == 200
        assert post(httpd, "/path/gpt-4", b"no JSON").status == 400

    def test_another_member(self, httpd):
        assert post(httpd, "/engine/x", {"engine": "gpt-4", "model": "claude"}).status == 200
        assert post(httpd, "/engine/x", {"model": "gpt-4"}).message == NONE

    def test_redirect(self, httpd):
        backend = httpd.endpoints["backend"]
        backend.take()
        assert post(httpd, "/from", {"model": "claude"}).status == 403
        assert post(httpd, "/from", {"model": "gpt-4"}).status == 200
        assert [call.body for call in backend.take()] == [b'{"model": "gpt-4"}']

    def test_directory_index(self, httpd):
        assert httpd.get("/dir/", token=httpd.keys["alice"]).status == 400
        assert post(httpd, "/dir/", {"model": "x"}, method="GET").body == b"index\n"
