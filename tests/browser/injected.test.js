// Script that gets into a page in spite of its policy (here by the debugger). It has the handle of the browser's key and
// can sign with it as long as the page is open, for that is what the page itself does. It cannot turn that into anything
// that lasts: a key, a secret, a token for elsewhere, or a stock of signatures.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";

import { callFromPage, moduleUrl, register } from "./support/app.js";
import { newVisitor, startChromium } from "./support/chromium.js";
import { Client, newKey } from "./support/dpop.js";
import { startServer } from "./support/server.js";

/** @type {import("./support/server.js").Server} */
let server;
/** @type {import("puppeteer-core").Browser} */
let chromium;
/** @type {import("./support/chromium.js").Visitor} */
let victim;
/** @type {string} */
let username;
before(async () => {
  // The shortest time that a nonce may be used.
  server = await startServer({ settings: { COUNTERSIGN_TOKENS_NONCE_LIFETIME: "10" } });
  chromium = await startChromium();
  victim = await (await newVisitor(chromium)).addAuthenticator();
  username = await register(victim, server.origin);
  // From here on nobody touches the authenticator: the person does not know that script wants something.
  await setPresence(false);
});
after(async () => {
  await chromium?.close();
  await server?.stop();
});

/**
 * Sends a request with the browser's key, straight, without what the app does when a touch is asked for.
 * @param {string} method
 * @param {string} path
 * @param {{ json?: unknown, form?: Record<string, string>, headers?: Record<string, string>, token?: boolean }} what
 */
async function sendWithVictimsKey(method, path, what) {
  return victim.page.evaluate(
    async (api, verb, where, { token: withToken, ...message }) => {
      const { send, currentSession, asProblem } = await import(api);
      const { key, session } = await currentSession();
      const token = withToken ? session.token : undefined;
      try {
        const response = await send(verb, where, { key, token, ...message });
        return { status: response.status, answer: await response.json().catch(() => null) };
      } catch (error) {
        const { status, kind, lack } = asProblem(error);
        return { status, kind, lack };
      }
    },
    await moduleUrl(victim.page, "js/lib/api.js"),
    method,
    path,
    what,
  );
}

test("injected script can act while the page is open", async () => {
  const { answer } = await callFromPage(victim.page, "GET", "/v1/whoami");
  assert.equal(answer.username, username);
  assert.equal((await sendWithVictimsKey("GET", "/v1/whoami", { token: true })).status, 200);
});

/** Whether the person's finger is on the authenticator. */
const setPresence = (/** @type {boolean} */ enabled) =>
  victim.cdp.send("WebAuthn.setAutomaticPresenceSimulation", {
    authenticatorId: /** @type {string} */ (victim.authenticatorId),
    enabled,
  });

/**
 * The passkey's word for an operation, as the page gets it.
 * @param {{ method: string, path: string, body_sha256: string | null, if_match?: string }} operation
 */
async function touchFor(operation) {
  return victim.page.evaluate(
    async (base, what) => {
      const { call, currentSession } = await import(`${base}api.js`);
      const { getPasskey } = await import(`${base}passkey.js`);
      const { base64urlOfText } = await import(`${base}jose.js`);
      const json = { operation: what };
      const { session } = await currentSession();
      const path = "/v1/passkeys/options/step-up";
      const options = await call(session.account, "POST", path, { json });
      const signal = AbortSignal.timeout(1500);
      return getPasskey(options, { signal }).then(
        (/** @type {any} */ answer) => base64urlOfText(JSON.stringify(answer.json)),
        () => null,
      );
    },
    await moduleUrl(victim.page, "js/lib/"),
    operation,
  );
}

