// A key of the keyring in this browser: it signs in once, lets a key of the browser's own in, and is
// needed no longer. One key for each device.

import {
  adopt,
  asProblem,
  issuer,
  logInWith,
  newBrowserKey,
  Problem,
  send,
  serverNow,
} from "./api.js";
import { dpopProof, readClaims } from "./jose.js";
import { describeBrowser } from "./user-agent.js";

/** @import { Remember } from "./api.js" */
/** @import { BrowserKey } from "./jose.js" */

/**
 * Makes the account of a key. If it is there already, because the answer of an earlier try was lost, the key logs in
 * under that name; then it is its account.
 * @param {BrowserKey} key
 * @param {{ username: string, label: string, enrolmentCode?: string }} account
 * @returns {Promise<string>} the account's id
 */
export async function registerKey(key, { username, label, enrolmentCode }) {
  const code = enrolmentCode ? { enrolment_code: enrolmentCode } : {};
  const json = { username, public_key: key.jwk, label, ...code };
  const answer = await send("POST", "/v1/accounts", { key, json }).catch(async (error) => {
    const isTaken = ["username-taken", "key-taken"].includes(asProblem(error).kind);
    const login = isTaken && (await logInWith(key, username).catch(() => undefined));
    if (!login) throw error;
    return login;
  });
  const { account_id, access_token } = await answer.json();
  return account_id ?? readClaims(access_token).sub;
}

/**
 * Signs this browser in as the account of `key`, with a key of its own.
 * @param {BrowserKey} key of the account, from a keyring
 * @param {string} account its id or username
 * @param {Remember} remember
 * @returns {Promise<{ account: string, username: string }>}
 */
export async function enrolThisBrowser(key, account, remember) {
  const login = await logInWith(key, account).catch((error) => {
    const { kind, status, requestId } = asProblem(error);
    if (kind !== "invalid_grant") throw error;
    // By this error a page that asks for a passkey means the passkey.
    throw new Problem(kind, { status, requestId, reason: "key" });
  });
  const { access_token: token } = await login.json();
  const { sub, preferred_username: username = account } = readClaims(token);
  const { key: own } = await newBrowserKey();
  const url = `${issuer}/v1/keys`;
  const new_key_proof = await dpopProof(own, { method: "POST", url, now: serverNow(), sub });
  const json = { public_key: own.jwk, label: describeBrowser(), new_key_proof, remember };
  await send("POST", "/v1/keys", { key, token, json });
  await adopt(own, sub, username);
  return { account: sub, username };
}
