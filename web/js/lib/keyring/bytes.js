// Bytes and their texts. Each text has one spelling: what is read here is what would be written.

/**
 * Bytes in memory that no worker shares.
 * @typedef {Uint8Array<ArrayBuffer>} Bytes
 */

const CHUNK = 0x8000;

/**
 * Standard base64 with padding (RFC 4648 §4).
 * @param {Uint8Array} bytes
 * @returns {string}
 */
export function toBase64(bytes) {
  const parts = [];
  // In parts, because each byte is an argument of its own.
  for (let at = 0; at < bytes.length; at += CHUNK) {
    parts.push(String.fromCharCode(...bytes.subarray(at, at + CHUNK)));
  }
  return btoa(parts.join(""));
}

/**
 * @param {string} text standard base64 with padding, canonical
 * @returns {Bytes | null} null when it is anything else
 */
export function fromBase64(text) {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) return null;
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at += 1) bytes[at] = binary.charCodeAt(at);
  return toBase64(bytes) === text ? bytes : null;
}

/**
 * base64url without padding (RFC 4648 §5).
 * @param {Uint8Array} bytes
 * @returns {string}
 */
export function toBase64Url(bytes) {
  return toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/**
 * @param {string} text base64url without padding, canonical
 * @returns {Bytes | null} null when it is anything else
 */
export function fromBase64Url(text) {
  if (!/^[A-Za-z0-9_-]*$/.test(text)) return null;
  const padding = "=".repeat((4 - (text.length % 4)) % 4);
  return fromBase64(text.replaceAll("-", "+").replaceAll("_", "/") + padding);
}

/**
 * @param {string} text
 * @returns {Bytes}
 */
export function toUtf8(text) {
  return new TextEncoder().encode(text);
}

/**
 * @param {Uint8Array} bytes
 * @returns {string | null} null when they are not UTF-8
 */
export function fromUtf8(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/**
 * @param {Uint8Array} one
 * @param {Uint8Array} other
 * @returns {boolean}
 */
export function sameBytes(one, other) {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}
