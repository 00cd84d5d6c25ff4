// The entries of an open keyring on a page: what they are, and what can be done with each.

import { day, moment, relative, t } from "../i18n.js";
import { mutualSteps } from "../mutual-steps.js";
import { signedInHere } from "../page.js";
import { serverNow } from "../store.js";
import { button, byId, clearMessages, fill, h, notice, showStatus } from "../ui.js";
import {
  isHere,
  registerEntry,
  removeEntry,
  renameEntry,
  revealSecret,
  signInHere,
} from "./dialogs.js";
import { paragraph } from "./fields.js";

/** @import { EntryView } from "./entries.js" */
/** @import { Opened } from "./opened.js" */

/**
 * What is on the page.
 * @typedef {object} Shown
 * @property {Opened} keyring
 * @property {boolean} canChange whether changes of entries can be saved
 * @property {() => void | Promise<void>} again shows it again, after a change
 * @property {() => void} changed says that something is not saved
 */

/**
 * @param {Shown} now
 * @param {EntryView} entry
 */
export function entryCard(now, entry) {
  const { keyring, canChange, again } = now;
  const { name, username, url, key, serverSidePublicKey } = entry;
  const place = h("div", { "data-place": true });
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
  const opensNothing = usable && keyring.isNew(key.thumbprint) && !entry.accountId;
  const mutual = async () => fill(place, mutualPanel(now, entry));
  return h(
    "section",
    { class: "card", "data-entry": name },
    h("h2", null, name, isHere(entry) && h("span", { class: "badge good" }, t("keyring.here"))),
    paragraph(t("keyring.account", { username, url })),
    facts(entry),
    !key && notice("warning", t("keyring.unusable"), paragraph(t("keyring.unusable.why"))),
    opensNothing &&
      notice("warning", t("problem.key-unknown"), paragraph(t("problem.key-unknown.why"))),
    h(
      "div",
      { class: "row" },
      usable &&
        act(t("keyring.sign-in"), t("keyring.sign-in.of", { name }), () => signIn(now, entry)),
      usable &&
        canChange &&
        serverSidePublicKey &&
        act(t("keyring.mutual"), t("keyring.mutual.of", { name }), mutual),
      usable &&
        canChange &&
        !entry.accountId &&
        act(t("keyring.register"), t("keyring.register.of", { name }), () =>
          registerEntry(keyring, entry).then(again),
        ),
      canChange &&
        act(t("keyring.rename"), t("keyring.rename.of", { name }), () =>
          renameEntry(keyring, entry).then(again),
        ),
      canChange &&
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
  const live = tokenExpiresAt !== null && tokenExpiresAt > serverNow();
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
 * @param {Shown} now
 * @param {EntryView} entry
 */
async function signIn(now, entry) {
  const username = await signInHere(now.keyring, entry);
  if (username === null) return;
  await signedInHere();
  await now.again();
  const link = h("a", { class: "button primary", href: "/account" }, t("keyring.signed-in.go"));
  const text = paragraph(t("keyring.signed-in.what"));
  const done = notice("good", t("keyring.signed-in", { username }), text, h("p", null, link));
  byId("content").prepend(done);
  showStatus(t("keyring.signed-in", { username }));
}

/**
 * @param {Shown} now
 * @param {EntryView} entry
 */
function mutualPanel({ keyring, changed }, { name, username, accountId, serverSidePublicKey }) {
  const login = {
    account: accountId ?? username,
    serverKey: serverSidePublicKey ?? "",
    key: () => keyring.use(name),
  };
  const keep = async (/** @type {{ text: string, expiresAt: number } | null} */ token) => {
    await keyring.update(name, {
      token: token && { text: token.text, expiresAt: token.expiresAt },
    });
    changed();
  };
  return mutualSteps(login, keep);
}
