// What a thief can do with everything that a browser gives away: its token, the JSON in its IndexedDB, and each request
// that it has sent, the passkey's assertion among them. All of it is worth nothing without the key.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { arrives, callFromPage, click, register, storedJson, text } from "./support/app.js";
import { newVisitor, startChromium } from "./support/chromium.js";
import { Client, passkeyAssertion } from "./support/dpop.js";
import { lastTo, record } from "./support/recorder.js";
import { startServer } from "./support/server.js";

const WEBAUTHN = "urn:countersign:params:oauth:grant-type:webauthn";

/** @type {import("./support/server.js").Server} */
let server;
/** @type {import("puppeteer-core").Browser} */
let chromium;
before(async () => {
  server = await startServer();
  chromium = await startChromium();
});
after(async () => {
  await chromium?.close();
  await server?.stop();
});

/** Somebody who has just signed in with a passkey, and all that a thief could have of it. */
async function robbed() {
  const visitor = await (await newVisitor(chromium)).addAuthenticator({ synced: true });
  const username = await register(visitor, server.origin);
  const second = await (await newVisitor(chromium)).addAuthenticator({ synced: true });
  await second.copyPasskeysFrom(visitor);
  const requests = record(second.page);
  await second.page.goto(`${server.origin}/sign-in`);
  await arrives(second.page, "/account").catch(async () => {
    await click(second.page, text("sign-in.button"));
    await arrives(second.page, "/account");
  });
  assert.equal((await callFromPage(second.page, "GET", "/v1/whoami")).answer.username, username);
  const stored = await storedJson(second.page);
  const login = new URLSearchParams(lastTo(requests, "POST", "/oauth/token").body);
  return {
    visitor: second,
    username,
    token: stored.session.token,
    account: stored.session.account,
    whoami: lastTo(requests, "GET", "/v1/whoami"),
    options: lastTo(requests, "POST", "/v1/passkeys/options"),
    tokenRequest: lastTo(requests, "POST", "/oauth/token"),
    assertion: /** @type {string} */ (login.get("assertion")),
    thief: new Client(server.origin),
  };
}

/**
 * The token endpoint's answer to a passkey's assertion, in the hands of a client.
 * @param {Client} client
 * @param {string} assertion
 */
const passkeyLogin = (client, assertion) =>
  client.send("POST", "/oauth/token", { form: { grant_type: WEBAUTHN, assertion } });

const encoded = (/** @type {object} */ json) =>
  Buffer.from(JSON.stringify(json)).toString("base64url");

/** Runs `attack` on somebody and sees that the owner goes on undisturbed. */
async function theft(
  /** @type {(loot: Awaited<ReturnType<typeof robbed>>) => Promise<void>} */ attack,
) {
  const loot = await robbed();
  await attack(loot);
  const mine = await callFromPage(loot.visitor.page, "GET", "/v1/whoami");
  assert.equal(mine.answer?.username, loot.username, "the owner goes on");
}

test("a thief with the token cannot use it as a bearer token", () =>
  theft(async ({ token }) => {
    const headers = { authorization: `Bearer ${token}` };
    const response = await fetch(`${server.origin}/v1/whoami`, { headers });
    assert.equal(response.status, 401);
  }));

test("a thief with the token cannot use it with a key of their own", () =>
  theft(async ({ token, thief }) => {
    const answer = await thief.send("GET", "/v1/whoami", { token });
    assert.equal(answer.status, 401);
    assert.match(answer.challenge, /invalid_token|invalid_dpop_proof/);
  }));

test("a thief with a recorded request cannot send it again", () =>
  theft(async ({ whoami }) => {
    const response = await fetch(whoami.url, { headers: whoami.headers });
    assert.equal(response.status, 401);
    assert.match(response.headers.get("www-authenticate") ?? "", /invalid_dpop_proof/);
  }));

test("a thief with a recorded proof cannot send it to another place", () =>
  theft(async ({ whoami }) => {
    const response = await fetch(`${server.origin}/v1/keys`, { headers: whoami.headers });
    assert.equal(response.status, 401);
  }));

test("a thief with a recorded login cannot repeat it, nor use its assertion with a key of their own", () =>
  theft(async ({ tokenRequest, assertion, thief }) => {
    const { headers, body } = tokenRequest;
    const again = await fetch(tokenRequest.url, { method: "POST", headers, body });
    assert.equal(again.status, 400);
    const other = await passkeyLogin(thief, assertion);
    assert.deepEqual([other.status, other.body.error], [400, "invalid_grant"]);
  }));

/**
 * An assertion that the owner's passkey really signs, but with something that an honest browser would not have let through.
 * @param {Awaited<ReturnType<typeof robbed>>} loot
 * @param {(honest: { challenge: string, origin: string, rpId: string }) => object} change
 */
async function signedButWrong({ visitor, thief }, change) {
  const [passkey] = await visitor.passkeys();
  assert.ok(passkey);
  const purpose = { purpose: "sign-in" };
  const { body } = await thief.send("POST", "/v1/passkeys/options", { json: purpose });
  const honest = { challenge: body.challenge, origin: server.origin, rpId: "localhost" };
  const answer = (/** @type {object} */ what) =>
    passkeyLogin(thief, encoded(passkeyAssertion(passkey, { ...honest, ...what })));
  return { wrong: await answer(change(honest)), right: await answer({}) };
}

/** @type {Record<string, (honest: { origin: string }) => object>} */
const RELAYS = {
  "another origin": () => ({ origin: "https://phishing.example" }),
  "another port of the same host": () => ({ origin: "http://localhost:1" }),
  "another RP ID": () => ({ rpId: "phishing.example" }),
  "a frame of another site": () => ({ crossOrigin: true }),
  "no user verification": () => ({ flags: 0x19 }),
  "no user presence": () => ({ flags: 0x1c }),
};

test("an assertion that the passkey signed for another origin or RP ID is refused", () =>
  theft(async (loot) => {
    for (const [what, change] of Object.entries(RELAYS)) {
      const { wrong, right } = await signedButWrong(loot, change);
      assert.deepEqual([wrong.status, wrong.body.error], [400, "invalid_grant"], what);
      // Only this was wrong: the same assertion without it is a login, of whoever holds the passkey.
      assert.equal(right.status, 200, JSON.stringify(right.body));
    }
  }));

test("an assertion made for one key and presented with another is refused, and the first can still use it", () =>
  theft(async ({ visitor, thief }) => {
    const [passkey] = await visitor.passkeys();
    assert.ok(passkey);
    const first = new Client(server.origin);
    const purpose = { purpose: "sign-in" };
    const { body } = await first.send("POST", "/v1/passkeys/options", { json: purpose });
    const what = { challenge: body.challenge, origin: server.origin, rpId: "localhost" };
    const assertion = encoded(passkeyAssertion(passkey, what));
    const stolen = await passkeyLogin(thief, assertion);
    assert.deepEqual([stolen.status, stolen.body.error], [400, "invalid_grant"]);
    assert.equal((await passkeyLogin(first, assertion)).status, 200);
    const twice = await passkeyLogin(first, assertion);
    assert.deepEqual([twice.status, twice.body.error], [400, "invalid_grant"]);
  }));
