"""LiteLLM behind conf/litellm.conf: its master key stays between the two, callers are charged by name, its administration is closed."""

import json
import re

import pytest

from backend_load import BackendLoad
from errorlog import await_until
from litellm_server import LiteLlm
from program import listens
from server import ROOT, key_entry
from test_clients import run
from websockets_client import WebSocket

MASTER, NEXT = "sk-master-key-of-litellm-0001", "sk-master-key-of-litellm-0002"
USER, ADMIN, WEAK = (f"key-of-{name}-000000001" for name in ("user", "admin", "weak"))
LLAMA = "meta-llama/Llama-3"
ENTRIES = [key_entry(USER, "Zoë", {"models": ["m"]}), key_entry(ADMIN, "root", {"roles": ["admin"]}),
           key_entry(WEAK, "weak", {"models": ["meta-llama/*"]})]
JSON = [("Content-Type", "application/json")]


@pytest.fixture(scope="module", autouse=True)
def litellm():
    Site.litellm = LiteLlm(MASTER)
    yield Site.litellm
    Site.litellm.stop()


def chat(model="m", **more):
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "hello"}], **more}).encode()


def post(httpd, path, body, token=USER, headers=()):
    return httpd.request("POST", path, token=token, headers=[*JSON, *headers], body=body)


def said(response):
    """The words of a completion."""
    assert response.status == 200, response
    return response.json["choices"][0]["message"]["content"]


class Site:
    modules = ("proxy", "proxy_http")
    expected = ("AH01630", "AH01631")

    @classmethod
    def configure(cls, httpd):
        httpd.secrets |= {key.encode() for key in (MASTER, NEXT, USER, ADMIN, WEAK)}
        httpd.write_keys("conf/api_keys.json", *ENTRIES)
        httpd.write("conf/litellm.key", MASTER + "\n")
        text = (ROOT / "conf" / "litellm.conf").read_text()
        text, count = re.subn(r"^Define LLAMA_BACKEND +\S+$", f"Define LLAMA_BACKEND http://127.0.0.1:{cls.litellm.port}", text, flags=re.M)
        assert count == 1
        return text


