// The online keyring as a page has it: a worker that holds its secrets, and the messages between the
// worker and the server. Neither the password nor the content key is in any of them.

import { asProblem, call, confirmation, issuer, mayBeDone, Problem, send } from "../../api.js";
import { fromBase64url } from "../../jose.js";
import { sameBytes } from "../bytes.js";
import { bytes, keyringProblem, Opened } from "../opened.js";

/** @import { BrowserKey } from "../../jose.js" */
/** @import { Bytes } from "../bytes.js" */
/** @import { Merged } from "../merge.js" */
/** @import { OnlineDocument } from "./document.js" */

/**
 * One way to open the keyring, as the server lists it. Times are in seconds since 1970.
 * @typedef {object} SlotFacts
 * @property {string} id
 * @property {"password" | "recovery" | "prf"} kind
 * @property {number} created_at
 * @property {string} [passkey] its credential id
 * @property {string} [salt] the input of its PRF
 * @property {boolean} [passkey_revoked]
 */

/** @typedef {{ revision: number, updated_at: number, size: number, slots: SlotFacts[] }} Status */
/** @typedef {{ revision: number, updated_at: number, replaced_at: number, size: number }} Revision */

/**
 * What a person decides about: whose keyring, and the revision that was shown. Nothing is done to another one, and
 * a passkey that confirms it confirms it for this one alone.
 * @typedef {{ account: string, revision: number }} Decided
 */

const PATH = "/v1/keyring";

/**
 * What the server says of the keyring of an account; nothing if there is none.
 * @param {string} account its id, here and in all that follows
 * @returns {Promise<Status | undefined>}
 */
export async function onlineStatus(account) {
  try {
    return await call(account, "GET", PATH);
  } catch (error) {
    if (/** @type {{ kind?: string }} */ (error).kind === "no-keyring") return undefined;
    throw error;
  }
}

/**
 * @param {string} account
 * @returns {Promise<Revision[]>} earlier contents, which open in the same ways
 */
export const onlineRevisions = async (account) =>
  (await call(account, "GET", `${PATH}/revisions`)).revisions;

/**
 * @param {Decided} present what goes for it
 * @param {number} revision
 */
export const restoreRevision = (present, revision) =>
  decide(present, "POST", `${PATH}/revisions/${revision}/restore`);

/** The keyring goes, and everything that was kept of it. @param {Decided} present */
export const deleteOnline = (present) =>
  decide(present, "DELETE", PATH).catch((error) => {
    // It is gone already: by a try whose answer was lost, or elsewhere.
    if (asProblem(error).kind !== "no-keyring") throw error;
  });

/**
 * @param {Decided} present
 * @param {string} method
 * @param {string} path
 */
const decide = ({ account, revision }, method, path) =>
  call(account, method, path, { headers: ifMatch(revision), confirm: true });

/** @param {number} revision */
const ifMatch = (revision) => ({ "If-Match": `"${revision}"` });

/** The slots of passkeys that still belong to the account. @param {Status} status */
export const passkeySlots = ({ slots }) =>
  slots.filter((slot) => slot.kind === "prf" && !slot.passkey_revoked);

/**
 * What the server is asked to store: the content alone, or a document with its slots.
 * @typedef {object} Put
 * @property {"content" | "document"} what
 * @property {{ document?: OnlineDocument }} json
 * @property {number} changes how many changes are in it
 * @property {object} [attempt] what it belongs to, where that is tried again
 */

export class OpenedOnline extends Opened {
  /** What the server stores is of this revision; 0 if it stores nothing yet. */
  revision = 0;
  /** What had no answer: the server may have stored it. @type {Put | undefined} */
  #unanswered;
  /** Who finds that out now. @type {Promise<Put | undefined> | undefined} */
  #settling;

  /**
   * Whose keyring it is. Only that account's key ever sends it anywhere.
   * @param {string} username
   * @param {string} account its id
   */
  constructor(username, account) {
    super("online-keyring-worker.js");
    this.username = username;
    this.account = account;
  }

