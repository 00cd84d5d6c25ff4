// The page of the keys: what it says before something is lost, and that what it says is so.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import {
  arrives,
  callFromPage,
  click,
  fillIn,
  find,
  moduleUrl,
  newName,
  register,
  sees,
  signInByPasskey,
  text,
} from "./support/app.js";
import { newVisitor } from "./support/chromium.js";
import { chromium, server } from "./support/house.js";
import { binary, startServer } from "./support/server.js";

/** @import { Page } from "puppeteer-core" */

/** Somebody with an account, at the page of its keys. */
async function atKeys({ origin } = server) {
  const visitor = await (await newVisitor(chromium)).addAuthenticator({ synced: true });
  const username = await register(visitor, origin);
  await visitor.page.goto(`${origin}/account/keys`);
  await arrives(visitor.page, "/account/keys");
  return { visitor, page: visitor.page, username };
}

/**
 * Makes a key file, whose dialog is open then.
 * @param {Page} page
 * @param {string} label
 */
async function makeKeyFile(page, label) {
  await click(page, text("keys.new-file"));
  await fillIn(page, text("keys.name"), label);
  await click(page, text("keys.new-file.button"));
  await find(page, "link", text("keys.file.save"));
}

test("the commands beside a key file use the file", async (t) => {
  const { page } = await atKeys();
  // The page's policy lets nobody read a file back from its address.
  await page.evaluate(() => {
    const { createObjectURL } = URL;
    URL.createObjectURL = (blob) => {
      Object.assign(globalThis, { saved: blob });
      return createObjectURL(blob);
    };
  });
  await makeKeyFile(page, "laptop");
  const pem = await page.evaluate(() => /** @type {any} */ (globalThis).saved.text());
  const directory = await mkdtemp(join(tmpdir(), "countersign-key-"));
  t.after(() => rm(directory, { recursive: true }));
  await writeFile(join(directory, "key.pem"), pem, { mode: 0o644 });
  const commands = await page.$$eval("dialog pre", (all) => all.map((one) => one.textContent));
  const path = `${dirname(binary)}:${process.env.PATH}`;
  const keyring = {
    COUNTERSIGN_KEYRING: join(directory, "ring"),
    COUNTERSIGN_PASSPHRASE: "secret!!",
  };
  const run = (/** @type {string} */ command) =>
    promisify(execFile)("sh", ["-c", command], {
      cwd: directory,
      env: { ...process.env, ...keyring, PATH: path },
    });
  await assert.rejects(run(commands.at(-1) ?? ""), /chmod 600/);
  for (const command of commands) await run(command ?? "");
  const { stdout } = await run(commands.at(-1) ?? "");
  assert.match(stdout, /laptop/);
});

test("the dialog of a key file closes unsaved only if the person says so twice", async () => {
  const { page } = await atKeys();
  await makeKeyFile(page, "lost");
  for (let round = 0; round < 3; round++) {
    await page.keyboard.press("Escape");
    await sees(page, text("keys.file.lose.title"));
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => document.querySelectorAll("dialog[open]").length === 1);
    await find(page, "link", text("keys.file.save"));
  }
  await click(page, text("dialog.close"));
  await click(page, text("keys.file.lose"));
  await page.waitForFunction(() => !document.querySelector("dialog"));
  await find(page, "button", text("keys.remove.of", { label: "lost" }));

  await makeKeyFile(page, "kept");
  await click(page, text("keys.file.save"), "link");
  await click(page, text("dialog.close"));
  await page.waitForFunction(() => !document.querySelector("dialog"));
});

test("the last passkey, and the last key that lasts, do not go without a warning", async () => {
  const { page } = await atKeys();
  const { answer } = await callFromPage(page, "GET", "/v1/keys");
  const { label } = answer.keys.find((/** @type {any} */ key) => key.kind === "passkey");
  const remove = () => click(page, text("keys.remove.of", { label }));
  await remove();
  await sees(page, text("revoke.last-way"));
  await click(page, text("dialog.cancel"));

  await makeKeyFile(page, "backup");
  await click(page, text("keys.file.save"), "link");
  await click(page, text("dialog.close"));
  await find(page, "button", text("keys.remove.of", { label: "backup" }));
  await remove();
  await sees(page, text("revoke.last-passkey"));
  await click(page, text("revoke.button"));
  await sees(page, text("revoke.done", { label }));
  await click(page, text("keys.remove.of", { label: "backup" }));
  await sees(page, text("revoke.last-way"));
});

