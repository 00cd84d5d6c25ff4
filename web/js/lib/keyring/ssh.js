// Keys of OpenSSH and PuTTY. This page does not read their private halves. The public half beside one is
// not encrypted, and tells whether the command line can use the key.

import { fromBase64, fromUtf8 } from "./bytes.js";
import { KeyringError } from "./error.js";
import { checkRsa } from "./rsa.js";

/** What is refused, by the name that it has in these files. */
const REFUSED = /** @type {Record<string, string>} */ ({
  "ecdsa-sha2-nistp521": "EC P-521",
  "ssh-dss": "DSA",
  "ssh-ed448": "Ed448",
});
const TAKEN = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ssh-rsa"];

const MAGIC = "openssh-key-v1\0";

/** The ciphers that the command line decrypts. */
const CIPHERS =
  /^(none|aes(128|192|256)-(cbc|ctr)|aes(128|256)-gcm@openssh\.com|chacha20-poly1305@openssh\.com)$/;

/** The most rounds of bcrypt that the command line does. */
const MAX_ROUNDS = 4096;

/**
 * Says why a private key file of OpenSSH (PROTOCOL.key) is not read.
 * @param {Uint8Array} file decoded
 * @returns {KeyringError}
 */
export function whyNotOpenSsh(file) {
  return cause(() => {
    const reader = new Reader(file);
    if (reader.text(MAGIC.length) !== MAGIC) throw damaged();
    const cipher = reader.name();
    const kdf = reader.name();
    const options = new Reader(reader.string());
    if (reader.uint32() !== 1) throw damaged();
    checkPublicHalf(reader.string());
    if (!CIPHERS.test(cipher)) throw new KeyringError("key-openssh-cipher");
    if (kdf === "none") return "key-openssh";
    options.string();
    const rounds = options.uint32();
    if (rounds > MAX_ROUNDS)
      throw new KeyringError("key-openssh-rounds", { rounds, max: MAX_ROUNDS });
    return "key-openssh";
  });
}

/**
 * Says why a private key file of PuTTY is not read.
 * @param {string} text
 * @returns {KeyringError}
 */
export function whyNotPutty(text) {
  return cause(() => {
    const [, lines] = /Public-Lines: *\d+\s+([A-Za-z0-9+/=\s]+)(?=\s[A-Za-z-]+:)/.exec(text) ?? [];
    const half = fromBase64((lines ?? "").replace(/\s/g, ""));
    if (!half) throw damaged();
    checkPublicHalf(half);
    return "key-putty";
  });
}

/**
 * @param {() => import("./error.js").KeyringErrorCode} look gives what to say of a key that can be used
 * @returns {KeyringError}
 */
function cause(look) {
  try {
    return new KeyringError(look());
  } catch (error) {
    if (error instanceof KeyringError) return error;
    throw error;
  }
}

/**
 * RFC 4253 §6.6, RFC 5656 §3.1, RFC 8709 §4.
 * @param {Uint8Array} half
 * @throws {KeyringError} when it is not of a key that the command line takes
 */
function checkPublicHalf(half) {
  const reader = new Reader(half);
  const name = reader.name();
  if (!TAKEN.includes(name)) throw new KeyringError("key-kind", { kind: REFUSED[name] ?? name });
  if (name !== "ssh-rsa") return;
  const exponent = reader.string();
  checkRsa(reader.string(), exponent);
}

const damaged = () => new KeyringError("key-damaged");

/** Reads the types of RFC 4251 §5, one after the other. */
class Reader {
  #bytes;
  #at = 0;

  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.#bytes = bytes;
  }

  /** @param {number} length */
  #take(length) {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw damaged();
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  uint32() {
    return this.#take(4).reduce((sum, byte) => sum * 256 + byte, 0);
  }

  string() {
    return this.#take(this.uint32());
  }

  name() {
    const name = fromUtf8(this.string());
    if (!name || !/^[\w.@-]{1,64}$/.test(name)) throw damaged();
    return name;
  }

  /** @param {number} length */
  text(length) {
    return fromUtf8(this.#take(length));
  }
}
