"""A stock OGX behind conf/llama_stack.conf, told by assertions and by headers: it believes httpd and nobody else, and its access policy sees
attributes as they are."""

import json
import os
import re
import time

import pytest
from jwcrypto import jwk

from errorlog import await_until
from ogx import Ogx, ask_directly
from server import ROOT, key_entry
from signer import Key
from signing import write_key
from websockets_client import WebSocket

PLAIN, MEMBER, ADMIN, OTHER, NO_TENANT = (f"key-of-{name}-0000000001" for name in ("plain", "member", "admin", "other", "none"))
ENTRIES = (key_entry(PLAIN, "plain", {"tenant": ["acme"], "teams": ["Zürich", "Genève"]}),
           key_entry(MEMBER, "member", {"tenant": ["acme"], "teams": ["Zürich,Genève", 'a "b"']}),
           key_entry(ADMIN, "Zoë", {"tenant": ["acme"], "roles": ["admin"]}),
           key_entry(OTHER, "Zoë", {"tenant": ["other"], "roles": ["admin"]}, name="other"),
           key_entry(NO_TENANT, "none", {"teams": ["Zürich,Genève"]}))

pytestmark = pytest.mark.skipif(not os.path.exists(os.environ.get("LA_OGX", "")), reason="OGX is not installed")


def configuration(httpd, way="oauth2_token", tls=None):
    httpd.endpoints["ogx"] = Ogx(httpd.root / "ogx", way, httpd.port, tls)
    httpd.write_keys("conf/api_keys.json", *ENTRIES)
    write_key(httpd, "signer")
    text = (ROOT / "conf" / "llama_stack.conf").read_text()
    if way == "upstream_header":
        text = text.replace("\nDefine LLAMA_ASSERTIONS\n", "\n")
    return re.sub(r"^Define LLAMA_BACKEND .*$", f"Define LLAMA_BACKEND {httpd.endpoints['ogx'].url()}", text, flags=re.M)


def models(response):
    assert response.status == 200, response
    return [model["id"] for model in response.json["data"]]


class Behind:
    modules = ("proxy", "proxy_http")
    expected = ("AH01630", "AH01631")

    @pytest.mark.parametrize("token, expected", [
        (PLAIN, ["llm/open"]), (MEMBER, ["llm/open", "llm/closed"]), (ADMIN, ["llm/open", "llm/closed"])])
    def test_access_policy_by_attribute(self, httpd, token, expected):
        assert models(httpd.get("/v1/models", token=token)) == expected

    def test_model_with_a_slash(self, httpd):
        for path in ("/v1/models/llm%2Fopen", "/v1/models/llm/open"):
            assert httpd.get(path, token=PLAIN).json["id"] == "llm/open"

    def test_tenants_do_not_see_each_other(self, httpd):
        form = (b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n--b\r\n'
                b'Content-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhello\r\n--b--\r\n')
        made = httpd.request("POST", "/v1/files", token=ADMIN, body=form, headers=[("Content-Type", "multipart/form-data; boundary=b")])
        assert made.status == 200, made
        path = f"/v1/files/{made.json['id']}"
        assert httpd.get(path, token=ADMIN).status == 200
        assert httpd.get(path, token=OTHER).status == 404
        assert httpd.get("/v1/files", token=OTHER).json["data"] == []

    def test_no_tenant(self, httpd):
        response = httpd.get("/v1/models", token=NO_TENANT)
        assert response.status == 401 and "Tenant context required" in response.json["error"]["message"]

    def test_errors_of_its_own_arrive_whole(self, httpd):
        ours, theirs = httpd.get("/v1/models"), httpd.get("/v1/models/llm/missing", token=ADMIN)
        assert ours.status == 401 and set(ours.json) == {"error"} and set(ours.json["error"]) == {"message"}
        assert (theirs.status, theirs.json) == ask_directly(httpd.endpoints["ogx"], "/v1/models/llm/missing", **self.admin(httpd))
        assert set(theirs.json["error"]) == {"message"}
        broken = httpd.request("POST", "/v1/chat/completions", token=ADMIN, body=b"{", headers=[("Content-Type", "application/json")])
        assert broken.status in (400, 422) and broken.json["error"]["message"]

    def test_client_cannot_name_somebody(self, httpd):
        fields = [("X-Auth-User-Id", "x"), ("X-Auth-Attributes", '{"roles": ["admin"]}'), ("X_Auth_Tenant", "other"),
                  ("X-Forwarded-For", "10.0.0.1")]
        assert models(httpd.get("/v1/models", token=PLAIN, headers=fields)) == ["llm/open"]

    def test_public_and_closed_routes(self, httpd):
        assert httpd.get("/v1/version").json["version"] and httpd.get("/v1/health").json == {"status": "OK"}
        for path in ("/v1alpha/admin/version", "/v1/providers"):
            assert [httpd.get(path, token=token).status for token in (None, MEMBER, ADMIN)] == [401, 403, 200]
        assert httpd.get("/v1alpha%2Fadmin/version", token=MEMBER).status == 403

    def test_websocket(self, httpd):
        with WebSocket(httpd.port, "/v1/responses") as socket:
            assert socket.status == 401
        with WebSocket(httpd.port, "/v1/responses", [("Authorization", f"Bearer {MEMBER}")]) as socket:
            assert socket.status == 101
            event = socket.ask(json.dumps({"type": "response.create", "model": "llm/open", "input": "hello"}))
            assert event["type"] == "response.created", event
            assert socket.ask("{")["type"] in ("error", "response.in_progress", "response.content_part.added")


