// Real clients of LLM and MCP servers, one scenario a run: node clients.mjs WHICH {"base": URL, "key": KEY, ...}
//
// Prints one line of JSON: what came, or the client's own error. A stream's first part is told to `seen` (a URL), and
// the backend sends the next one only then: a proxy that holds streams back would never get there.

// The SDKs use node's own fetch. Left alone they take node-fetch 2, which calls a chunked answer cut off when the socket still
// has a listener for data at its end; since its fix of CVE-2026-48931 node itself leaves one there (Debian 13 has that fix).
import '@anthropic-ai/sdk/shims/web';
import 'llama-stack-client/shims/web';
import 'openai/shims/web';

import Anthropic from '@anthropic-ai/sdk';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import {
  discoverAuthorizationServerMetadata, discoverOAuthProtectedResourceMetadata, extractResourceMetadataUrl, UnauthorizedError,
} from '@modelcontextprotocol/sdk/client/auth.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import LlamaStackClient from 'llama-stack-client';
import OpenAI from 'openai';
import { converse, SignIn } from './sign_in.mjs';

const scenario = process.argv[2];
const { base, key, seen, id, secret, resource } = JSON.parse(process.argv[3]);

// Puts a stream's parts together, by what `part` finds in each.
async function collect(stream, part) {
  let text = '';
  for await (const event of stream) {
    const piece = part(event);
    if (piece && !text) {
      await fetch(seen);
    }
    text += piece ?? '';
  }
  return { text };
}

async function openai() {
  const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: key, maxRetries: 0 });
  const stream = await client.chat.completions.create({
    model: 'm', stream: true, messages: [{ role: 'user', content: 'hello' }],
  });
  return collect(stream, (chunk) => chunk.choices[0]?.delta?.content);
}

async function openaiModels() {
  const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: key, maxRetries: 0 });
  return { models: (await client.models.list()).data.map((model) => model.id) };
}

// A completion, and the model's own page; its name may have a slash.
async function openaiModel() {
  const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: key, maxRetries: 0 });
  const stream = await client.chat.completions.create({ model: id, stream: true, messages: [{ role: 'user', content: 'hello' }] });
  const { text } = await collect(stream, (chunk) => chunk.choices[0]?.delta?.content);
  return { text, model: (await client.models.retrieve(id)).id };
}

async function anthropic() {
  const client = new Anthropic({ baseURL: base, apiKey: key, maxRetries: 0 });
  const stream = await client.messages.create({
    model: 'm', max_tokens: 9, stream: true, messages: [{ role: 'user', content: 'hello' }],
  });
  return collect(stream, (event) => event.delta?.text);
}

async function llamaStack() {
  const client = new LlamaStackClient({ baseURL: base, apiKey: key, maxRetries: 0 });
  const stream = await client.inference.chatCompletion({
    model_id: 'm', stream: true, messages: [{ role: 'user', content: 'hello' }],
  });
  return collect(stream, (chunk) => chunk.event?.delta?.text);
}

async function llamaStackModels() {
  const client = new LlamaStackClient({ baseURL: base, apiKey: key, maxRetries: 0 });
  return { models: (await client.models.list()).map((model) => model.identifier) };
}

async function connect(url, headers) {
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers } }));
  return converse(client);
}

// Follows redirects with cookies, as a person's browser does, up to the one that brings the code.
async function walk(url, redirectUrl) {
  const jar = new Map();
  while (!String(url).startsWith(redirectUrl)) {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(url, { redirect: 'manual', headers: { cookie } });
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      jar.set(name, value);
    }
    if (!answer.headers.get('location')) {
      throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
    }
    url = new URL(answer.headers.get('location'), url);
  }
  return new URL(url).searchParams.get('code');
}

// All of it by the SDK itself: the transport meets the refusal, discovers, sends the person to the authorization server, and
// exchanges the code.
async function mcpSignIn() {
  const url = new URL(`${base}/mcp`);
  const kept = new Map();
  const redirectUrl = 'http://127.0.0.1:1/callback';
  let visited;
  const authProvider = new SignIn({
    id: 'page', redirectUrl, visit: (to) => { visited = to; },
    store: { get: (name) => kept.get(name), set: (name, value) => kept.set(name, value) },
  });
  const transport = new StreamableHTTPClientTransport(url, { authProvider });
  const refusal = await new Client({ name: 'test', version: '1' }).connect(transport).catch((error) => error.constructor.name);
  await transport.finishAuth(await walk(visited, redirectUrl));
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(url, { authProvider }));
  return { refusal, resource: visited.searchParams.get('resource'), ...await converse(client) };
}