  /**
   * Opens the keyring by its password or its recovery code. Nobody needs to be signed in.
   * @param {{ username: string, kind: "password" | "recovery", typed: string, key: BrowserKey }} how
   * `key` is any key; it proves that both messages come from here
   */
  static async open({ username, kind, typed, key }) {
    const opened = new OpenedOnline(username, "");
    const post = async (/** @type {string} */ path, /** @type {unknown} */ json) =>
      (await send("POST", path, { key, json })).json();
    await opened.orClose(async () => {
      const request = await opened.ask("startOpening", { kind, typed });
      const { state, response } = await post(`${PATH}/open`, { username, kind, request });
      const finalization = await opened.ask("finishOpening", { response, server: issuer });
      const answer = await post(`${PATH}/open/finish`, { state, finalization });
      const { account_id, revision, document } = answer;
      opened.account = account_id;
      opened.revision = revision;
      return opened.ask("open", { document });
    });
    return opened;
  }

  /**
   * Opens the keyring of an account by a passkey.
   * @param {{ username: string, account: string }} whose
   * @param {Status} status
   */
  static async openByPasskey({ username, account }, status) {
    const path = `${PATH}/open/prf`;
    const salts = Object.fromEntries(
      passkeySlots(status).map(({ passkey = "", salt = "" }) => [passkey, fromBase64url(salt)]),
    );
    const confirmed = await confirmation(account, "POST", path, { salts });
    const { assertion, prf: secret, passkey } = confirmed;
    if (!secret) throw keyringProblem("prf-none");
    const headers = { "Passkey-Assertion": assertion };
    const { revision, document } = await call(account, "POST", path, { headers });
    const opened = new OpenedOnline(username, account);
    await opened.orClose(() => opened.ask("openByPasskey", { document, passkey, secret }));
    opened.revision = revision;
    return opened;
  }

  /** Stores the entries. */
  async save() {
    if ((await this.settle()) && !this.isChanged) return;
    const { changes } = this;
    const json = { ...(await this.ask("seal", null)), account_id: this.account };
    await this.#put({ what: "content", json, changes });
  }

  /**
   * Makes a password and a recovery code, both new, and a fresh content key: nothing that was stored
   * before opens with them, and passkeys have to be added again.
   * @param {string} password
   * @returns {Promise<{ code: string, store: () => Promise<void> }>} nothing is stored before `store`
   */
  async renew(password) {
    await this.settle();
    const byPassword = await this.ask("startPassword", { password });
    const records = [await this.#newSlot("password", byPassword)];
    const { request, code } = await this.ask("startRecovery", null);
    records.push(await this.#newSlot("recovery", request));
    const { changes } = this;
    const document = await this.ask("prepareAnew", null);
    const json = { document, records, account_id: this.account };
    /** @type {Put} */
    const put = { what: "document", json, changes };
    const store = async () => {
      if ((await this.settle()) !== put) await this.#put(put, { confirm: true });
    };
    return { code, store };
  }

  /**
   * Lets a passkey open the keyring. It derives the secret twice, for a passkey that gave another one
   * later would open nothing; the second time it confirms the change as well.
   * @param {object} attempt the same one when the person tries again, after which the first try may have been stored
   */
  async addPasskey(attempt) {
    if ((await this.settle())?.attempt === attempt) return;
    const { id, salt } = await this.ask("newPasskeySlot", null);
    const input = fromBase64url(salt);
    const first = await confirmation(this.account, "PUT", PATH, { prf: input });
    if (!first.prf) throw keyringProblem("prf-none");
    const { passkey } = first;
    const slot = { id, salt, passkey, secret: first.prf };
    const { changes } = this;
    const document = await this.ask("preparePasskey", slot);
    const json = { document, records: [], account_id: this.account };
    const request = { json, headers: this.#precondition(), salts: { [passkey]: input } };
    const second = await confirmation(this.account, "PUT", PATH, request);
    if (!second.prf || !sameBytes(second.prf, first.prf)) throw keyringProblem("prf-differs");
    const headers = { "Passkey-Assertion": second.assertion };
    await this.#put({ what: "document", json, changes, attempt }, { headers });
  }

  /**
   * @param {Uint8Array} file
   * @param {string} passphrase
   * @param {boolean} replace whether entries of the file take the place of those that differ
   * @returns {Promise<Merged>}
   */
  async copyFromFile(file, passphrase, replace) {
    const argument = { file, passphrase: bytes(passphrase), replace };
    const { merged, entries } = await this.ask("copyFromFile", argument);
    this.entries = entries;
    if (merged.added + merged.replaced + merged.completed > 0) this.changes += 1;
    return merged;
  }

  /**
   * @param {string} passphrase
   * @returns {Promise<Bytes>} a keyring file with the same entries
   */
  copyToFile(passphrase) {
    return this.ask("copyToFile", { passphrase: bytes(passphrase) });
  }

  /**
   * The server takes part in it: without its secret nobody can try passwords.
   * @param {"password" | "recovery"} kind
   * @param {string} request
   */
  async #newSlot(kind, request) {
    const { id, ticket, response } = await call(this.account, "POST", `${PATH}/slots`, {
      json: { kind, request },
    });
    const record = await this.ask("finishSlot", { kind, id, response, server: issuer });
    return { ticket, record };
  }

  /** Whether it is not known what the server has stored. */
  get isInDoubt() {
    return this.#unanswered !== undefined;
  }

  /**
   * Finds out whether what had no answer is stored. A content is sent once more, byte for byte, for the server knows
   * it again; a document, which needs a touch, is looked for by its slots.
   * Whoever asks meanwhile gets the same answer.
   * @returns {Promise<Put | undefined>} what was in doubt and is stored
   */
  settle() {
    this.#settling ??= this.#settleOnce().finally(() => {
      this.#settling = undefined;
    });
    return this.#settling;
  }

