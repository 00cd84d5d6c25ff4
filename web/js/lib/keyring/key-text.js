// The texts of keys that people paste: DER is taken out of them, and what is no private key is named.

import { fromBase64, sameBytes } from "./bytes.js";
import { kindOfKey } from "./der.js";
import { KeyringError } from "./error.js";
import { whyNotOpenSsh, whyNotPutty } from "./ssh.js";

/** @import { Bytes } from "./bytes.js" */
/** @import { KeyringErrorCode } from "./error.js" */

/** The beginnings of texts that hold no private key which this page reads. */
const BEGINNINGS = /** @type {[RegExp, KeyringErrorCode][]} */ ([
  [/^$/, "key-empty"],
  [/-----BEGIN PGP /, "key-pgp"],
  [/^---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----/, "key-sshcom"],
  [/^(---- BEGIN SSH2 PUBLIC KEY ----|ssh-|ecdsa-sha2-|sk-ssh-|sk-ecdsa-)/, "key-public"],
  [/Proc-Type: 4,ENCRYPTED|-----BEGIN ENCRYPTED PRIVATE KEY-----/, "key-encrypted"],
]);

/** PKCS#12 (RFC 7292 §4) begins with its version after a tag and a length of one to three bytes. */
const PKCS12 = [0x02, 0x01, 0x03, 0x30];

/** What files of other programs have at some place. The first two are Java's JKS and JCEKS. */
const MAGIC = /** @type {[number, number[], KeyringErrorCode][]} */ ([
  [0, [0xfe, 0xed, 0xfe, 0xed], "key-keystore"],
  [0, [0xce, 0xce, 0xce, 0xce], "key-keystore"],
  [2, PKCS12, "key-pkcs12"],
  [3, PKCS12, "key-pkcs12"],
  [4, PKCS12, "key-pkcs12"],
]);

/**
 * The DER in PEM or base64. It may be of anything.
 * @param {string} text without white space around it
 * @returns {Bytes}
 * @throws {KeyringError}
 */
export function derOfText(text) {
  const found = BEGINNINGS.find(([beginning]) => beginning.test(text));
  if (found) throw new KeyringError(found[1]);
  if (text.startsWith("PuTTY-User-Key-File-")) throw whyNotPutty(text);
  if (text.includes("-----BEGIN")) return derOfPem(text);
  const der = fromBase64(text.replace(/\s/g, ""));
  if (!der) throw new KeyringError("key-unknown");
  return der;
}

/**
 * Says why DER is no private key that can be used here.
 * @param {Bytes} der
 * @returns {KeyringError}
 */
export function whyNotDer(der) {
  const magic = MAGIC.find(([at, bytes]) =>
    sameBytes(der.subarray(at, at + bytes.length), new Uint8Array(bytes)),
  );
  if (magic) return new KeyringError(magic[2]);
  const { form, kind } = kindOfKey(der);
  if (form === "private" && kind) return new KeyringError("key-kind", { kind });
  const codes = /** @type {Record<typeof form, KeyringErrorCode>} */ ({
    private: "key-damaged",
    public: "key-public",
    certificate: "key-certificate",
    encrypted: "key-encrypted",
    explicit: "key-curve",
    unknown: "key-unknown",
  });
  return new KeyringError(codes[form]);
}

/** @param {string} text */
function derOfPem(text) {
  const blocks = [...text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END \1-----/g)];
  const [only, more] = blocks.filter(([, label]) => label?.endsWith("PRIVATE KEY"));
  if (more) throw new KeyringError("key-several");
  if (!only) {
    if (text.includes("PRIVATE KEY-----")) throw new KeyringError("key-damaged");
    if (text.includes("PUBLIC KEY-----")) throw new KeyringError("key-public");
    throw new KeyringError(text.includes("CERTIFICATE-----") ? "key-certificate" : "key-unknown");
  }
  const [, label, body = ""] = only;
  if (label === "DSA PRIVATE KEY") throw new KeyringError("key-kind", { kind: "DSA" });
  // Environment files have the two characters \n in place of line breaks.
  const der = fromBase64(body.replace(/\s|\\[rn]/g, ""));
  if (!der) throw new KeyringError("key-damaged");
  if (label === "OPENSSH PRIVATE KEY") throw whyNotOpenSsh(der);
  return der;
}