test("another browser of the same kind is a question while it has not been used, and nothing then", async () => {
  const { page } = await atKeys();
  const asks = await page.evaluate(
    async (module) => {
      const { mayBeOldSelf } = await import(module);
      const key = (/** @type {object} */ more) => ({
        thumbprint: "other",
        kind: "browser",
        user_agent: navigator.userAgent,
        created_at: 100,
        last_used_at: null,
        ...more,
      });
      const mine = key({ thumbprint: "mine", created_at: 200, last_used_at: 300 });
      const others = [{}, { last_used_at: 200 }, { last_used_at: 201 }, { created_at: 201 }];
      const found = others.map((more) => mayBeOldSelf(key(more), { mine }));
      return [
        ...found,
        mayBeOldSelf(key({ user_agent: "other" }), { mine }),
        mayBeOldSelf(mine, { mine }),
      ];
    },
    await moduleUrl(page, "js/lib/keys.js"),
  );
  assert.deepEqual(asks, [true, true, false, false, false, false]);
  assert.match(text("key.old-self"), /\?$/);
});

test("this browser is in use, and one of each is said in the singular", async () => {
  const { page } = await atKeys();
  const browsers = await find(page, "region", text("keys.group.browser"));
  const shown = await browsers.evaluate((group) => group.innerText);
  assert.ok(shown.includes(text("key.this-browser")) && !shown.includes(text("key.never-used")));
  await page.goto(`${server.origin}/account`);
  await sees(page, text("account.passkeys.one", { count: "1" }));
  await sees(page, text("account.browsers.one", { count: "1" }));
});

test("nothing ticked is said, and removes nothing", async () => {
  const { visitor, page } = await atKeys();
  // A key file adds another key; then the file is removed, and what it had added is offered.
  const added = await page.evaluate(
    async (library) => {
      const { call, issuer, logInWith, send, currentSession } = await import(`${library}api.js`);
      const { generateKey, dpopProof } = await import(`${library}jose.js`);
      const { session } = await currentSession();
      const url = `${issuer}/v1/keys`;
      const body = async (/** @type {any} */ key, /** @type {string} */ label) => {
        const now = Math.floor(Date.now() / 1000);
        const proof = { method: "POST", url, now, sub: session.username };
        return { public_key: key.jwk, label, new_key_proof: await dpopProof(key, proof) };
      };
      const [file, theirs] = [await generateKey(), await generateKey()];
      const first = { json: await body(file, "file"), confirm: true };
      await call(session.account, "POST", "/v1/keys", first);
      const { access_token: token } = await (await logInWith(file, session.username)).json();
      const json = await body(theirs, "theirs");
      return (await send("POST", "/v1/keys", { key: file, token, json })).status;
    },
    await moduleUrl(page, "js/lib/"),
  );
  assert.equal(added, 201);
  await page.reload();
  await arrives(page, "/account/keys");
  await click(page, text("keys.remove.of", { label: "file" }));
  await click(page, text("revoke.button"));
  await click(page, text("revoke.added.button"));
  await sees(page, text("problem.none-ticked"));
  await click(page, text("revoke.added.keep"));
  await find(page, "button", text("keys.remove.of", { label: "theirs" }));
  await visitor.close();
});

test("a public key alone is refused with the reason, and the command that adds it is shown", async () => {
  const { page } = await atKeys();
  await click(page, text("keys.paste"));
  await sees(page, `countersign keys add --key key.pem --server ${server.origin}`);
  await fillIn(page, text("keys.name"), "program");
  for (const key of [
    "-----BEGIN PUBLIC KEY-----",
    "ssh-ed25519 AAAA",
    "---- BEGIN SSH2 PUBLIC KEY ----",
    "PuTTY-User-Key-File-3: ssh-ed25519",
    '{"kty":"OKP"}',
  ]) {
    await fillIn(page, text("keys.proof"), key);
    await click(page, text("keys.paste.button"));
    await sees(page, text("keys.proof.public-key"));
  }
});

test("a tab learns that another one has signed out, and shows nothing of the account", async () => {
  const { visitor, page } = await atKeys();
  await visitor.removeAuthenticator();
  const other = await visitor.context.newPage();
  await other.goto(`${server.origin}/account`);
  await arrives(other, "/account");
  await click(other, text("nav.sign-out"));
  await arrives(other, "/sign-in");
  await sees(other, text("sign-out.done"));
  await arrives(page, "/sign-in");
  await sees(page, text("sign-out.elsewhere"));
});

