// A resource server that knows nothing but RFC 9068, RFC 9449 and the metadata accepts our tokens, and only those.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import * as jose from "jose";
import * as oauth from "oauth4webapi";

import { newAccount, newKey } from "./support/account.js";
import { discover, INSECURE, logIn, session } from "./support/oauth.js";
import { startServer } from "./support/server.js";

let server;
let resource;
before(async () => {
  server = await startServer();
  resource = await startResource(await discover(server));
});
after(async () => {
  resource?.close();
  await server?.stop();
});

/** An HTTP server that greets whoever `validateJwtAccessToken` lets in. */
async function startResource(as) {
  const http = createServer(async (incoming, outgoing) => {
    const request = new Request(`${http.origin}${incoming.url}`, { method: incoming.method, headers: incoming.headers });
    try {
      const claims = await oauth.validateJwtAccessToken(as, request, as.issuer, { requireDPoP: true, ...INSECURE });
      outgoing.writeHead(200).end(claims.sub);
    } catch (error) {
      outgoing.writeHead(401).end(error.message);
    }
  });
  await new Promise((listening) => http.listen(0, "127.0.0.1", listening));
  http.origin = `http://127.0.0.1:${http.address().port}`;
  return http;
}

/** The resource's answer to a token with a proof by `DPoP`. */
async function visit(token, DPoP) {
  const response = await oauth.protectedResourceRequest(
    token,
    "GET",
    new URL("/greeting?lang=en", resource.origin),
    undefined,
    undefined,
    { DPoP, ...INSECURE },
  );
  return { status: response.status, text: await response.text() };
}

/** A token that says the same as ours, by a key that is not the server's. */
async function forged(token, header = {}) {
  const { privateKey } = await jose.generateKeyPair("ES256");
  const claims = jose.decodeJwt(token);
  return new jose.SignJWT(claims).setProtectedHeader({ ...jose.decodeProtectedHeader(token), ...header }).sign(privateKey);
}

test("a resource server built on validateJwtAccessToken accepts our token", async () => {
  const mine = await session(server, await newAccount(server));
  const { access_token: token } = await logIn(mine);
  assert.deepEqual(await visit(token, mine.DPoP), { status: 200, text: mine.account.id });
});

test("it accepts a token that is bound to a session key", async () => {
  const mine = await session(server, await newAccount(server), await newKey());
  const { access_token: token } = await logIn(mine);
  assert.deepEqual(await visit(token, mine.DPoP), { status: 200, text: mine.account.id });
});

test("it refuses a token by a foreign key", async () => {
  const mine = await session(server, await newAccount(server));
  const { access_token: token } = await logIn(mine);
  assert.equal((await visit(await forged(token), mine.DPoP)).status, 401);
  assert.equal((await visit(await forged(token, { kid: "unknown" }), mine.DPoP)).status, 401);
});

test("it refuses our token in the hands of another", async () => {
  const mine = await session(server, await newAccount(server));
  const thief = await session(server, await newAccount(server));
  const { access_token: token } = await logIn(mine);
  assert.equal((await visit(token, thief.DPoP)).status, 401);
});

test("jose verifies our token with nothing but the published keys", async () => {
  const mine = await session(server, await newAccount(server));
  const { access_token: token } = await logIn(mine);
  const keys = jose.createRemoteJWKSet(new URL(mine.as.jwks_uri));
  const expected = { issuer: server.origin, audience: server.origin, typ: "at+jwt", algorithms: ["ES256"] };
  const { payload } = await jose.jwtVerify(token, keys, { ...expected, requiredClaims: ["client_id", "jti", "iat", "exp"] });
  assert.equal(payload.sub, mine.account.id);
  assert.equal(payload.client_id, mine.account.key.thumbprint);
  assert.deepEqual(payload.cnf, { jkt: mine.account.key.thumbprint });
  await assert.rejects(jose.jwtVerify(await forged(token), keys, expected), {
    code: "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
  });
});

test("jose reads the published keys of an account", async () => {
  const account = await newAccount(server, await newKey("EdDSA"));
  const keys = jose.createRemoteJWKSet(new URL(`/v1/accounts/${account.username}/jwks.json`, server.origin));
  const signed = await new jose.SignJWT({}).setProtectedHeader({ alg: "EdDSA" }).sign(account.key.privateKey);
  await jose.jwtVerify(signed, keys);
});
