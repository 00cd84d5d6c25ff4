// Documents of the online keyring as the pages make and open them, with the library's own server at the other end: no
// browser is needed for it.
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Entries } from "../../web/js/lib/keyring/entries.js";
import { KeyringError } from "../../web/js/lib/keyring/error.js";
import {
  newPasskeySlot,
  openContent,
  readDocument,
  unwrap,
} from "../../web/js/lib/keyring/online/document.js";
import { OnlineKeyring } from "../../web/js/lib/keyring/online/online-keyring.js";
import {
  grouped,
  newRecoveryCode,
  readRecoveryCode,
} from "../../web/js/lib/keyring/online/recovery-code.js";

/** @import { Bytes } from "../../web/js/lib/keyring/bytes.js" */
/** @import { SlotKind } from "../../web/js/lib/keyring/online/document.js" */

const ISSUER = "https://auth.example";
const PASSWORD = "correct horse é";

const web = new URL("../../web/", import.meta.url);
const { startLogin, startRegistration } = await import(
  new URL("js/lib/keyring/online/opaque.js", web).href
);
const library = new URL("vendor/serenity-kit-opaque-1.1.0/esm/index.js", web);
const { ready, server } = await import(library.href);
await ready;
const serverSetup = server.createSetup();
const keyStretching = { "argon2id-custom": { iterations: 3, memory: 65_536, parallelism: 1 } };

/**
 * @param {string} code
 * @param {Record<string, string | number>} [values]
 */
const refusal =
  (code, values = {}) =>
  (/** @type {unknown} */ error) => {
    assert.ok(error instanceof KeyringError, String(error));
    assert.deepEqual({ code: error.code, values: error.values }, { code, values });
    return true;
  };

/** A slot's id, its record at the server, and the secret that only the client has. */
async function slotFor(/** @type {SlotKind} */ kind, /** @type {string} */ password) {
  const { id } = newPasskeySlot();
  const registration = await startRegistration(password);
  const { registrationResponse } = server.createRegistrationResponse({
    ...{ serverSetup, userIdentifier: id, registrationRequest: registration.request },
  });
  const { record, secret } = registration.finish(registrationResponse, ISSUER);
  return { slot: { id, kind }, record, secret };
}

/** The secret of a slot, by its password; nothing by another one. */
async function logIn(
  /** @type {{slot: {id: string}, record: string}} */ { slot, record },
  password = PASSWORD,
) {
  const login = await startLogin(password);
  const { loginResponse } = server.startLogin({
    ...{ serverSetup, userIdentifier: slot.id, registrationRecord: record },
    ...{ startLoginRequest: login.request, identifiers: { server: ISSUER }, keyStretching },
  });
  return login.finish(loginResponse, ISSUER)?.secret;
}

const entry = { url: ISSUER, username: "toto", now: 2_000_000_000 };

/** A new private key. */
function pem() {
  const { privateKey } = generateKeyPairSync("ed25519");
  return String(privateKey.export({ type: "pkcs8", format: "pem" }));
}

/** A document as it comes from the server: text that was parsed. */
const delivered = async (/** @type {OnlineKeyring} */ keyring) =>
  JSON.parse(JSON.stringify(await keyring.document()));

test("an online keyring opens by password, recovery code and passkey, and by nothing else", async () => {
  const code = newRecoveryCode();
  const [password, recovery] = [
    await slotFor("password", PASSWORD),
    await slotFor("recovery", code),
  ];
  const made = await OnlineKeyring.anew(null, [password, recovery]);
  await made.addGenerated({ ...entry, name: "a", type: "P-256" });
  const prf = crypto.getRandomValues(new Uint8Array(32));
  const passkey = "AQID";
  const all = await made.with({ slot: { ...newPasskeySlot(), kind: "prf", passkey }, secret: prf });
  const document = await delivered(all);
  const names = async (/** @type {OnlineKeyring} */ keyring) =>
    (await keyring.views()).map(({ name }) => name);

  const byPassword = /** @type {Bytes} */ (await logIn(password));
  assert.equal(byPassword.length, 64, "OPAQUE's export key");
  const opened = await OnlineKeyring.open(document, { kind: "password" }, byPassword);
  assert.deepEqual(await names(opened), ["a"]);
  const typed = readRecoveryCode(grouped(code).toLowerCase());
  const byCode = /** @type {Bytes} */ (await logIn(recovery, typed));
  const kind = "recovery";
  assert.deepEqual(await names(await OnlineKeyring.open(document, { kind }, byCode)), ["a"]);
  const byPasskey = await OnlineKeyring.open(document, { kind: "prf", passkey }, prf);
  assert.deepEqual(await names(byPasskey), ["a"]);

  assert.equal(await logIn(password, "another password"), undefined);
  const foreign = refusal("online-foreign");
  await assert.rejects(OnlineKeyring.open(document, { kind: "password" }, byCode), foreign);
  await assert.rejects(
    OnlineKeyring.open(document, { kind: "prf", passkey: "AQIE" }, prf),
    foreign,
  );
});

