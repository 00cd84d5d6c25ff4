// The online keyring: made, opened, changed and lost, in each engine, and against the command line. The requests that
// the browser sends have neither the password nor the content key in them.
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { readDocument, unwrap } from "../../web/js/lib/keyring/online/document.js";
import {
  arrives,
  callFromPage,
  click,
  fillIn,
  moduleUrl,
  newName,
  register,
  sees,
  text,
} from "./support/app.js";
import { newVisitor, PATIENCE, Visitor } from "./support/chromium.js";
import { Client } from "./support/dpop.js";
import { startFirefox } from "./support/firefox.js";
import { does, downloaded } from "./support/hands.js";
import { chromium, server } from "./support/house.js";
import { startServerBehindProxy } from "./support/proxy.js";
import { record } from "./support/recorder.js";
import { startServer } from "./support/server.js";
import { WebKit } from "./support/webkit.js";

/** @import { Step, Tab } from "./support/hands.js" */

// The library in it has no types.
const opaque = new URL("../../web/js/lib/keyring/online/opaque.js", import.meta.url);
const { startLogin } = await import(opaque.href);

const PASSWORD = "correct horse é";
/** Of keyring files. */
const PASSPHRASE = "passphrase of a file";
const PAGE = "/account/keyring";

/** Somebody with an account and a passkey, on the page. */
async function member(/** @type {{ origin: string }} */ { origin } = server) {
  const visitor = await (await newVisitor(chromium)).addAuthenticator();
  const username = await register(visitor, origin, newName());
  await visitor.page.goto(origin + PAGE);
  return { visitor, username, page: visitor.page };
}

/** Makes a keyring; gives back the recovery code. */
async function make(/** @type {Tab} */ tab, password = PASSWORD) {
  await does(
    tab,
    ["type", "New password", password],
    ["type", "The same password again", password],
    ["press", "Make the online keyring"],
    ["sees", "Your recovery code"],
  );
  return storeWithCode(tab);
}

/** Reads the recovery code and says that it is in a safe place. */
async function storeWithCode(/** @type {Tab} */ tab) {
  const code = await tab.evaluate(() => document.querySelector("[data-code]")?.textContent);
  await does(tab, ["choose", "I have the code"], ["press", "Store the keyring"], ["closed"]);
  return code;
}

/** @param {string} password @param {string} [username] where nobody is signed in @returns {Step[]} */
const opens = (password, username) => [
  .../** @type {Step[]} */ (username ? [["type", "Username", username]] : []),
  ["type", "Password of the online keyring", password],
  ["press", "Open the online keyring"],
];

/** @param {string} name @returns {Step[]} */
const adds = (name) => [
  ["press", "Add an entry"],
  ["type", "Name in the keyring", name],
  ["choose", "EC P-256"],
  ["press", "Add"],
  ["closed"],
];

/** @type {Step[]} */
const SAVES = [
  ["press", "Save"],
  ["status", "The online keyring is saved"],
];

test("it is made, opened again by its password, changed and saved", async () => {
  const { visitor, page } = await member();
  const code = await make(page);
  assert.match(code ?? "", /^([0-9A-HJKMNP-TV-Z]{4}-){7}[0-9A-HJKMNP-TV-Z]{4}$/);
  await does(page, ["status", "The online keyring is made"], ["sees", "0 entries"]);
  assert.ok(!(await page.content()).includes(String(code)), "the code is not on the page any more");
  await does(page, ...adds("first"), ["sees", "Not saved yet"], ...SAVES);
  await page.reload();
  await does(page, ...opens(PASSWORD), ["status", "The keyring is open"], ["sees", "1 entry"]);
  await does(
    page,
    ["press", "Rename “first”"],
    ["type", "Name in the keyring", "renamed"],
    ["press", "Rename"],
    ["closed"],
    ...SAVES,
    ["press", "Close"],
    ...opens(PASSWORD),
    ["sees", "renamed"],
  );
  // That there is none yet is no complaint.
  const complaints = visitor.complaints.filter((text) => !text.includes("status of 404"));
  assert.deepEqual(complaints, []);
  await visitor.close();
});

/**
 * What the browser must not send: the secret that the password gives, and the content key that it opens. Another client
 * gets both from the server, by the password.
 */
