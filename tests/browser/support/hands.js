// What a person does on a page, in every engine: the three drivers have nothing in common but that a function runs in the
// page. Controls are found by the names that a person knows them by.

/**
 * @typedef {{ evaluate: (work: (...args: any[]) => any, ...args: any[]) => Promise<any> }} Tab a page of any driver
 *
 * @typedef {["file", string, string] | ["type", string, string] | ["choose", string] | ["press", string]
 *   | ["status", string] | ["problem", string] | ["sees", string] | ["keeps-downloads"] | ["closed"]} Step
 *   file: name, content in base64; type: label, text; choose: the label of a radio button or an option;
 *   press: the name of a button; status, problem, sees: wait until it is told there, or anywhere;
 *   closed: wait until no dialog is left
 */

/**
 * @param {Tab} tab
 * @param {Step[]} steps
 */
export async function does(tab, ...steps) {
  for (const step of steps) {
    try {
      await tab.evaluate(inPage, step);
    } catch (error) {
      throw new Error(
        `${JSON.stringify(step).slice(0, 200)}: ${error instanceof Error ? error.message : error}`,
      );
    }
  }
}

/**
 * The last file that the page handed to the person, in base64; `keeps-downloads` must have come before.
 * @param {Tab} tab
 * @returns {Promise<string>}
 */
export function downloaded(tab) {
  return tab.evaluate(async () => {
    const blob = /** @type {Blob} */ (/** @type {any} */ (window).lastDownload);
    const bytes = new Uint8Array(await blob.arrayBuffer());
    return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  });
}

/**
 * Runs in the page, so it stands alone.
 * @param {Step} step
 */
async function inPage([act, ...args]) {
  const [name = "", value = ""] = args;
  const top = () => document.querySelector("dialog[open]") ?? document;
  const text = (/** @type {Element | null} */ element) => element?.textContent?.trim() ?? "";
  const isShown = (/** @type {Element} */ element) => element.checkVisibility();
  /** @template T @param {() => T | null | undefined | false} look @param {() => string} otherwise @returns {Promise<T>} */
  const until = async (look, otherwise) => {
    for (const deadline = performance.now() + 30_000; performance.now() < deadline; ) {
      const found = look();
      if (found) return found;
      await new Promise((later) => setTimeout(later, 20));
    }
    throw new Error(`it is not there: ${otherwise()}`);
  };
  const all = () =>
    text(document.querySelector("main")) + text(document.querySelector("dialog[open]"));
  /** @returns {HTMLInputElement | undefined} */
  const labelled = () => {
    const labels = Array.from(top().querySelectorAll("label")).filter(isShown);
    const label =
      labels.find((one) => text(one) === name) ?? labels.find((one) => text(one).startsWith(name));
    return /** @type {any} */ (label?.control ?? label?.querySelector("input"));
  };
  const button = () => {
    const buttons = Array.from(top().querySelectorAll("button, summary")).filter(isShown);
    const named = (/** @type {Element} */ one) => one.getAttribute("aria-label") ?? text(one);
    const found = buttons.find((one) => named(one) === name);
    return found?.hasAttribute("aria-busy") ? null : /** @type {HTMLElement | undefined} */ (found);
  };
  const notify = (/** @type {HTMLElement} */ field) => {
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.dispatchEvent(new Event("change", { bubbles: true }));
  };
  const told = (/** @type {string} */ selector) => () =>
    Array.from(document.querySelectorAll(selector)).some((one) => text(one).includes(name));

  if (act === "keeps-downloads") {
    const make = URL.createObjectURL;
    URL.createObjectURL = (/** @type {any} */ blob) => {
      Object.assign(window, { lastDownload: blob });
      return make.call(URL, blob);
    };
  } else if (act === "file") {
    const field = await until(
      () => /** @type {HTMLInputElement} */ (document.querySelector("input[type=file]")),
      all,
    );
    const files = new DataTransfer();
    files.items.add(new File([Uint8Array.from(atob(value), (c) => c.charCodeAt(0))], name));
    field.files = files.files;
    notify(field);
    await until(() => !field.hasAttribute("aria-busy"), all);
  } else if (act === "type") {
    const field = await until(labelled, all);
    field.value = value;
    notify(field);
  } else if (act === "choose") {
    const find = () => {
      const option = Array.from(top().querySelectorAll("option")).find((one) => text(one) === name);
      return option ?? labelled();
    };
    const found = await until(find, all);
    if (found instanceof HTMLOptionElement) {
      found.selected = true;
      notify(/** @type {HTMLElement} */ (found.parentElement));
    } else found.click();
  } else if (act === "closed") {
    await until(() => !document.querySelector("dialog"), all);
  } else if (act === "press") {
    (await until(button, all)).click();
  } else {
    const place = { status: "#status", problem: "[role=alert]", sees: "main, dialog[open]" }[act];
    await until(told(place), () => `${all()} ${text(document.querySelector("#status"))}`);
  }
}
