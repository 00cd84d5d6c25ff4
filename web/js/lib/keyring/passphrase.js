// What a passphrase may be.

import { KeyringError } from "./error.js";

/** The shortest and the longest passphrase that a page works with, in bytes of UTF-8. */
export const PASSPHRASE_BYTES = { min: 8, max: 1024 };

/** @param {Uint8Array} passphrase */
export function checkPassphrase({ length }) {
  const { min, max } = PASSPHRASE_BYTES;
  if (length === 0) throw new KeyringError("passphrase-empty");
  if (length < min) throw new KeyringError("passphrase-short", { min });
  if (length > max) throw new KeyringError("passphrase-long", { max });
}
