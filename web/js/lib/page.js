// What all pages have in common: checks before anything else, the frame, and how to get to the next
// page when nothing can be stored.

import {
  asProblem,
  currentSession,
  forget,
  isMemoryOnly,
  issuer,
  onChange,
  Problem,
  recallClock,
  signOut,
} from "./api.js";
import { addTexts, t } from "./i18n.js";
import { ask, busy, byId, fill, h, showProblem, showStatus } from "./ui.js";

/** @typedef {import("./api.js").Here} Here */

const PLACES = [
  ["/account", "nav.account"],
  ["/account/keys", "nav.keys"],
  ["/account/activity", "nav.activity"],
  ["/account/keyring", "nav.keyring"],
];

/**
 * The programs of pages that have run in this tab, by URL.
 * @type {Map<string, () => Promise<void>>}
 */
const programs = new Map();

/**
 * Runs the program of a page that needs nobody to be signed in.
 * @param {string} url `import.meta.url` of the program
 * @param {(here: Here | undefined) => Promise<void>} run
 */
export function startPublic(url, run) {
  start(url, async () => run(await currentSession()));
}

/**
 * Runs the program of a page for the account that is signed in; others are sent to sign in.
 * @param {string} url `import.meta.url` of the program
 * @param {(here: Here) => Promise<void>} run
 */
export function startSignedIn(url, run) {
  start(url, async () => {
    const here = await currentSession();
    if (here) leaveWith(here.session.account);
    if (here) await run(here);
    else await goTo(`/sign-in?next=${encodeURIComponent(location.pathname)}`);
  });
}

/**
 * Leaves what the tab shows of an account when another tab has signed out, or signed in as somebody
 * else. What the page has open it puts away at `countersign-signed-out`.
 * @param {string} account its id
 */
export function leaveWith(account) {
  const look = async () => {
    const now = (await currentSession())?.session.account;
    if (isMemoryOnly() || isLeaving || now === account) return;
    isLeaving = true;
    dispatchEvent(new Event("countersign-signed-out"));
    if (now) location.reload();
    else location.replace("/sign-in?signed-out=elsewhere");
  };
  onChange(look);
  // A page that is left becomes hidden. If it then reads from its storage, WebKit does not run the next one.
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") look();
  });
}

/** What a page does when somebody has signed in on it. */
export async function signedInHere() {
  const here = await currentSession();
  if (here) leaveWith(here.session.account);
  await showFrame();
}

/** Whether this tab is about to go to another page. */
let isLeaving = false;

/**
 * @param {string} url
 * @param {() => Promise<void>} run
 */
function start(url, run) {
  const program = async () => {
    document.documentElement.dataset.app = "on";
    const obstacle = obstacleHere();
    if (obstacle) {
      const { tone, heading, body } = obstacle;
      document.title = `${heading} – Countersign`;
      fill(byId("main"), h("h1", null, heading), h("section", { class: `notice ${tone}` }, body));
      return;
    }
    try {
      byId("main").setAttribute("aria-busy", "true");
      await recallClock();
      await showFrame();
      await run();
      submitAgain();
    } catch (error) {
      showFailure(error);
    } finally {
      byId("main").removeAttribute("aria-busy");
      for (const waiting of document.querySelectorAll(".loading")) waiting.remove();
    }
  };
  programs.set(url, program);
  program();
}

/** Why nothing can work here, if so. */
function obstacleHere() {
  if (location.origin !== issuer) {
    const there = issuer + location.pathname + location.search + location.hash;
    const values = { here: location.origin, issuer };
    const link = h(
      "p",
      null,
      h("a", { class: "button primary", href: there }, t("start.go-there")),
    );
    const why = h("p", null, t("start.wrong-origin.why", values));
    return { tone: "warning", heading: t("start.wrong-origin"), body: [why, link] };
  }
  if (!window.isSecureContext || !crypto.subtle) {
    const why = h("p", null, t("start.insecure.why"));
    return { tone: "danger", heading: t("start.insecure"), body: [why] };
  }
  return undefined;
}

/**
 * Shows what stopped a page, and the way to sign in where that helps.
 * @param {unknown} error
 */
function showFailure(error) {
  const signedOut = asProblem(error).kind === "signed-out";
  const next = `/sign-in?next=${encodeURIComponent(location.pathname)}`;
  const wayOut = h("p", null, h("a", { class: "button primary", href: next }, t("nav.sign-in")));
  showProblem(error, byId("problem"), signedOut && wayOut);
}

// ---- Forms before the program

/**
 * The form that was last submitted, if nothing has answered it yet: a program reads from its storage, and makes
 * a key, before it answers.
 * @type {HTMLFormElement | undefined}
 */
let unanswered;

// The browser sends no form, because a URL would have in it what was typed. Before this module runs, forms go
// nowhere by `method="dialog"`.
document.addEventListener("submit", (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  unanswered = event.defaultPrevented ? undefined : form;
  event.preventDefault();
});

