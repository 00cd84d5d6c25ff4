// A request that arrives and whose answer does not: what was done is found again by the next try, is not done twice, and
// nobody is told that somebody else did it.
import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { test } from "node:test";

import { callFromPage, newName, register, text } from "./support/app.js";
import { newVisitor } from "./support/chromium.js";
import { does } from "./support/hands.js";
import { chromium, server } from "./support/house.js";

/** @import { Page } from "puppeteer-core" */
/** @import { Step } from "./support/hands.js" */

const PASSWORD = "correct horse é";

/** Somebody with an account and a passkey, on a page. */
async function member(path = "/account/keyring") {
  const visitor = await (await newVisitor(chromium)).addAuthenticator();
  await register(visitor, server.origin, newName());
  await visitor.page.goto(server.origin + path);
  return { visitor, page: visitor.page };
}

/**
 * Loses the answers to successful requests of this kind until `restore`; the requests arrive.
 * @param {Page} page
 * @param {string} method
 * @param {string} path all that begin so, if it ends with a slash
 */
async function loses(page, method, path) {
  await page.evaluate(
    (verb, where) => {
      const { fetch } = globalThis;
      /** @type {string[]} */
      const bodies = [];
      const wire = { bodies, restore: () => Object.assign(globalThis, { fetch }) };
      const losing = async (/** @type {string} */ url, /** @type {RequestInit} */ init) => {
        const response = await fetch(url, init);
        const isMeant = where.endsWith("/") ? url.startsWith(where) : url === where;
        if (init.method !== verb || !isMeant || !response.ok) return response;
        bodies.push(String(init.body));
        throw new TypeError("the connection broke");
      };
      Object.assign(globalThis, { fetch: losing, wire });
    },
    method,
    path,
  );
  return {
    bodies: () => page.evaluate(() => /** @type {any} */ (globalThis).wire.bodies),
    restore: () => page.evaluate(() => /** @type {any} */ (globalThis).wire.restore()),
  };
}

/** @param {string} name @returns {Step[]} */
const adds = (name) => [
  ["press", "Add an entry"],
  ["type", "Name in the keyring", name],
  ["choose", "EC P-256"],
  ["press", "Add"],
  ["closed"],
];

/** @returns {Step[]} */
const chooses = (password = PASSWORD) => [
  ["type", "New password", password],
  ["type", "The same password again", password],
];

/** @param {string} password @returns {Step[]} */
const opens = (password) => [
  ["type", "Password of the online keyring", password],
  ["press", "Open the online keyring"],
];

/** @type {Step[]} */
const STORES = [
  ["choose", "I have the code"],
  ["press", "Store the keyring"],
];

/** @param {Page} page */
const make = (page) =>
  does(
    page,
    ...chooses(),
    ["press", "Make the online keyring"],
    ["sees", "Your recovery code"],
    ...STORES,
    ["closed"],
    ["status", "The online keyring is made"],
  );

const revision = async (/** @type {Page} */ page) =>
  (await callFromPage(page, "GET", "/v1/keyring")).answer?.revision;

/**
 * Remembers each content that the page sends.
 * @param {Page} page
 */
async function hearsContents(page) {
  await page.evaluate(() => {
    const { fetch } = globalThis;
    /** @type {string[]} */
    const contents = [];
    globalThis.fetch = (url, init) => {
      if (url === "/v1/keyring/content") contents.push(String(init?.body));
      return fetch(url, init);
    };
    Object.assign(globalThis, { contents });
  });
  return () => page.evaluate(() => /** @type {any} */ (globalThis).contents);
}

test("a save whose answer was lost is sent again as it was, and is no change by somebody else", async () => {
  const { visitor, page } = await member();
  await make(page);
  const contents = await hearsContents(page);
  await does(page, ...adds("first"));
  const lost = await loses(page, "PUT", "/v1/keyring/content");
  await does(
    page,
    ["press", "Save"],
    ["problem", text("problem.perhaps-stored.content")],
    ["sees", "Not saved yet"],
  );
  await lost.restore();
  const stored = await revision(page);
  await does(page, ["press", "Save"], ["status", "The online keyring is saved"]);
  assert.equal(await revision(page), stored, "it is stored once");
  const [one, two, ...more] = await contents();
  assert.equal(one, two, "byte for byte");
  assert.deepEqual(more, []);
  // With the revision that it has learned, the next one is no conflict.
  await does(page, ...adds("second"), ["press", "Save"], ["status", "The online keyring is saved"]);
  await page.reload();
  await does(page, ...opens(PASSWORD), ["sees", "first"], ["sees", "second"]);
  await visitor.close();
});

