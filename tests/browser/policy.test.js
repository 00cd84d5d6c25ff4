// What a page may do, by its headers, in three engines: no markup from texts, no script but the server's own files, and
// those only as they were when the server started.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";

import { ACCOUNT_PAGES, arrives, PUBLIC_PAGES, sees, text } from "./support/app.js";
import { browsers } from "./support/browsers.js";
import { newVisitor } from "./support/chromium.js";
import { does } from "./support/hands.js";
import { startServerBehindProxy } from "./support/proxy.js";
import { WebKit } from "./support/webkit.js";

/** @type {Awaited<ReturnType<typeof startServerBehindProxy>>} */
let behindProxy;
/** @type {string} */
let origin;
/** @type {{ change: import("./support/proxy.js").Change, seen: string[] }} */
let proxy;
before(async () => {
  behindProxy = await startServerBehindProxy();
  ({ origin, proxy } = behindProxy);
});
after(() => behindProxy?.stop());

const { chromium, firefox, webkit } = browsers();

const PAGES = [...PUBLIC_PAGES, ...ACCOUNT_PAGES];

/**
 * The policy of an answer: its directives by name.
 * @param {Response} response
 */
function policyOf(response) {
  const text = response.headers.get("content-security-policy") ?? "";
  const directives = text.split(";").map((directive) => directive.trim().split(" "));
  return Object.fromEntries(directives.map(([name, ...values]) => [name, values.join(" ")]));
}

/** The files of the app that a page names, and those that they import, as paths. */
async function everyFile() {
  const found = new Set(/** @type {string[]} */ ([]));
  for (const page of PAGES) {
    const html = await (await fetch(origin + page)).text();
    for (const [, path = ""] of html.matchAll(/(?:src|href)="(\/web\/[^"]+)"/g)) found.add(path);
  }
  return [...found];
}

/** The hash of the one inline element of a page: the import map with the hashes of all modules. */
function importMapHash(/** @type {string} */ html) {
  const inline = [...html.matchAll(/<script(?![^>]*\bsrc=)[^>]*>([^<]*)<\/script>/g)];
  assert.equal(inline.length, 1);
  return createHash("sha256")
    .update(inline[0]?.[1] ?? "")
    .digest("base64");
}

test("every page has the whole policy, and none of its parts is unsafe", async () => {
  for (const page of PAGES) {
    const response = await fetch(origin + page);
    assert.equal(response.status, 200, page);
    assert.deepEqual(
      policyOf(response),
      {
        "default-src": "'none'",
        "script-src": `'self' 'sha256-${importMapHash(await response.text())}'`,
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "worker-src": "'self'",
        "manifest-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "countersign",
      },
      page,
    );
    const header = (/** @type {string} */ name) => response.headers.get(name);
    assert.equal(header("integrity-policy"), "blocked-destinations=(script)", page);
    assert.equal(header("cross-origin-opener-policy"), "same-origin", page);
    assert.equal(header("cross-origin-resource-policy"), "same-origin", page);
    assert.equal(header("cache-control"), "no-cache", page);
    const allowed = [...(header("permissions-policy") ?? "").matchAll(/([\w-]+)=\(self\)/g)];
    const features = allowed.map(([, feature]) => feature).sort();
    assert.deepEqual(features, ["publickey-credentials-create", "publickey-credentials-get"], page);
    assert.equal(header("set-cookie"), null, page);
  }
});