class TestLitellm(Site):
    def test_charged_by_name(self, httpd, litellm):
        """Whatever the client's fields and body say."""
        before = len(litellm.charged())
        fields = [("X-LiteLLM-Customer-Id", "mallory"), ("x_litellm_end_user_id", "mallory")]
        body = chat(user="mallory", safety_identifier="mallory", metadata={"user_id": "mallory"}, litellm_metadata={"user": "mallory"})
        assert said(post(httpd, "/v1/chat/completions", body, headers=fields)) == "hello from m"
        assert said(post(httpd, "/chat/completions", chat(LLAMA), token=WEAK)) == "hello from llama"
        await_until(lambda: len(litellm.charged()) >= before + 2, "LiteLLM's callback")
        assert sorted(litellm.charged()[before:]) == [("Zo%C3%AB", "m"), ("weak", LLAMA)]

    def test_model_is_named(self, httpd):
        """README's access log reads it."""
        assert post(httpd, "/v1/chat/completions", chat()).header("x-litellm-model-group") == "m"

    def test_client_streams(self, httpd):
        seen = httpd.endpoint("seen").url("/seen")
        assert run("openai", base=f"http://127.0.0.1:{httpd.port}", key=USER, seen=seen) == {"text": "hello from m"}

    def test_anthropic(self, httpd, litellm):
        before = len(litellm.charged())
        answer = post(httpd, "/v1/messages", chat(max_tokens=9, metadata={"user_id": "mallory"}), token=None, headers=[("x-api-key", USER)])
        assert (answer.status, answer.json["content"][0]["text"]) == (200, "hello from m")
        await_until(lambda: len(litellm.charged()) > before, "LiteLLM's callback")
        assert litellm.charged()[-1] == ("Zo%C3%AB", "m")
        assert post(httpd, "/v1/messages", chat(), token=None).json["error"]["type"] == "authentication_error"

    def test_clients_list_and_refusal(self, httpd):
        base = f"http://127.0.0.1:{httpd.port}"
        assert run("openaiModels", base=base, key=USER) == {"models": ["m", LLAMA, "meta-llama/broken"]}
        refused = run("openaiModels", base=base, key="not-a-key-0001")
        assert (refused["error"], refused["status"]) == ("AuthenticationError", 401) and "Invalid API key" in refused["message"]

    @pytest.mark.parametrize("path, admin", [("/v1/model/info", 200), ("/health", 200), ("/openapi.json", 200), ("/config/yaml", None),
                                             ("/key/info", None), ("/v1/modelsx", 404), ("/v1/models/%2e%2e/model/info", 404)])
    def test_administration(self, httpd, path, admin):
        """admin: what LiteLLM itself says, None for whatever that is without a database."""
        answers = [httpd.get(path, token=token).status for token in (None, USER, ADMIN)]
        assert answers[:2] == [401, 403] and answers[2] == (admin or answers[2]) not in (401, 403)

    @pytest.mark.parametrize("path", ["/v1/models/..%2F..%2Fmodel/info", "/v1%2Fmodel/info", "/model%2Finfo", "/v1/models/%2e%2e%2Fmodel/info"])
    def test_encoded_slashes(self, httpd, path):
        assert httpd.get(path, token=ADMIN).status == 403

    def test_encoded_slash_is_a_slash_to_it(self, httpd, litellm):
        """Why conf/litellm.conf denies it."""
        with httpd.connect(litellm.port) as connection:
            assert connection.get("/v1%2Fmodel%2Finfo", token=MASTER).status == 200

    def test_public(self, httpd):
        assert httpd.get("/health/liveliness").status == httpd.get("/health/readiness").status == 200
        assert httpd.get("/health/readiness", token="not-a-key-0001").status == 200

    def test_nobody_sees_the_master_key(self, httpd):
        answers = [httpd.get(path, token=token) for path in ("/v1/models", "/v1/models/none", "/v1/model/info", "/config/yaml", "/health")
                   for token in (None, USER, ADMIN)]
        answers += [post(httpd, "/v1/chat/completions", body) for body in (chat("none"), b"{", chat(api_base="http://127.0.0.1:1"))]
        for answer in answers:
            assert MASTER.encode() not in answer.body and MASTER not in str(answer.headers)

    def test_websocket(self, httpd):
        with WebSocket(httpd.port, "/v1/realtime?model=m") as socket:
            assert socket.status == 401
        with WebSocket(httpd.port, "/v1/realtime?model=m", [("Authorization", f"Bearer {USER}")]) as socket:
            assert socket.status == 101