async function keysOf(/** @type {string} */ origin, /** @type {string} */ username) {
  const client = new Client(origin);
  const post = async (/** @type {string} */ path, /** @type {object} */ json) =>
    (await client.send("POST", path, { json })).body;
  const login = await startLogin(PASSWORD);
  const claim = { username, kind: "password", request: login.request };
  const { state, response } = await post("/v1/keyring/open", claim);
  const { finalization, secret } =
    login.finish(response, origin) ?? assert.fail("not the password");
  const { document } = await post("/v1/keyring/open/finish", { state, finalization });
  const slot = readDocument(document).slots.find(({ kind }) => kind === "password");
  return [secret, await unwrap(slot ?? assert.fail(), secret)];
}

test("what the browser sends has neither password nor content key in it", async (t) => {
  const behind = await startServerBehindProxy();
  t.after(() => behind.stop());
  const { visitor, username, page } = await member(behind);
  const code = String(await make(page));
  await does(page, ...adds("a-telling-name"), ...SAVES, ["press", "Close"]);
  await does(page, ...opens(PASSWORD), ["sees", "a-telling-name"]);
  const plain = behind.proxy.received.join("\n");
  for (const path of ["open/finish", "content"]) assert.ok(plain.includes(`/v1/keyring/${path}`));
  // Texts in base64url, such as proofs and what is wrapped, are looked into as well.
  const decoded = (plain.match(/[\w-]{16,}/g) ?? []).map((part) => Buffer.from(part, "base64url"));
  const all = plain + Buffer.concat(decoded).toString("latin1");
  const texts = [PASSWORD, "horse", code, code.replaceAll("-", ""), "a-telling-name"];
  const digests = ["sha1", "sha256", "sha512"].map((algorithm) =>
    createHash(algorithm).update(PASSWORD).digest(),
  );
  const keys = await keysOf(behind.origin, username);
  const secrets = [...texts.map((text) => Buffer.from(text)), ...digests, ...keys];
  for (const secret of secrets) {
    for (const form of /** @type {const} */ (["latin1", "base64url", "base64", "hex"])) {
      const spelled = Buffer.from(secret).toString(form).replace(/=+$/, "");
      assert.ok(!all.includes(spelled), `${spelled} (${form})`);
    }
  }
  assert.ok(all.includes(username), "it was heard");
  await visitor.close();
});

test("a wrong password has its sentence, and the sixth try has to wait", async (t) => {
  // Of ten, five are left just after the start.
  const settings = { COUNTERSIGN_RATE_LIMITS: "on", COUNTERSIGN_RATE_LIMITS_KEYRING_TRIES: "10" };
  const counting = await startServer({ settings });
  t.after(() => counting.stop());
  const { visitor, page } = await member(counting);
  await make(page);
  await does(page, ["press", "Close"]);
  for (let attempt = 0; attempt < 5; attempt += 1) {
    await does(page, ...opens(`wrong password ${attempt}`), ["problem", "The password is wrong"]);
  }
  await does(page, ...opens(PASSWORD), ["problem", text("problem.rate-limited")]);
  await does(page, ["problem", "Try again in "], ["problem", " minutes."]);
  await visitor.close();
});

test("the recovery code opens it, by any spelling, and the password is changed", async () => {
  const { visitor, page } = await member();
  const code = String(await make(page));
  await does(page, ...adds("kept"), ...SAVES, ["press", "Close"]);
  const typed = code.toLowerCase().replaceAll("-", " ").replaceAll("0", "o").replaceAll("1", "l");
  await does(
    page,
    ["press", "I have forgotten the password"],
    ["type", "Recovery code", typed.slice(1)],
    ["press", "Open with the code"],
    ["problem", "A recovery code has 32 letters and digits"],
    ["type", "Recovery code", typed],
    ["press", "Open with the code"],
    ["sees", "kept"],
    ["press", "Change password and code"],
    ["type", "New password", "short"],
    ["type", "The same password again", "short"],
    ["press", "Go on"],
    ["problem", "fewer than 8 bytes"],
    ["type", "New password", "another password"],
    ["type", "The same password again", "another password"],
    ["press", "Go on"],
    ["sees", "Your recovery code"],
  );
  const next = await storeWithCode(page);
  assert.notEqual(next, code);
  await does(
    page,
    ["status", "has a new password"],
    ["press", "Close"],
    ...opens(PASSWORD),
    ["problem", "The password is wrong"],
    ["press", "I have forgotten the password"],
    ["type", "Recovery code", code],
    ["press", "Open with the code"],
    ["problem", "This is not the recovery code"],
    ...opens("another password"),
    ["sees", "kept"],
  );
  await visitor.close();
});

