// OPAQUE (RFC 9807), the client's half: the server learns neither the password nor a hash of it, and a
// secret comes out that it does not know. Only the worker may compile the library.

import { fromBase64Url } from "../bytes.js";

/** @import { Bytes } from "../bytes.js" */

const LIBRARY = new URL(
  "../../../../vendor/serenity-kit-opaque-1.1.0/esm/index.js",
  import.meta.url,
);

/** The cost of each guess for somebody who has the server's database and its secret (RFC 9106). */
const keyStretching = {
  "argon2id-custom": { iterations: 3, memory: 65_536, parallelism: 1 },
};

/**
 * What is used of the library. All texts but the password are base64url.
 * @typedef {object} Client
 * @property {(how: {password: string}) => {clientRegistrationState: string, registrationRequest: string}} startRegistration
 * @property {(how: object) => {registrationRecord: string, exportKey: string}} finishRegistration
 * @property {(how: {password: string}) => {clientLoginState: string, startLoginRequest: string}} startLogin
 * @property {(how: object) => {finishLoginRequest: string, exportKey: string} | undefined} finishLogin
 */

/** @returns {Promise<Client>} */
async function library() {
  const { client, ready } = await import(LIBRARY.href);
  await ready;
  return client;
}

/**
 * Begins to make a slot.
 * @param {string} password
 * @returns {Promise<{request: string, finish: (response: string, server: string) => {record: string, secret: Bytes}}>}
 *   `server` is the issuer
 */
export async function startRegistration(password) {
  const client = await library();
  const { clientRegistrationState, registrationRequest } = client.startRegistration({ password });
  return {
    request: registrationRequest,
    finish(registrationResponse, server) {
      const identifiers = { server };
      const { registrationRecord: record, exportKey } = client.finishRegistration({
        ...{ password, registrationResponse, clientRegistrationState },
        ...{ identifiers, keyStretching },
      });
      return { record, secret: bytes(exportKey) };
    },
  };
}

/**
 * Begins to open a slot.
 * @param {string} password
 * @returns {Promise<{request: string, finish: (response: string, server: string) => {finalization: string, secret: Bytes} | null}>}
 *   null when the password is another one
 */
export async function startLogin(password) {
  const client = await library();
  const { clientLoginState, startLoginRequest } = client.startLogin({ password });
  return {
    request: startLoginRequest,
    finish(loginResponse, server) {
      const identifiers = { server };
      const done = client.finishLogin({
        ...{ password, loginResponse, clientLoginState },
        ...{ identifiers, keyStretching },
      });
      return done ? { finalization: done.finishLoginRequest, secret: bytes(done.exportKey) } : null;
    },
  };
}

/** @param {string} text */
const bytes = (text) => /** @type {Bytes} */ (fromBase64Url(text));
