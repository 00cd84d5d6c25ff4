// The keys of entries: read, checked, made, and imported so that WebCrypto does not give them out.

import { fromBase64, fromBase64Url, toBase64, toBase64Url, toUtf8 } from "./bytes.js";
import { rsaNumbers, toPkcs8, typeOfPublicKey } from "./der.js";
import { KeyringError } from "./error.js";
import { derOfText, whyNotDer } from "./key-text.js";
import { checkRsa, RSA_BITS } from "./rsa.js";
import { isObject, parseJson } from "./strict-json.js";

/** @import { KeyType } from "./der.js" */
/** @import { JsonObject } from "./strict-json.js" */

/**
 * A public key that has been read. `bits` is the size of an RSA modulus.
 * @typedef {{type: KeyType, bits?: number, jwk: Record<string, string>, thumbprint: string, key: CryptoKey}} PublicKey
 * The two halves of a pair as an entry has them: base64 of PKCS#8 and of SPKI.
 * @typedef {{clientSidePrivateKey: string, clientSidePublicKey: string}} Pair
 * A key to sign with. It leaves the worker, but WebCrypto does not give out what is in it.
 * @typedef {{alg: "EdDSA" | "ES256" | "ES384" | "RS256", privateKey: CryptoKey, jwk: Record<string, string>, thumbprint: string}} SigningKey
 */

/** How WebCrypto calls each kind, and JWS (RFC 7518 §3.1, RFC 8037). */
const KINDS = /** @type {const} */ ({
  Ed25519: { alg: "EdDSA", parameters: { name: "Ed25519" }, hash: undefined },
  "P-256": { alg: "ES256", parameters: { name: "ECDSA", namedCurve: "P-256" }, hash: "SHA-256" },
  "P-384": { alg: "ES384", parameters: { name: "ECDSA", namedCurve: "P-384" }, hash: "SHA-384" },
  RSA: {
    alg: "RS256",
    parameters: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
    hash: undefined,
  },
});

/** The members of a thumbprint, in its order (RFC 7638 §3.2, RFC 8037 §2). */
const PUBLIC_MEMBERS = /** @type {const} */ ({
  Ed25519: ["crv", "kty", "x"],
  "P-256": ["crv", "kty", "x", "y"],
  "P-384": ["crv", "kty", "x", "y"],
  RSA: ["e", "kty", "n"],
});

/** What `alg` of a JWK may name: with what the server takes signatures by the key. */
const ALGORITHMS = /** @type {Record<KeyType, string[]>} */ ({
  Ed25519: ["EdDSA", "Ed25519"],
  "P-256": ["ES256"],
  "P-384": ["ES384"],
  RSA: ["RS256", "PS256"],
});

/** The private members of a JWK (RFC 7518 §6, RFC 8037 §2). */
const PRIVATE_MEMBERS = ["d", "p", "q", "dp", "dq", "qi"];

/**
 * @param {string} base64 SPKI DER
 * @returns {Promise<PublicKey>}
 * @throws {KeyringError}
 */
export async function readPublicKey(base64) {
  const der = fromBase64(base64);
  const type = der && typeOfPublicKey(der);
  if (!der || !type) throw new KeyringError("key-unknown");
  const key = await imported(() =>
    crypto.subtle.importKey("spki", der, KINDS[type].parameters, true, ["verify"]),
  );
  const jwk = await publicJwk(type, key);
  const bits = type === "RSA" ? checkRsaJwk(jwk) : undefined;
  const named = toUtf8(JSON.stringify(jwk));
  const thumbprint = toBase64Url(new Uint8Array(await crypto.subtle.digest("SHA-256", named)));
  return { type, ...(bits === undefined ? {} : { bits }), jwk, thumbprint, key };
}

/**
 * @param {Pair} pair
 * @returns {Promise<SigningKey>} not extractable
 * @throws {KeyringError} also when the two halves do not belong together
 */
