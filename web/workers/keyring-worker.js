// The worker that opens keyrings: the one place where their secrets are, and one of the two places
// that may compile WebAssembly. It serves one page and holds one keyring.

import { deriveKey } from "../js/lib/keyring/argon2.js";
import { KeyringError } from "../js/lib/keyring/error.js";
import { Keyring } from "../js/lib/keyring/keyring.js";

/** @import { EntryChange } from "../js/lib/keyring/keyring.js" */
/** @import { KeyType } from "../js/lib/keyring/der.js" */

/**
 * @typedef {{name: string, url: string, username: string, now: number}} NewEntry
 * @typedef {{id: number, operation: keyof typeof OPERATIONS, argument: any}} Request
 */

/** @type {Keyring | null} */
let open = null;
/** Requests are answered one after the other, because each may change the keyring. */
let last = Promise.resolve();

const OPERATIONS = {
  /** @param {{file: Uint8Array, passphrase: Uint8Array}} argument */
  async open({ file, passphrase }) {
    open = null;
    open = await Keyring.open(file, passphrase, deriveKey);
    return open.views();
  },
  /** @param {{passphrase: Uint8Array}} argument */
  async create({ passphrase }) {
    open = null;
    open = await Keyring.create(passphrase, deriveKey);
    return open.views();
  },
  /** @param {{passphrase: Uint8Array}} argument */
  async changePassphrase({ passphrase }) {
    await current().changePassphrase(passphrase, deriveKey);
    return current().views();
  },
  /** @param {NewEntry & {type: KeyType}} argument */
  async addGenerated(argument) {
    await current().addGenerated(argument);
    return current().views();
  },
  /** @param {NewEntry & {text: string}} argument */
  async addPasted(argument) {
    await current().addPasted(argument);
    return current().views();
  },
  /** @param {{from: string, to: string}} argument */
  async rename(argument) {
    current().rename(argument);
    return current().views();
  },
  /** @param {{name: string}} argument */
  async remove(argument) {
    current().remove(argument);
    return current().views();
  },
  /** @param {{name: string, change: EntryChange}} argument */
  async update(argument) {
    current().update(argument);
    return current().views();
  },
  seal: () => current().seal(),
  /** @param {{name: string}} argument */
  use: (argument) => current().use(argument),
  /** @param {{name: string, what: "private-key" | "password" | "login-object"}} argument */
  reveal: (argument) => current().reveal(argument),
};

/** @returns {Keyring} */
function current() {
  if (!open) throw new KeyringError("not-open");
  return open;
}

addEventListener("message", (/** @type {MessageEvent<Request>} */ { data }) => {
  last = last.then(() => answer(data));
});

/** @param {Request} request */
async function answer({ id, operation, argument }) {
  try {
    // A table, so that a message calls nothing else.
    if (!Object.hasOwn(OPERATIONS, operation)) throw failure(null);
    postMessage({ id, value: await OPERATIONS[operation](argument) });
  } catch (cause) {
    const { code, values } = cause instanceof KeyringError ? cause : failure(cause);
    postMessage({ id, error: { code, values } });
  }
}

/**
 * What nobody foresaw, by its kind: the message could have a value in it.
 * @param {unknown} cause
 */
function failure(cause) {
  return new KeyringError("worker-failed", { cause: cause instanceof Error ? cause.name : "?" });
}
