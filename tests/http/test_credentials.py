"""Spec section 5: what is a well-formed Bearer credential, and what the others are told."""

import pytest

from client import build
from server import client_id, key_entry

KEY = "key-credentials-0123456789"
VISIBLE = "".join(chr(c) for c in range(0x21, 0x7f) if chr(c) != ",")
LONGEST = "L" * 16384

HINT = "Authentication required. Please provide your API key as a Bearer token in the Authorization header"
MALFORMED = "Invalid Authorization header format"
UNKNOWN = "Invalid API key"


def keys(httpd):
    httpd.write_keys("conf/keys.json", key_entry(KEY, "alice"), key_entry(VISIBLE, "visible"),
                     key_entry(LONGEST, "longest"), key_entry("s", "short"), key_entry("Bearer", "bearer"),
                     key_entry('"quoted"', "quoted"))


CONFIG = """
LimitRequestFieldSize 50000
<LlamaAuthProvider keys static>
    File conf/keys.json
</LlamaAuthProvider>
<Location "/">
    AuthType Bearer
    AuthName "llama-stack"
    LlamaAuthUse keys
    Require valid-user
</Location>
"""


def bearer(value):
    return [("Authorization", value)]


ACCEPTED = {
    "plain": (bearer(f"Bearer {KEY}"), "alice"),
    "lower-case scheme": (bearer(f"bearer {KEY}"), "alice"),
    "upper-case scheme": (bearer(f"BEARER {KEY}"), "alice"),
    "mixed-case scheme": (bearer(f"bEaReR {KEY}"), "alice"),
    "two spaces": (bearer(f"Bearer  {KEY}"), "alice"),
    "fifty spaces": (bearer(f"Bearer{' ' * 50}{KEY}"), "alice"),
    "space before the scheme": (bearer(f"   Bearer {KEY}"), "alice"),
    "space after the token": (bearer(f"Bearer {KEY}   "), "alice"),
    "field name in lower case": ([("authorization", f"Bearer {KEY}")], "alice"),
    "field name in upper case": ([("AUTHORIZATION", f"Bearer {KEY}")], "alice"),
    "every visible character but comma": (bearer(f"Bearer {VISIBLE}"), "visible"),
    "16384 characters": (bearer(f"Bearer {LONGEST}"), "longest"),
    "one character": (bearer("Bearer s"), "short"),
    "a token that reads Bearer": (bearer("Bearer Bearer"), "bearer"),
    "a token in quotes is that token": (bearer('Bearer "quoted"'), "quoted"),
    "beside another header of 8 KB": ([("X-Long", "x" * 8150), ("Authorization", f"Bearer {KEY}")], "alice"),
    "beside a Proxy-Authorization": ([("Proxy-Authorization", "Basic eDp5"), ("Authorization", f"Bearer {KEY}")],
                                     "alice"),
}

MISSING = {
    "no header": [],
    "empty header": bearer(""),
    "header of spaces": bearer("     "),
    "header of tabs": bearer("\t\t"),
    "Proxy-Authorization instead": [("Proxy-Authorization", f"Bearer {KEY}")],
    "X-Api-Key instead": [("X-Api-Key", KEY)],
    "Cookie instead": [("Cookie", f"token={KEY}")],
    "X-Authorization instead": [("X-Authorization", f"Bearer {KEY}")],
}

REFUSED = {
    "scheme alone": bearer("Bearer"),
    "scheme and spaces": bearer("Bearer    "),
    "token without scheme": bearer(KEY),
    "Basic": bearer("Basic YWxpY2U6c2VjcmV0"),
    "Digest": bearer('Digest username="alice"'),
    "scheme with a letter more": bearer(f"Bearers {KEY}"),
    "scheme with a letter less": bearer(f"Beare {KEY}"),
    "scheme in quotes": bearer(f'"Bearer" {KEY}'),
    "no space": bearer(f"Bearer{KEY}"),
    "colon after the scheme": bearer(f"Bearer: {KEY}"),
    "equals after the scheme": bearer(f"Bearer={KEY}"),
    "tab after the scheme": bearer(f"Bearer\t{KEY}"),
    "tab after the space": bearer(f"Bearer \t{KEY}"),
    "tab inside": bearer(f"Bearer {KEY}\tx"),
    "two words": bearer(f"Bearer {KEY} extra"),
    "comma at the end": bearer(f"Bearer {KEY},"),
    "comma at the start": bearer(f"Bearer ,{KEY}"),
    "comma inside": bearer(f"Bearer {KEY},{KEY}"),
    "comma alone": bearer("Bearer ,"),
    "two headers": bearer(f"Bearer {KEY}") + bearer("Bearer another-token"),
    "two headers, the same": bearer(f"Bearer {KEY}") * 2,
    "two headers, the first empty": bearer("") + bearer(f"Bearer {KEY}"),
    "two headers, the second empty": bearer(f"Bearer {KEY}") + bearer(""),
    "two headers, Basic first": bearer("Basic eDp5") + bearer(f"Bearer {KEY}"),
    "two headers, Basic second": bearer(f"Bearer {KEY}") + bearer("Basic eDp5"),
    "three headers": bearer(f"Bearer {KEY}") * 3,
    "16385 characters": bearer(f"Bearer {LONGEST}L"),
    "30000 characters": bearer(f"Bearer {'L' * 30000}"),
    "UTF-8 in the token": bearer(f"Bearer {KEY}é"),
    "byte 0xFF in the token": bearer(b"Bearer " + KEY.encode() + b"\xff"),
    "byte 0xA0 after the scheme": bearer(b"Bearer\xa0" + KEY.encode()),
    "full-width scheme": bearer(f"Ｂearer {KEY}"),
    "folded over two lines": [("Authorization", f"Bearer\r\n\t{KEY}\r\n x")],
}

