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

CONF = ROOT / "conf"
USER, ADMIN = "key-of-a-user-0000001", "key-of-an-admin-000001"
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


def keys(httpd):
    httpd.write_keys("conf/api_keys.json", key_entry(USER, "user", {"roles": ["user"], "scopes": ["models.read"]}),
                     key_entry(ADMIN, "admin", {"roles": ["admin"], "scopes": ["telemetry.read"]}))


@pytest.mark.parametrize("name", sorted(path.name for path in CONF.glob("*.conf") if path.name not in ("demo.conf", "kubernetes.conf")))
def test_syntax(bare, name):
    bare.modules += ("proxy", "proxy_http")
    keys(bare)
    bare.configure(f'Include "{CONF}/{name}"\n')
    status, said = bare.check()
    assert status == 0, said
    warnings = [line for line in said.split("\n") if "warn" in line]
    if name == "cognito.conf":  # its tokens have no audience: rules take its place
        assert all("LA0071" in line for line in warnings)
    else:
        assert not warnings


def recipe(handler):
    """The README's section with that handler."""
    sections = re.findall(r'^<Location [^\n]*\n.*?^</Location>\n', (ROOT / "README.md").read_text(), re.M | re.S)
    return next(section for section in sections if f"SetHandler {handler}\n" in section)


@pytest.mark.parametrize("name", sorted(path.name for path in CONF.glob("*.conf") if path.name not in ("demo.conf", "kubernetes.conf")))
def test_recipes_of_the_readme(bare, name):
    """The status page and the metadata are served behind each of them, to whom the recipe says."""
    bare.modules += ("proxy", "proxy_http", "auth_basic", "authn_file")
    keys(bare)
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


class TestLlamaStack(Used):
    @staticmethod
    def configure(httpd):
        keys(httpd)
        return text_of("llama_stack.conf", LLAMA_BACKEND=backend(httpd))

    def test_caller_is_told(self, httpd):
        assert httpd.get("/v1/models", token=USER, headers=[("X_Auth_User_Id", "root")]).status == 200
        seen = self.seen(httpd)
        assert seen.header("X-Auth-User-Id") == "user" and seen.header("X_Auth_User_Id") is None
        assert json.loads(seen.header("X-Auth-Attributes")) == {"roles": ["user"], "scopes": ["models.read"]}
        assert seen.header("Authorization") is None

    @pytest.mark.parametrize("method, path, token, status", [
        ("GET", "/v1/models", None, 401), ("GET", "/v1/telemetry/x", USER, 403), ("GET", "/v1/telemetry/x", ADMIN, 200),
        ("POST", "/v1/models", USER, 403), ("POST", "/v1/models", ADMIN, 200), ("GET", "/v1/health", None, 200),
        ("GET", "/v1/health/x", None, 401)])
    def test_rules(self, httpd, method, path, token, status):
        assert httpd.request(method, path, token=token).status == status


class TestVllm(Used):
    @staticmethod
    def configure(httpd):
        keys(httpd)
        return text_of("vllm.conf", LLAMA_BACKEND=backend(httpd))

    @pytest.mark.parametrize("path, token, status", [
        ("/v1/models", USER, 200), ("/v1/chat/completions", USER, 200), ("/v1/chat/completions", None, 401), ("/metrics", USER, 403),
        ("/metrics", ADMIN, 200), ("/v1/load_lora_adapter", USER, 403), ("/v1/modelsx", USER, 403), ("/V1/models", USER, 403),
        ("/v1/x/../load_lora_adapter", USER, 403), ("/health", None, 200), ("/healthx", None, 401)])
    def test_rules(self, httpd, path, token, status):
        response = httpd.get(path, token=token)
        assert response.status == status
        if status != 200:
            assert set(response.json["error"]) == {"message", "type", "param", "code"}

    def test_anthropic(self, httpd):
        assert httpd.request("POST", "/v1/messages", headers=[("x-api-key", USER)]).status == 200
        assert self.seen(httpd).header("x-api-key") is None
        assert httpd.request("POST", "/v1/messages").json["error"]["type"] == "authentication_error"

    def test_preflight(self, httpd):
        headers = [("Origin", "https://app.example"), ("Access-Control-Request-Method", "POST")]
        assert httpd.request("OPTIONS", "/v1/chat/completions", headers=headers).status == 200
        assert httpd.request("OPTIONS", "/metrics", headers=headers).status == 401


def issuer(httpd):
    """An issuer with metadata and keys; tokens of it."""
    server = key_server(httpd)
    url = server.url("")
    server.put("/.well-known/openid-configuration", reply(200, {"issuer": url, "jwks_uri": server.put_keys(SIGNER)}))
    return url


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
        assert httpd.request("POST", "/mcp", token=token).status == 200
        assert self.seen(httpd).header("Authorization") is None
        other = SIGNER.sign(claims(iss=key_server(httpd).url(""), aud="https://api.example.com/other"))
        assert httpd.request("POST", "/mcp", token=other).status == 401
        assert httpd.get("/elsewhere", token=token).status == 403


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
