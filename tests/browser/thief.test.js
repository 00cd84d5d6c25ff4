// What a thief can do with everything that a browser gives away: its token, the JSON in its IndexedDB, and each request
// that it has sent, the passkey's assertion among them. All of it is worth nothing without the key. The thief is a program
// of its own, support/dpop.js, which shares nothing with the app: it makes keys, proofs and requests by node's cryptography.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { callFromPage, register, signInByPasskey, storedJson } from "./support/app.js";
import { newVisitor } from "./support/chromium.js";
import { Client, passkeyAssertion } from "./support/dpop.js";
import { chromium, server } from "./support/house.js";
import { lastTo, record } from "./support/recorder.js";

const WEBAUTHN = "urn:countersign:params:oauth:grant-type:webauthn";

/** Somebody who has just signed in with a passkey, and all that a thief could have of it. */
async function robbed() {
  const visitor = await (await newVisitor(chromium)).addAuthenticator({ synced: true });
  const username = await register(visitor, server.origin);
  const second = await (await newVisitor(chromium)).addAuthenticator({ synced: true });
  await second.copyPasskeysFrom(visitor);
  const requests = record(second.page);
  await signInByPasskey(second, server.origin);
  assert.equal((await callFromPage(second.page, "GET", "/v1/whoami")).answer.username, username);
  const stored = await storedJson(second.page);
  const login = new URLSearchParams(lastTo(requests, "POST", "/oauth/token").body);
  return {
    visitor: second,
    username,
    token: stored.session.token,
    account: stored.session.account,
    stored,
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

const PYTHON_THIEF = fileURLToPath(new URL("support/thief.py", import.meta.url));

test("a thief in Python with all of it gets nothing", () =>
  theft(async ({ token, stored, whoami, tokenRequest, assertion }) => {
    const { origin } = server;
    const input = JSON.stringify({ origin, token, stored, whoami, tokenRequest, assertion });
    assert.doesNotMatch(input, /"d":/, "no private key is in what can be read");
    const output = execFileSync("python3", [PYTHON_THIEF], { input, encoding: "utf8" });
    assert.deepEqual(JSON.parse(output), [
      ["bearer", 401, "invalid_token"],
      ["own key", 401, "invalid_token"],
      ["replay", 401, "invalid_dpop_proof"],
      ["replay elsewhere", 401, "invalid_dpop_proof"],
      ["login again", 400, "invalid_grant"],
      ["other jkt", 400, "invalid_grant"],
      ["other origin", 400, "invalid_grant"],
      ["other RP ID", 400, "invalid_grant"],
    ]);
  }));

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
  const purpose = { purpose: "sign-in", dpop_jkt: thief.key.thumbprint };
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
    const purpose = { purpose: "sign-in", dpop_jkt: first.key.thumbprint };
    const { body } = await first.send("POST", "/v1/passkeys/options", { json: purpose });
    const what = { challenge: body.challenge, origin: server.origin, rpId: "localhost" };
    const assertion = encoded(passkeyAssertion(passkey, what));
    const stolen = await passkeyLogin(thief, assertion);
    assert.deepEqual([stolen.status, stolen.body.error], [400, "invalid_grant"]);
    assert.equal((await passkeyLogin(first, assertion)).status, 200);
    const twice = await passkeyLogin(first, assertion);
    assert.deepEqual([twice.status, twice.body.error], [400, "invalid_grant"]);
  }));
