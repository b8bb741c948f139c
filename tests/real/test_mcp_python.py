"""MCP's official Python SDK, as client and as server, with httpd between them: a tool that needs one scope more.

The SDK steps up by itself: at 403 `insufficient_scope` its OAuthClientProvider signs in again, for what it has and what the challenge
names, and sends the same call again.
"""

import json
import subprocess
from pathlib import Path

import pytest

from program import PATIENCE, end_with_input
from server import ROOT

PROGRAMS = Path(__file__).resolve().parent
PYTHON = ROOT / ".build" / "mcp" / "venv" / "bin" / "python"
# The SDK's mode: the protocol's version, and the Mcp-Name of a call, which must agree with its body.
MODES = {"auto": ("2026-07-28", "whoami"), "legacy": ("2025-11-25", "no name")}


class McpServer:
    def __init__(self):
        assert PYTHON.exists(), f"{PYTHON} is missing: make -f Makefile.apxs test-real"
        self.process = subprocess.Popen([PYTHON, PROGRAMS / "mcp_server.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self.process.stdout.readline())["port"]
        self.secrets = set()

    def stop(self):
        end_with_input(self.process)


@pytest.mark.parametrize("mode", MODES)
class TestMcpPython:
    modules = ("proxy", "proxy_http")
    needs_idp = True

    @staticmethod
    def configure(httpd):
        server = httpd.endpoints["mcp"] = McpServer()
        shared = f"""
    LlamaAuthUse idp
    LlamaAuthResource http://127.0.0.1:{httpd.port}/mcp models.read"""
        return f"""
<LlamaAuthProvider idp jwt>
    Issuer {httpd.idp.issuer}
    Audience http://127.0.0.1:{httpd.port}/mcp
    PrincipalClaim client_id
</LlamaAuthProvider>
<Location "/mcp">
    AuthType Bearer
    AuthName mcp{shared}
    LlamaAuthForward X-Auth-User-Id principal
    LlamaAuthForwardToken off
    LlamaAuthErrorDocument default mcp
    Require valid-user
    RequireScope models.read
    RequireMcp tools/list tools/call:whoami
    LlamaAuthMcpScope tools/call:whoami telemetry.read
    ProxyPass "http://127.0.0.1:{server.port}/mcp" flushpackets=on
</Location>
<Location "/.well-known/oauth-protected-resource/mcp">
    SetHandler llama-auth-metadata{shared}
    Require all granted
</Location>
"""

    @staticmethod
    def call(httpd, mode, tool):
        """What the client says of a session in which it calls the tool."""
        done = subprocess.run([PYTHON, PROGRAMS / "mcp_client.py", f"http://127.0.0.1:{httpd.port}/mcp", mode, tool],
                              capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert (said.pop("version"), said.pop("tools")) == (MODES[mode][0], ["whoami", "erase"])
        return said

    def test_step_up(self, httpd, mode):
        assert self.call(httpd, mode, "whoami") == {
            "refusals": [[401, None, "models.read"], [403, "insufficient_scope", "models.read telemetry.read"]],
            "asked": ["models.read", "models.read telemetry.read"], "said": f"page, no token, {MODES[mode][1]}"}

    def test_no_scope_would_help(self, httpd, mode):
        """No sign-in is asked for: the SDK shows our message."""
        assert self.call(httpd, mode, "erase") == {
            "refusals": [[401, None, "models.read"], [403, None, None]], "asked": ["models.read"],
            "said": [-32000, "Access denied: user may not call: tools/call:erase"]}
