"""MCP's Python SDK as a client that signs in by itself (OAuthClientProvider), from nothing but the server's URL.

Usage: mcp_client.py URL MODE TOOL. MODE is the SDK's: `auto` asks `server/discover` which protocol to speak, `legacy` sends
`initialize`. Prints, in JSON: the protocol's version, the tools, what TOOL answered, each refusal (status, error and scopes of the
challenge) and the scopes that each sign-in asked for.
"""

import asyncio
import json
import sys

import httpx2
from mcp import Client, MCPError
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.utils import extract_field_from_www_auth
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata

REDIRECT = "http://127.0.0.1:1/callback"


class Storage:
    """Of the SDK's tokens; the client is registered already."""

    tokens = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return OAuthClientInformationFull(client_id="page", redirect_uris=[REDIRECT], token_endpoint_auth_method="none")


class Person:
    """Goes where the SDK sends a person, with cookies, until the authorization server sends it back to the client."""

    def __init__(self):
        self.visited = []

    async def visit(self, url):
        self.visited.append(httpx2.URL(url))

    async def come_back(self):
        url = self.visited[-1]
        async with httpx2.AsyncClient(trust_env=False) as browser:
            while not str(url).startswith(REDIRECT):
                answer = await browser.get(url)
                assert "location" in answer.headers, f"{url}: {answer.status_code} {answer.text}"
                url = url.join(answer.headers["location"])
        return AuthorizationCodeResult(**{name: url.params.get(name) for name in ("code", "state", "iss")})


async def main(url, mode, tool):
    person, refusals = Person(), []

    async def note(answer):
        if answer.status_code in (401, 403):
            refusals.append([answer.status_code, *(extract_field_from_www_auth(answer, name) for name in ("error", "scope"))])

    provider = OAuthClientProvider(url, OAuthClientMetadata(redirect_uris=[REDIRECT]), Storage(), person.visit, person.come_back)
    async with httpx2.AsyncClient(auth=provider, trust_env=False, timeout=30, event_hooks={"response": [note]}) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            tools = [entry.name for entry in (await client.list_tools()).tools]
            try:
                said = (await client.call_tool(tool)).content[0].text
            except MCPError as error:
                said = [error.code, error.message]
            version = client.protocol_version
    print(json.dumps({"version": version, "tools": tools, "said": said, "refusals": refusals,
                      "asked": [visited.params.get("scope") for visited in person.visited]}))


asyncio.run(main(*sys.argv[1:]))
