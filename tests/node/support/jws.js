// Compact JWS over node:crypto, so that every part can be another than an honest client would send.
import { createHash, sign } from "node:crypto";

const text = (part) => (typeof part === "string" ? part : JSON.stringify(part));
const base64url = (data) => Buffer.from(data).toString("base64url");

/** ES256: r and s, 32 bytes each (RFC 7518 §3.4). */
export const es256 = (input, key) => sign("sha256", Buffer.from(input), { key, dsaEncoding: "ieee-p1363" });

/** The same signature as OpenSSL and Java write it by default. */
export const es256Der = (input, key) => sign("sha256", Buffer.from(input), { key, dsaEncoding: "der" });

/** Header and payload are objects, or texts where the very spelling matters. */
export function jws(header, payload, key, signature = es256) {
  const input = `${base64url(text(header))}.${base64url(text(payload))}`;
  return `${input}.${base64url(signature(input, key))}`;
}

/** `ath` of a proof (RFC 9449 §4.2). */
export const tokenHash = (token) => createHash("sha256").update(token).digest("base64url");
