// The audit trail of the account, grouped by the key that an event is about.

import { call } from "./api.js";

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
 * @property {string} [detail]
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
 * Events, newest first.
 * @param {{ before?: number, key?: string, since?: number, pages?: number }} which
 * @returns {Promise<{ events: Event[], nextBefore: number | undefined }>}
 */
export async function loadEvents({ before, key, since, pages = 1 }) {
  /** @type {Event[]} */
  const events = [];
  let next = before;
  for (let page = 0; page < pages; page += 1) {
    const query = new URLSearchParams({ limit: String(PAGE) });
    if (next !== undefined) query.set("before", String(next));
    if (key) query.set("key", key);
    if (since) query.set("since", String(since));
    const answer = await call("GET", `/v1/events?${query}`);
    events.push(...answer.events);
    next = answer.next_before;
    if (next === undefined) break;
  }
  return { events, nextBefore: next };
}

/**
 * Why an event deserves a look: the last part of a text's key. Nothing for other events.
 * @param {Event} event
 */
export function alarmOf({ event, detail = "" }) {
  if (event === "proof.replayed") return "replayed";
  if (event === "passkey.counter-regressed") return "copied-passkey";
  if (event === "key.used-from-new-place") return "new-place";
  if (event !== "token.refused" && event !== "login.refused") return undefined;
  if (/revoked/.test(detail)) return "revoked-key";
  return /another key|bound to a key/.test(detail) ? "other-key" : undefined;
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
