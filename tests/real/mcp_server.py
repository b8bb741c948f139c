"""An MCP server by MCP's Python SDK, without authentication of its own: it believes X-Auth-User-Id.

Prints {"port": N} when it listens; ends with its input.
"""

import json
import socket
import sys
import threading

import uvicorn
from mcp.server.mcpserver import Context, MCPServer

mcp = MCPServer("greeter")


@mcp.tool(structured_output=False)
def whoami(context: Context) -> str:
    """Who calls, with which token, and what Mcp-Name says."""
    headers = context.headers
    return f"{headers['x-auth-user-id']}, {headers.get('authorization', 'no token')}, {headers.get('mcp-name', 'no name')}"


@mcp.tool(structured_output=False)
def erase() -> str:
    """Nobody may call it."""
    return "erased"


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(mcp.streamable_http_app(), log_level="error"))

    def stop():
        sys.stdin.read()
        server.should_exit = True
    threading.Thread(target=stop, daemon=True).start()
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    server.run(sockets=[listener])


main()