test("a passkey opens it without the password", async () => {
  const { visitor, page } = await member();
  await make(page);
  const requests = record(page);
  await does(
    page,
    ...adds("kept"),
    ["press", "Open with a passkey too"],
    ["press", "Use a passkey"],
    ["status", "The passkey opens the online keyring"],
    ["sees", "Remove this passkey"],
  );
  await page.reload();
  await does(
    page,
    ["press", "Open with a passkey"],
    ["status", "The keyring is open"],
    ["sees", "kept"],
  );
  // What the passkey derived has not left the browser.
  for (const { headers } of requests) {
    const word = headers["passkey-assertion"];
    if (!word) continue;
    const { clientExtensionResults } = JSON.parse(Buffer.from(word, "base64url").toString());
    assert.deepEqual(clientExtensionResults, {});
  }
  // Without it nothing is left but to encrypt anew.
  await does(
    page,
    ["press", "Remove this passkey"],
    ["sees", "must be encrypted anew"],
    ["type", "New password", PASSWORD],
    ["type", "The same password again", PASSWORD],
    ["press", "Go on"],
  );
  await storeWithCode(page);
  await does(page, ["press", "Close"], ["sees", "I have forgotten the password"]);
  const buttons = await page.$$eval("main button", (all) => all.map((one) => one.textContent));
  assert.ok(!buttons.includes("Open with a passkey"), buttons.join());
  await visitor.close();
});

test("a passkey whose secrets differ is not added", async () => {
  const { visitor, page } = await member();
  await page.evaluateOnNewDocument(() => {
    const results = PublicKeyCredential.prototype.getClientExtensionResults;
    PublicKeyCredential.prototype.getClientExtensionResults = function () {
      const real = results.call(this);
      const first = crypto.getRandomValues(new Uint8Array(32)).buffer;
      return real.prf ? { ...real, prf: { results: { first } } } : real;
    };
  });
  await page.reload();
  await make(page);
  const requests = record(page);
  await does(
    page,
    ["press", "Open with a passkey too"],
    ["press", "Use a passkey"],
    ["problem", "two different secrets"],
  );
  assert.ok(!requests.some(({ method }) => method === "PUT"), "nothing was stored");
  await visitor.close();
});

test("two tabs: the second one to save is told, and overwrites nothing", async () => {
  const { visitor, page } = await member();
  await make(page);
  const other = await visitor.context.newPage();
  await other.goto(server.origin + PAGE);
  await does(
    other,
    ...opens(PASSWORD),
    ["sees", "0 entries"],
    ...adds("of the other tab"),
    ...SAVES,
  );
  await page.bringToFront();
  await does(page, ...adds("of this tab"), ["press", "Save"], ["problem", "was changed meanwhile"]);
  await does(page, ["press", "Close"], ["press", "Close and lose the changes"]);
  await does(page, ...opens(PASSWORD), ["sees", "of the other tab"], ["sees", "1 entry"]);
  await visitor.close();
});

test("it is deleted, also when nobody can open it any more", async () => {
  const { visitor, page } = await member();
  await make(page);
  await does(
    page,
    ["press", "Close"],
    ["press", "I have forgotten the password"],
    ["press", "Delete the online keyring"],
    ["sees", "for good"],
    ["press", "Delete the online keyring"],
    ["status", "The online keyring is deleted"],
  );
  await make(page, "another password");
  await does(
    page,
    ["press", "Delete the online keyring"],
    ["press", "Delete the online keyring"],
    ["status", "The online keyring is deleted"],
    ["sees", "Make the online keyring"],
  );
  await visitor.close();
});

/** @type {Record<string, (t: import("node:test").TestContext) => Promise<Tab & { goto: (url: string) => Promise<unknown> }>>} */
const ENGINES = {
  Chromium: async (t) => {
    const visitor = await newVisitor(chromium);
    t.after(() => visitor.close());
    return visitor.page;
  },
  Firefox: async (t) => {
    const firefox = await startFirefox();
    t.after(() => firefox.close());
    return firefox.newPage();
  },
  WebKit: async (t) => {
    const webkit = await WebKit.start();
    t.after(() => webkit.stop());
    const evaluate = webkit.evaluate.bind(webkit);
    // The driver may lose the first script after a page, and says so by a timeout.
    const goto = async (/** @type {string} */ url) => {
      await webkit.goto(url);
      await evaluate(() => true).catch(() => webkit.goto(url));
    };
    return { evaluate, goto };
  },
};

