// What this browser remembers: its key and the session, in IndexedDB. Where that does not work
// (private windows, lockdown modes, storage switched off) both live in this tab alone.

/** @import { BrowserKey } from "./jose.js" */

/**
 * @typedef {object} Session
 * @property {string} account the account's id
 * @property {string} username
 * @property {string} token the access token
 * @property {number} expiresAt of the token, in seconds since 1970
 * @property {boolean} [hasPasskey] whether the account had a passkey when its keys were last read
 * @property {string} [userHandle] the account's name among passkeys, base64url
 */

/**
 * What the server said last.
 * @typedef {object} Hints
 * @property {string} [tokenNonce] of the token endpoint
 * @property {string} [resourceNonce] of the resources
 * @property {number} [skew] how many seconds its clock is ahead of this one
 */

/**
 * An account of the mutual login, whose key this browser keeps.
 * @typedef {object} MutualAccount
 * @property {string} username
 * @property {string} account its id
 * @property {BrowserKey} key
 * @property {string} serverKey the server's key for this account: SPKI DER in base64
 */

/** @typedef {{ key?: BrowserKey, session?: Session, hints?: Hints, mutual?: MutualAccount[] }} Records */

const DATABASE = "countersign";
const PLACES = /** @type {const} */ ({
  key: "keys",
  session: "session",
  hints: "session",
  mutual: "keys",
});
/** @typedef {keyof typeof PLACES} Name */

/** What belongs to the session. An account of the mutual login would be lost with its key. */
const OF_THE_SESSION = /** @type {const} */ (["key", "session", "hints"]);

/** @type {Records} */
const inThisTab = {};
let memoryOnly = false;

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** @type {Promise<IDBDatabase> | undefined} */
let database;

function open() {
  database ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("keys");
      request.result.createObjectStore("session");
    };
    request.onblocked = () => reject(new Error("IndexedDB is blocked"));
    result(request).then((db) => {
      db.onversionchange = () => db.close();
      resolve(db);
    }, reject);
  });
  return database;
}

/**
 * Does one thing in a transaction of its own and waits until that is committed.
 * @template T
 * @param {Name | "probe"} name
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<T>} action
 */
async function within(name, mode, action) {
  const place = name === "probe" ? "keys" : PLACES[name];
  const durability = place === "keys" && name !== "probe" ? "strict" : "relaxed";
  const transaction = (await open()).transaction(place, mode, { durability });
  const committed = new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  });
  committed.catch(() => {});
  const value = await result(action(transaction.objectStore(place)));
  await committed;
  return value;
}

/**
 * Whether this browser can keep the key. If not, everything is held in this tab from now on.
 * @param {BrowserKey} key
 */
export async function probe(key) {
  try {
    await within("probe", "readwrite", (store) => store.put(key, "probe"));
    const kept = await within("probe", "readonly", (store) => store.get("probe"));
    await within("probe", "readwrite", (store) => store.delete("probe"));
    memoryOnly = !(kept?.privateKey instanceof CryptoKey);
  } catch {
    memoryOnly = true;
  }
  return !memoryOnly;
}

/** Whether nothing outlives this tab. */
export const isMemoryOnly = () => memoryOnly;

/**
 * @template {Name} N
 * @param {N} name
 * @returns {Promise<Records[N]>}
 */
export async function read(name) {
  if (!memoryOnly) {
    try {
      return await within(name, "readonly", (store) => store.get(name));
    } catch {
      memoryOnly = true;
    }
  }
  return inThisTab[name];
}

/**
 * @template {Name} N
 * @param {N} name
 * @param {NonNullable<Records[N]>} value
 */
export async function write(name, value) {
  if (!memoryOnly) {
    try {
      await within(name, "readwrite", (store) => store.put(value, name));
      return;
    } catch {
      memoryOnly = true;
    }
  }
  inThisTab[name] = value;
}

/** Forgets the key and the session. */
export async function clear() {
  for (const name of OF_THE_SESSION) {
    delete inThisTab[name];
    if (!memoryOnly) await within(name, "readwrite", (store) => store.delete(name)).catch(() => {});
  }
}
