// Keyring files on a page while they are closed: the forms that open one and make one.

import { t } from "../i18n.js";
import { busy, button, byId, clearMessages, h, showStatus } from "../ui.js";
import {
  labelled,
  newPassphrase,
  newPassphraseFields,
  paragraph,
  passphraseField,
} from "./fields.js";
import { canWriteInPlace, KeyringFile } from "./file.js";
import { OpenedKeyring } from "./opened.js";

/** @typedef {(keyring: OpenedKeyring, file: KeyringFile) => Promise<void>} ShowFile */

/** @param {ShowFile} opened */
export function openForm(opened) {
  /** @type {KeyringFile | null} */
  let file = null;
  const go = h("button", { class: "primary" }, t("keyring.open"));
  const passphrase = passphraseField("passphrase", "current-password");
  const form = h(
    "form",
    { class: "card narrow", id: "open" },
    h("h2", null, t("keyring.open.title")),
  );
  const chosen = (/** @type {KeyringFile | null} */ now) => {
    file = now ?? file;
    if (now) passphrase.querySelector("input")?.focus();
  };
  form.append(canWriteInPlace() ? picker(chosen) : upload(chosen), passphrase, go);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(go, async () => {
      clearMessages();
      if (!file?.content) return byId("file").focus();
      const typed = passphrase.querySelector("input")?.value ?? "";
      showStatus(t("keyring.opening"));
      await opened(await OpenedKeyring.open(file.content, typed), file);
      showStatus(t("keyring.opened"));
    });
  });
  return form;
}

/** @param {(file: KeyringFile | null) => void} chosen */
function picker(chosen) {
  const name = h("span", { class: "small" }, t("keyring.file.none"));
  const choose = button(
    t("keyring.file.choose"),
    async () => {
      const file = await KeyringFile.pick();
      if (file) name.textContent = file.name;
      chosen(file);
    },
    { id: "file" },
  );
  return h("p", { class: "row" }, choose, name);
}

/** @param {(file: KeyringFile | null) => void} chosen */
function upload(chosen) {
  const input = h("input", { type: "file", required: true });
  const field = labelled("file", input, t("keyring.file.hint"));
  input.addEventListener("change", () =>
    busy(input, async () => {
      const [file] = input.files ?? [];
      chosen(file ? await KeyringFile.uploaded(file) : null);
    }),
  );
  return field;
}

/** @param {ShowFile} opened */
export function createForm(opened) {
  const go = h("button", null, t("keyring.create"));
  const form = h(
    "form",
    { id: "create" },
    paragraph(t("keyring.create.what")),
    newPassphraseFields(),
    go,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(go, async () => {
      clearMessages();
      const passphrase = newPassphrase(new FormData(form));
      await opened(await OpenedKeyring.create(passphrase), KeyringFile.fresh());
      showStatus(t("keyring.created"));
    });
  });
  return h(
    "details",
    { class: "card narrow" },
    h("summary", null, t("keyring.create.title")),
    form,
  );
}

export const aboutFiles = () => [
  h("h2", null, t("keyring.about")),
  paragraph(t("keyring.about.what")),
  paragraph(t(canWriteInPlace() ? "keyring.about.in-place" : "keyring.about.download")),
  paragraph(t("keyring.about.trust")),
];