test("what was edited after a lost answer is stored after what was sent before", async () => {
  const { visitor, page } = await member();
  await make(page);
  const contents = await hearsContents(page);
  await does(page, ...adds("first"));
  const lost = await loses(page, "PUT", "/v1/keyring/content");
  await does(page, ["press", "Save"], ["problem", text("problem.perhaps-stored.content")]);
  // Without a server the second try knows no more.
  await does(page, ["press", "Save"], ["problem", text("problem.perhaps-stored.content")]);
  await lost.restore();
  await does(page, ...adds("second"), ["press", "Save"], ["status", "The online keyring is saved"]);
  const [one, two, three, last, ...more] = await contents();
  assert.deepEqual([two, three], [one, one]);
  assert.notEqual(last, one);
  assert.deepEqual(more, []);
  await page.reload();
  await does(page, ...opens(PASSWORD), ["sees", "first"], ["sees", "second"]);
  await visitor.close();
});

test("somebody else's change after a lost answer is not overwritten", async () => {
  const { visitor, page } = await member();
  await make(page);
  await does(page, ...adds("first"));
  const lost = await loses(page, "PUT", "/v1/keyring/content");
  await does(page, ["press", "Save"], ["problem", text("problem.perhaps-stored.content")]);
  await lost.restore();
  const other = await visitor.context.newPage();
  await other.goto(`${server.origin}/account/keyring`);
  await does(
    other,
    ...opens(PASSWORD),
    ["sees", "first"],
    ...adds("of the other tab"),
    ["press", "Save"],
    ["status", "The online keyring is saved"],
  );
  await page.bringToFront();
  await does(page, ["press", "Save"], ["problem", text("problem.keyring-changed")]);
  await visitor.close();
});

/** Somebody who has made an online keyring, and whom no answer has told so. */
async function makesWithoutAnswer() {
  const { visitor, page } = await member();
  const lost = await loses(page, "PUT", "/v1/keyring");
  await does(
    page,
    ...chooses(),
    ["press", "Make the online keyring"],
    ["sees", "Your recovery code"],
    ...STORES,
    ["problem", text("problem.perhaps-stored.document")],
  );
  return { visitor, page, lost };
}

test("a keyring whose making had no answer is found by the next try, and made once", async () => {
  const { visitor, page, lost } = await makesWithoutAnswer();
  const code = await page.$eval("[data-code]", (shown) => shown.textContent ?? "");
  await lost.restore();
  const stored = await revision(page);
  await does(
    page,
    ["press", "Store the keyring"],
    ["closed"],
    ["status", "The online keyring is made"],
  );
  assert.equal(await revision(page), stored);
  await does(
    page,
    ...adds("first"),
    ["press", "Save"],
    ["status", "The online keyring is saved"],
    ["press", "Close"],
    ["press", "I have forgotten the password"],
    ["type", "Recovery code", code],
    ["press", "Open with the code"],
    ["sees", "first"],
  );
  await visitor.close();
});

test("a keyring whose making had no answer is there when the dialog is closed", async () => {
  const { visitor, page, lost } = await makesWithoutAnswer();
  await lost.restore();
  await does(page, ["press", "Cancel"], ["closed"], ...opens(PASSWORD), ["sees", "0 entries"]);
  await visitor.close();
});

for (const [how, ends] of /** @type {[string, Step[]][]} */ ([
  ["tried again", [["press", "Store the keyring"], ["closed"], ["status", "has a new password"]]],
  ["closed", [["press", "Cancel"], ["closed"]]],
])) {
  test(`${how}: a change of the password without an answer is no change by somebody else`, async () => {
    const { visitor, page } = await member();
    await make(page);
    await does(
      page,
      ...adds("kept"),
      ["press", "Change password and code"],
      ...chooses("another password"),
      ["press", "Go on"],
      ["sees", "Your recovery code"],
    );
    const lost = await loses(page, "PUT", "/v1/keyring");
    await does(page, ...STORES, ["problem", text("problem.perhaps-stored.document")]);
    await lost.restore();
    await does(
      page,
      ...ends,
      ...adds("later"),
      ["press", "Save"],
      ["status", "The online keyring is saved"],
      ["press", "Close"],
      ...opens("another password"),
      ["sees", "kept"],
      ["sees", "later"],
    );
    await visitor.close();
  });
}

test("a passkey whose adding had no answer opens the keyring, and is added once", async () => {
  const { visitor, page } = await member();
  await make(page);
  await does(page, ["press", "Open with a passkey too"]);
  const lost = await loses(page, "PUT", "/v1/keyring");
  await does(page, ["press", "Use a passkey"], ["problem", text("problem.perhaps-stored.passkey")]);
  await lost.restore();
  const stored = await revision(page);
  await does(
    page,
    ["press", "Use a passkey"],
    ["status", "The passkey opens the online keyring"],
    ["sees", "Remove this passkey"],
  );
  assert.equal(await revision(page), stored);
  await page.reload();
  await does(page, ["press", "Open with a passkey"], ["status", "The keyring is open"]);
  await visitor.close();
});

