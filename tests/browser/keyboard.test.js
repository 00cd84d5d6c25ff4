// The whole way through the app by keyboard alone: nothing here ever uses a pointer, and the focus is always to be seen.
import assert from "node:assert/strict";
import { test } from "node:test";

import { arrives, newName, sees, text } from "./support/app.js";
import { newVisitor } from "./support/chromium.js";
import { chromium, server } from "./support/house.js";

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

/**
 * Waits until the dialog is closed and the button that opened it has done its work, which may show the page anew. Only then
 * does the focus stay where it is.
 * @param {import("puppeteer-core").Page} page
 * @param {string} name of what must have the focus then
 */
async function focusIsBack(page, name) {
  await page.waitForFunction(() => !document.querySelector("dialog, button[aria-busy]"));
  assert.equal((await focused(page)).name, name, "the focus is where it was");
}

/** @param {import("puppeteer-core").Page} page of somebody who has an authenticator */
async function register(page) {
  const username = newName();
  await page.goto(`${server.origin}/register`);
  await tabTo(page, text("register.username"));
  await page.keyboard.type(username);
  await page.keyboard.press("Enter");
  await arrives(page, "/account");
  return username;
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
  await press(page, text("keys.file.save"));
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
  await register(page);
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
  await focusIsBack(page, text("keys.new-file"));
});

test("a dialog that has a field to fill in has the focus there, and another one at its heading", async () => {
  const visitor = await (await newVisitor(chromium)).addAuthenticator();
  const { page } = visitor;
  await register(page);
  const is = async (/** @type {string} */ name) => {
    await page.waitForSelector("dialog[open]");
    assert.equal((await focused(page)).name, name);
  };
  const closes = async () => {
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => !document.querySelector("dialog"));
  };
  const opens = async (/** @type {string} */ name, /** @type {string} */ field) => {
    await press(page, name);
    await is(field);
    await closes();
  };
  await press(page, text("nav.keys"));
  await arrives(page, "/account/keys");
  await opens(text("keys.paste"), text("keys.proof"));
  await press(page, text("keys.new-file"));
  await is(text("keys.name"));
  await page.keyboard.type("script");
  await page.keyboard.press("Enter");
  await press(page, text("keys.file.save"));
  await press(page, text("dialog.close"));

  // What is typed takes the place of the name.
  await press(page, text("keys.rename.of", { label: "script" }));
  await is(text("keys.name"));
  await page.keyboard.type("tool");
  await page.keyboard.press("Enter");
  await sees(page, text("keys.renamed", { label: "tool" }));
  await press(page, text("keys.remove.of", { label: "tool" }));
  await is(text("revoke.title", { label: "tool" }));
  const said = await page.$eval("dialog", (dialog) =>
    (dialog.getAttribute("aria-describedby") ?? "")
      .split(" ")
      .map((id) => document.getElementById(id)?.textContent)
      .join(" "),
  );
  assert.ok(said.includes(text("revoke.for-good")), "the sentences are read out with the heading");
  await closes();

  await press(page, text("nav.keyring"));
  await arrives(page, "/account/keyring");
  await tabTo(page, text("keyring.field.online-new-password"));
  await page.keyboard.type("correct horse");
  await tabTo(page, text("keyring.field.online-again"));
  await page.keyboard.type("correct horse");
  await page.keyboard.press("Enter");
  await page.waitForSelector("dialog[open]");
  await is(text("online.code"));
  await tabTo(page, text("online.code.saved"));
  await page.keyboard.press("Space");
  await press(page, text("online.code.store"));
  await sees(page, text("online.made"));
  await opens(text("keyring.add"), text("keyring.field.entry-name"));
  await opens(text("online.copy-from"), text("keyring.field.file"));
  await opens(text("online.copy-to"), text("keyring.field.new-passphrase"));
  await opens(text("online.password"), text("keyring.field.online-new-password"));
  await opens(text("online.delete"), text("online.delete"));
});

test("a mistake moves the focus to where it is explained", async () => {
  const { page } = await newVisitor(chromium);
  await page.goto(`${server.origin}/register`);
  await press(page, text("register.button"));
  await sees(page, text("username.missing"));
  assert.equal((await focused(page)).name, text("register.username"));
});

test("the online keyring by keyboard: make, add an entry, save, close, open", async () => {
  const visitor = await (await newVisitor(chromium)).addAuthenticator();
  const { page } = visitor;
  const password = "correct horse battery";
  const username = await register(page);
  await press(page, text("nav.keyring"));
  await arrives(page, "/account/keyring");
  await tabTo(page, text("keyring.field.online-new-password"));
  await page.keyboard.type(password);
  await tabTo(page, text("keyring.field.online-again"));
  await page.keyboard.type(password);
  await page.keyboard.press("Enter");
  await sees(page, text("online.code"));
  await tabTo(page, text("online.code.saved"));
  await page.keyboard.press("Space");
  await press(page, text("online.code.store"));
  await sees(page, text("online.made"));

  await press(page, text("keyring.add"));
  await tabTo(page, text("keyring.field.entry-name"));
  await page.keyboard.type("tool");
  await tabTo(page, text("keyring.add.generate"));
  await tabTo(page, text("keyring.field.key-type"));
  await page.keyboard.press("ArrowDown");
  await press(page, text("keyring.add.button"));
  await sees(page, text("keyring.added"));
  await focusIsBack(page, text("keyring.add"));
  await press(page, text("keyring.save"));
  await sees(page, text("online.saved"));
  await press(page, text("keyring.close"));
  await sees(page, text("online.title"));

  await tabTo(page, text("keyring.field.online-password"));
  await page.keyboard.type(password);
  await page.keyboard.press("Enter");
  await sees(page, text("keyring.opened"));
  await sees(page, text("keyring.account", { username: "tool", url: server.origin }));
  await press(page, text("keyring.rename.of", { name: "tool" }));
  await page.keyboard.press("Escape");
  await focusIsBack(page, text("keyring.rename.of", { name: "tool" }));
  await sees(page, text("online.of", { username }));
});
