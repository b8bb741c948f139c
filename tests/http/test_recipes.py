"""README.md's configurations, taken from the page itself: the quick start with its first answers, and each recipe behind it."""

import base64
import json
import re
import subprocess

import pytest

from behaviour import reply
from errorlog import await_until
from keyserver import key_server
from server import MODULE, ROOT, key_entry
from signer import claims, key
from websockets_client import WebSocket, WebSocketBackend

README = (ROOT / "README.md").read_text()
KEY, SECRET = "key-of-a-recipe-00000001", "key-of-the-backend-0001"
ORIGIN = ("Origin", "https://app.example.com")


def chapter(title):
    """What stands below a heading, up to the next one."""
    return re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", README, re.M | re.S).group(1)


def block(title, kind="apache"):
    """The first fenced block below a heading."""
    return re.search(rf"^```{kind}\n(.*?)^```", chapter(title), re.M | re.S).group(1)


def chapter_of_recipes():
    return re.search(r"^## Recipes\n(.*?)^## ", README, re.M | re.S).group(1)


def quick_start(httpd):
    """The quick start's configuration, with the backend and the key of a test."""
    httpd.write_keys("conf/api_keys.json", key_entry(KEY, "ci-bot", {"scopes": ["models.read"]}))
    text = block("Quick start")
    if "backend" not in httpd.endpoints:
        httpd.endpoint("backend").default = reply(200, b'{"object": "list", "data": []}')
    return behind(httpd, text)


def behind(httpd, text):
    """A configuration whose backend is the test's, and whose files are below the test's ServerRoot."""
    return text.replace("http://127.0.0.1:8321", f"http://127.0.0.1:{httpd.endpoints['backend'].port}").replace("/var/www", str(httpd.root))


def basic(user, password):
    return ("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())


class Recipe:
    modules = ("proxy", "proxy_http")
    expected = ("AH01630", "AH01631")
    title = None

    @classmethod
    def configure(cls, httpd):
        return quick_start(httpd) + behind(httpd, block(cls.title))

    @staticmethod
    def seen(httpd):
        """What the backend saw last."""
        return httpd.endpoints["backend"].calls[-1]


@pytest.mark.parametrize("page", ["README.md", "src/README.md", "tests/README.md", "tests/bench/README.md"])
def test_lines_are_short(page):
    assert [line for line in (ROOT / page).read_text().split("\n") if len(line) >= 120] == []


def test_links_lead_somewhere():
    def anchor(title):
        return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
    anchors = {anchor(title) for title in re.findall(r"^#+ (.*)$", README, re.M)}
    for target in re.findall(r"\]\(([^)]*)\)", README):
        assert target[1:] in anchors if target.startswith("#") else (ROOT / target).exists(), target


def test_named_tests_are_there():
    missing = [name for name in re.findall(r"\btest_[\w*]+\.(?:py|c)\b", README) if not list((ROOT / "tests").rglob(name))]
    assert missing == []


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "conf").glob("*.conf") if path.name not in ("demo.conf", "kubernetes.conf")))
def test_all_behind_each_configuration(bare, name):
    """Every recipe fits behind every shipped configuration, all at once; a key for the backend where no assertion is its credential."""
    bare.modules += ("proxy", "proxy_http", "auth_basic", "authn_file")
    bare.write("conf/backend.key", SECRET)
    for name_of_secret in ("litellm.key", "introspection.secret"):
        bare.write(f"conf/{name_of_secret}", SECRET)
    bare.write_keys("conf/api_keys.json", key_entry(KEY, "ci-bot"))
    text = (ROOT / "conf" / name).read_text().replace("\nDefine LLAMA_ASSERTIONS\n", "\n")
    if "<LlamaAuthProvider keys " not in text:
        text += "<LlamaAuthProvider keys static>\nFile conf/api_keys.json\n</LlamaAuthProvider>\n"
    bare.configure(text + "".join(block(title) for title in re.findall(r"^### (.*)$", chapter_of_recipes(), re.M)))
    status, said = bare.check()
    assert status == 0 and re.findall(r":warn\].*?(LA\d+|AH\d+)", said) == (["LA0071"] if name == "cognito.conf" else []), said


