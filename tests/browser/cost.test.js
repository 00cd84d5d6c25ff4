// What the app costs: little on the wire, nothing in the server's memory, and nothing of the guard's time.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { arrives } from "./support/app.js";
import { newVisitor, startChromium } from "./support/chromium.js";
import { Client } from "./support/dpop.js";
import { startServer } from "./support/server.js";

/** @type {import("./support/server.js").Server} */
let server;
before(async () => {
  server = await startServer();
});
after(() => server?.stop());

/** What the sign-in page may weigh over the wire, in bytes, and in how many requests. */
const MOST_BYTES = 40_000;
const MOST_REQUESTS = 12;

for (const language of ["en", "de"]) {
  test(`${language}: the sign-in page is at most 40 KB in at most 12 requests`, async (t) => {
    const chromium = await startChromium();
    t.after(() => chromium.close());
    const { page, cdp } = await newVisitor(chromium);
    await page.setExtraHTTPHeaders({ "accept-language": language });
    /** @type {Map<string, { url: string, bytes: number }>} */
    const loaded = new Map();
    await cdp.send("Network.enable");
    cdp.on("Network.requestWillBeSent", ({ requestId, request }) => {
      loaded.set(requestId, { url: new URL(request.url).pathname, bytes: 0 });
    });
    // As they come over the wire, compressed, without the headers.
    const add = (/** @type {string} */ requestId, /** @type {number} */ bytes) => {
      const entry = loaded.get(requestId);
      if (entry) entry.bytes += bytes;
    };
    cdp.on("Network.responseReceived", ({ requestId, response }) => {
      add(requestId, -response.encodedDataLength);
    });
    cdp.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
      add(requestId, encodedDataLength);
    });
    await page.goto(`${server.origin}/sign-in`);
    await arrives(page, "/sign-in");
    const files = [...loaded.values()].filter(({ url }) => !url.startsWith("/v1/"));
    const sum = files.reduce((total, { bytes }) => total + bytes, 0);
    const listed = files.map(({ url, bytes }) => `${bytes} ${url}`).join("\n");
    assert.ok(listed.includes(`/lang/${language}.js`), listed);
    assert.ok(files.length <= MOST_REQUESTS, `${files.length} requests:\n${listed}`);
    assert.ok(sum > 10_000 && sum <= MOST_BYTES, `${sum} bytes:\n${listed}`);
  });
}

test("files and pages never reach the guard", async () => {
  const html = await (await fetch(`${server.origin}/sign-in`)).text();
  const file = /(?:src|href)="(\/web\/[^"]+\.js)"/.exec(html)?.[1];
  const headers = { authorization: "DPoP rubbish", dpop: "rubbish" };
  for (const path of ["/", "/sign-in", "/account", file]) {
    const response = await fetch(server.origin + path, { headers });
    assert.equal(response.status, 200, path);
    assert.equal(response.headers.get("dpop-nonce"), null, path);
    assert.equal(response.headers.get("www-authenticate"), null, path);
  }
});

test("10 000 requests for passkey options leave nothing in the server's memory", async () => {
  const client = new Client(server.origin);
  const path = "/v1/passkeys/options";
  const json = { purpose: "sign-in", dpop_jkt: client.key.thumbprint };
  assert.equal((await client.send("POST", path, { json })).status, 200);
  // The server does not look at the proof of such a request, so this client makes one for a thousand.
  const ask = async (/** @type {number} */ times) => {
    for (let sent = 0; sent < times; sent += 1000) {
      const message = { json, proof: client.proof("POST", path, { json }) };
      const lane = async () => {
        for (let index = 0; index < 125; index++) {
          const { status, body } = await client.once("POST", path, message);
          assert.equal(status, 200, JSON.stringify(body));
        }
      };
      await Promise.all(Array.from({ length: 8 }, lane));
    }
  };
  await ask(1000);
  const before = await server.memory();
  await ask(10_000);
  const growth = (await server.memory()) - before;
  assert.ok(growth < 4_000_000, `${growth} bytes`);
});
