"""The ready configurations of conf/: each passes `httpd -t` as it is (but for what only a pod has), and each is used."""

import base64
import json
import re

import pytest

from apiserver import ApiServer, service_account
from behaviour import reply
from githubapi import GithubApi
from keyserver import key_server
from server import ROOT, key_entry
from signer import claims, key
from signing import bearer, verify, write_key
from websockets_client import WebSocket, WebSocketBackend

CONF = ROOT / "conf"
NAMES = sorted(path.name for path in CONF.glob("*.conf") if path.name != "demo.conf")
USER, ADMIN, BOTH = "key-of-a-user-0000001", "key-of-an-admin-000001", "key-of-two-tenants-0001"
MASTER = "sk-master-key-of-litellm-0001"
SIGNER = key("ES256", "k")


def text_of(name, **defined):
    """The file with other values for its Defines."""
    text = (CONF / name).read_text()
    for variable, value in defined.items():
        text, count = re.subn(rf"^Define {variable} +\S+$", f"Define {variable} {value}", text, flags=re.M)
        assert count == 1, variable
    return text


def backend(httpd):
    server = httpd.endpoint("backend")
    server.default = reply(200, b'{"backend": true}')
    return f"http://127.0.0.1:{server.port}"


@pytest.mark.parametrize("name", NAMES)
def test_form(name):
    """What each of them has: names of the modules, WebSockets and encoded slashes let through, redirects mapped."""
    text = (CONF / name).read_text()
    assert [line for line in text.split("\n") if len(line) >= 120] == []
    used = {"headers": "RequestHeader", "proxy": "ProxyPass", "proxy_http": "ProxyPass", "authz_user": "valid-user"}
    named = re.search(r"^# httpd must load (.*)\.$", text, re.M).group(1).replace(" and ", ", ").split(", ")
    assert {module for module, directive in used.items() if re.search(rf"^ *[^#\n]*{directive}", text, re.M)} <= set(named)
    assert "LlamaAuthOutageStatus 503\n" in text and "TraceEnable off\n" in text and "ProxyPassReverse" in text
    if name != "mcp.conf":
        assert re.search(r'ProxyPass .*nocanon flushpackets=on timeout=600 upgrade=websocket\n', text)
        assert "AllowEncodedSlashes NoDecode\n" in text and "%2[Ff]" in text


def without_assertions(text):
    """The way by headers of llama_stack.conf."""
    assert "\nDefine LLAMA_ASSERTIONS\n" in text
    return text.replace("\nDefine LLAMA_ASSERTIONS\n", "\n")


def keys(httpd):
    write_key(httpd, "signer")
    httpd.write("conf/introspection.secret", "of-the-gateway")
    httpd.write_keys("conf/api_keys.json", key_entry(USER, "user", {"roles": ["user"], "scopes": ["models.read"]}),
                     key_entry(ADMIN, "admin", {"roles": ["admin"], "scopes": ["telemetry.read"]}))


def warnings(said):
    """The numbers of the warnings of `httpd -t`. LA0071, of Audience none: Cognito's tokens have no audience."""
    return re.findall(r":warn\].*?(LA\d+|AH\d+)", said)


@pytest.mark.parametrize("place", ["{}", "<VirtualHost 127.0.0.1:*>\n{}</VirtualHost>\n"])
@pytest.mark.parametrize("name", [name for name in NAMES if name != "kubernetes.conf"])
def test_syntax(bare, name, place):
    """As shipped, with files below ServerRoot, in the main server (Debian's conf-enabled) and in a virtual host."""
    bare.modules += ("proxy", "proxy_http")
    keys(bare)
    bare.write("conf/litellm.key", MASTER)
    bare.configure(place.format(f'Include "{CONF}/{name}"\n'))
    status, said = bare.check()
    assert status == 0, said
    assert warnings(said) == (["LA0071"] if name == "cognito.conf" else []), said