test("injected script cannot add a key", async () => {
  const thief = new Client(server.origin);
  const { thumbprint, jwk } = thief.key;
  const proof = () => ({
    public_key: jwk,
    label: "thief",
    new_key_proof: thief.newKeyProof(username),
  });
  const add = (/** @type {Record<string, string>} */ headers = {}) =>
    sendWithVictimsKey("POST", "/v1/keys", { token: true, json: proof(), headers });
  const refused = await add();
  assert.deepEqual([refused.status, refused.lack], [403, "passkey"]);
  // The authenticator waits for a touch that does not come.
  const wanted = { method: "POST", path: "/v1/keys", body_sha256: null };
  assert.equal(await touchFor(wanted), null);
  // A touch for something else, here a new name for a key, does not do instead.
  const { answer } = await callFromPage(victim.page, "GET", "/v1/keys");
  const mine = answer.keys.find((/** @type {any} */ key) => key.kind === "browser");
  const json = { label: "renamed" };
  const path = `/v1/keys/${mine.thumbprint}`;
  const body_sha256 = createHash("sha256").update(JSON.stringify(json)).digest("hex");
  await setPresence(true);
  const assertion = await touchFor({ method: "PATCH", path, body_sha256 });
  await setPresence(false);
  assert.ok(assertion);
  const headers = { "Passkey-Assertion": assertion };
  assert.equal((await add(headers)).status, 403);
  const renamed = await sendWithVictimsKey("PATCH", path, { token: true, json, headers });
  assert.equal(renamed.status, 200, "for what it was made, it counts");
  const after = await callFromPage(victim.page, "GET", "/v1/keys");
  assert.ok(!JSON.stringify(after.answer).includes(thumbprint));
});

test("an injected script cannot add a key with a key of the mutual login", async () => {
  const { page } = await newVisitor(chromium);
  const name = `mutual-${Math.random().toString(36).slice(2, 8)}`;
  await page.goto(`${server.origin}/account/passwordless`);
  await page.waitForSelector("form#register");
  await page.type("form#register [name=username]", name);
  await page.click("form#register button.primary");
  await page.waitForSelector(`[data-account="${name}"]`);
  // The person comes back another day, and does nothing yet.
  await page.reload();
  const thief = new Client(server.origin);
  const outcome = await page.evaluate(
    async (base, public_key, new_key_proof) => {
      const { asProblem, issuer, logInWith, send } = await import(`${base}api.js`);
      const { signJwt, randomText } = await import(`${base}jose.js`);
      const { logInMutually } = await import(`${base}mutual-login.js`);
      const { read } = await import(`${base}store.js`);
      const [{ key, account, serverKey }] = await read("mutual");
      const kind = (/** @type {unknown} */ error) => asProblem(error).lack ?? asProblem(error).kind;
      const byAssertion = await logInWith(key, account).then(() => "accepted", kind);
      const login = { account, serverKey, key: async () => key };
      const { text: token } = await logInMutually(login, () => {});
      const json = { public_key, label: "phone", new_key_proof };
      const added = await send("POST", "/v1/keys", { key, token, json }).then(
        () => "accepted",
        kind,
      );
      const me = await (await send("GET", "/v1/whoami", { key, token })).json();
      const now = Math.floor(Date.now() / 1000);
      const claims = { sub: account, aud: issuer, iat: now, exp: now + 60, jti: randomText() };
      const byItself = await signJwt(key, { typ: "JWT", kid: key.thumbprint }, claims);
      return { byAssertion, added, username: me.username, byItself };
    },
    await moduleUrl(page, "js/lib/"),
    thief.key.jwk,
    thief.newKeyProof(name),
  );
  await page.close();
  assert.equal(outcome.username, name, "the script can log in while the page is open");
  assert.deepEqual([outcome.byAssertion, outcome.added], ["invalid_grant", "mutual-key"]);
  const headers = { authorization: `Bearer ${outcome.byItself}` };
  const later = await fetch(`${server.origin}/v1/whoami`, { headers });
  assert.equal(later.status, 401, "a JWT of the key alone");
  assert.equal((await thief.logIn(thief.assertion(name))).status, 400);
});

