// A person's way through the app, in Chromium: from nothing to an account, to a second browser, and back from every loss.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import {
  arrives,
  callFromPage,
  click,
  fillIn,
  moduleUrl,
  newName,
  register,
  sees,
  storedJson,
  text,
} from "./support/app.js";
import { newVisitor, startChromium } from "./support/chromium.js";
import { record } from "./support/recorder.js";
import { freePort, startApi, startServer } from "./support/server.js";

/** Seconds within which a revocation reaches an API elsewhere (docs/protect-your-api.md). */
const MAX_LAG = 10;

/** @type {import("./support/server.js").Server} */
let server;
/** @type {string} */
let apiOrigin;
/** @type {import("puppeteer-core").Browser} */
let chromium;
before(async () => {
  apiOrigin = `http://localhost:${await freePort()}`;
  server = await startServer({ options: ["--resource", apiOrigin] });
  chromium = await startChromium();
});
after(async () => {
  await chromium?.close();
  await server?.stop();
});

const person = async (/** @type {{ synced?: boolean }} */ how = {}) =>
  (await newVisitor(chromium)).addAuthenticator(how);

/**
 * Somebody with an account, and an empty browser with the same synced passkey.
 */
async function twoBrowsers() {
  const first = await person({ synced: true });
  const username = await register(first, server.origin);
  const second = await person({ synced: true });
  await second.copyPasskeysFrom(first);
  return { first, second, username };
}

test("an account takes three actions, and a reload asks for nothing", async () => {
  const visitor = await person();
  const { page } = visitor;
  const username = newName();
  await page.goto(`${server.origin}/register`);
  await fillIn(page, text("register.username"), username); // one: the name
  await click(page, text("register.button")); // two: the button; three: the touch
  await arrives(page, "/account");
  await sees(page, text("account.signed-in-as", { username }));
  await visitor.removeAuthenticator();
  await page.reload();
  await arrives(page, "/account");
  await sees(page, text("account.signed-in-as", { username }));
  assert.deepEqual(visitor.complaints, []);
});

test("nothing lies in cookies or web storage, and the stored key cannot be exported", async () => {
  const visitor = await person();
  await register(visitor, server.origin);
  const { cookies } = await visitor.cdp.send("Network.getAllCookies");
  assert.deepEqual(cookies, []);
  const kept = await visitor.page.evaluate(async () => {
    const opened = indexedDB.open("countersign");
    await new Promise((done) => Object.assign(opened, { onsuccess: done }));
    const asked = opened.result.transaction("keys").objectStore("keys").getAll();
    await new Promise((done) => Object.assign(asked, { onsuccess: done }));
    const keys = asked.result.map((key) => key.privateKey);
    const exported = await Promise.allSettled(
      keys.flatMap((key) => [
        crypto.subtle.exportKey("jwk", key),
        crypto.subtle.exportKey("pkcs8", key),
      ]),
    );
    const names = async () => (await indexedDB.databases()).map(({ name }) => name);
    return {
      keys: keys.map((key) => [key.type, key.extractable]),
      exported: exported.map(({ status }) => status),
      storage: [localStorage.length, sessionStorage.length],
      databases: await names(),
      caches: await caches.keys(),
      workers: (await navigator.serviceWorker.getRegistrations()).length,
    };
  });
  assert.deepEqual(kept, {
    keys: [["private", false]],
    exported: ["rejected", "rejected"],
    storage: [0, 0],
    databases: ["countersign"],
    caches: [],
    workers: 0,
  });
  assert.doesNotMatch(JSON.stringify(await storedJson(visitor.page)), /"d"|PRIVATE|private/);
});

test("an empty second browser signs in with the synced passkey, and no name is typed", async () => {
  const { second, username } = await twoBrowsers();
  await second.page.goto(`${server.origin}/sign-in`);
  // The authenticator picks the passkey in the field's list, as a person does.
  await arrives(second.page, "/account");
  await sees(second.page, text("account.signed-in-as", { username }));
});

test("the button signs in as well, where the field offers nothing", async () => {
  const { second, username } = await twoBrowsers();
  await second.page.evaluateOnNewDocument(() => {
    PublicKeyCredential.isConditionalMediationAvailable = async () => false;
  });
  await second.page.goto(`${server.origin}/sign-in`);
  await arrives(second.page, "/sign-in");
  await click(second.page, text("sign-in.button"));
  await arrives(second.page, "/account");
  await sees(second.page, text("account.signed-in-as", { username }));
});

