// The mutual login as a person sees it: the server proves itself first, then the page signs; with a key in the page's store
// or in a keyring file, and with the command line on the other side of the same account.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { browsers } from "./support/browsers.js";
import { does, downloaded } from "./support/hands.js";
import { startServer } from "./support/server.js";

/** @import { Tab } from "./support/hands.js" */

const PASSPHRASE = "correct horse battery";

/** @type {import("./support/server.js").Server} */
let server;
before(async () => {
  server = await startServer();
});
after(() => server?.stop());

const { tabs } = browsers();
/** Signatures and requests are watched in two engines; what the third does with keys is in `keyring.test.js`. */
const ENGINES = { Chromium: tabs.Chromium, Firefox: tabs.Firefox };

/**
 * Notes every signature and every request of the page from now on.
 * @param {Tab} page
 */
const watch = (page) =>
  page.evaluate(() => {
    const seen = /** @type {string[]} */ ([]);
    Object.assign(window, { seen });
    const { sign } = SubtleCrypto.prototype;
    SubtleCrypto.prototype.sign = function (...args) {
      seen.push("sign");
      return sign.apply(this, args);
    };
    const { fetch } = window;
    window.fetch = (...args) => {
      const path = new URL(String(args[0]), location.href).pathname.split("/")[1] ?? "";
      seen.push(`${args[1]?.method ?? "GET"} ${path}`);
      return fetch(...args);
    };
  });

/** @param {Tab} page @returns {Promise<string[]>} */
const seen = (page) => page.evaluate(() => /** @type {any} */ (window).seen);

/** @param {Tab} page */
const stepsDone = (page) =>
  page.evaluate(() =>
    Array.from(document.querySelectorAll("[data-step][data-done]"), (step) =>
      step.getAttribute("data-step"),
    ),
  );

/**
 * Lets somebody else answer for the server.
 * @param {Tab} page
 * @param {string} challenge what /challenge says
 */
const pretend = (page, challenge) =>
  page.evaluate((challenge) => {
    const { fetch } = window;
    window.fetch = async (...args) =>
      String(args[0]).includes("/challenge/") ? Response.json({ challenge }) : fetch(...args);
  }, challenge);

/** The command line with a keyring of its own. */
function commandLine(/** @type {string} */ name) {
  const path = join(server.directory, name);
  const settings = {
    COUNTERSIGN_PASSPHRASE: PASSPHRASE,
    COUNTERSIGN_SERVER: server.origin,
    HOME: server.directory,
  };
  return {
    path,
    run: (/** @type {string[]} */ ...words) => server.cli([...words, "--keyring", path], settings),
    base64: async () => (await readFile(path)).toString("base64"),
  };
}

