// Taking a key away, and then what it had let in: a thief of the key may have added others.

import { asProblem, call, forget, Problem } from "./api.js";
import { t, tn } from "./i18n.js";
import { history, inThisLanguage, loadKeys, origin, removableUntil } from "./keys.js";
import { goTo, leaveAccount } from "./page.js";
import { keepPasskeys } from "./passkey.js";
import { ask, h } from "./ui.js";

/** @import { Key, Keys } from "./keys.js" */
/** @import { Here } from "./page.js" */

/**
 * Asks, revokes the key, and offers to revoke what it had added.
 * @param {Key} key
 * @param {Here} here
 * @param {Keys} keys
 * @returns {Promise<{ added: Key[] } | undefined>} the live keys that it had added; nothing when nothing was done
 */
export async function revoke(key, here, keys) {
  if (key.thumbprint === here.key.thumbprint) {
    await leaveAccount(here);
    return undefined;
  }
  /** @type {Key[]} */
  let added = [];
  const question = {
    title: t("revoke.title", { label: key.label }),
    body: [
      h("p", null, t(`revoke.what.${key.kind}`)),
      whatIsLost(key, keys),
      h("p", null, t("revoke.for-good")),
    ],
    submit: t("revoke.button"),
    danger: true,
  };
  const done = await ask(question, async () => {
    added = await revokeOne(key, here, removableUntil(key, keys) === undefined);
  });
  if (!done) return undefined;
  await tellPasswordManager(key, here);
  return { added };
}

/**
 * What the account is without the key, where it is the last one of those that survive the loss of this
 * browser.
 * @param {Key} key
 * @param {Keys} keys
 */
function whatIsLost(key, { live }) {
  const lasts = (/** @type {Key} */ { kind }) => kind === "passkey" || kind === "key";
  const lasting = live.filter((other) => other !== key && lasts(other));
  const isLastPasskey = key.kind === "passkey" && lasting.every(({ kind }) => kind !== "passkey");
  if (!lasts(key) || (lasting.length > 0 && !isLastPasskey)) return null;
  const text = lasting.length > 0 ? "revoke.last-passkey" : "revoke.last-way";
  return h("p", { class: "notice warning" }, t(text));
}

/**
 * @param {Key} key
 * @param {Here} here
 * @param {boolean} [confirm] whether the server will want the passkey
 * @returns {Promise<Key[]>}
 */
async function revokeOne(key, here, confirm = true) {
  const request = { headers: { Prefer: "return=representation" }, confirm };
  const path = `/v1/keys/${key.thumbprint}`;
  const answer = await call(here.session.account, "DELETE", path, request).catch(async (error) => {
    // It was revoked before: by a try whose answer was lost, or elsewhere.
    if (asProblem(error).kind !== "not-found") throw error;
    const { live } = await loadKeys(here);
    return { added_keys: live.filter(({ added_by }) => added_by === key.thumbprint) };
  });
  return (answer?.added_keys ?? []).map(inThisLanguage);
}

/**
 * Offers to revoke keys.
 * @param {Key[]} keys
 * @param {Here} here
 * @param {boolean} suspected whether they are ticked already, but for the key of this browser
 * @returns {Promise<string | undefined>} what to say when some were revoked
 */
export async function offerToRevoke(keys, here, suspected) {
  if (keys.length === 0) return undefined;
  let said;
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
    if (chosen.length === 0) throw new Problem("none-ticked");
    const left = chosen.filter((key) => key.thumbprint !== here.key.thumbprint);
    for (const key of left) await revokeOne(key, here);
    said = tn("revoke.added.done", chosen.length);
    if (left.length === chosen.length) return;
    await call(here.session.account, "DELETE", `/v1/keys/${here.key.thumbprint}`);
    await forget(here);
    await goTo("/sign-in?signed-out");
  });
  return said;
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
  const options = await call(session.account, "POST", "/v1/passkeys/options/step-up", {
    json: { operation },
  }).catch((error) => (asProblem(error).kind === "step-up-needed" ? none : undefined));
  // Without an answer the password manager goes on offering it, and the server refuses it.
  if (!options) return;
  const ids = options.allowCredentials.map((/** @type {{ id: string }} */ { id }) => id);
  await keepPasskeys(options.rpId, session.userHandle, ids);
}
