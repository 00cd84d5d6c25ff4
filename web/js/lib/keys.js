// The keys of the account: what pages know about them, in words.

import { call, note } from "./api.js";
import { authenticatorName } from "./authenticators.js";
import { day, moment, relative, t } from "./i18n.js";
import { serverNow } from "./store.js";
import { h } from "./ui.js";
import { describeBrowser, isDescription } from "./user-agent.js";

/** @import { Here } from "./page.js" */

/**
 * @typedef {object} PasskeyFacts
 * @property {boolean} backed_up
 * @property {boolean} backup_eligible
 * @property {string} aaguid
 * @property {string[]} transports
 * @property {number} [in_doubt_until] no other passkey has vouched for it: until then an older browser removes it
 */

/**
 * A key as `GET /v1/keys` lists it. Times are in seconds since 1970.
 * @typedef {object} Key
 * @property {string} thumbprint
 * @property {string} label
 * @property {string} key_type
 * @property {"key" | "browser" | "mutual" | "passkey"} kind
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
  const answer = await call(here.session.account, "GET", "/v1/keys");
  const keys = answer.keys.map(inThisLanguage);
  const live = keys.filter((key) => key.revoked_at === null);
  await note(here, { hasPasskey: live.some((key) => key.kind === "passkey") });
  const mine = live.find((key) => key.thumbprint === here.key.thumbprint);
  // It has signed this very request; the server writes that down later.
  if (mine) mine.last_used_at = serverNow();
  return { live, revoked: keys.filter((key) => key.revoked_at !== null), mine };
}

/**
 * The key of a browser that nobody has named is called what the browser is, in the language of the page.
 * Its label was made in the language of the page, or of the server, that let it in.
 * @param {Key} key
 * @returns {Key}
 */
export function inThisLanguage(key) {
  const { user_agent: agent, label } = key;
  return agent && isDescription(label, agent) ? { ...key, label: describeBrowser(agent) } : key;
}

/**
 * Whether the key may belong to this browser from before its storage was lost: it is of the same kind of
 * browser, and was not used since this one signed in. Another computer with that browser, which waits
 * to be used again, looks the same; so it is a question and no statement.
 * @param {Key} key
 * @param {Keys} keys
 */
export function mayBeOldSelf(key, { mine }) {
  if (!mine || key.thumbprint === mine.thumbprint || key.kind !== "browser") return false;
  const isSame = key.user_agent === navigator.userAgent.slice(0, 200);
  return isSame && (key.last_used_at ?? key.created_at) <= mine.created_at;
}

/**
 * Until when this browser removes a passkey without one, if it does: no other passkey has vouched for it, and the
 * browser was there before it.
 * @param {Key} key
 * @param {Keys} keys
 * @returns {number | undefined}
 */
export function removableUntil(key, { mine }) {
  const until = key.passkey?.in_doubt_until;
  const isOlder = mine?.kind === "browser" && mine.created_at <= key.created_at;
  return isOlder && until && until > serverNow() ? until : undefined;
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
  const soon = key.expires_at - serverNow() < SOON;
  return { soon, text: soon ? relative(key.expires_at) : day(key.expires_at) };
}
