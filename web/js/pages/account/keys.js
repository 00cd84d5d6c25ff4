// Everything that can get into the account, in three groups, and what can be done with it.

import { call } from "../../lib/api.js";
import { t, tn } from "../../lib/i18n.js";
import { details, expiry, history, isProbablyOldSelf, loadKeys, origin } from "../../lib/keys.js";
import { addPasskey, makeKeyFile, pasteProof } from "../../lib/new-key.js";
import { startSignedIn } from "../../lib/page.js";
import { available, serverTakesPasskeys } from "../../lib/passkey.js";
import { offerToRevoke, revoke } from "../../lib/revoke.js";
import { ask, button, byId, fill, h, showStatus } from "../../lib/ui.js";

/** @import { Key, Keys } from "../../lib/keys.js" */
/** @import { Here } from "../../lib/page.js" */

startSignedIn(import.meta.url, show);

/** @param {Here} here */
async function show(here) {
  const keys = await loadKeys(here);
  const again = () => show(here);
  fill(
    byId("content"),
    group(here, keys, "passkey", passkeyActions(again)),
    group(here, keys, "browser", []),
    group(here, keys, "key", [
      button(t("keys.new-file"), () => makeKeyFile(here).then(again)),
      button(t("keys.paste"), () => pasteProof().then(again)),
    ]),
    removed(keys),
  );
}

/** @param {() => Promise<void>} again */
function passkeyActions(again) {
  if (available()) {
    const add = async () => {
      await addPasskey();
      await again();
    };
    return [button(t("keys.add-passkey"), add, { class: "primary" })];
  }
  const why = serverTakesPasskeys() ? "no-passkeys.browser" : "no-passkeys.server";
  return [h("p", { class: "hint" }, t(why))];
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
  const ends = expiry(key);
  const again = () => show(here);
  const remove = async () => {
    const done = await revoke(key, here);
    if (!done) return;
    await again();
    await offerToRevoke(done.added, here, false);
    if (done.added.length > 0) await again();
  };
  return h(
    "li",
    null,
    h(
      "h3",
      null,
      label,
      isMine && h("span", { class: "badge good" }, t("key.this-browser")),
      isProbablyOldSelf(key, keys) && h("span", { class: "badge warning" }, t("key.old-self")),
    ),
    h("p", { class: "small" }, [origin(key), history(key)].join(" · ")),
    ends &&
      h("p", { class: "small" }, t(ends.soon ? "key.ends-soon" : "key.ends", { when: ends.text })),
    h("details", { class: "small" }, h("summary", null, t("keys.details")), details(key, keys)),
    h(
      "div",
      { class: "row" },
      button(t("keys.rename"), () => rename(key).then(again), {
        "aria-label": t("keys.rename.of", { label }),
      }),
      button(t(isMine ? "nav.sign-out" : "keys.remove"), remove, {
        "aria-label": isMine ? undefined : t("keys.remove.of", { label }),
      }),
    ),
  );
}

/** @param {Key} key */
async function rename(key) {
  const { label } = key;
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
    await call("PATCH", `/v1/keys/${key.thumbprint}`, { json, confirm: true });
    showStatus(t("keys.renamed", json));
  });
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
