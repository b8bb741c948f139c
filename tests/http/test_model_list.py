"""LlamaAuthModelList filter: lists of models show what RequireModel allows, or nothing. And what a body says of tokens, in place of Reserve."""

import gzip
import json

import pytest

from behaviour import render
from conftest import every_mpm, new_token
from server import key_entry
from test_model import Backend, JSON, PROVIDER, callers, place, post

PROXY = ("proxy", "proxy_http")
LIST = {"object": "list", "data": [{"id": "gpt-4", "x": {"id": "claude"}}, {"id": "claude"}, {"id": "meta-llama/Llama-3"}, {"id": 1}],
        "first_id": "gpt-4", "last_id": "x", "has_more": False}
KEPT = {**LIST, "data": [LIST["data"][0], LIST["data"][2]], "last_id": "meta-llama/Llama-3"}
BOTH = {"models": [{"name": "gpt-4", "model": "claude"}, {"name": "claude", "model": "gpt-4"}, {"model": "gpt-5"}], "data": []}
FIELDS = [("ETag", '"x"'), ("Last-Modified", "Sun, 29 Nov 2026 00:00:00 GMT"), ("Digest", "x"), ("Content-MD5", "x"), ("Cache-Control", "public, max-age=60")]

# path: (status, body, fields)
ANSWERS = {
    "/v1/models": (200, LIST, FIELDS), "/v1/both": (200, BOTH, []), "/v1/text": (200, b"gpt-4 claude", [("Content-Type", "text/plain")]),
    "/v1/html": (200, b"<html>", []), "/v1/other": (200, {"result": ["claude"]}, []), "/v1/list": (200, [{"id": "claude"}], []),
    "/v1/twice": (200, b'{"data": [], "data": [{"id": "claude"}]}', []), "/v1/gzip": (200, gzip.compress(b'{"data": []}'), [("Content-Encoding", "gzip")]),
    "/v1/large": (200, {"data": [{"id": "gpt-4", "pad": "x" * 2 * 1024 * 1024}]}, []), "/v1/most": (200, {"data": [{"id": "gpt-4", "pad": "x" * 1000000}]}, []),
    "/v1/partial": (206, b'{"data": [{"id": "claude"}', [("Content-Range", "bytes 0-25/100")]), "/v1/error": (500, {"error": "claude"}, []),
    "/v1/missing": (404, {"error": "x"}, []), "/v1/models/gpt-4": (200, {"id": "gpt-4"}, []),
    "/v1/models/meta-llama%2FLlama-3": (200, {"id": "meta-llama/Llama-3"}, []),
    "/v1/many": (200, {"data": [{"id": f"{n}{i}"} for i in range(9000) for n in ("gpt-", "x")]}, [])}


class Lists(Backend):
    def __init__(self):
        super().__init__()
        self.default = self.answer

    def answer(self, peer, call):
        path = call.target.partition("?")[0]
        if path == "/v1/cut":
            peer.send(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"data": []}')
            peer.close()
        elif path in ANSWERS:
            status, body, fields = ANSWERS[path]
            answer = render(status, body, fields)
            peer.send(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if call.method == "HEAD" else answer)
        else:
            peer.send(render(200, {}))


