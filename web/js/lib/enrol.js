// A key of the keyring in this browser: it signs in once, lets a key of the browser's own in, and is
// needed no longer. One key for each device.

import { adopt, issuer, logInWith, newBrowserKey, send } from "./api.js";
import { dpopProof, readClaims } from "./jose.js";
import { describeBrowser } from "./user-agent.js";

/** @import { Remember } from "./api.js" */
/** @import { BrowserKey } from "./jose.js" */

/**
 * Makes the account of a key.
 * @param {BrowserKey} key
 * @param {{ username: string, label: string, enrolmentCode?: string }} account
 * @returns {Promise<string>} the account's id
 */
export async function registerKey(key, { username, label, enrolmentCode }) {
  const code = enrolmentCode ? { enrolment_code: enrolmentCode } : {};
  const json = { username, public_key: key.jwk, label, ...code };
  return (await (await send("POST", "/v1/accounts", { key, json })).json()).account_id;
}

/**
 * Signs this browser in as the account of `key`, with a key of its own.
 * @param {BrowserKey} key of the account, from a keyring
 * @param {string} account its id or username
 * @param {Remember} remember
 * @returns {Promise<{ account: string, username: string }>}
 */
export async function enrolThisBrowser(key, account, remember) {
  const { access_token: token } = await (await logInWith(key, account)).json();
  const { sub, preferred_username: username = account } = readClaims(token);
  const { key: own } = await newBrowserKey();
  const url = `${issuer}/v1/keys`;
  const now = Math.floor(Date.now() / 1000);
  const new_key_proof = await dpopProof(own, { method: "POST", url, now, sub });
  const json = { public_key: own.jwk, label: describeBrowser(), new_key_proof, remember };
  await send("POST", "/v1/keys", { key, token, json });
  await adopt(own, sub, username);
  return { account: sub, username };
}