/** Does what a person wanted before the program could do it. */
function submitAgain() {
  const form = unanswered;
  unanswered = undefined;
  if (form?.isConnected) form.requestSubmit();
}

// ---- The frame

async function showFrame() {
  const here = await currentSession();
  const nav = byId("nav");
  nav.hidden = !here;
  if (!here) return;
  const links = PLACES.map(([path = "", text = ""]) => {
    const current = path === location.pathname && "page";
    return h("li", null, h("a", { href: path, "aria-current": current }, t(text)));
  });
  const leave = h("button", { type: "button", class: "quiet" }, t("nav.sign-out"));
  leave.addEventListener("click", () => busy(leave, () => leaveAccount(here)));
  fill(nav, h("ul", null, links, h("li", null, leave)));
}

/** @type {() => Promise<boolean>} */
let maySignOut = async () => true;

/**
 * Has a page asked before anything is done to sign out.
 * @param {() => Promise<boolean>} question whether it may be
 */
export function askBeforeSignOut(question) {
  maySignOut = question;
}

/**
 * Signs out. Asks first if changes, or the account, would be lost by it.
 * @param {Here} here
 */
export async function leaveAccount(here) {
  if (!(await maySignOut())) return;
  isLeaving = true;
  try {
    await signOut(here);
  } catch (error) {
    isLeaving = false;
    if (!(error instanceof Problem) || error.kind !== "last-key") throw error;
    const body = [
      h("p", null, t("sign-out.last-key")),
      h("p", null, t("sign-out.last-key.advice")),
    ];
    const question = { title: t("sign-out.title"), body, submit: t("sign-out.lose"), danger: true };
    const lose = async () => {
      await forget(here);
    };
    if (!(await ask(question, lose))) return;
  }
  dispatchEvent(new Event("countersign-signed-out"));
  await goTo("/sign-in?signed-out");
}

// ---- To the next page

/**
 * Goes to a page that nobody chose by a link. It takes the place of this one in the history: else the button
 * "Back" would lead to where the way goes on by itself, and never past it.
 * @param {string} path
 */
export async function goTo(path) {
  isLeaving = true;
  if (isMemoryOnly()) await exchangePage(path, "replace");
  else location.replace(path);
}

/**
 * Puts another page in the place of this one without leaving the document, in which the key lives when
 * nothing can be stored. What a page has to forget it forgets at `countersign-leave`. The links of the
 * new page's head carry the hashes of its modules.
 * @param {string} path
 * @param {"push" | "replace" | "keep"} entry what becomes of the entry of the history
 */
async function exchangePage(path, entry) {
  const next = await parsedPage(path);
  dispatchEvent(new Event("countersign-leave"));
  showStatus("");
  if (entry === "push") history.pushState(null, "", path);
  if (entry === "replace") history.replaceState(null, "", path);
  document.title = next.title;
  for (const id of ["nav", "main"]) {
    const element = next.getElementById(id);
    if (element) byId(id).replaceWith(document.adoptNode(element));
  }
  const program = next.querySelector("head script[type=module]");
  const url = new URL(program?.getAttribute("src") ?? "", location.href).href;
  byId("main").focus();
  scrollTo(0, 0);
  const again = programs.get(url);
  if (again) return again();
  const modules = next.querySelectorAll("head [integrity]:is(script, [rel=modulepreload])");
  await Promise.all(Array.from(modules, preload));
  await addTexts(next.head);
  await import(url);
}

/**
 * Loads a module with the hash that the next page gives for it. Without one, no module may run.
 * @param {Element} module a link or script of that page
 * @returns {Promise<void>}
 */
function preload(module) {
  const href = module.getAttribute("href") ?? module.getAttribute("src");
  const integrity = module.getAttribute("integrity");
  return new Promise((resolve) => {
    const link = h("link", { rel: "modulepreload", href, integrity });
    link.onload = link.onerror = () => resolve();
    document.head.append(link);
  });
}

/**
 * The document at a path. XMLHttpRequest parses it without running anything.
 * @param {string} path
 * @returns {Promise<Document>}
 */
function parsedPage(path) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("GET", path);
    request.responseType = "document";
    request.onload = () =>
      request.responseXML ? resolve(request.responseXML) : reject(new Problem("offline"));
    request.onerror = () => reject(new Problem("offline"));
    request.send();
  });
}

document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey;
  if (!isMemoryOnly() || !plain || !link || link.origin !== location.origin || link.target) return;
  if (link.hash && link.pathname === location.pathname) return;
  if (!/^\/(|sign-in|register|account(\/.*)?)$/.test(link.pathname)) return;
  event.preventDefault();
  exchangePage(link.pathname + link.search, "push").catch(showProblem);
});

addEventListener("popstate", () => {
  if (isMemoryOnly()) exchangePage(location.pathname + location.search, "keep").catch(showProblem);
});

// A page that comes back from the browser's memory may show an account that was left meanwhile.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