@every_mpm
class TestLists:
    modules = (*PROXY, "deflate", "filter")
    expected = (r"LA0284", r"AH01110|AH01102|AH10410")

    @staticmethod
    def configure(httpd):
        callers(httpd)
        backend = httpd.endpoints["backend"] = Lists()
        httpd.write("htdocs/file/models.json", json.dumps(LIST))
        where = r"LlamaAuthModelSource path:^/v1/models/(.+)$ body:model"
        return (PROVIDER + "AllowEncodedSlashes NoDecode\n" +
                f'<Location "/v1">\nAuthType Bearer\nAuthName m\nLlamaAuthUse keys\nRequire valid-user\nRequireModel attribute:models\n{where}\n'
                f'LlamaAuthModelList filter\nAddOutputFilterByType DEFLATE application/json\nProxyPass http://127.0.0.1:{backend.port}/v1 nocanon\n</Location>\n' +
                place("/file", "RequireModel attribute:models", "LlamaAuthModelList filter"))

    def get(self, httpd, path, who="alice", fields=(), method="GET"):
        return httpd.request(method, path, token=httpd.keys[who], headers=list(fields))

    def test_filtered(self, httpd):
        response = self.get(httpd, "/v1/models")
        assert (response.status, response.json) == (200, KEPT)
        assert response.header("Cache-Control") == "private"
        assert [response.header(name) for name in ("ETag", "Last-Modified", "Digest", "Content-MD5")] == [None] * 4
        assert response.header("Content-Length") == str(len(response.body))
        assert response.note("model") is None

    def test_by_caller(self, httpd):
        assert [m["id"] for m in self.get(httpd, "/v1/models", "carol").json["data"]] == ["gpt-4", "claude", "meta-llama/Llama-3"]
        nothing = self.get(httpd, "/v1/models", "bob").json
        assert (nothing["data"], nothing["first_id"], nothing["last_id"]) == ([], None, None)

    def test_both_lists(self, httpd):
        assert self.get(httpd, "/v1/both").json == {"models": [BOTH["models"][0], BOTH["models"][2]], "data": []}

    def test_many(self, httpd):
        assert [m["id"] for m in self.get(httpd, "/v1/many").json["data"]] == [f"gpt-{i}" for i in range(9000)]

    def test_large_enough(self, httpd):
        assert len(self.get(httpd, "/v1/most").json["data"]) == 1

    def test_file(self, httpd):
        response = self.get(httpd, "/file/models.json", fields=[("Range", "bytes=0-5"), ("If-Modified-Since", "Sun, 29 Nov 2099 00:00:00 GMT")])
        assert (response.status, response.json, response.header("ETag")) == (200, KEPT, None)

    def test_what_the_backend_is_asked(self, httpd):
        backend = httpd.endpoints["backend"]
        backend.take()
        names = ("Accept-Encoding", "Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")
        assert self.get(httpd, "/v1/models", fields=[(name, "gzip") for name in names]).json == KEPT
        call, = backend.take()
        assert [call.header(name) for name in names] == [None] * len(names)

    def test_head(self, httpd):
        with httpd.connect() as connection:
            response = connection.request("HEAD", "/v1/models", token=httpd.keys["alice"])
            assert (response.status, response.header("ETag"), response.header("Content-Length")) == (200, None, None)
            assert response.header("Cache-Control") == "private"
            assert connection.request("HEAD", "/v1/models", token=httpd.keys["alice"]).status == 200

    @pytest.mark.parametrize("name", ["text", "html", "other", "list", "twice", "gzip", "large", "partial", "cut"])
    def test_what_cannot_be_filtered(self, httpd, name):
        response = self.get(httpd, "/v1/" + name)
        assert (response.status, response.note("error")) == (502, "model_list_error")
        assert response.json == {"error": {"message": "The list of models cannot be used"}}
        assert response.header("Cache-Control") == "no-store"
        assert b"claude" not in response.body and response.header("Content-Encoding") is None
        assert response.header("Content-Length") == str(len(response.body))

    @pytest.mark.parametrize("name, status", [("error", 500), ("missing", 404)])
    def test_other_statuses(self, httpd, name, status):
        response = self.get(httpd, "/v1/" + name)
        assert (response.status, response.json) == (status, ANSWERS["/v1/" + name][1])

    @pytest.mark.parametrize("path, who, status", [("/v1/models/gpt-4", "alice", 200), ("/v1/models/gpt-4", "bob", 403), ("/v1/models/claude", "alice", 403),
                                                   ("/v1/models/meta-llama%2FLlama-3", "alice", 200), ("/v1/models/meta-llama%2Fx", "alice", 403),
                                                   ("/v1/models/meta-llama%252FLlama-3", "alice", 400), ("/v1/models/meta-llama%2FLlama%252D3", "alice", 400)])
    def test_one_model(self, httpd, path, who, status):
        response = self.get(httpd, path, who)
        assert response.status == status
        if status == 200:
            assert response.json == ANSWERS[path][1]

    def test_post_is_no_list(self, httpd):
        assert httpd.request("POST", "/v1/models", token=httpd.keys["alice"]).status == 400
        assert post(httpd, "/v1/models", {"model": "gpt-4"}).json == LIST

    def test_get_with_a_body(self, httpd):
        assert post(httpd, "/v1/models", {"model": "claude"}, method="GET").status == 403
        assert post(httpd, "/v1/models", {"model": "gpt-4"}, method="GET").json == KEPT

    def test_the_connection_goes_on(self, httpd):
        with httpd.connect() as connection:
            for path, status in (("/v1/other", 502), ("/v1/models", 200), ("/v1/large", 502), ("/v1/models", 200)):
                assert connection.get(path, token=httpd.keys["alice"]).status == status


