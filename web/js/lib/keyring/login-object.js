// The JSON object in which other programs keep a login whose server proves itself too. The command
// line writes and reads the same (`countersign keyring export --json`, `keyring import`).

import { fromBase64Url, fromUtf8 } from "./bytes.js";
import { KeyringError } from "./error.js";
import { importPair, parseObject, readPublicKey } from "./keys.js";
import { isServer } from "./records.js";
import { isObject, parseJson } from "./strict-json.js";

/** @import { KeyringRecord } from "./records.js" */

const MEMBERS = /** @type {const} */ ([
  "url",
  "username",
  "clientSidePublicKey",
  "clientSidePrivateKey",
  "serverSidePublicKey",
  "jwtToken",
]);

/**
 * Whether a text is such an object and not a key alone.
 * @param {string} text
 * @returns {boolean}
 */
export function isLoginObject(text) {
  return text.trimStart().startsWith("{") && text.includes('"clientSidePrivateKey"');
}

/**
 * @param {KeyringRecord} record with a key of the server
 * @returns {string}
 * @throws {KeyringError}
 */
export function writeLoginObject(record) {
  if (record.serverSidePublicKey === undefined) throw new KeyringError("login-object");
  const values = MEMBERS.map((name) => [name, record[name] ?? ""]);
  return `${JSON.stringify(Object.fromEntries(values), null, 2)}\n`;
}

/**
 * All six members must be there, and no others.
 * @param {string} text
 * @param {string} name of the new entry
 * @param {number} now in seconds since 1970
 * @returns {Promise<KeyringRecord>}
 * @throws {KeyringError}
 */
export async function readLoginObject(text, name, now) {
  const object = parseObject(text);
  const complete =
    Object.keys(object).length === MEMBERS.length &&
    MEMBERS.every((member) => typeof object[member] === "string");
  if (!complete) throw new KeyringError("login-object");
  const {
    url,
    username,
    jwtToken,
    serverSidePublicKey,
    clientSidePublicKey,
    clientSidePrivateKey,
  } = /** @type {Record<typeof MEMBERS[number], string>} */ (/** @type {unknown} */ (object));
  if (!isServer(url)) throw new KeyringError("url-invalid");
  if (username === "") throw new KeyringError("username-empty");
  const { thumbprint } = await importPair({ clientSidePublicKey, clientSidePrivateKey });
  await readPublicKey(serverSidePublicKey);
  const pair = { clientSidePrivateKey, clientSidePublicKey, serverSidePublicKey };
  const record = {
    name,
    url,
    username,
    ...pair,
    dpopNonces: [],
    resourceTokens: [],
    createdAt: now,
  };
  if (jwtToken === "") return record;
  return { ...record, jwtToken, jwtTokenExpiresAt: endOf(jwtToken, thumbprint) };
}

/**
 * When a token ends. Servers verify it; here it only must be one that the key can use.
 * @param {string} token
 * @param {string} thumbprint of the key that it must be bound to
 * @returns {number} in seconds since 1970
 * @throws {KeyringError}
 */
export function endOf(token, thumbprint) {
  const payload = fromBase64Url(token.split(".")[1] ?? "");
  try {
    const claims = parseJson((payload && fromUtf8(payload)) ?? "");
    const cnf = isObject(claims) ? claims.cnf : undefined;
    const exp = isObject(claims) ? claims.exp : undefined;
    if (isObject(cnf) && cnf.jkt === thumbprint && typeof exp === "number") return exp;
  } catch {
    // Told below.
  }
  throw new KeyringError("token-foreign");
}
