// The entries of a keyring, as they are written: only ever encrypted. The command line reads the
// same members in the same order (`crates/client/src/keyring/entry.rs`).

import { fromUtf8, toUtf8 } from "./bytes.js";
import { KeyringError } from "./error.js";
import { isObject, parseJson } from "./strict-json.js";

/** @import { Bytes } from "./bytes.js" */
/** @import { Json, JsonObject } from "./strict-json.js" */

/**
 * Keys are base64 of DER (PKCS#8 and SPKI), times are seconds since 1970.
 * @typedef {{
 *   name: string, url: string, username: string, accountId?: string,
 *   clientSidePrivateKey: string, clientSidePublicKey: string, serverSidePublicKey?: string,
 *   password?: string, jwtToken?: string, jwtTokenExpiresAt?: number, dpopNonces: SeenNonce[],
 *   askedScope?: string, resourceTokens: ResourceToken[], createdAt: number,
 * }} KeyringRecord
 * @typedef {{origin: string, nonce: string}} SeenNonce
 * @typedef {{
 *   resource: string, jwtToken: string, jwtTokenExpiresAt: number, dpopNonces: SeenNonce[],
 *   askedScope?: string,
 * }} ResourceToken
 */

/** The greatest number of characters of an entry's name. */
export const MAX_NAME_CHARS = 64;

/**
 * A member: its name, how it is read, and whether it may be missing.
 * @typedef {[name: string, read: (value: Json | undefined) => unknown, optional?: "optional"]} Member
 */

/** @type {Member[]} */
const SEEN_NONCE = [
  ["origin", text],
  ["nonce", text],
];
/** @type {Member[]} */
const RESOURCE_TOKEN = [
  ["resource", text],
  ["jwtToken", text],
  ["jwtTokenExpiresAt", seconds],
  ["dpopNonces", list(SEEN_NONCE)],
  ["askedScope", text, "optional"],
];
/** In the order in which they are written. @type {Member[]} */
const RECORD = [
  ["name", entryName],
  ["url", text],
  ["username", text],
  ["accountId", text, "optional"],
  ["clientSidePrivateKey", text],
  ["clientSidePublicKey", text],
  ["serverSidePublicKey", text, "optional"],
  ["password", text, "optional"],
  ["jwtToken", text, "optional"],
  ["jwtTokenExpiresAt", seconds, "optional"],
  ["dpopNonces", list(SEEN_NONCE)],
  ["askedScope", text, "optional"],
  ["resourceTokens", list(RESOURCE_TOKEN)],
  ["createdAt", seconds],
];

/**
 * @param {Uint8Array} content what was decrypted
 * @returns {KeyringRecord[]}
 * @throws {KeyringError} of code `content`; it quotes nothing, for the values are secrets
 */
export function decodeRecords(content) {
  /** @type {Json} */
  let parsed;
  try {
    parsed = parseJson(fromUtf8(content) ?? "");
  } catch {
    throw new KeyringError("content");
  }
  if (!Array.isArray(parsed)) throw new KeyringError("content");
  const records = parsed.map((value) => /** @type {KeyringRecord} */ (read(value, RECORD)));
  const names = new Set(records.map((record) => record.name));
  if (names.size !== records.length) throw new KeyringError("content");
  return records;
}

/**
 * @param {KeyringRecord[]} records
 * @returns {Bytes} what the command line would write, byte for byte
 */
export function encodeRecords(records) {
  return toUtf8(JSON.stringify(records.map((record) => write(record, RECORD))));
}

/**
 * 1 to 64 characters, none of them a control character, no white space at either end.
 * @param {string} name
 * @returns {boolean}
 */
export function isEntryName(name) {
  const chars = [...name].length;
  return (
    chars > 0 &&
    chars <= MAX_NAME_CHARS &&
    !/^\p{White_Space}|\p{White_Space}$|\p{Cc}|\p{Surrogate}/u.test(name)
  );
}

/**
 * Whether a text is the address of a server.
 * @param {string} text
 * @returns {boolean}
 */
export function isServer(text) {
  const url = URL.canParse(text) ? new URL(text) : null;
  return (
    url !== null && /^https?:$/.test(url.protocol) && !url.hash && !url.search && !url.username
  );
}

/**
 * @param {Json | undefined} value
 * @param {Member[]} members
 */
function read(value, members) {
  if (!isObject(value)) throw new KeyringError("content");
  const known = members.map(([name]) => name);
  if (Object.keys(value).some((name) => !known.includes(name))) throw new KeyringError("content");
  /** @type {Record<string, unknown>} */
  const record = {};
  for (const [name, readMember, optional] of members) {
    // As the command line reads it: a member that may be missing may be null.
    if (optional && (value[name] === undefined || value[name] === null)) continue;
    record[name] = readMember(value[name]);
  }
  return record;
}

/**
 * Members in their order; what is missing, and lists without elements, are left out.
 * @param {Record<string, any>} record
 * @param {Member[]} members
 */
function write(record, members) {
  /** @type {Record<string, unknown>} */
  const written = {};
  for (const [name] of members) {
    const value = record[name];
    if (value === undefined) continue;
    if (!Array.isArray(value)) written[name] = value;
    else if (value.length > 0)
      written[name] = value.map((element) => write(element, ELEMENTS[name] ?? []));
  }
  return written;
}

/** @type {Record<string, Member[]>} */
const ELEMENTS = { dpopNonces: SEEN_NONCE, resourceTokens: RESOURCE_TOKEN };

/** @param {Json | undefined} value */
function text(value) {
  if (typeof value !== "string") throw new KeyringError("content");
  return value;
}

/** @param {Json | undefined} value */
function entryName(value) {
  const name = text(value);
  if (!isEntryName(name)) throw new KeyringError("content");
  return name;
}

/** @param {Json | undefined} value */
function seconds(value) {
  if (typeof value !== "number" || value < 0) throw new KeyringError("content");
  return value;
}

/**
 * @param {Member[]} members of each element
 * @returns {(value: Json | undefined) => unknown}
 */
function list(members) {
  return (value) => {
    if (value === undefined) return [];
    if (!Array.isArray(value)) throw new KeyringError("content");
    return value.map((element) => read(element, members));
  };
}