/** A page without pickers, as Firefox and Safari have none. */
const withoutPickers = () => {
  Object.assign(window, { showOpenFilePicker: undefined, showSaveFilePicker: undefined });
};

/** The command line with a keyring file of its own, in a directory of the server's. */
function commandLine(/** @type {string} */ name) {
  const path = join(server.directory, `${name}.json`);
  const settings = {
    COUNTERSIGN_PASSPHRASE: PASSPHRASE,
    COUNTERSIGN_ONLINE_PASSWORD: PASSWORD,
    COUNTERSIGN_SERVER: server.origin,
    HOME: server.directory,
  };
  return {
    path,
    run: (/** @type {string[]} */ ...words) => server.cli([...words, "--keyring", path], settings),
    base64: async () => (await readFile(path)).toString("base64"),
  };
}

/** Somebody whose account the command line made: the keyring file signs in, and its entries go online. */
async function memberWithFile(/** @type {string} */ username) {
  const cli = commandLine(username);
  await cli.run("register", username);
  const { context, page } = await newVisitor(chromium);
  await page.evaluateOnNewDocument(withoutPickers);
  await page.goto(server.origin + PAGE);
  await does(
    page,
    ["file", "keyring.json", await cli.base64()],
    ["type", "Passphrase", PASSPHRASE],
    ["press", "Open"],
    ["press", `Sign in here with “${username}”`],
    ["press", "Sign in here"],
    ["sees", "You are signed in as"],
    ["press", "Save"],
    ["press", "Close"],
    ["sees", "Online keyring"],
  );
  await make(page);
  await does(
    page,
    ["press", "Copy from a file"],
    ["file", "keyring.json", await cli.base64()],
    ["type", "Passphrase", PASSPHRASE],
    ["press", "Copy"],
    ["status", "1 entry is copied"],
    ...SAVES,
  );
  return { context, page };
}

for (const [engine, start] of Object.entries(ENGINES)) {
  test(`${engine}: nobody is signed in, and a key of the online keyring lets this browser in`, async (t) => {
    const username = `online-${engine}`.toLowerCase();
    const { context } = await memberWithFile(username);
    await context.close();
    const tab = await start(t);
    await tab.goto(server.origin + PAGE);
    await does(tab, ...opens("a wrong password", username), ["problem", "The password is wrong"]);
    await does(tab, ...opens("a wrong password", "nobody"), ["problem", "The password is wrong"]);
    await does(tab, ...opens(PASSWORD, username), ["sees", "1 entry"], ["sees", "You can look"]);
    const buttons = () =>
      tab.evaluate(() =>
        Array.from(document.querySelectorAll("main button"), (one) => one.textContent),
      );
    assert.ok(!(await buttons()).includes("Save"));
    await does(
      tab,
      ["press", `Sign in here with “${username}”`],
      ["press", "Sign in here"],
      ["sees", `You are signed in as ${username}`],
      ...adds("more"),
      ...SAVES,
    );
    // And its own keyring can be made here.
    await does(
      tab,
      ["press", "Delete the online keyring"],
      ["press", "Delete the online keyring"],
      ["status", "The online keyring is deleted"],
    );
    await make(tab);
    await does(tab, ["press", "Close"], ...opens(PASSWORD), ["sees", "0 entries"]);
  });
}

