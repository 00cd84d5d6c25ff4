// Elements, messages and dialogs. Texts become text nodes: nothing here can become markup.

import { asProblem } from "./api.js";
import { has, t, tn } from "./i18n.js";

/** @typedef {Node | string | number | false | null | undefined} Child */
/** @typedef {Record<string, unknown>} Props attributes; functions under `onclick` and the like; `class` */

/**
 * An element.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Props | null} [props] `true` sets an attribute, `false`, null and undefined leave it out
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (typeof value === "function") {
      element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...present(children.flat()));
  return element;
}

/** @param {Child[]} children */
const present = (children) =>
  children.filter((child) => child !== false && child !== null && child !== undefined).map(node);

/** @param {Child} child */
const node = (child) => (child instanceof Node ? child : String(child));

/**
 * The element with this id. A shell without it is a mistake of ours.
 * @template {HTMLElement} [E=HTMLElement]
 * @param {string} id
 * @returns {E}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no element #${id}`);
  return /** @type {E} */ (element);
}

/**
 * Replaces what an element contains. What had the focus in it has it afterwards, if it is there again.
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function fill(element, ...children) {
  const active = document.activeElement;
  const name = active && active !== element && element.contains(active) && nameOf(active);
  element.replaceChildren(...present(children.flat()));
  if (!name) return;
  const controls = Array.from(element.querySelectorAll("a, button, summary"));
  const again = controls.find((control) => nameOf(control) === name) ?? byId("main");
  /** @type {HTMLElement} */ (again).focus();
}

/** @param {Element} control */
const nameOf = (control) => control.getAttribute("aria-label") ?? control.textContent;

// ---- Messages

/**
 * Says that something is done or under way. Screen readers read it out.
 * @param {string} text
 */
export function showStatus(text) {
  byId("status").textContent = text;
}

/**
 * What happened and what to do, in sentences.
 * @param {unknown} error
 * @returns {Node[]}
 */
export function explain(error) {
  const { kind, lack, reason, detail, requestId, retryAfter } = asProblem(error);
  const words = [`${kind}.${reason ?? lack}`, kind, "unknown"].find((word) =>
    has(`problem.${word}`),
  );
  const quoted = detail !== undefined && has(`problem.${words}.detail`);
  return [
    h("p", null, t(`problem.${words}`, { detail: detail ?? "" })),
    ...(quoted ? [h("p", null, t(`problem.${words}.detail`, { detail }))] : []),
    ...(retryAfter ? [h("p", null, waiting(retryAfter))] : []),
    ...(requestId ? [h("p", { class: "small" }, t("problem.request-id", { id: requestId }))] : []),
  ];
}

/** @param {number} seconds until it may be tried again */
const waiting = (seconds) =>
  seconds > 120
    ? tn("problem.retry-after-minutes", Math.ceil(seconds / 60))
    : tn("problem.retry-after", seconds);

/**
 * Shows what went wrong and moves the focus there.
 * @param {unknown} error
 * @param {HTMLElement} [place] that has `role=alert` and can be focused; the page's by default
 * @param {...Child} more for instance a way out
 */
export function showProblem(error, place = byId("problem"), ...more) {
  showStatus("");
  const { field, kind } = asProblem(error);
  // As a page of whoever is signed in now.
  const reload = async () => location.reload();
  const wayOn =
    kind === "other-account" && h("p", null, button(t("problem.other-account.reload"), reload));
  fill(place, h("h2", { class: "h3" }, t("problem.heading")), explain(error), wayOn, more);
  const wrong = field && document.getElementById(field);
  if (wrong) {
    wrong.setAttribute("aria-invalid", "true");
    wrong.addEventListener("input", () => wrong.removeAttribute("aria-invalid"), { once: true });
  }
  place.focus();
}

export function clearMessages() {
  fill(byId("problem"));
  showStatus("");
}

/**
 * @param {"info" | "warning" | "danger" | "good"} tone
 * @param {string} heading
 * @param {...(Child | Child[])} children
 */
export const notice = (tone, heading, ...children) =>
  h("section", { class: `notice ${tone}` }, h("h2", { class: "h3" }, heading), ...children);

/**
 * Says beside a field what is wrong with its value, and moves there.
 * @param {HTMLInputElement | HTMLTextAreaElement} field
 * @param {string} text empty when nothing is
 */
export function showFieldError(field, text) {
  const place = byId(`${field.id}-error`);
  place.textContent = text;
  field.toggleAttribute("aria-invalid", false);
  if (!text) return;
  field.setAttribute("aria-invalid", "true");
  field.focus();
}

// ---- Waiting

/**
 * Does something for a button, which meanwhile does nothing more and says that it is busy.
 * @param {HTMLElement} button
 * @param {() => Promise<void>} action
 * @param {(error: unknown) => void} [failed]
 */
export async function busy(button, action, failed = showProblem) {
  if (button.hasAttribute("aria-busy")) return;
  clearMessages();
  button.setAttribute("aria-busy", "true");
  button.setAttribute("aria-disabled", "true");
  try {
    await action();
  } catch (error) {
    failed(error);
  } finally {
    button.removeAttribute("aria-busy");
    button.removeAttribute("aria-disabled");
  }
}

