// The web app as a person uses it: what is seen and named on a page, never an element's id.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";

import { PATIENCE } from "./chromium.js";

/** @import { Page } from "puppeteer-core" */
/** @import { Visitor } from "./chromium.js" */

/**
 * All texts of the app in a language, whichever file they are in.
 * @param {string} tag
 * @returns {Promise<Record<string, string>>}
 */
export async function textsIn(tag) {
  const folder = new URL("../../../web/lang/", import.meta.url);
  const parts = readdirSync(new URL(`${tag}/`, folder)).map((name) => `${tag}/${name}`);
  const files = [`${tag}.js`, ...parts].map((name) => import(new URL(name, folder).href));
  return Object.assign({}, ...(await Promise.all(files)).map((file) => file.default));
}

/** The texts of the app in English. */
export const english = await textsIn("en");

/** Every page, by its path; the first three need no account. */
export const PUBLIC_PAGES = ["/", "/sign-in", "/register"];
export const ACCOUNT_PAGES = [
  "/account",
  "/account/keys",
  "/account/activity",
  "/account/keyring",
  "/account/passwordless",
];

/**
 * The English text of a key.
 * @param {string} key
 * @param {Record<string, string>} [values]
 */
export function text(key, values = {}) {
  assert.ok(english[key], `web/lang/en has no ${key}`);
  return english[key].replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Tabs that are behind another one draw nothing, so nothing waits for what is drawn. */
const WAIT = { timeout: PATIENCE, polling: 50 };

let names = 0;
/** A name that no account has. */
export const newName = () => `person-${process.pid}-${++names}`;

/**
 * The element with this role and name, as assistive technology finds it.
 * @param {Page} page
 * @param {string} role
 * @param {string} name
 */
export async function find(page, role, name) {
  const quoted = name.replace(/["\\]/g, "\\$&");
  const found = await page.waitForSelector(`::-p-aria([role="${role}"][name="${quoted}"])`);
  return /** @type {import("puppeteer-core").ElementHandle<HTMLElement>} */ (found);
}

/**
 * @param {Page} page
 * @param {string} name
 * @param {string} [role]
 */
export async function click(page, name, role = "button") {
  await (await find(page, role, name)).click();
}

/**
 * @param {Page} page
 * @param {string} label
 * @param {string} value
 */
export async function fillIn(page, label, value) {
  const field = await find(page, "textbox", label);
  await field.click({ count: 3 });
  await field.type(value);
}

/**
 * Waits until the page shows a text; says what it shows instead when it does not.
 * @param {Page} page
 * @param {string} wanted
 */
export async function sees(page, wanted) {
  const there = (/** @type {string} */ words) =>
    document.body?.innerText.replace(/\s+/g, " ").includes(words);
  await page.waitForFunction(there, WAIT, wanted.replace(/\s+/g, " ")).catch(async () => {
    const shown = await page.evaluate(() => document.body?.innerText);
    throw new Error(`the page does not show "${wanted}" but:\n${shown}`);
  });
}

/**
 * Waits until the tab is at a path and its program has run.
 * @param {Page} page
 * @param {string} path
 */
export async function arrives(page, path) {
  const arrived = (/** @type {string} */ wanted) =>
    location.pathname === wanted &&
    document.readyState === "complete" &&
    document.documentElement.dataset.app === "on" &&
    !document.querySelector("main[aria-busy], button[aria-busy]");
  await page.waitForFunction(arrived, WAIT, path).catch(async () => {
    const shown = await page.evaluate(() => document.body?.innerText);
    throw new Error(`not at ${path} but at ${page.url()}, which shows:\n${shown}`);
  });
}

/**
 * Makes an account with a passkey: a name, a button, a touch.
 * @param {Visitor} visitor that has an authenticator
 * @param {string} origin
 * @param {string} [username]
 * @param {typeof text} [t] texts in another language
 */
export async function register({ page }, origin, username = newName(), t = text) {
  await page.goto(`${origin}/register`);
  await fillIn(page, t("register.username"), username);
  await click(page, t("register.button"));
  await arrives(page, "/account");
  return username;
}

/**
 * Signs in with the passkey of the visitor's authenticator, by the field or the button.
 * @param {Visitor} visitor
 * @param {string} origin
 */
export async function signInByPasskey({ page }, origin) {
  await page.goto(`${origin}/sign-in`);
  await arrives(page, "/account").catch(async () => {
    await click(page, text("sign-in.button"));
    await arrives(page, "/account");
  });
}

/** What the browser keeps of the app, the key left out: JSON that a thief could carry away. */
export async function storedJson(/** @type {Page} */ page) {
  return page.evaluate(async () => {
    const opened = indexedDB.open("countersign");
    await new Promise((done) => Object.assign(opened, { onsuccess: done }));
    const store = opened.result.transaction("session").objectStore("session");
    const [keys, values] = [store.getAllKeys(), store.getAll()];
    await new Promise((done) => Object.assign(values, { onsuccess: done }));
    opened.result.close();
    return Object.fromEntries(keys.result.map((key, index) => [String(key), values.result[index]]));
  });
}

/**
 * A request to the API by the program of the page itself, as the person who is signed in.
 * @param {Page} page
 * @param {string} method
 * @param {string} path
 * @param {unknown} [json]
 * @returns {Promise<{ ok: boolean, answer?: any, kind?: string, lack?: string, status?: number }>}
 */
export async function callFromPage(page, method, path, json) {
  return page.evaluate(
    async (api, ...request) => {
      const { call, asProblem, currentSession } = await import(api);
      try {
        const [verb, where, body] = request;
        const account = (await currentSession())?.session.account;
        return { ok: true, answer: await call(account, verb, where, { json: body }) };
      } catch (error) {
        const { kind, lack, status } = asProblem(error);
        return { ok: false, kind, lack, status };
      }
    },
    await moduleUrl(page, "js/lib/api.js"),
    method,
    path,
    json,
  );
}

/**
 * Where a module of the app is served, by what the page has loaded.
 * @param {Page} page
 * @param {string} name
 */
export async function moduleUrl(page, name) {
  const root = await page.evaluate(
    () => /\/web\/[^/]+\//.exec(document.head.innerHTML)?.[0] ?? "no /web/HASH/ in the head",
  );
  return root + name;
}
