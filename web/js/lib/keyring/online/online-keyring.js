// An open online keyring: its entries, the key of its content, and the slots that wrap this key.

import { Entries } from "../entries.js";
import { KeyringError } from "../error.js";
import {
  newContentKey,
  openContent,
  readDocument,
  sealContent,
  unwrap,
  wrap,
  writeDocument,
} from "./document.js";

/** @import { Bytes } from "../bytes.js" */
/** @import { Content, OnlineDocument, Slot } from "./document.js" */

/**
 * What opens a slot: OPAQUE's export key, or what the passkey's PRF gave.
 * @typedef {{slot: Omit<Slot, "wrapped">, secret: Bytes}} Way
 */

export class OnlineKeyring extends Entries {
  /** @type {Bytes} */
  #contentKey;
  /** @type {Slot[]} */
  #slots;

  /**
   * @param {Bytes} contentKey
   * @param {Slot[]} slots
   */
  constructor(contentKey, slots) {
    super();
    this.#contentKey = contentKey;
    this.#slots = slots;
  }

  /**
   * @param {unknown} document as the server delivers it
   * @param {Pick<Slot, "kind" | "passkey">} which slot
   * @param {Bytes} secret that opens it
   * @returns {Promise<OnlineKeyring>}
   * @throws {KeyringError}
   */
  static async open(document, { kind, passkey }, secret) {
    const read = readDocument(document);
    const slot = read.slots.find((one) => one.kind === kind && one.passkey === passkey);
    if (!slot) throw new KeyringError("online-foreign");
    const contentKey = await unwrap(slot, secret);
    const keyring = new OnlineKeyring(contentKey, read.slots);
    keyring.decode(await openContent(contentKey, read));
    return keyring;
  }

  /**
   * The same entries under a fresh content key: old slots, and contents of old, do not open with it.
   * @param {Entries | null} entries none for a new keyring
   * @param {Way[]} ways
   * @returns {Promise<OnlineKeyring>}
   */
  static async anew(entries, ways) {
    const contentKey = newContentKey();
    const slots = ways.map(({ slot, secret }) => wrap(slot, secret, contentKey));
    const keyring = new OnlineKeyring(contentKey, await Promise.all(slots));
    if (entries) keyring.takeOver(entries);
    return keyring;
  }

  /**
   * The same keyring with one more way to open it.
   * @param {Way} way
   * @returns {Promise<OnlineKeyring>}
   */
  async with({ slot, secret }) {
    const others = this.#slots.filter(({ passkey }) => !passkey || passkey !== slot.passkey);
    const slots = [...others, await wrap(slot, secret, this.#contentKey)];
    const keyring = new OnlineKeyring(this.#contentKey, slots);
    keyring.takeOver(this);
    return keyring;
  }

  /**
   * The entries, sealed under a fresh nonce.
   * @returns {Promise<Content>}
   */
  async seal() {
    const plain = this.encode();
    const content = await sealContent(this.#contentKey, plain);
    plain.fill(0);
    return content;
  }

  /** @returns {Promise<OnlineDocument>} */
  async document() {
    return writeDocument(this.#slots, await this.seal());
  }
}
