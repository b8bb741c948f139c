// What the MCP SDK asks of a client that signs in by itself (OAuth 2.1, authorization code with PKCE). It finds the authorization
// server and its endpoints from nothing but the MCP server's URL; `store` keeps what must outlive a page: {get(name), set(name, value)}.

export class SignIn {
  constructor({ id, redirectUrl, store, visit }) {
    Object.assign(this, { id, redirectUrl, store, visit });
  }

  get clientMetadata() {
    return { client_name: 'test', redirect_uris: [this.redirectUrl], scope: 'models.read' };
  }

  clientInformation() {
    return { client_id: this.id };
  }

  tokens() {
    const tokens = this.store.get('tokens');
    return tokens && JSON.parse(tokens);
  }

  saveTokens(tokens) {
    this.store.set('tokens', JSON.stringify(tokens));
  }

  codeVerifier() {
    return this.store.get('verifier');
  }

  saveCodeVerifier(verifier) {
    this.store.set('verifier', verifier);
  }

  redirectToAuthorization(url) {
    return this.visit(url);
  }
}

// A session: what the server offers, and what its first tool says.
export async function converse(client) {
  const { tools } = await client.listTools();
  const called = await client.callTool({ name: tools[0].name, arguments: { name: 'alice' } });
  await client.close();
  return { tools: tools.map((tool) => tool.name), said: called.content[0].text };
}
