// Keyring files in each engine: what the page makes, the command line reads, and the other way round. And what a key of a
// keyring is for: to let this browser in.
import assert from "node:assert/strict";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { moduleUrl } from "./support/app.js";
import { browsers } from "./support/browsers.js";
import { newVisitor } from "./support/chromium.js";
import { does, downloaded } from "./support/hands.js";
import { startServer } from "./support/server.js";

/** @import { Step, Tab } from "./support/hands.js" */

const PASSPHRASE = "correct horse é";
/** A key of the tests, which is used nowhere else. */
const PEM = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgQgsJPz1BDsenaO7R
g7A3WbZqbbSAXNZtCgITMUvdN7ahRANCAARmeY+D+OC2QxfrFQKFRwPB4Ze8kQwm
6ij5l2u+D912o31JJssB3a5VvRrA01svax41PaVhTOMCx7ZV7KgUcygD
-----END PRIVATE KEY-----
`;
/** @type {import("./support/server.js").Server} */
let server;
before(async () => {
  server = await startServer();
});
after(() => server?.stop());

/** The command line with a keyring of its own, in a directory of the server's. */
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
    entries: async () =>
      JSON.parse(await server.cli(["keyring", "list", "--json", "--keyring", path], settings))
        .entries,
    base64: async () => (await readFile(path)).toString("base64"),
    put: (/** @type {string} */ base64) =>
      writeFile(path, Buffer.from(base64, "base64"), { mode: 0o600 }),
  };
}

const { chromium, tabs } = browsers();

/** @param {string} name @param {string} base64 @param {string} passphrase @returns {Step[]} */
const opens = (name, base64, passphrase = PASSPHRASE) => [
  ["file", name, base64],
  ["type", "Passphrase", passphrase],
  ["press", "Open"],
];

for (const [engine, start] of Object.entries(tabs)) {
  test(`${engine}: a keyring of the command line is edited and read back`, async () => {
    const tab = await start();
    const cli = commandLine(`${engine}.json`);
    for (const type of ["ed25519", "p384", "rsa2048"]) {
      await cli.run(
        "register",
        `${engine}-${type}`.toLowerCase(),
        "--as",
        type,
        "--key-type",
        type,
      );
    }
    await tab.goto(`${server.origin}/account/keyring`);
    await does(tab, ["keeps-downloads"], ...opens("keyring.json", await cli.base64()));
    await does(tab, ["status", "The keyring is open"], ["sees", "3 entries"]);
    const before = await cli.entries();
    for (const { thumbprint } of before) await does(tab, ["sees", thumbprint]);

    await does(
      tab,
      ["press", "Rename “ed25519”"],
      ["type", "Name in the keyring", "Gerät 1"],
      ["press", "Rename"],
      ["sees", "Not saved yet"],
      ["press", "Remove “rsa2048”"],
      ["press", "Remove"],
      ["sees", "2 entries"],
      ["press", "Add an entry"],
      ["type", "Name in the keyring", "new"],
      ["type", "Username", `${engine}-new`.toLowerCase()],
      ["choose", "EC P-256"],
      ["press", "Add"],
      ["sees", "3 entries"],
      ["press", "Save"],
      ["status", "has the new file as a download"],
    );
    await cli.put(await downloaded(tab));
    const after = await cli.entries();
    assert.deepEqual(
      after.map((/** @type {any} */ { name }) => name),
      ["Gerät 1", "p384", "new"],
    );
    const same = (/** @type {any[]} */ entries) =>
      entries.slice(0, 2).map(({ thumbprint }) => thumbprint);
    assert.deepEqual(same(after), same(before));
    assert.match(await cli.run("whoami", "Gerät 1"), /ed25519/, "its key and token still work");
    await cli.run("register", `${engine}-new`.toLowerCase(), "--as", "new");

    // The same key under another passphrase.
    await does(
      tab,
      ["press", "Change the passphrase"],
      ["type", "New passphrase", "another passphrase"],
      ["type", "The same again", "another passphrase"],
      ["press", "Change"],
      ["sees", "Not saved yet"],
      ["press", "Save"],
      ["status", "has the new file as a download"],
    );
    await cli.put(await downloaded(tab));
    await assert.rejects(cli.entries(), /wrong passphrase or damaged file/);
    await writeFile(`${cli.path}.new`, PASSPHRASE, { mode: 0o600 });
    await writeFile(`${cli.path}.passphrase`, "another passphrase", { mode: 0o600 });
    const files = [
      "--passphrase-file",
      `${cli.path}.passphrase`,
      "--new-passphrase-file",
      `${cli.path}.new`,
    ];
    await cli.run("keyring", "passwd", ...files);
    assert.equal((await cli.entries()).length, 3);
  });

  test(`${engine}: a keyring made in the page is read by the command line`, async () => {
    const tab = await start();
    const cli = commandLine(`${engine}-made.json`);
    await tab.goto(`${server.origin}/account/keyring`);
    await does(
      tab,
      ["keeps-downloads"],
      ["press", "Make a new keyring"],
      ["type", "New passphrase", PASSPHRASE],
      ["type", "The same again", "something else"],
      ["press", "Make it"],
      ["problem", "The two passphrases are not the same."],
      ["type", "The same again", PASSPHRASE],
      ["press", "Make it"],
      ["status", "The keyring is made"],
    );
    for (const kind of ["Ed25519", "EC P-256", "EC P-384", "RSA"]) {
      await does(
        tab,
        ["press", "Add an entry"],
        ["type", "Name in the keyring", `made-in-${engine}-${kind.replace(" ", "-")}`],
      );
      await does(tab, ["choose", kind], ["press", "Add"], ["status", "The entry is added"]);
    }
    await does(
      tab,
      ["press", "Add an entry"],
      ["type", "Name in the keyring", "pasted"],
      ["choose", "I have one"],
      ["type", "Private key", PEM],
      ["press", "Add"],
      ["sees", "5 entries"],
      ["press", "Save"],
      ["status", "has the new file as a download"],
    );
    await cli.put(await downloaded(tab));
    assert.equal(await cli.run("keyring", "export", "pasted", "--reveal-private-key"), PEM);
    // The halves of the others are compared in keyring-format.test.js.
    const used = (await cli.entries()).filter((/** @type {any} */ { name }) =>
      /Ed25519|RSA/.test(name),
    );
    for (const { name, username } of used) {
      await cli.run("register", username, "--as", name);
      assert.match(await cli.run("whoami", name), new RegExp(`username +${username}`));
    }
  });

  test(`${engine}: each thing that can be wrong with a file has a sentence of its own`, async () => {
    const tab = await start();
    const cli = commandLine(`${engine}-damage.json`);
    await writeFile(`${cli.path}.pem`, PEM, { mode: 0o600 });
    await cli.run("keyring", "import", "a", `${cli.path}.pem`);
    const good = await readFile(cli.path, "utf8");
    const base64 = (/** @type {string} */ text) => Buffer.from(text).toString("base64");
    await tab.goto(`${server.origin}/account/keyring`);
    for (const [file, passphrase, sentence] of [
      [good, "another passphrase", "The passphrase is wrong, or the file is damaged."],
      [good, "1234567", "fewer than 8 bytes"],
      [good.slice(0, -30), PASSPHRASE, "its end is missing"],
      [good.replace('"A256GCM"', '"A128GCM"'), PASSPHRASE, "its form is broken"],
      [good.replace('"m_kib":65536', '"m_kib":1048576'), PASSPHRASE, "It asks for 1,024 MiB"],
      [good.replace('"t":3', '"t":17'), PASSPHRASE, "out of bounds"],
      [good.replace('"version":1', '"version":2'), PASSPHRASE, "needs a newer program"],
      ["{}", PASSPHRASE, "This is not a keyring file."],
      [" ", PASSPHRASE, "This is not a keyring file."],
    ]) {
      await does(tab, ...opens("keyring.json", base64(file), passphrase), ["problem", sentence]);
      await does(tab, ["problem", "The keyring is as it was."]);
    }
    await does(tab, ...opens("keyring.json", base64(good)), ["status", "The keyring is open"]);
  });
}

/** Pasted texts, with the refusal that says what each of them is. */
const REFUSED = /** @type {[string, string, Record<string, string>?][]} */ ([
  ["keys/p256.encrypted.pem", "key-encrypted"],
  ["keys/rsa-2048.pkcs1-encrypted.pem", "key-encrypted"],
  ["keys/p521.pkcs8.pem", "key-kind", { kind: "EC P-521" }],
  ["key-files/openssh-p521-encrypted", "key-kind", { kind: "EC P-521" }],
  ["keys/rsa-1024.pkcs8.pem", "key-weak", { bits: "1024", min: "2048", max: "4096" }],
  ["keys/rsa-e3.pkcs8.pem", "key-exponent"],
  ["keys/p256.certificate.pem", "key-certificate"],
  ["keys/openssh-ed25519.pem", "key-openssh"],
  ["key-files/openssh-3des", "key-openssh-cipher"],
  ["key-files/ed25519.ppk", "key-putty"],
  ["key-files/rsa-2048.sshcom", "key-sshcom"],
  ["key-files/pgp-private.asc", "key-pgp"],
  ["rfc4716/ed25519.pub", "key-public"],
]);

/** @typedef {[engine: string, language: string, start: typeof tabs.Chromium]} Speaker */

/** @type {Speaker[]} */
const speakers = Object.entries(tabs).map(([engine, start]) => [engine, "en", start]);
speakers.push([
  "Chromium",
  "de",
  async () => {
    const { page } = await newVisitor(await chromium());
    await page.setExtraHTTPHeaders({ "accept-language": "de" });
    return page;
  },
]);
for (const [engine, language, start] of speakers) {
  test(`${engine}, ${language}: each thing that can be wrong with a pasted key has a sentence of its own`, async () => {
    const lang = (/** @type {string} */ file) =>
      import(new URL(`../../web/lang/${language}${file}.js`, import.meta.url).href);
    const texts = { ...(await lang("")).default, ...(await lang("/keyring")).default };
    const say = (/** @type {string} */ key) => /** @type {string} */ (texts[key]);
    const tab = await start();
    await tab.goto(`${server.origin}/account/keyring`);
    await does(
      tab,
      ["press", say("keyring.create.title")],
      ["type", say("keyring.field.new-passphrase"), PASSPHRASE],
      ["type", say("keyring.field.again"), PASSPHRASE],
      ["press", say("keyring.create")],
      ["press", say("keyring.add")],
      ["type", say("keyring.field.entry-name"), "a"],
      ["choose", say("keyring.add.paste")],
    );
    for (const [name, code, values = {}] of REFUSED) {
      const path = new URL(`../../crates/protocol/vectors/${name}`, import.meta.url);
      const number = new Intl.NumberFormat(language);
      const sentence = say(`keyring.error.${code}`).replace(/\{(\w+)\}/g, (_, value) => {
        const text = values[value] ?? "";
        return /^\d+$/.test(text) ? number.format(Number(text)) : text;
      });
      await does(
        tab,
        ["type", say("keyring.field.private-key"), await readFile(path, "utf8")],
        ["press", say("keyring.add.button")],
        ["problem", sentence],
      );
    }
  });
}

/** The time that Chromium's pages have had a processor for since it began, in milliseconds: what others compute does not count. */
async function processorTime() {
  const session = await (await chromium()).target().createCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  await session.detach();
  const pages = processInfo.filter(({ type }) => type === "renderer");
  return pages.reduce((sum, { cpuTime }) => sum + cpuTime * 1000, 0);
}

test("a keyring of the default cost opens within a second", async (t) => {
  const { page } = await newVisitor(await chromium());
  const cli = commandLine("cost.json");
  await writeFile(`${cli.path}.pem`, PEM, { mode: 0o600 });
  await cli.run("keyring", "import", "a", `${cli.path}.pem`);
  await page.goto(`${server.origin}/account/keyring`);
  const module = await moduleUrl(page, "js/lib/keyring/opened.js");
  const base64 = await cli.base64();
  const open = () =>
    page.evaluate(
      async (module, base64, passphrase) => {
        const { OpenedKeyring } = await import(module);
        const file = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
        (await OpenedKeyring.open(file, passphrase)).close();
      },
      module,
      base64,
      PASSPHRASE,
    );
  const times = [];
  for (let round = 0; round < 3; round += 1) {
    const before = await processorTime();
    await open();
    times.push((await processorTime()) - before);
  }
  t.diagnostic(`${times.map(Math.round).join(", ")} ms of a processor`);
  assert.ok(Math.min(...times) <= 1000, `${times} ms`);
});

test("Chromium writes the file where it lies, and never over changes of others", async () => {
  const { page } = await newVisitor(await chromium());
  const cli = commandLine("in-place.json");
  await writeFile(`${cli.path}.pem`, PEM, { mode: 0o600 });
  await cli.run("keyring", "import", "a", `${cli.path}.pem`);
  // A file of the browser's own in place of one on a stick: the pickers themselves are no part of the page.
  await page.evaluateOnNewDocument(() => {
    const handle = async () =>
      (await navigator.storage.getDirectory()).getFileHandle("keyring.json", { create: true });
    const chosen = { showOpenFilePicker: async () => [await handle()], showSaveFilePicker: handle };
    Object.assign(window, chosen);
  });
  await page.goto(`${server.origin}/account/keyring`);
  const put = (/** @type {string} */ base64) =>
    page.evaluate(async (base64) => {
      const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      const root = await navigator.storage.getDirectory();
      const file = await (
        await root.getFileHandle("keyring.json", { create: true })
      ).createWritable();
      await file.write(bytes);
      await file.close();
    }, base64);
  const read = () =>
    page.evaluate(async () => {
      const file = await (
        await (await navigator.storage.getDirectory()).getFileHandle("keyring.json")
      ).getFile();
      return btoa(
        Array.from(new Uint8Array(await file.arrayBuffer()), (byte) =>
          String.fromCharCode(byte),
        ).join(""),
      );
    });
  await put(await cli.base64());
  await does(
    page,
    ["press", "Choose a file"],
    ["sees", "keyring.json"],
    ["type", "Passphrase", PASSPHRASE],
  );
  await does(
    page,
    ["press", "Open"],
    ["sees", "1 entry"],
    ["press", "Rename “a”"],
    ["type", "Name in the keyring", "b"],
  );
  await does(
    page,
    ["press", "Rename"],
    ["sees", "Not saved yet"],
    ["press", "Save"],
    ["status", "keyring.json is saved"],
  );
  await cli.put(await read());
  assert.deepEqual(
    (await cli.entries()).map((/** @type {any} */ { name }) => name),
    ["b"],
  );

  await cli.run("keyring", "rename", "b", "c");
  const others = await cli.base64();
  await put(others);
  await does(
    page,
    ["press", "Remove “b”"],
    ["press", "Remove"],
    ["sees", "Not saved yet"],
    ["press", "Save"],
  );
  await does(page, ["problem", "Another program has changed the file"]);
  assert.equal(await read(), others, "the changes of others are still there");
  await does(
    page,
    ["press", "Close"],
    ["press", "Close and lose the changes"],
    ["sees", "Open a keyring file"],
  );
  await copyFile(cli.path, `${cli.path}.copy`);
});

for (const engine of ["Chromium", "Firefox", "WebKit"]) {
  test(`${engine}: a key of a keyring lets this browser in, and is not needed afterwards`, async () => {
    const tab = await (tabs[engine] ?? assert.fail)();
    const cli = commandLine(`${engine}-enrol.json`);
    const name = `${engine}-enrolled`.toLowerCase();
    await cli.run("register", name);
    await tab.goto(`${server.origin}/account/keyring`);
    await does(tab, ...opens("keyring.json", await cli.base64()), [
      "status",
      "The keyring is open",
    ]);
    await does(tab, ["press", `Sign in here with “${name}”`], ["press", "Sign in here"]);
    await does(tab, ["sees", `You are signed in as ${name}`]);
    const shown = await tab.evaluate(() => [
      document.querySelector("#nav")?.checkVisibility(),
      document.querySelector("#nav button")?.textContent,
      document.querySelector("#unsaved")?.textContent,
    ]);
    assert.deepEqual(
      shown,
      [true, "Sign out", ""],
      "the head is there, and nothing is to be saved",
    );
    const keys = JSON.parse(await cli.run("keys", "list", "--json")).keys;
    assert.deepEqual(
      keys.map((/** @type {any} */ { kind }) => kind),
      ["key", "browser"],
    );
    assert.equal(keys[1].added_by, keys[0].thumbprint);
    // The key of the keyring goes; the browser stays signed in.
    await tab.goto(`${server.origin}/account`);
    await does(tab, ["sees", `Signed in as ${name}`]);
    await tab.goto(`${server.origin}/account/keyring`);
    await does(tab, ...opens("keyring.json", await cli.base64()), [
      "status",
      "The keyring is open",
    ]);
    await does(
      tab,
      ["press", `Sign in here with “${name}”`],
      ["sees", "Sign out first"],
      ["press", "Close"],
    );
  });

  test(`${engine}: no secret of a keyring is on the page unless somebody asks for it`, async () => {
    const tab = await (tabs[engine] ?? assert.fail)();
    const cli = commandLine(`${engine}-secret.json`);
    await writeFile(`${cli.path}.pem`, PEM, { mode: 0o600 });
    await cli.run("keyring", "import", "a", `${cli.path}.pem`);
    await tab.goto(`${server.origin}/account/keyring`);
    await does(tab, ...opens("keyring.json", await cli.base64()), [
      "status",
      "The keyring is open",
    ]);
    const line = PEM.split("\n")[1] ?? "";
    const onPage = () =>
      tab.evaluate(
        () =>
          document.documentElement.outerHTML +
          Array.from(document.querySelectorAll("textarea"), (one) => one.value).join(),
      );
    assert.ok(!(await onPage()).includes(line));
    await does(
      tab,
      ["press", "Show a secret of “a”"],
      ["sees", "Whoever sees it can log in as you"],
    );
    assert.ok(!(await onPage()).includes(line), "not before the warning was answered");
    await does(tab, ["press", "Show it"], ["sees", "It is not encrypted."]);
    assert.ok((await onPage()).includes(line));
    await does(tab, ["press", "Close"], ["closed"]);
    assert.ok(!(await onPage()).includes(line), "gone with the dialog");
  });
}
