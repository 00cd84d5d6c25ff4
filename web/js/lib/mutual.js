// Mutual login: the server proves itself with a number under a key that it made for this account
// alone, and only then the page signs that number.
//
// The server's proof is RSA in its raw form: PKCS#1 v1.5 padding of block type 1 around the digits
// (RFC 2313 §8.1), which WebCrypto does not verify. With 17 multiplications BigInt does.

import { sign } from "./jose.js";
import { fromBase64, fromBase64Url, toBase64 } from "./keyring/bytes.js";

/** @import { BrowserKey } from "./jose.js" */

/** Decimal digits of a number, the first of which is 1. */
const DIGITS = 52;
/** Octets `FF` that the padding has at least. */
const MIN_PADDING = 8;

/** The challenge was not made by the server that the account was registered at. */
export class ServerUnproven extends Error {
  constructor() {
    super("the server did not prove itself");
    this.name = "ServerUnproven";
  }
}

/**
 * A number that the server has proven to be its own. Nothing else is ever signed: it has a form
 * that no message of another protocol has.
 */
export class VerifiedNumber {
  /** @type {string} */
  #digits;

  /**
   * @param {string} challenge base64, as the server sent it
   * @param {{n: string, e: string}} serverKey the RSA key that the server gave at registration, as JWK
   * @throws {ServerUnproven}
   */
  constructor(challenge, serverKey) {
    const block = fromBase64(challenge);
    const message = block && recover(block, serverKey);
    if (!message || !new RegExp(`^1[0-9]{${DIGITS - 1}}$`).test(message))
      throw new ServerUnproven();
    this.#digits = message;
  }

  /**
   * The body of the answer: a signature of the digits, with the digits beside it.
   * @param {BrowserKey} key
   * @returns {Promise<{ proposal: string, number: string }>}
   */
  async propose(key) {
    const signature = await sign(key, this.#digits);
    return { proposal: toBase64(new Uint8Array(signature)), number: this.#digits };
  }
}

/**
 * The text in a block under the private half of a key.
 * @param {Uint8Array} block
 * @param {{n: string, e: string}} key
 * @returns {string | null} null when the key did not make the block, or padded it in another way
 */
function recover(block, { n, e }) {
  const [modulus, exponent] = [toNumber(fromBase64Url(n)), toNumber(fromBase64Url(e))];
  const length = Math.ceil(modulus.toString(16).length / 2);
  const value = toNumber(block);
  if (block.length !== length || value >= modulus) return null;
  const padded = toBytes(power(value, exponent, modulus), length);
  const end = padded.indexOf(0, 2);
  const padding = padded.subarray(2, end);
  const isPadded = padded[0] === 0 && padded[1] === 1 && padding.every((byte) => byte === 0xff);
  if (!isPadded || end < 0 || padding.length < MIN_PADDING) return null;
  return String.fromCharCode(...padded.subarray(end + 1));
}

/**
 * @param {bigint} base
 * @param {bigint} exponent
 * @param {bigint} modulus
 * @returns {bigint}
 */
function power(base, exponent, modulus) {
  let result = 1n;
  for (let [square, rest] = [base, exponent]; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % modulus;
    square = (square * square) % modulus;
  }
  return result;
}

/** @param {Uint8Array | null} bytes big-endian */
function toNumber(bytes) {
  const hex = [...(bytes ?? [])].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return BigInt(`0x${hex || "0"}`);
}

/**
 * @param {bigint} number
 * @param {number} length
 * @returns {Uint8Array} big-endian
 */
function toBytes(number, length) {
  const hex = number.toString(16).padStart(length * 2, "0");
  return Uint8Array.from({ length }, (_, at) => Number.parseInt(hex.slice(at * 2, at * 2 + 2), 16));
}
