// As much of DER (ITU-T X.690) as the wrapping of private keys needs.

import { sameBytes } from "./bytes.js";

/** @import { Bytes } from "./bytes.js" */

const INTEGER = 0x02;
const OCTET_STRING = 0x04;
const IDENTIFIER = 0x06;
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

/** Kinds of keys, and curves, that the server does not take, by their object identifiers. */
const REFUSED = /** @type {Record<string, string>} */ ({
  "1.2.840.10040.4.1": "DSA",
  "1.2.840.113549.1.1.10": "RSA-PSS",
  "1.2.840.113549.1.3.1": "Diffie-Hellman",
  "1.3.101.110": "X25519",
  "1.3.101.111": "X448",
  "1.3.101.113": "Ed448",
  "1.3.132.0.10": "EC secp256k1",
  "1.3.132.0.33": "EC P-224",
  "1.3.132.0.35": "EC P-521",
});

/** id-ecPublicKey (RFC 5480 §2.1.1). */
const EC = "1.2.840.10045.2.1";

/** Ed25519, P-256, P-384 and RSA: where one of them is not taken, something else is wrong with it. */
const TAKEN = ["1.3.101.112", "1.2.840.10045.3.1.7", "1.3.132.0.34", "1.2.840.113549.1.1.1"];

/**
 * What DER is that no private key of a supported kind is. `explicit` is an EC key that spells out its
 * curve. `kind` is the name of a kind that is not supported.
 * @typedef {"private" | "public" | "certificate" | "encrypted" | "explicit" | "unknown"} Form
 */

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
 * Tells what DER is that {@link toPkcs8} does not take.
 * @param {Bytes} der
 * @returns {{form: Form, kind?: string | undefined}}
 */
export function kindOfKey(der) {
  const outer = whole(der, SEQUENCE);
  if (!outer) return { form: der[0] === SEQUENCE ? "private" : "unknown" };
  const version = element(outer, INTEGER);
  if (!version) return { form: formWithoutVersion(outer) };
  const algorithm = element(version.rest, SEQUENCE);
  if (algorithm) return refused(algorithm.content);
  const secret = element(version.rest, OCTET_STRING);
  const curve = secret && element(secret.rest, CONTEXT_0);
  if (!curve) return { form: "private" };
  return curve.content[0] === SEQUENCE
    ? { form: "explicit" }
    : { form: "private", kind: nameOf(element(curve.content, IDENTIFIER)) };
}

/**
 * The modulus and the exponent of an RSA key.
 * @param {Bytes} pkcs8
 * @returns {[Bytes, Bytes] | null}
 */
export function rsaNumbers(pkcs8) {
  const version = element(whole(pkcs8, SEQUENCE) ?? pkcs8, INTEGER);
  const algorithm = version && element(version.rest, SEQUENCE);
  const key = algorithm && element(algorithm.rest, OCTET_STRING);
  const numbers = key && whole(key.content, SEQUENCE);
  const first = numbers && element(numbers, INTEGER);
  const modulus = first && element(first.rest, INTEGER);
  const exponent = modulus && element(modulus.rest, INTEGER);
  return exponent ? [modulus.content, exponent.content] : null;
}

/**
 * @param {Bytes} outer the content of a sequence that does not begin with a version
 * @returns {Form}
 */
function formWithoutVersion(outer) {
  const first = element(outer, SEQUENCE);
  if (!first) return "unknown";
  const [inner, next] = [first.content[0], first.rest[0]];
  if (inner === IDENTIFIER) return next === OCTET_STRING ? "encrypted" : "public";
  return inner === CONTEXT_0 || inner === INTEGER ? "certificate" : "unknown";
}

/**
 * @param {Bytes} algorithm the content of an AlgorithmIdentifier
 * @returns {{form: Form, kind?: string | undefined}}
 */
function refused(algorithm) {
  const identifier = element(algorithm, IDENTIFIER);
  if (!identifier) return { form: "private" };
  if (dotted(identifier.content) !== EC) return { form: "private", kind: nameOf(identifier) };
  if (identifier.rest[0] === SEQUENCE) return { form: "explicit" };
  return { form: "private", kind: nameOf(element(identifier.rest, IDENTIFIER)) };
}

/** @param {Element | null} identifier */
function nameOf(identifier) {
  if (!identifier) return undefined;
  const name = dotted(identifier.content);
  return TAKEN.includes(name) ? undefined : (REFUSED[name] ?? name);
}

/**
 * An object identifier with dots (X.690 §8.19). Its first byte stands for two numbers.
 * @param {Uint8Array} content
 */
function dotted(content) {
  const numbers = [];
  let number = 0;
  for (const byte of content) {
    number = number * 128 + (byte & 0x7f);
    if (byte >= 0x80) continue;
    numbers.push(number);
    number = 0;
  }
  const [first = 0, ...rest] = numbers;
  const top = Math.min(Math.floor(first / 40), 2);
  return [top, first - 40 * top, ...rest].join(".");
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
