// A client without a browser: keys of its own, proofs (RFC 9449) and assertions (RFC 7523) over node:crypto. Thieves use
// it, and so do tests that compare what the web app and the API say.
import { createHash, createPrivateKey, generateKeyPairSync, randomUUID, sign } from "node:crypto";

const base64url = (/** @type {string | Buffer} */ data) => Buffer.from(data).toString("base64url");
const sha256 = (/** @type {string | Buffer} */ data) => createHash("sha256").update(data).digest();
const now = () => Math.floor(Date.now() / 1000);

/** @typedef {{ privateKey: import("node:crypto").KeyObject, jwk: Record<string, string>, thumbprint: string }} Key */

/** @returns {Key} an Ed25519 key */
export function newKey() {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const { kty, crv, x } = publicKey.export({ format: "jwk" });
  const jwk = /** @type {Record<string, string>} */ ({ crv, kty, x });
  return { privateKey, jwk, thumbprint: sha256(JSON.stringify(jwk)).toString("base64url") };
}

/**
 * @param {Key} key
 * @param {object} header
 * @param {object} claims
 */
function jws(key, header, claims) {
  const input = `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(claims))}`;
  return `${input}.${base64url(sign(null, Buffer.from(input), key.privateKey))}`;
}

/**
 * @typedef {object} Message
 * @property {string} [token]
 * @property {object} [json]
 * @property {Record<string, string>} [form]
 * @property {string} [proof] this proof instead of a fresh one
 * @property {Record<string, string>} [headers]
 */

/** Requests to one origin, proven by one key, with the nonces that the server gives out. */
export class Client {
  /**
   * @param {string} origin
   * @param {Key} key
   */
  constructor(origin, key = newKey()) {
    this.origin = origin;
    this.key = key;
    /** @type {Record<string, string>} */
    this.nonces = {};
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Message} message
   */
  proof(method, path, { token, json }) {
    const claims = {
      htm: method,
      htu: this.origin + path,
      iat: now(),
      jti: randomUUID(),
      nonce: this.nonces[this.place(token)],
      ath: token && base64url(sha256(token)),
      tha: json && sha256(JSON.stringify(json)).toString("hex"),
    };
    return jws(this.key, { typ: "dpop+jwt", alg: "EdDSA", jwk: this.key.jwk }, claims);
  }

  /**
   * The proof by which this key agrees to become a key of an account.
   * @param {string} username
   */
  newKeyProof(username) {
    const url = `${this.origin}/v1/keys`;
    const claims = { htm: "POST", htu: url, iat: now(), jti: randomUUID(), sub: username };
    return jws(this.key, { typ: "dpop+jwt", alg: "EdDSA", jwk: this.key.jwk }, claims);
  }

  /** @param {string} [token] */
  place(token) {
    return token ? "resource" : "token";
  }

  /**
   * A request, repeated once if the server asks for a nonce.
   * @param {string} method
   * @param {string} path
   * @param {Message} message
   */
  async send(method, path, message = {}) {
    const first = await this.once(method, path, message);
    const wantsNonce = /use_dpop_nonce/.test(first.challenge + JSON.stringify(first.body));
    return wantsNonce && !message.proof ? this.once(method, path, message) : first;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Message} message
   */
  async once(method, path, message) {
    const { token, json, form, headers } = message;
    const response = await fetch(this.origin + path, {
      method,
      body: form ? new URLSearchParams(form) : json && JSON.stringify(json),
      headers: {
        dpop: message.proof ?? this.proof(method, path, message),
        ...(token && { authorization: `DPoP ${token}` }),
        ...(json && { "content-type": "application/json" }),
        ...headers,
      },
    });
    const nonce = response.headers.get("dpop-nonce");
    if (nonce) this.nonces[this.place(token)] = nonce;
    const text = await response.text();
    return {
      status: response.status,
      challenge: response.headers.get("www-authenticate") ?? "",
      body: text.startsWith("{") || text.startsWith("[") ? JSON.parse(text) : text,
    };
  }

  /**
   * An assertion by this key, for another DPoP key if its thumbprint is given.
   * @param {string} subject
   * @param {string} [sessionThumbprint]
   */
  assertion(subject, sessionThumbprint) {
    const claims = {
      iss: subject,
      sub: subject,
      aud: this.origin,
      iat: now(),
      exp: now() + 60,
      jti: randomUUID(),
      ...(sessionThumbprint && { cnf: { jkt: sessionThumbprint } }),
    };
    return jws(this.key, { typ: "JWT", alg: "EdDSA", kid: this.key.thumbprint }, claims);
  }

  /**
   * Makes an account whose key is this one, of kind `key`, as the command line does.
   * @param {string} username
   */
  register(username) {
    return this.send("POST", "/v1/accounts", { json: { username, public_key: this.key.jwk } });
  }

  /**
   * The answer of the token endpoint to an assertion.
   * @param {string} assertion
   */
  logIn(assertion) {
    const grant_type = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    return this.send("POST", "/oauth/token", { form: { grant_type, assertion } });
  }
}

let signatures = 0;

/**
 * A synced passkey out of a virtual authenticator, private key included: it signs what an honest browser would not.
 * The flags say at first that the person was there (0x01), was verified (0x04), and that the passkey is copied (0x18).
 * @param {{ credentialId: string, privateKey: string, userHandle?: string, signCount: number }} credential
 * @param {{ challenge: string, origin: string, rpId: string, flags?: number, crossOrigin?: boolean }} what
 */
export function passkeyAssertion(
  credential,
  { challenge, origin, rpId, flags = 0x1d, crossOrigin },
) {
  const clientData = { type: "webauthn.get", challenge, origin, crossOrigin: crossOrigin ?? false };
  const clientDataJSON = Buffer.from(JSON.stringify(clientData));
  const counter = Buffer.alloc(4);
  counter.writeUInt32BE(credential.signCount + 100 + ++signatures);
  const authenticatorData = Buffer.concat([sha256(rpId), Buffer.from([flags]), counter]);
  const pkcs8 = Buffer.from(credential.privateKey, "base64");
  const privateKey = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" });
  const digest = privateKey.asymmetricKeyType === "ed25519" ? null : "sha256";
  const signed = Buffer.concat([authenticatorData, sha256(clientDataJSON)]);
  const id = Buffer.from(credential.credentialId, "base64").toString("base64url");
  return {
    id,
    rawId: id,
    type: "public-key",
    clientExtensionResults: {},
    response: {
      clientDataJSON: base64url(clientDataJSON),
      authenticatorData: base64url(authenticatorData),
      signature: base64url(sign(digest, signed, privateKey)),
      userHandle: Buffer.from(credential.userHandle ?? "", "base64").toString("base64url"),
    },
  };
}
