// What a person does with the online keyring, in dialogs.

import { mayBeDone, Problem } from "../../api.js";
import { span, t, tn } from "../../i18n.js";
import { ask, h, showStatus } from "../../ui.js";
import {
  choice,
  labelled,
  newPassphrase,
  newPassphraseFields,
  paragraph,
  passphraseField,
} from "../fields.js";
import { download, KeyringFile } from "../file.js";
import { keyringProblem } from "../opened.js";
import { deleteOnline, onlineRevisions, restoreRevision } from "./opened.js";

/** @import { Merged } from "../merge.js" */
/** @import { Decided, OpenedOnline } from "./opened.js" */

/** A new password, twice. */
export const newPasswordFields = () => [
  passphraseField("online-new-password", "new-password", t("online.new-password.hint")),
  passphraseField("online-again", "new-password"),
];

/**
 * @param {FormData} form
 * @returns {string}
 */
export function newPassword(form) {
  const password = String(form.get("online-new-password"));
  if (password !== String(form.get("online-again"))) throw keyringProblem("passwords-different");
  return password;
}

/**
 * @param {string} name
 * @param {string} text
 * @param {boolean} [required]
 */
const checkbox = (name, text, required = false) =>
  h(
    "label",
    { class: "choice" },
    h("input", { type: "checkbox", name, required }),
    h("span", null, text),
  );

/**
 * Shows the recovery code. What it belongs to is stored when the person says that they have it.
 * @param {{ code: string, store: () => Promise<void> }} prepared
 * @returns {Promise<boolean>} whether it was stored
 */
export async function showCode({ code, store }) {
  showStatus("");
  const shown = h("pre", { class: "code", "data-code": true }, code);
  const save = h("button", { type: "button" }, t("keyring.secret.save"));
  save.addEventListener("click", () => download(`${code}\n`, "recovery-code.txt"));
  const question = {
    title: t("online.code"),
    body: [
      paragraph(t("online.code.what")),
      shown,
      h("p", null, save),
      checkbox("saved", t("online.code.saved"), true),
    ],
    submit: t("online.code.store"),
  };
  const stored = await ask(question, store);
  shown.textContent = "";
  return stored;
}

/**
 * A new password, and with it a new recovery code and a new content key.
 * @param {OpenedOnline} keyring
 * @param {string} why what else it is good for
 */
export async function changePassword(keyring, why = "") {
  /** @type {Awaited<ReturnType<OpenedOnline["renew"]>> | undefined} */
  let prepared;
  const question = {
    title: t("online.password"),
    body: [why && paragraph(why), paragraph(t("online.password.what")), ...newPasswordFields()],
    submit: t("online.password.button"),
  };
  await ask(question, async (form) => {
    prepared = await keyring.renew(newPassword(form));
  });
  if (!prepared) return;
  if (await showCode(prepared)) showStatus(t("online.password.done"));
  // Closed without knowing whether it was stored.
  else await keyring.settle();
}

/** @param {OpenedOnline} keyring */
export async function addPasskey(keyring) {
  const question = {
    title: t("online.passkey"),
    body: [paragraph(t("online.passkey.what"))],
    submit: t("online.passkey.button"),
  };
  const attempt = {};
  if (await ask(question, () => keyring.addPasskey(attempt))) showStatus(t("online.passkey.done"));
}

/** @param {OpenedOnline} keyring */
export async function copyFromFile(keyring) {
  const input = h("input", { type: "file", required: true });
  let said = "";
  const question = {
    title: t("online.copy-from"),
    body: [
      paragraph(t("online.copy-from.what")),
      labelled("file", input, t("keyring.file.hint")),
      passphraseField("passphrase", "current-password"),
      checkbox("replace", t("online.copy-from.replace")),
    ],
    submit: t("online.copy-from.button"),
  };
  const done = await ask(question, async (form) => {
    const { content } = await KeyringFile.uploaded(/** @type {File} */ (form.get("file")));
    const passphrase = String(form.get("passphrase"));
    const replace = form.has("replace");
    said = copied(await keyring.copyFromFile(content ?? new Uint8Array(), passphrase, replace));
  });
  if (done) showStatus(said);
}

/** @param {Merged} merged */
function copied({ added, replaced, completed, kept }) {
  const count = added + replaced + completed;
  if (count === 0) return t("online.copied-from.nothing");
  const names = kept.join(", ");
  const more = kept.length > 0 ? ` ${t("online.copied-from.kept", { names })}` : "";
  return tn("online.copied-from", count) + more;
}

/** @param {OpenedOnline} keyring */
export async function copyToFile(keyring) {
  const question = {
    title: t("online.copy-to"),
    body: [paragraph(t("online.copy-to.what")), ...newPassphraseFields()],
    submit: t("online.copy-to.button"),
  };
  const done = await ask(question, async (form) => {
    const file = KeyringFile.fresh();
    download(await keyring.copyToFile(newPassphrase(form)), file.name);
  });
  if (done) showStatus(t("online.copied-to"));
}

/**
 * Asks before something is done that cannot be undone. When somebody has changed the keyring meanwhile, the
 * person must not decide about what was shown before: the dialog goes.
 * @param {import("../../ui.js").Question} question
 * @param {(form: FormData) => Promise<unknown>} action
 * @param {() => Promise<unknown>} anew shows what is there now
 * @returns {Promise<boolean>} whether it was done
 */
async function decide(question, action, anew) {
  let isOvertaken = false;
  let mayBeOurs = false;
  const done = await ask(question, async (form) => {
    try {
      await action(form);
    } catch (error) {
      mayBeOurs ||= mayBeDone(error);
      if (!(error instanceof Problem && error.kind === "keyring-changed")) throw error;
      isOvertaken = true;
    }
  });
  if (!isOvertaken) return done;
  await anew();
  throw new Problem("keyring-changed", { reason: mayBeOurs ? "perhaps" : "undone" });
}

/**
 * Puts an earlier content back.
 * @param {Decided} present what goes for it
 * @param {() => Promise<unknown>} anew shows what is there now, when that has changed meanwhile
 * @returns {Promise<boolean>} whether it was done; the keyring must be opened again then
 */
export async function restore(present, anew) {
  const choices = (await onlineRevisions(present.account)).map((kept) => {
    const { revision, updated_at, replaced_at, size } = kept;
    const kib = Math.ceil(size / 1024);
    const label = t("online.revision", { when: span(updated_at, replaced_at), kib });
    return /** @type {[string, string]} */ ([String(revision), label]);
  });
  const body =
    choices.length > 0
      ? [
          paragraph(t("online.revisions.what")),
          choice("revision", choices, t("online.revisions.which")),
        ]
      : [paragraph(t("online.revisions.none"))];
  const submit = choices.length > 0 ? t("online.revisions.restore") : undefined;
  const question = { title: t("online.revisions"), body, submit };
  const action = (/** @type {FormData} */ form) =>
    restoreRevision(present, Number(form.get("revision")));
  return decide(question, action, anew);
}

/**
 * @param {Decided} present
 * @param {() => Promise<unknown>} anew shows what is there now, when that has changed meanwhile
 * @returns {Promise<boolean>} whether it is gone
 */
export async function askToDelete(present, anew) {
  const question = {
    title: t("online.delete"),
    body: [paragraph(t("online.delete.what"))],
    submit: t("online.delete"),
    danger: true,
  };
  return decide(question, () => deleteOnline(present), anew);
}