test("a passkey that none vouched for is removed by a browser that was there before it, without a touch", async () => {
  const visitor = await newVisitor(chromium);
  const { page } = visitor;
  await page.goto(`${server.origin}/register`);
  await arrives(page, "/register");
  await page.evaluate(
    async (api, username) => {
      const { newBrowserKey, register } = await import(api);
      const { key } = await newBrowserKey();
      await register(key, { username, label: "this browser", remember: "browser" });
    },
    await moduleUrl(page, "js/lib/api.js"),
    newName(),
  );
  await visitor.addAuthenticator();
  await page.goto(`${server.origin}/account/keys`);
  await click(page, text("keys.add-passkey"));
  await sees(page, text("passkey.added"));
  await sees(page, text("key.in-doubt"));
  const [passkey] = (await callFromPage(page, "GET", "/v1/keys")).answer.keys.filter(
    (/** @type {any} */ { kind }) => kind === "passkey",
  );
  // It is a thief's: its owner has it not.
  await visitor.removeAuthenticator();
  await click(page, text("keys.remove.of", { label: passkey.label }));
  await click(page, text("revoke.button"));
  await sees(page, text("revoke.done", { label: passkey.label }));
  const { events } = (await callFromPage(page, "GET", "/v1/events")).answer;
  const { detail } = events.find((/** @type {any} */ { event }) => event === "key.revoked");
  assert.match(detail, /^a passkey in doubt/);
  await visitor.close();
});

test("where passkeys are switched off, an account that has one makes a key file without it", async (t) => {
  const other = await startServer();
  t.after(() => other.stop());
  const { visitor, page } = await atKeys(other);
  const second = await (await newVisitor(chromium)).addAuthenticator({ synced: true });
  await second.copyPasskeysFrom(visitor);
  await signInByPasskey(second, other.origin);
  other.settings.COUNTERSIGN_PASSKEYS_ENABLED = "false";
  await other.restart();
  // A page that was loaded before does not know it yet.
  await makeKeyFile(page, "desktop");
  await click(page, text("keys.file.save"), "link");
  await click(page, text("dialog.close"));
  for (const tab of [page, second.page]) {
    await tab.goto(`${other.origin}/account/keys`);
    await sees(tab, text("no-passkeys.off"));
    await makeKeyFile(tab, "laptop");
  }
});

test("a browser without passkeys says that another one must confirm the change", async () => {
  const { page } = await atKeys();
  await page.evaluateOnNewDocument(() => {
    // @ts-expect-error some browsers have none
    delete window.PublicKeyCredential;
  });
  await page.reload();
  await click(page, text("keys.new-file"));
  await fillIn(page, text("keys.name"), "laptop");
  await click(page, text("keys.new-file.button"));
  await sees(page, text("problem.step-up-needed.passkey-elsewhere"));
});

for (const [off, days] of /** @type {[string, number][]} */ ([
  ["a day ahead", 1],
  ["a day behind", -1],
])) {
  test(`${off}: a wrong clock changes nothing of what is said of times`, async () => {
    const visitor = await (await newVisitor(chromium)).addAuthenticator({ synced: true });
    const { page } = visitor;
    await page.evaluateOnNewDocument((ahead) => {
      const { now } = Date;
      Date.now = () => now() + ahead;
    }, days * 86_400_000);
    await register(visitor, server.origin);
    const shown = () => page.$eval("main", (main) => main.innerText);
    for (const path of ["/account", "/account/keys", "/account/activity"]) {
      await page.goto(server.origin + path);
      await arrives(page, path);
      assert.doesNotMatch(
        await shown(),
        /yesterday|tomorrow|\d+ (hours?|days?) ago|in \d+ hours/,
        path,
      );
    }
    await page.goto(`${server.origin}/account/keys`);
    await arrives(page, "/account/keys");
    await sees(page, text("key.added", { when: "now" }));
  });
}

test("a device whose clock is minutes ahead makes an account and a key file", async () => {
  const visitor = await (await newVisitor(chromium)).addAuthenticator({ synced: true });
  const { page } = visitor;
  await page.evaluateOnNewDocument(() => {
    const { now } = Date;
    Date.now = () => now() + 7 * 60_000;
  });
  await register(visitor, server.origin);
  await page.goto(`${server.origin}/account/keys`);
  await arrives(page, "/account/keys");
  await makeKeyFile(page, "laptop");
});
