// The button "Back": where a page sends people on by itself, it leaves nothing behind that would send them on again.
import assert from "node:assert/strict";
import { test } from "node:test";

import { arrives, click, fillIn, newName, register, text } from "./support/app.js";
import { newVisitor, PATIENCE } from "./support/chromium.js";
import { chromium, server } from "./support/house.js";
import { Marionette } from "./support/marionette.js";

/** @typedef {{ evaluate: (work: (...args: any[]) => any, ...args: any[]) => Promise<any> }} Tab */

/**
 * Waits until the tab is at rest at a path with its query; a navigation ends whatever runs in the page.
 * @param {Tab} tab
 * @param {string} wanted
 */
async function restsAt(tab, wanted) {
  let here;
  for (const deadline = Date.now() + PATIENCE; Date.now() < deadline; ) {
    here = await tab
      .evaluate(() => {
        const isOn = document.documentElement.dataset.app === "on";
        const isAtRest = isOn && !document.querySelector("main[aria-busy], button[aria-busy]");
        return (
          isAtRest && document.readyState === "complete" && location.pathname + location.search
        );
      })
      .catch(() => undefined);
    if (here === wanted) return;
  }
  assert.fail(`not at ${wanted} but at ${here}`);
}

/**
 * Goes back step by step.
 * @param {Tab} tab
 * @param {() => Promise<unknown>} back
 * @param {string[]} places where each step must lead to
 */
async function leadsBackTo(tab, back, ...places) {
  for (const place of places) {
    await back();
    await restsAt(tab, place);
  }
}

test("in Chromium Back leads out of what is behind a sign-out, a registration and a sign-in", async () => {
  const visitor = await (await newVisitor(chromium)).addAuthenticator({ synced: true });
  const { page } = visitor;
  const { authenticatorId = "" } = visitor;
  const presence = (/** @type {boolean} */ enabled) =>
    visitor.cdp.send("WebAuthn.setAutomaticPresenceSimulation", { authenticatorId, enabled });
  const back = () => page.goBack();
  await page.goto(`${server.origin}/`);
  await arrives(page, "/");
  await click(page, text("nav.register"), "link");
  await arrives(page, "/register");
  await fillIn(page, text("register.username"), newName());
  await click(page, text("register.button"));
  await restsAt(page, "/account");
  await leadsBackTo(page, back, "/");

  for (const [link, path] of /** @type {[string, string][]} */ ([
    [text("account.title"), "/account"],
    [text("nav.keys"), "/account/keys"],
    [text("nav.activity"), "/account/activity"],
  ])) {
    await click(page, link, "link");
    await arrives(page, path);
  }
  // The authenticator would pick the passkey in the field at once.
  await presence(false);
  await click(page, text("nav.sign-out"));
  await restsAt(page, "/sign-in?signed-out");
  const guarded = ["/sign-in?next=%2Faccount%2Fkeys", "/sign-in?next=%2Faccount"];
  await leadsBackTo(page, back, ...guarded, "/");

  await click(page, text("nav.sign-in"), "link");
  await arrives(page, "/sign-in");
  await presence(true);
  await click(page, text("sign-in.button"));
  await restsAt(page, "/account");
  await leadsBackTo(page, back, "/");
});

test("in Firefox Back leads out of what is behind a sign-out, a registration and a sign-in", async (t) => {
  const firefox = await Marionette.start();
  t.after(() => firefox.stop());
  await firefox.addAuthenticator();
  const back = () => firefox.send("WebDriver:Back");
  const follow = async (/** @type {string} */ name) => {
    const id = await firefox.find(`//a[normalize-space()="${name}"]`);
    await firefox.send("WebDriver:ElementClick", { id });
  };
  await firefox.goto(`${server.origin}/`);
  await follow(text("nav.register"));
  await restsAt(firefox, "/register");
  await firefox.type(text("register.username"), newName());
  await firefox.press(text("register.button"));
  await restsAt(firefox, "/account");
  await leadsBackTo(firefox, back, "/");

  await follow(text("account.title"));
  await restsAt(firefox, "/account");
  await follow(text("nav.keys"));
  await restsAt(firefox, "/account/keys");
  await firefox.press(text("nav.sign-out"));
  await restsAt(firefox, "/sign-in?signed-out");
  await leadsBackTo(firefox, back, "/sign-in?next=%2Faccount", "/");

  await follow(text("nav.sign-in"));
  await restsAt(firefox, "/sign-in");
  await firefox.press(text("sign-in.button"));
  await restsAt(firefox, "/account");
  await leadsBackTo(firefox, back, "/");
});

test("a sign-in that is left while the browser asks for a passkey is begun again", async () => {
  const visitor = await (await newVisitor(chromium)).addAuthenticator({ synced: true });
  const { page } = visitor;
  const { authenticatorId = "" } = visitor;
  const presence = (/** @type {boolean} */ enabled) =>
    visitor.cdp.send("WebAuthn.setAutomaticPresenceSimulation", { authenticatorId, enabled });
  await register(visitor, server.origin);
  await presence(false);
  await click(page, text("nav.sign-out"));
  await restsAt(page, "/sign-in?signed-out");
  await page.$eval("form", (form) => form.requestSubmit());
  await page.waitForFunction(() => document.querySelector("button[aria-busy]"));
  await click(page, text("sign-in.no-account"), "link");
  await arrives(page, "/register");
  await click(page, text("nav.sign-in"), "link");
  await arrives(page, "/sign-in");
  await presence(true);
  await click(page, text("sign-in.button"));
  await restsAt(page, "/account");
});

test("where nothing can be stored, Back leads out as well", async () => {
  const visitor = await (await newVisitor(chromium)).addAuthenticator({ synced: true });
  const { page } = visitor;
  await page.evaluateOnNewDocument(() => {
    Reflect.deleteProperty(IDBFactory.prototype, "open");
  });
  await page.goto(`${server.origin}/`);
  await arrives(page, "/");
  await register(visitor, server.origin);
  await restsAt(page, "/account");
  await click(page, text("nav.keys"), "link");
  await arrives(page, "/account/keys");
  await visitor.removeAuthenticator();
  await click(page, text("nav.sign-out"));
  await restsAt(page, "/sign-in?signed-out");
  const back = () => page.evaluate(() => history.back());
  await leadsBackTo(page, back, "/sign-in?next=%2Faccount", "/");
});