class TestInPages:
    """A list that is a part of a page, or an error page."""
    modules = (*PROXY, "include")
    expected = ("LA0284", r"AH01110|AH01102|AH10410")

    @staticmethod
    def configure(httpd):
        callers(httpd)
        backend = httpd.endpoints["backend"] = Lists()
        for name in ("models", "large"):
            httpd.write(f"htdocs/page/{name}.shtml", f'head <!--#include virtual="/v1/{name}" --> tail')
        httpd.write("htdocs/file/models.json", json.dumps(LIST))
        filtered = ("RequireModel attribute:models", "LlamaAuthModelList filter")
        return (PROVIDER + place("/v1", *filtered, backend=backend) + place("/file", *filtered) +
                place("/page", "Options +Includes", "SetOutputFilter INCLUDES") + '<Location "/error">\nErrorDocument 404 /file/models.json\n</Location>\n')

    def test_included(self, httpd):
        text = httpd.get("/page/models.shtml", token=httpd.keys["alice"]).body.decode()
        assert text.startswith("head ") and text.endswith(" tail") and json.loads(text[5:-5]) == KEPT

    def test_nothing_of_what_cannot_be_filtered(self, httpd):
        """Neither what came before it was known, nor the rest."""
        assert httpd.get("/page/large.shtml", token=httpd.keys["alice"]).body == b"head  tail"

    def test_error_page(self, httpd):
        response = httpd.get("/error/x", token=httpd.keys["alice"])
        assert (response.status, response.json) == (404, KEPT)


# (what a body says, what is reserved)
RESERVES = [({}, 10), ({"max_tokens": 30}, 30), ({"max_completion_tokens": 40}, 40), ({"max_output_tokens": 1}, 1), ({"max_tokens": 1000}, 100),
            ({"max_tokens": 20, "max_completion_tokens": 50}, 50), ({"max_tokens": 0}, 10), ({"max_tokens": -5}, 10), ({"max_tokens": "60"}, 10),
            ({"max_tokens": 60.5}, 10), ({"max_tokens": None}, 10), ({"max_tokens": 10**30}, 10), ({"x": {"max_tokens": 60}}, 10)]


class TestReserve:
    modules = PROXY

    @staticmethod
    def configure(httpd):
        httpd.keys = {name: new_token(name) for name in ("alice", "bob", *(f"r{row}" for row in range(len(RESERVES))))}
        httpd.write_keys("conf/keys.json", *(key_entry(key, name) for name, key in httpd.keys.items()))
        backend = httpd.endpoints["backend"] = Backend()
        quotas = "".join(f"<LlamaAuthQuota {name}>\nTokens 100/1h\n{line}\n</LlamaAuthQuota>\n" for name, line in (("some", "Reserve 10"), ("without", "")))
        return (PROVIDER + quotas + place("/some", "RequireModel *", "LlamaAuthQuotaUse some", backend=backend) +
                place("/none", "RequireModel *", "LlamaAuthQuotaUse without", backend=backend) +
                place("/unread", "LlamaAuthQuotaUse some", backend=backend))

    @pytest.mark.parametrize("row", range(len(RESERVES)))
    def test_body(self, httpd, row):
        """While the request is in flight: what is settled afterwards is another caller's."""
        body, reserved = RESERVES[row]
        response = post(httpd, "/some/x", {"model": "m", **body}, who=f"r{row}")
        assert (response.status, response.header("x-ratelimit-remaining-tokens")) == (200, str(100 - reserved))

    def test_without_a_reserve(self, httpd):
        assert post(httpd, "/none/x", {"model": "m", "max_tokens": 30}).header("x-ratelimit-remaining-tokens") == "100"

    def test_a_body_that_nobody_reads(self, httpd):
        assert post(httpd, "/unread/x", {"model": "m", "max_tokens": 30}, who="bob").header("x-ratelimit-remaining-tokens") == "90"