@pytest.mark.parametrize("signer", [False, True])
def test_llama_stack_by_headers(bare, signer):
    """It needs no key then."""
    bare.modules += ("proxy", "proxy_http")
    bare.write_keys("conf/api_keys.json", key_entry(USER, "user"))
    text = text_of("llama_stack.conf")
    bare.configure(text if signer else without_assertions(text))
    status, said = bare.check()
    assert (status != 0 and "conf/signer.pem: open: No such file" in said) if signer else (status == 0 and not warnings(said)), said


def recipe(handler):
    """The README's section with that handler."""
    sections = re.findall(r'^<Location [^\n]*\n.*?^</Location>\n', (ROOT / "README.md").read_text(), re.M | re.S)
    return next(section for section in sections if f"SetHandler {handler}\n" in section)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "kubernetes.conf"])
def test_recipes_of_the_readme(bare, name):
    """The status page and the metadata are served behind each of them, to whom the recipe says."""
    bare.modules += ("proxy", "proxy_http", "auth_basic", "authn_file")
    keys(bare)
    bare.write("conf/litellm.key", MASTER)
    bare.write_passwords("conf/passwords", admin="of-the-status-page")
    bare.expect("LA0060")  # nobody listens where the issuers are
    text = re.sub(r"^(Define LLAMA_(?:ISSUER|JWKS) +https://)[^/\s]+", r"\g<1>127.0.0.1:1", text_of(name), flags=re.M)
    if "<LlamaAuthProvider idp " not in text:
        text += "<LlamaAuthProvider idp jwt>\n    Issuer https://127.0.0.1:1\n</LlamaAuthProvider>\n"
    bare.configure(text + recipe("llama-auth-status") + recipe("llama-auth-metadata"))
    bare.start()
    admin = [("Authorization", "Basic " + base64.b64encode(b"admin:of-the-status-page").decode())]
    assert bare.get("/llama-auth-status").status == 401
    assert bare.get("/llama-auth-status?format=json", headers=admin).json["version"] == 1
    purge = bare.request("POST", "/llama-auth-status", body=b"purge=all",
                         headers=[*admin, ("Content-Type", "application/x-www-form-urlencoded")])
    assert "dropped" in purge.json
    document = bare.get("/.well-known/oauth-protected-resource/mcp")
    assert document.json["resource"] == "https://api.example.com/mcp"


class Used:
    modules = ("proxy", "proxy_http")
    expected = ("AH01630", "AH01631")

    @staticmethod
    def seen(httpd):
        """What the backend saw last."""
        return httpd.endpoint("backend").calls[-1]


class LlamaStack(Used):
    @staticmethod
    def text(httpd):
        httpd.endpoints["backend"] = WebSocketBackend()
        write_key(httpd, "signer")
        httpd.write_keys("conf/api_keys.json", key_entry(USER, "user", {"roles": ["user"], "teams": ["Zoë, Inc."], "tenant": ["acme"]}),
                         key_entry(ADMIN, "admin", {"roles": ["admin"]}), key_entry(BOTH, "both", {"tenant": ["acme", "other"]}))
        return text_of("llama_stack.conf", LLAMA_BACKEND=f"http://127.0.0.1:{httpd.endpoints['backend'].port}")

    def told(self, httpd):
        """What the backend is sent of the caller, over a WebSocket."""
        fields = [("X_Auth_User_Id", "root"), ("X-Auth-Tenant", "other"), ("X-Forwarded-For", "10.0.0.1"), ("Authorization", f"Bearer {USER}")]
        with WebSocket(httpd.port, "/v1/responses", fields) as socket:
            return socket.ask("hello")["fields"]

    def test_tenant_is_never_guessed(self, httpd):
        response = httpd.get("/v1/models", token=BOTH)
        assert (response.status, response.json) == (403, {"error": {"message": "Access denied: more than one value of attribute: tenant"}})

    @pytest.mark.parametrize("path, token, status", [
        ("/v1/models", None, 401), ("/v1/models", "not-a-key", 401), ("/v1/health/x", None, 401), ("/v1/versions", None, 401),
        ("/v1alpha/admin/providers", USER, 403), ("/v1/providers", USER, 403), ("/v1/providers/x", USER, 403),
        ("/v1/inspect/routes", USER, 403), ("/docs", USER, 403), ("/openapi.json", USER, 403),
        ("/v1alpha%2Fadmin/providers", ADMIN, 403), ("/v1/models/..%2F..%2Fv1alpha/admin", ADMIN, 403)])
    def test_refused(self, httpd, path, token, status):
        calls = len(httpd.endpoints["backend"].calls)
        with WebSocket(httpd.port, path, [("Authorization", f"Bearer {token}")] if token else ()) as socket:
            assert socket.status == status
        assert httpd.request("GET", path, token=token).status == status
        assert len(httpd.endpoints["backend"].calls) == calls

    @pytest.mark.parametrize("path, token", [
        ("/v1/models", USER), ("/v1alpha/admin/providers", ADMIN), ("/v1/providers", ADMIN), ("/v1/health", None), ("/v1/version", None),
        ("/v1/models/meta-llama%2FLlama-3.1-8B", USER)])
    def test_let_through(self, httpd, path, token):
        with WebSocket(httpd.port, path, [("Authorization", f"Bearer {token}")] if token else ()) as socket:
            assert socket.status == 101
            assert socket.ask("hello")["target"] == path

    def test_errors(self, httpd):
        assert set(httpd.get("/v1/models").json["error"]) == {"message"}
        assert set(httpd.get("/v1/providers", token=USER).json["error"]) == {"message"}
        assert httpd.request("POST", "/v1/messages").json["error"]["type"] == "authentication_error"


