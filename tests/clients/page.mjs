// An MCP client in a browser, on a page of another origin than the server's. run(URL) connects: it meets the refusal, lets the SDK
// discover, goes to the authorization server, and on its way back exchanges the code and connects. ask(URL, OPTIONS) is one request
// as the page sees its answer.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { converse, SignIn } from './sign_in.mjs';

const store = { get: (name) => sessionStorage.getItem(name), set: (name, value) => sessionStorage.setItem(name, value) };

window.ask = async (url, options) => {
  try {
    const answer = await fetch(url, options);
    return { status: answer.status, headers: Object.fromEntries(answer.headers), body: await answer.text() };
  } catch (error) {
    return { error: error.constructor.name };
  }
};

window.run = async (url) => {
  let left = false;
  const visit = (to) => {
    left = true;
    location.assign(to);
  };
  const authProvider = new SignIn({ id: 'page', redirectUrl: `${location.origin}/callback`, store, visit });
  const client = new Client({ name: 'page', version: '1' });
  const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider });
  const code = new URLSearchParams(location.search).get('code');
  try {
    if (code && !store.get('tokens')) {
      await transport.finishAuth(code);
    }
    await client.connect(transport);
    return await converse(client);
  } catch (error) {
    return left && error instanceof UnauthorizedError ? { left } : { error: error.constructor.name, message: error.message };
  }
};
