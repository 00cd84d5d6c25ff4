// Keyrings: files of the person's own. The page works for everybody, signed in or not; what is
// decrypted stays in the worker, and goes when the keyring is closed or the page is left.

import { day, moment, relative, t, tn } from "../../lib/i18n.js";
import {
  addEntry,
  changePassphrase,
  isHere,
  registerEntry,
  removeEntry,
  renameEntry,
  revealSecret,
  signInHere,
} from "../../lib/keyring/dialogs.js";
import {
  labelled,
  newPassphrase,
  newPassphraseFields,
  paragraph,
  passphraseField,
} from "../../lib/keyring/fields.js";
import { canWriteInPlace, KeyringFile } from "../../lib/keyring/file.js";
import { OpenedKeyring } from "../../lib/keyring/opened.js";
import { mutualSteps } from "../../lib/mutual-steps.js";
import { startPublic } from "../../lib/page.js";
import {
  ask,
  busy,
  button,
  byId,
  clearMessages,
  fill,
  h,
  notice,
  showStatus,
} from "../../lib/ui.js";

/** @import { EntryView } from "../../lib/keyring/keyring.js" */

/** @typedef {{ keyring: OpenedKeyring, file: KeyringFile }} Open */

/** @type {Open | null} */
let open = null;

addEventListener("beforeunload", (event) => {
  if (open?.keyring.isChanged) event.preventDefault();
});

startPublic(import.meta.url, async () => {
  if (open) showOpen(open);
  else showClosed();
});

// ---- Closed

function showClosed() {
  fill(byId("content"), openForm(), createForm(), h("section", { class: "card" }, aboutFiles()));
}