test("a passkey that answers by itself and is refused is tried again later and later", async () => {
  const { second: other, username } = await twoBrowsers();
  await server.admin("accounts", "disable", username);
  const isLive = async () => (await fetch(`${server.origin}/v1/accounts/${username}/jwks.json`)).ok;
  while (await isLive());
  const tries = record(other.page);
  // Three pauses pass at once, and the fourth does not end.
  await other.page.evaluateOnNewDocument(() => {
    const pauses = /** @type {number[]} */ ([]);
    const later = window.setTimeout;
    Object.assign(window, {
      pauses,
      setTimeout: (
        /** @type {any} */ work,
        /** @type {number} */ ms,
        /** @type {any[]} */ ...more
      ) => {
        // Not the limit of silence of a request.
        if (ms < 1000 || ms > 10_000) return later(work, ms, ...more);
        pauses.push(ms);
        return later(work, pauses.length > 3 ? 3_600_000 : 0, ...more);
      },
    });
  });
  await other.page.goto(`${server.origin}/sign-in`);
  await other.page.waitForFunction(() => /** @type {any} */ (window).pauses.length === 4);
  const pauses = await other.page.evaluate(() => /** @type {any} */ (window).pauses);
  assert.deepEqual(pauses, [1000, 2000, 4000, 8000]);
  await sees(other.page, "your account may be disabled");
  const sent = () => tries.filter(({ url }) => url.endsWith("/v1/passkeys/options")).length;
  assert.equal(sent(), 4);
  // Somebody comes: it goes on at once, and begins with short pauses.
  await other.page.keyboard.press("Shift");
  await other.page.waitForFunction(() => /** @type {any} */ (window).pauses.length === 5);
  assert.equal(await other.page.evaluate(() => /** @type {any} */ (window).pauses[4]), 1000);
  await other.close();
});

test("a browser that is revoked from another one is out at once, and at an API within the stated lag", async (t) => {
  const api = await startApi(server, apiOrigin);
  t.after(() => api.stop());
  const { first, second } = await twoBrowsers();
  await second.page.goto(`${server.origin}/sign-in`);
  await arrives(second.page, "/account");
  const visitApi = await apiVisits(second.page);
  assert.equal(await visitApi(), 200);

  await first.page.goto(`${server.origin}/account/keys`);
  await arrives(first.page, "/account/keys");
  const { answer } = await callFromPage(first.page, "GET", "/v1/keys");
  const browsers = answer.keys.filter((/** @type {any} */ key) => key.kind === "browser");
  assert.equal(browsers.length, 2);
  const other = browsers.find((/** @type {any} */ key) => !key.current && key.added_by);
  await click(first.page, text("keys.remove.of", { label: other.label }));
  await click(first.page, text("revoke.button"));
  await sees(first.page, text("revoke.done", { label: other.label }));
  const revokedAt = Date.now();

  const next = await callFromPage(second.page, "GET", "/v1/whoami");
  assert.equal(next.ok, false);
  assert.equal(next.kind, "signed-out");
  while ((await visitApi()) === 200) {
    assert.ok(Date.now() - revokedAt < MAX_LAG * 1000, "the API still lets it in");
  }
});

/**
 * A function that calls the API elsewhere with a token for it, by the browser's key, straight from Node's network.
 * @param {import("puppeteer-core").Page} page
 */
async function apiVisits(page) {
  const base = await moduleUrl(page, "js/lib/");
  const token = await page.evaluate(
    async (library, resource) => {
      const { currentSession, send, issuer } = await import(`${library}api.js`);
      const { signJwt, randomText } = await import(`${library}jose.js`);
      const { key, session } = await currentSession();
      // The page forgets its key when it hears of the revocation; this one goes on as if it had not heard.
      Object.assign(globalThis, { heldKey: key });
      const now = Math.floor(Date.now() / 1000);
      const claims = { iss: session.account, sub: session.account, aud: issuer, iat: now };
      const more = { exp: now + 60, jti: randomText() };
      const header = { typ: "JWT", kid: key.thumbprint };
      const assertion = await signJwt(key, header, { ...claims, ...more });
      const grant_type = "urn:ietf:params:oauth:grant-type:jwt-bearer";
      const form = { grant_type, assertion, resource };
      return (await (await send("POST", "/oauth/token", { key, form })).json()).access_token;
    },
    base,
    apiOrigin,
  );
  const proofFor = (/** @type {string | undefined} */ nonce) =>
    page.evaluate(
      async (library, url, with_, nonceOf) => {
        const { dpopProof } = await import(`${library}jose.js`);
        const { heldKey } = /** @type {any} */ (globalThis);
        const now = Math.floor(Date.now() / 1000);
        const request = { method: "GET", url, token: with_, now, nonce: nonceOf };
        return dpopProof(heldKey, request);
      },
      base,
      `${apiOrigin}/items`,
      token,
      nonce,
    );
  /** @type {string | undefined} */
  let nonce;
  const once = async () => {
    const headers = { authorization: `DPoP ${token}`, dpop: await proofFor(nonce) };
    const response = await fetch(`${apiOrigin}/items`, { headers });
    const wantsNonce = /use_dpop_nonce/.test(response.headers.get("www-authenticate") ?? "");
    nonce = response.headers.get("dpop-nonce") ?? nonce;
    return { status: response.status, wantsNonce };
  };
  return async () => {
    const first = await once();
    return (first.wantsNonce ? await once() : first).status;
  };
}