class TestLlamaStack(LlamaStack):
    configure = LlamaStack.text

    def test_caller_is_told(self, httpd):
        told = self.told(httpd)
        said = verify(httpd, bearer(told["authorization"]), "/.well-known/jwks.json")
        assert (said["iss"], said["aud"], said["sub"]) == ("https://api.example.com", "ogx", "user")
        assert (said["roles"], said["teams"], said["tenant"]) == (["user"], ["Zoë, Inc."], "acme") and said["exp"] - said["iat"] == 65
        assert USER not in str(told) and "x-forwarded-for" not in told

    def test_documented(self):
        """What the comment has OGX demand is what is sent."""
        text = text_of("llama_stack.conf")
        assert re.search(r"^#  +issuer: (\S+)", text, re.M)[1] == re.search(r"^Define LLAMA_SIGNER (\S+)", text, re.M)[1]
        assert re.search(r"^#  +audience: (\S+)", text, re.M)[1] == re.search(r"^ +Audience (\S+)", text, re.M)[1]
        mapped = re.search(r"claims_mapping: \{(.*)\}", text)[1].split(", ")
        assert [f"{name}: {name}" for name in re.findall(r"^ +Claim +(\w+) +\1$", text, re.M)] == mapped


class TestLlamaStackByHeaders(LlamaStack):
    @staticmethod
    def configure(httpd):
        return without_assertions(LlamaStack.text(httpd))

    def test_caller_is_told(self, httpd):
        told = self.told(httpd)
        assert (told["x-auth-user-id"], told["x-auth-tenant"]) == ("user", "acme")
        assert json.loads(told["x-auth-attributes"]) == {"roles": ["user"], "teams": ["Zoë, Inc."], "tenant": ["acme"]}
        assert told["x-auth-attributes"].isascii()
        assert not {"authorization", "x_auth_user_id", "x-forwarded-for"} & set(told)
        assert httpd.get("/.well-known/jwks.json").status == 401


