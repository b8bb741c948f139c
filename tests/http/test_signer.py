"""<LlamaAuthSigner> and assertion:SIGNER (spec section 15): what the backend is told, signed, and that nobody else can say it."""

import re
import time

import pytest

from callers import BEARER, CALLERS, key_of, write_callers
from client import build
from server import client_id
from signing import ALGORITHMS, JWKS, KNOWN, backend_of, bearer, last_call, payload_of, signer_section, values, verify

# location: (lines, header, signer's options)
PLACES = {
    "es256": ("LlamaAuthForward Authorization assertion:es256", "Authorization"),
    "es384": ("LlamaAuthForward Authorization assertion:es384", "Authorization"),
    "eddsa": ("LlamaAuthForward authorization assertion:eddsa", "Authorization"),
    "rs256": ("LlamaAuthForward Authorization assertion:rs256", "Authorization"),
    "bare": ("LlamaAuthForward X-Assertion assertion:es256", "X-Assertion"),
    "both": ("LlamaAuthForward X-Assertion assertion:es256\nLlamaAuthForward Authorization ASSERTION:es256", "X-Assertion"),
    "sources": ("LlamaAuthForward Authorization assertion:es256\n"
                "LlamaAuthTokenSource Authorization header:x-api-key query:key cookie:session", "Authorization"),
    "keyed": ("LlamaAuthForward Authorization assertion:es256\nLlamaAuthTokenSource header:x-api-key", None),
    "handler": ('LlamaAuthForward Authorization assertion:es256\nSetHandler "proxy:{backend}/"', "Authorization"),
    "hole": ("LlamaAuthForward Authorization assertion:es256\nRequire all granted", "Authorization"),
    "holex": ("LlamaAuthForward X-Assertion assertion:es256\nRequire all granted", "X-Assertion"),
    "es256/other": ("LlamaAuthForward Authorization assertion:claims", "Authorization"),
    "es256/inherited": ("Options None", "Authorization"),
    "short": ("LlamaAuthForward Authorization assertion:short", "Authorization"),
    "plain": ("Options None", None),
}


