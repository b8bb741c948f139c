"""LlamaAuthErrorDocument: presets, templates, nesting, and what is refused at startup."""

import pytest

from callers import key_of, write_callers

FULL = key_of("full")
LINES = {
    "ogx": "LlamaAuthErrorDocument default ogx",
    "openai": "LlamaAuthErrorDocument default openai",
    "anthropic": "LlamaAuthErrorDocument default anthropic",
    "problem": "LlamaAuthErrorDocument default problem",
    "llama": "LlamaAuthErrorDocument default LLAMA",
    "own": """LlamaAuthErrorDocument default '{"m": "%{message}", "all": ["%{status} %{code} %{method} %{path} %{realm}", "s=%{scope}"], "%{message}": 1, "id": "<%{request_id}>", "n": null, "p": "100% {x}"}'""",
    "file": "LlamaAuthErrorDocument 401 file:conf/error.json",
    "file/nested": """LlamaAuthErrorDocument 403 '{"own": 403}'""",
    "file/all": "LlamaAuthErrorDocument default problem",
    "quota": """LlamaAuthQuotaUse none_left\nLlamaAuthErrorDocument 429 '{"own": "%{code} %{message}"}'""",
}


def section(name, line):
    return f"""
<Location /{name}>
    AuthType Bearer
    AuthName "a \\"b\\" é"
    LlamaAuthUse keys
    LlamaAuthTokenSource Authorization header:X-Api-Key
    AuthzSendForbiddenOnFailure On
    Require user full
    {line}
    <Limit PUT>
        RequireScope x y
    </Limit>
</Location>
"""


class TestDocuments:
    modules = ("unique_id",)
    expected = ("AH01631",)

    @staticmethod
    def configure(httpd):
        httpd.write("conf/error.json", b'{"file":\r\n "%{message}",\t"utf8": "\xc3\xa9"}\n')
        text = write_callers(httpd) + "<LlamaAuthQuota none_left>\nRequests 1/1d\n</LlamaAuthQuota>\n"
        for name, line in LINES.items():
            httpd.write(f"htdocs/{name}/page", "page")
            text += section(name, line)
        return text

    @staticmethod
    def answers(httpd, name):
        """400, 401 and the two kinds of 403."""
        path = f"/{name}/page"
        return (httpd.get(path, token=FULL, headers=[("X-Api-Key", "x")]), httpd.get(path),
                httpd.request("PUT", path, token=FULL), httpd.get(path, token=key_of("some")))

    def check(self, httpd, name, expected, content_type="application/json"):
        for response, document in zip(self.answers(httpd, name), expected, strict=True):
            assert response.json == document
            assert response.header("Content-Type") == content_type
            assert int(response.header("Content-Length")) == len(response.body)
            assert response.header("Cache-Control") == "no-store"

    HINT = "Authentication required. Please provide your API key as a Bearer token in the Authorization header"
    TWO = "More than one token in the request"
    SCOPE = "Access denied: user does not have required scope: x"

    def test_llama(self, httpd):
        self.check(httpd, "llama", [{"error": {"message": self.TWO}}, {"error": {"message": self.HINT}},
                                    {"error": {"detail": self.SCOPE}}, {"error": {"detail": "Access denied"}}])

    def test_ogx(self, httpd):
        self.check(httpd, "ogx", [{"error": {"message": message}} for message in (self.TWO, self.HINT, self.SCOPE, "Access denied")])

    def test_openai(self, httpd):
        def document(message, kind, code):
            return {"error": {"message": message, "type": kind, "param": None, "code": code}}
        self.check(httpd, "openai", [document(self.TWO, "invalid_request_error", "invalid_request"),
                                     document(self.HINT, "invalid_request_error", "missing_token"),
                                     document(self.SCOPE, "permission_error", "insufficient_scope"),
                                     document("Access denied", "permission_error", "access_denied")])

    def test_anthropic(self, httpd):
        def document(message, kind):
            return {"type": "error", "error": {"type": kind, "message": message}}
        self.check(httpd, "anthropic", [document(self.TWO, "invalid_request_error"), document(self.HINT, "authentication_error"),
                                        document(self.SCOPE, "permission_error"), document("Access denied", "permission_error")])

    def test_problem(self, httpd):
        def document(status, title, detail, code):
            return {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code}
        self.check(httpd, "problem", [document(400, "Bad Request", self.TWO, "invalid_request"),
                                      document(401, "Unauthorized", self.HINT, "missing_token"),
                                      document(403, "Forbidden", self.SCOPE, "insufficient_scope"),
                                      document(403, "Forbidden", "Access denied", "access_denied")], "application/problem+json")

    def test_placeholders(self, httpd):
        response = httpd.request("PUT", "/own/page%22%5C%0a", token=FULL)
        document = response.json
        request_id = document.pop("id")
        assert document == {"m": self.SCOPE, "all": ['403 insufficient_scope PUT /own/page"\\\n a "b" é', "s=x y"],
                            "%{message}": 1, "n": None, "p": "100% {x}"}
        assert len(request_id) > 10 and request_id[0] == "<"

    def test_file(self, httpd):
        assert httpd.get("/file/page").body == b'{"file":\r\n "' + self.HINT.encode() + b'",\t"utf8": "\xc3\xa9"}\n'
        assert httpd.get("/file/page", token=key_of("some")).json == {"error": {"detail": "Access denied"}}

    def test_nested(self, httpd):
        assert "file" in httpd.get("/file/nested/page").json
        assert httpd.get("/file/nested/page", token=key_of("some")).json == {"own": 403}
        assert httpd.get("/file/all/page").json["type"] == "about:blank"

    def test_quota(self, httpd):
        assert httpd.get("/quota/page", token=FULL).status == 200
        refused = httpd.get("/quota/page", token=FULL)
        assert refused.status == 429 and refused.json["own"].startswith("rate_limit_exceeded Quota exceeded: none_left allows 1 requests")

    def test_head(self, httpd):
        response = httpd.request("HEAD", "/openai/page")
        assert response.status == 401 and response.body == b""
        assert int(response.header("Content-Length")) > 20