test("a keyring of the command line opens, each secret on the way as it should be", async () => {
  const vector = new URL("../../crates/client/vectors/online-keyring/v2.json", import.meta.url);
  const { issuer, opaque, username, ...expected } = JSON.parse(readFileSync(vector, "utf8"));
  const secretOf = async (
    /** @type {"password" | "recovery"} */ kind,
    /** @type {string} */ typed,
  ) => {
    const { record, user_identifier: userIdentifier } = opaque[kind];
    const login = await startLogin(typed);
    const { loginResponse } = server.startLogin({
      ...{ serverSetup: opaque.server_setup, userIdentifier, registrationRecord: record },
      ...{ startLoginRequest: login.request, identifiers: { server: issuer }, keyStretching },
    });
    const secret = login.finish(loginResponse, issuer)?.secret;
    assert.ok(secret, kind);
    assert.equal(Buffer.from(secret).toString("base64url"), opaque[kind].export_key);
    return secret;
  };
  const codes = expected.recovery_code_as_typed.map(readRecoveryCode);
  assert.deepEqual(new Set(codes), new Set([expected.recovery_code_as_password]));
  assert.equal(grouped(codes[0]), expected.recovery_code);
  const secrets = {
    password: await secretOf("password", expected.password),
    recovery: await secretOf("recovery", codes[0]),
    prf: new Uint8Array(Buffer.from(expected.prf.result, "base64url")),
  };
  const { slots } = readDocument(expected.document);
  assert.equal(slots.length, 3);
  for (const slot of slots) {
    const key = await unwrap(slot, secrets[slot.kind]);
    assert.equal(Buffer.from(key).toString("base64url"), expected.content_key, slot.kind);
    const opened = await OnlineKeyring.open(expected.document, slot, secrets[slot.kind]);
    assert.equal(Buffer.from(opened.encode()).toString(), expected.plaintext);
    assert.equal((await opened.views())[0]?.username, username);
  }
});

