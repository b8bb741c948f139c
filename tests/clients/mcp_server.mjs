// An MCP server over streamable HTTP with one tool, without any authentication of its own: it believes X-Auth-User-Id.
// Prints {"port": N} when it listens; ends with its input.

import { createServer } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';

const server = createServer(async (request, response) => {
  if (request.method !== 'POST') { // no stream besides the calls' own
    response.writeHead(405).end();
    return;
  }
  const mcp = new McpServer({ name: 'greeter', version: '1' });
  mcp.tool('whoami', async () => ({
    content: [{ type: 'text', text: `${request.headers['x-auth-user-id']} ${request.headers.authorization ?? 'no token'}` }],
  }));
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
  response.on('close', () => mcp.close());
  await mcp.connect(transport);
  await transport.handleRequest(request, response);
});

server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
