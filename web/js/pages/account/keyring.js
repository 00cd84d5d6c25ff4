// Keyrings: files of the person's own, and the online keyring of the account. The page works for
// everybody, signed in or not; what is decrypted stays in a worker, and goes when the keyring is closed,
// the page is left, or nobody has used it for a while.

import { currentSession, mayBeDone } from "../../lib/api.js";
import { t, tn } from "../../lib/i18n.js";
import { whenIdle } from "../../lib/idle.js";
import { entryCard } from "../../lib/keyring/cards.js";
import { aboutFiles, createForm, openForm } from "../../lib/keyring/closed.js";
import { addEntry, changePassphrase } from "../../lib/keyring/dialogs.js";
import { paragraph } from "../../lib/keyring/fields.js";
import { onlineSection } from "../../lib/keyring/online/closed.js";
import { isMine, onlineCards } from "../../lib/keyring/online/open.js";
import { askBeforeSignOut, leaveWith, startPublic } from "../../lib/page.js";
import { ask, button, byId, clearMessages, fill, h, notice, showStatus } from "../../lib/ui.js";

/** @import { KeyringFile } from "../../lib/keyring/file.js" */
/** @import { OpenedOnline } from "../../lib/keyring/online/opened.js" */
/** @import { Opened, OpenedKeyring } from "../../lib/keyring/opened.js" */

/**
 * The keyring that is open.
 * @typedef {object} Open
 * @property {Opened} keyring
 * @property {() => Promise<void>} show
 * @property {boolean} canChange whether changes can be saved
 * @property {() => Promise<void>} [save] stores it without asking the person; a file cannot be
 */

/** @type {Open | null} */
let open = null;
let endWatch = () => {};

/** An open keyring is put away when nobody has used the page for so long. */
const IDLE_MS = 10 * 60_000;

const isUnsaved = () => open?.canChange && open.keyring.isChanged;

addEventListener("beforeunload", (event) => {
  if (isUnsaved()) event.preventDefault();
});
addEventListener("pagehide", () => open && forget());
// A file is nobody's account: it stays open when the page is exchanged and comes back.
addEventListener("countersign-leave", () => open?.save && forget());

// Whoever signs out, here or in another tab, leaves nothing open behind, not even a file.
addEventListener("countersign-signed-out", () => forget());
askBeforeSignOut(mayLose);

startPublic(import.meta.url, async (here) => {
  if (here) leaveWith(here.session.account);
  if (open) await open.show();
  else await showClosed();
});

/** @param {Open} now */
async function show(now) {
  open = now;
  endWatch();
  endWatch = whenIdle(IDLE_MS, putAway);
  await now.show();
}

/** Ends the worker, and takes what it has shown from the page. */
function forget() {
  endWatch();
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  open?.keyring.close();
  open = null;
  // Where nothing can be stored, a file is still open when another page is in the place of this one.
  const content = document.getElementById("content");
  if (content) fill(content);
}

/** Nobody is there. Changes to the online keyring are stored first; a file waits for its person. */
async function putAway() {
  if (!open) return;
  let outcome = "why";
  if (isUnsaved()) {
    for (const dialog of document.querySelectorAll("dialog")) dialog.close();
    if (!open.save) {
      endWatch = whenIdle(IDLE_MS, putAway);
      return;
    }
    outcome = await open.save().then(
      () => "why",
      (error) => (mayBeDone(error) ? "perhaps" : "lost"),
    );
  }
  forget();
  clearMessages();
  await showClosed();
  const text = paragraph(t(`keyring.put-away.${outcome}`));
  byId("content").prepend(notice("info", t("keyring.put-away"), text));
}

/** Asks about changes that are not saved, if there are any. */
async function mayLose() {
  const question = {
    title: t("keyring.close.title"),
    body: [paragraph(t("keyring.unsaved.what"))],
    submit: t("keyring.close.lose"),
    danger: true,
  };
  return !isUnsaved() || ask(question);
}

/** @param {boolean} mayKeep whether the person is asked about changes that are not saved */
async function close(mayKeep) {
  if (mayKeep && !(await mayLose())) return;
  forget();
  clearMessages();
  await showClosed();
  byId("main").focus();
}

function showUnsaved() {
  const text = paragraph(t("keyring.unsaved.what"));
  fill(byId("unsaved"), isUnsaved() && notice("warning", t("keyring.unsaved"), text));
}

// ---- Closed

async function showClosed() {
  const online = await onlineSection({
    here: await currentSession(),
    opened: openedOnline,
    again: showClosed,
  });
  fill(
    byId("content"),
    online,
    openForm(openedFile),
    createForm(openedFile),
    h("section", { class: "card" }, aboutFiles()),
  );
}

// ---- Open: the online keyring

/** @param {OpenedOnline} keyring */
async function openedOnline(keyring) {
  await show({
    keyring,
    canChange: await isMine(keyring),
    show: () => showOnline(keyring),
    save: () => keyring.save(),
  });
  showStatus(t("keyring.opened"));
}

/** @param {OpenedOnline} keyring */
async function showOnline(keyring) {
  // Somebody may have signed in meanwhile, with a key of this very keyring.
  const canChange = await isMine(keyring);
  if (open?.keyring === keyring) open.canChange = canChange;
  const again = () => showOnline(keyring);
  const now = { keyring, canChange, again, changed: showUnsaved, close };
  const cards = await onlineCards(now);
  // It was put away while the server was asked.
  if (open?.keyring !== keyring) return;
  fill(
    byId("content"),
    cards,
    keyring.entries.map((entry) => entryCard(now, entry)),
  );
  showUnsaved();
}

// ---- Open: a file

/**
 * @param {OpenedKeyring} keyring
 * @param {KeyringFile} file
 */
function openedFile(keyring, file) {
  return show({ keyring, canChange: true, show: async () => showFile(keyring, file) });
}

/**
 * @param {OpenedKeyring} keyring
 * @param {KeyringFile} file
 */
function showFile(keyring, file) {
  if (open?.keyring !== keyring) return;
  const again = () => showFile(keyring, file);
  const now = { keyring, canChange: true, again, changed: showUnsaved };
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
        button(t("keyring.save"), () => save(keyring, file), { class: "primary" }),
        button(t("keyring.add"), () => addEntry(keyring).then(again)),
        button(t("keyring.passphrase"), () => changePassphrase(keyring).then(again)),
        button(t("keyring.close"), () => close(true), { class: "quiet" }),
      ),
    ),
    keyring.entries.map((entry) => entryCard(now, entry)),
  );
  showUnsaved();
}

/**
 * @param {OpenedKeyring} keyring
 * @param {KeyringFile} file
 */
async function save(keyring, file) {
  clearMessages();
  const { changes } = keyring;
  const outcome = await file.save(await keyring.seal());
  if (outcome === "cancelled") return;
  keyring.stored = changes;
  showFile(keyring, file);
  showStatus(t(`keyring.saved.${outcome}`, { name: file.name }));
}
