// The way of passkeys in Firefox, by Marionette, for BiDi has no authenticators.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { newName, text } from "./support/app.js";
import { Marionette } from "./support/marionette.js";
import { startServer } from "./support/server.js";

/** @type {import("./support/server.js").Server} */
let server;
/** @type {Marionette} */
let firefox;
before(async () => {
  server = await startServer();
  firefox = await Marionette.start();
});
after(async () => {
  await firefox?.stop();
  await server?.stop();
});

/** In the page: waits until it shows a text. */
const shows = (/** @type {string} */ words) =>
  new Promise((done, failed) => {
    const seen = () => document.body.innerText.includes(words);
    if (seen()) return done(undefined);
    const observer = new MutationObserver(() => seen() && done(undefined));
    observer.observe(document, { subtree: true, childList: true, characterData: true });
    setTimeout(() => failed(new Error(document.body.innerText)), 20_000);
  });

/** Waits until the tab is at a path; a navigation ends whatever runs in the page. */
async function arrives(/** @type {string} */ path) {
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; ) {
    const here = await firefox
      .evaluate(() => [location.pathname, document.querySelector("main")?.ariaBusy])
      .catch(() => []);
    if (here[0] === path) return;
  }
  assert.fail(`not at ${path}`);
}

test("in Firefox an account with a passkey is made, stays over a reload, and comes back after sign-out", async () => {
  const username = newName();
  await firefox.addAuthenticator();
  await firefox.goto(`${server.origin}/register`);
  await firefox.type(text("register.username"), username);
  await firefox.press(text("register.button"));
  await arrives("/account");
  await firefox.evaluate(shows, text("account.signed-in-as", { username }));
  await firefox.send("WebDriver:Refresh");
  await firefox.evaluate(shows, text("account.signed-in-as", { username }));
  await firefox.press(text("nav.sign-out"));
  await arrives("/sign-in");
  await firefox.press(text("sign-in.button"));
  await arrives("/account");
  await firefox.evaluate(shows, text("account.signed-in-as", { username }));
});
