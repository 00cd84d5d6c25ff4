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

/** Whether there are passkeys at the server: `on`, `off`, or `impossible` at its address. */
const passkeysOfServer = () =>
  document.querySelector("meta[name=countersign-passkeys]")?.getAttribute("content") ?? "off";

/** Whether the server takes passkeys. */
export const serverTakesPasskeys = () => passkeysOfServer() === "on";

/** Whether passkeys can be used here, now. */
export const available = () => serverTakesPasskeys() && "PublicKeyCredential" in window;

/** Why there are none, as a text's key. */
export const whyNoPasskeys = () =>
  `no-passkeys.${serverTakesPasskeys() ? "browser" : passkeysOfServer()}`;

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
 * Each passkey its own salt. Some browsers know only the form for one.
 * @param {Record<string, BufferSource>} salts
 */
function prfInputs(salts) {
  const [[, only] = [], ...more] = Object.entries(salts);
  if (more.length === 0) return prfInput(only);
  const inputs = Object.entries(salts).map(([id, first]) => [id, { first }]);
  return { prf: { evalByCredential: Object.fromEntries(inputs) } };
}

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
    // Many authenticators derive secrets only if that was asked for when the passkey was made.
    extensions: { credProps: true, prf: {}, ...prfInput(prf) },
  };
  return untilLeft(undefined, async (signal) =>
    answer(await navigator.credentials.create({ publicKey, signal }), options.user.id),
  );
}

/**
 * Asks for a passkey, and for a secret that it derives: of whichever it is by `prf`, or of one of
 * those in `salts`, by their ids, and no other.
 * @param {RequestJson} options
 * @param {{ prf?: BufferSource, salts?: Record<string, BufferSource>, autofill?: boolean, signal?: AbortSignal }} [wishes]
 * @returns {Promise<PasskeyAnswer>}
 */
export async function getPasskey(options, { prf, salts, autofill = false, signal } = {}) {
  const allowed = (options.allowCredentials ?? []).filter(({ id }) => !salts || id in salts);
  /** @type {any} */
  const publicKey = {
    ...options,
    challenge: fromBase64url(options.challenge),
    allowCredentials: descriptors(allowed),
    extensions: salts ? prfInputs(salts) : prfInput(prf),
  };
  const mediation = autofill ? "conditional" : "optional";
  return untilLeft(signal, async (ends) =>
    answer(await navigator.credentials.get({ publicKey, mediation, signal: ends })),
  );
}

/**
 * Asks the browser for something, and takes the question back when the page is left: a browser that keeps the page
 * for the button "Back" would keep the question too, and refuse every other one.
 * @template T
 * @param {AbortSignal | undefined} signal takes it back too
 * @param {(ends: AbortSignal) => Promise<T>} question
 * @returns {Promise<T>}
 */
async function untilLeft(signal, question) {
  const ends = new AbortController();
  const end = () => ends.abort();
  if (signal?.aborted) end();
  signal?.addEventListener("abort", end);
  addEventListener("pagehide", end);
  try {
    return await question(ends.signal);
  } finally {
    signal?.removeEventListener("abort", end);
    removeEventListener("pagehide", end);
  }
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