test("injected script cannot get a token for its own key", async () => {
  const thief = newKey();
  const outcome = await victim.page.evaluate(
    async (base, jkt) => {
      const { currentSession, send, asProblem, issuer } = await import(`${base}api.js`);
      const { signJwt, randomText } = await import(`${base}jose.js`);
      const { key, session } = await currentSession();
      const now = Math.floor(Date.now() / 1000);
      const claims = {
        iss: session.account,
        sub: session.account,
        aud: issuer,
        iat: now,
        exp: now + 60,
      };
      const assertion = await signJwt(
        key,
        { typ: "JWT", kid: key.thumbprint },
        { ...claims, jti: randomText(), cnf: { jkt } },
      );
      const grant_type = "urn:ietf:params:oauth:grant-type:jwt-bearer";
      try {
        await send("POST", "/oauth/token", { key, form: { grant_type, assertion } });
        return { assertion, kind: "accepted" };
      } catch (error) {
        return { assertion, kind: asProblem(error).kind };
      }
    },
    await moduleUrl(victim.page, "js/lib/"),
    thief.thumbprint,
  );
  assert.equal(outcome.kind, "invalid_grant");
  // Nor does the thief get one who presents that assertion with the key that it names.
  const elsewhere = await new Client(server.origin, thief).logIn(outcome.assertion);
  assert.deepEqual([elsewhere.status, elsewhere.body.error], [400, "invalid_grant"]);
});

test("injected script cannot sign for later", async () => {
  const proofs = await victim.page.evaluate(
    async (base) => {
      const { currentSession, issuer } = await import(`${base}api.js`);
      const { dpopProof } = await import(`${base}jose.js`);
      const { read } = await import(`${base}store.js`);
      const { key, session } = await currentSession();
      const { resourceNonce: nonce } = await read("hints");
      const now = Math.floor(Date.now() / 1000);
      const request = { method: "GET", url: `${issuer}/v1/whoami`, token: session.token };
      const made = (/** @type {object} */ more) => dpopProof(key, { ...request, ...more });
      const stock = [];
      for (let index = 0; index < 240; index++) stock.push(await made({ now, nonce }));
      const ahead = await made({ now: now + 3600, nonce });
      return { token: session.token, stock, ahead, invented: await made({ now, nonce: "AAAA" }) };
    },
    await moduleUrl(victim.page, "js/lib/"),
  );
  const present = async (/** @type {string} */ proof) => {
    const headers = { authorization: `DPoP ${proofs.token}`, dpop: proof };
    const response = await fetch(`${server.origin}/v1/whoami`, { headers });
    return { status: response.status, challenge: response.headers.get("www-authenticate") ?? "" };
  };
  assert.equal((await present(proofs.ahead)).status, 401, "a proof dated an hour ahead");
  assert.equal((await present(proofs.invented)).status, 401, "a nonce of its own");
  // A stock of proofs over today's nonce is worth something only as long as the nonce.
  const deadline = Date.now() + 60_000;
  let answer = await present(/** @type {string} */ (proofs.stock.pop()));
  assert.equal(answer.status, 200, "while the nonce lasts");
  while (answer.status === 200 && Date.now() < deadline) {
    const proof = proofs.stock.pop();
    assert.ok(proof, "the stock has outlived the nonce");
    answer = await present(proof);
    await new Promise((later) => setTimeout(later, 250));
  }
  assert.equal(answer.status, 401);
  assert.match(answer.challenge, /use_dpop_nonce/);
});