class TestModels(Site):
    """With the lines that limit models, which are shipped as comments."""

    @classmethod
    def configure(cls, httpd):
        text = re.sub(r"^#(?=<|    \S)", "", super().configure(httpd), flags=re.M)
        assert "\n    RequireModel " in text
        return text

    @pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions", "/v1/messages", "/v1/completions", "/v1/embeddings",
                                      "/v1/responses", "/v1/rerank", "/v1/audio/speech"])
    def test_model_is_the_one_that_was_allowed(self, httpd, litellm, path):
        """LiteLLM takes a model in the query before the one in the body."""
        more = {"prompt": "hello", "input": "hello", "query": "hello", "documents": ["hello"], "max_tokens": 9}
        before = len(litellm.charged())
        for target, model, status in ((path, LLAMA, 403), (f"{path}?model={LLAMA}", "m", 400), (f"{path}?%6dodel={LLAMA}&x", "m", 400),
                                      (f"{path}?model={LLAMA}", LLAMA, 403), (f"{path}?model=m&model={LLAMA}", "m", 400)):
            assert post(httpd, target, chat(model, **more)).status == status, target
        if path == "/v1/chat/completions":
            assert said(post(httpd, f"{path}?model=m", chat("m"))) == "hello from m"
            await_until(lambda: len(litellm.charged()) > before, "LiteLLM's callback")
        assert [model for _, model in litellm.charged()[before:] if model != "m"] == []

    @pytest.mark.parametrize("more", [{}, {"fastest_response": True}])
    @pytest.mark.parametrize("model", ["meta-llama/,m", f"{LLAMA},m", f"m,{LLAMA}", f"{LLAMA}, m"])
    def test_two_models_in_one(self, httpd, model, more):
        """LiteLLM asks both."""
        assert post(httpd, "/v1/chat/completions", chat(model, **more), token=WEAK).status == 403

    def test_fallbacks_escape(self, httpd):
        """As README and conf/litellm.conf warn."""
        assert post(httpd, "/v1/chat/completions", chat(), token=WEAK).status == 403
        body = chat("meta-llama/broken", fallbacks=["m"], num_retries=0)
        assert said(post(httpd, "/v1/chat/completions", body, token=WEAK)) == "hello from m"

    def test_other_ways_to_a_model(self, httpd):
        assert httpd.get("/v1/models", token=USER).json["data"][0]["id"] == "m"
        assert len(httpd.get("/v1/models", token=USER).json["data"]) == 1
        for path in (f"/models/{LLAMA}:generateContent", f"/v1/models/{LLAMA}"):
            assert post(httpd, path, b"{}").status == 403
        for path in ("/v1/audio/transcriptions", "/v1/audio/translations"):
            assert httpd.request("POST", path, token=USER, body=b"--b--", headers=[("Content-Type", "multipart/form-data; boundary=b")]).status == 415
        assert post(httpd, "/v1/realtime/client_secrets", json.dumps({"session": {"model": LLAMA}}).encode()).status in (400, 403)
        for model, status in ((LLAMA, 403), ("m", 101)):
            with WebSocket(httpd.port, f"/v1/realtime?model={model}", [("Authorization", f"Bearer {USER}")]) as socket:
                assert socket.status == status


class TestMishaps(Site):
    """Under load, whose every answer is right, or says that LiteLLM is away."""

    expected = (*Site.expected, r"AH00898", r"AH01110", r"AH01114", r"AH0095[79]", r"AH00940", r"AH01102", r"AH10451")
    seen = set()

    def judge(self, token, response):
        self.seen.add(response.status)
        assert response.status in (400, 401, 500, 502, 503) or said(response) == "hello from m", response
        assert b"sk-master" not in response.body

    def load(self, httpd):
        self.seen.clear()
        return BackendLoad(httpd, lambda chance: ("/v1/chat/completions", chance.choice((USER, ADMIN))), self.judge, "POST", JSON, chat(),
                           clients=3, may_break=True)

    def test_master_key_is_rotated(self, httpd, litellm):
        """LiteLLM is started again with another key, and httpd is told by the file alone."""
        with self.load(httpd):
            await_until(lambda: 200 in self.seen, "answers")
            litellm.use_master_key(NEXT)
            assert post(httpd, "/v1/chat/completions", chat()).status in (400, 401)  # LiteLLM's; 400 without a database
            httpd.write("conf/litellm.key", NEXT)
            await_until(lambda: post(httpd, "/v1/chat/completions", chat()).status == 200, "the new key to be used", 30)
        httpd.write("conf/litellm.key", MASTER)
        litellm.use_master_key(MASTER)

    def test_it_ends_and_comes_back(self, httpd, litellm):
        with self.load(httpd):
            await_until(lambda: 200 in self.seen, "answers")
            litellm.program.kill()
            await_until(lambda: not listens(litellm.port) and 503 in self.seen, "an answer without LiteLLM")
            assert post(httpd, "/v1/chat/completions", chat(), token="not-a-key-0001").status == 401
            assert httpd.get("/model/info", token=USER).status == 403
            litellm.program.start()
            await_until(lambda: post(httpd, "/v1/chat/completions", chat()).status == 200, "LiteLLM to be asked again", 60)

    def test_key_is_revoked(self, httpd):
        with self.load(httpd):
            for entries in (ENTRIES[1:], ENTRIES):
                httpd.write_keys("conf/api_keys.json", *entries)
                status = 200 if entries is ENTRIES else 401
                await_until(lambda: all(post(httpd, "/v1/chat/completions", chat()).status == status for _ in range(5)), f"{status}")
