// Puts the entries of one keyring into another, as the command line does (`crates/client/src/keyring/merge.rs`).
//
// Two entries are the same if they have the same key for the same account at the same server, whatever
// they are called. They differ if one of them says something else than the other: about the account's id
// or password, or about the server's key. Two entries differ too if they have one name and are not the same.
//
// No private key is lost: an entry that another one replaces stays under another name, unless the other
// one has its private key too. Which of two keys the server still takes, nobody knows here.

import { KeyringError } from "./error.js";
import { MAX_NAME_CHARS } from "./records.js";

/** @import { KeyringRecord } from "./records.js" */

/**
 * What a merge did, in numbers of entries. `completed` have learnt something, such as the account's id;
 * `kept` are the new names of entries whose place was taken by one with another private key.
 * @typedef {{added: number, replaced: number, completed: number, kept: string[]}} Merged
 */

/** What an entry may say beside its key. */
const FACTS = /** @type {const} */ (["accountId", "password", "serverSidePublicKey"]);

/**
 * @param {KeyringRecord[]} records
 * @param {KeyringRecord[]} others without tokens
 * @param {boolean} replace takes the other one where two differ
 * @returns {{merged: Merged, records: KeyringRecord[]}}
 * @throws {KeyringError} when entries differ and shall not be replaced
 */
export function merge(records, others, replace) {
  const all = [...records];
  const merged = { added: 0, replaced: 0, completed: 0, kept: /** @type {string[]} */ ([]) };
  const differing = [];
  for (const other of others) {
    const same = all.findIndex((mine) => isSame(mine, other));
    const at = same >= 0 ? same : all.findIndex(({ name }) => name === other.name);
    const mine = all[at];
    if (!mine) {
      all.push(other);
      merged.added += 1;
    } else if (same >= 0 && !contradicts(mine, other)) {
      const lacks = FACTS.some((fact) => mine[fact] === undefined && other[fact] !== undefined);
      if (lacks) merged.completed += 1;
      all[at] = completed(mine, other);
    } else if (!replace) {
      differing.push(mine.name);
    } else {
      all[at] = { ...other, name: mine.name };
      merged.replaced += 1;
      if (all.some((one) => isSame(one, mine) && hasKeyOf(one, mine))) continue;
      const name = freeName(mine.name, [...all, ...others]);
      all.push({ ...mine, name });
      merged.kept.push(name);
    }
  }
  if (differing.length > 0) {
    throw new KeyringError("entries-differ", { names: differing.join(", ") });
  }
  return { merged, records: all };
}

/**
 * @param {KeyringRecord} one
 * @param {KeyringRecord} other
 */
const isSame = (one, other) =>
  one.url === other.url &&
  one.username === other.username &&
  one.clientSidePublicKey === other.clientSidePublicKey;

/**
 * @param {KeyringRecord} one
 * @param {KeyringRecord} other
 */
const hasKeyOf = (one, other) => one.clientSidePrivateKey === other.clientSidePrivateKey;

/**
 * Whether both say something, and not the same.
 * @param {KeyringRecord} one
 * @param {KeyringRecord} other
 */
const contradicts = (one, other) =>
  !hasKeyOf(one, other) ||
  FACTS.some(
    (fact) => one[fact] !== undefined && other[fact] !== undefined && one[fact] !== other[fact],
  );

/**
 * An entry that knows what either knows.
 * @param {KeyringRecord} mine
 * @param {KeyringRecord} other
 * @returns {KeyringRecord}
 */
function completed(mine, other) {
  const facts = FACTS.map((fact) => [fact, mine[fact] ?? other[fact]]);
  return { ...mine, ...Object.fromEntries(facts.filter(([, said]) => said !== undefined)) };
}

/**
 * A name with a number behind it, such as `alice-2`, that no entry has; a long name loses its end.
 * @param {string} name
 * @param {KeyringRecord[]} records
 * @returns {string}
 */
function freeName(name, records) {
  const taken = new Set(records.map((record) => record.name));
  for (let number = 2; ; number += 1) {
    const end = `-${number}`;
    const free = [...name].slice(0, MAX_NAME_CHARS - end.length).join("") + end;
    if (!taken.has(free)) return free;
  }
}
