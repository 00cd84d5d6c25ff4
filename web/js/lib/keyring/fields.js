// Fields of the keyring's forms.

import { t } from "../i18n.js";
import { h } from "../ui.js";
import { keyringProblem } from "./opened.js";
import { PASSPHRASE_BYTES } from "./passphrase.js";

/** @import { Child, Props } from "../ui.js" */

/**
 * A control with its label and a hint.
 * @param {string} id also the name of the control
 * @param {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} control
 * @param {string} [hint]
 * @param {string} [label] the last part of its key, `keyring.field.LABEL`
 */
export function labelled(id, control, hint, label = id) {
  control.id = id;
  control.name = id;
  if (hint) control.setAttribute("aria-describedby", `${id}-hint`);
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, t(`keyring.field.${label}`)),
    control,
    hint && h("p", { id: `${id}-hint`, class: "hint" }, hint),
  );
}

/**
 * @param {string} id
 * @param {Props} [props]
 * @param {string} [hint]
 */
export const textField = (id, props = {}, hint = undefined) =>
  labelled(id, h("input", { autocomplete: "off", spellcheck: "false", ...props }), hint);

/**
 * A passphrase, for which password managers may do their work.
 * @param {string} id
 * @param {"current-password" | "new-password"} autocomplete
 * @param {string} [hint]
 */
export const passphraseField = (id, autocomplete, hint) =>
  labelled(id, h("input", { type: "password", required: true, autocomplete }), hint);

/** A new passphrase, twice. */
export const newPassphraseFields = () => [
  passphraseField("new-passphrase", "new-password", t("keyring.new-passphrase.hint")),
  passphraseField("again", "new-password"),
];

/**
 * @param {FormData} form
 * @returns {string}
 */
export function newPassphrase(form) {
  const passphrase = String(form.get("new-passphrase"));
  if (passphrase !== String(form.get("again"))) throw keyringProblem("different");
  const { min } = PASSPHRASE_BYTES;
  const { length } = new TextEncoder().encode(passphrase);
  if (length < min) throw keyringProblem("passphrase-new", { min });
  return passphrase;
}

/**
 * One of several.
 * @param {string} name
 * @param {[value: string, label: string, hint?: string][]} choices the first is chosen
 * @param {string} legend
 */
export function choice(name, choices, legend) {
  const options = choices.map(([value, label, hint], at) =>
    h(
      "label",
      { class: "choice" },
      h("input", { type: "radio", name, value, checked: at === 0 }),
      h("span", null, label, hint && h("span", { class: "hint" }, h("br"), hint)),
    ),
  );
  return h("fieldset", null, h("legend", null, legend), options);
}

/**
 * @param {string} text
 * @param {Child[]} more
 */
export const paragraph = (text, ...more) => h("p", null, text, more);
