// What is refused is refused before the touch: a passkey that is made for nothing would stay with the person.
import assert from "node:assert/strict";
import { test } from "node:test";

import { arrives, click, fillIn, find, newName, sees, text } from "./support/app.js";
import { newVisitor } from "./support/chromium.js";
import { chromium, server } from "./support/house.js";
import { record } from "./support/recorder.js";
import { freePort, startServer } from "./support/server.js";

/** @import { Visitor } from "./support/chromium.js" */

const person = async () => (await newVisitor(chromium)).addAuthenticator();

/**
 * Asks for an account of this name.
 * @param {Visitor} visitor
 * @param {string} username
 */
async function askFor({ page }, username) {
  await fillIn(page, text("register.username"), username);
  await click(page, text("register.button"));
}

/** Lets the visitor's browser say which passkeys a page calls unknown. */
async function signalsOf(/** @type {Visitor} */ { page }) {
  /** @type {string[]} */
  const unknown = [];
  await page.exposeFunction("heard", (/** @type {string} */ id) => unknown.push(id));
  await page.evaluateOnNewDocument(() => {
    const { heard } = /** @type {any} */ (globalThis);
    Object.assign(PublicKeyCredential, {
      signalUnknownCredential: async (/** @type {any} */ { credentialId }) => heard(credentialId),
    });
  });
  return unknown;
}

test("a name that cannot be had is refused before a passkey is made", async () => {
  const visitor = await person();
  const taken = newName();
  await visitor.page.goto(`${server.origin}/register`);
  await askFor(visitor, taken);
  await arrives(visitor.page, "/account");

  const late = await person();
  await late.page.goto(`${server.origin}/register`);
  for (const [name, why] of [
    ["a".repeat(70), "username.malformed"],
    ["admin", "problem.invalid-username"],
    ["x@y", "problem.invalid-username"],
    [taken, "problem.username-taken"],
  ]) {
    await askFor(late, name ?? "");
    await sees(late.page, text(why ?? ""));
  }
  assert.deepEqual(await late.passkeys(), []);
  await askFor(late, newName());
  await arrives(late.page, "/account");
  assert.equal((await late.passkeys()).length, 1);
});

test("by invitation the code is asked for before a passkey is made", async (t) => {
  const invited = await startServer({ options: ["--enrolment", "invited"] });
  t.after(() => invited.stop());
  const visitor = await person();
  const { page } = visitor;
  await page.goto(`${invited.origin}/register`);
  await askFor(visitor, newName());
  await sees(page, text("register.code.needed"));
  await fillIn(page, text("register.code"), "csi_mistyped");
  await click(page, text("register.button"));
  await sees(page, text("problem.enrolment-code"));
  assert.deepEqual(await visitor.passkeys(), []);
  const code = /csi_[\w-]+/.exec(await invited.admin("invite"))?.[0] ?? "no code";
  await fillIn(page, text("register.code"), code);
  await click(page, text("register.button"));
  await arrives(page, "/account");
});

test("a recovery code is not sent: its command is named, on the page to sign in too", async () => {
  const visitor = await person();
  const { page } = visitor;
  const command = (/** @type {string} */ name) =>
    `countersign recover ${name} --code CODE --server ${server.origin}`;
  await page.goto(`${server.origin}/register#code=csr_0123456789`);
  const requests = record(page);
  await fillIn(page, text("register.username"), "somebody");
  await click(page, text("register.button"));
  await sees(page, command("somebody"));
  const sent = requests.filter(({ method }) => method === "POST");
  assert.deepEqual(sent, []);
  const field = await find(page, "textbox", text("register.code"));
  assert.equal(await field.evaluate((one) => one.getAttribute("aria-invalid")), "true");
  await page.goto(`${server.origin}/sign-in`);
  await sees(page, command("NAME"));
  await visitor.close();
});

test("a passkey whose registration fails after the touch is called unknown", async () => {
  const visitor = await person();
  const { page } = visitor;
  const unknown = await signalsOf(visitor);
  await page.goto(`${server.origin}/register`);
  // Somebody is faster, between the options and the registration.
  await page.setRequestInterception(true);
  page.on("request", (request) => {
    const isRegistration = request.method() === "POST" && request.url().endsWith("/v1/accounts");
    if (!isRegistration) return request.continue();
    const body = JSON.stringify({ type: "https://x.example/username-taken", status: 409 });
    return request.respond({ status: 409, contentType: "application/problem+json", body });
  });
  await askFor(visitor, newName());
  await sees(page, text("problem.username-taken"));
  const [made] = await visitor.passkeys();
  const id = Buffer.from(made?.credentialId ?? "", "base64").toString("base64url");
  assert.deepEqual(unknown, [id]);
});

test("an account whose answer was lost is found by the next try, and its passkey stays", async () => {
  const visitor = await person();
  const { page } = visitor;
  const unknown = await signalsOf(visitor);
  await page.goto(`${server.origin}/register`);
  await page.evaluate(() => {
    const { fetch } = globalThis;
    globalThis.fetch = async (path, init) => {
      const response = await fetch(path, init);
      if (path !== "/v1/accounts" || !response.ok) return response;
      throw new TypeError("the connection broke");
    };
  });
  const username = newName();
  await askFor(visitor, username);
  await sees(page, text("problem.offline"));
  await click(page, text("register.button"));
  await arrives(page, "/account");
  await sees(page, text("account.signed-in-as", { username }));
  assert.deepEqual(unknown, []);
  assert.equal((await visitor.passkeys()).length, 1);
});

test("a server without passkeys says whether its address or its operator is the reason", async (t) => {
  const port = await freePort();
  const servers = [
    { key: "no-passkeys.impossible", issuer: `http://127.0.0.1:${port}`, port },
    { key: "no-passkeys.off", settings: { COUNTERSIGN_PASSKEYS_ENABLED: "false" } },
  ];
  for (const { key, ...how } of servers) {
    const other = await startServer(how);
    t.after(() => other.stop());
    const { page } = await newVisitor(chromium);
    for (const path of ["/sign-in", "/register"]) {
      await page.goto(other.origin + path);
      await sees(page, text(key));
    }
    await find(page, "button", text("register.button.browser-key"));
  }
});

test("what keeps a page from working is its heading and its title", async () => {
  const { page } = await newVisitor(chromium);
  await page.goto(`http://127.0.0.1:${server.port}/register`);
  await sees(page, text("start.go-there"));
  const obstacle = text("start.wrong-origin");
  assert.equal(await page.$eval("h1", (heading) => heading.textContent), obstacle);
  assert.equal(await page.title(), `${obstacle} – Countersign`);
  assert.equal((await page.$$("h1, h2")).length, 1);
});
