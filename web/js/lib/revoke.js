// Taking a key away, and then what it had let in: a thief of the key may have added others.

import { asProblem, call, forget } from "./api.js";
import { t, tn } from "./i18n.js";
import { history, origin } from "./keys.js";
import { goTo, leaveAccount } from "./page.js";
import { keepPasskeys } from "./passkey.js";
import { ask, h, showStatus } from "./ui.js";

/** @import { Key } from "./keys.js" */
/** @import { Here } from "./page.js" */

/**
 * Asks, revokes the key, and offers to revoke what it had added.
 * @param {Key} key
 * @param {Here} here
 * @returns {Promise<{ added: Key[] } | undefined>} the live keys that it had added; nothing when nothing was done
 */
export async function revoke(key, here) {
  if (key.thumbprint === here.key.thumbprint) {
    await leaveAccount();
    return undefined;
  }
  /** @type {Key[]} */
  let added = [];
  const question = {
    title: t("revoke.title", { label: key.label }),
    body: [h("p", null, t(`revoke.what.${key.kind}`)), h("p", null, t("revoke.for-good"))],
    submit: t("revoke.button"),
    danger: true,
  };
  const done = await ask(question, async () => {
    added = await revokeOne(key);
  });
  if (!done) return undefined;
  await tellPasswordManager(key, here);
  showStatus(t("revoke.done", { label: key.label }));
  return { added };
}

/**
 * @param {Key} key
 * @returns {Promise<Key[]>}
 */
async function revokeOne(key) {
  const headers = { Prefer: "return=representation" };
  const answer = await call("DELETE", `/v1/keys/${key.thumbprint}`, { headers, confirm: true });
  return answer?.added_keys ?? [];
}

/**
 * Offers to revoke keys.
 * @param {Key[]} keys
 * @param {Here} here
 * @param {boolean} suspected whether they are ticked already, but for the key of this browser
 */
export async function offerToRevoke(keys, here, suspected) {
  if (keys.length === 0) return;
  const choices = keys.map((key) => {
    const isMine = key.thumbprint === here.key.thumbprint;
    const box = h("input", {
      type: "checkbox",
      name: "key",
      value: key.thumbprint,
      checked: suspected && !isMine,
    });
    const mark = isMine && h("span", { class: "badge good" }, t("key.this-browser"));
    const facts = h("span", { class: "hint" }, h("br"), `${origin(key)} · ${history(key)}`);
    return h("label", { class: "choice" }, box, h("span", null, key.label, mark, facts));
  });
  const question = {
    title: tn("revoke.added.title", keys.length),
    body: [h("p", null, t("revoke.added.why")), h("fieldset", null, choices)],
    submit: t("revoke.added.button"),
    cancel: t("revoke.added.keep"),
    danger: true,
  };
  await ask(question, async (form) => {
    const chosen = keys.filter((key) => form.getAll("key").includes(key.thumbprint));
    const left = chosen.filter((key) => key.thumbprint !== here.key.thumbprint);
    for (const key of left) await revokeOne(key);
    showStatus(tn("revoke.added.done", chosen.length));
    if (left.length === chosen.length) return;
    await call("DELETE", `/v1/keys/${here.key.thumbprint}`);
    await forget();
    await goTo("/sign-in?signed-out");
  });
}

/**
 * Lets the password manager drop a passkey that is no longer accepted.
 * @param {Key} key
 * @param {Here} here
 */
async function tellPasswordManager(key, { session }) {
  if (key.kind !== "passkey" || !session.userHandle) return;
  // The options for any confirmation list the passkeys that are left.
  const operation = { method: "DELETE", path: `/v1/keys/${key.thumbprint}`, body_sha256: null };
  const none = { rpId: location.hostname, allowCredentials: [] };
  const options = await call("POST", "/v1/passkeys/options/step-up", { json: { operation } }).catch(
    (error) => (asProblem(error).kind === "step-up-needed" ? none : undefined),
  );
  // Without an answer the password manager goes on offering it, and the server refuses it.
  if (!options) return;
  const ids = options.allowCredentials.map((/** @type {{ id: string }} */ { id }) => id);
  await keepPasskeys(options.rpId, session.userHandle, ids);
}
