// What a page may do, by its headers, in three engines: no markup from texts, no script but the server's own files, and
// those only as they were when the server started.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";

import { ACCOUNT_PAGES, arrives, PUBLIC_PAGES, sees, text } from "./support/app.js";
import { newVisitor, startChromium } from "./support/chromium.js";
import { startFirefox } from "./support/firefox.js";
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
  for (const file of [...files, ...PAGES, "/v1/keys", "/.well-known/oauth-authorization-server"]) {
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

test("in Chromium no page makes markup or script of a text", async (t) => {
  const chromium = await startChromium();
  t.after(() => chromium.close());
  const { page } = await newVisitor(chromium);
  for (const path of PUBLIC_PAGES) {
    await page.goto(origin + path);
    await arrives(page, path);
    assert.deepEqual(await page.evaluate(attempts), ALL_BLOCKED, path);
  }
});

/** An inline script and an event handler, as an attacker would have them in a page. */
const INJECTED = `<script>window.injected = 1</script><img src="x:" onerror="window.injected = 1"><p id="end"></p></body>`;

test("in Chromium inline script does not run", async (t) => {
  const chromium = await startChromium();
  t.after(() => chromium.close());
  t.after(() => (proxy.change = () => undefined));
  const visitor = await newVisitor(chromium);
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

test("in Chromium a page does not run when one of its modules was tampered with", async (t) => {
  const chromium = await startChromium();
  t.after(() => chromium.close());
  await opensTampered(chromium);
});

test("in Firefox a page does not run when one of its modules was tampered with", async (t) => {
  const firefox = await startFirefox();
  t.after(() => firefox.close());
  await opensTampered(firefox);
});

test("in Firefox no page makes markup or script of a text", async (t) => {
  const firefox = await startFirefox();
  t.after(() => firefox.close());
  const page = await firefox.newPage();
  await page.goto(`${origin}/register`);
  await arrives(page, "/register");
  assert.deepEqual(await page.evaluate(attempts), ALL_BLOCKED);
});

test("in WebKit no page makes markup or script of a text", async (t) => {
  const webkit = await WebKit.start();
  t.after(() => webkit.stop());
  await webkit.goto(`${origin}/register`);
  await webkit.waitFor(() => document.documentElement.dataset.app === "on");
  assert.deepEqual(await webkit.evaluate(attempts), ALL_BLOCKED);
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
