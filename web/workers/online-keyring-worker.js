// The worker that opens the online keyring: the one place where its secrets are, and where OPAQUE runs.
// The page carries messages between it and the server. It serves one page and holds one keyring.

import { deriveKey } from "../js/lib/keyring/argon2.js";
import { toUtf8 } from "../js/lib/keyring/bytes.js";
import { KeyringError } from "../js/lib/keyring/error.js";
import { Keyring } from "../js/lib/keyring/keyring.js";
import { newPasskeySlot } from "../js/lib/keyring/online/document.js";
import { OnlineKeyring } from "../js/lib/keyring/online/online-keyring.js";
import { startLogin, startRegistration } from "../js/lib/keyring/online/opaque.js";
import {
  grouped,
  newRecoveryCode,
  readRecoveryCode,
} from "../js/lib/keyring/online/recovery-code.js";
import { PASSPHRASE_BYTES } from "../js/lib/keyring/passphrase.js";
import { entryOperations, serve } from "../js/lib/keyring/worker.js";

/** @import { Bytes } from "../js/lib/keyring/bytes.js" */
/** @import { Way } from "../js/lib/keyring/online/online-keyring.js" */

/** @typedef {"password" | "recovery"} Kind of a slot that OPAQUE opens */

/** @type {OnlineKeyring | null} */
let open = null;
/** What the server is asked to store, until it says that it has. @type {OnlineKeyring | null} */
let prepared = null;
/** An opening that waits for the server. @type {{kind: Kind, login: Awaited<ReturnType<typeof startLogin>>} | null} */
let opening = null;
/** The secret of the slot that is being opened. @type {Bytes | null} */
let secretOfSlot = null;
/** Slots in the making. @type {Map<Kind, Awaited<ReturnType<typeof startRegistration>>>} */
const registrations = new Map();
/** Slots that the server has taken part in making. @type {Way[]} */
let ways = [];

/** @returns {OnlineKeyring} */
function current() {
  if (!open) throw new KeyringError("not-open");
  return open;
}

/**
 * @template T
 * @param {T | null | undefined} value
 * @returns {T}
 */
function expected(value) {
  if (value === null || value === undefined) throw new KeyringError("not-open");
  return value;
}

serve({
  ...entryOperations(current),

  // ---- Opening

  /** @param {{kind: Kind, typed: string}} argument */
  async startOpening({ kind, typed }) {
    const login = await startLogin(kind === "recovery" ? readRecoveryCode(typed) : typed);
    opening = { kind, login };
    return login.request;
  },
  /** @param {{response: string, server: string}} argument */
  finishOpening({ response, server }) {
    const { kind, login } = expected(opening);
    const done = login.finish(response, server);
    if (!done) throw new KeyringError(kind === "recovery" ? "code-wrong" : "password-wrong");
    secretOfSlot = done.secret;
    return done.finalization;
  },
  /** @param {{document: unknown}} argument */
  async open({ document }) {
    const { kind } = expected(opening);
    open = await OnlineKeyring.open(document, { kind }, expected(secretOfSlot));
    [opening, secretOfSlot] = [null, null];
    return open.views();
  },
  /** @param {{document: unknown, passkey: string, secret: Bytes}} argument */
  async openByPasskey({ document, passkey, secret }) {
    open = await OnlineKeyring.open(document, { kind: "prf", passkey }, secret);
    secret.fill(0);
    return open.views();
  },

  // ---- Making, and new ways to open

  /** @param {{password: string}} argument */
  async startPassword({ password }) {
    const { length } = toUtf8(password);
    const { min, max } = PASSPHRASE_BYTES;
    if (length < min) throw new KeyringError("password-short", { min });
    if (length > max) throw new KeyringError("passphrase-long", { max });
    const registration = await startRegistration(password);
    registrations.set("password", registration);
    return registration.request;
  },
  async startRecovery() {
    const code = newRecoveryCode();
    const registration = await startRegistration(code);
    registrations.set("recovery", registration);
    return { request: registration.request, code: grouped(code) };
  },
  /** @param {{kind: Kind, id: string, response: string, server: string}} argument */
  finishSlot({ kind, id, response, server }) {
    const { record, secret } = expected(registrations.get(kind)).finish(response, server);
    registrations.delete(kind);
    ways = [...ways.filter(({ slot }) => slot.kind !== kind), { slot: { id, kind }, secret }];
    return record;
  },
  /** The document with the slots that were finished, and no others, under a fresh content key. */
  async prepareAnew() {
    prepared = await OnlineKeyring.anew(open, ways);
    ways = [];
    return prepared.document();
  },
  newPasskeySlot,
  /** @param {{id: string, salt: string, passkey: string, secret: Bytes}} argument */
  async preparePasskey({ secret, ...slot }) {
    prepared = await current().with({ slot: { ...slot, kind: "prf" }, secret });
    secret.fill(0);
    return prepared.document();
  },
  /** The server has stored what was prepared. Entries may have changed since. */
  accept() {
    const stored = expected(prepared);
    if (open) stored.takeOver(open);
    open = stored;
    prepared = null;
    return open.views();
  },

  // ---- Contents

  seal: () => current().seal(),
  /** @param {{file: Uint8Array, passphrase: Uint8Array, replace: boolean}} argument */
  async copyFromFile({ file, passphrase, replace }) {
    const merged = current().merge(await Keyring.open(file, passphrase, deriveKey), replace);
    return { merged, entries: await current().views() };
  },
  /** @param {{passphrase: Uint8Array}} argument */
  async copyToFile({ passphrase }) {
    const file = await Keyring.create(passphrase, deriveKey);
    file.takeOver(current());
    return file.seal();
  },
});
