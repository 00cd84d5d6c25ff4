// The server, as a page talks to it: each request proven by the browser's key, tokens renewed by it,
// and the passkey asked for where the server wants that.

import {
  base64urlOfText,
  dpopProof,
  generateKey,
  randomText,
  readClaims,
  sha256Hex,
  signJwt,
} from "./jose.js";
import { getPasskey } from "./passkey.js";
import * as store from "./store.js";

/** @import { BrowserKey } from "./jose.js" */
/** @import { CreationJson, PasskeyAnswer, RequestJson } from "./passkey.js" */
/** @import { Session } from "./store.js" */

/** @typedef {"browser" | "visit"} Remember */

export const issuer =
  document.querySelector("meta[name=countersign-issuer]")?.getAttribute("content") ??
  location.origin;

/** Something went wrong, in a way that the page can explain. */
export class Problem extends Error {
  /**
   * @param {string} kind the last part of a problem's `type`, an OAuth `error`, or a word of our own
   * @param {object} [more]
   * @param {number} [more.status]
   * @param {string} [more.detail]
   * @param {string} [more.requestId]
   * @param {number} [more.retryAfter] seconds
   * @param {string} [more.lack]
   * @param {string} [more.reason]
   */
  constructor(kind, more = {}) {
    super(more.detail ?? kind);
    this.kind = kind;
    this.status = more.status ?? 0;
    this.detail = more.detail;
    this.requestId = more.requestId;
    this.retryAfter = more.retryAfter;
    this.lack = more.lack;
    this.reason = more.reason;
  }
}

/** What passkeys throw. @type {Record<string, string>} */
const PASSKEY_PROBLEMS = {
  AbortError: "passkey-not-confirmed",
  ConstraintError: "passkey-unsupported",
  InvalidStateError: "passkey-exists",
  NotAllowedError: "passkey-not-confirmed",
  NotSupportedError: "passkey-unsupported",
  SecurityError: "passkey-wrong-site",
};

/**
 * @param {unknown} error
 * @returns {Problem}
 */
export function asProblem(error) {
  if (error instanceof Problem) return error;
  const kind = error instanceof DOMException ? PASSKEY_PROBLEMS[error.name] : undefined;
  if (!kind) console.error(error);
  return new Problem(kind ?? "page", {
    detail: error instanceof Error ? error.message : String(error),
  });
}

/**
 * @param {Response} response
 * @returns {Promise<Problem>}
 */
export async function problemOf(response) {
  const body = await response.json().catch(() => ({}));
  const challenge = response.headers.get("WWW-Authenticate") ?? "";
  const type = String(body.type ?? "")
    .split("/")
    .pop();
  const challenged = /\berror="([a-z_]+)"/.exec(challenge)?.[1];
  const kind = body.error ?? (type === "unauthenticated" ? challenged : undefined) ?? type;
  return new Problem(kind || "unexpected-answer", {
    status: response.status,
    detail: body.detail ?? body.error_description ?? body.title,
    requestId: response.headers.get("X-Request-Id") ?? undefined,
    retryAfter: Number(response.headers.get("Retry-After")) || undefined,
    lack: body.lack,
    reason: body.reason,
  });
}

/** By how many seconds the server's clock is ahead, as far as it is known. */
let skew = 0;
const serverNow = () => Math.floor(Date.now() / 1000 + skew);

/** What the server said last. A small difference of the clocks is the time that answers take. */
async function readHints() {
  const hints = (await store.read("hints")) ?? {};
  skew = Math.abs(hints.skew ?? 0) > 3 ? (hints.skew ?? 0) : 0;
  return hints;
}

/**
 * Remembers nonce and clock of an answer. Returns whether the clock was a surprise.
 * @param {Response} response
 * @param {"tokenNonce" | "resourceNonce"} place
 */
async function learn(response, place) {
  const hints = await readHints();
  const before = skew;
  const nonce = response.headers.get("DPoP-Nonce");
  const date = Date.parse(response.headers.get("Date") ?? "");
  if (nonce) hints[place] = nonce;
  if (date) hints.skew = Math.round((date - Date.now()) / 1000);
  await store.write("hints", hints);
  await readHints();
  return Math.abs(skew - before) > 5;
}

/**
 * @typedef {object} Message
 * @property {BrowserKey} key
 * @property {string} [token]
 * @property {unknown} [json]
 * @property {Record<string, string | undefined>} [form]
 * @property {Record<string, string>} [headers]
 */

const NONCE_WANTED = ["use_dpop_nonce", "nonce-required"];
const MAY_BE_THE_CLOCK = ["invalid_dpop_proof", "invalid-proof", "invalid_grant"];

/**
 * Sends a request with a proof, once more with the nonce that the answer asks for, and once more when
 * this computer's clock turns out to be wrong.
 * @param {string} method
 * @param {string} path
 * @param {Message} message
 */