export async function importPair({ clientSidePrivateKey, clientSidePublicKey }) {
  const { type, jwk, thumbprint, key } = await readPublicKey(clientSidePublicKey);
  const der = fromBase64(clientSidePrivateKey);
  const read = der && toPkcs8(der);
  if (!read || read.type !== type) throw new KeyringError("key-halves");
  const { parameters, alg, hash } = KINDS[type];
  const privateKey = await imported(() =>
    crypto.subtle.importKey("pkcs8", read.pkcs8, parameters, false, ["sign"]),
  );
  der.fill(0);
  const message = toUtf8("countersign: do these two halves belong together?");
  const how = hash ? { name: parameters.name, hash } : parameters.name;
  const signature = await imported(() => crypto.subtle.sign(how, privateKey, message));
  if (!(await crypto.subtle.verify(how, key, signature, message)))
    throw new KeyringError("key-halves");
  return { alg, privateKey, jwk, thumbprint };
}

/**
 * Makes a new pair, to be written into the keyring.
 * @param {KeyType} type RSA with 2048 bits
 * @returns {Promise<Pair>}
 * @throws {KeyringError}
 */
export async function generatePair(type) {
  const { parameters } = KINDS[type];
  const rsa = { modulusLength: RSA_BITS.min, publicExponent: new Uint8Array([1, 0, 1]) };
  const all = type === "RSA" ? { ...parameters, ...rsa } : parameters;
  const make = () => crypto.subtle.generateKey(all, true, ["sign", "verify"]);
  // WebKitGTK fails to make one Ed25519 key in about 150.
  const made = await imported(() => make().catch(make));
  return exported(/** @type {CryptoKeyPair} */ (made));
}

/**
 * Reads a private key that somebody pasted: PEM, DER in base64, or a private JWK.
 * @param {string} text
 * @returns {Promise<Pair>}
 * @throws {KeyringError}
 */
export async function parsePrivateKey(text) {
  const trimmed = text.trim();
  if (trimmed.startsWith("{")) return pairOfJwk(parseObject(trimmed));
  const der = derOfText(trimmed);
  const read = toPkcs8(der);
  if (!read) throw whyNotDer(der);
  const { type, pkcs8 } = read;
  // Before a browser refuses it, which would not say why.
  if (type === "RSA") checkRsa(...(rsaNumbers(pkcs8) ?? damaged()));
  const privateKey = await imported(() =>
    crypto.subtle.importKey("pkcs8", pkcs8, KINDS[type].parameters, true, ["sign"]),
  );
  return withPublicHalf(type, privateKey);
}

/**
 * @param {string} text a JSON object
 * @returns {JsonObject}
 * @throws {KeyringError}
 */
export function parseObject(text) {
  try {
    const value = parseJson(text);
    if (isObject(value)) return value;
  } catch {
    // Told below: the cause has a place in a text that is a secret.
  }
  throw new KeyringError("key-json");
}

/**
 * The private key as PEM, for somebody who asked to see it.
 * @param {Pair} pair
 * @returns {string}
 */
export function toPem(pair) {
  const lines = pair.clientSidePrivateKey.match(/.{1,64}/g) ?? [];
  return ["-----BEGIN PRIVATE KEY-----", ...lines, "-----END PRIVATE KEY-----", ""].join("\n");
}

/** @returns {never} */
function damaged() {
  throw new KeyringError("key-damaged");
}

/** @param {JsonObject} members */
async function pairOfJwk(members) {
  const type = typeOfJwk(members);
  checkPurpose(type, members);
  if (members.d === undefined) throw new KeyringError("key-public");
  /** @type {Record<string, string>} */
  const jwk = {};
  // Without `use`, `key_ops` and `alg`, which may forbid WebCrypto what is done here.
  for (const name of [...PUBLIC_MEMBERS[type], ...PRIVATE_MEMBERS]) {
    const value = members[name];
    if (typeof value === "string") jwk[name] = value;
  }
  if (type === "RSA") checkRsaJwk(jwk);
  const key = await imported(() =>
    crypto.subtle.importKey("jwk", jwk, KINDS[type].parameters, true, ["sign"]),
  );
  return withPublicHalf(type, key);
}