  /** @returns {Promise<Put | undefined>} */
  async #settleOnce() {
    const put = this.#unanswered;
    if (!put) return undefined;
    if (put.what === "content") {
      await this.#put(put);
      return put;
    }
    const revision = await this.#find(put);
    if (revision === undefined) this.#unanswered = undefined;
    else await this.#isStored(put, revision);
    return revision === undefined ? undefined : put;
  }

  /**
   * @param {Put} put
   * @param {import("../../api.js").Request} [how]
   */
  async #put(put, how = {}) {
    const path = put.what === "content" ? `${PATH}/content` : PATH;
    const headers = { ...how.headers, ...this.#precondition() };
    const request = { ...how, json: put.json, headers };
    const { revision } = await call(this.account, "PUT", path, request).catch((error) => {
      // Only this answer says that what was sent before is not there either.
      if (asProblem(error).kind === "keyring-changed") this.#unanswered = undefined;
      if (mayBeDone(error)) this.#unanswered = put;
      if (asProblem(error).kind !== "offline") throw error;
      throw new Problem("perhaps-stored", { reason: put.attempt ? "passkey" : put.what });
    });
    await this.#isStored(put, revision);
  }

  /**
   * @param {Put} put
   * @param {number} revision
   */
  async #isStored({ what, changes }, revision) {
    this.#unanswered = undefined;
    this.revision = revision;
    this.stored = changes;
    if (what === "document") this.entries = await this.ask("accept", null);
  }

  /**
   * The revision that a document has got, if the server has just its slots: their ids are in no other one. What has
   * come after it would be somebody else's content, and is not overwritten unseen.
   * @param {Put} put
   * @returns {Promise<number | undefined>}
   */
  async #find({ json }) {
    const status = await onlineStatus(this.account);
    const ids = (/** @type {{ id: string }[]} */ slots) => slots.map(({ id }) => id).sort();
    const isThere = ids(status?.slots ?? []).join() === ids(json.document?.slots ?? []).join();
    if (!status || !isThere) return undefined;
    return this.revision > 0 ? this.revision + 1 : status.revision;
  }

  /** Nothing that somebody else stored meanwhile is overwritten. @returns {Record<string, string>} */
  #precondition() {
    return this.revision > 0 ? ifMatch(this.revision) : { "If-None-Match": "*" };
  }
}
