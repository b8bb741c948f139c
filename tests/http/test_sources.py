"""LlamaAuthTokenSource: where a token may be, and that it may be in one place only."""

import pytest

from behaviour import accept
from callers import key_of, write_callers
from configs import provider
from conftest import new_token

K = key_of("full")
LONG = "k" * 16385


def at(path, **more):
    return {"path": path, **more}


# name: (location, request, status, code)
CASES = {
    "header": ("header", {"headers": [("x-api-key", K)]}, 200, None),
    "header in another case": ("header", {"headers": [("X-API-KEY", K)]}, 200, None),
    "header, spaces around": ("header", {"headers": [("x-api-key", f"  {K}  ")]}, 200, None),
    "header with a scheme": ("header", {"headers": [("x-api-key", f"Bearer {K}")]}, 401, "invalid_request"),
    "header, empty": ("header", {"headers": [("x-api-key", "")]}, 401, "missing_token"),
    "header, twice": ("header", {"headers": [("x-api-key", K), ("x-api-key", K)]}, 401, "invalid_request"),
    "header, too long": ("header", {"headers": [("x-api-key", LONG)]}, 401, "invalid_request"),
    "header, the longest": ("header", {"headers": [("x-api-key", LONG[1:])]}, 401, "invalid_token"),
    "header, not ASCII": ("header", {"headers": [("x-api-key", K + "é")]}, 401, "invalid_request"),
    "header, unknown": ("header", {"headers": [("x-api-key", "nobody-knows")]}, 401, "invalid_token"),
    "header only: Authorization does not count": ("header", {"token": K}, 401, "missing_token"),
    "header, look-alike name": ("header", {"headers": [("x_api_key", K)]}, 401, "missing_token"),
    "query": ("query", at("?access_token=" + K), 200, None),
    "query among others": ("query", at(f"?a=1&access_token={K}&b=2"), 200, None),
    "query, escaped": ("query", at("?access%5Ftoken=%6B" + K[1:]), 200, None),
    "query, empty": ("query", at("?access_token="), 401, "missing_token"),
    "query, without =": ("query", at("?access_token"), 401, "missing_token"),
    "query, another case": ("query", at("?Access_Token=" + K), 401, "missing_token"),
    "query, twice": ("query", at(f"?access_token={K}&access_token={K}"), 400, "invalid_request"),
    "query, too long": ("query", at("?access_token=" + LONG), 401, "invalid_request"),
    "query, the longest": ("query", at("?access_token=" + LONG[1:]), 401, "invalid_token"),
    "query, NUL": ("query", at(f"?access_token={K}%00"), 401, "invalid_request"),
    "query, space": ("query", at(f"?access_token={K}+x"), 401, "invalid_request"),
    "query, comma": ("query", at(f"?access_token={K},{K}"), 401, "invalid_request"),
    "query, no query string": ("query", {}, 401, "missing_token"),
    "cookie": ("cookie", {"headers": [("Cookie", f"session={K}")]}, 200, None),
    "cookie among others": ("cookie", {"headers": [("Cookie", f"a=1; session={K}; b=2")]}, 200, None),
    "cookie, quoted": ("cookie", {"headers": [("Cookie", f'session="{K}"')]}, 200, None),
    "cookie, another case": ("cookie", {"headers": [("Cookie", f"Session={K}")]}, 401, "missing_token"),
    "cookie, a suffix of a name": ("cookie", {"headers": [("Cookie", f"xsession={K}")]}, 401, "missing_token"),
    "cookie, twice": ("cookie", {"headers": [("Cookie", f"session={K}; session={K}")]}, 400, "invalid_request"),
    "cookie, too long": ("cookie", {"headers": [("Cookie", f"session={LONG}")]}, 401, "invalid_request"),
    "cookie, the longest": ("cookie", {"headers": [("Cookie", f"session={LONG[1:]}")]}, 401, "invalid_token"),
    "cookie, empty": ("cookie", {"headers": [("Cookie", "session=")]}, 401, "missing_token"),
    "several allowed, Authorization": ("all", {"token": K}, 200, None),
    "several allowed, header": ("all", {"headers": [("x-api-key", K)]}, 200, None),
    "several allowed, query": ("all", at("?access_token=" + K), 200, None),
    "several allowed, cookie": ("all", {"headers": [("Cookie", f"session={K}")]}, 200, None),
    "several allowed, none": ("all", {}, 401, "missing_token"),
    "the same in Authorization and header": ("all", {"token": K, "headers": [("x-api-key", K)]}, 200, None),
    "the same in query and cookie": ("all", at("?access_token=" + K, headers=[("Cookie", f"session={K}")]), 200, None),
    "the same in three, another in the fourth": ("all", at("?access_token=" + K, token=K, headers=[("Cookie", f"session={K}"), ("x-api-key", "x")]),
                                                 400, "invalid_request"),
    "Authorization and another header's": ("all", {"token": K, "headers": [("x-api-key", "other")]}, 400, "invalid_request"),
    "Authorization and query": ("all", at("?access_token=x", token=K), 400, "invalid_request"),
    "query and cookie": ("all", at("?access_token=" + K, headers=[("Cookie", "session=x")]), 400, "invalid_request"),
    "another scheme and a good header": ("all", {"headers": [("Authorization", "Basic eDp5"), ("x-api-key", K)]}, 200, None),
    "another scheme alone": ("all", {"headers": [("Authorization", "Basic eDp5")]}, 401, "missing_token"),
    "a scheme that begins like ours": ("all", {"headers": [("Authorization", "BearerX eDp5"), ("x-api-key", K)]}, 200, None),
    "malformed Authorization and a good header": ("all", {"headers": [("Authorization", "Bearer a b"), ("x-api-key", K)]}, 400, "invalid_request"),
    "empty ones do not count": ("all", at("?access_token=", token=K, headers=[("x-api-key", ""), ("Cookie", "session=")]), 200, None),
    "by default a header is nothing": ("default", {"headers": [("x-api-key", K)]}, 401, "missing_token"),
    "by default a query is nothing": ("default", at("?access_token=" + K), 401, "missing_token"),
    "by default nothing else is looked at": ("default", at("?access_token=x", token=K, headers=[("x-api-key", "x")]), 200, None),
    "nested replaces": ("all/nested", {"headers": [("x-api-key", K)]}, 401, "missing_token"),
    "nested's own": ("all/nested", {"headers": [("x-other", K)]}, 200, None),
}