class TestPlaces:
    modules = ("proxy", "proxy_http", "rewrite")
    processes = 1
    notes = False

    @staticmethod
    def configure(httpd):
        backend = backend_of(httpd)
        text = write_callers(httpd) + JWKS + "".join(signer_section(httpd, name, name) for name in ALGORITHMS)
        text += signer_section(httpd, "claims", "eddsa", "Claim teams groups\nClaim scopes permissions")
        text += signer_section(httpd, "short", "es256", "Lifetime 10s")
        for path, (lines, _) in PLACES.items():
            ours = "" if "/" in path else BEARER if "Require" in lines else KNOWN
            text += f"<Location /{path}>\n{ours}{lines}\n</Location>\n".replace("{backend}", backend)
        return text + "".join(f'ProxyPass "/{path}" "{backend}/{path}"\n' for path in PLACES if "/" not in path and path != "handler")

    def ask(self, httpd, path, name="full", **more):
        assert httpd.get(f"/{path}/x", token=key_of(name), **more).status == 200
        call = last_call(httpd)
        httpd.secrets |= {value.removeprefix("Bearer ").encode() for header in ("Authorization", "X-Assertion") for value in values(call, header)}
        return call

    @pytest.mark.parametrize("path", [path for path, (_, header) in PLACES.items() if header and path != "es256/other" and not path.startswith("hole")])
    def test_claims(self, httpd, path):
        header = PLACES[path][1]
        before = int(time.time())
        call = self.ask(httpd, path)
        [value] = values(call, header)
        claims = verify(httpd, bearer(value) if header == "Authorization" else value)
        after = int(time.time())
        lifetime = 10 if path == "short" else 60
        assert claims.pop("jti") and re.fullmatch("[A-Za-z0-9_-]{22}", payload_of(value)["jti"])
        iat, exp = claims.pop("iat"), claims.pop("exp")
        assert exp - iat == lifetime + 5 and before - 5 - lifetime // 2 <= iat <= after - 5
        assert claims == {"iss": "https://api.example.com", "sub": "full", "aud": "ogx", "client_id": client_id(key_of("full")),
                          "scope": "a b c", "roles": ["admin", "dev"], "teams": ["core"]}

    def test_claim_lines(self, httpd):
        claims = verify(httpd, bearer(self.ask(httpd, "es256/other").header("Authorization")))
        assert {name: claims[name] for name in claims if name not in ("iss", "aud", "iat", "exp", "jti", "client_id")} == {
            "sub": "full", "scope": "a b c", "groups": ["core"], "permissions": ["a", "b", "c"]}

    @pytest.mark.parametrize("name", ["bare", "none", "case"])
    def test_callers(self, httpd, name):
        """Scopes of which one has a blank, categories by whose names nothing is set, no attributes at all."""
        claims = verify(httpd, bearer(self.ask(httpd, "es256", name).header("Authorization")))
        attributes = dict(CALLERS[name][1] or {})
        scopes = " ".join(scope for scope in attributes.pop("scopes", []) if " " not in scope)
        assert claims["sub"] == name and claims.get("scope", "") == scopes
        assert {name: value for name, value in claims.items() if isinstance(value, list)} == attributes

    @pytest.mark.parametrize("path", ["es256", "both", "sources", "handler", "es256/inherited"])
    def test_replaces_token(self, httpd, path):
        call = self.ask(httpd, path)
        [value] = values(call, "Authorization")
        assert key_of("full") not in value and value.startswith("Bearer ey")
        assert call.header("Host")

    def test_bare_keeps_token(self, httpd):
        assert values(self.ask(httpd, "bare"), "Authorization") == [f"Bearer {key_of('full')}"]

    @pytest.mark.parametrize("place", ["header", "query", "cookie", "all"])
    def test_from_anywhere(self, httpd, place):
        token = key_of("full")
        headers = [("X-Api-Key", token)] * (place in ("header", "all")) + [("Cookie", f"a=b; session={token}")] * (place in ("cookie", "all"))
        headers += [("Authorization", f"Bearer {token}")] * (place == "all")
        assert httpd.get("/sources/x?a=b" + (f"&key={token}" if place in ("query", "all") else ""), headers=headers).status == 200
        call = last_call(httpd)
        assert call.target == "/sources/x?a=b" and [name for name, value in call.headers if token in value] == []
        assert verify(httpd, bearer(call.header("Authorization")))["sub"] == "full"
        assert call.header("Cookie") == ("a=b" if place in ("cookie", "all") else None)

    @pytest.mark.parametrize("value", ["Basic eA==", "Bearer forged.by.me", "Digest x", "bearer", "", "DPoP x"])
    def test_nobody_at_an_open_place(self, httpd, value):
        """A client's own Authorization does not get by, whoever it is."""
        assert httpd.get("/hole/x", headers=[("Authorization", value)]).status == 200
        assert values(last_call(httpd), "Authorization") == []

    @pytest.mark.parametrize("path", ["es256", "sources", "hole", "keyed"])
    def test_no_proof(self, httpd, path):
        """A DPoP proof goes no further, wherever the token came from."""
        headers = [("DPoP", "eyJ.proof"), ("X-Api-Key", key_of("full"))] if path in ("keyed", "sources") else [("DPoP", "eyJ.proof")]
        token = None if path in ("keyed", "sources") else key_of("full")
        assert httpd.get(f"/{path}/x", token=token, headers=headers).status == 200
        assert values(last_call(httpd), "DPoP") == values(last_call(httpd), "X-Api-Key") == []
        assert (values(last_call(httpd), "Authorization") == []) == (path == "hole")

    def test_nobody(self, httpd):
        assert httpd.get("/hole/x").status == httpd.get("/holex/x", headers=[("X-Assertion", "mine"), ("X_Assertion", "mine")]).status == 200
        for call in httpd.endpoint("backend").calls[-2:]:
            assert values(call, "Authorization") == values(call, "X-Assertion") == values(call, "X_Assertion") == []

    def test_elsewhere_untouched(self, httpd):
        """Section 2.1's scrub is for the header of other lines: Authorization goes through where no assertion takes its place."""
        assert values(self.ask(httpd, "plain", headers=[("X-Assertion", "mine")]), "Authorization") == [f"Bearer {key_of('full')}"]
        assert values(last_call(httpd), "X-Assertion") == []

    @pytest.mark.parametrize("named", ["Authorization", "x-assertion", "close, X-Assertion, Authorization", "X_Assertion;authorization"])
    def test_connection(self, httpd, named):
        for path in ("es256", "both"):
            header = PLACES[path][1]
            assert values(self.ask(httpd, path, headers=[("Connection", named)]), header)

    @pytest.mark.parametrize("path", ["es256", "bare", "hole"])
    @pytest.mark.parametrize("forwards", ["0", "5"])
    def test_trace(self, httpd, path, forwards):
        """A TRACE comes back as it was sent, from httpd or from the backend."""
        calls = len(httpd.endpoint("backend").calls)
        response = httpd.request("TRACE", f"/{path}/x", token=key_of("full"), headers=[("Max-Forwards", forwards)])
        assert b"eyJ" not in response.body
        assert [value for call in httpd.endpoint("backend").calls[calls:] for _, value in call.headers if "eyJ" in value] == []

    def test_refused(self, httpd):
        calls = len(httpd.endpoint("backend").calls)
        assert httpd.get("/es256/x").status == 401 and httpd.get("/es256/x", token="nobody").status == 401
        assert len(httpd.endpoint("backend").calls) == calls

    def test_reuse(self, httpd):
        """The same signature serves the same caller, and no other."""
        one = self.ask(httpd, "es384").header("Authorization")
        assert self.ask(httpd, "es384").header("Authorization") == one
        other = self.ask(httpd, "es384", "some").header("Authorization")
        assert other != one and self.ask(httpd, "es384").header("Authorization") == one

    def test_websocket(self, httpd):
        headers = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "x")]
        assert verify(httpd, bearer(self.ask(httpd, "es256", headers=headers).header("Authorization")))["sub"] == "full"

    def test_trailers(self, httpd):
        body = b"1\r\nx\r\n0\r\nAuthorization: Bearer forged\r\nX-Assertion: forged\r\n\r\n"
        with httpd.connect() as connection:
            connection.send(build("POST", "/both/x", token=key_of("full"), headers=[("Transfer-Encoding", "chunked")]) + body)
            assert connection.read().status == 200
        assert "forged" not in str(last_call(httpd).headers) and b"forged" not in last_call(httpd).body
