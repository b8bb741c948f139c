"""A stock OGX behind conf/llama_stack.conf, told who calls by signed assertions, and by headers: it believes httpd and nobody else, and
its access policy sees attributes as they are."""

import json
import os
import re
import time

import pytest
from jwcrypto.common import base64url_decode
from jwcrypto.jwk import JWK

from backend_load import BackendLoad
from behaviour import reply
from errorlog import await_until
from ogx import Ogx, ask_directly
from program import listens
from server import ROOT, key_entry
from signer import Key, assemble, claims
from websockets_client import WebSocket

PLAIN, MEMBER, ADMIN, OTHER, NO_TENANT, OWNER, BOTH = (f"key-of-{name}-0000000001" for name in (
    "plain", "member", "admin", "other", "none", "owner", "both"))
ENTRIES = (key_entry(PLAIN, "plain", {"tenant": ["acme"], "teams": ["Zürich", "Genève"]}),
           key_entry(MEMBER, "member", {"tenant": ["acme"], "teams": ["Zürich,Genève", 'a "b"']}),
           key_entry(ADMIN, "Zoë", {"tenant": ["acme"], "roles": ["admin"]}),
           key_entry(OTHER, "Zoë", {"tenant": ["other"], "roles": ["admin"]}, name="other"),
           key_entry(NO_TENANT, "none", {"teams": ["Zürich,Genève"]}),
           key_entry(OWNER, "José Ortega", {"tenant": ["acme"]}, name="owner"),
           key_entry(BOTH, "both", {"tenant": ["acme", "other"]}))
# Which models each may read.
EXPECTED = {PLAIN: ["llm/open"], MEMBER: ["llm/closed", "llm/open"], ADMIN: ["llm/closed", "llm/open"]}

pytestmark = pytest.mark.skipif(not os.path.exists(os.environ.get("LA_OGX", "")), reason="OGX is not installed")


def configuration(httpd, way, tls=None):
    """The shipped one for this way, and OGX behind it."""
    ogx = httpd.endpoints["ogx"] = Ogx(httpd.root / "ogx", way, f"http://127.0.0.1:{httpd.port}/.well-known/jwks.json", tls)
    httpd.write_keys("conf/api_keys.json", *ENTRIES)
    text = (ROOT / "conf" / "llama_stack.conf").read_text()
    if way == "headers":
        text, count = re.subn(r"^Define LLAMA_ASSERTIONS\n", "", text, flags=re.M)
        assert count == 1
    else:
        httpd.signer = SigningKey()
        httpd.write("conf/signer.pem", httpd.signer.pem())
    return re.sub(r"^Define LLAMA_BACKEND .*$", f"Define LLAMA_BACKEND {ogx.url()}", text, flags=re.M)


class SigningKey(Key):
    """One of httpd's, and what the tests sign with it."""

    def __init__(self, alg="ES256"):
        super().__init__(alg, None)
        self.kid = self.jwk.thumbprint()

    def pem(self):
        return self.jwk.export_to_pem(private_key=True, password=None)

    def assertion(self, sub="x", header=None, **changes):
        """As httpd would sign it, but for the changes."""
        said = {"iss": "https://api.example.com", "aud": "ogx", "iat": int(time.time()) - 5, "exp": int(time.time()) + 60, "tenant": "acme",
                "roles": ["admin"], **changes}
        return self.sign(claims(sub, **said), **(header or {}))


def models(response):
    assert response.status == 200, response
    return sorted(model["id"] for model in response.json["data"])


def upload(httpd, token):
    """The id of a new file."""
    form = (b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n--b\r\n'
            b'Content-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhello\r\n--b--\r\n')
    made = httpd.request("POST", "/v1/files", token=token, body=form, headers=[("Content-Type", "multipart/form-data; boundary=b")])
    assert made.status == 200, made
    return made.json["id"]


