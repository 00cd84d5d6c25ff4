// The online keyring as the server has it: keyring documents of version 2. The content is sealed under
// a random key, and each slot wraps that key for one way to open the keyring.
//
//   {"format":"countersign-keyring","version":2,
//    "slots":[{"id":"…","kind":"password","wrapped":"…"},
//             {"id":"…","kind":"recovery","wrapped":"…"},
//             {"id":"…","kind":"prf","passkey":"…","salt":"…","wrapped":"…"}],
//    "cipher":"A256GCM","nonce":"…","ciphertext":"…"}
//
// The command line makes and opens the same (`countersign_client::online_keyring`).

import { fromBase64Url, toBase64Url, toUtf8 } from "../bytes.js";
import { KeyringError } from "../error.js";
import { isObject } from "../strict-json.js";

/** @import { Bytes } from "../bytes.js" */
/** @import { JsonObject } from "../strict-json.js" */

const FORMAT = "countersign-keyring";
const VERSION = 2;
const CIPHER = "A256GCM";
/** Lengths in bytes. A wrapped key is nonce, key and tag. */
const ID_BYTES = 16;
const SALT_BYTES = 32;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const WRAPPED_BYTES = NONCE_BYTES + KEY_BYTES + TAG_BYTES;
const MAX_SLOTS = 20;

const CONTENT = "countersign keyring v2 content";
const SLOT = "countersign keyring v2 slot";
const KEY = "countersign keyring v2";

/**
 * @typedef {"password" | "recovery" | "prf"} SlotKind
 * One way to open the keyring. All texts are base64url; `passkey` (a credential id) and `salt` (the
 * input of its PRF) are there if `kind` is `prf`.
 * @typedef {{id: string, kind: SlotKind, passkey?: string, salt?: string, wrapped: string}} Slot
 * @typedef {{nonce: string, ciphertext: string}} Content sealed, in base64url
 * @typedef {Content & {format: string, version: number, slots: Slot[], cipher: string}} OnlineDocument
 */

/** The members of each kind of slot. @type {Record<string, string[]>} */
const SLOT_MEMBERS = {
  password: ["id", "kind", "wrapped"],
  recovery: ["id", "kind", "wrapped"],
  prf: ["id", "kind", "passkey", "salt", "wrapped"],
};

/**
 * Checks the form of a document: exactly the members that the format has, and nothing twice.
 * @param {unknown} value
 * @returns {OnlineDocument}
 * @throws {KeyringError}
 */
export function readDocument(value) {
  const document = /** @type {any} */ (value);
  if (!isObject(document) || document.format !== FORMAT) throw new KeyringError("online-damaged");
  const { version, slots } = document;
  if (typeof version === "number" && version > VERSION)
    throw new KeyringError("newer", { version });
  const complete =
    hasExactly(document, ["format", "version", "slots", "cipher", "nonce", "ciphertext"]) &&
    version === VERSION &&
    document.cipher === CIPHER &&
    isOfBytes(document.nonce, NONCE_BYTES) &&
    bytesOf(document.ciphertext) !== null &&
    Array.isArray(slots) &&
    slots.length > 0 &&
    slots.length <= MAX_SLOTS &&
    slots.every(isSlot);
  if (!complete) throw new KeyringError("online-damaged");
  const read = /** @type {OnlineDocument} */ (/** @type {unknown} */ (document));
  const ids = new Set(read.slots.map(({ id }) => id));
  const ways = new Set(read.slots.map(({ kind, passkey = "" }) => `${kind} ${passkey}`));
  if (ids.size !== slots.length || ways.size !== slots.length)
    throw new KeyringError("online-damaged");
  return read;
}

/**
 * @param {Slot[]} slots
 * @param {Content} content
 * @returns {OnlineDocument}
 */
export function writeDocument(slots, { nonce, ciphertext }) {
  return { format: FORMAT, version: VERSION, slots, cipher: CIPHER, nonce, ciphertext };
}

/** @param {unknown} slot */
function isSlot(slot) {
  const candidate = /** @type {any} */ (slot);
  if (!isObject(candidate)) return false;
  const { id, kind, passkey, salt, wrapped } = candidate;
  const members = typeof kind === "string" && Object.hasOwn(SLOT_MEMBERS, kind);
  return (
    members &&
    hasExactly(candidate, SLOT_MEMBERS[kind] ?? []) &&
    isOfBytes(id, ID_BYTES) &&
    isOfBytes(wrapped, WRAPPED_BYTES) &&
    (kind !== "prf" || (Boolean(bytesOf(passkey)?.length) && isOfBytes(salt, SALT_BYTES)))
  );
}