test("after the loss of its storage one touch brings everything back, and the old entry is marked", async () => {
  const visitor = await person();
  const username = await register(visitor, server.origin);
  await visitor.cdp.send("Storage.clearDataForOrigin", {
    origin: server.origin,
    storageTypes: "all",
  });
  await visitor.page.goto(`${server.origin}/account/keys`);
  // The way goes over /sign-in, where the passkey is offered, and back to where the person wanted to be.
  await sees(visitor.page, text("key.old-self"));
  await arrives(visitor.page, "/account/keys");
  const { answer } = await callFromPage(visitor.page, "GET", "/v1/whoami");
  assert.equal(answer.username, username);
});

test("a browser that keeps no key signs in for this tab, and says so", async () => {
  const { second, username } = await twoBrowsers();
  await second.page.evaluateOnNewDocument(() => {
    Object.defineProperty(window, "indexedDB", { value: undefined });
  });
  await second.page.goto(`${server.origin}/sign-in`);
  await arrives(second.page, "/account");
  await sees(second.page, text("account.signed-in-as", { username }));
  await sees(second.page, text("memory-only.why"));
  await click(second.page, text("nav.keys"), "link");
  await arrives(second.page, "/account/keys");
  await sees(second.page, text("key.this-browser"));
});

test("a browser that refuses to store the handle of a key signs in for this tab", async () => {
  const { second, username } = await twoBrowsers();
  await second.page.evaluateOnNewDocument(() => {
    const { put } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.put = function (value, ...rest) {
      const isKey = value?.privateKey instanceof CryptoKey;
      if (isKey) throw new DOMException("The object can not be cloned.", "DataCloneError");
      return put.call(this, value, ...rest);
    };
  });
  await second.page.goto(`${server.origin}/sign-in`);
  await arrives(second.page, "/account");
  await sees(second.page, text("account.signed-in-as", { username }));
  await sees(second.page, text("memory-only.why"));
});

test("without JavaScript each page says what to do", async () => {
  const { page } = await newVisitor(chromium);
  await page.setJavaScriptEnabled(false);
  for (const path of ["/sign-in", "/register", "/account", "/account/keys", "/account/keyring"]) {
    await page.goto(server.origin + path);
    const shown = await page.$eval("body", (body) => body.innerText);
    assert.ok(shown.includes(text("start.no-script")), path);
    assert.ok(shown.includes(`--server ${server.origin}`), path);
    assert.ok(!shown.includes(text("start.old-browser")), path);
  }
  await page.goto(server.origin);
  const shown = await page.$eval("body", (body) => body.innerText);
  assert.ok(shown.includes(`countersign register alice --server ${server.origin}`));
});

test("at the server's address by number a page leads to its name", async () => {
  const { page } = await newVisitor(chromium);
  await page.goto(`http://127.0.0.1:${server.port}/register`);
  await sees(page, text("start.wrong-origin"));
  await click(page, text("start.go-there"), "link");
  await arrives(page, "/register");
  assert.equal(new URL(page.url()).origin, server.origin);
});

test("at an IP address the pages say why there are no passkeys, and an account has a browser's key", async (t) => {
  const port = await freePort();
  const byNumber = await startServer({ issuer: `http://127.0.0.1:${port}`, port });
  t.after(() => byNumber.stop());
  const visitor = await newVisitor(chromium);
  const { page } = visitor;
  const username = newName();
  await page.goto(`${byNumber.origin}/register`);
  await sees(page, text("no-passkeys.impossible"));
  await fillIn(page, text("register.username"), username);
  await click(page, text("register.button.browser-key"));
  await arrives(page, "/account");
  await sees(page, text("account.signed-in-as", { username }));
  await sees(page, text("account.no-passkey"));
  await page.goto(`${byNumber.origin}/sign-in`);
  await arrives(page, "/account");
});

test("signing out removes this browser's key for good", async () => {
  const visitor = await person();
  await register(visitor, server.origin);
  const stored = await storedJson(visitor.page);
  assert.ok(stored.session.token);
  await visitor.removeAuthenticator();
  await click(visitor.page, text("nav.sign-out"));
  await arrives(visitor.page, "/sign-in");
  await sees(visitor.page, text("sign-out.done"));
  assert.equal((await storedJson(visitor.page)).session, undefined);
});

test("a key is added, renamed and removed by a touch for each", async () => {
  const visitor = await person();
  await register(visitor, server.origin);
  const { page } = visitor;
  await page.goto(`${server.origin}/account/keys`);
  await arrives(page, "/account/keys");
  await click(page, text("keys.new-file"));
  await fillIn(page, text("keys.name"), "backup script");
  await click(page, text("keys.new-file.button"));
  await click(page, text("keys.file.save"), "link");
  await click(page, text("dialog.close"));
  await click(page, text("keys.rename.of", { label: "backup script" }));
  await fillIn(page, text("keys.name"), "old script");
  await click(page, text("keys.rename.save"));
  await sees(page, text("keys.renamed", { label: "old script" }));
  await click(page, text("keys.remove.of", { label: "old script" }));
  await click(page, text("revoke.button"));
  await sees(page, text("revoke.done", { label: "old script" }));
  assert.deepEqual(visitor.complaints, []);
});