class TestVllm(Used):
    @staticmethod
    def configure(httpd):
        keys(httpd)
        return text_of("vllm.conf", LLAMA_BACKEND=backend(httpd))

    @pytest.mark.parametrize("path, token, status", [
        ("/v1/models", USER, 200), ("/v1/chat/completions", USER, 200), ("/v1/chat/completions", None, 401), ("/metrics", USER, 403),
        ("/metrics", ADMIN, 200), ("/v1/load_lora_adapter", USER, 403), ("/v1/modelsx", USER, 403), ("/V1/models", USER, 403),
        ("/v1/x/../load_lora_adapter", USER, 403), ("/v1/models/meta-llama%2FLlama-3.1-8B", USER, 200), ("/health", None, 200),
        ("/healthx", None, 401)])
    def test_rules(self, httpd, path, token, status):
        response = httpd.get(path, token=token)
        assert response.status == status
        if status != 200:
            assert set(response.json["error"]) == {"message", "type", "param", "code"}

    @pytest.mark.parametrize("path", ["/v1/models/..%2F..%2Fmetrics", "/v1/models%2F..%2Fmetrics", "/v1%2Fmetrics", "/%2Fmetrics"])
    def test_encoded_slashes(self, httpd, path):
        assert httpd.get(path, token=ADMIN).status == 403

    def test_anthropic(self, httpd):
        assert httpd.request("POST", "/v1/messages", headers=[("x-api-key", USER)]).status == 200
        assert self.seen(httpd).header("x-api-key") is None
        assert httpd.request("POST", "/v1/messages").json["error"]["type"] == "authentication_error"

    def test_preflight(self, httpd):
        headers = [("Origin", "https://app.example"), ("Access-Control-Request-Method", "POST")]
        assert httpd.request("OPTIONS", "/v1/chat/completions", headers=headers).status == 200
        assert httpd.request("OPTIONS", "/metrics", headers=headers).status == 401


class TestLitellm(Used):
    @staticmethod
    def configure(httpd):
        keys(httpd)
        httpd.write("conf/litellm.key", MASTER + "\n")
        return text_of("litellm.conf", LLAMA_BACKEND=backend(httpd))

    @pytest.mark.parametrize("path, token, status", [
        ("/v1/models", USER, 200), ("/chat/completions", USER, 200), ("/v1/chat/completions", None, 401), ("/key/generate", USER, 403),
        ("/key/generate", ADMIN, 200), ("/v1/models/meta-llama%2FLlama-3.1-8B", USER, 200), ("/v1%2Fmodels", USER, 403),
        ("/health/liveliness", None, 200), ("/health", USER, 403)])
    def test_rules(self, httpd, path, token, status):
        assert httpd.get(path, token=token).status == status

    def test_master_key(self, httpd):
        fields = [("X-LiteLLM-End-User-Id", "root"), ("x-litellm-customer-id", "root")]
        assert httpd.get("/v1/models", token=USER, headers=fields).status == 200
        seen = self.seen(httpd)
        assert seen.header("Authorization") == f"Bearer {MASTER}"
        assert (seen.header("X-LiteLLM-Customer-Id"), seen.header("X-LiteLLM-End-User-Id")) == ("user", "user")
        assert httpd.request("POST", "/v1/messages", headers=[("x-api-key", USER)]).status == 200
        assert self.seen(httpd).header("x-api-key") is None

    def test_strangers_do_not_get_it(self, httpd):
        assert httpd.get("/health/liveliness", token="not-a-key").status == 200
        assert MASTER not in str(self.seen(httpd).headers)


def issuer(httpd):
    """An issuer with metadata and keys; tokens of it."""
    server = key_server(httpd)
    url = server.url("")
    server.put("/.well-known/openid-configuration", reply(200, {"issuer": url, "jwks_uri": server.put_keys(SIGNER)}))
    return url


def with_models(name, **defines):
    """With the lines that limit models, which are shipped as comments."""
    text = re.sub(r"^#(?=<|    \S)", "", text_of(name, **defines), flags=re.M)
    assert "\n    RequireModel " in text
    return text


