// A server and a Chromium for all tests of a file: they start before the first one, and end after the last.
import { after, before } from "node:test";

import { startChromium } from "./chromium.js";
import { startServer } from "./server.js";

/** @type {import("./server.js").Server} */
export let server;
/** @type {import("puppeteer-core").Browser} */
export let chromium;

before(async () => {
  server = await startServer();
  chromium = await startChromium();
});
after(async () => {
  await chromium?.close();
  await server?.stop();
});