test("only the workers' own files may compile WebAssembly", async () => {
  const files = await everyFile();
  assert.ok(files.length > 10, "the pages name their files");
  const root = /** @type {RegExpExecArray} */ (/^\/web\/[^/]+\//.exec(files[0] ?? ""))[0];
  const workers = (await import("node:fs")).readdirSync(
    new URL("../../web/workers", import.meta.url),
  );
  const scripts = workers.filter((name) => name.endsWith(".js"));
  assert.ok(scripts.length > 0);
  for (const name of scripts) {
    const response = await fetch(`${origin}${root}workers/${name}`);
    assert.equal(policyOf(response)["script-src"], "'self' 'wasm-unsafe-eval'", name);
  }
  const others = files.filter((file) => !file.startsWith(`${root}workers/`));
  for (const file of [...others, ...PAGES, "/v1/keys", "/.well-known/oauth-authorization-server"]) {
    const response = await fetch(origin + file);
    assert.doesNotMatch(response.headers.get("content-security-policy") ?? "", /unsafe/, file);
  }
});

/** What injected script tries, and what comes of it. In a task of its own, where no debugger's licence reaches. */
function attempts() {
  /** @type {any} */
  const page = globalThis;
  /** @type {Record<string, () => unknown>} */
  const tried = {
    innerHTML: () => (document.createElement("p").innerHTML = "<b>b</b>"),
    outerHTML: () => (document.body.appendChild(document.createElement("p")).outerHTML = "<b></b>"),
    insertAdjacentHTML: () => document.body.insertAdjacentHTML("beforeend", "<b>b</b>"),
    "document.write": () => document.write("<b>b</b>"),
    DOMParser: () => new DOMParser().parseFromString("<b>b</b>", "text/html"),
    srcdoc: () => (document.createElement("iframe").srcdoc = "<b>b</b>"),
    "text of a script": () => (document.createElement("script").text = "0"),
    "URL of a script": () => (document.createElement("script").src = "/x.js"),
    Worker: () => new Worker("/web/x.js"),
    eval: () => page.eval("1"),
    Function: () => new Function("return 1")(),
    "a second policy": () => page.trustedTypes.createPolicy("another", {}),
    "the policy again": () => page.trustedTypes.createPolicy("countersign", {}),
  };
  return new Promise((done) => {
    setTimeout(() => {
      const outcomes = Object.entries(tried).map(([name, work]) => {
        try {
          work();
          return [name, "allowed"];
        } catch {
          return [name, "blocked"];
        }
      });
      done(Object.fromEntries(outcomes));
    });
  });
}

const ALL_BLOCKED = Object.fromEntries(
  [
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "DOMParser",
    "srcdoc",
    "text of a script",
    "URL of a script",
    "Worker",
    "eval",
    "Function",
    "a second policy",
    "the policy again",
  ].map((name) => [name, "blocked"]),
);

test("in Chromium no page makes markup or script of a text", async () => {
  const { page } = await newVisitor(await chromium());
  for (const path of PUBLIC_PAGES) {
    await page.goto(origin + path);
    await arrives(page, path);
    assert.deepEqual(await page.evaluate(attempts), ALL_BLOCKED, path);
  }
});

/** An inline script and an event handler, as an attacker would have them in a page. */
const INJECTED = `<script>window.injected = 1</script><img src="x:" onerror="window.injected = 1"><p id="end"></p></body>`;

test("in Chromium inline script does not run", async (t) => {
  t.after(() => (proxy.change = () => undefined));
  const visitor = await newVisitor(await chromium());
  proxy.change = (_, body, type) =>
    type.startsWith("text/html") ? body.toString().replace("</body>", INJECTED) : undefined;
  await visitor.page.goto(`${origin}/`);
  await visitor.page.waitForSelector("#end");
  await arrives(visitor.page, "/");
  const injected = await visitor.page.evaluate(() => /** @type {any} */ (window).injected);
  assert.equal(injected, undefined);
  assert.match(visitor.complaints.join("\n"), /inline script/);
});

/** The kinds of modules that a page has, each by a path in which it occurs. */
const MODULES = { entry: "/js/pages/", library: "/js/lib/jose.js", language: "/lang/en.js" };

/** Changes nothing that a program would notice: a comment at the end. */
const tampered = (/** @type {Buffer} */ body) => Buffer.concat([body, Buffer.from("\n//")]);

/**
 * Opens a page once for each kind of module, tampered with on the way, each time with an empty cache. It must not run,
 * and must say so. As it was served, it does run.
 * @param {import("puppeteer-core").Browser} browser
 */
async function opensTampered(browser) {
  const pages = [];
  for (const path of Object.values(MODULES)) {
    proxy.change = (url, body) => (url.includes(path) ? tampered(body) : undefined);
    const page = await (await browser.createBrowserContext()).newPage();
    await page.goto(`${origin}/register`);
    pages.push(page);
  }
  for (const page of pages) {
    await sees(page, text("start.old-browser"));
    assert.equal(await page.evaluate(() => document.documentElement.dataset.app), undefined);
  }
  proxy.change = () => undefined;
  const page = await (await browser.createBrowserContext()).newPage();
  await page.goto(`${origin}/register`);
  await arrives(page, "/register");
}

test("in Chromium a page does not run when one of its modules was tampered with", async () => {
  await opensTampered(await chromium());
});

test("in Firefox a page does not run when one of its modules was tampered with", async () => {
  await opensTampered(await firefox());
});

test("in Firefox no page makes markup or script of a text", async () => {
  const page = await (await firefox()).newPage();
  await page.goto(`${origin}/register`);
  await arrives(page, "/register");
  assert.deepEqual(await page.evaluate(attempts), ALL_BLOCKED);
});

test("in WebKit no page makes markup or script of a text", async () => {
  const driver = await webkit();
  await driver.goto(`${origin}/register`);
  await driver.waitFor(() => document.documentElement.dataset.app === "on");
  assert.deepEqual(await driver.evaluate(attempts), ALL_BLOCKED);
});

test("in WebKit a page does not run when one of its modules was tampered with", async (t) => {
  t.after(() => (proxy.change = () => undefined));
  const opened = [];
  for (const path of Object.values(MODULES)) {
    proxy.change = (url, body) => (url.includes(path) ? tampered(body) : undefined);
    const webkit = await WebKit.start();
    t.after(() => webkit.stop());
    await webkit.goto(`${origin}/register`);
    opened.push(webkit);
  }
  const says = (/** @type {string} */ words) => document.body.innerText.includes(words);
  for (const webkit of opened) {
    await webkit.waitFor(says, text("start.old-browser"));
    assert.equal(await webkit.evaluate(() => document.documentElement.dataset.app ?? null), null);
  }
});

// ---- Workers

/** @import { Step, Tab } from "./support/hands.js" */

/** @type {Step[]} */
const OPENS_ONLINE = [
  ["type", "Username", "nobody"],
  ["type", "Password of the online keyring", "correct horse"],
  ["press", "Open the online keyring"],
];
/** @type {Step[]} */
const MAKES_FILE = [
  ["press", text("keyring.create.title")],
  ["type", "New passphrase", "correct horse"],
  ["type", "The same again", "correct horse"],
  ["press", text("keyring.create")],
];

/** What only a worker loads, each with what a person does when the worker starts. @type {[string, Step[]][]} */
const OF_WORKERS = [
  ["/workers/online-keyring-worker.js", OPENS_ONLINE],
  ["/js/lib/keyring/online/opaque.js", OPENS_ONLINE],
  ["/serenity-kit-opaque-1.1.0/esm/index.js", OPENS_ONLINE],
  ["/workers/keyring-worker.js", MAKES_FILE],
  ["/argon2id-1.0.1/dist/simd.wasm", MAKES_FILE],
];

/** What somebody on the way would add to a file of a worker. */
const THIEF = `
addEventListener("message", ({ data }) => fetch("/stolen?" + JSON.stringify(data.argument)));`;

/**
 * Opens and makes keyrings, with one file of the worker tampered with each time and an empty cache. The worker does not
 * start, and the page says why. With the files as they were served, it starts.
 * @param {() => Promise<Tab & { goto: (url: string) => Promise<unknown> }>} newTab
 */
async function startsTampered(newTab, tried = OF_WORKERS) {
  for (const [path, steps] of tried) {
    proxy.seen.length = 0;
    proxy.change = (url, body) =>
      url.endsWith(path) ? Buffer.concat([body, Buffer.from(THIEF)]) : undefined;
    const tab = await newTab();
    await tab.goto(`${origin}/account/keyring`);
    await does(tab, ...steps, ["problem", text("keyring.error.worker-changed")]);
    assert.ok(
      proxy.seen.some((line) => line.endsWith(path)),
      path,
    );
    const sent = proxy.seen.filter((line) => /stolen|POST/.test(line));
    assert.deepEqual(sent, [], `${path}: the password went somewhere`);
  }
  proxy.change = () => undefined;
  const tab = await newTab();
  await tab.goto(`${origin}/account/keyring`);
  await does(tab, ...OPENS_ONLINE, ["problem", text("keyring.error.password-wrong")]);
}

test("in Chromium a worker does not start when one of its files was tampered with", async (t) => {
  t.after(() => (proxy.change = () => undefined));
  const browser = await chromium();
  await startsTampered(async () => (await browser.createBrowserContext()).newPage());
});

test("in Firefox a worker does not start when one of its files was tampered with", async (t) => {
  t.after(() => (proxy.change = () => undefined));
  const browser = await firefox();
  await startsTampered(async () => (await browser.createBrowserContext()).newPage());
});

test("in WebKit a worker does not start when one of its files was tampered with", async (t) => {
  t.after(() => (proxy.change = () => undefined));
  const newTab = async () => {
    const webkit = await WebKit.start();
    t.after(() => webkit.stop());
    const evaluate = webkit.evaluate.bind(webkit);
    // The driver may lose the first script after a page, and says so by a timeout.
    const goto = async (/** @type {string} */ url) => {
      await webkit.goto(url);
      await evaluate(() => true).catch(() => webkit.goto(url));
    };
    return { evaluate, goto };
  };
  await startsTampered(newTab, OF_WORKERS.slice(0, 2));
});

test("a worker loads nothing but what its page has named with hashes, and gets it from the cache", async (t) => {
  t.after(() => (proxy.change = () => undefined));
  proxy.seen.length = 0;
  const { page } = await newVisitor(await chromium());
  await page.goto(`${origin}/account/keyring`);
  await does(page, ...OPENS_ONLINE, ["problem", text("keyring.error.password-wrong")]);
  await does(page, ...MAKES_FILE, ["sees", text("keyring.unsaved")]);
  const html = await (await fetch(`${origin}/account/keyring`)).text();
  const named = new Set(
    Array.from(html.matchAll(/(?:href|src)="(\/web\/[^"]+)"/g), ([, path]) => path),
  );
  const loaded = proxy.seen
    .filter((line) => line.startsWith("GET /web/"))
    .map((line) => line.slice("GET ".length));
  assert.ok(loaded.some((path) => path.endsWith("/esm/index.js")));
  assert.ok(loaded.some((path) => path.endsWith(".wasm")));
  assert.deepEqual(
    loaded.filter((path) => !named.has(path)),
    [],
  );
  const twice = loaded.filter((path, index) => loaded.indexOf(path) !== index);
  assert.deepEqual(twice, [], "asked for again");
});