class LimitedModels(Used):
    """A key whose attribute is `models`, and one without."""
    prefix = "/v1"

    @classmethod
    def configure(cls, httpd):
        httpd.write_keys("conf/api_keys.json", key_entry(USER, "user", {"models": ["meta-llama/*"]}), key_entry(ADMIN, "admin", {"roles": ["admin"]}))
        httpd.write("conf/litellm.key", MASTER + "\n")
        write_key(httpd, "signer")
        server = backend(httpd)
        httpd.endpoint("backend").default = reply(200, {"object": "list", "data": [{"id": "gpt-4"}, {"id": "meta-llama/Llama-3"}]})
        return with_models(cls.name, LLAMA_BACKEND=server)

    @pytest.mark.parametrize("path", ["chat/completions", "completions", "embeddings", "responses"])
    def test_body(self, httpd, path):
        fields = [("Content-Type", "application/json")]
        for model, status in (("meta-llama/Llama-3", 200), ("gpt-4", 403)):
            body = json.dumps({"model": model}).encode()
            assert httpd.request("POST", f"{self.prefix}/{path}", token=USER, headers=fields, body=body).status == status
            assert httpd.request("POST", f"{self.prefix}/{path}", token=ADMIN, headers=fields, body=body).status == 403
        assert httpd.request("POST", f"{self.prefix}/{path}", token=USER).status == 400

    def test_models(self, httpd):
        assert httpd.get(f"{self.prefix}/models", token=USER).json["data"] == [{"id": "meta-llama/Llama-3"}]
        assert httpd.get(f"{self.prefix}/models", token=ADMIN).json["data"] == []
        assert httpd.get(f"{self.prefix}/models/meta-llama%2FLlama-3", token=USER).status == 200
        assert httpd.get(f"{self.prefix}/models/gpt-4", token=USER).status == 403


class TestVllmModels(LimitedModels):
    name = "vllm.conf"

    def test_websocket(self, httpd):
        """It names its model in a message."""
        assert httpd.get("/v1/realtime", token=USER).status == 403


class TestLitellmModels(LimitedModels):
    name = "litellm.conf"
    prefix = ""

    @pytest.mark.parametrize("path", ["chat/completions", "embeddings", "v1/completions", "v1/audio/speech"])
    def test_query(self, httpd, path):
        """LiteLLM takes a model there before the one in the body."""
        body, fields = b'{"model": "meta-llama/Llama-3"}', [("Content-Type", "application/json")]
        for query, status in (("?model=meta-llama/Llama-3", 200), ("?model=gpt-4", 400), ("?x&%6dodel=gpt-4", 400)):
            assert httpd.request("POST", f"/{path}{query}", token=USER, headers=fields, body=body).status == status

    def test_elsewhere(self, httpd):
        fields = [("Content-Type", "multipart/form-data; boundary=b")]
        assert httpd.request("POST", "/v1/audio/transcriptions", token=USER, headers=fields, body=b"--b--").status == 415
        for query, status in (("?model=meta-llama/Llama-3", 200), ("?model=gpt-4", 403), ("", 400)):
            assert httpd.get(f"/v1/realtime{query}", token=USER).status == status


class TestLlamaStackModels(LimitedModels):
    name = "llama_stack.conf"

    def test_rerank(self, httpd):
        for model, status in (("meta-llama/Llama-3", 200), ("gpt-4", 403)):
            assert httpd.request("POST", "/v1alpha/inference/rerank", token=USER, headers=[("Content-Type", "application/json")],
                                 body=json.dumps({"model": model}).encode()).status == status


class TestMcp(Used):
    @staticmethod
    def configure(httpd):
        return text_of("mcp.conf", LLAMA_ISSUER=issuer(httpd), LLAMA_BACKEND=backend(httpd))

    def test_discovery(self, httpd):
        challenge = httpd.request("POST", "/mcp").challenge
        assert challenge["resource_metadata"] == "https://api.example.com/.well-known/oauth-protected-resource/mcp"
        document = httpd.get("/.well-known/oauth-protected-resource/mcp").json
        assert document["authorization_servers"] == [key_server(httpd).url("")]

    def test_token(self, httpd):
        token = SIGNER.sign(claims(iss=key_server(httpd).url(""), aud="https://api.example.com/mcp"))
        fields = [("Content-Type", "application/json")]
        assert httpd.request("POST", "/mcp", token=token, headers=fields, body=b'{"id": 1, "method": "tools/list"}').status == 200
        assert self.seen(httpd).header("Authorization") is None
        other = SIGNER.sign(claims(iss=key_server(httpd).url(""), aud="https://api.example.com/other"))
        assert httpd.request("POST", "/mcp", token=other).status == 401
        assert httpd.get("/elsewhere", token=token).status == 403

    def test_step_up(self, httpd):
        message = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "delete_page"}}
        for scope, status in (("mcp.read", 403), ("mcp.read mcp.write", 200)):
            token = SIGNER.sign(claims(iss=key_server(httpd).url(""), aud="https://api.example.com/mcp", scope=scope))
            response = httpd.request("POST", "/mcp", token=token, headers=[("Content-Type", "application/json")], body=json.dumps(message).encode())
            assert response.status == status
            if status == 403:
                assert response.challenge["scope"] == "mcp.write"
                assert (response.json["id"], response.json["error"]["code"]) == (7, -32000)

    @pytest.mark.parametrize("origin, status, readable", [("https://app.example.com", 401, True), ("http://localhost:6274", 401, True),
                                                          ("https://evil.example", 403, False)])
    def test_pages(self, httpd, origin, status, readable):
        response = httpd.request("POST", "/mcp", headers=[("Origin", origin)])
        assert response.status == status
        assert response.header("Access-Control-Allow-Origin") == (origin if readable else None)


