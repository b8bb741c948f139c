"""conf/mcp.conf as it is, between MCP's SDKs: the official ones for Python and for TypeScript, each as client and as server.

A client knows the server's URL and nothing else. The person at it first consents to reading only: a tool that changes something then
makes the SDK ask again (step-up).
"""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from backend_load import BackendLoad
from errorlog import await_until
from program import PATIENCE, end_with_input, listens
from server import ROOT, free_port
from test_clients import DIRECTORY, NODE, run

PROGRAMS = Path(__file__).resolve().parent
PYTHON = ROOT / ".build" / "mcp" / "venv" / "bin" / "python"
COMMANDS = {"python": [PYTHON, PROGRAMS / "mcp_server.py"], "typescript": [*NODE, DIRECTORY / "mcp_server.mjs"]}
WRITES = "create_note"


class McpServer:
    """Of one of the SDKs, always at the same port."""

    secrets = frozenset()

    def __init__(self, sdk):
        self.command, self.port = [*COMMANDS[sdk], WRITES], free_port()
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "PORT": str(self.port)})
        assert json.loads(self.process.stdout.readline())["port"] == self.port

    def stop(self):
        end_with_input(self.process)


class PythonClient:
    """In the SDK's mode, which decides the protocol."""

    def __init__(self, mode):
        self.mode = mode

    def call(self, url, tool):
        """Which scopes were asked for in turn, and what was said at the end."""
        done = subprocess.run([PYTHON, PROGRAMS / "mcp_client.py", url, self.mode, tool], capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        return said["asked"], said["said"]


class TypescriptClient:
    @staticmethod
    def call(url, tool):
        said = run("mcpTool", base=url, id=tool)
        return said["asked"], said.get("said", said.get("message"))


CLIENTS = {"python": PythonClient("auto"), "python, older protocol": PythonClient("legacy"), "typescript": TypescriptClient()}
BOTH = "mcp.read mcp.write"


class Site:
    modules = ("proxy", "proxy_http")
    needs_idp = True
    sdk = "typescript"

    @classmethod
    def configure(cls, httpd):
        server = httpd.endpoints["mcp"] = McpServer(cls.sdk)
        text = (ROOT / "conf" / "mcp.conf").read_text()
        for name, value in (("ISSUER", httpd.idp.issuer), ("RESOURCE", cls.url(httpd)), ("BACKEND", f"http://127.0.0.1:{server.port}")):
            text, count = re.subn(rf"^Define LLAMA_{name} +\S+$", f"Define LLAMA_{name} {value}", text, flags=re.M)
            assert count == 1, name
        return text

    @staticmethod
    def url(httpd):
        return f"http://127.0.0.1:{httpd.port}/mcp"


class Clients(Site):
    """What each client meets, whoever the server is."""

    @pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS.keys())
    def test_step_up(self, httpd, idp, client):
        idp.decline("mcp.write")
        asked, said = client.call(self.url(httpd), WRITES)
        assert (asked[0], len(asked)) == (BOTH, 2) and "mcp.write" in asked[1].split()
        assert re.split(", | ", said, 1)[0] == "ursula" and "no token" in said

    @pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS.keys())
    def test_no_step_up(self, httpd, client):
        asked, said = client.call(self.url(httpd), "whoami")
        assert asked == [BOTH] and said.startswith("ursula") and "no token" in said


class TestPythonServer(Clients):
    sdk = "python"


class TestTypescriptServer(Clients):
    pass


class TestLimited(Site):
    """With the line that is shipped as a comment."""

    @classmethod
    def configure(cls, httpd):
        text, count = re.subn(r"^    #(?=RequireMcp )", "    ", super().configure(httpd), flags=re.M)
        assert count == 1
        return text

    @pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS.keys())
    def test_refused(self, httpd, client):
        """No sign-in is asked for, since none would help: the SDK shows our message."""
        asked, said = client.call(self.url(httpd), "whoami")
        assert asked == [BOTH] and "Access denied: user may not call: tools/call:whoami" in str(said)


def message(tool):
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}}).encode()


FIELDS = [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")]


def call_tool(httpd, token, tool="whoami"):
    return httpd.request("POST", "/mcp", token=token, headers=FIELDS, body=message(tool))


class TestMishaps(Site):
    """Under load, whose every answer is right: who calls is told, or nobody is let through."""

    expected = (r"AH00898", r"AH01110", r"AH01114", r"AH0095[79]", r"AH00940", r"AH01102", r"AH10451")

    @staticmethod
    def judge(token, response):
        assert response.status == 200 and b"robot no token" in response.body, response

    def load(self, httpd, idp, judge, **more):
        tokens = [idp.token(self.url(httpd), "mcp.read") for _ in range(4)]
        return BackendLoad(httpd, lambda chance: ("/mcp", chance.choice(tokens)), judge, "POST", FIELDS, message("whoami"), clients=4, **more)

    def test_rotation(self, httpd, idp):
        with self.load(httpd, idp, self.judge):
            for _ in range(2):
                idp.rotate("ES256")
                await_until(lambda: self.good(httpd, idp.token(self.url(httpd), "mcp.read")), "the new key to be known", 30)

    def good(self, httpd, token):
        """A token of a new key may meet an outage: the key set is fetched at most once in 10 s."""
        response = call_tool(httpd, token)
        assert response.status in (200, 503), response
        return response.status == 200 and not self.judge(token, response)

    def test_issuer_hangs(self, httpd, idp):
        """Neither callers who are known nor new ones of known keys notice."""
        more = [idp.token(self.url(httpd), "mcp.read") for _ in range(20)]
        await_until(lambda: self.good(httpd, more[0]), "its key to be known", 30)
        with self.load(httpd, idp, self.judge):
            os.kill(idp.process.pid, signal.SIGSTOP)
            try:
                for token in more:
                    self.judge(token, call_tool(httpd, token))
            finally:
                os.kill(idp.process.pid, signal.SIGCONT)

    def test_server_restarts(self, httpd, idp):
        server, seen = httpd.endpoints["mcp"], set()

        def judge(token, response):
            seen.add(response.status)
            assert response.status in (502, 503) or not self.judge(token, response), response
        with self.load(httpd, idp, judge, may_break=True):
            server.stop()
            await_until(lambda: not listens(server.port) and 503 in seen, "an answer without the server")
            token = idp.token(self.url(httpd), "mcp.read")
            assert call_tool(httpd, "not-a-token").status == 401
            server.start()
            await_until(lambda: call_tool(httpd, token).status == 200, "the server to be asked again", 20)