test("what the server stores has neither the password, nor the content key, nor a name in it", async () => {
  const password = await slotFor("password", PASSWORD);
  const keyring = await OnlineKeyring.anew(null, [password]);
  await keyring.addGenerated({ ...entry, name: "a-telling-name", type: "Ed25519" });
  const document = await delivered(keyring);
  const [slot] = readDocument(document).slots;
  assert.ok(slot);
  const key = await unwrap(slot, password.secret);
  const stored = JSON.stringify(document) + password.record;
  for (const secret of [key, password.secret, Buffer.from(PASSWORD), Buffer.from("telling")]) {
    for (const form of /** @type {const} */ (["base64url", "base64", "hex", "latin1"])) {
      const text = Buffer.from(secret).toString(form).replace(/=+$/, "");
      assert.ok(!stored.includes(text), form);
    }
  }
  const content = await openContent(key, document);
  assert.match(Buffer.from(content).toString(), /^\[\{"name":"a-telling-name",/, "as in a file");
});

test("another password has another content key, and what was stored before does not open with it", async () => {
  const before = await slotFor("password", PASSWORD);
  const keyring = await OnlineKeyring.anew(null, [before]);
  await keyring.addGenerated({ ...entry, name: "a", type: "P-256" });
  const old = await delivered(keyring);
  const after = await slotFor("password", "another password");
  const renewed = await OnlineKeyring.anew(keyring, [after]);
  const document = await delivered(renewed);
  const kind = "password";
  assert.equal(
    (await OnlineKeyring.open(document, { kind }, after.secret)).encode().length > 2,
    true,
  );
  await assert.rejects(OnlineKeyring.open(document, { kind }, before.secret), KeyringError);
  const exchanged = { ...document, nonce: old.nonce, ciphertext: old.ciphertext };
  const foreign = refusal("online-foreign");
  await assert.rejects(OnlineKeyring.open(exchanged, { kind }, after.secret), foreign);
  // A slot under another id, or of another kind, does not open either.
  const [slot] = document.slots;
  for (const altered of [
    { ...slot, id: newPasskeySlot().id },
    { ...slot, kind: "recovery" },
  ]) {
    const moved = { ...document, slots: [altered] };
    await assert.rejects(OnlineKeyring.open(moved, { kind: altered.kind }, after.secret), foreign);
  }
});

test("a document of another form is refused", async () => {
  const keyring = await OnlineKeyring.anew(null, [await slotFor("password", PASSWORD)]);
  const passkey = { ...newPasskeySlot(), kind: /** @type {const} */ ("prf"), passkey: "AQID" };
  const both = await keyring.with({ slot: passkey, secret: new Uint8Array(32) });
  const good = await delivered(both);
  readDocument(good);
  const [password, prf] = good.slots;
  const { nonce: _, ...withoutNonce } = good;
  for (const document of [
    null,
    [],
    "{}",
    {},
    withoutNonce,
    { ...good, more: 1 },
    { ...good, version: 1 },
    { ...good, cipher: "A128GCM" },
    { ...good, format: "other" },
    { ...good, nonce: `${good.nonce}AA` },
    { ...good, ciphertext: "=" },
    { ...good, slots: [] },
    { ...good, slots: Array(21).fill(password) },
    { ...good, slots: [password, password] },
    { ...good, slots: [password, { ...password, id: prf.id }] },
    { ...good, slots: [prf, { ...prf, id: password.id }] },
    { ...good, slots: [{ ...password, kind: "question" }] },
    { ...good, slots: [{ ...password, salt: prf.salt }] },
    { ...good, slots: [{ ...password, id: "AA" }] },
    { ...good, slots: [{ ...password, wrapped: good.nonce }] },
    { ...good, slots: [{ ...prf, salt: good.nonce }] },
    { ...good, slots: [{ ...prf, passkey: "" }] },
  ]) {
    const text = JSON.stringify(document);
    assert.throws(() => readDocument(document), refusal("online-damaged"), text);
  }
  assert.throws(() => readDocument({ ...good, version: 3 }), refusal("newer", { version: 3 }));
});

test("a recovery code is typed as people type", () => {
  const code = newRecoveryCode();
  assert.match(grouped(code), /^([0-9A-HJKMNP-TV-Z]{4}-){7}[0-9A-HJKMNP-TV-Z]{4}$/);
  assert.notEqual(newRecoveryCode(), code);
  assert.equal(readRecoveryCode(` ${grouped(code).toLowerCase().replaceAll("-", " - ")}\n`), code);
  assert.equal(readRecoveryCode("oOiIlL00".repeat(4)), "00111100".repeat(4));
  for (const typed of ["", code.slice(1), `${code}0`, code.replace(/^./, "U"), "é".repeat(32)]) {
    assert.throws(() => readRecoveryCode(typed), refusal("code-form", { characters: 32 }));
  }
});

test("merging adds what is lacking, and refuses what differs unless it is told to replace", async () => {
  const same = pem();
  const [ours, theirs] = [new Entries(), new Entries()];
  for (const entries of [ours, theirs]) {
    await entries.addPasted({ ...entry, name: "same", text: same });
    await entries.addPasted({ ...entry, name: "other", text: pem() });
  }
  await theirs.addPasted({ ...entry, name: "new", text: pem() });
  // A login has happened in one of them.
  const token = { text: "a.b.c", expiresAt: 2_000_000_000 };
  theirs.update({ name: "same", change: { token } });
  const before = ours.encode();
  const differ = refusal("entries-differ", { names: "other" });
  assert.throws(() => ours.merge(theirs, false), differ);
  assert.deepEqual(ours.encode(), before, "nothing was changed");
  const displaced = (await ours.views())[1]?.key?.thumbprint;
  const done = { added: 1, replaced: 1, completed: 0, kept: ["other-2"] };
  assert.deepEqual(ours.merge(theirs, true), done);
  const thumbprints = async (/** @type {Entries} */ entries) =>
    (await entries.views()).map(({ name, key }) => `${name} ${key?.thumbprint}`);
  const [one, two, three] = await thumbprints(theirs);
  assert.deepEqual(await thumbprints(ours), [one, two, `other-2 ${displaced}`, three]);
  assert.equal((await ours.views())[0]?.tokenExpiresAt, null);
  const nothing = { added: 0, replaced: 0, completed: 0, kept: [] };
  assert.deepEqual(ours.merge(theirs, false), nothing);
});

test("what a replacement displaces keeps its key, under a name that nobody has", async () => {
  const [ours, theirs] = [new Entries(), new Entries()];
  const long = "é".repeat(64);
  const names = ["a", "a-2", long];
  for (const name of names) {
    await ours.addPasted({ ...entry, name, text: pem() });
    await theirs.addPasted({ ...entry, name, text: pem() });
  }
  const privateKeys = async (/** @type {Entries} */ entries) =>
    Promise.all(
      (await entries.views()).map(({ name }) => entries.reveal({ name, what: "private-key" })),
    );
  const before = [...(await privateKeys(ours)), ...(await privateKeys(theirs))];
  const { kept, replaced } = ours.merge(theirs, true);
  assert.equal(replaced, 3);
  assert.deepEqual(kept, ["a-3", "a-2-2", `${"é".repeat(62)}-2`]);
  assert.deepEqual(new Set(await privateKeys(ours)), new Set(before));
  // Where nothing is lost, nothing is kept: the key is the same, only what is known of it differs.
  const [mine, other] = [new Entries(), new Entries()];
  const text = pem();
  await mine.addPasted({ ...entry, name: "home", text });
  await other.addPasted({ ...entry, name: "work", text });
  other.update({ name: "work", change: { accountId: "1" } });
  const learnt = { added: 0, replaced: 0, completed: 1, kept: [] };
  assert.deepEqual(mine.merge(other, false), learnt, "the same key under another name");
  other.update({ name: "work", change: { accountId: "2" } });
  assert.throws(() => mine.merge(other, false), refusal("entries-differ", { names: "home" }));
  const exchanged = { added: 0, replaced: 1, completed: 0, kept: [] };
  assert.deepEqual(mine.merge(other, true), exchanged);
  const [only, ...more] = await mine.views();
  assert.deepEqual([only?.name, only?.accountId, more], ["home", "2", []]);
});