SOURCES = {"header": "header:x-api-key", "query": "query:access_token", "cookie": "cookie:session",
           "all": "Authorization header:X-Api-Key query:access_token cookie:session", "all/nested": "header:X-Other"}


class TestSources:
    @staticmethod
    def configure(httpd):
        text = write_callers(httpd) + "LimitRequestFieldSize 20000\nLimitRequestLine 20000\n"
        for name in ("default", *SOURCES):
            httpd.write(f"htdocs/{name}/page", "page")
            line = f"LlamaAuthTokenSource {SOURCES[name]}" if name in SOURCES else ""
            text += f'<Location /{name}>\nAuthType Bearer\nAuthName s\nLlamaAuthUse keys\nRequire valid-user\n{line}\n</Location>\n'
        return text

    @pytest.mark.parametrize("name", CASES)
    def test_case(self, httpd, name):
        where, request, status, code = CASES[name]
        request = dict(request)
        response = httpd.get(f"/{where}/page" + request.pop("path", ""), **request)
        assert (response.status, response.note("error")) == (status, code)
        if status == 200:
            assert response.note("principal") == "full"
        if status == 400:
            assert response.json == {"error": {"message": "More than one token in the request"}}

    @pytest.mark.parametrize("where, request_, message", [
        ("header", {"headers": [("x-api-key", "a b")]}, "Invalid x-api-key header format"),
        ("header", {"headers": [("x-api-key", LONG)]}, "Invalid x-api-key header format"),
        ("query", {"path": "?access_token=a+b"}, "Invalid access_token parameter format"),
        ("cookie", {"headers": [("Cookie", "session=" + LONG)]}, "Invalid session cookie format"),
        ("all", {"headers": [("Authorization", "Bearer a b")]}, "Invalid Authorization header format")])
    def test_message(self, httpd, where, request_, message):
        """The client is told which place its credential is in."""
        response = httpd.get(f"/{where}/page" + request_.get("path", ""), headers=request_.get("headers", []))
        assert (response.status, response.message) == (401, message)


class TestEndpointIsNotTold:
    """A `custom` endpoint sees no field that may hold a token, of this section or another, and no token in the query."""

    @staticmethod
    def configure(httpd):
        httpd.write("htdocs/ok", "ok")
        return provider("corp", httpd.endpoint().url()) + """
<Location />
    AuthType Bearer
    AuthName s
    LlamaAuthUse corp
    LlamaAuthTokenSource query:access_token header:X-Here cookie:session
    Require valid-user
</Location>
<Location /other>
    LlamaAuthTokenSource header:X-There
</Location>
"""

    def test_question(self, httpd):
        token = httpd.endpoint().on(new_token(), accept("alice"))
        response = httpd.get(f"/ok?a=1&access_token={token}&b=2",
                             headers=[("X-There", "elsewhere's"), ("X-Plain", "shown"), ("Cookie", "other=1")])
        assert response.status == 200
        request = httpd.endpoint().call(token).json["request"]
        assert request["params"] == {"a": ["1"], "b": ["2"]}
        assert "x-there" not in request["headers"] and "cookie" not in request["headers"]
        assert request["headers"]["x-plain"] == "shown"
