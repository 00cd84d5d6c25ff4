// The online keyring on a page while it is open.

import { currentSession } from "../../api.js";
import { moment, t, tn } from "../../i18n.js";
import { available } from "../../passkey.js";
import { button, clearMessages, h, notice, showStatus } from "../../ui.js";
import { addEntry } from "../dialogs.js";
import { paragraph } from "../fields.js";
import {
  addPasskey,
  askToDelete,
  changePassword,
  copyFromFile,
  copyToFile,
  restore,
} from "./dialogs.js";
import { onlineStatus } from "./opened.js";

/** @import { Child } from "../../ui.js" */
/** @import { Shown } from "../cards.js" */
/** @import { OpenedOnline, SlotFacts, Status } from "./opened.js" */

/** @typedef {Shown & { keyring: OpenedOnline, close: (ask: boolean) => Promise<void> }} ShownOnline */

/**
 * Whether this browser is signed in to the account whose keyring it is: only then it can be changed.
 * @param {OpenedOnline} keyring
 */
export const isMine = async ({ account }) => (await currentSession())?.session.account === account;

/** @param {ShownOnline} now */
export async function onlineCards(now) {
  const { keyring, canChange } = now;
  const status = canChange ? await onlineStatus(keyring.account) : undefined;
  return [
    h(
      "section",
      { class: "card" },
      h("h2", { id: "file-name", tabindex: "-1" }, t("online.of", { username: keyring.username })),
      paragraph(tn("keyring.entries", keyring.entries.length)),
      h("div", { id: "unsaved" }),
      !canChange && notice("info", t("online.read-only"), paragraph(t("online.read-only.why"))),
      h("div", { class: "actions" }, actions(now)),
    ),
    status && waysCard(now, status),
  ];
}

/**
 * A button, after which the keyring is shown again.
 * @param {ShownOnline} now
 * @param {string} text
 * @param {() => Promise<unknown>} action
 * @param {import("../../ui.js").Props} [props]
 */
const act = ({ again }, text, action, props) =>
  button(
    text,
    async () => {
      clearMessages();
      await action();
      await again();
    },
    props,
  );

/**
 * @param {ShownOnline} now
 * @returns {Child[]}
 */
function actions(now) {
  const { keyring, canChange, close } = now;
  const save = async () => {
    await keyring.save();
    showStatus(t("online.saved"));
  };
  return [
    canChange && act(now, t("keyring.save"), save, { class: "primary" }),
    canChange && act(now, t("keyring.add"), () => addEntry(keyring)),
    canChange && act(now, t("online.copy-from"), () => copyFromFile(keyring)),
    act(now, t("online.copy-to"), () => copyToFile(keyring)),
    button(t("keyring.close"), () => close(true), { class: "quiet" }),
  ];
}

/**
 * The ways to open the keyring, and what concerns all of it.
 * @param {ShownOnline} now
 * @param {Status} status
 */
function waysCard(now, status) {
  const { keyring, close } = now;
  // What is shown, and so what the person decides about, is what is open: the server may have something later.
  const anew = () => close(true);
  // What is open here is not what the server has afterwards.
  const closing =
    (/** @type {() => Promise<boolean>} */ action, /** @type {string} */ done) => async () => {
      clearMessages();
      await keyring.settle();
      if (!(await action())) return;
      await close(false);
      showStatus(done);
    };
  return h(
    "section",
    { class: "card", "aria-labelledby": "ways" },
    h("h2", { id: "ways" }, t("online.ways")),
    h(
      "ul",
      { class: "items" },
      status.slots.map((slot) => way(now, slot)),
    ),
    h(
      "div",
      { class: "actions" },
      act(now, t("online.password"), () => changePassword(keyring)),
      available() && act(now, t("online.passkey"), () => addPasskey(keyring)),
      button(
        t("online.revisions"),
        closing(() => restore(keyring, anew), t("online.restored")),
      ),
      button(
        t("online.delete"),
        closing(() => askToDelete(keyring, anew), t("online.deleted")),
      ),
    ),
  );
}

/**
 * @param {ShownOnline} now
 * @param {SlotFacts} slot
 */
function way(now, { kind, created_at, passkey_revoked }) {
  const remove = () => changePassword(now.keyring, t("online.passkey.remove.what"));
  return h(
    "li",
    null,
    h(
      "h3",
      null,
      t(`online.way.${kind}`),
      passkey_revoked && h("span", { class: "badge warning" }, t("online.way.revoked")),
    ),
    h("p", { class: "small" }, t("online.way.since", { when: moment(created_at) })),
    passkey_revoked && paragraph(t("online.way.revoked.what")),
    kind === "prf" && h("div", { class: "row" }, act(now, t("online.passkey.remove"), remove)),
  );
}
