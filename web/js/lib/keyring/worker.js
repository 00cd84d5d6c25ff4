// What the workers that hold keyrings have in common: how requests of the page are answered, and what
// can be done with entries.

import { KeyringError } from "./error.js";

/** @import { Entries, EntryChange } from "./entries.js" */
/** @import { KeyType } from "./der.js" */

/**
 * @typedef {{name: string, url: string, username: string, now: number}} NewEntry
 * @typedef {Record<string, (argument: any) => unknown>} Operations
 * @typedef {{id: number, operation: string, argument: any}} Request
 */

/**
 * Answers the page's requests, one after the other, because each may change the keyring.
 * @param {Operations} operations a table, so that a message calls nothing else
 */
export function serve(operations) {
  let last = Promise.resolve();
  addEventListener("message", (/** @type {MessageEvent<Request>} */ { data }) => {
    last = last.then(() => answer(operations, data));
  });
}

/**
 * @param {Operations} operations
 * @param {Request} request
 */
async function answer(operations, { id, operation, argument }) {
  try {
    const act = Object.hasOwn(operations, operation) && operations[operation];
    if (!act) throw failure(null);
    postMessage({ id, value: await act(argument) });
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

/**
 * What can be done with the entries of any keyring.
 * @param {() => Entries} current
 */
export const entryOperations = (current) => ({
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
  /** @param {{name: string}} argument */
  use: (argument) => current().use(argument),
  /** @param {{name: string, what: "private-key" | "password" | "login-object"}} argument */
  reveal: (argument) => current().reveal(argument),
});
