// What can go wrong with a keyring. Each code has a sentence, `keyring.error.CODE`, in the language
// files.

/**
 * @typedef {"changed-elsewhere" | "content" | "cost" | "cost-here" | "damaged" | "empty"
 *   | "key-encrypted" | "key-halves" | "key-openssh" | "key-public" | "key-unknown" | "key-unsupported"
 *   | "key-unusable" | "key-weak" | "login-object" | "memory" | "name-invalid" | "name-taken" | "newer"
 *   | "no-entry" | "not-a-keyring" | "not-open" | "not-written" | "passphrase-empty" | "passphrase-long"
 *   | "passphrase-short" | "token-foreign" | "too-large" | "truncated" | "url-invalid"
 *   | "username-empty" | "worker-failed" | "wrong-or-damaged"} KeyringErrorCode
 */

/** Why a keyring was not opened, changed or written. It is as it was before. */
export class KeyringError extends Error {
  /**
   * @param {KeyringErrorCode} code
   * @param {Record<string, string | number>} [values] what the sentence needs; never a secret
   */
  constructor(code, values = {}) {
    super(code);
    this.name = "KeyringError";
    this.code = code;
    this.values = values;
  }
}
