// Texts in the page's language. The server has filled the shell in the same language and has said
// which it is; the language modules lie beside the program, and the browser has them already.

import { serverNow } from "./store.js";

const language = document.documentElement.lang || "en";

/** @type {Record<string, string>} */
const texts = { ...(await import(`../../lang/${language}.js`)).default };

/**
 * Takes in the texts that only some pages need. The head of such a page names their modules.
 * @param {ParentNode} head
 */
export async function addTexts(head) {
  const links = head.querySelectorAll(`[rel=modulepreload][href*="/lang/${language}/"]`);
  const modules = Array.from(links, (link) => import(link.getAttribute("href") ?? ""));
  for (const { default: more } of await Promise.all(modules)) Object.assign(texts, more);
}

await addTexts(document.head);

const plurals = new Intl.PluralRules(language);
const lists = new Intl.ListFormat(language);
const numbers = new Intl.NumberFormat(language);
const days = new Intl.DateTimeFormat(language, { dateStyle: "medium" });
const moments = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const distances = new Intl.RelativeTimeFormat(language, { numeric: "auto" });

/** @param {string} key */
export const has = (key) => Object.hasOwn(texts, key);

/**
 * How the keys go on that begin so.
 * @param {string} beginning
 */
export const keysBelow = (beginning) =>
  Object.keys(texts)
    .filter((key) => key.startsWith(beginning))
    .map((key) => key.slice(beginning.length));

/**
 * The text of a key, its `{name}` replaced.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  if (!has(key)) {
    console.error(`no text in ${language}: ${key}`);
    return key;
  }
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? numbers.format(value) : value;
  });
}

/**
 * The text that fits a number: `KEY.one`, `KEY.other` and so on, with `{count}`.
 * @param {string} key
 * @param {number} count
 * @param {Record<string, string | number>} [values]
 */
export function tn(key, count, values = {}) {
  const form = `${key}.${plurals.select(count)}`;
  return t(has(form) ? form : `${key}.other`, { count, ...values });
}

/** @param {string[]} items such as "a, b and c" */
export const list = (items) => lists.format(items);

/** @param {number} seconds since 1970 */
export const day = (seconds) => days.format(seconds * 1000);

/** @param {number} seconds since 1970 */
export const moment = (seconds) => moments.format(seconds * 1000);

/**
 * From one moment to another one, not before it.
 * @param {number} from seconds since 1970
 * @param {number} until
 */
export const span = (from, until) => moments.formatRange(from * 1000, Math.max(from, until) * 1000);

const UNITS = /** @type {const} */ ([
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["week", 604_800],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
]);

/**
 * Such as "3 days ago" or "in 2 hours".
 * @param {number} seconds since 1970, by the server's clock
 */
export function relative(seconds) {
  const distance = seconds - serverNow();
  const unit = UNITS.find(([, length]) => Math.abs(distance) >= length);
  return unit
    ? distances.format(Math.round(distance / unit[1]), unit[0])
    : distances.format(0, "second");
}
