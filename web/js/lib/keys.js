// The keys of the account: what pages know about them, in words.

import { call, note } from "./api.js";
import { authenticatorName } from "./authenticators.js";
import { day, moment, relative, t } from "./i18n.js";
import { h } from "./ui.js";
import { describeBrowser } from "./user-agent.js";

/** @import { Here } from "./page.js" */

/**
 * @typedef {object} PasskeyFacts
 * @property {boolean} backed_up
 * @property {boolean} backup_eligible
 * @property {string} aaguid
 * @property {string[]} transports
 */

/**
 * A key as `GET /v1/keys` lists it. Times are in seconds since 1970.
 * @typedef {object} Key
 * @property {string} thumbprint
 * @property {string} label
 * @property {string} key_type
 * @property {"key" | "browser" | "passkey"} kind
 * @property {number} created_at
 * @property {string | null} added_by
 * @property {number | null} last_used_at
 * @property {number | null} revoked_at
 * @property {number | null} expires_at
 * @property {string | null} user_agent
 * @property {string | null} last_address
 * @property {PasskeyFacts} [passkey]
 */

/**
 * @typedef {object} Keys
 * @property {Key[]} live
 * @property {Key[]} revoked
 * @property {Key | undefined} mine the key of this browser
 */

/**
 * The keys of the account.
 * @param {Here} here
 * @returns {Promise<Keys>}
 */
export async function loadKeys(here) {
  /** @type {{ keys: Key[] }} */
  const { keys } = await call("GET", "/v1/keys");
  const live = keys.filter((key) => key.revoked_at === null);
  await note({ hasPasskey: live.some((key) => key.kind === "passkey") });
  const mine = live.find((key) => key.thumbprint === here.key.thumbprint);
  return { live, revoked: keys.filter((key) => key.revoked_at !== null), mine };
}

/**
 * Whether the key probably belongs to this browser from before its storage was lost.
 * @param {Key} key
 * @param {Keys} keys
 */
export function isProbablyOldSelf(key, { mine }) {
  if (!mine || key.thumbprint === mine.thumbprint || key.kind !== "browser") return false;
  const isSame = key.user_agent === navigator.userAgent.slice(0, 200);
  return isSame && (key.last_used_at ?? key.created_at) <= mine.created_at;
}

/**
 * When and where the key was added and used.
 * @param {Key} key
 */
export function history(key) {
  const added = t("key.added", { when: relative(key.created_at) });
  if (key.last_used_at === null) return `${added} · ${t("key.never-used")}`;
  const values = { when: relative(key.last_used_at), address: key.last_address ?? "" };
  return `${added} · ${t(key.last_address ? "key.used-from" : "key.used", values)}`;
}

/**
 * What is behind a key: a password manager, a browser, or a kind of key.
 * @param {Key} key
 */
export function origin(key) {
  if (key.passkey) {
    const place = t(key.passkey.backup_eligible ? "key.synced" : "key.one-device");
    const name = authenticatorName(key.passkey.aaguid);
    return name ? `${name} · ${place}` : place;
  }
  return key.user_agent ? describeBrowser(key.user_agent) : key.key_type;
}

/**
 * Everything else about a key, for those who want to know.
 * @param {Key} key
 * @param {Keys} keys
 */
export function details(key, { live, revoked }) {
  const adder = [...live, ...revoked].find(({ thumbprint }) => thumbprint === key.added_by);
  /** @type {[string, string | null | undefined][]} */
  const facts = [
    ["key.fact.created", moment(key.created_at)],
    ["key.fact.used", key.last_used_at && moment(key.last_used_at)],
    ["key.fact.expires", key.expires_at && moment(key.expires_at)],
    ["key.fact.revoked", key.revoked_at && moment(key.revoked_at)],
    ["key.fact.address", key.last_address],
    ["key.fact.added-by", adder?.label ?? key.added_by],
    ["key.fact.user-agent", key.user_agent],
    ["key.fact.type", key.key_type],
    ["key.fact.thumbprint", key.thumbprint],
  ].map(([name, value]) => [String(name), value ? String(value) : null]);
  const rows = facts.filter(([, value]) => value);
  return h(
    "dl",
    { class: "facts small" },
    rows.flatMap(([name, value]) => [h("dt", null, t(name)), h("dd", null, value)]),
  );
}

const SOON = 14 * 86_400;

/**
 * When a browser's key ends if nothing is done, and whether that is soon.
 * @param {Key} key
 */
export function expiry(key) {
  if (key.expires_at === null) return undefined;
  const soon = key.expires_at - Date.now() / 1000 < SOON;
  return { soon, text: soon ? relative(key.expires_at) : day(key.expires_at) };
}
