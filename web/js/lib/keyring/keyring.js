// An open keyring file: its entries, and the key that it is encrypted with.

import { Entries } from "./entries.js";
import { newDerivation, openEnvelope, parseEnvelope, sealEnvelope } from "./envelope.js";
import { checkPassphrase } from "./passphrase.js";

/** @import { Bytes } from "./bytes.js" */
/** @import { Derivation } from "./envelope.js" */

/** @typedef {(passphrase: Uint8Array, derivation: Derivation) => Promise<CryptoKey>} Derive */

export class Keyring extends Entries {
  /** @type {Derivation} */
  #derivation;
  /** @type {CryptoKey} */
  #key;

  /**
   * @param {Derivation} derivation
   * @param {CryptoKey} key
   */
  constructor(derivation, key) {
    super();
    this.#derivation = derivation;
    this.#key = key;
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
    const keyring = new Keyring(envelope.derivation, key);
    keyring.decode(await openEnvelope(envelope, key));
    return keyring;
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
    return new Keyring(derivation, await derive(passphrase, derivation));
  }

  /**
   * The text of the file, under a fresh nonce.
   * @returns {Promise<Bytes>}
   * @throws {KeyringError}
   */
  async seal() {
    const content = this.encode();
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
}