UNKNOWN_TOKENS = {
    "unknown": "nobody-knows-this-key",
    "case of a letter": KEY.upper(),
    "one character less": KEY[:-1],
    "one character more": KEY + "0",
    "16384 characters": "M" * 16384,
    "quotes added": f'"{KEY}"',
    "percent-encoded": KEY.replace("-", "%2D"),
    "its digest": client_id(KEY) * 2,
    "equals sign added": KEY + "=",
}


class TestCredentials:
    @staticmethod
    def configure(httpd):
        keys(httpd)
        return CONFIG + "HttpProtocolOptions Strict\n"

    @pytest.mark.parametrize("headers, principal", ACCEPTED.values(), ids=ACCEPTED.keys())
    def test_accepted(self, httpd, headers, principal):
        response = httpd.get("/", headers=headers)
        assert (response.status, response.body) == (200, b"hello\n")
        assert response.note("user") == response.note("principal") == principal
        assert response.note("type") == "Bearer"
        assert response.note("error") is None

    @pytest.mark.parametrize("headers", MISSING.values(), ids=MISSING.keys())
    def test_missing(self, httpd, headers):
        response = httpd.get("/", headers=headers)
        assert (response.status, response.message) == (401, HINT)
        assert response.header("WWW-Authenticate") == 'Bearer realm="llama-stack"'
        assert response.note("error") == "missing_token"
        assert response.note("client_id") is None

    @pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED.keys())
    def test_malformed(self, httpd, headers):
        response = httpd.get("/", headers=headers)
        assert (response.status, response.message) == (401, MALFORMED)
        assert response.challenge == {"realm": "llama-stack", "error": "invalid_request",
                                      "error_description": MALFORMED}
        assert response.note("error") == "invalid_request"
        assert response.note("user") is None

    @pytest.mark.parametrize("token", UNKNOWN_TOKENS.values(), ids=UNKNOWN_TOKENS.keys())
    def test_unknown(self, httpd, token):
        response = httpd.get("/", token=token)
        assert (response.status, response.message) == (401, UNKNOWN)
        assert response.challenge == {"realm": "llama-stack", "error": "invalid_token",
                                      "error_description": UNKNOWN}
        assert response.note("error") == "invalid_token"
        assert response.note("client_id") == client_id(token)
        assert response.note("principal") is None and response.note("user") is None

    @pytest.mark.parametrize("query", ["access_token", "token", "api_key"])
    def test_query_is_no_source(self, httpd, query):
        response = httpd.get(f"/?{query}={KEY}")
        assert (response.status, response.note("error")) == (401, "missing_token")

    @pytest.mark.parametrize("value", [b"Bearer \x00", b"Bearer a\x01b", b"Bearer a\x7fb"],
                             ids=["NUL", "control", "DEL"])
    def test_control_characters_are_httpds_400(self, httpd, value):
        assert httpd.get("/", headers=bearer(value)).status == 400

    def test_method_without_body(self, httpd):
        for method in ("OPTIONS", "HEAD", "DELETE", "PATCH", "PROPFIND", "MADEUP"):
            response = httpd.request(method, "/")
            assert (response.status, response.note("error")) == (401, "missing_token"), method

    def test_pipelined_requests_keep_their_own_callers(self, httpd):
        with httpd.connect() as connection:
            connection.send(build("GET", "/", token=KEY) + build("GET", "/") + build("GET", "/", token=VISIBLE))
            assert [connection.read().note("principal") for _ in range(3)] == ["alice", None, "visible"]

    def test_client_id_is_a_prefix_of_sha256(self, httpd):
        response = httpd.get("/", token=KEY)
        assert response.note("client_id") == client_id(KEY)
        assert response.note("provider") == "keys"


UNSAFE = {"control": b"Bearer a\x01b", "DEL": b"Bearer a\x7fb", "backspace": b"Bearer \x08a", "escape": b"Bearer a\x1b[0m"}


class TestUnsafeProtocol:
    """With httpd's own checks off, ours must hold."""

    @staticmethod
    def configure(httpd):
        keys(httpd)
        return CONFIG + "HttpProtocolOptions Unsafe\n"

    @pytest.mark.parametrize("value", UNSAFE.values(), ids=UNSAFE.keys())
    def test_malformed(self, httpd, value):
        response = httpd.get("/", headers=bearer(value))
        assert (response.status, response.message) == (401, MALFORMED)

    @pytest.mark.parametrize("size", [16385, 32000])
    def test_too_long(self, httpd, size):
        mark = httpd.log.mark()
        response = httpd.get("/", headers=bearer("Bearer " + "L" * size))
        assert (response.status, response.message) == (401, MALFORMED)
        line = httpd.log.await_line("LA0240", mark)
        assert f"it has {size} characters, and at most 16384 are accepted" in line.text

    @pytest.mark.parametrize("spaces", [1, 100, 30000])
    def test_spaces_do_not_count(self, httpd, spaces):
        assert httpd.get("/", headers=bearer(f"Bearer{' ' * spaces}{LONGEST[:5000]}{LONGEST[5000:]}")).status == 200