class Common:
    """What holds however OGX is told."""

    modules = ("proxy", "proxy_http")
    expected = ("AH01630", "AH01631")

    @pytest.mark.parametrize("token, expected", EXPECTED.items())
    def test_access_policy_by_attribute(self, httpd, token, expected):
        assert models(httpd.get("/v1/models", token=token)) == expected

    def test_model_with_a_slash(self, httpd):
        for path in ("/v1/models/llm%2Fopen", "/v1/models/llm/open"):
            assert httpd.get(path, token=PLAIN).json["id"] == "llm/open"

    def test_tenants_do_not_see_each_other(self, httpd):
        path = f"/v1/files/{upload(httpd, ADMIN)}"
        assert httpd.get(path, token=ADMIN).status == 200
        assert httpd.get(path, token=OTHER).status == 404
        assert httpd.get("/v1/files", token=OTHER).json["data"] == []

    def test_several_tenants(self, httpd):
        response = httpd.get("/v1/models", token=BOTH)
        assert (response.status, response.json) == (403, {"error": {"message": "Access denied: more than one value of attribute: tenant"}})

    def test_no_tenant(self, httpd):
        response = httpd.get("/v1/models", token=NO_TENANT)
        assert response.status == 401 and "Tenant context required" in response.json["error"]["message"]

    def test_errors_of_its_own_arrive_whole(self, httpd):
        ours, theirs = httpd.get("/v1/models"), httpd.get("/v1/models/llm/missing", token=ADMIN)
        assert ours.status == 401 and set(ours.json) == {"error"} and set(ours.json["error"]) == {"message"}
        assert (theirs.status, theirs.json) == ask_directly(httpd.endpoints["ogx"], "/v1/models/llm/missing", **self.credentials(httpd))
        assert set(theirs.json["error"]) == {"message"}
        broken = httpd.request("POST", "/v1/chat/completions", token=ADMIN, body=b"{", headers=[("Content-Type", "application/json")])
        assert broken.status in (400, 422) and broken.json["error"]["message"]

    def test_whose_a_file_is(self, httpd):
        """By the principal alone, which has an accent and a blank."""
        path = f"/v1/files/{upload(httpd, OWNER)}"
        assert [httpd.get(path, token=token).status for token in (OWNER, PLAIN, OTHER)] == [200, 404, 404]

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



class TestOgxByHeaders(Common):
    @staticmethod
    def configure(httpd):
        return configuration(httpd, "headers")

    @staticmethod
    def credentials(httpd):
        """What httpd would say of an administrator."""
        return {"X_Auth_User_Id": "x", "X_Auth_Tenant": "acme", "X_Auth_Attributes": '{"roles": ["admin"]}'}

    def test_it_believes_httpd_only(self, httpd):
        status, answer = ask_directly(httpd.endpoints["ogx"], "/v1/models", X_Auth_User_Id="x", X_Forwarded_For="10.0.0.1")
        assert status == 403 and "trusted proxy" in answer["error"]["message"]


# Name: how the assertion is made. OGX must refuse each; all but what is wrong is as httpd does it.
FORGED = {
    "another key, of the same name": lambda ours: SigningKey().assertion(header={"kid": ours.kid}),
    "another key": lambda ours: SigningKey().assertion(),
    "another key, without a name": lambda ours: SigningKey().assertion(header={"kid": None}),
    "nobody's": lambda ours: assemble({"alg": "none", "typ": "JWT", "kid": ours.kid}, claims("x", iss="https://api.example.com", aud="ogx")),
    "the public key as a secret": lambda ours: Secret(ours).assertion(),
    "a cut signature": lambda ours: ours.assertion()[:-8],
    "another payload": lambda ours: swap_payload(ours.assertion("x", roles=[]), ours.assertion()),
    "old": lambda ours: ours.assertion(iat=int(time.time()) - 90, exp=int(time.time()) - 1),
    "early": lambda ours: ours.assertion(nbf=int(time.time()) + 60),
    "for another backend": lambda ours: ours.assertion(aud="other"),
    "for nobody": lambda ours: ours.assertion(aud=None),
    "of another issuer": lambda ours: ours.assertion(iss="https://api.example.org"),
    "of no issuer": lambda ours: ours.assertion(iss=None),
    "a caller's key": lambda ours: ADMIN,
}


class Secret(SigningKey):
    """HS256 with what everybody can read."""

    def __init__(self, ours):
        self.alg, self.kid = "HS256", ours.kid
        self.jwk = JWK.from_password(ours.jwk.export_to_pem().decode())


def swap_payload(one, other):
    parts = one.split(".")
    return ".".join((parts[0], other.split(".")[1], parts[2]))