REFUSED = {
    "LlamaAuthErrorDocument 401": "takes two arguments",
    "LlamaAuthErrorDocument 405 openai": "'405' is none of 400",
    "LlamaAuthErrorDocument 401 opnai": "'opnai' is no JSON object",
    "LlamaAuthErrorDocument 401 '[1]'": "is no JSON object",
    """LlamaAuthErrorDocument 401 '{"a": }'""": "no JSON: ",
    """LlamaAuthErrorDocument 401 "{'a': 1}" """: "no JSON: ",
    """LlamaAuthErrorDocument 401 '{"a": 1} x'""": "no JSON: ",
    """LlamaAuthErrorDocument 401 '{"a": "%{nonsense}"}'""": "there is no placeholder %{nonsense}",
    """LlamaAuthErrorDocument 401 '{"a": "%{MESSAGE}"}'""": "there is no placeholder",
    """LlamaAuthErrorDocument 401 '{"a": "%{message"}'""": "no closing",
    "LlamaAuthErrorDocument 401 file:conf/absent.json": "No such file",
    "LlamaAuthErrorDocument 401 file:conf": "not a regular file",
    "LlamaAuthErrorDocument 401 file:conf/list.json": "no JSON object",
    "LlamaAuthErrorDocument 401 file:conf/broken.json": "no JSON",
    "LlamaAuthErrorDocument 401 openai\nLlamaAuthErrorDocument 401 llama": "named twice",
    "LlamaAuthResource": "takes the resource's URL",
    "LlamaAuthResource /mcp": "must begin with http",
    "LlamaAuthResource https://a/b#c": "no fragment",
    "LlamaAuthResource https://u:p@a/b": "no user",
    """LlamaAuthResource https://a/b 'x"y'""": "is no scope",
    "LlamaAuthResource https://a/b\nLlamaAuthResource https://a/c": "only once",
    "LlamaAuthResourceServer": "takes the issuers",
    "LlamaAuthResourceServer https://a x": "'x' must begin with http",
    "LlamaAuthResourceServer https://a?b": "no query",
    "LlamaAuthResourceServer https://a/x/.well-known/openid-configuration": "is the URL of the metadata",
    "LlamaAuthResourceServer https://a/.well-known/oauth-authorization-server/x": "as in: https://a",
    "LlamaAuthResourceServer https://a\nLlamaAuthResourceServer https://b": "only once",
    "LlamaAuthResourceMember a": "takes two arguments",
    "LlamaAuthResourceMember a b\nLlamaAuthResourceMember a c": "named twice",
    "LlamaAuthResourceMember a '[1,]'": "begins like JSON",
    "LlamaAuthResourceMember a '{\"b\": 1, \"b\": 2}'": "duplicate member name",
    **{f"LlamaAuthResourceMember {name} x": "made by the module itself" for name in (
        "resource", "authorization_servers", "scopes_supported", "bearer_methods_supported", "dpop_signing_alg_values_supported",
        "dpop_bound_access_tokens_required", "tls_client_certificate_bound_access_tokens")},
}


@pytest.mark.parametrize("lines", REFUSED, ids=lambda lines: lines.replace("\n", "; "))
def test_refused_at_startup(bare, lines):
    bare.write("conf/list.json", "[]")
    bare.write("conf/broken.json", '{"a": "\xff"}'.encode("latin-1"))
    bare.configure(f"<Location />\n{lines}\n</Location>\n")
    status, said = bare.check()
    assert status != 0 and REFUSED[lines] in said
