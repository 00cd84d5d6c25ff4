// As much of DER (ITU-T X.690) as the wrapping of private keys needs.

import { sameBytes } from "./bytes.js";

/** @import { Bytes } from "./bytes.js" */

const INTEGER = 0x02;
const OCTET_STRING = 0x04;
const SEQUENCE = 0x30;
const CONTEXT_0 = 0xa0;

/** What follows the tag and length of an AlgorithmIdentifier (RFC 3279, RFC 5480, RFC 8410). */
const ALGORITHMS = /** @type {const} */ ({
  Ed25519: [0x06, 0x03, 0x2b, 0x65, 0x70],
  "P-256": [
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
    0x03, 0x01, 0x07,
  ],
  "P-384": [
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22,
  ],
  RSA: [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00],
});

/** @typedef {keyof typeof ALGORITHMS} KeyType */

/**
 * @typedef {{tag: number, content: Bytes, rest: Bytes}} Element
 */

/**
 * The kind of key in a SubjectPublicKeyInfo (RFC 5280 §4.1).
 * @param {Bytes} der
 * @returns {KeyType | null}
 */
export function typeOfPublicKey(der) {
  const outer = whole(der, SEQUENCE);
  const algorithm = outer && element(outer, SEQUENCE);
  return algorithm ? typeOf(algorithm.content) : null;
}

/**
 * A private key as PKCS#8 (RFC 5958), with its kind. RFC 5915 and RFC 8017 keys are wrapped.
 * @param {Bytes} der
 * @returns {{type: KeyType, pkcs8: Bytes} | null}
 */
export function toPkcs8(der) {
  const outer = whole(der, SEQUENCE);
  const version = outer && element(outer, INTEGER);
  if (!version) return null;
  const second = version.rest[0];
  if (second === SEQUENCE) {
    const type = typeOf(element(version.rest, SEQUENCE)?.content);
    return type && { type, pkcs8: der };
  }
  if (second === INTEGER) return { type: "RSA", pkcs8: wrap("RSA", der) };
  const secret = element(version.rest, OCTET_STRING);
  const curve = secret && element(secret.rest, CONTEXT_0);
  if (!curve) return null;
  for (const type of /** @type {const} */ (["P-256", "P-384"])) {
    // The curve is the second of the two identifiers.
    const identifier = new Uint8Array(ALGORITHMS[type].slice(9));
    if (sameBytes(curve.content, identifier)) return { type, pkcs8: wrap(type, der) };
  }
  return null;
}

/**
 * @param {Uint8Array | undefined} identifiers
 * @returns {KeyType | null}
 */
function typeOf(identifiers) {
  if (!identifiers) return null;
  const types = /** @type {KeyType[]} */ (Object.keys(ALGORITHMS));
  return types.find((type) => sameBytes(identifiers, new Uint8Array(ALGORITHMS[type]))) ?? null;
}

/**
 * @param {KeyType} type
 * @param {Uint8Array} key
 * @returns {Bytes}
 */
function wrap(type, key) {
  const version = [INTEGER, 1, 0];
  const algorithm = encode(SEQUENCE, ALGORITHMS[type]);
  return encode(SEQUENCE, [...version, ...algorithm, ...encode(OCTET_STRING, [...key])]);
}

/**
 * @param {number} tag
 * @param {readonly number[]} content
 * @returns {Bytes}
 */
function encode(tag, content) {
  const { length } = content;
  const header =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return new Uint8Array([tag, ...header, ...content]);
}

/**
 * The content of the one element that there is.
 * @param {Bytes} der
 * @param {number} tag
 */
function whole(der, tag) {
  const only = element(der, tag);
  return only && only.rest.length === 0 ? only.content : null;
}

/**
 * @param {Bytes} der
 * @param {number} tag
 * @returns {Element | null} the first element, if it has that tag
 */
function element(der, tag) {
  if (der.length < 2 || der[0] !== tag) return null;
  const first = /** @type {number} */ (der[1]);
  const more = first < 0x80 ? 0 : first - 0x80;
  if (first === 0x80 || more > 2 || der.length < 2 + more) return null;
  const length =
    more === 0 ? first : der.subarray(2, 2 + more).reduce((sum, byte) => sum * 256 + byte, 0);
  const start = 2 + more;
  if (der.length < start + length) return null;
  return { tag, content: der.subarray(start, start + length), rest: der.subarray(start + length) };
}
