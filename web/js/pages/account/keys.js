// Everything that can get into the account, in three groups, and what can be done with it.

import { call, mayBeDone } from "../../lib/api.js";
import { moment, t, tn } from "../../lib/i18n.js";
import {
  details,
  expiry,
  history,
  loadKeys,
  mayBeOldSelf,
  origin,
  removableUntil,
} from "../../lib/keys.js";
import { addPasskey, makeKeyFile, pasteProof } from "../../lib/new-key.js";
import { startSignedIn } from "../../lib/page.js";
import { available, whyNoPasskeys } from "../../lib/passkey.js";
import { offerToRevoke, revoke } from "../../lib/revoke.js";
import { ask, button, byId, fill, h, showStatus } from "../../lib/ui.js";

/** @import { Key, Keys } from "../../lib/keys.js" */
/** @import { Here } from "../../lib/page.js" */

startSignedIn(import.meta.url, show);

/** @param {Here} here */
async function show(here) {
  const keys = await loadKeys(here);
  fill(
    byId("content"),
    group(here, keys, "passkey", passkeyActions(here)),
    group(here, keys, "browser", []),
    group(here, keys, "key", [
      button(
        t("keys.new-file"),
        changing(here, () => makeKeyFile(here)),
      ),
      button(
        t("keys.paste"),
        changing(here, () => pasteProof(here)),
      ),
    ]),
    keys.live.some(({ kind }) => kind === "mutual") && group(here, keys, "mutual", []),
    removed(keys),
  );
}

/**
 * Changes the keys. That it is done is said when the page shows them as they are now: buttons of an older
 * list would vanish under the person's hand.
 * @param {Here} here
 * @param {() => Promise<string | undefined>} change what to say; nothing when nothing was done
 */
const changing = (here, change) => async () => {
  const said = await change().catch(async (error) => {
    // It may have been done: the list says it.
    if (mayBeDone(error)) await show(here).catch(() => {});
    throw error;
  });
  if (said === undefined) return;
  await show(here);
  showStatus(said);
};

/** @param {Here} here */
function passkeyActions(here) {
  if (available()) {
    const add = changing(here, () => addPasskey(here));
    return [button(t("keys.add-passkey"), add, { class: "primary" })];
  }
  return [h("p", { class: "hint" }, t(whyNoPasskeys()))];
}

/**
 * @param {Here} here
 * @param {Keys} keys
 * @param {Key["kind"]} kind
 * @param {HTMLElement[]} actions
 */
function group(here, keys, kind, actions) {
  const members = keys.live.filter((key) => key.kind === kind);
  // The newest use first, and this browser before everything.
  const rank = (/** @type {Key} */ key) =>
    key === keys.mine ? Infinity : (key.last_used_at ?? key.created_at);
  members.sort((a, b) => rank(b) - rank(a));
  const id = `group-${kind}`;
  return h(
    "section",
    { class: "card", "aria-labelledby": id },
    h("h2", { id }, t(`keys.group.${kind}`)),
    h("p", { class: "small" }, t(`keys.group.${kind}.what`)),
    members.length > 0
      ? h(
          "ul",
          { class: "items" },
          members.map((key) => item(here, keys, key)),
        )
      : h("p", null, t(`keys.group.${kind}.none`)),
    actions.length > 0 && h("div", { class: "actions" }, actions),
  );
}

/**
 * @param {Here} here
 * @param {Keys} keys
 * @param {Key} key
 */
function item(here, keys, key) {
  const { label } = key;
  const isMine = key === keys.mine;
  const isOld = mayBeOldSelf(key, keys);
  const ends = expiry(key);
  const inDoubt = removableUntil(key, keys);
  const remove = async () => {
    /** @type {Key[]} */
    let added = [];
    await changing(here, async () => {
      const done = await revoke(key, here, keys);
      added = done?.added ?? [];
      return done && t("revoke.done", { label });
    })();
    const said = await offerToRevoke(added, here, false);
    // Some may be gone even if not all of them are.
    if (added.length > 0) await show(here);
    if (said) showStatus(said);
  };
  return h(
    "li",
    null,
    h(
      "h3",
      null,
      label,
      isMine && h("span", { class: "badge good" }, t("key.this-browser")),
      isOld && h("span", { class: "badge warning" }, t("key.old-self")),
      inDoubt && h("span", { class: "badge warning" }, t("key.in-doubt")),
    ),
    isOld && h("p", { class: "small" }, t("key.old-self.why")),
    inDoubt && h("p", { class: "small" }, t("key.in-doubt.why", { when: moment(inDoubt) })),
    h("p", { class: "small" }, [origin(key), history(key)].join(" · ")),
    ends &&
      h("p", { class: "small" }, t(ends.soon ? "key.ends-soon" : "key.ends", { when: ends.text })),
    h("details", { class: "small" }, h("summary", null, t("keys.details")), details(key, keys)),
    h(
      "div",
      { class: "row" },
      button(
        t("keys.rename"),
        changing(here, () => rename(here, key)),
        {
          "aria-label": t("keys.rename.of", { label }),
        },
      ),
      button(t(isMine ? "nav.sign-out" : "keys.remove"), remove, {
        "aria-label": isMine ? undefined : t("keys.remove.of", { label }),
      }),
    ),
  );
}

/**
 * @param {Here} here
 * @param {Key} key
 * @returns {Promise<string | undefined>} what to say when it is done
 */
async function rename({ session }, key) {
  const { label } = key;
  let said;
  const input = h("input", {
    id: "label",
    name: "label",
    required: true,
    maxlength: 64,
    value: label,
  });
  const question = {
    title: t("keys.rename.of", { label }),
    body: [h("div", { class: "field" }, h("label", { for: "label" }, t("keys.name")), input)],
    submit: t("keys.rename.save"),
  };
  await ask(question, async (form) => {
    const json = { label: String(form.get("label")).trim() };
    await call(session.account, "PATCH", `/v1/keys/${key.thumbprint}`, { json, confirm: true });
    said = t("keys.renamed", json);
  });
  return said;
}

/** @param {Keys} keys */
function removed({ live, revoked }) {
  if (revoked.length === 0) return null;
  return h(
    "details",
    { class: "card" },
    h("summary", null, tn("keys.removed", revoked.length)),
    h(
      "ul",
      { class: "items" },
      revoked.map((key) =>
        h("li", null, h("h3", null, key.label), details(key, { live, revoked, mine: undefined })),
      ),
    ),
  );
}
