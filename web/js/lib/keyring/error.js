// What can go wrong with a keyring. Each code has a sentence, `keyring.error.CODE`, in the language
// files.

/**
 * @typedef {"changed-elsewhere" | "code-form" | "code-wrong" | "content" | "cost" | "cost-here"
 *   | "damaged" | "empty" | "entries-differ"
 *   | "key-alg" | "key-certificate" | "key-curve" | "key-damaged" | "key-empty" | "key-encrypted" | "key-exponent"
 *   | "key-halves" | "key-json" | "key-jwk" | "key-jwks" | "key-keystore" | "key-kind" | "key-openssh"
 *   | "key-openssh-cipher" | "key-openssh-rounds" | "key-pgp" | "key-pkcs12" | "key-public" | "key-putty"
 *   | "key-several" | "key-sshcom" | "key-unknown" | "key-unsupported" | "key-unusable" | "key-use" | "key-weak"
 *   | "login-object" | "memory" | "name-invalid" | "name-taken" | "newer"
 *   | "no-entry" | "not-a-keyring" | "not-open" | "not-written" | "online-damaged" | "online-foreign"
 *   | "passphrase-empty" | "passphrase-long" | "passphrase-short" | "password-short" | "password-wrong" | "prf-differs"
 *   | "prf-none" | "token-foreign" | "too-large" | "truncated" | "url-invalid"
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