// Calls a tool that needs another scope: the SDK asks for it, and the same call succeeds.
async function mcpStepUp() {
  const url = new URL(`${base}/steps`);
  const kept = new Map();
  const redirectUrl = 'http://127.0.0.1:1/callback';
  let visited;
  const authProvider = new SignIn({
    id: 'page', redirectUrl, visit: (to) => { visited = to; },
    store: { get: (name) => kept.get(name), set: (name, value) => kept.set(name, value) },
  });
  const first = new StreamableHTTPClientTransport(url, { authProvider });
  await new Client({ name: 'test', version: '1' }).connect(first).catch(() => {});
  const scopes = [visited.searchParams.get('scope')];
  await first.finishAuth(await walk(visited, redirectUrl));
  const transport = new StreamableHTTPClientTransport(url, { authProvider });
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(transport);
  const { tools } = await client.listTools();
  const refusal = await client.callTool({ name: tools[0].name }).catch((error) => error.constructor.name);
  scopes.push(visited.searchParams.get('scope'));
  await transport.finishAuth(await walk(visited, redirectUrl));
  const called = await client.callTool({ name: tools[0].name });
  await client.close();
  return { scopes, refusal, said: called.content[0].text };
}

// Calls the tool `id` of the server at `base`, and signs in as often as that takes: for what the SDK asks for, it is told.
async function mcpTool() {
  const kept = new Map();
  const redirectUrl = 'http://127.0.0.1:1/callback';
  const visits = [];
  const authProvider = new SignIn({
    id: 'page', redirectUrl, visit: (to) => visits.push(to),
    store: { get: (name) => kept.get(name), set: (name, value) => kept.set(name, value) },
  });
  const signedIn = async (act) => {
    for (;;) {
      const transport = new StreamableHTTPClientTransport(new URL(base), { authProvider });
      const client = new Client({ name: 'test', version: '1' });
      try {
        await client.connect(transport);
        return await act(client);
      } catch (error) {
        if (!(error instanceof UnauthorizedError)) {
          throw error;
        }
        await transport.finishAuth(await walk(visits.at(-1), redirectUrl));
      } finally {
        await transport.terminateSession().catch(() => {}); // else its GET stream would stay open behind httpd
        await client.close();
      }
    }
  };
  const asked = () => visits.map((to) => to.searchParams.get('scope'));
  try {
    const said = await signedIn(async (client) => {
      const tools = (await client.listTools()).tools.map((tool) => tool.name);
      return { tools, said: (await client.callTool({ name: id })).content[0].text };
    });
    return { asked: asked(), ...said };
  } catch (error) {
    return { asked: asked(), error: error.constructor.name, message: error.message };
  }
}

// From the refusal to a token by the SDK's own discovery, then the session.
async function mcp() {
  const url = new URL(`${base}/mcp`);
  const refused = await fetch(url, { method: 'POST', body: '{}' });
  const metadataUrl = extractResourceMetadataUrl(refused);
  const metadata = await discoverOAuthProtectedResourceMetadata(url, { resourceMetadataUrl: metadataUrl });
  const issuer = metadata.authorization_servers[0];
  const server = await discoverAuthorizationServerMetadata(issuer);
  const answer = await fetch(server.token_endpoint, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${id}:${secret}`)}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', resource, scope: metadata.scopes_supported.join(' ') }),
  });
  const { access_token: token } = await answer.json();
  return {
    status: refused.status, metadata: String(metadataUrl), resource: metadata.resource, issuer,
    ...await connect(url, { authorization: `Bearer ${token}` }),
  };
}

async function mcpRefused() {
  return connect(new URL(`${base}/mcp`), key ? { authorization: `Bearer ${key}` } : {});
}

const scenarios = { openai, openaiModels, anthropic, llamaStack, llamaStackModels, mcp, mcpRefused, mcpSignIn, mcpStepUp, mcpTool, openaiModel };
try {
  console.log(JSON.stringify(await scenarios[scenario]()));
} catch (error) {
  console.log(JSON.stringify({
    error: error.constructor.name, status: error.status ?? error.code, message: error.message, body: error.error ?? null,
  }));
}
process.exit(0);