class TestQuickStart:
    modules = ("proxy", "proxy_http")

    @classmethod
    def configure(cls, httpd):
        text = quick_start(httpd)
        command = re.search(r"^    sudo (llama-auth-keys add .*)$", chapter("Quick start"), re.M).group(1)
        path = httpd.write("conf/api_keys.json", '{"keys": []}')
        words = [MODULE.parent / "llama-auth-keys", *command.replace("/etc/apache2/conf/api_keys.json", str(path)).split()[1:]]
        cls.key = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
        httpd.secrets.add(cls.key.encode())
        return text

    def test_module_is_where_install_puts_it(self):
        said = subprocess.run(["make", "-n", "-f", "Makefile.apxs", "install"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        path = re.search(r'echo "LoadModule llama_auth_module (\S+)"', chapter("Quick start")).group(1)
        assert "/usr/lib/apache2" not in said or f'"{path}"' in said

    def test_first_200(self, httpd):
        response = httpd.get("/v1/models", token=self.key)
        assert (response.status, response.note("principal"), response.note("attribute.scopes")) == (200, "ci-bot", "models.read")
        assert "HTTP/1.1 200 OK\n" in block("Quick start", "console")

    def test_first_401(self, httpd):
        shown = re.search(r"(HTTP/1.1 401 .*)\n\n(.*)", block("Quick start", "console"), re.S)
        response = httpd.get("/v1/models")
        lines = [f"HTTP/1.1 {response.status} {response.reason}", *(f"{name}: {value}" for name, value in response.headers)]
        assert [line for line in shown.group(1).split("\n") if line not in lines] == []
        assert json.loads(shown.group(2).replace("\n", " ")) == response.json

    def test_rules(self, httpd):
        assert httpd.get("/v1/telemetry/x", token=self.key).status == 403
        assert [httpd.get(path).status for path in ("/v1/health", "/v1/healthy")] == [200, 401]


class TestCors(Recipe):
    title = "CORS"

    def test_preflight_and_refusal(self, httpd):
        preflight = httpd.request("OPTIONS", "/v1/models", headers=[ORIGIN, ("Access-Control-Request-Method", "POST")])
        assert (preflight.status, preflight.header("Access-Control-Allow-Origin")) == (204, ORIGIN[1])
        for token, status in ((None, 401), (KEY, 200)):
            response = httpd.get("/v1/models", token=token, headers=[ORIGIN])
            assert (response.status, response.header("Access-Control-Allow-Origin")) == (status, ORIGIN[1])

    def test_another_origin(self, httpd):
        response = httpd.get("/v1/models", token=KEY, headers=[("Origin", "https://evil.example")])
        assert response.header("Access-Control-Allow-Origin") is None


class TestBackendKey(Recipe):
    title = "A key for the backend"

    @classmethod
    def configure(cls, httpd):
        httpd.write("conf/backend.key", SECRET + "\n")
        return super().configure(httpd)

    def test_key(self, httpd):
        assert httpd.get("/v1/models", token=KEY).status == 200
        assert self.seen(httpd).header("Authorization") == f"Bearer {SECRET}"
        assert httpd.get("/v1/health").status == 200
        assert self.seen(httpd).header("Authorization") is None


class TestAnthropic(Recipe):
    title = "Anthropic's clients"

    def test_key(self, httpd):
        assert httpd.request("POST", "/v1/messages", headers=[("x-api-key", KEY)]).status == 200
        assert httpd.request("POST", "/v1/messages").json["error"]["type"] == "authentication_error"


class TestBasic(Recipe):
    title = "Basic beside Bearer"
    modules = (*Recipe.modules, "auth_basic", "authn_file")
    expected = (*Recipe.expected, "AH01617")

    @classmethod
    def configure(cls, httpd):
        httpd.write_passwords("conf/passwords", ann="her-password")
        return super().configure(httpd)

    def test_both(self, httpd):
        response = httpd.get("/v1/models", headers=[basic("ann", "her-password")])
        assert (response.status, response.note("user"), response.note("principal")) == (200, "ann", None)
        assert self.seen(httpd).header("Authorization") is None
        assert httpd.get("/v1/models", token=KEY).note("principal") == "ci-bot"

    def test_refusals(self, httpd):
        assert httpd.get("/v1/models", headers=[basic("ann", "wrong")]).status == 401
        assert httpd.get("/v1/models").challenge == {"realm": "llama-stack"}
        assert httpd.get("/v1/telemetry/x", headers=[basic("ann", "her-password")]).status in (401, 403)


class TestSubprotocol(Recipe):
    title = "A WebSocket's key in its subprotocol"

    @classmethod
    def configure(cls, httpd):
        httpd.endpoints["backend"] = WebSocketBackend()
        return super().configure(httpd)

    @pytest.mark.parametrize("offered", [["realtime", f"openai-insecure-api-key.{KEY}", "openai-beta.realtime-v1"],
                                         ["realtime", f"openai-insecure-api-key.{KEY}"], [f"openai-insecure-api-key.{KEY}", "realtime"]])
    def test_key(self, httpd, offered):
        with WebSocket(httpd.port, "/v1/realtime", subprotocols=offered) as socket:
            assert (socket.status, socket.subprotocol) == (101, "realtime")
            fields = socket.ask("hello")["fields"]
            assert fields["sec-websocket-protocol"].split(", ") == [name for name in offered if KEY not in name]
            assert KEY not in str(fields)

    @pytest.mark.parametrize("offered, code", [(["realtime"], None), (["realtime", "openai-insecure-api-key.not-a-key"], "invalid_token")])
    def test_refused(self, httpd, offered, code):
        with WebSocket(httpd.port, "/v1/realtime", subprotocols=offered) as socket:
            assert socket.status == 401
            assert ("error=" in socket.fields["www-authenticate"]) == bool(code)

    def test_authorization_still_serves(self, httpd):
        with WebSocket(httpd.port, "/v1/realtime", [("Authorization", f"Bearer {KEY}")], ["realtime"]) as socket:
            assert "authorization" not in socket.ask("hello")["fields"]


class TestAcme(Recipe):
    title = "An open path for ACME"

    def test_open(self, httpd):
        httpd.write("acme-challenge/abc", "abc.thumbprint")
        response = httpd.get("/.well-known/acme-challenge/abc")
        assert (response.status, response.body) == (200, b"abc.thumbprint")
        assert httpd.get("/.well-known/other").status == 401


class TestErrorPages(Recipe):
    title = "Error pages"
    modules = (*Recipe.modules, "unique_id")
    expected = (*Recipe.expected, "AH00957", "AH01114", "AH00959")

    @classmethod
    def configure(cls, httpd):
        httpd.write("errors/backend.json", '{"error": {"message": "down"}}')
        return super().configure(httpd) + '<Location "/down">\nProxyPass "http://127.0.0.1:1/"\n</Location>\n'

    def test_ours(self, httpd):
        error = httpd.get("/v1/models").json["error"]
        assert error["code"] == "missing_token" and len(error["id"]) > 20

    def test_backend_is_down(self, httpd):
        for method in ("GET", "POST"):
            response = httpd.request(method, "/down/x", token=KEY)
            assert (response.status, response.json["error"]["message"]) == (503, "down")
            assert response.header("Content-Type") == "application/json"


class TestSeveralIssuers(Recipe):
    title = "Several issuers"
    signers = {name: key("ES256", name) for name in ("login.example.com", "id.partner.example")}

    @classmethod
    def configure(cls, httpd):
        names = re.search(r"^    (LlamaAuthUse keys .*)$", chapter(cls.title), re.M).group(1)
        text = block(cls.title) + quick_start(httpd).replace("LlamaAuthUse keys", names)
        server = key_server(httpd)
        for number, (host, signer) in enumerate(cls.signers.items()):
            path = f"/issuer{number}"
            keys = server.put_keys(signer, path=f"{path}/keys")
            server.put(f"{path}/.well-known/openid-configuration", reply(200, {"issuer": server.url(path), "jwks_uri": keys}))
            text = text.replace(f"https://{host}", server.url(path))
        return text

    def test_each_to_its_own(self, httpd):
        for number, signer in enumerate(self.signers.values()):
            token = signer.sign(claims(iss=key_server(httpd).url(f"/issuer{number}"), aud="https://api.example.com", groups=["core"]))
            response = httpd.get("/v1/models", token=token)
            assert (response.status, response.note("provider")) == (200, ("employees", "partners")[number])
            assert response.note("attribute.teams") == ("core", None)[number]
        assert httpd.get("/v1/models", token=KEY).note("provider") == "keys"


class TestJsonLog(Recipe):
    title = "A JSON access log with caller and model"

    @classmethod
    def configure(cls, httpd):
        httpd.endpoint("backend").default = reply(200, b"{}", [("x-litellm-model-group", 'm"1')])
        text = quick_start(httpd) + behind(httpd, block(cls.title))
        httpd.write_keys("conf/api_keys.json", key_entry(KEY, 'a "b" \\c', {"roles": ["Zoë"]}))
        return text

    def test_lines(self, httpd):
        httpd.get('/v1/x"y?q=1', token=KEY)
        httpd.get("/v1/none")
        path = httpd.root / "logs" / "llama.json"
        await_until(lambda: path.exists() and path.read_text().count("\n") >= 2, "two lines")
        known, unknown = sorted((json.loads(line) for line in path.read_text().splitlines()), key=lambda line: line["status"])
        assert (known["caller"], known["model"], known["path"], known["status"]) == ('a "b" \\c', 'm"1', '/v1/x"y', 200)
        assert json.loads(known["attributes"]) == {"roles": ["Zoë"]}
        assert (unknown["caller"], unknown["error"], unknown["model"]) == ("-", "missing_token", "-")
