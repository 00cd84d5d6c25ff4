// Forms that somebody submits before the page's program answers: by Enter, or by a password manager. A browser that sent
// them itself would write what was typed into the URL, and so into its history and into the logs of proxies.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { after, afterEach, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { arrives, PUBLIC_PAGES, sees, text } from "./support/app.js";
import { browsers } from "./support/browsers.js";
import { startServerBehindProxy } from "./support/proxy.js";

/** @import { Page } from "puppeteer-core" */

/** @type {Awaited<ReturnType<typeof startServerBehindProxy>>} */
let behindProxy;
/** @type {string} */
let origin;
/** @type {Awaited<ReturnType<typeof startServerBehindProxy>>["proxy"]} */
let proxy;
before(async () => {
  behindProxy = await startServerBehindProxy();
  ({ origin, proxy } = behindProxy);
});
afterEach(() => {
  proxy.change = () => undefined;
});
after(() => behindProxy?.stop());

const { chromium, firefox, tabs } = browsers();

/** A page of each engine that puppeteer drives. */
const newPage = {
  Chromium: async () => (await (await chromium()).createBrowserContext()).newPage(),
  Firefox: async () => (await (await firefox()).createBrowserContext()).newPage(),
};

/** For tests that wait for a request: it fails if none comes. */
const PATIENT = { timeout: 120_000 };

/** Not a name that an account can have, so that a page which works says so and sends nothing. */
const TYPED = "not a name";

/** The pages whose shell has a form: its text field, and how to see that the program has taken what was typed once. */
const FORMS = [
  {
    path: "/register",
    label: text("register.username"),
    answers: (/** @type {Page} */ page) => sees(page, text("username.malformed")),
  },
  {
    path: "/sign-in",
    label: text("sign-in.field"),
    answers: async (/** @type {Page} */ page) => {
      const asked = () => /** @type {any} */ (window).asked;
      await page.waitForFunction(asked);
      assert.equal(await page.evaluate(asked), 1, "passkeys are asked for once");
    },
  },
];

// ---- What the files say

const WEB = fileURLToPath(new URL("../../web/", import.meta.url));

/**
 * The files with an ending below a folder of `web`, as pairs of name and text.
 * @param {string} folder
 * @param {string} ending
 */
function filesIn(folder, ending) {
  const names = readdirSync(WEB + folder, { recursive: true }).map(String);
  const wanted = names.filter((name) => name.endsWith(ending));
  return wanted.map((name) => [
    `${folder}/${name}`,
    readFileSync(`${WEB}${folder}/${name}`, "utf8"),
  ]);
}