function openForm() {
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
      showOpen({ keyring: await OpenedKeyring.open(file.content, typed), file });
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

function createForm() {
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
      showOpen({ keyring: await OpenedKeyring.create(passphrase), file: KeyringFile.fresh() });
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

const aboutFiles = () => [
  h("h2", null, t("keyring.about")),
  paragraph(t("keyring.about.what")),
  paragraph(t(canWriteInPlace() ? "keyring.about.in-place" : "keyring.about.download")),
  paragraph(t("keyring.about.trust")),
];

// ---- Open

/** @param {Open} now */
function showOpen(now) {
  open = now;
  const { keyring, file } = now;
  const again = () => showOpen(now);
  fill(
    byId("content"),
    h(
      "section",
      { class: "card" },
      h("h2", { id: "file-name", tabindex: "-1" }, file.name),
      paragraph(tn("keyring.entries", keyring.entries.length)),
      h("div", { id: "unsaved" }),
      h(
        "div",
        { class: "actions" },
        button(t("keyring.save"), () => save(now), { class: "primary" }),
        button(t("keyring.add"), () => addEntry(keyring).then(again)),
        button(t("keyring.passphrase"), () => changePassphrase(keyring).then(again)),
        button(t("keyring.close"), () => close(now), { class: "quiet" }),
      ),
    ),
    keyring.entries.map((entry) => card(now, entry)),
  );
  showUnsaved(keyring);
}

/** @param {OpenedKeyring} keyring */
function showUnsaved({ isChanged }) {
  const text = paragraph(t("keyring.unsaved.what"));
  fill(byId("unsaved"), isChanged && notice("warning", t("keyring.unsaved"), text));
}

/** @param {Open} now */
async function save(now) {
  clearMessages();
  const outcome = await now.file.save(await now.keyring.seal());
  if (outcome === "cancelled") return;
  now.keyring.isChanged = false;
  showOpen(now);
  showStatus(t(`keyring.saved.${outcome}`, { name: now.file.name }));
}

/** @param {Open} now */
async function close({ keyring }) {
  const question = {
    title: t("keyring.close.title"),
    body: [paragraph(t("keyring.unsaved.what"))],
    submit: t("keyring.close.lose"),
    danger: true,
  };
  if (keyring.isChanged && !(await ask(question))) return;
  keyring.close();
  open = null;
  clearMessages();
  showClosed();
  byId("main").focus();
}

/**
 * @param {Open} now
 * @param {EntryView} entry
 */
function card(now, entry) {
  const { keyring } = now;
  const { name, username, url, key, serverSidePublicKey } = entry;
  const place = h("div", { "data-place": true });
  const again = () => showOpen(now);
  const act = (
    /** @type {string} */ text,
    /** @type {string} */ label,
    /** @type {() => Promise<void>} */ action,
  ) =>
    button(
      text,
      async () => {
        clearMessages();
        await action();
      },
      { "aria-label": label },
    );
  const usable = isHere(entry) && key !== null && !entry.hasPassword;
  const mutual = async () => fill(place, mutualPanel(now, entry));
  return h(
    "section",
    { class: "card", "data-entry": name },
    h("h2", null, name, isHere(entry) && h("span", { class: "badge good" }, t("keyring.here"))),
    paragraph(t("keyring.account", { username, url })),
    facts(entry),
    !key && notice("warning", t("keyring.unusable"), paragraph(t("keyring.unusable.why"))),
    h(
      "div",
      { class: "row" },
      usable &&
        act(t("keyring.sign-in"), t("keyring.sign-in.of", { name }), () => signIn(now, entry)),
      usable &&
        serverSidePublicKey &&
        act(t("keyring.mutual"), t("keyring.mutual.of", { name }), mutual),
      usable &&
        !entry.accountId &&
        act(t("keyring.register"), t("keyring.register.of", { name }), () =>
          registerEntry(keyring, entry).then(again),
        ),
      act(t("keyring.rename"), t("keyring.rename.of", { name }), () =>
        renameEntry(keyring, entry).then(again),
      ),
      act(t("keyring.remove"), t("keyring.remove.of", { name }), () =>
        removeEntry(keyring, entry).then(again),
      ),
      act(t("keyring.secret"), t("keyring.secret.of", { name }), () =>
        revealSecret(keyring, entry),
      ),
    ),
    place,
  );
}

/** @param {EntryView} entry */
function facts({ key, createdAt, tokenExpiresAt, hasPassword }) {
  const live = tokenExpiresAt !== null && tokenExpiresAt > Date.now() / 1000;
  const rows = /** @type {[string, string | false | null][]} */ ([
    [
      "keyring.fact.key",
      key && [t(`keyring.type.${key.type}`), key.bits].filter(Boolean).join(" "),
    ],
    ["keyring.fact.thumbprint", key?.thumbprint ?? null],
    ["keyring.fact.logs-in", hasPassword && t("keyring.by-password")],
    ["keyring.fact.created", day(createdAt)],
    ["keyring.fact.token", live && `${moment(tokenExpiresAt)} (${relative(tokenExpiresAt)})`],
  ]);
  const shown = rows.filter(([, value]) => value);
  return h(
    "dl",
    { class: "facts" },
    shown.flatMap(([label, value]) => [h("dt", null, t(label)), h("dd", null, value)]),
  );
}

/**
 * @param {Open} now
 * @param {EntryView} entry
 */
async function signIn(now, entry) {
  const username = await signInHere(now.keyring, entry);
  if (username === null) return;
  showOpen(now);
  const link = h("a", { class: "button primary", href: "/account" }, t("keyring.signed-in.go"));
  const text = paragraph(t("keyring.signed-in.what"));
  const done = notice("good", t("keyring.signed-in", { username }), text, h("p", null, link));
  byId("content").prepend(done);
  showStatus(t("keyring.signed-in", { username }));
}

/**
 * @param {Open} now
 * @param {EntryView} entry
 */
function mutualPanel({ keyring }, { name, username, accountId, serverSidePublicKey }) {
  const login = {
    account: accountId ?? username,
    serverKey: serverSidePublicKey ?? "",
    key: () => keyring.use(name),
  };
  const keep = async (/** @type {{ text: string, expiresAt: number } | null} */ token) => {
    await keyring.update(name, {
      token: token && { text: token.text, expiresAt: token.expiresAt },
    });
    showUnsaved(keyring);
  };
  return mutualSteps(login, keep);
}
