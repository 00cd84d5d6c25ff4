// The mutual login, step by step: registration, the server's proof, the page's answer, use, logout.

import { fetchWhole, issuer, mayBeDone, Problem, problemOf, send } from "./api.js";
import { readClaims } from "./jose.js";
import { readPublicKey } from "./keyring/keys.js";
import { ServerUnproven, VerifiedNumber } from "./mutual.js";

/** @import { BrowserKey } from "./jose.js" */

/**
 * @typedef {object} MutualLogin
 * @property {string} account its id or username
 * @property {string} serverKey as the server gave it at registration: SPKI DER in base64
 * @property {() => Promise<BrowserKey>} key asked for when the server has proven itself, and not before
 *
 * @typedef {{ text: string, expiresAt: number, key: BrowserKey }} MutualToken
 * @typedef {"asked" | "server-proven" | "answered" | "token"} Step
 */

/**
 * Makes an account that logs in mutually.
 * @param {BrowserKey["jwk"]} jwk the public key
 * @param {string} username
 * @param {{ enrolmentCode?: string, kind?: "mutual" }} [how] `kind`: the key stays in this page's
 * store, and the server shall take nothing else from it than this login
 * @returns {Promise<{ account: string, serverKey: string }>}
 */
export async function registerMutually(jwk, username, { enrolmentCode, kind } = {}) {
  const code = enrolmentCode ? { enrolment_code: enrolmentCode } : {};
  const which = kind ? { kind } : {};
  const json = { username, clientSidePublicKey: JSON.stringify(jwk), ...which, ...code };
  const { id, serverSidePublicKey } = await ask("POST", "/register", { json }).catch((error) => {
    if (!mayBeDone(error)) throw error;
    // The key of the server for the account comes with this answer, and with no other one.
    throw new Problem("mutual-unanswered");
  });
  // A key that proves nothing would be found out at the first login only.
  await serverKeyOf(serverSidePublicKey);
  return { account: id, serverKey: serverSidePublicKey };
}

/**
 * Nothing is signed before the server has proven that it holds the key of the registration.
 * @param {MutualLogin} login
 * @param {(step: Step, detail?: string) => void} reached told of each step
 * @returns {Promise<MutualToken>}
 */
export async function logInMutually({ account, serverKey, key: getKey }, reached) {
  const path = encodeURIComponent(account);
  const trusted = await serverKeyOf(serverKey);
  const { challenge } = await ask("GET", `/challenge/${path}`);
  reached("asked");
  const number = verified(challenge, trusted);
  reached("server-proven");
  const key = await getKey();
  const json = await number.propose(key);
  const { jwtToken } = await ask("POST", `/authenticate/${path}`, { json });
  reached("answered");
  const { cnf, exp } = readClaims(jwtToken);
  if (cnf?.jkt !== key.thumbprint || typeof exp !== "number") throw new Problem("token-unbound");
  reached("token");
  return { text: jwtToken, expiresAt: exp, key };
}

/**
 * Who the server says that one is: a request with the token and a proof by its key.
 * @param {MutualToken} token
 * @returns {Promise<{ username: string, account_id: string }>}
 */
export async function whoAmI({ text, key }) {
  return (await send("GET", "/v1/whoami", { key, token: text })).json();
}

/** @param {string} token */
export async function logOutMutually(token) {
  await ask("POST", "/logout", { json: {}, headers: { Authorization: `Bearer ${token}` } });
}

/**
 * @param {string} spki
 * @returns {Promise<{ n: string, e: string }>}
 */
async function serverKeyOf(spki) {
  const { type, jwk } = await readPublicKey(spki).catch(() => ({ type: null, jwk: {} }));
  if (type !== "RSA") throw new Problem("server-key");
  return /** @type {{ n: string, e: string }} */ (jwk);
}

/**
 * @param {unknown} challenge
 * @param {{ n: string, e: string }} trusted
 */
function verified(challenge, trusted) {
  try {
    return new VerifiedNumber(String(challenge), trusted);
  } catch (error) {
    throw error instanceof ServerUnproven ? new Problem("server-unproven") : error;
  }
}

/**
 * A request without a proof: nothing is signed for a server that has not proven itself.
 * @param {string} method
 * @param {string} path
 * @param {{ json?: object, headers?: Record<string, string> }} [message]
 * @returns {Promise<any>}
 */
async function ask(method, path, { json, headers } = {}) {
  const response = await fetchWhole(issuer + path, {
    method,
    ...(json && { body: JSON.stringify(json) }),
    headers: { ...(json && { "Content-Type": "application/json" }), ...headers },
    cache: "no-store",
    credentials: "omit",
    redirect: "error",
  }).catch((error) => {
    throw new Problem("offline", { detail: String(error) });
  });
  if (!response.ok) {
    const problem = await problemOf(response);
    const refused = path.startsWith("/authenticate/") && response.status === 401;
    throw refused ? new Problem("mutual-refused", problem) : problem;
  }
  return response.json().catch(() => ({}));
}