test("the command line opens what the page made, and the page what the command line made", async (t) => {
  const { context, page } = await memberWithFile("made-by-page");
  t.after(() => context.close());
  await does(page, ...adds("of the page"), ...SAVES, ["press", "Close"]);
  const elsewhere = commandLine("pulled");
  await elsewhere.run("keyring", "pull", "made-by-page");
  const { entries } = JSON.parse(await elsewhere.run("keyring", "list", "--json"));
  const names = entries.map((/** @type {any} */ { name }) => name);
  assert.deepEqual(names, ["made-by-page", "of the page"]);
  // What the command line adds, the page has.
  const { privateKey } = generateKeyPairSync("ed25519");
  const pem = privateKey.export({ type: "pkcs8", format: "pem" });
  await writeFile(`${elsewhere.path}.pem`, pem, { mode: 0o600 });
  await elsewhere.run("keyring", "import", "of-the-command-line", `${elsewhere.path}.pem`);
  await elsewhere.run("keyring", "push", "--as", "made-by-page");
  await does(page, ...opens(PASSWORD), ["sees", "3 entries"], ["sees", "of-the-command-line"]);

  const cli = commandLine("made-by-cli");
  await cli.run("register", "made-by-cli");
  const said = await cli.run("keyring", "push");
  const code = /([0-9A-HJKMNP-TV-Z]{4}-){7}[0-9A-HJKMNP-TV-Z]{4}/.exec(said)?.[0];
  assert.ok(code, said);
  const other = await newVisitor(chromium);
  await other.page.goto(server.origin + PAGE);
  await does(other.page, ...opens(PASSWORD, "made-by-cli"), ["sees", "1 entry"]);
  await does(
    other.page,
    ["press", "Close"],
    ["press", "I have forgotten the password"],
    ["type", "Recovery code", code],
  );
  // The first of two fields of that name is the one for the password.
  await other.page.type("#code-username", "made-by-cli");
  await does(other.page, ["press", "Open with the code"], ["sees", "1 entry"]);
  await other.close();
});

test("an earlier version is put back", async () => {
  const { visitor, page } = await member();
  await make(page);
  await does(page, ...adds("of the earlier version"), ...SAVES);
  await does(
    page,
    ["press", "Remove “of the earlier version”"],
    ["press", "Remove"],
    ["sees", "0 entries"],
    ...SAVES,
    ["press", "Earlier versions"],
    ["sees", "Which one?"],
    ["press", "Put it back"],
    ["status", "The earlier version is back"],
    ...opens(PASSWORD),
    ["sees", "of the earlier version"],
  );
  await visitor.close();
});

test("nothing is put back or deleted that is not what was shown", async () => {
  const { visitor, page } = await member();
  await make(page);
  await does(page, ...adds("shown"), ...SAVES, ...adds("not saved"), ["sees", "Not saved yet"]);
  const elsewhere = await visitor.context.newPage();
  elsewhere.setDefaultTimeout(PATIENCE);
  await elsewhere.goto(server.origin + PAGE);
  const savedElsewhere = async (/** @type {string} */ name) => {
    await elsewhere.bringToFront();
    await does(elsewhere, ...opens(PASSWORD), ...adds(name), ...SAVES, ["press", "Close"]);
    await page.bringToFront();
  };
  const undone = text("problem.keyring-changed.undone");
  // While it is open, with a change that cannot be saved any more.
  await savedElsewhere("saved meanwhile");
  await does(
    page,
    ["press", "Earlier versions"],
    ["sees", "Which one?"],
    ["press", "Put it back"],
    ["sees", "Close without saving?"],
    ["press", "Cancel"],
    ["problem", undone],
    ["sees", "not saved"],
    ["press", "Delete the online keyring"],
    ["sees", "for good"],
    ["press", "Delete the online keyring"],
    ["press", "Close and lose the changes"],
    ["problem", undone],
    ...opens(PASSWORD),
    ["sees", "saved meanwhile"],
    ["press", "Close"],
  );
  // While it is closed.
  const DELETES = /** @type {Step[]} */ ([
    ["press", "I have forgotten the password"],
    ["press", "Delete the online keyring"],
    ["sees", "for good"],
    ["press", "Delete the online keyring"],
  ]);
  await savedElsewhere("later still");
  await does(page, ...DELETES, ["problem", undone], ["closed"]);
  assert.ok((await callFromPage(page, "GET", "/v1/keyring")).ok);
  await does(page, ...DELETES, ["status", "The online keyring is deleted"]);
  await visitor.close();
});

