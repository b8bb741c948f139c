// The OAuth2 server of the http tests: oidc-provider, with the client credentials and authorization code grants, resource
// indicators, DPoP, introspection and revocation, over plain http on the loopback interface. Whoever comes to sign in is `ursula`, who
// consents to everything. tests/http/idp.py starts it and ends it.
//
// Its only argument, JSON: {"clients": [client metadata], "claims": {client id: more claims of its tokens}}. A token is asked for
// a resource: `urn:llama:opaque`, `urn:llama:ALG` for a JWT signed with that algorithm, or an MCP server's URL for one with ES256.
//
// It prints {"port": N} when it listens. Then each line of its input is a command, in JSON, answered by one line:
//   {"do": "rotate", "alg": A}  new tokens are signed with a new key; the old one stays in the key set  -> {"kid": K}
//   {"do": "withdraw", "kid": K}  takes a retired key out of the key set                                -> {}
//   {"do": "decline", "scope": S}  the next consent leaves that scope out                               -> {}
//   {"do": "requests"}  how many came so far, by path                                                   -> {"/jwks": N, ...}
// It ends with its input, so it never outlives the tests.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

const RESOURCE = 'urn:llama:';
const SCOPE = 'models.read models.write telemetry.read mcp.read mcp.write';
const PERSON = 'ursula';
const LIFETIME_S = 600;
const KEYS = {
  RS256: ['rsa', { modulusLength: 2048 }],
  PS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  ES384: ['ec', { namedCurve: 'P-384' }],
  EdDSA: ['ed25519', {}],
};

const { clients, claims } = JSON.parse(process.argv[2]);
const signing = new Map(); // alg -> kid of the key that signs
let published = []; // private JWKs: the provider publishes their public parts
let handle; // what the current provider does with a request
const requests = {};
let declined; // a scope

// Advice for production (the in-memory store, http) has nobody to read it here.
console.info = console.warn = () => {};

function newKey(alg) {
  const [type, parameters] = KEYS[alg];
  const { privateKey } = generateKeyPairSync(type, parameters);
  const kid = `${alg}-${randomUUID()}`;
  published.push({ ...privateKey.export({ format: 'jwk' }), alg, kid, use: 'sig' });
  signing.set(alg, kid);
  return kid;
}

function describeResource(ctx, resource) {
  const isMcp = resource.startsWith('http://127.0.0.1:');
  const name = isMcp ? 'ES256' : resource.slice(RESOURCE.length);
  const server = { scope: SCOPE, accessTokenTTL: LIFETIME_S, accessTokenFormat: 'opaque' };
  if (!(isMcp || resource.startsWith(RESOURCE)) || (name !== 'opaque' && !signing.has(name))) {
    throw new Error(`no such resource: ${resource}`);
  }
  if (name === 'opaque') {
    return server;
  }
  return { ...server, accessTokenFormat: 'jwt', jwt: { sign: { alg: name, kid: signing.get(name) } } };
}

// A provider's keys are fixed: new ones take a new provider. The store of tokens is common to all.
function rebuild() {
  const provider = new Provider(issuer(), {
    clients,
    jwks: { keys: published },
    cookies: { keys: [randomUUID()] },
    scopes: SCOPE.split(' '),
    responseTypes: ['none', 'code'],
    clientBasedCORS: () => true,
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    ttl: { AccessToken: LIFETIME_S, AuthorizationCode: 60, ClientCredentials: LIFETIME_S, Grant: LIFETIME_S, Interaction: 60, Session: 60 },
    enabledJWA: { dPoPSigningAlgValues: ['ES256', 'PS256', 'EdDSA'] },
    extraTokenClaims: (ctx, token) => claims[token.clientId],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      dPoP: { enabled: true }, // a token that is asked for with a proof is bound to its key
      introspection: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: { enabled: true, defaultResource: () => undefined, getResourceServerInfo: describeResource },
      revocation: { enabled: true },
    },
  });
  const callback = provider.callback();
  handle = (request, response) => (request.url.startsWith('/interaction/') ? consent(provider, request, response)
    : callback(request, response));
}

// Signs in and consents, to all but `declined`, without asking anybody.
async function consent(provider, request, response) {
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    await provider.interactionFinished(request, response, { login: { accountId: PERSON } });
    return;
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope((prompt.details.missingOIDCScope ?? []).join(' '));
  for (const [resource, scopes] of Object.entries(prompt.details.missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, scopes.filter((scope) => scope !== declined).join(' '));
    grant.rejectResourceScope(resource, scopes.filter((scope) => scope === declined).join(' '));
  }
  declined = undefined;
  const grantId = await grant.save();
  await provider.interactionFinished(request, response, { consent: { grantId } }, { mergeWithLastSubmission: true });
}

const commands = {
  rotate({ alg }) {
    const kid = newKey(alg);
    rebuild();
    return { kid };
  },
  withdraw({ kid }) {
    published = published.filter((key) => key.kid !== kid);
    rebuild();
    return {};
  },
  decline({ scope }) {
    declined = scope;
    return {};
  },
  requests: () => requests,
};

const server = createServer((request, response) => {
  const path = request.url.split('?')[0];
  requests[path] = (requests[path] ?? 0) + 1;
  handle(request, response);
});

function issuer() {
  return `http://127.0.0.1:${server.address().port}`;
}

server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => {
  Object.keys(KEYS).forEach(newKey);
  rebuild();
  console.log(JSON.stringify({ port: server.address().port }));
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      const command = JSON.parse(line);
      console.log(JSON.stringify(commands[command.do](command)));
    })
    .on('close', () => process.exit(0));
});
