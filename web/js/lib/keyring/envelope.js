// The outer form of a keyring file, version 1: how the key is derived, and the sealed content.
//
//   {"format":"countersign-keyring","version":1,
//    "kdf":{"name":"argon2id","t":3,"m_kib":65536,"p":1,"salt":"…"},
//    "cipher":"A256GCM","nonce":"…","ciphertext":"…"}
//
// The associated data of the ciphertext is this text without white space and without `ciphertext`,
// so nobody without the passphrase can alter any of it unnoticed. It is the format of the command
// line, byte for byte.

import { fromBase64Url, fromUtf8, toBase64Url, toUtf8 } from "./bytes.js";
import { KeyringError } from "./error.js";
import { isObject, parseJson } from "./strict-json.js";

/** @import { Bytes } from "./bytes.js" */
/** @import { Json, JsonObject } from "./strict-json.js" */

/** The largest keyring file that is read or written, in bytes. */
export const MAX_BYTES = 4 * 1024 * 1024;
/** The most memory that a page takes for a derivation, in KiB. The command line takes 1 GiB. */
export const MAX_MEMORY_KIB = 256 * 1024;

const FORMAT = "countersign-keyring";
const VERSION = 1;
const KDF = "argon2id";
const CIPHER = "A256GCM";
/** How every file begins that a program of ours wrote. */
const MARK = `{"format":"${FORMAT}"`;
const SALT_BYTES = 16;
const NONCE_BYTES = 12;

/**
 * How the key is derived from the passphrase (RFC 9106).
 * @typedef {{t: number, m_kib: number, p: number, salt: Bytes}} Derivation
 * @typedef {{derivation: Derivation, nonce: Bytes, ciphertext: Bytes}} Envelope
 */

/** Passes, memory in KiB and lanes: the least and the greatest that the format allows. */
const BOUNDS = /** @type {const} */ ({ t: [1, 16], m_kib: [8 * 1024, 1024 * 1024], p: [1, 16] });

/** @returns {Derivation} the default cost with a fresh salt */
export function newDerivation() {
  const salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES));
  return { t: 3, m_kib: 64 * 1024, p: 1, salt };
}

/**
 * Reads a file. Nothing is derived, and no memory is taken but that of the file.
 * @param {Uint8Array} file
 * @returns {Envelope}
 * @throws {KeyringError}
 */
export function parseEnvelope(file) {
  if (file.length === 0) throw new KeyringError("empty");
  if (file.length > MAX_BYTES) throw new KeyringError("too-large", { mib: MAX_BYTES >> 20 });
  const document = readDocument(file);
  const { kdf } = document;
  const complete =
    hasExactly(document, ["format", "version", "kdf", "cipher", "nonce", "ciphertext"]) &&
    isObject(kdf) &&
    hasExactly(kdf, ["name", "t", "m_kib", "p", "salt"]);
  if (!complete || kdf.name !== KDF || document.cipher !== CIPHER)
    throw new KeyringError("damaged");
  const derivation = {
    t: bounded(kdf, "t"),
    m_kib: bounded(kdf, "m_kib"),
    p: bounded(kdf, "p"),
    salt: decode(kdf.salt, SALT_BYTES),
  };
  const [nonce, ciphertext] = [decode(document.nonce, NONCE_BYTES), decode(document.ciphertext)];
  if (derivation.m_kib > MAX_MEMORY_KIB) {
    const [mib, max] = [Math.ceil(derivation.m_kib / 1024), MAX_MEMORY_KIB / 1024];
    throw new KeyringError("cost-here", { mib, max });
  }
  return { derivation, nonce, ciphertext };
}

/**
 * @param {Envelope} envelope
 * @param {CryptoKey} key
 * @returns {Promise<Bytes>} the content
 * @throws {KeyringError} authenticated encryption cannot tell a wrong passphrase from damage
 */
export async function openEnvelope(envelope, key) {
  try {
    return new Uint8Array(await crypto.subtle.decrypt(cipher(envelope), key, envelope.ciphertext));
  } catch {
    throw new KeyringError("wrong-or-damaged");
  }
}

/**
 * @param {Derivation} derivation
 * @param {CryptoKey} key
 * @param {Bytes} content
 * @returns {Promise<Bytes>} the file
 * @throws {KeyringError}
 */
export async function sealEnvelope(derivation, key, content) {
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  const header = { derivation, nonce };
  const ciphertext = new Uint8Array(await crypto.subtle.encrypt(cipher(header), key, content));
  const fields = headerText(header).slice(0, -1);
  const file = toUtf8(`${fields},"ciphertext":"${toBase64Url(ciphertext)}"}`);
  if (file.length > MAX_BYTES) throw new KeyringError("too-large", { mib: MAX_BYTES >> 20 });
  return file;
}

/** @param {{derivation: Derivation, nonce: Bytes}} header */
function cipher(header) {
  return { name: "AES-GCM", iv: header.nonce, additionalData: toUtf8(headerText(header)) };
}

/**
 * The associated data: every member but the ciphertext, in this order, without white space.
 * @param {{derivation: Derivation, nonce: Bytes}} header
 * @returns {string}
 */
function headerText({ derivation: { t, m_kib, p, salt }, nonce }) {
  return JSON.stringify({
    format: FORMAT,
    version: VERSION,
    kdf: { name: KDF, t, m_kib, p, salt: toBase64Url(salt) },
    cipher: CIPHER,
    nonce: toBase64Url(nonce),
  });
}

/**
 * Format and version come first: a newer version may have other members.
 * @param {Uint8Array} file
 * @returns {JsonObject}
 */
function readDocument(file) {
  /** @type {Json} */
  let document;
  try {
    document = parseJson(fromUtf8(file) ?? "");
  } catch {
    if (fromUtf8(file.subarray(0, MARK.length)) !== MARK) throw new KeyringError("not-a-keyring");
    const last = file.findLast((byte) => !" \t\n\r".includes(String.fromCharCode(byte)));
    throw new KeyringError(last === "}".charCodeAt(0) ? "damaged" : "truncated");
  }
  if (!isObject(document) || document.format !== FORMAT) throw new KeyringError("not-a-keyring");
  const { version } = document;
  if (typeof version === "number" && version > VERSION)
    throw new KeyringError("newer", { version });
  if (version !== VERSION) throw new KeyringError("damaged");
  return document;
}

/**
 * @param {JsonObject} kdf
 * @param {keyof typeof BOUNDS} parameter
 * @returns {number}
 */
function bounded(kdf, parameter) {
  const value = kdf[parameter];
  const [min, max] = BOUNDS[parameter];
  if (typeof value !== "number") throw new KeyringError("damaged");
  if (value < min || value > max) throw new KeyringError("cost", { parameter, value, min, max });
  return value;
}

/**
 * @param {Json | undefined} text base64url
 * @param {number} [length] in bytes
 * @returns {Bytes}
 */
function decode(text, length) {
  const bytes = typeof text === "string" ? fromBase64Url(text) : null;
  if (!bytes || (length !== undefined && bytes.length !== length))
    throw new KeyringError("damaged");
  return bytes;
}

/**
 * @param {JsonObject} object
 * @param {string[]} members
 */
function hasExactly(object, members) {
  const own = Object.keys(object);
  return own.length === members.length && members.every((member) => own.includes(member));
}
