// Clients with a key of their own: a token that is bound to it, and a proof with each request. One scenario a run, which prints one
// line of JSON: node dpop.mjs oauthClient|joseClient {"base": URL, "issuer": URL, ...}
//
// oauth4webapi asks for the token and does all that DPoP asks of a client, nonces too; jose signs a proof that this program sends
// as often as it likes.

import { createHash, randomUUID, webcrypto } from 'node:crypto';

globalThis.crypto ??= webcrypto; // node 18
const oauth = await import('oauth4webapi');
const jose = await import('jose');

const INSECURE = { [oauth.allowInsecureRequests]: true };

// What an answer says of itself.
async function tell(response) {
  const challenges = response.headers.get('www-authenticate');
  return { status: response.status, body: (await response.text()).trim(), ...(challenges && { challenges }) };
}

async function discover(issuer) {
  const url = new URL(issuer);
  return oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, INSECURE));
}

// A client, its keys, and a token that the server has bound to them.
async function getBoundToken({ issuer, id, secret, resource, alg = 'ES256' }) {
  const server = await discover(issuer);
  const client = { client_id: id };
  const keys = await oauth.generateKeyPair(alg, { extractable: true });
  const options = { DPoP: oauth.DPoP(client, keys), ...INSECURE };
  const parameters = new URLSearchParams({ resource, scope: 'models.read' });
  const answer = await oauth.clientCredentialsGrantRequest(server, client, oauth.ClientSecretBasic(secret), parameters, options);
  const token = await oauth.processClientCredentialsResponse(server, client, answer);
  return { client, keys, options, token: token.access_token, type: token.token_type };
}

// Requests by oauth4webapi alone; one that is told to use a nonce is sent again, as its documentation has it.
// stolen: with another key than the token's.
async function oauthClient({ base, paths, stolen, ...server }) {
  const { client, token, type, options: own } = await getBoundToken(server);
  const options = stolen ? { ...own, DPoP: oauth.DPoP(client, await oauth.generateKeyPair('ES256')) } : own;
  const said = { type, answers: [], nonces: 0 };
  for (const path of paths) {
    const send = () => oauth.protectedResourceRequest(token, 'GET', new URL(base + path), undefined, undefined, options);
    const answer = await send().catch((error) => {
      if (!oauth.isDPoPNonceError(error)) {
        throw error;
      }
      said.nonces += 1;
      return send();
    });
    said.answers.push(await tell(answer));
  }
  return said;
}

// One proof of jose's, sent twice; then another one, without the scheme, and none.
async function joseClient({ base, path, alg, ...server }) {
  const { keys, token } = await getBoundToken({ alg, ...server });
  const url = base + path;
  const prove = async () => new jose.SignJWT({
    htm: 'GET', htu: url, jti: randomUUID(), ath: createHash('sha256').update(token).digest('base64url'),
  }).setProtectedHeader({ typ: 'dpop+jwt', alg, jwk: await jose.exportJWK(keys.publicKey) }).setIssuedAt().sign(keys.privateKey);
  const send = async (scheme, proof) => tell(await fetch(url, {
    headers: { Authorization: `${scheme} ${token}`, ...(proof && { DPoP: proof }) },
  }));
  const proof = await prove();
  return {
    jkt: await jose.calculateJwkThumbprint(await jose.exportJWK(keys.publicKey)),
    first: await send('DPoP', proof), again: await send('DPoP', proof), fresh: await send('DPoP', await prove()),
    bearer: await send('Bearer', await prove()), stolen: await send('Bearer'),
  };
}

try {
  console.log(JSON.stringify(await { oauthClient, joseClient }[process.argv[2]](JSON.parse(process.argv[3]))));
} catch (error) {
  console.log(JSON.stringify({ error: error.constructor.name, message: error.message }));
}