test("no page has a form, a button or a link by which a browser sends what was typed", () => {
  const shells = ["pages", "parts"].flatMap((folder) => filesIn(folder, ".html"));
  const withForm = shells.filter(([, html = ""]) => html.includes("<form"));
  assert.equal(withForm.length, FORMS.length, "FORMS has every page with a form");
  for (const [name, html = ""] of shells) {
    for (const [tag] of html.matchAll(/<form\b[^>]*>/g)) {
      assert.match(tag, /\smethod="dialog"/, name);
      assert.doesNotMatch(tag, /\saction=/, name);
    }
    // A form in a dialog would close it.
    const sends = /<dialog|\b(formaction|formmethod|form|ping|target|http-equiv)=/;
    assert.doesNotMatch(html, sends, name);
  }
  for (const [name, script = ""] of filesIn("js", ".js")) {
    // `submit()` sends a form without asking the page's program.
    assert.doesNotMatch(script, /\.submit\(|\bform(Action|action|Method|method)\b/, name);
  }
});

// ---- In browsers

/** In the page, before its program: counts how often a passkey is asked for by the button. None is ever found. */
function countRequests() {
  const container = CredentialsContainer.prototype;
  container.get = (/** @type {any} */ options) => {
    const page = /** @type {any} */ (window);
    if (options.mediation !== "conditional") page.asked = (page.asked ?? 0) + 1;
    return new Promise(() => {});
  };
}

/** In the page, before its program: its storage opens only when the test calls `release`. */
function holdStorage() {
  const released = new Promise((release) => Object.assign(window, { release }));
  const open = IDBFactory.prototype.open;
  IDBFactory.prototype.open = function (...args) {
    const request = open.apply(this, args);
    const opened = new Promise((done) => request.addEventListener("success", done));
    const set = (/** @type {() => void} */ then) => opened.then(() => released).then(then);
    Object.defineProperty(request, "onsuccess", { set });
    return request;
  };
}

/**
 * Types into the field of this label as soon as it is shown, and presses Enter.
 * @param {Page} page
 * @param {string} label
 */
async function typesAndPressesEnter(page, label) {
  const isFocused = (/** @type {string} */ name) => {
    const labels = Array.from(document.querySelectorAll("label"));
    const field = labels.find((one) => one.textContent === name)?.control;
    field?.focus();
    return field && field === document.activeElement;
  };
  await page.waitForFunction(isFocused, { polling: 50 }, label);
  await page.evaluate(() => Object.assign(window, { isSamePage: true }));
  await page.keyboard.type(TYPED);
  await page.keyboard.press("Enter");
}

/**
 * The tab shows the document into which was typed, what was typed is there, and nothing of it has left the browser.
 * @param {Page} page
 * @param {string} path
 */
async function staysAt(page, path) {
  const here = await page.evaluate(() => ({
    url: location.href,
    isSamePage: /** @type {any} */ (window).isSamePage,
    typed: document.querySelector("input")?.value,
  }));
  assert.deepEqual(here, { url: origin + path, isSamePage: true, typed: TYPED });
  const asked = proxy.seen.filter((line) => line.startsWith(`GET ${path}`));
  assert.deepEqual(asked, [`GET ${path}`]);
  const spaces = /not(%20|\+| )a(%20|\+| )name/;
  assert.ok(!proxy.received.some((request) => spaces.test(request)), "the name was sent");
}

/** @param {Page} page */
async function openUnanswered(page, /** @type {string} */ path) {
  await page.evaluateOnNewDocument(countRequests);
  proxy.seen.length = 0;
  proxy.received.length = 0;
  return page.goto(origin + path);
}

/**
 * Enter is pressed while the entry script is on its way. The style sheet hides such a form, so it is missing too.
 * @param {() => Promise<Page>} open
 */
async function submitsBeforeTheScript(open) {
  for (const { path, label, answers } of FORMS) {
    const page = await open();
    const { promise: released, release } = withResolver();
    proxy.change = async (url) => {
      if (url.endsWith("/css/app.css")) return "";
      if (url.endsWith(`/js/pages${path}.js`)) await released;
      return undefined;
    };
    const opening = openUnanswered(page, path);
    await typesAndPressesEnter(page, label);
    await staysAt(page, path);
    release();
    await opening;
    await arrives(page, path);
    await staysAt(page, path);
    await page.keyboard.press("Enter");
    await answers(page);
    await staysAt(page, path);
    await page.close();
  }
}

/** A promise, and what keeps it. */
function withResolver() {
  let release = () => {};
  const promise = new Promise((/** @type {(value?: undefined) => void} */ done) => {
    release = done;
  });
  return { promise, release };
}

/**
 * Enter is pressed when the program has shown the form, and still reads its storage. It is remembered.
 * @param {() => Promise<Page>} open
 */
async function submitsBeforeTheAnswer(open) {
  for (const { path, label, answers } of FORMS) {
    const page = await open();
    await page.evaluateOnNewDocument(holdStorage);
    await openUnanswered(page, path);
    await typesAndPressesEnter(page, label);
    await staysAt(page, path);
    const isWaiting = await page.evaluate(() => document.querySelector("main[aria-busy]") !== null);
    assert.ok(isWaiting, "the program has not come to the form");
    await page.evaluate(() => /** @type {any} */ (window).release());
    await answers(page);
    await staysAt(page, path);
    await page.close();
  }
}

for (const [engine, open] of Object.entries(newPage)) {
  test(`${engine}: Enter before the script sends nothing, and what was typed stays`, async () => {
    await submitsBeforeTheScript(open);
  });

  test(`${engine}: Enter before the program answers is remembered, and sends nothing by itself`, async () => {
    await submitsBeforeTheAnswer(open);
  });
}

/** Submits a new form of the method GET in the page. */
function submitNewForm(/** @type {string} */ typed) {
  const form = document.createElement("form");
  const field = Object.assign(document.createElement("input"), { name: "username", value: typed });
  form.append(field);
  document.querySelector("main")?.append(form);
  form.requestSubmit();
}

/** Sends a new form as no program of the pages does, and as none of them can hinder. */
function submitPastPrograms(/** @type {string} */ typed) {
  const form = document.createElement("form");
  const field = Object.assign(document.createElement("input"), { name: "username", value: typed });
  form.append(field);
  document.querySelector("main")?.append(form);
  // After the driver has its answer, which a page that is left would not give.
  setTimeout(() => form.submit());
}

/** Waits until the page's program runs. */
async function started() {
  const isOn = () => document.documentElement.dataset.app === "on";
  for (const deadline = performance.now() + 20_000; !isOn() && performance.now() < deadline; ) {
    await new Promise((later) => setTimeout(later, 20));
  }
}

/** Submits the form that the page has. */
function submitItsForm(/** @type {string} */ typed) {
  const form = /** @type {HTMLFormElement} */ (document.querySelector("form"));
  const field = /** @type {HTMLInputElement} */ (form.querySelector("input"));
  field.value = typed;
  form.requestSubmit();
}

/**
 * Submits one form that must not be sent, and then one that is, past all programs. A browser follows them in this order,
 * so a first form that is sent would reach the server first.
 * @param {import("./support/browsers.js").Tab} tab
 * @param {(typed: string) => void} submit
 */
async function sendsNothing(tab, submit) {
  const { change } = proxy;
  const { promise: isSent, release } = withResolver();
  proxy.seen.length = 0;
  proxy.change = (url, body, type) => {
    if (url.includes("?")) release();
    return change(url, body, type);
  };
  await tab.evaluate(submit, "the-first");
  await tab.evaluate(submitPastPrograms, "the-last");
  await isSent;
  const sent = proxy.seen.filter((line) => line.includes("?"));
  assert.match(sent.join(), /^GET [\w/-]+\?username=the-last$/);
}

for (const [engine, newTab] of Object.entries(tabs)) {
  test(`${engine}: a page's form goes nowhere without its program`, PATIENT, async () => {
    for (const { path } of FORMS) {
      proxy.change = (url) => (url.includes("/js/pages/") ? "" : undefined);
      const tab = await newTab();
      await tab.goto(origin + path);
      await sendsNothing(tab, submitItsForm);
    }
  });

  test(`${engine}: a form that no program answers is not sent`, PATIENT, async () => {
    for (const path of [...PUBLIC_PAGES, "/account/keyring"]) {
      proxy.change = () => undefined;
      const tab = await newTab();
      await tab.goto(origin + path);
      await tab.evaluate(started);
      await sendsNothing(tab, submitNewForm);
    }
  });
}
