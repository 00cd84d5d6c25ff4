// Passkeys: what WebAuthn says in bytes, the server says in JSON. The translation is our own, because
// password managers that take the browser's place ship toJSON() that leaves members out.

import { base64url, fromBase64url } from "./jose.js";

/**
 * @typedef {object} PasskeyAnswer
 * @property {Record<string, unknown>} json for the server: RegistrationResponseJSON or AuthenticationResponseJSON
 * @property {Uint8Array<ArrayBuffer>} [prf] the secret that the passkey derived. It stays in the page
 * @property {string} [userHandle] base64url
 */

/** @typedef {PublicKeyCredentialCreationOptionsJSON} CreationJson */
/** @typedef {PublicKeyCredentialRequestOptionsJSON} RequestJson */

/** Whether the server takes passkeys: not on an IP address. */
export const serverTakesPasskeys = () =>
  document.querySelector("meta[name=countersign-passkeys]")?.getAttribute("content") === "on";

/** Whether passkeys can be used here, now. */
export const available = () => serverTakesPasskeys() && "PublicKeyCredential" in window;

/** Whether the browser offers passkeys in an input field. */
export async function canAutofill() {
  if (!available()) return false;
  return (await PublicKeyCredential.isConditionalMediationAvailable?.()) ?? false;
}

/**
 * @param {PublicKeyCredentialDescriptorJSON[]} [list]
 * @returns {any[]}
 */
const descriptors = (list = []) => list.map((item) => ({ ...item, id: fromBase64url(item.id) }));

/** @param {BufferSource} [salt] */
const prfInput = (salt) => (salt ? { prf: { eval: { first: salt } } } : {});

/**
 * Makes a passkey.
 * @param {CreationJson} options
 * @param {{ prf?: BufferSource }} [wishes]
 * @returns {Promise<PasskeyAnswer>}
 */
export async function createPasskey(options, { prf } = {}) {
  /** @type {any} */
  const publicKey = {
    ...options,
    challenge: fromBase64url(options.challenge),
    user: { ...options.user, id: fromBase64url(options.user.id) },
    excludeCredentials: descriptors(options.excludeCredentials),
    extensions: { credProps: true, ...prfInput(prf) },
  };
  return answer(await navigator.credentials.create({ publicKey }), options.user.id);
}

/**
 * Asks for a passkey.
 * @param {RequestJson} options
 * @param {{ prf?: BufferSource, autofill?: boolean, signal?: AbortSignal }} [wishes]
 * @returns {Promise<PasskeyAnswer>}
 */
export async function getPasskey(options, { prf, autofill = false, signal } = {}) {
  /** @type {any} */
  const publicKey = {
    ...options,
    challenge: fromBase64url(options.challenge),
    allowCredentials: descriptors(options.allowCredentials),
    extensions: prfInput(prf),
  };
  const mediation = autofill ? "conditional" : "optional";
  return answer(await navigator.credentials.get({ publicKey, mediation, signal }));
}

/**
 * @param {Credential | null} credential
 * @param {string} [userHandle]
 * @returns {PasskeyAnswer}
 */
function answer(credential, userHandle) {
  if (!credential) throw new DOMException("no passkey", "NotAllowedError");
  const passkey = /** @type {PublicKeyCredential} */ (credential);
  const { credProps, prf } = passkey.getClientExtensionResults();
  const json = {
    id: passkey.id,
    rawId: base64url(passkey.rawId),
    type: passkey.type,
    authenticatorAttachment: passkey.authenticatorAttachment ?? undefined,
    // Results of prf are secrets and are left out.
    clientExtensionResults: credProps ? { credProps: { rk: credProps.rk } } : {},
    response: response(passkey.response),
  };
  const handle = "userHandle" in json.response ? json.response.userHandle : userHandle;
  const first = prf?.results?.first;
  return { json, prf: first && bytes(first), userHandle: handle };
}

/** @param {AuthenticatorResponse} from */
function response(from) {
  const clientDataJSON = base64url(from.clientDataJSON);
  if ("attestationObject" in from) {
    const made = /** @type {AuthenticatorAttestationResponse} */ (from);
    const attestationObject = base64url(made.attestationObject);
    return { clientDataJSON, attestationObject, transports: made.getTransports?.() ?? [] };
  }
  const used = /** @type {AuthenticatorAssertionResponse} */ (from);
  return {
    clientDataJSON,
    authenticatorData: base64url(used.authenticatorData),
    signature: base64url(used.signature),
    userHandle: used.userHandle ? base64url(used.userHandle) : undefined,
  };
}

/**
 * Some password managers give a plain array in place of a buffer.
 * @param {BufferSource | number[]} value
 */
function bytes(value) {
  if (!ArrayBuffer.isView(value)) return new Uint8Array(value);
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

/** The Signal API, which TypeScript does not know everywhere yet. */
const signals = () =>
  /** @type {Record<string, undefined | ((options: object) => Promise<void>)>} */ (
    /** @type {unknown} */ (available() ? PublicKeyCredential : {})
  );

/**
 * Tells the password manager that the server does not know this passkey.
 * @param {string} rpId
 * @param {string} credentialId
 */
export async function forgetPasskey(rpId, credentialId) {
  const signal = signals().signalUnknownCredential;
  await signal?.call(PublicKeyCredential, { rpId, credentialId }).catch(() => {});
}

/**
 * Tells the password manager which passkeys of the account are left.
 * @param {string} rpId
 * @param {string} userId
 * @param {string[]} allAcceptedCredentialIds
 */
export async function keepPasskeys(rpId, userId, allAcceptedCredentialIds) {
  const signal = signals().signalAllAcceptedCredentials;
  await signal
    ?.call(PublicKeyCredential, { rpId, userId, allAcceptedCredentialIds })
    .catch(() => {});
}