test("a keyring that somebody spoilt does not open, and an earlier version of it is put back without opening it", async () => {
  const { visitor, page } = await member();
  await make(page);
  await does(page, ...adds("not to be lost"), ...SAVES);
  // Script in the page, without a touch.
  const api = await moduleUrl(page, "js/lib/api.js");
  await page.evaluate(async (api) => {
    const { call, currentSession } = await import(api);
    const { account } = (await currentSession()).session;
    const { revision } = await call(account, "GET", "/v1/keyring");
    const headers = { "If-Match": `"${revision}"` };
    const json = { nonce: "A".repeat(16), ciphertext: "A".repeat(64) };
    await call(account, "PUT", "/v1/keyring/content", { json, headers });
  }, api);
  await page.reload();
  await does(
    page,
    ...opens(PASSWORD),
    ["problem", text("keyring.error.online-foreign")],
    ["press", text("online.revisions")],
    ["sees", text("online.revisions.which")],
    ["press", text("online.revisions.restore")],
    ["status", text("online.restored")],
    ...opens(PASSWORD),
    ["sees", "not to be lost"],
  );
  assert.ok(text("keyring.error.online-foreign").includes(text("online.revisions")));
  await visitor.close();
});

test("entries go from the online keyring to a file, which the command line reads", async (t) => {
  const { context, page } = await memberWithFile("to-file");
  t.after(() => context.close());
  await does(
    page,
    ["keeps-downloads"],
    ...adds("only online"),
    ["press", "Copy to a file"],
    ["type", "New passphrase", PASSPHRASE],
    ["type", "The same again", PASSPHRASE],
    ["press", "Make the file"],
    ["status", "as a download"],
  );
  const other = commandLine("from-online");
  await writeFile(other.path, Buffer.from(await downloaded(page), "base64"), { mode: 0o600 });
  const { entries } = JSON.parse(await other.run("keyring", "list", "--json"));
  const names = entries.map((/** @type {any} */ { name }) => name);
  assert.deepEqual(names, ["to-file", "only online"]);
  // The same name with another key is not replaced unasked.
  const again = commandLine("again");
  const { privateKey } = generateKeyPairSync("ed25519");
  const pem = privateKey.export({ type: "pkcs8", format: "pem" });
  await writeFile(`${again.path}.pem`, pem, { mode: 0o600 });
  await again.run("keyring", "import", "to-file", `${again.path}.pem`);
  await does(
    page,
    ["press", "Copy from a file"],
    ["file", "keyring.json", await again.base64()],
    ["type", "Passphrase", PASSPHRASE],
    ["press", "Copy"],
    ["problem", "to-file. Nothing was copied"],
    ["choose", "Replace entries"],
    ["press", "Copy"],
    ["status", "1 entry is copied"],
  );
});

/**
 * Loads the page with a clock that stands still until the test moves it.
 * @param {import("puppeteer-core").Page} page
 * @returns {Promise<(minutes: number) => Promise<void>>} lets so many minutes pass
 */
async function withStillClock(page) {
  await page.evaluateOnNewDocument(() => {
    const real = window.setTimeout;
    /** @type {(() => void)[]} */
    const waiting = [];
    Object.assign(window, {
      setTimeout: (/** @type {() => void} */ action, /** @type {number} */ ms) =>
        ms > 120_000 ? waiting.push(action) : real(action, ms),
      minutesPass: (/** @type {number} */ minutes) => {
        const now = Date.now() + minutes * 60_000 + 1;
        Date.now = () => now;
        for (const action of waiting.splice(0)) action();
      },
    });
  });
  await page.reload();
  return (minutes) =>
    page.evaluate((minutes) => /** @type {any} */ (window).minutesPass(minutes), minutes);
}

test("it is put away after ten minutes without use, and when the page is left", async () => {
  const { visitor, page } = await member();
  const pass = await withStillClock(page);
  await make(page);
  await does(page, ...adds("saved by itself"));
  await pass(10);
  await does(page, ["sees", "The keyring was closed"], ["sees", "Nothing is lost"]);
  assert.ok(!(await page.content()).includes("saved by itself"));
  await does(page, ...opens(PASSWORD), ["sees", "saved by itself"]);
  await does(
    page,
    ["press", "Show a secret of “saved by itself”"],
    ["press", "Show it"],
    ["sees", "Save as a file"],
  );
  await pass(10);
  await does(page, ["closed"], ["sees", "The keyring was closed"]);
  await does(page, ...opens(PASSWORD), ["sees", "saved by itself"]);
  const workers = () => page.workers().length;
  assert.equal(workers(), 1);
  await page.evaluate(() => dispatchEvent(new PageTransitionEvent("pagehide")));
  await page.waitForFunction(() => document.querySelector("#content")?.childElementCount === 0);
  assert.equal(workers(), 0, "nothing that was decrypted is left");
  await visitor.close();
});

