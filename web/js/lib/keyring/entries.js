// The entries of an open keyring: what a worker holds, however the keyring is locked. Secrets leave it
// only when somebody asks to see one.

import { KeyringError } from "./error.js";
import { generatePair, importPair, parsePrivateKey, readPublicKey, toPem } from "./keys.js";
import { isLoginObject, readLoginObject, writeLoginObject } from "./login-object.js";
import { merge } from "./merge.js";
import { decodeRecords, encodeRecords, isEntryName, isServer } from "./records.js";

/** @import { Bytes } from "./bytes.js" */
/** @import { KeyType } from "./der.js" */
/** @import { Pair, SigningKey } from "./keys.js" */
/** @import { Merged } from "./merge.js" */
/** @import { KeyringRecord } from "./records.js" */

/**
 * What a page may know of an entry without asking: no secret. Times are seconds since 1970.
 * @typedef {{
 *   name: string, url: string, username: string, accountId: string | null, createdAt: number,
 *   key: {type: KeyType, bits: number | null, thumbprint: string} | null,
 *   serverSidePublicKey: string | null, hasPassword: boolean, tokenExpiresAt: number | null,
 * }} EntryView
 * What is new about an entry after a registration, a login or a logout.
 * @typedef {{
 *   accountId?: string, serverSidePublicKey?: string,
 *   token?: {text: string, expiresAt: number} | null,
 * }} EntryChange
 */

export class Entries {
  /** @type {KeyringRecord[]} */
  #records = [];

  /**
   * Puts what was decrypted in the place of the entries, and wipes it.
   * @param {Bytes} content
   * @throws {KeyringError}
   */
  decode(content) {
    this.#records = decodeRecords(content);
    content.fill(0);
  }

  /** @returns {Bytes} what is to be encrypted, and wiped then */
  encode() {
    return encodeRecords(this.#records);
  }

  /**
   * Takes the entries of another keyring for its own, without their tokens, which belong to the place
   * where they were got.
   * @param {Entries} other
   */
  takeOver(other) {
    this.#records = other.#records.map(withoutTokens);
  }

  /**
   * Adds the entries of another keyring, without their tokens.
   * @param {Entries} other
   * @param {boolean} replace takes the other one where two differ; no private key is lost by it
   * @returns {Merged}
   * @throws {KeyringError} when entries differ and shall not be replaced; nothing is changed then
   */
  merge(other, replace) {
    const { merged, records } = merge(this.#records, other.#records.map(withoutTokens), replace);
    this.#records = records;
    return merged;
  }

  /** @returns {Promise<EntryView[]>} in the order of their addition */
  views() {
    return Promise.all(this.#records.map(view));
  }

  /**
   * Makes a key for an account.
   * @param {{name: string, url: string, username: string, type: KeyType, now: number}} entry
   * @throws {KeyringError}
   */
  async addGenerated({ type, ...entry }) {
    this.#checkNew(entry);
    this.#add(entry, await generatePair(type));
  }

  /**
   * Adds a key that somebody pasted, or the object of a login, which says itself what it is for.
   * @param {{name: string, url: string, username: string, text: string, now: number}} entry
   * @throws {KeyringError}
   */
  async addPasted({ text, ...entry }) {
    if (isLoginObject(text)) {
      this.#checkName(entry.name);
      const { name, now } = entry;
      this.#records.push(await readLoginObject(text, name, now));
      return;
    }
    this.#checkNew(entry);
    this.#add(entry, await parsePrivateKey(text));
  }

  /**
   * @param {{from: string, to: string}} names
   * @throws {KeyringError}
   */
  rename({ from, to }) {
    const record = this.#find(from);
    if (to !== from) this.#checkName(to);
    record.name = to;
  }

  /**
   * @param {{name: string}} entry
   * @throws {KeyringError}
   */
  remove({ name }) {
    this.#records.splice(this.#records.indexOf(this.#find(name)), 1);
  }

  /**
   * @param {{name: string, change: EntryChange}} entry
   * @throws {KeyringError}
   */
  update({ name, change: { accountId, serverSidePublicKey, token } }) {
    const record = this.#find(name);
    if (accountId !== undefined) record.accountId = accountId;
    if (serverSidePublicKey !== undefined) record.serverSidePublicKey = serverSidePublicKey;
    if (token === undefined) return;
    delete record.jwtToken;
    delete record.jwtTokenExpiresAt;
    delete record.askedScope;
    record.dpopNonces = [];
    // Who logs out means all tokens.
    if (token === null) record.resourceTokens = [];
    else Object.assign(record, { jwtToken: token.text, jwtTokenExpiresAt: token.expiresAt });
  }

  /**
   * The key of an entry, to sign with; it is not extractable.
   * @param {{name: string}} entry
   * @returns {Promise<SigningKey>}
   * @throws {KeyringError}
   */
  use({ name }) {
    return importPair(this.#find(name));
  }

  /**
   * A secret, for somebody who asked to see it.
   * @param {{name: string, what: "private-key" | "password" | "login-object"}} secret
   * @returns {Promise<string>}
   * @throws {KeyringError}
   */
  async reveal({ name, what }) {
    const record = this.#find(name);
    if (what === "password") return record.password ?? "";
    await importPair(record);
    return what === "private-key" ? toPem(record) : writeLoginObject(record);
  }

  /**
   * @param {{name: string, url: string, username: string, now: number}} entry
   * @param {Pair} pair
   */
  #add({ name, url, username, now }, pair) {
    this.#records.push({
      name,
      url,
      username,
      ...pair,
      dpopNonces: [],
      resourceTokens: [],
      createdAt: now,
    });
  }

  /** @param {{name: string, url: string, username: string}} entry */
  #checkNew({ name, url, username }) {
    this.#checkName(name);
    if (!isServer(url)) throw new KeyringError("url-invalid");
    if (username === "") throw new KeyringError("username-empty");
  }

  /** @param {string} name */
  #checkName(name) {
    if (!isEntryName(name)) throw new KeyringError("name-invalid");
    if (this.#records.some((record) => record.name === name))
      throw new KeyringError("name-taken", { name });
  }

  /**
   * @param {string} name
   * @returns {KeyringRecord}
   */
  #find(name) {
    const record = this.#records.find((record) => record.name === name);
    if (!record) throw new KeyringError("no-entry", { name });
    return record;
  }
}

/**
 * @param {KeyringRecord} record
 * @returns {KeyringRecord}
 */
function withoutTokens({ jwtToken: _, jwtTokenExpiresAt: _at, askedScope: _scope, ...record }) {
  return { ...record, dpopNonces: [], resourceTokens: [] };
}

/**
 * @param {KeyringRecord} record
 * @returns {Promise<EntryView>}
 */
async function view(record) {
  // An entry whose key cannot be used here is still shown, renamed and removed.
  const key = await readPublicKey(record.clientSidePublicKey).catch(() => null);
  return {
    name: record.name,
    url: record.url,
    username: record.username,
    accountId: record.accountId ?? null,
    createdAt: record.createdAt,
    key: key && { type: key.type, bits: key.bits ?? null, thumbprint: key.thumbprint },
    serverSidePublicKey: record.serverSidePublicKey ?? null,
    hasPassword: record.password !== undefined,
    tokenExpiresAt: record.jwtToken === undefined ? null : (record.jwtTokenExpiresAt ?? null),
  };
}