for (const [engine, start] of Object.entries(ENGINES)) {
  test(`${engine}: with a key in the page's store: register, log in, use the token, log out`, async () => {
    const page = await start();
    const name = `stored-in-${engine}`.toLowerCase();
    await page.goto(`${server.origin}/account/passwordless`);
    await does(
      page,
      ["type", "Username", name],
      ["press", "Create"],
      ["status", `The account ${name} is made`],
    );
    // It is still there after the page was left.
    await page.goto(`${server.origin}/account/passwordless`);
    await does(page, ["sees", name]);
    await watch(page);
    await does(page, ["press", "Log in"], ["status", "You are logged in"]);
    assert.deepEqual(await stepsDone(page), ["asked", "server-proven", "answered", "token"]);
    assert.deepEqual(
      await seen(page),
      ["GET challenge", "sign", "POST authenticate"],
      "asked, proven, and only then signed",
    );
    await does(page, ["press", "Use it: who am I?"], ["sees", `The server says: you are ${name}`]);
    await does(page, ["press", "Log out"], ["status", "You are logged out"]);
    const exported = await page.evaluate(async () => {
      const opened = indexedDB.open("countersign");
      await new Promise((done) => Object.assign(opened, { onsuccess: done }));
      const asked = opened.result.transaction("keys").objectStore("keys").get("mutual");
      await new Promise((done) => Object.assign(asked, { onsuccess: done }));
      const [{ key }] = asked.result;
      return crypto.subtle.exportKey("jwk", key.privateKey).then(
        () => "exported",
        () => "refused",
      );
    });
    assert.equal(exported, "refused");
  });

  test(`${engine}: a server that does not prove itself gets no signature`, async () => {
    const page = await start();
    const name = `rogue-in-${engine}`.toLowerCase();
    await page.goto(`${server.origin}/account/passwordless`);
    await does(page, ["type", "Username", name], ["press", "Create"], ["status", "is made"]);
    // A true challenge, for another account: by another key of the same server.
    const cli = commandLine(`${engine}-other.json`);
    const other = `other-in-${engine}`.toLowerCase();
    await cli.run("register", other, "--dialect", "passwordless");
    const { challenge } = await (await fetch(`${server.origin}/challenge/${other}`)).json();
    for (const answer of [challenge, "AAAA", Buffer.alloc(256, 1).toString("base64"), ""]) {
      await page.goto(`${server.origin}/account/passwordless`);
      await does(page, ["sees", name]);
      await pretend(page, answer);
      await watch(page);
      await does(
        page,
        ["press", "Log in"],
        ["problem", "The server did not prove that it has the key"],
      );
      await does(page, ["problem", "Nothing was signed."]);
      assert.deepEqual(await seen(page), ["GET challenge"]);
      assert.deepEqual(await stepsDone(page), ["asked"]);
    }
  });

  test(`${engine}: with a key in a keyring file that the command line made, and back`, async () => {
    const page = await start();
    const cli = commandLine(`${engine}-stick.json`);
    const name = `stick-in-${engine}`.toLowerCase();
    await cli.run("register", name, "--dialect", "passwordless", "--key-type", "rsa2048");
    await page.goto(`${server.origin}/account/keyring`);
    await does(
      page,
      ["keeps-downloads"],
      ["file", "keyring.json", await cli.base64()],
      ["type", "Passphrase", PASSPHRASE],
      ["press", "Open"],
      ["press", `Log in mutually with “${name}”`],
      ["press", "Log in"],
      ["status", "You are logged in"],
      ["press", "Use it: who am I?"],
      ["sees", `The server says: you are ${name}`],
      ["press", "Save"],
      ["status", "as a download"],
    );
    assert.match(await cli.run("keyring", "list"), /logged out/, "not before it is saved");
    await writeFile(cli.path, Buffer.from(await downloaded(page), "base64"));
    assert.match(await cli.run("keyring", "list"), /logged in until/);
    assert.match(await cli.run("whoami", name), new RegExp(`username +${name}`));
    // The object of the original, from the page.
    await does(
      page,
      ["press", `Show a secret of “${name}”`],
      ["choose", "The login as a JSON object"],
      ["press", "Show it"],
      ["sees", "It is not encrypted."],
    );
    const object = await page.evaluate(() => document.querySelector("textarea")?.value);
    assert.equal(
      object,
      await cli.run("keyring", "export", name, "--json", "--reveal-private-key"),
    );
  });

  test(`${engine}: an entry of a keyring made in the page registers and logs in mutually`, async () => {
    const page = await start();
    const cli = commandLine(`${engine}-made.json`);
    const name = `made-in-${engine}`.toLowerCase();
    await page.goto(`${server.origin}/account/keyring`);
    await does(
      page,
      ["keeps-downloads"],
      ["press", "Make a new keyring"],
      ["type", "New passphrase", PASSPHRASE],
      ["type", "The same again", PASSPHRASE],
      ["press", "Make it"],
      ["press", "Add an entry"],
      ["type", "Name in the keyring", name],
      ["press", "Add"],
      ["press", `Create its account: “${name}”`],
      ["choose", "With the key, after the server has proven itself"],
      ["press", "Create"],
      ["press", `Log in mutually with “${name}”`],
      ["press", "Log in"],
      ["status", "You are logged in"],
      ["press", "Log out"],
      ["status", "You are logged out"],
      ["press", "Save"],
      ["status", "as a download"],
    );
    await writeFile(cli.path, Buffer.from(await downloaded(page), "base64"), { mode: 0o600 });
    assert.match(await cli.run("login", name, "--dialect", "passwordless"), /logged in as/);
  });
}
