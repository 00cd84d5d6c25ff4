// What all pages have in common: checks before anything else, the frame, and how to get to the next
// page when nothing can be stored.

import {
  asProblem,
  currentSession,
  forget,
  isMemoryOnly,
  issuer,
  Problem,
  signOut,
} from "./api.js";
import { t } from "./i18n.js";
import { ask, busy, byId, fill, h, notice, showProblem, showStatus } from "./ui.js";

/** @import { BrowserKey } from "./jose.js" */
/** @import { Session } from "./store.js" */

/** @typedef {{ key: BrowserKey, session: Session }} Here */

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
    if (here) await run(here);
    else await goTo(`/sign-in?next=${encodeURIComponent(location.pathname)}`);
  });
}

/**
 * @param {string} url
 * @param {() => Promise<void>} run
 */
function start(url, run) {
  const program = async () => {
    document.documentElement.dataset.app = "on";
    const obstacle = obstacleHere();
    if (obstacle) {
      fill(byId("main"), h("h1", null, document.title), obstacle);
      return;
    }
    try {
      byId("main").setAttribute("aria-busy", "true");
      await showFrame();
      await run();
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
    return notice(
      "warning",
      t("start.wrong-origin"),
      h("p", null, t("start.wrong-origin.why", values)),
      link,
    );
  }
  if (!window.isSecureContext || !crypto.subtle) {
    return notice("danger", t("start.insecure"), h("p", null, t("start.insecure.why")));
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
  leave.addEventListener("click", () => busy(leave, leaveAccount));
  fill(nav, h("ul", null, links, h("li", null, leave)));
}

/** Signs out. Asks first if the account would be lost by it. */
export async function leaveAccount() {
  try {
    await signOut();
  } catch (error) {
    if (!(error instanceof Problem) || error.kind !== "last-key") throw error;
    const body = [
      h("p", null, t("sign-out.last-key")),
      h("p", null, t("sign-out.last-key.advice")),
    ];
    const question = { title: t("sign-out.title"), body, submit: t("sign-out.lose"), danger: true };
    if (!(await ask(question, forget))) return;
  }
  await goTo("/sign-in?signed-out");
}

// ---- To the next page

/**
 * @param {string} path
 */
export async function goTo(path) {
  if (isMemoryOnly()) await exchangePage(path, true);
  else location.assign(path);
}

/**
 * Puts another page in the place of this one without leaving the document, in which the key lives when
 * nothing can be stored. The links of the new page's head carry the hashes of its modules.
 * @param {string} path
 * @param {boolean} push
 */
async function exchangePage(path, push) {
  const next = await parsedPage(path);
  showStatus("");
  if (push) history.pushState(null, "", path);
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
  exchangePage(link.pathname + link.search, true).catch(showProblem);
});

addEventListener("popstate", () => {
  if (isMemoryOnly()) exchangePage(location.pathname + location.search, false).catch(showProblem);
});

// A page that comes back from the browser's memory may show an account that was left meanwhile.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