/**
 * A button.
 * @param {string} text
 * @param {(button: HTMLButtonElement) => Promise<void>} action what it does; failures are shown
 * @param {Props} [props]
 */
export function button(text, action, props = {}) {
  const element = h("button", { type: "button", ...props }, text);
  element.addEventListener("click", () => busy(element, () => action(element)));
  return element;
}

// ---- Dialogs

/**
 * @typedef {object} Question
 * @property {string} title
 * @property {Child[]} [body]
 * @property {string} [submit] the button that does it; without it there is only the way out
 * @property {boolean} [danger] it cannot be undone
 * @property {string} [cancel]
 * @property {() => Promise<boolean>} [mayClose] asked before the dialog closes without having done it
 */

/** What is filled in, as opposed to what is chosen, ticked or read. */
const FILLED_IN = "input:not([type=radio], [type=checkbox], [readonly]), textarea:not([readonly])";

/**
 * Moves the focus to the first control of a dialog if that is to be filled in, so that one can type at once.
 * What is to be read or chosen first leaves the focus at the heading.
 * @param {HTMLFormElement} form
 */
function focusFirstField(form) {
  const first = form.querySelector("input, select, textarea");
  if (!first?.matches(FILLED_IN)) return;
  const field = /** @type {HTMLInputElement | HTMLTextAreaElement} */ (first);
  field.focus();
  field.select();
}

/**
 * Has the sentences of a dialog read out with its heading, wherever the focus is.
 * @param {string} id of the dialog's heading
 * @param {Child[]} body
 */
function describedBy(id, body) {
  const sentences = body.filter((child) => child instanceof HTMLParagraphElement);
  return sentences.map((sentence, at) => {
    sentence.id ||= `${id}-${at + 1}`;
    return sentence.id;
  });
}

let dialogs = 0;

/**
 * Asks in a dialog. When the action fails the dialog stays and says why.
 * @param {Question} question
 * @param {(form: FormData) => Promise<void>} [action] what "yes" does
 * @returns {Promise<boolean>} whether it was done
 */
export function ask({ title, body = [], submit, danger = false, cancel, mayClose }, action) {
  const id = `dialog-${++dialogs}`;
  const problem = h("div", { role: "alert", tabindex: "-1", class: "notice danger" });
  const yes = submit && h("button", { class: danger ? "danger" : "primary" }, submit);
  const no = h("button", { type: "button" }, cancel ?? t("dialog.cancel"));
  const form = h(
    "form",
    null,
    h("h2", { id, tabindex: "-1" }, title),
    problem,
    body,
    h("div", { class: "actions" }, yes, no),
  );
  const said = describedBy(id, body).join(" ") || undefined;
  const dialog = h("dialog", { "aria-labelledby": id, "aria-describedby": said }, form);
  const opener = document.activeElement;
  showStatus("");
  return new Promise((resolve) => {
    let done = false;
    let isFree = false;
    let isLeaving = false;
    const leave = async () => {
      if (isLeaving) return;
      isLeaving = true;
      isFree = await (mayClose?.() ?? true);
      isLeaving = false;
      if (isFree) dialog.close();
    };
    no.addEventListener("click", leave);
    dialog.addEventListener("cancel", (event) => {
      // Fields for files have such events too.
      if (event.target !== dialog) return;
      event.preventDefault();
      leave();
    });
    dialog.addEventListener("close", () => {
      // Browsers close a dialog at the second Escape whatever the page says.
      if (mayClose && !done && !isFree) {
        dialog.showModal();
        leave();
        return;
      }
      dialog.remove();
      if (!opener?.isConnected) byId("main").focus();
      resolve(done);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const act = async () => {
        fill(problem);
        await action?.(new FormData(form));
        done = true;
        dialog.close();
      };
      if (yes) busy(yes, act, (error) => showProblem(error, problem));
    });
    document.body.append(dialog);
    dialog.showModal();
    if (submit) focusFirstField(form);
  });
}

// ---- Trusted Types

// The one policy of the pages. It lets scripts of our own be started as workers, and nothing else be
// made of a text. Every page makes it, for the name that the page's headers allow can be taken once:
// script that somebody smuggles in cannot have a policy of its own under that name.

/** @typedef {{ createScriptURL(url: string): string }} ScriptUrlPolicy */

const rules = {
  /** @param {string} url */
  createScriptURL(url) {
    const { origin, pathname } = new URL(url, location.href);
    if (origin === location.origin && /^\/web\/[\w-]+\/workers\/[\w.-]+\.js$/.test(pathname))
      return url;
    throw new TypeError(`not a worker of this server: ${url}`);
  },
};

/** @type {{ createPolicy(name: string, rules: ScriptUrlPolicy): ScriptUrlPolicy } | undefined} */
const trustedTypes = /** @type {any} */ (globalThis).trustedTypes;

const policy = trustedTypes?.createPolicy("countersign", rules) ?? rules;

/**
 * Where a worker of this server is, in the form in which the policy lets it start.
 * @param {string} name the file's name in `web/workers`
 */
export const workerUrl = (name) =>
  policy.createScriptURL(new URL(`../../workers/${name}`, import.meta.url).href);
