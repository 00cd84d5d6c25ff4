// The whole way through the app by keyboard alone: nothing here ever uses a pointer, and the focus is always to be seen.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { arrives, newName, sees, text } from "./support/app.js";
import { newVisitor, startChromium } from "./support/chromium.js";
import { startServer } from "./support/server.js";

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

/** The name of what has the focus, as it is read out, and whether a person sees that it has the focus. */
async function focused(/** @type {import("puppeteer-core").Page} */ page) {
  const handle = await page.evaluateHandle(() => document.activeElement);
  const root = /** @type {import("puppeteer-core").ElementHandle} */ (handle);
  const node = await page.accessibility.snapshot({ root, interestingOnly: false });
  const visible = await page.evaluate(() => {
    const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(
      /** @type {Element} */ (document.activeElement),
    );
    return (outlineStyle !== "none" && outlineWidth !== "0px") || boxShadow !== "none";
  });
  return { name: String(node?.name ?? ""), visible };
}

/**
 * Presses Tab until something of this name has the focus.
 * @param {import("puppeteer-core").Page} page
 * @param {string} name
 */
async function tabTo(page, name) {
  const passed = [];
  for (let presses = 0; presses < 80; presses++) {
    await page.keyboard.press("Tab");
    const { name: here, visible } = await focused(page);
    if (here === name) return assert.ok(visible, `the focus on "${name}" cannot be seen`);
    passed.push(here);
  }
  assert.fail(`Tab does not lead to "${name}" but to: ${passed.join(" | ")}`);
}

/**
 * @param {import("puppeteer-core").Page} page
 * @param {string} name
 */
async function press(page, name) {
  await tabTo(page, name);
  await page.keyboard.press("Enter");
}

test("the whole journey by keyboard: register, rename, add, remove, look, sign out, sign in", async () => {
  const visitor = await (await newVisitor(chromium)).addAuthenticator();
  const { page } = visitor;
  const username = newName();
  await page.goto(server.origin);
  await arrives(page, "/");
  await press(page, text("nav.register"));
  await arrives(page, "/register");
  await tabTo(page, text("register.username"));
  await page.keyboard.type(username);
  await page.keyboard.press("Enter");
  await arrives(page, "/account");

  await press(page, text("nav.keys"));
  await arrives(page, "/account/keys");
  await press(page, text("keys.new-file"));
  await tabTo(page, text("keys.name"));
  await page.keyboard.type("script");
  await page.keyboard.press("Enter");
  await press(page, text("dialog.close"));
  await press(page, text("keys.rename.of", { label: "script" }));
  await tabTo(page, text("keys.name"));
  await page.keyboard.down("Control");
  await page.keyboard.press("a");
  await page.keyboard.up("Control");
  await page.keyboard.type("tool");
  await page.keyboard.press("Enter");
  await sees(page, text("keys.renamed", { label: "tool" }));
  await press(page, text("keys.remove.of", { label: "tool" }));
  await press(page, text("revoke.button"));
  await sees(page, text("revoke.done", { label: "tool" }));

  await press(page, text("nav.activity"));
  await arrives(page, "/account/activity");
  // The authenticator would pick the passkey in the field at once.
  const { authenticatorId = "" } = visitor;
  const presence = (/** @type {boolean} */ enabled) =>
    visitor.cdp.send("WebAuthn.setAutomaticPresenceSimulation", { authenticatorId, enabled });
  await presence(false);
  await press(page, text("nav.sign-out"));
  await arrives(page, "/sign-in");
  await sees(page, text("sign-out.done"));
  await tabTo(page, text("sign-in.button"));
  await presence(true);
  await page.keyboard.press("Enter");
  await arrives(page, "/account");
  await sees(page, text("account.signed-in-as", { username }));
});

test("a dialog keeps the focus, closes by Escape and gives the focus back", async () => {
  const visitor = await (await newVisitor(chromium)).addAuthenticator();
  const { page } = visitor;
  await page.goto(`${server.origin}/register`);
  await tabTo(page, text("register.username"));
  await page.keyboard.type(newName());
  await page.keyboard.press("Enter");
  await arrives(page, "/account");
  await press(page, text("nav.keys"));
  await arrives(page, "/account/keys");
  await press(page, text("keys.new-file"));
  for (let presses = 0; presses < 8; presses++) {
    await page.keyboard.press("Tab");
    const inside = await page.evaluate(
      () =>
        document.activeElement === document.body ||
        document.activeElement?.closest("dialog") !== null,
    );
    assert.ok(inside, "the focus has left the dialog");
  }
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => !document.querySelector("dialog"));
  assert.equal((await focused(page)).name, text("keys.new-file"));
});

test("a mistake moves the focus to where it is explained", async () => {
  const { page } = await newVisitor(chromium);
  await page.goto(`${server.origin}/register`);
  await press(page, text("register.button"));
  await sees(page, text("username.missing"));
  assert.equal((await focused(page)).name, text("register.username"));
});
