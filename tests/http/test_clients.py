"""Real clients from npm against httpd with mod_proxy and a backend that streams: a good key works, streams are not held back, and
what we refuse is an error of the client's own, with our message."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from callers import PROVIDER
from conftest import every_mpm
from errorlog import await_until
from idp import CALLER, SECRETS, resource
from llm_backend import LlmBackend
from server import key_entry

DIRECTORY = Path(__file__).resolve().parents[2] / ".build" / "clients"
NODE = [shutil.which("node") or shutil.which("nodejs") or "node", "--preserve-symlinks-main"]
GOOD, WEAK, BAD = "key-of-a-client-00001", "key-without-scope-001", "key-that-is-unknown-1"
HINT = "Authentication required. Please provide your API key as a Bearer token in the Authorization header"


def run(scenario, program="clients.mjs", **arguments):
    """What the client said at the end."""
    done = subprocess.run([*NODE, DIRECTORY / program, scenario, json.dumps(arguments)], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0 and done.stdout, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


CONFIG = """
<Location "/">
    AuthType Bearer
    AuthName clients
    LlamaAuthUse keys
    Require valid-user
    RequireScope chat
    AuthzSendForbiddenOnFailure On
    LlamaAuthForward X-Auth-User-Id principal
    LlamaAuthForwardToken off
    ProxyPass "{backend}/" flushpackets=on
</Location>
<Location "/openai">
    LlamaAuthErrorDocument default openai
    ProxyPass "{backend}" flushpackets=on
</Location>
<Location "/anthropic">
    LlamaAuthTokenSource Authorization header:x-api-key
    LlamaAuthErrorDocument default anthropic
    ProxyPass "{backend}" flushpackets=on
</Location>
"""

# What a client may use: path, limit.
LIMITS = {"budget": "Tokens 13/1h", "once": "Requests 1/1h"}


def limited(preset, name):
    return f"""
<LlamaAuthQuota {preset}-{name}>
    {LIMITS[name]}
</LlamaAuthQuota>
<Location "/{preset}/{name}">
    LlamaAuthQuotaUse {preset}-{name}
    ProxyPass "{{backend}}"
