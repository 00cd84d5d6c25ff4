// The way of passkeys in Firefox, by Marionette, for BiDi has no authenticators.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { newName, text } from "./support/app.js";
import { Marionette } from "./support/marionette.js";
import { startServer } from "./support/server.js";

/** @type {import("./support/server.js").Server} */
let server;
before(async () => {
  server = await startServer();
});
after(() => server?.stop());

/** The setting "block all cookies": it is for IndexedDB too. */
const BLOCKS_ALL = 2;

/** In the page: waits until it shows a text. */
const shows = (/** @type {string} */ words) =>
  new Promise((done, failed) => {
    const seen = () => document.body.innerText.includes(words);
    if (seen()) return done(undefined);
    const observer = new MutationObserver(() => seen() && done(undefined));
    observer.observe(document, { subtree: true, childList: true, characterData: true });
    setTimeout(() => failed(new Error(document.body.innerText)), 20_000);
  });

/** Waits until the tab is at a path and its program has run; a navigation ends whatever runs in the page. */
async function arrives(/** @type {Marionette} */ firefox, /** @type {string} */ path) {
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; ) {
    const here = await firefox
      .evaluate(() => {
        const isReady = document.documentElement.dataset.app === "on";
        return isReady && !document.querySelector("main[aria-busy]") && location.pathname;
      })
      .catch(() => undefined);
    if (here === path) return;
  }
  const shown = await firefox.evaluate(() => `${location.pathname}: ${document.body.innerText}`);
  assert.fail(`not at ${path} but at ${shown}`);
}

/**
 * Firefox with an authenticator, on the page for registration.
 * @param {import("node:test").TestContext} t
 * @param {Record<string, boolean | number>} [preferences]
 */
async function visitor(t, preferences) {
  const firefox = await Marionette.start(preferences);
  t.after(() => firefox.stop());
  await firefox.addAuthenticator();
  await firefox.goto(`${server.origin}/register`);
  await arrives(firefox, "/register");
  return firefox;
}

/** Makes an account with a passkey; gives back its name. */
async function register(/** @type {Marionette} */ firefox) {
  const username = newName();
  await firefox.type(text("register.username"), username);
  await firefox.press(text("register.button"));
  await arrives(firefox, "/account");
  await firefox.evaluate(shows, text("account.signed-in-as", { username }));
  return username;
}

test("in Firefox an account with a passkey is made, stays over a reload, and comes back after sign-out", async (t) => {
  const firefox = await visitor(t);
  const username = await register(firefox);
  await firefox.send("WebDriver:Refresh");
  await firefox.evaluate(shows, text("account.signed-in-as", { username }));
  await firefox.press(text("nav.sign-out"));
  await arrives(firefox, "/sign-in");
  await firefox.press(text("sign-in.button"));
  await arrives(firefox, "/account");
  await firefox.evaluate(shows, text("account.signed-in-as", { username }));
});

test("a private window of Firefox keeps the key over a reload", async (t) => {
  const firefox = await visitor(t, { "browser.privatebrowsing.autostart": true });
  const username = await register(firefox);
  await firefox.send("WebDriver:Refresh");
  await firefox.evaluate(shows, text("account.signed-in-as", { username }));
  const shown = await firefox.evaluate(() => document.body.innerText);
  assert.ok(!shown.includes(text("memory-only")), "there is nothing to say");
});

test("Firefox that is set to store nothing signs in for this tab, and says so", async (t) => {
  const firefox = await visitor(t, { "network.cookie.cookieBehavior": BLOCKS_ALL });
  await firefox.evaluate(shows, text("memory-only.why"));
  const username = await register(firefox);
  await firefox.evaluate(shows, text("memory-only.why"));
  const keys = await firefox.find(`//a[normalize-space()="${text("nav.keys")}"]`);
  await firefox.send("WebDriver:ElementClick", { id: keys });
  await arrives(firefox, "/account/keys");
  await firefox.evaluate(shows, text("key.this-browser"));
  await firefox.goto(`${server.origin}/account`);
  await arrives(firefox, "/sign-in");
  await firefox.evaluate(shows, text("memory-only.why"));
  await firefox.press(text("sign-in.button"));
  await arrives(firefox, "/account");
  await firefox.evaluate(shows, text("account.signed-in-as", { username }));
});