class TestOgx(Common):
    """Told by assertions, as shipped. Beside it, a place that shows the tests what is sent."""

    expected = (*Common.expected, r"AH00898", r"AH01110", r"AH01114", r"AH0095[79]", r"AH00940", r"AH01102", r"AH10451")

    @staticmethod
    def configure(httpd):
        httpd.endpoint("shown").default = reply(200, b"{}")
        return configuration(httpd, "assertions") + f'<Location "/shown">\n    ProxyPass "{httpd.endpoint("shown").url("/")}"\n</Location>\n'

    @staticmethod
    def credentials(httpd):
        return {"Authorization": f"Bearer {httpd.signer.assertion()}"}

    @staticmethod
    def shown(httpd, token):
        """The assertion that is sent for this caller."""
        assert httpd.get("/shown", token=token).status == 200
        kind, value = httpd.endpoint("shown").calls[-1].header("Authorization").split(" ")
        assert kind == "Bearer"
        httpd.secrets.add(value.encode())
        return value

    @staticmethod
    def ask(httpd, assertion):
        return ask_directly(httpd.endpoints["ogx"], "/v1/models", Authorization=f"Bearer {assertion}")

    @pytest.mark.parametrize("make", FORGED.values(), ids=FORGED.keys())
    def test_forged(self, httpd, make):
        assert self.ask(httpd, httpd.signer.assertion())[0] == 200
        status, answer = self.ask(httpd, make(httpd.signer))
        assert status == 401, answer

    def test_headers_alone(self, httpd):
        status, _ = ask_directly(httpd.endpoints["ogx"], "/v1/models", X_Auth_User_Id="x", X_Auth_Tenant="acme", X_Auth_Attributes='{"roles": ["admin"]}')
        assert status == 401

    def test_keys_go_no_further(self, httpd):
        assert models(httpd.get("/v1/models", token=MEMBER)) == EXPECTED[MEMBER]
        self.shown(httpd, MEMBER)
        log = httpd.endpoints["ogx"].program.log.read_text() + str(httpd.endpoint("shown").calls[-1].headers)
        assert not [token for token in EXPECTED if token in log]

    def test_stolen(self, httpd):
        """What somebody overheard is good for a minute, at OGX alone."""
        stolen = self.shown(httpd, MEMBER)
        assert sorted(model["id"] for model in self.ask(httpd, stolen)[1]["data"]) == EXPECTED[MEMBER]
        assert httpd.get("/v1/models", token=stolen).status == 401
        await_until(lambda: self.ask(httpd, stolen)[0] == 401, "its end", 90)

    def test_ogx_is_away(self, httpd):
        ogx, seen = httpd.endpoints["ogx"], set()

        def judge(token, response):
            seen.add(response.status)
            assert response.status in (502, 503) or models(response) == EXPECTED[token], response
        with BackendLoad(httpd, self.choose, judge, clients=3, may_break=True):
            ogx.program.kill()
            await_until(lambda: not listens(ogx.port) and 503 in seen, "an answer without OGX")
            assert httpd.get("/v1/models", token="not-a-key-0001").status == 401
            ogx.program.start()
            await_until(lambda: httpd.get("/v1/models", token=PLAIN).status == 200, "OGX to be asked again", 60)

    def test_key_is_revoked(self, httpd):
        httpd.write_keys("conf/api_keys.json", *ENTRIES[1:])
        await_until(lambda: httpd.get("/v1/models", token=PLAIN).status == 401, "the end of the key")
        httpd.write_keys("conf/api_keys.json", *ENTRIES)
        await_until(lambda: all(httpd.get("/v1/models", token=PLAIN).status == 200 for _ in range(5)), "its return")

    @staticmethod
    def choose(chance):
        return "/v1/models", chance.choice((PLAIN, MEMBER, ADMIN))

    def test_rotation(self, httpd):
        """README's steps, under load: the new key is published, then it signs, then the old one goes. OGX fetches keys for an unknown
        name at most once in 30 s, and keeps those that it has used until it is started again."""
        old, new = httpd.signer, SigningKey()

        def judge(token, response):
            assert models(response) == EXPECTED[token], response

        def configure(*names):
            httpd.configure(re.sub(r"^    Key +file:.*$", "    Key " + " ".join(f"file:conf/{name}.pem" for name in names), httpd.text, flags=re.M))
            httpd.graceful()

        def signs(key):
            return json.loads(base64url_decode(self.shown(httpd, PLAIN).split(".")[0]))["kid"] == key.kid
        httpd.write("conf/next.pem", new.pem())
        with BackendLoad(httpd, self.choose, judge, clients=3, may_break=True) as load:
            for names, key in ((("signer", "next"), old), (("next", "signer"), new), (("next",), new)):
                configure(*names)
                await_until(lambda: signs(key), f"{names[0]} to sign")
                await_until(lambda: self.ask(httpd, new.assertion())[0] == 200, "OGX to know the new key", 60)
                before = load.answers
                await_until(lambda: load.answers > before + 10, "answers")
        assert self.ask(httpd, old.assertion())[0] == 200
        httpd.endpoints["ogx"].program.restart()
        assert [self.ask(httpd, key.assertion())[0] for key in (new, old)] == [200, 401]
        httpd.signer = new


class TestOgxOverTls:
    modules = ("proxy", "proxy_http", "ssl")
    needs_pki = True

    @staticmethod
    def configure(httpd):
        for name in ("ca.pem", "good.pem", "good.key"):
            httpd.write(f"conf/{name}", httpd.pki.read(name))
        text = configuration(httpd, "assertions", (httpd.root / "conf/good.pem", httpd.root / "conf/good.key"))
        return text + "SSLProxyEngine on\nSSLProxyCACertificateFile conf/ca.pem\n"

    def test_models(self, httpd):
        assert models(httpd.get("/v1/models", token=MEMBER)) == EXPECTED[MEMBER]
