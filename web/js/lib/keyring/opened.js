// A keyring as a page has it: a worker that holds its secrets, and what may be known of its entries.

import { Problem } from "../api.js";
import { t } from "../i18n.js";
import { serverNow } from "../store.js";
import { startWorker } from "../trusted.js";

/** @import { Bytes } from "./bytes.js" */
/** @import { EntryChange, EntryView } from "./entries.js" */
/** @import { KeyType } from "./der.js" */
/** @import { SigningKey } from "./keys.js" */
/** @import { KeyringErrorCode } from "./error.js" */

/** @typedef {{ id: number, value?: any, error?: { code: KeyringErrorCode, values: Record<string, string | number> } }} Answer */
/** @typedef {{ done: (value: any) => void, failed: (error: Problem) => void }} Waiting */
/** @typedef {"private-key" | "password" | "login-object"} Secret */

/** In which field is what is wrong, where it is something that was typed. @type {Record<string, string>} */
const FIELDS = {
  different: "again",
  "passphrase-new": "new-passphrase",
  "passwords-different": "online-again",
  "password-short": "online-new-password",
  "password-wrong": "online-password",
  "code-form": "recovery-code",
  "code-wrong": "recovery-code",
};

/**
 * A sentence for what went wrong. Nothing was changed by it; of what was only typed nobody expects that.
 * @param {KeyringErrorCode | "different" | "passphrase-new" | "passwords-different" | "worker-changed"} code
 * @param {Record<string, string | number>} [values]
 */
export function keyringProblem(code, values = {}) {
  const field = FIELDS[code];
  const detail = t(`keyring.error.${code}`, values);
  return new Problem(field ? "typed" : "keyring", { reason: code, detail, field });
}

/** A keyring that is open, wherever it is stored. */
export class Opened {
  /** @type {Promise<Worker>} */
  #worker;
  #isClosed = false;
  /** @type {Map<number, Waiting>} */
  #waiting = new Map();
  #last = 0;
  /** @type {EntryView[]} */
  entries = [];
  /** Thumbprints of the keys that were made here. @type {Set<string>} */
  #made = new Set();
  /** How often something was changed since the keyring was opened. */
  changes = 0;
  /** How many of these changes are stored. */
  stored = 0;

  /** @param {string} worker the file's name in `web/workers` */
  constructor(worker) {
    this.#worker = this.#start(worker);
    // Who asks the worker for something is told.
    this.#worker.catch(() => {});
  }

  /** Whether something was changed that is not stored. */
  get isChanged() {
    return this.changes > this.stored;
  }

  /** @param {{ name: string, url: string, username: string, type: KeyType }} entry */
  async addGenerated(entry) {
    await this.change("addGenerated", { ...entry, now: serverNow() });
    const made = this.entries.find(({ name }) => name === entry.name)?.key;
    if (made) this.#made.add(made.thumbprint);
  }

  /**
   * Whether a key was made since the keyring was opened, so that it is certain that no account had it then.
   * @param {string} thumbprint
   */
  isNew(thumbprint) {
    return this.#made.has(thumbprint);
  }

  /** @param {{ name: string, url: string, username: string, text: string }} entry */
  addPasted(entry) {
    return this.change("addPasted", { ...entry, now: serverNow() });
  }

  /**
   * @param {string} from
   * @param {string} to
   */
  rename(from, to) {
    return this.change("rename", { from, to });
  }

  /** @param {string} name */
  remove(name) {
    return this.change("remove", { name });
  }

  /**
   * @param {string} name
   * @param {EntryChange} change
   */
  update(name, change) {
    return this.change("update", { name, change });
  }

  /**
   * Remembers something of an entry that is known again at the next login. It is stored with the next
   * change, and is none that must be saved.
   * @param {string} name
   * @param {EntryChange} change
   */
  async note(name, change) {
    this.entries = await this.ask("update", { name, change });
  }

  /**
   * The key of an entry. No script can read what is in it.
   * @param {string} name
   * @returns {Promise<SigningKey>}
   */
  use(name) {
    return this.ask("use", { name });
  }

  /**
   * @param {string} name
   * @param {Secret} what
   * @returns {Promise<string>}
   */
  reveal(name, what) {
    return this.ask("reveal", { name, what });
  }

  /** Ends the worker, and with it everything that was decrypted. */
  close() {
    this.#isClosed = true;
    this.#worker.then(
      (worker) => worker.terminate(),
      () => {},
    );
    this.#fail();
    this.entries = [];
  }

  /**
   * Changes the entries.
   * @param {string} operation
   * @param {object} argument
   */
  async change(operation, argument) {
    this.entries = await this.ask(operation, argument);
    this.changes += 1;
  }

  /**
   * Opens the keyring, or ends the worker.
   * @param {() => Promise<EntryView[]>} action
   */
  async orClose(action) {
    try {
      this.entries = await action();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * @param {string} operation of the worker
   * @param {object | null} argument
   * @returns {Promise<any>}
   */
  async ask(operation, argument) {
    const worker = await this.#worker;
    if (this.#isClosed) throw keyringProblem("not-open");
    const id = ++this.#last;
    return new Promise((done, failed) => {
      this.#waiting.set(id, { done, failed });
      worker.postMessage({ id, operation, argument });
    });
  }

  /** @param {string} name */
  async #start(name) {
    const worker = await startWorker(name).catch(() => {
      throw keyringProblem("worker-changed");
    });
    worker.addEventListener("message", ({ data }) => this.#answered(data));
    worker.addEventListener("error", () => this.#fail());
    return worker;
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

/** A keyring that came from a file, or will go to one. */
export class OpenedKeyring extends Opened {
  constructor() {
    super("keyring-worker.js");
  }

  /**
   * @param {Uint8Array} file
   * @param {string} passphrase
   */
  static async open(file, passphrase) {
    const opened = new OpenedKeyring();
    await opened.orClose(() => opened.ask("open", { file, passphrase: bytes(passphrase) }));
    return opened;
  }

  /** @param {string} passphrase */
  static async create(passphrase) {
    const opened = new OpenedKeyring();
    await opened.orClose(() => opened.ask("create", { passphrase: bytes(passphrase) }));
    opened.changes = 1;
    return opened;
  }

  /** @param {string} passphrase */
  changePassphrase(passphrase) {
    return this.change("changePassphrase", { passphrase: bytes(passphrase) });
  }

  /**
   * The text of the file.
   * @returns {Promise<Bytes>}
   */
  seal() {
    return this.ask("seal", null);
  }
}

/** @param {string} text */
export const bytes = (text) => new TextEncoder().encode(text);
