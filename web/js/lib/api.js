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
import { available, getPasskey, serverTakesPasskeys } from "./passkey.js";
import * as store from "./store.js";
import { assumedSkew, assumeSkew, serverNow, skewIn } from "./store.js";

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
   * @param {string} [more.field] the id of the field whose value is wrong
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
    this.field = more.field;
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
 * Whether a request may have been carried out although it failed: its answer was lost, or is not the server's own.
 * @param {unknown} error
 */
export function mayBeDone(error) {
  const { kind, status } = asProblem(error);
  return kind === "offline" || kind === "perhaps-stored" || status >= 500;
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

export { serverNow };

/** What the server said last. */
async function readHints() {
  const hints = (await store.read("hints")) ?? {};
  assumeSkew(hints.skew ?? 0);
  return hints;
}

/** Takes the server's clock as it was when this browser last asked, before a page shows any time. */
export const recallClock = async () => {
  await readHints();
};

/**
 * Remembers nonce and clock of an answer.
 * @param {Response} response
 * @param {"tokenNonce" | "resourceNonce"} place
 */
async function learn(response, place) {
  const hints = await readHints();
  const nonce = response.headers.get("DPoP-Nonce");
  if (nonce) hints[place] = nonce;
  hints.skew = skewIn(response) ?? hints.skew;
  await store.write("hints", hints);
  await readHints();
}

/** @typedef {Record<string, string | undefined>} Form */

/**
 * @typedef {object} Message
 * @property {BrowserKey} [key] that proves the request; without it, the request is not proven
 * @property {string} [token]
 * @property {unknown} [json]
 * @property {Form | (() => Promise<Form>)} [form] a function if it has something signed, which is signed
 * anew each time the request is sent
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
    const assumed = assumedSkew();
    const response = await transmit(method, path, message, hints[place]);
    await learn(response, place);
    if (response.ok) return response;
    const problem = await problemOf(response);
    const { kind } = problem;
    if (NONCE_WANTED.includes(kind) && mayRepeat.delete("nonce")) continue;
    const clockSurprised = Math.abs(assumedSkew() - assumed) > 5;
    if (MAY_BE_THE_CLOCK.includes(kind) && clockSurprised && mayRepeat.delete("clock")) continue;
    throw explained(problem, path);
  }
}

/**
 * The same problem, with its cause where this page knows more of it than the answer says.
 * @param {Problem} problem
 * @param {string} path
 */
function explained(problem, path) {
  // The page may be older than the setting that switched passkeys off.
  if (problem.kind === "not-found" && path.startsWith(PASSKEYS)) problem.kind = "passkeys-off";
  if (problem.kind === "invalid_dpop_proof" && assumedSkew() !== 0) problem.reason ??= "clock";
  return problem;
}

const PASSKEYS = "/v1/passkeys";

/**
 * @param {string} method
 * @param {string} path
 * @param {Message} message
 * @param {string} [nonce]
 */
async function transmit(method, path, { key, token, json, form, headers }, nonce) {
  const fields = typeof form === "function" ? await form() : form;
  const body = fields ? encodeForm(fields) : json === undefined ? undefined : JSON.stringify(json);
  const proof = { method, url: issuer + path, nonce, token, body, now: serverNow() };
  const type = form ? "application/x-www-form-urlencoded" : "application/json";
  return fetchWhole(path, {
    method,
    body,
    headers: {
      ...(key && { DPoP: await dpopProof(key, proof) }),
      ...(token && { Authorization: `DPoP ${token}` }),
      ...(body !== undefined && { "Content-Type": type }),
      ...headers,
    },
    cache: "no-store",
    credentials: "omit",
    redirect: "error",
  }).catch((error) => {
    throw new Problem("offline", { detail: String(error) });
  });
}

// ---- Patience: what ends a request is silence, for a network may be slow, and a keyring is large

/** So long nothing may come, in milliseconds. */
const SILENCE_MS = 30_000;

/** The slowest that a body goes out, in bytes a second: the server waits no longer for it either. */
const SLOWEST = 2048;

/** Statuses whose answers have no body (Fetch standard). */
const WITHOUT_BODY = [204, 205, 304];

/**
 * Sends a request and waits for the whole answer.
 * @param {string} url
 * @param {RequestInit & { body?: string }} init
 * @returns {Promise<Response>} of which everything is there
 * @throws when the request cannot be sent, or nothing comes any more
 */
export async function fetchWhole(url, init) {
  const patience = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const wait = (/** @type {number} */ ms) => {
    clearTimeout(timer);
    timer = setTimeout(() => patience.abort(), ms);
  };
  try {
    // How much of the body is out is not to be learnt.
    wait(SILENCE_MS + ((init.body?.length ?? 0) * 1000) / SLOWEST);
    const response = await fetch(url, { ...init, signal: patience.signal });
    wait(SILENCE_MS);
    const chunks = [];
    const reader = response.body?.getReader();
    for (let read = await reader?.read(); read && !read.done; read = await reader?.read()) {
      wait(SILENCE_MS);
      chunks.push(read.value);
    }
    const { status, headers } = response;
    const body = WITHOUT_BODY.includes(status) ? null : new Blob(chunks);
    return new Response(body, { status, headers });
  } finally {
    clearTimeout(timer);
  }
}

/** @param {Form} form */
function encodeForm(form) {
  const given = Object.entries(form).filter(([, value]) => value !== undefined);
  return new URLSearchParams(/** @type {[string, string][]} */ (given)).toString();
}

// ---- Who is signed in

/** @typedef {{ key: BrowserKey, session: Session }} Here */

/** The session of this browser, if there is one. */
export const currentSession = store.readSession;

/**
 * The session of this browser, as that of an account whose things a page shows. Somebody else may have signed
 * in meanwhile, in another tab: nothing is asked or done in their name.
 * @param {string} account its id
 * @returns {Promise<Here>}
 */
async function sessionOf(account) {
  const here = await currentSession();
  if (!here) throw new Problem("signed-out");
  if (here.session.account !== account) throw new Problem("other-account");
  return here;
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
  // A key of this tab alone needs no lock, and a browser that stores nothing may refuse one.
  if (store.isMemoryOnly() || !navigator.locks) return action();
  return navigator.locks.request("countersign-login", action);
}

/**
 * What a session is after a login.
 * @param {Response} response
 * @returns {Promise<Session>}
 */
async function sessionFrom(response) {
  const { access_token: token, expires_in: seconds } = await response.json();
  const { sub: account, preferred_username: username } = readClaims(token);
  return { account, username: username ?? account, token, expiresAt: serverNow() + seconds };
}

/**
 * The session of an account with a token that is good for a while. Logs in with the browser's key if need be.
 * @param {string} account its id
 * @param {string} [refused] a token that shall not be used again
 */
async function freshSession(account, refused) {
  const usable = (/** @type {Session} */ session) =>
    session.token !== refused && session.expiresAt > serverNow() + 20;
  const now = await sessionOf(account);
  await readHints();
  if (usable(now.session)) return now;
  return exclusively(async () => {
    const here = await sessionOf(account);
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
  const form = async () => {
    const now = serverNow();
    const claims = {
      iss: account,
      sub: account,
      aud: issuer,
      iat: now,
      exp: now + 120,
      jti: randomText(),
    };
    const assertion = await signJwt(key, { typ: "JWT", kid: key.thumbprint }, claims);
    return { grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion };
  };
  return send("POST", "/oauth/token", { key, form });
}

/**
 * Logs in anew. Somebody may sign out, or in as somebody else, before the answer is there: then nothing of it
 * is kept, and nothing of theirs is forgotten.
 * @param {Here} here
 */
async function logIn({ key, session }) {
  const response = await logInWith(key, session.account).catch(async (error) => {
    if (!(error instanceof Problem) || error.kind !== "invalid_grant") throw error;
    if (!(await store.clear(key))) throw new Problem("other-account");
    throw new Problem("signed-out", { reason: "ended", requestId: error.requestId });
  });
  const renewed = { ...session, ...(await sessionFrom(response)) };
  if (await store.renew(key, renewed)) return renewed;
  throw new Problem((await currentSession()) ? "other-account" : "signed-out");
}

// ---- What a page asks for

/**
 * @typedef {object} Request
 * @property {unknown} [json]
 * @property {Record<string, string>} [headers]
 * @property {boolean} [confirm] the server will want the passkey for it: ask at once
 */

const STEP_UP = `${PASSKEYS}/options/step-up`;
const REPEATED = ["invalid_token"];

/**
 * A request as the account whose things the page shows. Returns the JSON of the answer, or null.
 * @param {string} account its id; if it is not the one that is signed in, nothing is sent
 * @param {string} method
 * @param {string} path with its query
 * @param {Request} [request]
 * @returns {Promise<any>}
 */
export async function call(account, method, path, request = {}) {
  let here = await freshSession(account);
  const confirm = async () => (await confirmation(account, method, path, request)).assertion;
  let assertion =
    request.confirm && here.session.hasPasskey && serverTakesPasskeys()
      ? await confirm().catch((error) => noneLeft(here, error))
      : undefined;
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
      // Where passkeys are switched off, a fresh login with the browser's own key takes their place.
      if (problem.lack === "passkey" && serverTakesPasskeys()) assertion = await confirm();
      else here = await freshSession(account, here.session.token);
    }
  }
}

/**
 * An account whose last passkey is gone needs something else, as the answer to the request will say. So
 * does every account where passkeys were switched off since the page was loaded.
 * @param {Here} here
 * @param {unknown} error
 */
async function noneLeft(here, error) {
  const problem = asProblem(error);
  if (problem.kind === "passkeys-off") return undefined;
  if (problem.kind !== "step-up-needed") throw problem;
  await note(here, { hasPasskey: false });
  return undefined;
}

/**
 * @typedef {object} Confirmed
 * @property {unknown} [json]
 * @property {Record<string, string>} [headers]
 * @property {BufferSource} [prf] as `getPasskey` takes it
 * @property {Record<string, BufferSource>} [salts] as `getPasskey` takes them
 */

/**
 * The passkey's word for one request, for the header `Passkey-Assertion`.
 * @param {string} account as `call` takes it
 * @param {string} method
 * @param {string} path
 * @param {Confirmed} request
 * @throws {Problem} also where the browser has no passkeys
 */
export async function confirmation(account, method, path, { json, headers, prf, salts }) {
  if (!available()) throw new Problem("step-up-needed", { lack: "passkey-elsewhere" });
  const body_sha256 = json === undefined ? null : await sha256Hex(JSON.stringify(json));
  const operation = {
    method,
    path: path.replace(/\?.*/, ""),
    body_sha256,
    if_match: headers?.["If-Match"],
    if_none_match: headers?.["If-None-Match"],
  };
  const here = await sessionOf(account);
  const options = await call(account, "POST", STEP_UP, { json: { operation } });
  const answer = await getPasskey(options, { prf, salts });
  if (answer.userHandle) await note(here, { userHandle: answer.userHandle });
  const assertion = base64urlOfText(JSON.stringify(answer.json));
  return { assertion, prf: answer.prf, passkey: String(answer.json.id) };
}

/**
 * Notes something in the session, if it is still the one of that key.
 * @param {{ key: BrowserKey }} here
 * @param {Partial<Session>} news
 */
export async function note({ key }, news) {
  await store.renew(key, news);
}

/**
 * Options for signing in with any passkey.
 * @param {BrowserKey} key
 * @returns {Promise<RequestJson>}
 */
export async function signInOptions(key) {
  const json = { purpose: "sign-in", dpop_jkt: key.thumbprint };
  return (await send("POST", "/v1/passkeys/options", { json })).json();
}

/**
 * Options for the first passkey of an account that is not there yet. Where the account could not be
 * made, they are refused with the problem that the registration would have.
 * @param {BrowserKey} key
 * @param {string} username
 * @param {string} [enrolmentCode]
 * @returns {Promise<CreationJson>}
 */
export async function registrationOptions(key, username, enrolmentCode) {
  const code = enrolmentCode && { enrolment_code: enrolmentCode };
  const json = { purpose: "register", username, dpop_jkt: key.thumbprint, ...code };
  return (await send("POST", "/v1/passkeys/options", { json })).json();
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
  const more = { hasPasskey: true, userHandle: passkey.userHandle };
  await store.begin(key, { ...more, ...(await sessionFrom(response)) });
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
  await note({ key }, { hasPasskey: passkey !== undefined, userHandle: passkey?.userHandle });
}

/**
 * Signs in with a key that the account already has: the next request logs in with it.
 * @param {BrowserKey} key
 * @param {string} account its id
 * @param {string} username
 */
export async function adopt(key, account, username) {
  await store.begin(key, { account, username, token: "", expiresAt: 0 });
}

/**
 * Keeps a login as the session of its key.
 * @param {BrowserKey} key
 * @param {Response} login the answer to `logInWith`
 */
export async function adoptLogin(key, login) {
  await store.begin(key, await sessionFrom(login));
}

/**
 * Revokes this browser's key and forgets everything. A last key is `last-key` and stays.
 * @param {Here} here
 */
export async function signOut({ key, session }) {
  try {
    await call(session.account, "DELETE", `/v1/keys/${key.thumbprint}`);
  } catch (error) {
    const { kind } = asProblem(error);
    if (kind !== "signed-out" && kind !== "not-found") throw error;
  }
  await store.clear(key);
}

/**
 * Forgets the key of this browser without telling the server.
 * @param {{ key: BrowserKey }} here
 */
export const forget = ({ key }) => store.clear(key);

/** Calls back when another tab has signed somebody in or out. */
export const onChange = store.onChange;

/** Whether nothing outlives this tab. */
export const isMemoryOnly = store.isMemoryOnly;
