// The recovery code: 160 random bits that a person can write down and type again.

import { KeyringError } from "../error.js";

/** Crockford's base32: no letter that looks like a digit. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CHARACTERS = 32;

/** @returns {string} 32 characters; 5 random bits each */
export function newRecoveryCode() {
  const bytes = crypto.getRandomValues(new Uint8Array(CHARACTERS));
  return Array.from(bytes, (byte) => ALPHABET[byte % ALPHABET.length]).join("");
}

/**
 * @param {string} code
 * @returns {string} in 8 groups of 4, as it is shown
 */
export const grouped = (code) => (code.match(/.{4}/g) ?? []).join("-");

/**
 * A code as somebody types it.
 * @param {string} typed case, spaces and hyphens do not matter, and O, I and L are read as digits
 * @returns {string} 32 characters
 * @throws {KeyringError} when it cannot be one
 */
export function readRecoveryCode(typed) {
  const plain = typed.toUpperCase().replace(/[\s-]/g, "");
  const code = plain.replaceAll("O", "0").replace(/[IL]/g, "1");
  const isCode = code.length === CHARACTERS && [...code].every((one) => ALPHABET.includes(one));
  if (!isCode) throw new KeyringError("code-form", { characters: CHARACTERS });
  return code;
}
