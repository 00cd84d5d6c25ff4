// The part of @atproto/oauth-client that makes DPoP proofs, at the token endpoint and at resources. Its logins need an
// authorization endpoint, pushed authorization requests and accounts of atproto, which this server has not.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as jose from "jose";

import { assertion, newAccount, newKey } from "./support/account.js";
import { startServer } from "./support/server.js";

// The package exports whole sessions only.
const inside = (path) => fileURLToPath(new URL(`node_modules/@atproto/oauth-client/dist/${path}`, import.meta.url));
const { dpopFetchWrapper } = await import(inside("fetch-dpop.js"));
const GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer";

let server;
before(async () => {
  server = await startServer();
});
after(() => server?.stop());

/** Its `fetch` for a key; `isAuthServer` says where it looks for `use_dpop_nonce`. */
function dpopFetch({ alg, jwk, privateKey }, nonces, isAuthServer) {
  const createJwt = (header, payload) => new jose.SignJWT(payload).setProtectedHeader(header).sign(privateKey);
  return dpopFetchWrapper({ key: { algorithms: [alg], bareJwk: jwk, createJwt }, nonces, isAuthServer });
}

/** A store of nonces that also counts how often it was written. */
class Nonces extends Map {
  written = 0;

  set(origin, nonce) {
    this.written += 1;
    return super.set(origin, nonce);
  }
}

for (const alg of ["ES256", "EdDSA"]) {
  test(`its fetch logs in with ${alg} and calls a resource, and repeats for a nonce by itself`, async () => {
    const account = await newAccount(server, await newKey(alg));
    // One store for each place: the nonces of the token endpoint are none of the resources.
    const [atTokens, atResources] = [new Nonces(), new Nonces()];
    const body = new URLSearchParams({ grant_type: GRANT, assertion: await assertion(server, account) });
    const response = await dpopFetch(account.key, atTokens, true)(`${server.origin}/oauth/token`, { method: "POST", body });
    assert.equal(response.status, 200);
    const { access_token: token, token_type: type } = await response.json();
    assert.equal(type, "DPoP");
    assert.equal(atTokens.written, 2, "the first answer asked for a nonce");

    const fetch = dpopFetch(account.key, atResources, false);
    const headers = { authorization: `DPoP ${token}` };
    for (const path of ["/v1/whoami", "/v1/keys", "/v1/whoami?again"]) {
      assert.equal((await fetch(server.origin + path, { headers })).status, 200);
    }
  });
}

test("one store of nonces for both places costs a repetition at each change, and no more", async () => {
  const account = await newAccount(server);
  const nonces = new Nonces();
  for (let round = 0; round < 3; round++) {
    const body = new URLSearchParams({ grant_type: GRANT, assertion: await assertion(server, account) });
    const login = await dpopFetch(account.key, nonces, true)(`${server.origin}/oauth/token`, { method: "POST", body });
    assert.equal(login.status, 200);
    const { access_token: token } = await login.json();
    const headers = { authorization: `DPoP ${token}` };
    assert.equal((await dpopFetch(account.key, nonces, false)(`${server.origin}/v1/whoami`, { headers })).status, 200);
  }
});