/** @param {unknown} text */
const bytesOf = (text) => (typeof text === "string" ? fromBase64Url(text) : null);

/**
 * @param {unknown} text
 * @param {number} length
 */
const isOfBytes = (text, length) => bytesOf(text)?.length === length;

/**
 * @param {JsonObject} object
 * @param {string[]} members
 */
function hasExactly(object, members) {
  const own = Object.keys(object);
  return own.length === members.length && members.every((member) => own.includes(member));
}

// ---- Keys

/** A fresh content key. */
export const newContentKey = () => crypto.getRandomValues(new Uint8Array(KEY_BYTES));

/** A fresh id for the slot of a passkey, and the input of its PRF. */
export const newPasskeySlot = () => ({
  id: toBase64Url(crypto.getRandomValues(new Uint8Array(ID_BYTES))),
  salt: toBase64Url(crypto.getRandomValues(new Uint8Array(SALT_BYTES))),
});

/**
 * The content key, wrapped for a slot.
 * @param {Omit<Slot, "wrapped">} slot
 * @param {Bytes} secret OPAQUE's export key, or what the passkey's PRF gave
 * @param {Bytes} contentKey
 * @returns {Promise<Slot>}
 */
export async function wrap(slot, secret, contentKey) {
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  const key = await wrappingKey(slot, secret);
  const sealed = new Uint8Array(await crypto.subtle.encrypt(inSlot(slot, nonce), key, contentKey));
  return { ...slot, wrapped: toBase64Url(new Uint8Array([...nonce, ...sealed])) };
}

/**
 * @param {Slot} slot
 * @param {Bytes} secret as in `wrap`
 * @returns {Promise<Bytes>} the content key
 * @throws {KeyringError} when the slot was made with another secret
 */
export async function unwrap(slot, secret) {
  const wrapped = /** @type {Bytes} */ (fromBase64Url(slot.wrapped));
  const [nonce, sealed] = [wrapped.subarray(0, NONCE_BYTES), wrapped.subarray(NONCE_BYTES)];
  const key = await wrappingKey(slot, secret);
  return decrypted(inSlot(slot, nonce), key, sealed);
}

/**
 * HKDF with SHA-256 (RFC 5869): the id is the salt, the kind is in the label.
 * @param {Omit<Slot, "wrapped">} slot
 * @param {Bytes} secret
 */
async function wrappingKey({ id, kind }, secret) {
  const input = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveKey"]);
  const salt = /** @type {Bytes} */ (fromBase64Url(id));
  const derivation = { name: "HKDF", hash: "SHA-256", salt, info: toUtf8(`${KEY} ${kind}`) };
  const type = { name: "AES-GCM", length: 256 };
  return crypto.subtle.deriveKey(derivation, input, type, false, ["encrypt", "decrypt"]);
}

/**
 * @param {Omit<Slot, "wrapped">} slot
 * @param {Bytes} iv
 */
const inSlot = ({ id, kind }, iv) => ({
  name: "AES-GCM",
  iv,
  additionalData: toUtf8(`${SLOT} ${kind} ${id}`),
});

// ---- Content

/**
 * @param {Bytes} contentKey
 * @param {Bytes} plain
 * @returns {Promise<Content>} under a fresh nonce
 */
export async function sealContent(contentKey, plain) {
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  const key = await contentCipher(contentKey);
  const ciphertext = await crypto.subtle.encrypt(inContent(nonce), key, plain);
  return { nonce: toBase64Url(nonce), ciphertext: toBase64Url(new Uint8Array(ciphertext)) };
}

/**
 * @param {Bytes} contentKey
 * @param {Content} content
 * @returns {Promise<Bytes>}
 * @throws {KeyringError}
 */
export async function openContent(contentKey, { nonce, ciphertext }) {
  const iv = /** @type {Bytes} */ (fromBase64Url(nonce));
  const sealed = /** @type {Bytes} */ (fromBase64Url(ciphertext));
  return decrypted(inContent(iv), await contentCipher(contentKey), sealed);
}

/** @param {Bytes} contentKey */
const contentCipher = (contentKey) =>
  crypto.subtle.importKey("raw", contentKey, "AES-GCM", false, ["encrypt", "decrypt"]);

/** @param {Bytes} iv */
const inContent = (iv) => ({ name: "AES-GCM", iv, additionalData: toUtf8(CONTENT) });

/**
 * @param {AesGcmParams} how
 * @param {CryptoKey} key
 * @param {Bytes} sealed
 */
async function decrypted(how, key, sealed) {
  try {
    return new Uint8Array(await crypto.subtle.decrypt(how, key, sealed));
  } catch {
    throw new KeyringError("online-foreign");
  }
}
