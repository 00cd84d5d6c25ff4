// What this browser remembers: its key and the session, in IndexedDB. Where that does not work
// (storage switched off, lockdown modes) both live in this tab alone. A private window keeps them until
// the last one is closed. And the time by the server's clock, whose difference is remembered too.

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
 * Does something in a transaction of its own and waits until that is committed.
 * @template T
 * @param {(Name | "probe")[]} names what it is about
 * @param {IDBTransactionMode} mode
 * @param {(storeOf: (name: Name | "probe") => IDBObjectStore) => Promise<T>} action that waits for nothing
 * but its requests
 */
async function within(names, mode, action) {
  const placeOf = (/** @type {Name | "probe"} */ name) =>
    name === "probe" ? "keys" : PLACES[name];
  const holdsKeys = names.some((name) => name !== "probe" && placeOf(name) === "keys");
  const durability = holdsKeys ? "strict" : "relaxed";
  const transaction = (await open()).transaction(names.map(placeOf), mode, { durability });
  const committed = new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  });
  committed.catch(() => {});
  const value = await action((name) => transaction.objectStore(placeOf(name)));
  await committed;
  return value;
}

/**
 * What a transaction reads and writes.
 * @typedef {object} Access
 * @property {<N extends Name>(name: N) => Promise<Records[N]>} get
 * @property {<N extends Name>(name: N, value: NonNullable<Records[N]>) => Promise<unknown>} put
 * @property {(name: Name) => Promise<unknown>} remove
 */

/** @type {Access} */
const accessInThisTab = {
  get: async (name) => inThisTab[name],
  put: async (name, value) => {
    inThisTab[name] = value;
  },
  remove: async (name) => {
    delete inThisTab[name];
  },
};

/**
 * Reads and writes several records as they are at one moment: no other tab comes in between.
 * @template T
 * @param {Name[]} names
 * @param {IDBTransactionMode} mode
 * @param {(access: Access) => Promise<T>} action
 * @returns {Promise<T>}
 */
async function atOnce(names, mode, action) {
  if (!memoryOnly) {
    try {
      return await within(names, mode, (storeOf) =>
        action({
          get: (name) => result(storeOf(name).get(name)),
          put: (name, value) => result(storeOf(name).put(value, name)),
          remove: (name) => result(storeOf(name).delete(name)),
        }),
      );
    } catch {
      memoryOnly = true;
    }
  }
  return action(accessInThisTab);
}

/**
 * Whether this browser can keep the key. If not, everything is held in this tab from now on.
 * @param {BrowserKey} key
 */
export async function probe(key) {
  try {
    const name = "probe";
    await within([name], "readwrite", (storeOf) => result(storeOf(name).put(key, name)));
    const kept = await within([name], "readonly", (storeOf) => result(storeOf(name).get(name)));
    await within([name], "readwrite", (storeOf) => result(storeOf(name).delete(name)));
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
export const read = (name) => atOnce([name], "readonly", ({ get }) => get(name));

/**
 * @template {Name} N
 * @param {N} name
 * @param {NonNullable<Records[N]>} value
 */
export async function write(name, value) {
  await atOnce([name], "readwrite", ({ put }) => put(name, value));
}

// ---- Who is signed in

/** Tabs tell each other here that somebody else is signed in, or nobody. Without it each tab has a key of its own. */
const tabs = channel();

/** Firefox refuses a channel where it is set to store nothing. */
function channel() {
  try {
    return new BroadcastChannel(DATABASE);
  } catch {
    return undefined;
  }
}

/**
 * Calls back when another tab has signed somebody in or out.
 * @param {() => void} callback
 */
export const onChange = (callback) => tabs?.addEventListener("message", callback);

const tell = () => {
  if (!memoryOnly) tabs?.postMessage("changed");
};

/** The key and the session that belong together, if there are any. */
export const readSession = () =>
  atOnce(["key", "session"], "readonly", async ({ get }) => {
    const [key, session] = await Promise.all([get("key"), get("session")]);
    return key && session ? { key, session } : undefined;
  });

/**
 * Signs somebody in, in place of whoever was.
 * @param {BrowserKey} key
 * @param {Session} session
 */
export async function begin(key, session) {
  await atOnce(["key", "session"], "readwrite", ({ put }) =>
    Promise.all([put("key", key), put("session", session)]),
  );
  tell();
}

/**
 * Changes something of the session, if it is still the one of `key`.
 * @param {BrowserKey} key
 * @param {Partial<Session>} news
 * @returns {Promise<boolean>} whether it was
 */
export const renew = (key, news) =>
  atOnce(["key", "session"], "readwrite", async ({ get, put }) => {
    const [own, session] = await Promise.all([get("key"), get("session")]);
    if (!session || own?.thumbprint !== key.thumbprint) return false;
    await put("session", { ...session, ...news });
    return true;
  });

/**
 * Forgets the key and the session, if they are still those of `key`.
 * @param {BrowserKey} key
 * @returns {Promise<boolean>} whether nobody is signed in now
 */
export async function clear(key) {
  const isClear = await atOnce([...OF_THE_SESSION], "readwrite", async ({ get, remove }) => {
    const own = await get("key");
    if (own && own.thumbprint !== key.thumbprint) return false;
    await Promise.all(OF_THE_SESSION.map(remove));
    return true;
  });
  if (isClear) tell();
  return isClear;
}

// ---- The time

// What the server says is meant by its clock, and this computer's may be wrong: so everything that is compared with
// a time of the server, or signed for it, takes the time from here. No other module asks this computer for it.

/** By how many seconds the server's clock is ahead, as far as it is known. */
let skew = 0;

/** A smaller difference is the time that answers take. */
const NOISE_SECONDS = 3;

/** The time by the server's clock, in whole seconds since 1970. */
export const serverNow = () => Math.floor(Date.now() / 1000 + skew);

/** By how many seconds the server's clock is taken to be ahead. */
export const assumedSkew = () => skew;

/**
 * @param {number} seconds by which the server's clock is ahead
 */
export function assumeSkew(seconds) {
  skew = Math.abs(seconds) > NOISE_SECONDS ? seconds : 0;
}

/**
 * By how many seconds the server's clock is ahead; nothing if the answer does not say.
 * @param {Response} response that has just come
 * @returns {number | undefined}
 */
export function skewIn(response) {
  const date = Date.parse(response.headers.get("Date") ?? "");
  return date ? Math.round((date - Date.now()) / 1000) : undefined;
}

/** Milliseconds by this computer's clock, which goes on while it sleeps: only for how long something took. */
export const elapsed = () => Date.now();
