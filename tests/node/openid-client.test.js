// openid-client, the high-level sibling of oauth4webapi: from discovery to revocation, as its documentation says.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as client from "openid-client";

import { assertion, newAccount, newKey } from "./support/account.js";
import { startServer } from "./support/server.js";

const GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer";

let server;
before(async () => {
  server = await startServer();
});
after(() => server?.stop());

/** An account whose client knows the server by discovery and authenticates itself by `private_key_jwt`. */
async function newClient(alg) {
  const account = await newAccount(server, await newKey(alg));
  const { privateKey: key, thumbprint: kid } = account.key;
  const authentication = client.PrivateKeyJwt({ key, kid });
  const options = { algorithm: "oauth2", execute: [client.allowInsecureRequests] };
  const issuer = new URL(server.origin);
  const config = await client.discovery(issuer, account.username, undefined, authentication, options);
  return { account, config, DPoP: client.getDPoPHandle(config, account.key) };
}

async function logIn({ account, config, DPoP }) {
  return client.genericGrantRequest(config, GRANT, { assertion: await assertion(server, account) }, { DPoP });
}

const call = ({ config, DPoP }, token, path = "/v1/whoami") =>
  client.fetchProtectedResource(config, token, new URL(path, server.origin), "GET", undefined, undefined, { DPoP });

for (const alg of ["ES256", "EdDSA", "PS256"]) {
  test(`it logs in with ${alg}, calls resources, asks about its token and ends it`, async () => {
    const mine = await newClient(alg);
    const answer = await logIn(mine);
    assert.equal(answer.token_type, "dpop");

    const principal = await (await call(mine, answer.access_token)).json();
    assert.equal(principal.username, mine.account.username);
    assert.equal((await call(mine, answer.access_token, "/v1/keys")).status, 200);

    const alive = await client.tokenIntrospection(mine.config, answer.access_token);
    assert.equal(alive.active, true);
    assert.deepEqual(alive.cnf, { jkt: mine.account.key.thumbprint });

    await client.tokenRevocation(mine.config, answer.access_token);
    assert.deepEqual(await client.tokenIntrospection(mine.config, answer.access_token), { active: false });
    await assert.rejects(call(mine, answer.access_token), { code: "OAUTH_WWW_AUTHENTICATE_CHALLENGE", status: 401 });
  });
}

test("it understands why a login is refused", async () => {
  const mine = await newClient();
  const stranger = { ...mine, account: { ...mine.account, username: "nobody" } };
  await assert.rejects(logIn(stranger), { code: "OAUTH_RESPONSE_BODY_ERROR", error: "invalid_grant", status: 400 });
});

test("it may not authenticate itself as another account", async () => {
  const [mine, other] = [await newClient(), await newClient()];
  await assert.rejects(logIn({ ...mine, config: other.config }), { error: "invalid_grant", status: 400 });
});