</Location>
"""


# scenario: (prefix, what a refusal's body is called in the client's error)
STREAMING = {"openai": "/openai", "anthropic": "/anthropic", "llamaStack": ""}
LISTING = {"openaiModels": "/openai", "llamaStackModels": ""}


@every_mpm
class TestClients:
    modules = ("proxy", "proxy_http")

    @staticmethod
    def configure(httpd):
        httpd.endpoints["llm"] = LlmBackend()
        httpd.write_keys("conf/keys.json", key_entry(GOOD, "alice", {"scopes": ["chat"]}), key_entry(WEAK, "bob", {"scopes": ["other"]}))
        httpd.secrets |= {GOOD.encode(), WEAK.encode(), BAD.encode()}
        config = CONFIG + "".join(limited(preset, name) for preset in ("openai", "anthropic") for name in LIMITS)
        log = ('LogFormat "%{llama_auth.usage.source}n %{llama_auth.usage.input_tokens}n %{llama_auth.usage.output_tokens}n %>s '
               '%{llama_auth.quota}n %U" usage\nCustomLog logs/usage.log usage\n')
        return PROVIDER + log + config.replace("{backend}", httpd.endpoints["llm"].base())

    @staticmethod
    def run(httpd, scenario, key):
        prefix = {**STREAMING, **LISTING}[scenario]
        return run(scenario, base=f"http://127.0.0.1:{httpd.port}{prefix}", key=key, seen=httpd.endpoints["llm"].base() + "/seen")

    @pytest.mark.parametrize("scenario", STREAMING)
    def test_streams(self, httpd, scenario):
        assert self.run(httpd, scenario, GOOD) == {"text": "hello"}
        call = [c for c in httpd.endpoints["llm"].calls if c.method == "POST"][-1]
        assert call.header("X-Auth-User-Id") == "alice"
        assert call.header("Authorization") is None and call.header("x-api-key") is None

    @pytest.mark.parametrize("scenario", ["openai", "anthropic"])
    @pytest.mark.parametrize("name", LIMITS)
    def test_quota(self, httpd, scenario, name):
        """The stream passes, its usage is noted and counted, and what is refused then is the client's own rate limit error."""
        base = f"http://127.0.0.1:{httpd.port}/{scenario}/{name}"
        said = run(scenario, base=base, key=GOOD, seen=httpd.endpoints["llm"].base() + "/seen")
        assert said == {"text": "hello"}
        log = httpd.root / "logs" / "usage.log"
        noted = f"/{scenario}/{name}/v1/{'messages' if scenario == 'anthropic' else 'chat/completions'}"
        await_until(lambda: f" 200 - {noted}" in log.read_text(), "the note")
        line = next(line for line in log.read_text().splitlines() if line.endswith(f" 200 - {noted}"))
        assert name == "once" or line.startswith("response 11 2 200")
        said = run(scenario, base=base, key=GOOD, seen=httpd.endpoints["llm"].base() + "/seen")
        assert (said["error"], said["status"]) == ("RateLimitError", 429)
        what = "13 tokens" if name == "budget" else "1 requests"
        assert f"Quota exceeded: {scenario}-{name} allows {what} per 1h, try again in" in said["message"]
        await_until(lambda: f" 429 {scenario}-{name}.{'tokens' if name == 'budget' else 'requests'} {noted}" in log.read_text(), "its note")

    @pytest.mark.parametrize("scenario", LISTING)
    def test_lists(self, httpd, scenario):
        assert self.run(httpd, scenario, GOOD) == {"models": ["m"]}

    @pytest.mark.parametrize("scenario", [*STREAMING, *LISTING])
    def test_bad_key(self, httpd, scenario):
        said = self.run(httpd, scenario, BAD)
        assert (said["error"], said["status"]) == ("AuthenticationError", 401)
        assert "Invalid API key" in said["message"]

    @pytest.mark.parametrize("scenario", [*STREAMING, *LISTING])
    def test_missing_scope(self, httpd, scenario):
        said = self.run(httpd, scenario, WEAK)
        assert (said["error"], said["status"]) == ("PermissionDeniedError", 403)
        assert "Access denied: user does not have required scope: chat" in said["message"]


class TestModels:
    """OpenAI's client where models are limited: what may be used, and what is said of what may not."""

    modules = ("proxy", "proxy_http")
    MODEL = "meta-llama/Llama-3"

    @staticmethod
    def configure(httpd):
        httpd.endpoints["llm"] = LlmBackend()
        httpd.write_keys("conf/keys.json", key_entry(GOOD, "alice", {"models": ["meta-llama/*", "m"]}), key_entry(WEAK, "bob", {"models": ["x"]}))
        httpd.secrets |= {GOOD.encode(), WEAK.encode()}
        return PROVIDER + "AllowEncodedSlashes NoDecode\n" + "".join(f"""
<Location "/{refusal}">
    AuthType Bearer
    AuthName models
    LlamaAuthUse keys
    Require valid-user
    LlamaAuthErrorDocument default openai
    RequireModel attribute:models
    LlamaAuthModelSource "path:^/[0-9]+/v1/models/(.+)$" body:model
    LlamaAuthModelList filter
    LlamaAuthModelRefusal {refusal}
    ProxyPass "{httpd.endpoints['llm'].base()}" nocanon flushpackets=on
</Location>
""" for refusal in (403, 404))

    @staticmethod
    def run(httpd, scenario, refusal, key, **more):
        return run(scenario, base=f"http://127.0.0.1:{httpd.port}/{refusal}", key=key, seen=httpd.endpoints["llm"].base() + "/seen", **more)

    def test_allowed(self, httpd):
        assert self.run(httpd, "openaiModel", 403, GOOD, id=self.MODEL) == {"text": "hello", "model": self.MODEL}

    def test_refused(self, httpd):
        said = self.run(httpd, "openaiModel", 403, WEAK, id=self.MODEL)
        assert (said["error"], said["status"]) == ("PermissionDeniedError", 403)
        assert f"Access denied: user does not have access to model: {self.MODEL}" in said["message"]

    def test_refused_as_unknown(self, httpd):
        said = self.run(httpd, "openaiModel", 404, WEAK, id=self.MODEL)
        assert (said["error"], said["status"], said["body"]["code"]) == ("NotFoundError", 404, "model_not_found")
        assert f"The model '{self.MODEL}' does not exist or you do not have access to it" in said["message"]

    @pytest.mark.parametrize("key, models", [(GOOD, ["m"]), (WEAK, [])])
    def test_list(self, httpd, key, models):
        assert self.run(httpd, "openaiModels", 403, key) == {"models": models}


