// What the web app relies on in each engine, tried at the real server before any of its pages: keys that cannot be
// exported and that survive in IndexedDB; passkeys at the name `localhost`, with a second browser that has the same ones.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { newVisitor, startChromium } from "./support/chromium.js";
import { startFirefox } from "./support/firefox.js";
import { Marionette } from "./support/marionette.js";
import { startServer } from "./support/server.js";
import { WebKit } from "./support/webkit.js";

/** @type {import("./support/server.js").Server} */
let server;
before(async () => {
  server = await startServer();
});
after(() => server?.stop());

/** Makes a key, puts it into IndexedDB, reads it back and tries to export it. */
async function keepKey() {
  const make = (/** @type {AlgorithmIdentifier | EcKeyGenParams} */ algorithm) =>
    /** @type {Promise<CryptoKeyPair>} */ (
      crypto.subtle.generateKey(algorithm, false, ["sign", "verify"])
    );
  // WebKitGTK fails to make one Ed25519 key in about 150, and then makes the next one.
  const pair = await make("Ed25519")
    .catch(() => make("Ed25519"))
    .catch(() => make({ name: "ECDSA", namedCurve: "P-256" }));
  const request = indexedDB.open("try", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("keys");
  await new Promise((done, failed) => Object.assign(request, { onsuccess: done, onerror: failed }));
  const wait = (/** @type {IDBRequest} */ asked) =>
    new Promise((done, failed) =>
      Object.assign(asked, { onsuccess: () => done(asked.result), onerror: failed }),
    );
  const store = () => request.result.transaction("keys", "readwrite").objectStore("keys");
  await wait(store().put(pair, "k"));
  const { privateKey } = await wait(store().get("k"));
  const exports = [
    crypto.subtle.exportKey("jwk", privateKey),
    crypto.subtle.exportKey("pkcs8", privateKey),
  ];
  const exported = await Promise.allSettled(exports);
  return { algorithm: privateKey.algorithm.name, exported: exported.map(({ status }) => status) };
}
const KEPT = { algorithm: "Ed25519", exported: ["rejected", "rejected"] };

async function makePasskey() {
  const made = await navigator.credentials.create({
    publicKey: {
      rp: { name: "Countersign" },
      user: { id: crypto.getRandomValues(new Uint8Array(32)), name: "alice", displayName: "alice" },
      challenge: new Uint8Array(32),
      pubKeyCredParams: [
        { type: "public-key", alg: -8 },
        { type: "public-key", alg: -7 },
      ],
      authenticatorSelection: { residentKey: "required", userVerification: "required" },
    },
  });
  return made?.id;
}

async function usePasskey() {
  const used = await navigator.credentials.get({
    publicKey: { challenge: new Uint8Array(32), userVerification: "required" },
  });
  return used?.id;
}

test("Chromium keeps a key that cannot be exported, and a synced passkey works in a second browser", async (t) => {
  const chromium = await startChromium();
  t.after(() => chromium.close());
  const first = await (await newVisitor(chromium)).addAuthenticator({ synced: true });
  await first.page.goto(server.origin);
  assert.deepEqual(await first.page.evaluate(keepKey), KEPT);
  const id = await first.page.evaluate(makePasskey);
  const second = await (await newVisitor(chromium)).addAuthenticator({ synced: true });
  await second.page.goto(server.origin);
  await assert.rejects(second.page.evaluate(usePasskey), /NotAllowedError/);
  await second.copyPasskeysFrom(first);
  assert.equal(await second.page.evaluate(usePasskey), id);
});

test("Firefox keeps a key that cannot be exported", async (t) => {
  const firefox = await startFirefox();
  t.after(() => firefox.close());
  const page = await firefox.newPage();
  await page.goto(server.origin);
  assert.deepEqual(await page.evaluate(keepKey), KEPT);
});

test("Firefox makes and uses a passkey", async (t) => {
  const firefox = await Marionette.start();
  t.after(() => firefox.stop());
  await firefox.addAuthenticator();
  await firefox.goto(server.origin);
  const id = await firefox.evaluate(makePasskey);
  assert.ok(id);
  assert.equal(await firefox.evaluate(usePasskey), id);
});

test("WebKit keeps a key that cannot be exported", async (t) => {
  const webkit = await WebKit.start();
  t.after(() => webkit.stop());
  await webkit.goto(server.origin);
  assert.deepEqual(await webkit.evaluate(keepKey), KEPT);
});