test("a keyring that was put back or deleted without an answer is no secret change by somebody else", async () => {
  const { visitor, page } = await member();
  await make(page);
  await does(
    page,
    ...adds("later"),
    ["press", "Save"],
    ["status", "The online keyring is saved"],
    ["press", "Close"],
    ["press", "Earlier versions"],
    ["sees", "Which one?"],
  );
  const undone = await loses(page, "POST", "/v1/keyring/revisions/");
  await does(page, ["press", "Put it back"], ["problem", text("problem.offline")]);
  await undone.restore();
  await does(
    page,
    ["press", "Put it back"],
    ["closed"],
    ["problem", text("problem.keyring-changed.perhaps")],
    ...opens(PASSWORD),
    ["sees", "0 entries"],
    ["press", "Delete the online keyring"],
    ["sees", "for good"],
  );
  const gone = await loses(page, "DELETE", "/v1/keyring");
  await does(page, ["press", "Delete the online keyring"], ["problem", text("problem.offline")]);
  await gone.restore();
  await does(
    page,
    ["press", "Delete the online keyring"],
    ["closed"],
    ["status", "The online keyring is deleted"],
  );
  await visitor.close();
});

test("a key file whose making had no answer is given by the next try, and its key is added once", async () => {
  const { visitor, page } = await member("/account/keys");
  page.on("dialog", (dialog) => dialog.accept());
  // The page's policy lets nobody read a file back from its address.
  await page.evaluate(() => {
    const { createObjectURL } = URL;
    URL.createObjectURL = (blob) => {
      Object.assign(globalThis, { saved: blob });
      return createObjectURL(blob);
    };
  });
  const lost = await loses(page, "POST", "/v1/keys");
  await does(
    page,
    ["press", "Make a key file"],
    ["type", "Name", "script"],
    ["press", "Make it"],
    ["problem", text("problem.offline")],
  );
  await lost.restore();
  await does(page, ["press", "Make it"], ["sees", text("keys.file.title")]);
  const { answer } = await callFromPage(page, "GET", "/v1/keys");
  const made = answer.keys.filter((/** @type {any} */ { kind }) => kind === "key");
  assert.equal(made.length, 1);
  const { public_key } = JSON.parse((await lost.bodies())[0] ?? "");
  const pem = await page.evaluate(() => /** @type {any} */ (globalThis).saved.text());
  const { x, y } = createPublicKey(pem).export({ format: "jwk" });
  assert.deepEqual({ x, y }, { x: public_key.x, y: public_key.y }, "it is the key that was added");
  await visitor.close();
});

test("a key whose removal had no answer is gone, and that is said", async () => {
  const { visitor, page } = await member("/account/keys");
  page.on("dialog", (dialog) => dialog.accept());
  await does(
    page,
    ["press", "Make a key file"],
    ["type", "Name", "script"],
    ["press", "Make it"],
    ["sees", text("keys.file.title")],
  );
  await page.reload();
  await does(page, ["press", "Remove “script”"]);
  const lost = await loses(page, "DELETE", "/v1/keys/");
  await does(page, ["press", "Remove"], ["problem", text("problem.offline")]);
  await lost.restore();
  await does(
    page,
    ["press", "Remove"],
    ["closed"],
    ["status", text("revoke.done", { label: "script" })],
  );
  await visitor.close();
});

test("a passkey whose adding had no answer is in the list", async () => {
  const { visitor, page } = await member("/account/keys");
  const passkeys = () => page.$$eval("[aria-labelledby=group-passkey] li", (items) => items.length);
  await does(page, ["sees", text("keys.add-passkey")]);
  assert.equal(await passkeys(), 1);
  // As if it were another device: this one would make no second passkey, or put it in the place of the first.
  await page.evaluate(() => {
    const { create } = navigator.credentials;
    navigator.credentials.create = (options) => {
      const user = { ...options?.publicKey?.user, id: new Uint8Array(16) };
      Object.assign(options?.publicKey ?? {}, { excludeCredentials: [], user });
      return create.call(navigator.credentials, options);
    };
  });
  const lost = await loses(page, "POST", "/v1/passkeys");
  await does(page, ["press", "Add a passkey"], ["problem", text("problem.offline")]);
  await lost.restore();
  assert.equal(await passkeys(), 2);
  await visitor.close();
});

test("an account that a key of a keyring has made without an answer is found by that key", async () => {
  const { page, context } = await newVisitor(chromium);
  const username = newName();
  await page.goto(`${server.origin}/account/keyring`);
  await does(
    page,
    ["press", "Make a new keyring"],
    ["type", "New passphrase", PASSWORD],
    ["type", "The same again", PASSWORD],
    ["press", "Make it"],
    ...adds(username),
    ["press", `Create its account: “${username}”`],
  );
  const lost = await loses(page, "POST", "/v1/accounts");
  await does(page, ["press", "Create"], ["problem", text("problem.offline")]);
  await lost.restore();
  const said = `The account ${username} is made. Save the keyring.`;
  await does(page, ["press", "Create"], ["closed"], ["status", said]);
  await context.close();
});

test("an account of the mutual login whose making had no answer is said to be lost", async () => {
  const { page, context } = await newVisitor(chromium);
  await page.goto(`${server.origin}/account/passwordless`);
  const lost = await loses(page, "POST", `${server.origin}/register`);
  await does(
    page,
    ["type", "Username", newName()],
    ["press", text("mutual.register.button")],
    ["problem", text("problem.mutual-unanswered")],
  );
  await lost.restore();
  await context.close();
});