test("a key that opens no account is told so, where it is made and where it is used", async (t) => {
  const { visitor, page, username } = await member();
  await make(page);
  await does(page, ...adds(username), ["sees", "This key opens no account yet"], ...SAVES);
  await does(page, ["sees", "countersign keys add"]);
  await visitor.close();
  const { context, page: elsewhere } = await newVisitor(chromium);
  t.after(() => context.close());
  await elsewhere.goto(server.origin + PAGE);
  await does(
    elsewhere,
    ...opens(PASSWORD, username),
    ["press", `Sign in here with “${username}”`],
    ["press", "Sign in here"],
    ["problem", "The server did not accept this key."],
  );
});

/**
 * Signs out by the head of the page. Without the authenticator, the page to sign in has nothing to sign in with at once.
 * @param {Visitor} visitor
 * @param {import("puppeteer-core").Page} page
 */
async function signsOut(visitor, page) {
  await visitor.removeAuthenticator().catch(() => {});
  await page.bringToFront();
  await does(page, ["press", "Sign out"]);
}

test("it is put away at sign-out in another tab, and that tab leaves", async () => {
  const { visitor, page } = await member();
  await make(page);
  await does(page, ...adds("secret of mine"), ["sees", "Not saved yet"]);
  const withFile = await visitor.context.newPage();
  await withFile.goto(server.origin + PAGE);
  await does(
    withFile,
    ["press", "Make a new keyring"],
    ["type", "New passphrase", PASSPHRASE],
    ["type", "The same again", PASSPHRASE],
    ["press", "Make it"],
    ["sees", "Not saved yet"],
  );
  const closed = await visitor.context.newPage();
  await closed.goto(server.origin + PAGE);
  const other = await visitor.context.newPage();
  await other.goto(`${server.origin}/account`);
  await arrives(other, "/account");
  const asked = /** @type {string[]} */ ([]);
  for (const tab of [page, withFile]) {
    tab.on("dialog", (dialog) => {
      asked.push(dialog.type());
      dialog.accept();
    });
  }
  await signsOut(visitor, other);
  await arrives(other, "/sign-in");
  for (const tab of [page, withFile, closed]) {
    await arrives(tab, "/sign-in");
    await sees(tab, text("sign-out.elsewhere"));
    assert.equal(tab.workers().length, 0);
  }
  assert.deepEqual(asked, [], "nobody can hold a tab that must leave");
  await page.goto(server.origin + PAGE);
  await does(page, ["sees", "Username"], ["sees", "Make a new keyring"]);
  await visitor.close();
});

/**
 * Two people at one browser: the keyring of the first is open in `page`; the second one makes an account and a keyring
 * in a tab whose form was there before.
 * @param {(page: import("puppeteer-core").Page) => Promise<void>} [prepare] the tab of the first one
 */
async function twoPeople(prepare = async () => {}) {
  const first = await (await newVisitor(chromium)).addAuthenticator();
  const other = await first.context.newPage();
  other.setDefaultTimeout(PATIENCE);
  await new Visitor(first.context, other, await other.createCDPSession()).addAuthenticator();
  await other.goto(`${server.origin}/register`);
  await arrives(other, "/register");
  await prepare(first.page);
  await first.page.bringToFront();
  const anna = await register(first, server.origin, newName());
  await first.page.goto(server.origin + PAGE);
  await make(first.page);
  const requests = record(first.page);
  await other.bringToFront();
  const berta = newName();
  await fillIn(other, text("register.username"), berta);
  await click(other, text("register.button"));
  await arrives(other, "/account");
  await other.goto(server.origin + PAGE);
  return { first, anna, berta, page: first.page, other, requests };
}

test("when somebody else signs in in another tab, the keyring is put away and the page is theirs", async () => {
  const { first, anna, berta, page } = await twoPeople();
  await page.bringToFront();
  await does(page, ["sees", "Make the online keyring"]);
  const shown = await page.evaluate(() => document.body.innerText);
  assert.ok(!shown.includes(anna), shown);
  assert.equal(page.workers().length, 0);
  assert.equal((await callFromPage(page, "GET", "/v1/whoami")).answer.username, berta);
  await first.close();
});