class TestKeycloak(Used):
    @staticmethod
    def configure(httpd):
        return text_of("keycloak.conf", LLAMA_ISSUER=issuer(httpd), LLAMA_BACKEND=backend(httpd))

    def test_token(self, httpd):
        token = SIGNER.sign(claims(iss=key_server(httpd).url(""), preferred_username="alice", realm_access={"roles": ["admin", "dev"]},
                                   groups=["/core"], scope="a b"))
        response = httpd.get("/v1/models", token=token)
        assert (response.status, response.note("principal")) == (200, "alice")
        assert (response.note("attribute.roles"), response.note("attribute.teams")) == ("admin,dev", "/core")


class TestJwks(Used):
    @staticmethod
    def configure(httpd):
        return text_of("jwks.conf", LLAMA_JWKS=key_server(httpd).put_keys(SIGNER), LLAMA_BACKEND=backend(httpd))

    def test_token(self, httpd):
        assert httpd.get("/x", token=SIGNER.sign(claims(iss="https://idp.example.com"))).status == 200
        assert httpd.get("/x", token=SIGNER.sign(claims(iss="https://other.example.com"))).status == 401


class TestKubernetes(Used):
    """With an API server that is not a pod's."""
    @staticmethod
    def configure(httpd):
        api = httpd.endpoints["api"] = ApiServer()
        api.reviewers["reviewer-token-000000001"] = True
        httpd.write("conf/reviewer", "reviewer-token-000000001")
        return text_of("kubernetes.conf", LLAMA_BACKEND=backend(httpd)).replace(
            "    Audience llama-stack\n", f"    Audience llama-stack\n    ApiServer {api.base()}\n    ReviewerToken file:conf/reviewer\n")

    def test_token(self, httpd, token):
        httpd.endpoints["api"].user(token, service_account("apps", "bot"), audiences=("llama-stack",))
        response = httpd.get("/v1/models", token=token)
        assert (response.status, response.note("principal")) == (200, "system:serviceaccount:apps:bot")
        assert httpd.get("/v1/admin", token=token).status == 403
        assert httpd.get("/v1/models", token="nobody-s-token").status == 401


class TestGithub(Used):
    @staticmethod
    def configure(httpd):
        api = httpd.endpoints["github"] = GithubApi()
        return text_of("github.conf", LLAMA_BACKEND=backend(httpd)).replace(
            "    Organizations on\n", f"    Organizations on\n    ApiBase {api.base()}\n")

    def test_token(self, httpd, token):
        api = httpd.endpoints["github"]
        member, stranger = f"ghp_{token}", f"ghp_x{token}"
        api.person(member, "octocat", 1, ("read:org",), ("my-org",))
        api.person(stranger, "mallory", 2, ("read:org",), ("other",))
        assert httpd.get("/v1/models", token=member).note("principal") == "octocat"
        assert self.seen(httpd).header("Authorization") is None
        assert httpd.get("/v1/models", token=stranger).status == 403
        assert httpd.get("/v1/models", token=token).status == 401
        assert not [call for call in api.calls if call.token == token]
