// A keyring as a page has it: a worker that holds its secrets, and the file that it came from.

import { Problem } from "../api.js";
import { t } from "../i18n.js";
import { startWorker } from "../trusted.js";

/** @import { Bytes } from "./bytes.js" */
/** @import { EntryChange, EntryView } from "./keyring.js" */
/** @import { KeyType } from "./der.js" */
/** @import { SigningKey } from "./keys.js" */
/** @import { KeyringErrorCode } from "./error.js" */

/** @typedef {{ id: number, value?: any, error?: { code: KeyringErrorCode, values: Record<string, string | number> } }} Answer */
/** @typedef {{ done: (value: any) => void, failed: (error: Problem) => void }} Waiting */
/** @typedef {"private-key" | "password" | "login-object"} Secret */

/**
 * A sentence for what went wrong. Nothing was changed by it.
 * @param {KeyringErrorCode | "different"} code
 * @param {Record<string, string | number>} [values]
 */
export function keyringProblem(code, values = {}) {
  return new Problem("keyring", { reason: code, detail: t(`keyring.error.${code}`, values) });
}

export class OpenedKeyring {
  #worker = startWorker("keyring-worker.js");
  /** @type {Map<number, Waiting>} */
  #waiting = new Map();
  #last = 0;
  /** @type {EntryView[]} */
  entries = [];
  /** Whether something was changed since the keyring was opened or saved. */
  isChanged = false;

  constructor() {
    this.#worker.addEventListener("message", ({ data }) => this.#answered(data));
    this.#worker.addEventListener("error", () => this.#fail());
  }

  /**
   * @param {Uint8Array} file
   * @param {string} passphrase
   */
  static async open(file, passphrase) {
    const opened = new OpenedKeyring();
    await opened.#orClose("open", { file, passphrase: bytes(passphrase) });
    return opened;
  }

  /** @param {string} passphrase */
  static async create(passphrase) {
    const opened = new OpenedKeyring();
    await opened.#orClose("create", { passphrase: bytes(passphrase) });
    opened.isChanged = true;
    return opened;
  }

  /** @param {{ name: string, url: string, username: string, type: KeyType }} entry */
  addGenerated(entry) {
    return this.#change("addGenerated", { ...entry, now: seconds() });
  }

  /** @param {{ name: string, url: string, username: string, text: string }} entry */
  addPasted(entry) {
    return this.#change("addPasted", { ...entry, now: seconds() });
  }

  /**
   * @param {string} from
   * @param {string} to
   */
  rename(from, to) {
    return this.#change("rename", { from, to });
  }

  /** @param {string} name */
  remove(name) {
    return this.#change("remove", { name });
  }

  /**
   * @param {string} name
   * @param {EntryChange} change
   */
  update(name, change) {
    return this.#change("update", { name, change });
  }

  /** @param {string} passphrase */
  changePassphrase(passphrase) {
    return this.#change("changePassphrase", { passphrase: bytes(passphrase) });
  }

  /**
   * The text of the file.
   * @returns {Promise<Bytes>}
   */
  seal() {
    return this.#ask("seal", null);
  }

  /**
   * The key of an entry. No script can read what is in it.
   * @param {string} name
   * @returns {Promise<SigningKey>}
   */
  use(name) {
    return this.#ask("use", { name });
  }

  /**
   * @param {string} name
   * @param {Secret} what
   * @returns {Promise<string>}
   */
  reveal(name, what) {
    return this.#ask("reveal", { name, what });
  }

  /** Ends the worker, and with it everything that was decrypted. */
  close() {
    this.#worker.terminate();
    this.#fail();
  }

  /**
   * @param {string} operation
   * @param {object} argument
   */
  async #change(operation, argument) {
    this.entries = await this.#ask(operation, argument);
    this.isChanged = true;
  }

  /**
   * @param {string} operation
   * @param {object} argument
   */
  async #orClose(operation, argument) {
    try {
      this.entries = await this.#ask(operation, argument);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * @param {string} operation
   * @param {object | null} argument
   * @returns {Promise<any>}
   */
  #ask(operation, argument) {
    const id = ++this.#last;
    return new Promise((done, failed) => {
      this.#waiting.set(id, { done, failed });
      this.#worker.postMessage({ id, operation, argument });
    });
  }

  /** @param {Answer} answer */
  #answered({ id, value, error }) {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) waiting?.failed(keyringProblem(error.code, error.values));
    else waiting?.done(value);
  }

  #fail() {
    for (const { failed } of this.#waiting.values()) {
      failed(keyringProblem("worker-failed", { cause: "Worker" }));
    }
    this.#waiting.clear();
  }
}

const bytes = (/** @type {string} */ text) => new TextEncoder().encode(text);

const seconds = () => Math.floor(Date.now() / 1000);
