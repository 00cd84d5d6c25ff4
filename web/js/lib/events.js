// The audit trail of the account, grouped by the key that an event is about.

import { call } from "./api.js";
import { keysBelow } from "./i18n.js";

/** @import { Key, Keys } from "./keys.js" */

/**
 * An event as `GET /v1/events` lists it. Times are in seconds since 1970.
 * @typedef {object} Event
 * @property {number} id
 * @property {number} at
 * @property {string} event its kind
 * @property {string} [thumbprint]
 * @property {string} [label]
 * @property {string} [address]
 * @property {string} [detail] in English words
 * @property {Record<string, string>} [facts] the same by names and codes that never change
 * @property {number} [times]
 * @property {number} [last_at]
 * @property {string} [actor]
 * @property {string} [reason]
 */

/** @typedef {{ address: string, first: number, last: number, times: number }} Place */

/**
 * What is known of one key, or of the account itself.
 * @typedef {object} Group
 * @property {string} id the thumbprint; empty for the account
 * @property {string} label
 * @property {Key} [key]
 * @property {Event[]} events newest first
 * @property {Event[]} alarms
 * @property {Place[]} places the latest first
 * @property {number} refusals
 * @property {number} lastAt
 */

const PAGE = 200;

/**
 * Events, newest first. `backTo`: how far back the server has looked for them, if not to the beginning.
 * @typedef {{ events: Event[], backTo: number | undefined }} Listing
 */

/**
 * @param {string} account whose
 * @param {{ key?: string, since?: number, kinds?: string[], pages: number }} which
 * @returns {Promise<Listing>}
 */
export async function loadEvents(account, { key, since, kinds = [], pages }) {
  /** @type {Event[]} */
  const events = [];
  let next, backTo;
  for (let page = 0; page < pages; page += 1) {
    const query = new URLSearchParams({ limit: String(PAGE) });
    if (next !== undefined) query.set("before", String(next));
    if (key) query.set("key", key);
    if (since) query.set("since", String(since));
    for (const kind of kinds) query.append("event", kind);
    const answer = await call(account, "GET", `/v1/events?${query}`);
    events.push(...answer.events);
    ({ next_before: next, looked_back_to: backTo } = answer);
    if (next === undefined) break;
  }
  return { events, backTo };
}

/**
 * Two listings as one, each event once.
 * @param {Event[]} some
 * @param {Event[]} others
 * @returns {Event[]} newest first
 */
function merged(some, others) {
  const all = new Map([...some, ...others].map((event) => [event.id, event]));
  return [...all.values()].sort((a, b) => b.id - a.id);
}

/** How many pages of events that may be alarms are read for each page of the newest ones. */
const ALARM_PAGES = 5;

/**
 * What happened last, and every alarm, however much has happened since: a thief who signs in a thousand times
 * hides nothing. `alarmsBackTo`: only that far back was looked for alarms.
 * @param {string} account whose
 * @param {number} pages how many pages of events
 * @returns {Promise<Listing & { alarmsBackTo: number | undefined }>}
 */
export async function loadTrail(account, pages) {
  const [newest, suspects] = await Promise.all([
    loadEvents(account, { pages }),
    loadEvents(account, { pages: ALARM_PAGES * pages, kinds: MAY_BE_ALARMS }),
  ]);
  const alarms = suspects.events.filter((event) => alarmOf(event));
  return {
    events: merged(newest.events, alarms),
    backTo: newest.backTo,
    alarmsBackTo: suspects.backTo,
  };
}

const SIGN_IN = "login.succeeded";

/**
 * What was done with a key. Its sign-ins, which may be any number, hide nothing else. `signInsBackTo`: only so far
 * back are they listed.
 * @param {string} account whose
 * @param {{ key: string, since: number }} which
 * @returns {Promise<Listing & { signInsBackTo: number | undefined }>}
 */
export async function loadDeeds(account, which) {
  // Of each kind there is a text.
  const kinds = keysBelow("event.").filter((kind) => kind !== SIGN_IN && kind !== "unknown");
  const [newest, others] = await Promise.all([
    loadEvents(account, { ...which, pages: 2 }),
    loadEvents(account, { ...which, pages: 10, kinds }),
  ]);
  const events = merged(newest.events, others.events);
  return { events, backTo: others.backTo, signInsBackTo: newest.backTo };
}

/** Alarms, by the kind of their event. @type {Record<string, string>} */
const ALARM_OF_EVENT = {
  "proof.replayed": "replayed",
  "passkey.counter-regressed": "copied-passkey",
  "key.used-from-new-place": "new-place",
};

/** Alarms, by the reason of a refusal. @type {Record<string, string>} */
const ALARM_OF_REASON = {
  "key-revoked": "revoked-key",
  "token-ended": "revoked-key",
  "no-proof": "other-key",
  "other-key": "other-key",
  signature: "other-key",
};

/** Refusals, of which some are alarms. */
const REFUSALS = ["token.refused", "login.refused"];

/** All kinds of events that may be alarms. */
const MAY_BE_ALARMS = [...Object.keys(ALARM_OF_EVENT), ...REFUSALS];

/**
 * Why an event deserves a look: the last part of a text's key. Nothing for other events.
 * @param {Event} event
 */
export function alarmOf({ event, facts }) {
  if (!REFUSALS.includes(event)) return ALARM_OF_EVENT[event];
  return ALARM_OF_REASON[facts?.reason ?? ""];
}

/**
 * @param {Event[]} events
 * @param {Keys} keys
 * @returns {Group[]} those with alarms first, then by their last event
 */
export function groupEvents(events, keys) {
  const known = new Map([...keys.revoked, ...keys.live].map((key) => [key.thumbprint, key]));
  const groups = groupBy(events, (event) => event.thumbprint ?? "");
  const found = Array.from(groups, ([id, members]) => groupOf(id, members, known.get(id)));
  const rank = (/** @type {Group} */ group) => (isUrgent(group) ? 1 : 0);
  return found.sort((a, b) => rank(b) - rank(a) || b.lastAt - a.lastAt);
}

/**
 * A key that is revoked already can do no more harm.
 * @param {Group} group
 */
export const isUrgent = ({ alarms, key }) => alarms.length > 0 && key?.revoked_at === null;

/**
 * @param {string} id
 * @param {Event[]} events
 * @param {Key} [key]
 * @returns {Group}
 */
function groupOf(id, events, key) {
  return {
    id,
    label: key?.label ?? events.find(({ label }) => label)?.label ?? id,
    key,
    events,
    alarms: events.filter((event) => alarmOf(event)),
    places: placesOf(events),
    refusals: events.filter(({ event }) => /refused|replayed/.test(event)).length,
    lastAt: Math.max(...events.map(({ at, last_at }) => last_at ?? at)),
  };
}

/**
 * @param {Event[]} events
 * @returns {Place[]}
 */
function placesOf(events) {
  const seen = groupBy(events, ({ address }) => address ?? "");
  seen.delete("");
  const places = Array.from(seen, ([address, here]) => ({
    address,
    first: Math.min(...here.map(({ at }) => at)),
    last: Math.max(...here.map(({ at, last_at }) => last_at ?? at)),
    times: here.reduce((sum, { times = 1 }) => sum + times, 0),
  }));
  return places.sort((a, b) => b.last - a.last);
}

/**
 * Items under what they have in common, in their order.
 * @template T
 * @param {T[]} items
 * @param {(item: T) => string} keyOf
 * @returns {Map<string, T[]>}
 */
export function groupBy(items, keyOf) {
  /** @type {Map<string, T[]>} */
  const groups = new Map();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}