export async function send(method, path, message) {
  const place = message.token ? "resourceNonce" : "tokenNonce";
  const mayRepeat = new Set(["nonce", "clock"]);
  for (;;) {
    const hints = await readHints();
    const response = await transmit(method, path, message, hints[place]);
    const clockSurprised = await learn(response, place);
    if (response.ok) return response;
    const problem = await problemOf(response);
    const { kind } = problem;
    if (NONCE_WANTED.includes(kind) && mayRepeat.delete("nonce")) continue;
    if (MAY_BE_THE_CLOCK.includes(kind) && clockSurprised && mayRepeat.delete("clock")) continue;
    throw problem;
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {Message} message
 * @param {string} [nonce]
 */
async function transmit(method, path, { key, token, json, form, headers }, nonce) {
  const body = form ? encodeForm(form) : json === undefined ? undefined : JSON.stringify(json);
  const proof = { method, url: issuer + path, nonce, token, body, now: serverNow() };
  const type = form ? "application/x-www-form-urlencoded" : "application/json";
  return fetch(path, {
    method,
    body,
    headers: {
      DPoP: await dpopProof(key, proof),
      ...(token && { Authorization: `DPoP ${token}` }),
      ...(body !== undefined && { "Content-Type": type }),
      ...headers,
    },
    cache: "no-store",
    credentials: "omit",
    redirect: "error",
    signal: AbortSignal.timeout(30_000),
  }).catch((error) => {
    throw new Problem("offline", { detail: String(error) });
  });
}

/** @param {Record<string, string | undefined>} form */
function encodeForm(form) {
  const given = Object.entries(form).filter(([, value]) => value !== undefined);
  return new URLSearchParams(/** @type {[string, string][]} */ (given)).toString();
}

// ---- Who is signed in

/** The session of this browser, if there is one. */
export async function currentSession() {
  const [key, session] = await Promise.all([store.read("key"), store.read("session")]);
  return key && session ? { key, session } : undefined;
}

/**
 * A new key for this browser, and whether the browser can keep it. It is stored by `register` and `signIn`.
 */
export async function newBrowserKey() {
  const key = await generateKey();
  return { key, kept: await store.probe(key) };
}

/**
 * One login at a time, in all tabs.
 * @template T
 * @param {() => Promise<T>} action
 * @returns {Promise<T>}
 */
async function exclusively(action) {
  return navigator.locks ? navigator.locks.request("countersign-login", action) : action();
}

/**
 * Keeps the answer of a login. The token must be stored after its key: a key alone can log in again.
 * @param {BrowserKey} key
 * @param {Response} response
 * @param {Partial<Session>} more
 * @returns {Promise<Session>}
 */
async function keep(key, response, more) {
  const { access_token: token, expires_in: seconds } = await response.json();
  const { sub: account, preferred_username: username } = readClaims(token);
  const expiresAt = serverNow() + seconds;
  const session = { ...more, account, username: username ?? account, token, expiresAt };
  await store.write("key", key);
  await store.write("session", session);
  return session;
}

/**
 * The session with a token that is good for a while. Logs in with the browser's key if need be.
 * @param {string} [refused] a token that shall not be used again
 */
async function freshSession(refused) {
  const usable = (/** @type {Session} */ session) =>
    session.token !== refused && session.expiresAt > serverNow() + 20;
  const now = await currentSession();
  if (!now) throw new Problem("signed-out");
  await readHints();
  if (usable(now.session)) return now;
  return exclusively(async () => {
    const here = await currentSession();
    if (!here) throw new Problem("signed-out");
    return usable(here.session) ? here : { key: here.key, session: await logIn(here) };
  });
}

/**
 * Logs in with a key of the account (RFC 7523). The token is bound to that key.
 * @param {BrowserKey} key
 * @param {string} account its id or username
 * @returns {Promise<Response>}
 */
export async function logInWith(key, account) {
  const now = serverNow();
  const claims = {
    iss: account,
    sub: account,
    aud: issuer,
    iat: now,
    exp: now + 120,
    jti: randomText(),
  };
  const grant_type = "urn:ietf:params:oauth:grant-type:jwt-bearer";
  const assertion = await signJwt(key, { typ: "JWT", kid: key.thumbprint }, claims);
  return send("POST", "/oauth/token", { key, form: { grant_type, assertion } });
}

/** @param {{ key: BrowserKey, session: Session }} here */
async function logIn({ key, session }) {
  try {
    return await keep(key, await logInWith(key, session.account), session);
  } catch (error) {
    if (!(error instanceof Problem) || error.kind !== "invalid_grant") throw error;
    await store.clear();
    throw new Problem("signed-out", { reason: "ended", requestId: error.requestId });
  }
}

// ---- What a page asks for

/**
 * @typedef {object} Request
 * @property {unknown} [json]
 * @property {Record<string, string>} [headers]
 * @property {boolean} [confirm] the server will want the passkey for it: ask at once
 */

const STEP_UP = "/v1/passkeys/options/step-up";
const REPEATED = ["invalid_token"];

/**
 * A request as the account that is signed in. Returns the JSON of the answer, or null.
 * @param {string} method
 * @param {string} path with its query
 * @param {Request} [request]
 * @returns {Promise<any>}
 */
export async function call(method, path, request = {}) {
  let here = await freshSession();
  const confirm = async () => (await confirmation(method, path, request)).assertion;
  let assertion =
    request.confirm && here.session.hasPasskey ? await confirm().catch(noneLeft) : undefined;
  // What a passkey is asked with must not itself ask for a passkey.
  const mayRepeat = new Set(path === STEP_UP ? REPEATED : [...REPEATED, "passkey", "fresh-login"]);
  for (;;) {
    const headers = { ...request.headers, ...(assertion && { "Passkey-Assertion": assertion }) };
    try {
      const { key, session } = here;
      const message = { key, token: session.token, json: request.json, headers };
      const response = await send(method, path, message);
      return response.status === 204 ? null : await response.json();
    } catch (error) {
      const problem = asProblem(error);
      if (!mayRepeat.delete(problem.lack ?? problem.kind)) throw problem;
      if (problem.lack === "passkey") assertion = await confirm();
      else here = await freshSession(here.session.token);
    }
  }
}

/**
 * An account whose last passkey is gone needs something else, as the answer to the request will say.
 * @param {unknown} error
 */
async function noneLeft(error) {
  const problem = asProblem(error);
  if (problem.kind !== "step-up-needed") throw problem;
  await note({ hasPasskey: false });
  return undefined;
}

/**
 * The passkey's word for one request, for the header `Passkey-Assertion`.
 * @param {string} method
 * @param {string} path
 * @param {{ json?: unknown, prf?: BufferSource }} request `prf`: a salt for a secret of the passkey
 */
export async function confirmation(method, path, { json, prf }) {
  const body_sha256 = json === undefined ? null : await sha256Hex(JSON.stringify(json));
  const operation = { method, path: path.replace(/\?.*/, ""), body_sha256 };
  const options = await call("POST", STEP_UP, { json: { operation } });
  const answer = await getPasskey(options, { prf });
  if (answer.userHandle) await note({ userHandle: answer.userHandle });
  return { assertion: base64urlOfText(JSON.stringify(answer.json)), prf: answer.prf };
}

/**
 * Notes something in the session.
 * @param {Partial<Session>} news
 */
export async function note(news) {
  const session = await store.read("session");
  if (session) await store.write("session", { ...session, ...news });
}

/**
 * Options for signing in with any passkey.
 * @param {BrowserKey} key
 * @returns {Promise<RequestJson>}
 */
export async function signInOptions(key) {
  return (await send("POST", "/v1/passkeys/options", { key, json: { purpose: "sign-in" } })).json();
}

/**
 * Options for the first passkey of an account that is not there yet.
 * @param {BrowserKey} key
 * @param {string} username
 * @returns {Promise<CreationJson>}
 */
export async function registrationOptions(key, username) {
  const json = { purpose: "register", username };
  return (await send("POST", "/v1/passkeys/options", { key, json })).json();
}

/**
 * Signs in with a passkey and stores the browser's key.
 * @param {BrowserKey} key that the options were made for
 * @param {PasskeyAnswer} passkey
 * @param {Remember} remember
 */
export async function signIn(key, passkey, remember) {
  const form = {
    grant_type: "urn:countersign:params:oauth:grant-type:webauthn",
    assertion: base64urlOfText(JSON.stringify(passkey.json)),
    remember,
  };
  const response = await send("POST", "/oauth/token", { key, form });
  return keep(key, response, { hasPasskey: true, userHandle: passkey.userHandle });
}

/**
 * Makes an account with this browser's key, and with a passkey where there are any.
 * @param {BrowserKey} key
 * @param {object} account
 * @param {string} account.username
 * @param {string} account.label
 * @param {Remember} account.remember
 * @param {string} [account.enrolmentCode]
 * @param {PasskeyAnswer} [account.passkey]
 */
export async function register(key, { username, label, remember, enrolmentCode, passkey }) {
  const json = {
    username,
    public_key: key.jwk,
    label,
    remember,
    ...(enrolmentCode && { enrolment_code: enrolmentCode }),
    ...(passkey && { passkey: passkey.json }),
  };
  const answer = await (await send("POST", "/v1/accounts", { key, json })).json();
  await adopt(key, answer.account_id, answer.username);
  await note({ hasPasskey: passkey !== undefined, userHandle: passkey?.userHandle });
}

/**
 * Signs in with a key that the account already has: the next request logs in with it.
 * @param {BrowserKey} key
 * @param {string} account its id
 * @param {string} username
 */
export async function adopt(key, account, username) {
  await store.write("key", key);
  await store.write("session", { account, username, token: "", expiresAt: 0 });
}

/** Revokes this browser's key and forgets everything. A last key is `last-key` and stays. */
export async function signOut() {
  const here = await currentSession();
  try {
    if (here) await call("DELETE", `/v1/keys/${here.key.thumbprint}`);
  } catch (error) {
    const { kind } = asProblem(error);
    if (kind !== "signed-out" && kind !== "not-found") throw error;
  }
  await store.clear();
}

/** Forgets the key of this browser without telling the server. */
export const forget = store.clear;

/** Whether nothing outlives this tab. */
export const isMemoryOnly = store.isMemoryOnly;