test("what a page has open of one account is never sent in the name of another", async () => {
  // A tab that hears of nothing.
  const deaf = async (/** @type {import("puppeteer-core").Page} */ page) => {
    await page.evaluateOnNewDocument(() => {
      BroadcastChannel.prototype.addEventListener = () => {};
      const hold = (/** @type {Event} */ event) => event.stopImmediatePropagation();
      document.addEventListener("visibilitychange", hold, true);
    });
  };
  const { first, page, other, requests } = await twoPeople(deaf);
  await make(other, "password of the second one");
  const before = (await callFromPage(other, "GET", "/v1/keyring")).answer;
  const sent = requests.length;
  await page.bringToFront();
  await does(page, ["press", "Save"], ["problem", text("problem.other-account")]);
  await does(page, ["press", "Earlier versions"], ["problem", text("problem.other-account")]);
  assert.deepEqual(requests.slice(sent), []);
  assert.deepEqual((await callFromPage(other, "GET", "/v1/keyring")).answer, before);
  page.on("dialog", (dialog) => dialog.accept());
  const reload = ["press", text("problem.other-account.reload")];
  await Promise.all([page.waitForNavigation(), does(page, /** @type {Step} */ (reload))]);
  await arrives(page, PAGE);
  await does(page, ...opens("password of the second one"), ["sees", "0 entries"]);
  await first.close();
});

test("what is typed wrongly is marked, and nothing is said of a keyring that is not there", async () => {
  const { visitor, page } = await member();
  const isMarked = (/** @type {string} */ label) =>
    page.evaluate((label) => {
      const labels = Array.from(document.querySelectorAll("label"));
      const found = labels.find((one) => one.textContent === label && one.checkVisibility());
      return found?.control?.getAttribute("aria-invalid") === "true";
    }, label);
  await does(
    page,
    ["type", "New password", PASSWORD],
    ["type", "The same password again", "another one"],
    ["press", "Make the online keyring"],
    ["problem", "The two passwords are not the same."],
  );
  assert.ok(await isMarked("The same password again"));
  assert.ok(!(await page.content()).includes(text("problem.keyring")));
  await does(
    page,
    ["type", "New password", "short"],
    ["type", "The same password again", "short"],
    ["press", "Make the online keyring"],
    ["problem", "fewer than 8 bytes"],
  );
  assert.ok(await isMarked("New password"));
  assert.ok(!(await isMarked("The same password again")));
  assert.ok(!(await page.content()).includes(text("problem.keyring")));
  await visitor.close();
});

test("who signs out with unsaved changes is asked before anything is done", async () => {
  const { visitor, page } = await member();
  await make(page);
  await does(page, ...adds("not saved"), ["sees", "Not saved yet"]);
  const requests = record(page);
  await signsOut(visitor, page);
  await does(page, ["sees", "Close without saving?"], ["press", "Cancel"], ["closed"], ...SAVES);
  assert.ok(!requests.some(({ method }) => method === "DELETE"));
  await does(page, ...adds("given up"), ["sees", "Not saved yet"]);
  let prompts = 0;
  page.on("dialog", (dialog) => {
    prompts += 1;
    dialog.accept();
  });
  await signsOut(visitor, page);
  await does(page, ["press", "Close and lose the changes"]);
  await arrives(page, "/sign-in");
  await sees(page, text("sign-out.done"));
  assert.equal(prompts, 0, "the browser has nothing left to ask");
  await visitor.close();
});

test("only a person keeps it open: events that a script makes do not count", async () => {
  const { visitor, page } = await member();
  const pass = await withStillClock(page);
  await make(page);
  // From here on it is watched.
  await does(page, ["status", "The online keyring is made"]);
  await pass(6);
  await page.evaluate(() => {
    for (const type of ["keydown", "pointerdown", "wheel"]) {
      document.body.dispatchEvent(new Event(type, { bubbles: true }));
    }
  });
  await pass(5);
  await does(page, ["sees", "The keyring was closed"]);
  await does(page, ...opens(PASSWORD), ["status", "The keyring is open"]);
  await pass(6);
  await page.keyboard.press("Shift");
  await pass(5);
  await does(page, ["sees", "0 entries"]);
  await pass(6);
  await does(page, ["sees", "The keyring was closed"]);
  await visitor.close();
});
