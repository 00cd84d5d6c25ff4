// Which RSA keys the server takes.

import { KeyringError } from "./error.js";

/** Sizes of a modulus, in bits. */
export const RSA_BITS = { min: 2048, max: 4096 };

const EXPONENT = 65537n;

/**
 * @param {Uint8Array} modulus big-endian
 * @param {Uint8Array} exponent big-endian
 * @returns {number} the bits of the modulus
 * @throws {KeyringError}
 */
export function checkRsa(modulus, exponent) {
  const bits = number(modulus).toString(2).length;
  const { min, max } = RSA_BITS;
  if (bits < min || bits > max) throw new KeyringError("key-weak", { bits, min, max });
  if (number(exponent) !== EXPONENT) throw new KeyringError("key-exponent");
  return bits;
}

/** @param {Uint8Array} bytes */
function number(bytes) {
  const digits = [...bytes].map((byte) => byte.toString(16).padStart(2, "0"));
  return BigInt(`0x${digits.join("") || "0"}`);
}