class McpServer:
    def __init__(self):
        self.process = subprocess.Popen([*NODE, DIRECTORY / "mcp_server.mjs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self.process.stdout.readline())["port"]
        self.secrets = set()

    def stop(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


class TestMcp:
    """From nothing but the server's URL: refusal, metadata, authorization server, token, session."""
    modules = ("proxy", "proxy_http")
    needs_idp = True

    @staticmethod
    def configure(httpd):
        server = httpd.endpoints["mcp"] = McpServer()
        url = f"http://127.0.0.1:{httpd.port}/mcp"
        return f"""
<LlamaAuthProvider idp jwt>
    Issuer {httpd.idp.issuer}
    Audience {resource("ES256")} {url}
    PrincipalClaim client_id
</LlamaAuthProvider>
<Location "/mcp">
    AuthType Bearer
    AuthName mcp
    LlamaAuthUse idp
    LlamaAuthResource {url} models.read telemetry.read
    LlamaAuthForward X-Auth-User-Id principal
    LlamaAuthForwardToken off
    Require valid-user
    ProxyPass "http://127.0.0.1:{server.port}/mcp" flushpackets=on
</Location>
<Location "/.well-known/oauth-protected-resource/mcp">
    SetHandler llama-auth-metadata
    LlamaAuthUse idp
    LlamaAuthResource {url} models.read telemetry.read
    Require all granted
</Location>
<Location "/steps">
    AuthType Bearer
    AuthName mcp
    LlamaAuthUse idp
    LlamaAuthResource {url[:-3]}steps models.read telemetry.read
    LlamaAuthForward X-Auth-User-Id principal
    LlamaAuthForwardToken off
    LlamaAuthErrorDocument default mcp
    Require valid-user
    RequireScope models.read
    LlamaAuthMcpScope tools/call:whoami telemetry.read
    ProxyPass "http://127.0.0.1:{server.port}/mcp" flushpackets=on
</Location>
<Location "/.well-known/oauth-protected-resource/steps">
    SetHandler llama-auth-metadata
    LlamaAuthUse idp
    LlamaAuthResource {url[:-3]}steps models.read telemetry.read
    Require all granted
</Location>
"""

    def test_discovers_and_connects(self, httpd, idp):
        base = f"http://127.0.0.1:{httpd.port}"
        said = run("mcp", base=base, id=CALLER, secret=SECRETS[CALLER], resource=resource("ES256"))
        assert said == {"status": 401, "metadata": f"{base}/.well-known/oauth-protected-resource/mcp", "resource": f"{base}/mcp",
                        "issuer": idp.issuer, "tools": ["whoami"], "said": f"{CALLER} no token"}

    def test_signs_in_by_itself(self, httpd):
        """The SDK's transport does all of it: the discovery, a person's consent, the code, the session."""
        base = f"http://127.0.0.1:{httpd.port}"
        assert run("mcpSignIn", base=base) == {"refusal": "UnauthorizedError", "resource": f"{base}/mcp", "tools": ["whoami"],
                                               "said": "page no token"}

    def test_step_up(self, httpd):
        """A tool needs one scope more: the SDK asks for all that the call needs, and the call succeeds."""
        assert run("mcpStepUp", base=f"http://127.0.0.1:{httpd.port}") == {
            "scopes": ["models.read", "models.read telemetry.read"], "refusal": "UnauthorizedError", "said": "page no token"}

    def test_refused(self, httpd):
        said = run("mcpRefused", base=f"http://127.0.0.1:{httpd.port}", key="not-a-token")
        assert said["status"] == 401 and "Invalid JWT token" in said["message"], said
