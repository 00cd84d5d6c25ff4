// The facts of an event in the language of the page. The server sends names and codes, which
// never change; its sentences are English and are not shown.

import { has, list, t } from "../i18n.js";

/** Facts that are keys of the account, by their thumbprints. They close what is said. */
const KEYS = ["by", "allowed_by"];

/**
 * @param {Record<string, string>} facts as `GET /v1/events` lists them
 * @param {(thumbprint: string) => string} labelOf
 * @returns {string[]}
 */
export function factsInWords(facts, labelOf) {
  const rank = (/** @type {string} */ name) => KEYS.indexOf(name);
  const inOrder = Object.entries(facts).sort(([a], [b]) => rank(a) - rank(b));
  return inOrder.map(([name, value]) =>
    inWords(name, KEYS.includes(name) ? labelOf(value) : value),
  );
}

/**
 * @param {string} name
 * @param {string} value
 */
function inWords(name, value) {
  if (has(`fact.${name}`)) return t(`fact.${name}`, { value });
  // One code, or several. Those of a newer server may be unknown here.
  const codes = value.split(" ").map((code) => {
    const key = `fact.${name}.${code}`;
    return has(key) ? t(key) : t("fact.unknown", { code });
  });
  return list(codes);
}
