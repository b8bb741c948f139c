// An MCP server over streamable HTTP with one tool, without any authentication of its own: it believes X-Auth-User-Id.
// Its arguments are the names of more tools, which say the same. Prints {"port": N} when it listens (at $PORT, if that is set); ends
// with its input.

import { createServer } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';

const server = createServer(async (request, response) => {
  if (request.method !== 'POST') { // no stream besides the calls' own
    response.writeHead(405).end();
    return;
  }
  const mcp = new McpServer({ name: 'greeter', version: '1' });
  for (const name of ['whoami', ...process.argv.slice(2)]) {
    mcp.tool(name, async () => ({
      content: [{ type: 'text', text: `${request.headers['x-auth-user-id']} ${request.headers.authorization ?? 'no token'}` }],
    }));
  }
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
  response.on('close', () => mcp.close());
  await mcp.connect(transport);
  await transport.handleRequest(request, response);
});

server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