test("an injected script cannot read the keyring", async () => {
  const { page } = victim;
  const password = "correct horse battery";
  await page.goto(`${server.origin}/account/keyring`);
  const id = await moduleUrl(page, "js/lib/");
  // The person has made an online keyring, and closed it again.
  await setPresence(true);
  await page.evaluate(
    async (base, name, secret) => {
      const { OpenedOnline } = await import(`${base}keyring/online/opened.js`);
      const { currentSession } = await import(`${base}api.js`);
      const keyring = new OpenedOnline(name, (await currentSession()).session.account);
      await (await keyring.renew(secret)).store();
      const entry = { name: "telling", username: name, url: location.origin, type: "P-256" };
      await keyring.addGenerated(entry);
      await keyring.save();
      keyring.close();
    },
    id,
    username,
    password,
  );
  await setPresence(false);

  const status = await sendWithVictimsKey("GET", "/v1/keyring", { token: true });
  assert.equal(status.status, 200);
  const { revision, size, slots } = status.answer;
  assert.ok(size > 0);
  const known = JSON.stringify(status.answer);
  for (const secret of ["ciphertext", "wrapped", "nonce", "record", "telling"]) {
    assert.ok(!known.includes(secret), secret);
  }
  // Without the password there is no finalization, and one of another opening is none.
  const outcome = await page.evaluate(
    async (base, name) => {
      const { OpenedOnline } = await import(`${base}keyring/online/opened.js`);
      const { asProblem, currentSession, send } = await import(`${base}api.js`);
      const { key, session } = await currentSession();
      const how = { username: name, kind: "password", typed: "a guess of the script", key };
      const guess = await OpenedOnline.open(how).catch(
        (/** @type {unknown} */ error) => asProblem(error).reason,
      );
      const start = { username: name, kind: "password", request: "" };
      const guesser = new OpenedOnline(name, session.account);
      start.request = await guesser.ask("startOpening", { kind: "password", typed: "a guess" });
      const { state } = await (await send("POST", "/v1/keyring/open", { key, json: start })).json();
      const finalization = btoa(String.fromCharCode(...new Uint8Array(64)))
        .replace(/\+/g, "-")
        .replace(/=/g, "");
      const finish = { key, json: { state, finalization } };
      const finished = await send("POST", "/v1/keyring/open/finish", finish).then(
        () => "opened",
        (/** @type {unknown} */ error) => asProblem(error).kind,
      );
      guesser.close();
      return { guess, finished };
    },
    id,
    username,
  );
  assert.deepEqual(outcome, { guess: "password-wrong", finished: "keyring-not-opened" });
  // What would change or destroy it, or bring an older one back, needs the touch; so does the passkey's own way.
  const [{ id: slot }] = slots;
  const wrapped = Buffer.alloc(60).toString("base64url");
  const document = {
    ...{ format: "countersign-keyring", version: 2, cipher: "A256GCM" },
    ...{ slots: [{ id: slot, kind: "password", wrapped }] },
    ...{
      nonce: Buffer.alloc(12).toString("base64url"),
      ciphertext: Buffer.alloc(32).toString("base64url"),
    },
  };
  const headers = { "If-Match": `"${revision}"` };
  const json = { document, records: [] };
  const touched = /** @type {[string, string, object][]} */ ([
    ["PUT", "/v1/keyring", { json, headers }],
    ["DELETE", "/v1/keyring", { headers }],
    ["POST", `/v1/keyring/revisions/${revision}/restore`, { headers }],
  ]);
  for (const [method, path, what] of touched) {
    const refused = await sendWithVictimsKey(method, path, { token: true, ...what });
    assert.deepEqual([refused.status, refused.lack], [403, "passkey"], `${method} ${path}`);
    assert.equal(
      await touchFor({ method, path, body_sha256: null, if_match: headers["If-Match"] }),
      null,
    );
  }
  const byPasskey = await sendWithVictimsKey("POST", "/v1/keyring/open/prf", { token: true });
  assert.deepEqual([byPasskey.status, byPasskey.answer], [403, undefined]);
  // It is as it was, and opens for its person.
  const after = await sendWithVictimsKey("GET", "/v1/keyring", { token: true });
  assert.equal(after.answer.revision, revision);
});
