// A standard OAuth client gets and uses a DPoP-bound token without special treatment.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as oauth from "oauth4webapi";

import { newAccount, newKey } from "./support/account.js";
import { call, discover, INSECURE, logIn, session } from "./support/oauth.js";
import { startServer } from "./support/server.js";

let server;
before(async () => {
  server = await startServer();
});
after(() => server?.stop());

/** The error codes of the challenges with which a resource refused. */
async function refusal(request) {
  const error = await request.then(
    () => assert.fail("the request was accepted"),
    (error) => error,
  );
  assert.equal(error.code, oauth.WWW_AUTHENTICATE_CHALLENGE, error.message);
  return error.cause.map((challenge) => challenge.parameters.error);
}

test("the metadata is what oauth4webapi expects", async () => {
  const as = await discover(server);
  assert.equal(as.issuer, server.origin);
  assert.ok(as.grant_types_supported.includes("urn:ietf:params:oauth:grant-type:jwt-bearer"));
  assert.ok(as.dpop_signing_alg_values_supported.includes("ES256"));
});

for (const alg of ["ES256", "ES384", "RS256", "PS256", "EdDSA"]) {
  test(`a client with an ${alg} key logs in and calls a resource`, async () => {
    const mine = await session(server, await newAccount(server, await newKey(alg)));
    const answer = await logIn(mine);
    assert.equal(answer.token_type, "dpop");
    assert.ok(answer.expires_in > 0);
    const response = await call(mine, answer.access_token);
    assert.equal(response.status, 200);
    const principal = await response.json();
    assert.equal(principal.username, mine.account.username);
    assert.equal(principal.thumbprint, mine.account.key.thumbprint);
  });
}

test("a session key that the assertion names gets the token", async () => {
  const mine = await session(server, await newAccount(server), await newKey());
  const { access_token: token } = await logIn(mine);
  assert.equal((await call(mine, token)).status, 200);
});

test("a client that authenticates itself by private_key_jwt as well logs in", async () => {
  const mine = await session(server, await newAccount(server));
  const { privateKey: key, thumbprint: kid } = mine.account.key;
  const { access_token: token } = await logIn({ ...mine, authentication: oauth.PrivateKeyJwt({ key, kid }) });
  assert.equal((await call(mine, token)).status, 200);
});

test("a client that authenticates itself as somebody else gets nothing", async () => {
  const [mine, other] = [await session(server, await newAccount(server)), await session(server, await newAccount(server))];
  const { privateKey: key, thumbprint: kid } = other.account.key;
  const asOther = { ...mine, client: other.client, authentication: oauth.PrivateKeyJwt({ key, kid }) };
  await assert.rejects(logIn(asOther), { code: oauth.RESPONSE_BODY_ERROR, error: "invalid_grant" });
});

test("a client that alternates between login and resources keeps working", async () => {
  const mine = await session(server, await newAccount(server));
  for (let round = 0; round < 3; round++) {
    const { access_token: token } = await logIn(mine);
    assert.equal((await call(mine, token)).status, 200);
    assert.equal((await call(mine, token, "GET", "/v1/keys")).status, 200);
  }
});

test("a token without a proof is refused", async () => {
  const mine = await session(server, await newAccount(server));
  const { access_token: token } = await logIn(mine);
  const bearer = oauth.protectedResourceRequest(token, "GET", new URL("/v1/whoami", server.origin), undefined, undefined, INSECURE);
  await refusal(bearer);
});

test("a token in the hands of another key is refused", async () => {
  const mine = await session(server, await newAccount(server));
  const thief = await session(server, await newAccount(server));
  const { access_token: token } = await logIn(mine);
  const [error] = await refusal(call(thief, token));
  assert.ok(["invalid_token", "invalid_dpop_proof"].includes(error), error);
});

test("the owner asks about its token, ends it, and it is dead", async () => {
  const mine = await session(server, await newAccount(server));
  const { access_token: token } = await logIn(mine);
  const authentication = oauth.PrivateKeyJwt({ key: mine.account.key.privateKey, kid: mine.account.key.thumbprint });
  const introspect = async () => {
    const response = await oauth.introspectionRequest(mine.as, mine.client, authentication, token, INSECURE);
    return oauth.processIntrospectionResponse(mine.as, mine.client, response);
  };

  const alive = await introspect();
  assert.equal(alive.active, true);
  assert.equal(alive.sub, mine.account.id);
  assert.equal(alive.token_type, "DPoP");
  assert.deepEqual(alive.cnf, { jkt: mine.account.key.thumbprint });

  const revocation = await oauth.revocationRequest(mine.as, mine.client, oauth.None(), token, INSECURE);
  await oauth.processRevocationResponse(revocation);

  assert.deepEqual(await introspect(), { active: false });
  assert.deepEqual(await refusal(call(mine, token)), ["invalid_token"]);
});

test("a resource server with the scope asks about anybody's token", async () => {
  const mine = await session(server, await newAccount(server));
  const inspector = await session(server, await newAccount(server));
  await server.admin("accounts", "grant", inspector.account.username, "introspect");
  const { access_token: token } = await logIn(mine);
  const { privateKey: key, thumbprint: kid } = inspector.account.key;
  const authentication = oauth.PrivateKeyJwt({ key, kid });
  const response = await oauth.introspectionRequest(inspector.as, inspector.client, authentication, token, INSECURE);
  const answer = await oauth.processIntrospectionResponse(inspector.as, inspector.client, response);
  assert.equal(answer.active, true);
  assert.equal(answer.username, mine.account.username);
});

test("a wrong assertion is an error that oauth4webapi understands", async () => {
  const mine = await session(server, await newAccount(server));
  const stranger = { ...mine, account: { ...mine.account, username: "nobody" } };
  await assert.rejects(logIn(stranger), { code: oauth.RESPONSE_BODY_ERROR, error: "invalid_grant" });
});
