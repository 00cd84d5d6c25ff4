// The key of this browser and what it signs: JWTs, and the proofs of RFC 9449. WebCrypto keeps the
// private key; no script can read it.

/**
 * @typedef {object} BrowserKey
 * @property {CryptoKey} privateKey not extractable
 * @property {JsonWebKey} jwk the public key, its required members alone
 * @property {string} thumbprint RFC 7638, SHA-256
 * @property {"EdDSA" | "ES256" | "ES384" | "RS256"} alg of a browser's own key one of the first two
 */

/** @typedef {Record<string, unknown>} Claims */

const utf8 = new TextEncoder();

/**
 * The bytes as base64url, without padding.
 * @param {ArrayBuffer | Uint8Array} bytes
 */
export function base64url(bytes) {
  let text = "";
  for (const byte of new Uint8Array(bytes)) text += String.fromCharCode(byte);
  return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
}

/**
 * The bytes behind a text in base64url. Throws on any other text.
 * @param {string} text
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function fromBase64url(text) {
  const binary = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(binary, (c) => c.charCodeAt(0));
}

/** @param {string} text */
export const base64urlOfText = (text) => base64url(utf8.encode(text));

/** @param {string | BufferSource} data */
async function sha256(data) {
  return crypto.subtle.digest("SHA-256", typeof data === "string" ? utf8.encode(data) : data);
}

/**
 * The SHA-256 of a text or bytes, in lower-case hexadecimal.
 * @param {string | BufferSource} data
 */
export async function sha256Hex(data) {
  const bytes = new Uint8Array(await sha256(data));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A fresh random text of 128 bits. */
export const randomText = () => base64url(crypto.getRandomValues(new Uint8Array(16)));

/**
 * The thumbprint of a public key (RFC 7638).
 * @param {JsonWebKey} jwk of kind OKP or EC, the required members alone
 */
async function thumbprint(jwk) {
  const members = Object.entries(jwk).sort(([a], [b]) => (a < b ? -1 : 1));
  return base64url(await sha256(JSON.stringify(Object.fromEntries(members))));
}

/** The members of a public key that its thumbprint is made of (RFC 7638 §3.2, RFC 8037 §2). */
const REQUIRED = /** @type {Record<string, (keyof JsonWebKey)[]>} */ ({
  OKP: ["crv", "kty", "x"],
  EC: ["crv", "kty", "x", "y"],
  RSA: ["e", "kty", "n"],
});

/**
 * The thumbprint of any public key (RFC 7638).
 * @param {JsonWebKey} jwk that may have other members too
 */
export function thumbprintOf(jwk) {
  const names = REQUIRED[jwk.kty ?? ""] ?? [];
  return thumbprint(Object.fromEntries(names.map((name) => [name, jwk[name]])));
}

/** The kinds of key that a browser makes for itself, the best first. */
const KINDS = /** @type {const} */ ([
  { alg: "EdDSA", generate: { name: "Ed25519" } },
  { alg: "ES256", generate: { name: "ECDSA", namedCurve: "P-256" } },
]);

/** How WebCrypto signs by each algorithm (RFC 7518 §3.1, RFC 8037 §3.1). */
const SIGN = /** @type {const} */ ({
  EdDSA: { name: "Ed25519" },
  ES256: { name: "ECDSA", hash: "SHA-256" },
  ES384: { name: "ECDSA", hash: "SHA-384" },
  RS256: { name: "RSASSA-PKCS1-v1_5" },
});

/**
 * A signature in the form of JWS.
 * @param {BrowserKey} key
 * @param {string} text
 */
export function sign(key, text) {
  return crypto.subtle.sign(SIGN[key.alg], key.privateKey, utf8.encode(text));
}

/**
 * A new key pair: Ed25519 where the browser has it, else P-256.
 * @param {boolean} [extractable] only for a key that leaves for a program's file, never for the browser's
 * @returns {Promise<BrowserKey>}
 */
export async function generateKey(extractable = false) {
  for (const { alg, generate } of KINDS) {
    const make = () => crypto.subtle.generateKey(generate, extractable, ["sign", "verify"]);
    // WebKitGTK fails to make one Ed25519 key in about 150.
    const pair = await make()
      .catch(make)
      .catch(() => null);
    if (!pair || !("privateKey" in pair)) continue;
    const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", pair.publicKey);
    const jwk = /** @type {JsonWebKey} */ (y ? { kty, crv, x, y } : { kty, crv, x });
    return { privateKey: pair.privateKey, jwk, thumbprint: await thumbprint(jwk), alg };
  }
  throw new Error("this browser makes no key that can sign");
}

/**
 * A compact JWT, signed with the key.
 * @param {BrowserKey} key
 * @param {Claims} header without `alg`
 * @param {Claims} claims
 */
export async function signJwt(key, header, claims) {
  const parts = [{ ...header, alg: key.alg }, claims];
  const input = parts.map((part) => base64urlOfText(JSON.stringify(part))).join(".");
  return `${input}.${base64url(await sign(key, input))}`;
}

/**
 * A DPoP proof for one request (RFC 9449 §4.2).
 * @param {BrowserKey} key
 * @param {object} request
 * @param {string} request.method
 * @param {string} request.url query and fragment are left out of the proof
 * @param {number} request.now seconds since 1970
 * @param {string} [request.nonce]
 * @param {string} [request.token] the access token that goes along
 * @param {string} [request.body] covered by the claim `tha`
 * @param {string} [request.sub] for `new_key_proof`: the account that gets the key
 */
export async function dpopProof(key, { method, url, now, nonce, token, body, sub }) {
  /** @type {Claims} */
  const claims = { jti: randomText(), htm: method, htu: url.replace(/[?#].*/, ""), iat: now };
  if (nonce) claims.nonce = nonce;
  if (token) claims.ath = base64url(await sha256(token));
  if (body !== undefined) claims.tha = await sha256Hex(body);
  if (sub) claims.sub = sub;
  return signJwt(key, { typ: "dpop+jwt", jwk: key.jwk }, claims);
}

/**
 * The claims of a JWT, unverified: for what the page shows, never for what it trusts.
 * @param {string} jwt
 * @returns {Record<string, any>}
 */
export function readClaims(jwt) {
  return JSON.parse(new TextDecoder().decode(fromBase64url(jwt.split(".")[1] ?? "")));
}