class TestOgx(Behind):
    """Told by assertion."""

    @staticmethod
    def configure(httpd):
        return configuration(httpd)

    @staticmethod
    def key(httpd):
        """The key of conf/signer.pem."""
        made = Key("ES256", None)
        made.jwk = jwk.JWK.from_pem((httpd.root / "conf/signer.pem").read_bytes())
        made.kid = made.jwk.thumbprint()
        return made

    @staticmethod
    def said(**changes):
        """Claims as httpd says them, changed; a change to None leaves one out."""
        now = int(time.time())
        said = {"iss": "https://api.example.com", "aud": "ogx", "sub": "Zoë", "iat": now - 5, "exp": now + 60, "roles": ["admin"],
                "tenant": "acme", **changes}
        return {name: value for name, value in said.items() if value is not None}

    def admin(self, httpd, **changes):
        return {"Authorization": f"Bearer {self.key(httpd).sign(self.said(**changes))}"}

    def test_it_believes_httpd_only(self, httpd):
        ogx, now = httpd.endpoints["ogx"], int(time.time())
        assert ask_directly(ogx, "/v1/models", **self.admin(httpd))[0] == 200  # or what follows would show nothing
        for changes in ({"exp": now - 1}, {"exp": None}, {"aud": "other"}, {"aud": None}, {"iss": "https://other.example.com"}, {"iss": None}):
            assert ask_directly(ogx, "/v1/models", **self.admin(httpd, **changes))[0] == 401, changes
        forger = Key("ES256", self.key(httpd).kid)
        stranger = Key("ES256", "another")
        header = json.dumps({"alg": "none", "kid": forger.kid}).encode()
        unsigned = forger.sign_raw(header, json.dumps(self.said()).encode()).rsplit(".", 1)[0] + "."
        for forged in (forger.sign(self.said()), stranger.sign(self.said()), unsigned, MEMBER):
            assert ask_directly(ogx, "/v1/models", Authorization=f"Bearer {forged}")[0] == 401
        for fields in ({}, {"X_Auth_User_Id": "x", "X_Auth_Attributes": '{"roles": ["admin"]}', "X_Auth_Tenant": "acme"}):
            assert ask_directly(ogx, "/v1/models", **fields)[0] == 401

    def test_rotation(self, httpd):
        """A new key signs, and OGX asks for it at once; the token never reached OGX."""
        before = self.key(httpd).kid
        write_key(httpd, "signer", "es384")
        await_until(lambda: httpd.get("/.well-known/jwks.json").json["keys"][0]["kid"] != before, "the new key to be published", 30)
        for _ in range(10):
            assert models(httpd.get("/v1/models", token=MEMBER)) == ["llm/open", "llm/closed"]
        log = httpd.endpoints["ogx"].log.read_text()
        assert not [token for token in (PLAIN, MEMBER, ADMIN, OTHER) if token in log]
        write_key(httpd, "signer")
        await_until(lambda: httpd.get("/.well-known/jwks.json").json["keys"][0]["alg"] == "ES256", "the next key to be published", 30)


class TestOgxByHeaders(Behind):
    @staticmethod
    def configure(httpd):
        return configuration(httpd, "upstream_header")

    @staticmethod
    def admin(_httpd):
        return {"X_Auth_User_Id": "Zoë".encode().decode("latin-1"), "X_Auth_Tenant": "acme", "X_Auth_Attributes": '{"roles": ["admin"]}'}

    def test_it_believes_httpd_only(self, httpd):
        status, answer = ask_directly(httpd.endpoints["ogx"], "/v1/models", X_Auth_User_Id="x", X_Forwarded_For="10.0.0.1")
        assert status == 403 and "trusted proxy" in answer["error"]["message"]


class TestOgxOverTls:
    modules = ("proxy", "proxy_http", "ssl")
    needs_pki = True

    @staticmethod
    def configure(httpd):
        for name in ("ca.pem", "good.pem", "good.key"):
            httpd.write(f"conf/{name}", httpd.pki.read(name))
        text = configuration(httpd, tls=(httpd.root / "conf/good.pem", httpd.root / "conf/good.key"))
        return text + "SSLProxyEngine on\nSSLProxyCACertificateFile conf/ca.pem\n"

    def test_models(self, httpd):
        assert models(httpd.get("/v1/models", token=MEMBER)) == ["llm/open", "llm/closed"]
