// An open keyring: what the worker holds. Its secrets leave it only when somebody asks to see one.

import { newDerivation, openEnvelope, parseEnvelope, sealEnvelope } from "./envelope.js";
import { KeyringError } from "./error.js";
import { generatePair, importPair, parsePrivateKey, readPublicKey, toPem } from "./keys.js";
import { isLoginObject, readLoginObject, writeLoginObject } from "./login-object.js";
import { decodeRecords, encodeRecords, isEntryName, isServer } from "./records.js";

/** @import { Bytes } from "./bytes.js" */
/** @import { KeyType } from "./der.js" */
/** @import { Derivation } from "./envelope.js" */
/** @import { Pair, SigningKey } from "./keys.js" */
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
 * @typedef {(passphrase: Uint8Array, derivation: Derivation) => Promise<CryptoKey>} Derive
 */

/** The shortest and the longest passphrase that a page works with, in bytes of UTF-8. */
export const PASSPHRASE_BYTES = { min: 8, max: 1024 };

export class Keyring {
  /** @type {Derivation} */
  #derivation;
  /** @type {CryptoKey} */
  #key;
  /** @type {KeyringRecord[]} */
  #records;

  /**
   * @param {Derivation} derivation
   * @param {CryptoKey} key
   * @param {KeyringRecord[]} records
   */
  constructor(derivation, key, records) {
    this.#derivation = derivation;
    this.#key = key;
    this.#records = records;
  }

  /**
   * Opens a file. Nothing is derived before its form was found good.
   * @param {Uint8Array} file
   * @param {Uint8Array} passphrase wiped afterwards
   * @param {Derive} derive
   * @returns {Promise<Keyring>}
   * @throws {KeyringError}
   */
  static async open(file, passphrase, derive) {
    const envelope = parseEnvelope(file);
    checkPassphrase(passphrase);
    const key = await derive(passphrase, envelope.derivation);
    const content = await openEnvelope(envelope, key);
    const records = decodeRecords(content);
    content.fill(0);
    return new Keyring(envelope.derivation, key, records);
  }

  /**
   * @param {Uint8Array} passphrase wiped afterwards
   * @param {Derive} derive
   * @returns {Promise<Keyring>} empty, at the default cost
   * @throws {KeyringError}
   */
  static async create(passphrase, derive) {
    checkPassphrase(passphrase);
    const derivation = newDerivation();
    return new Keyring(derivation, await derive(passphrase, derivation), []);
  }

  /**
   * The text of the file, under a fresh nonce.
   * @returns {Promise<Bytes>}
   * @throws {KeyringError}
   */
  async seal() {
    const content = encodeRecords(this.#records);
    const file = await sealEnvelope(this.#derivation, this.#key, content);
    content.fill(0);
    return file;
  }

  /**
   * A fresh salt, the default cost. Older copies of the file still open with the old passphrase.
   * @param {Uint8Array} passphrase wiped afterwards
   * @param {Derive} derive
   * @throws {KeyringError}
   */
  async changePassphrase(passphrase, derive) {
    checkPassphrase(passphrase);
    const derivation = newDerivation();
    this.#key = await derive(passphrase, derivation);
    this.#derivation = derivation;
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

/** @param {Uint8Array} passphrase */
function checkPassphrase({ length }) {
  const { min, max } = PASSPHRASE_BYTES;
  if (length === 0) throw new KeyringError("passphrase-empty");
  if (length < min) throw new KeyringError("passphrase-short", { min });
  if (length > max) throw new KeyringError("passphrase-long", { max });
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
