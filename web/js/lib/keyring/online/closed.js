// The online keyring on a page while it is closed: what the server says of it, and the ways to open it.

import { asProblem } from "../../api.js";
import { relative, t } from "../../i18n.js";
import { generateKey } from "../../jose.js";
import { available } from "../../passkey.js";
import { busy, button, clearMessages, h, notice, showStatus } from "../../ui.js";
import { labelled, paragraph, passphraseField } from "../fields.js";
import { askToDelete, newPassword, newPasswordFields, restore, showCode } from "./dialogs.js";
import { OpenedOnline, onlineStatus, passkeySlots } from "./opened.js";

/** @import { Here } from "../../page.js" */
/** @import { Child } from "../../ui.js" */
/** @import { Status } from "./opened.js" */

/**
 * @typedef {object} Place
 * @property {Here | undefined} here who is signed in
 * @property {(keyring: OpenedOnline) => Promise<void>} opened shows it open
 * @property {() => Promise<void>} again shows it closed
 */

/**
 * @param {Place} place
 * @returns {Promise<HTMLElement>}
 */
export async function onlineSection(place) {
  const { here } = place;
  const card = (/** @type {Child[]} */ ...children) =>
    h("section", { class: "card narrow", id: "online" }, [
      h("h2", { tabindex: "-1" }, t("online.title")),
      paragraph(t("online.what")),
      ...children,
    ]);
  if (!here) return card(openForm(place), codeForm(place));
  try {
    const status = await onlineStatus(here.session.account);
    return status ? card(...ofAccount(place, here, status)) : card(makeForm(place, here));
  } catch (error) {
    // Files can be opened all the same.
    const { kind } = asProblem(error);
    const isSaid = kind === "signed-out" || kind === "other-account";
    const text = t(isSaid ? `problem.${kind}` : "online.unreachable");
    return card(notice("warning", t("problem.heading"), paragraph(text)));
  }
}

/**
 * @param {Place} place
 * @param {Here} here
 * @param {Status} status
 * @returns {Child[]}
 */
function ofAccount(place, here, status) {
  const present = { account: here.session.account, revision: status.revision };
  const kib = Math.ceil(status.size / 1024);
  const when = relative(status.updated_at);
  const hasPasskey = passkeySlots(status).length > 0 && available();
  const forgotten = [
    h("hr"),
    paragraph(t("online.lost-both")),
    changing(
      place,
      t("online.delete"),
      () => askToDelete(present, place.again),
      t("online.deleted"),
    ),
  ];
  return [
    h("p", { class: "small" }, t("online.stored", { when, kib })),
    openForm(place),
    h(
      "div",
      { class: "actions" },
      hasPasskey && passkeyButton(place, here, status),
      // Somebody may have spoilt what is stored now, so that it does not open.
      changing(
        place,
        t("online.revisions"),
        () => restore(present, place.again),
        t("online.restored"),
      ),
    ),
    codeForm(place, forgotten),
  ];
}

/**
 * A button that changes what the server has, without opening it.
 * @param {Place} place
 * @param {string} text
 * @param {() => Promise<boolean>} action
 * @param {string} done
 */
const changing = (place, text, action, done) =>
  button(text, async () => {
    if (!(await action())) return;
    await place.again();
    showStatus(done);
  });

/**
 * @param {Place} place
 * @param {Here} here
 * @param {Status} status
 */
const passkeyButton = ({ opened }, { session }, status) =>
  button(t("online.open.passkey"), async () => {
    showStatus(t("passkey.confirming"));
    await opened(await OpenedOnline.openByPasskey(session, status));
  });

/** Whose keyring it is, where nobody is signed in. @param {string} id */
function usernameField(id) {
  const input = h("input", { required: true, autocomplete: "username", spellcheck: "false" });
  return labelled(id, input, undefined, "username");
}

/** @param {Place} place */
function openForm(place) {
  const go = h("button", { class: "primary" }, t("online.open"));
  const fields = [
    !place.here && usernameField("online-username"),
    passphraseField("online-password", "current-password"),
  ];
  const form = h("form", null, fields, go);
  const typed = () => value(form, "online-password");
  return opening(place, form, go, "password", () => ({
    username: value(form, "online-username"),
    typed: typed(),
  }));
}

/**
 * @param {Place} place
 * @param {Child[]} more
 */
function codeForm(place, more = []) {
  const go = h("button", null, t("online.open.code"));
  const code = h("input", { required: true, autocomplete: "off", spellcheck: "false" });
  const fields = [
    !place.here && usernameField("code-username"),
    labelled("recovery-code", code, t("online.recovery-code.hint")),
  ];
  const form = h("form", null, fields, go);
  opening(place, form, go, "recovery", () => ({
    username: value(form, "code-username"),
    typed: value(form, "recovery-code"),
  }));
  return h("details", null, h("summary", null, t("online.forgotten")), form, more);
}

/**
 * @param {Place} place
 * @param {HTMLFormElement} form
 * @param {HTMLButtonElement} go
 * @param {"password" | "recovery"} kind
 * @param {() => { username: string, typed: string }} read
 */
function opening({ here, opened }, form, go, kind, read) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(go, async () => {
      clearMessages();
      showStatus(t("keyring.opening"));
      const { username: name, typed } = read();
      const username = here?.session.username ?? name.trim();
      const key = here?.key ?? (await generateKey());
      await opened(await OpenedOnline.open({ username, kind, typed, key }));
    });
  });
  return form;
}

/**
 * @param {HTMLFormElement} form
 * @param {string} name
 */
const value = (form, name) => String(new FormData(form).get(name) ?? "");

/**
 * @param {Place} place
 * @param {Here} here
 */
function makeForm({ opened, again }, { session }) {
  const go = h("button", { class: "primary" }, t("online.make"));
  const form = h("form", null, paragraph(t("online.make.what")), newPasswordFields(), go);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(go, async () => {
      clearMessages();
      const password = newPassword(new FormData(form));
      const made = new OpenedOnline(session.username, session.account);
      showStatus(t("online.making"));
      let stored = false;
      try {
        stored = await showCode(await made.renew(password));
      } finally {
        if (!stored) made.close();
      }
      if (!stored) {
        if (made.isInDoubt) await again();
        return;
      }
      await opened(made);
      showStatus(t("online.made"));
    });
  });
  return form;
}
