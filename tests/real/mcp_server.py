"""An MCP server by MCP's Python SDK, without authentication of its own: it believes X-Auth-User-Id.

Its arguments are the names of more tools, which say the same as whoami. Prints {"port": N} when it listens (at $PORT, if that is
set); ends with its input.
"""

import json
import os
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
    for name in sys.argv[1:]:
        mcp.add_tool(whoami, name=name, structured_output=False)
    listener = socket.create_server(("127.0.0.1", int(os.environ.get("PORT", "0"))))
    server = uvicorn.Server(uvicorn.Config(mcp.streamable_http_app(), log_level="error"))

    def stop():
        sys.stdin.read()
        server.should_exit = True
    threading.Thread(target=stop, daemon=True).start()
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    server.run(sockets=[listener])


main()