/**
 * What the JWK says that the key is for (RFC 7517 §4.2, §4.4) must be signing, by an algorithm that fits it; the
 * command line refuses the same. Neither of them looks at `key_ops`, whose values depend on the half that is meant.
 * @param {KeyType} type
 * @param {JsonObject} members
 * @throws {KeyringError}
 */
function checkPurpose(type, { use, alg }) {
  if (use !== undefined && use !== "sig") throw new KeyringError("key-use");
  if (alg === undefined) return;
  if (typeof alg !== "string" || !ALGORITHMS[type].includes(alg))
    throw new KeyringError("key-alg", { algs: ALGORITHMS[type].join(", ") });
}

/**
 * @param {JsonObject} members
 * @returns {KeyType}
 * @throws {KeyringError}
 */
function typeOfJwk({ kty, crv, keys }) {
  if (kty === "RSA") return "RSA";
  if (kty === "OKP" && crv === "Ed25519") return "Ed25519";
  if (kty === "EC" && (crv === "P-256" || crv === "P-384")) return crv;
  if (kty === undefined) throw new KeyringError(keys ? "key-jwks" : "key-jwk");
  const kind = [kty, crv].filter((name) => typeof name === "string").join(" ");
  throw new KeyringError("key-kind", { kind });
}

/**
 * @param {KeyType} type
 * @param {CryptoKey} privateKey extractable
 * @returns {Promise<Pair>}
 */
async function withPublicHalf(type, privateKey) {
  const jwk = await publicJwk(type, privateKey);
  const publicKey = await imported(() =>
    crypto.subtle.importKey("jwk", jwk, KINDS[type].parameters, true, ["verify"]),
  );
  const pair = await exported({ privateKey, publicKey });
  // A JWK may name a public half that is not its own.
  await importPair(pair);
  return pair;
}

/**
 * @param {CryptoKeyPair} pair
 * @returns {Promise<Pair>}
 */
async function exported({ privateKey, publicKey }) {
  const pkcs8 = new Uint8Array(await crypto.subtle.exportKey("pkcs8", privateKey));
  const spki = new Uint8Array(await crypto.subtle.exportKey("spki", publicKey));
  const pair = { clientSidePrivateKey: toBase64(pkcs8), clientSidePublicKey: toBase64(spki) };
  pkcs8.fill(0);
  return pair;
}

/**
 * The public members, in the order of the thumbprint.
 * @param {KeyType} type
 * @param {CryptoKey} key
 */
async function publicJwk(type, key) {
  const all = /** @type {Record<string, string>} */ (
    /** @type {unknown} */ (await imported(() => crypto.subtle.exportKey("jwk", key)))
  );
  /** @type {Record<string, string>} */
  const jwk = {};
  for (const name of PUBLIC_MEMBERS[type]) jwk[name] = all[name] ?? "";
  return jwk;
}

/**
 * @param {Record<string, string>} jwk
 * @returns {number} the bits of the modulus
 * @throws {KeyringError}
 */
function checkRsaJwk({ n = "", e = "" }) {
  return checkRsa(fromBase64Url(n) ?? damaged(), fromBase64Url(e) ?? damaged());
}

/**
 * What WebCrypto refuses: a kind of key that this browser does not have, or a broken one.
 * @template T
 * @param {() => Promise<T>} act
 * @returns {Promise<T>}
 */
async function imported(act) {
  try {
    return await act();
  } catch (cause) {
    const missing = cause instanceof DOMException && cause.name === "NotSupportedError";
    throw new KeyringError(missing ? "key-unsupported" : "key-unusable");
  }
}
