// Adding keys to the account: a passkey, a file for a program, or the key of a program that proves it.

import { call, issuer, mayBeDone, Problem, serverNow } from "./api.js";
import { t } from "./i18n.js";
import { dpopProof, generateKey, readClaims, thumbprintOf } from "./jose.js";
import { createPasskey } from "./passkey.js";
import { ask, h, showFieldError, showStatus } from "./ui.js";

/** @import { BrowserKey } from "./jose.js" */
/** @import { Key } from "./keys.js" */
/** @import { Here } from "./page.js" */

/**
 * Makes a passkey and adds it; the server may want another one to confirm that.
 * @param {Here} here
 * @returns {Promise<string>} what to say
 */
export async function addPasskey({ session }) {
  const { account } = session;
  const options = await call(account, "POST", "/v1/passkeys/options/add");
  showStatus(t("passkey.making"));
  const { json: passkey } = await createPasskey(options);
  showStatus(t("passkey.confirming"));
  await call(account, "POST", "/v1/passkeys", { json: { passkey }, confirm: true });
  return t("passkey.added");
}

/**
 * A field with its label, its hint and a place for what is wrong with it.
 * @param {HTMLInputElement | HTMLTextAreaElement} input
 * @param {string} label
 * @param {string} hint
 */
function field(input, label, hint) {
  const { id } = input;
  input.setAttribute("aria-describedby", `${id}-error ${id}-hint`);
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    input,
    h("p", { id: `${id}-error`, class: "error" }),
    h("p", { id: `${id}-hint`, class: "hint" }, hint),
  );
}

const labelField = () => {
  const input = h("input", { id: "label", name: "label", required: true, maxlength: 64 });
  return field(input, t("keys.name"), t("keys.name.hint"));
};

/**
 * What is tried again until it succeeds, or the person gives up. `isSent`: a try had no answer, so that the key may be
 * there.
 * @typedef {{ isSent?: boolean }} Attempt
 */

/**
 * Adds a key. One that an earlier try has added is found, and asks for no other touch.
 * @param {string} account
 * @param {Attempt} attempt
 * @param {{ public_key: JsonWebKey, label: string, new_key_proof: string }} json
 * @returns {Promise<string>} what it is called: a try that had no answer may have had another name
 */
async function addKey(account, attempt, json) {
  if (attempt.isSent) {
    const thumbprint = await thumbprintOf(json.public_key);
    /** @type {{ keys: Key[] }} */
    const { keys } = await call(account, "GET", "/v1/keys");
    const there = keys.find((key) => key.thumbprint === thumbprint && key.revoked_at === null);
    if (there) return there.label;
  }
  await call(account, "POST", "/v1/keys", { json, confirm: true }).catch((error) => {
    attempt.isSent ||= mayBeDone(error);
    throw error;
  });
  return json.label;
}

/**
 * Makes a key for a program and gives it to the person as a file. It is the one key of the page that
 * can be read, because it must leave; the page keeps nothing of it.
 * @param {Here} here
 * @returns {Promise<string | undefined>} what to say when it is done
 */
export async function makeKeyFile({ session }) {
  /** @type {HTMLAnchorElement | undefined} */
  let link;
  let label = "";
  /** One for all tries: a key whose private half is nowhere shall not stay behind. @type {BrowserKey | undefined} */
  let key;
  /** @type {Attempt} */
  const attempt = {};
  const question = {
    title: t("keys.new-file"),
    body: [h("p", null, t("keys.new-file.what")), labelField()],
    submit: t("keys.new-file.button"),
  };
  const done = await ask(question, async (form) => {
    label = String(form.get("label")).trim();
    key ??= await generateKey(true);
    const url = `${issuer}/v1/keys`;
    const proof = { method: "POST", url, now: serverNow(), sub: session.username };
    const json = { public_key: key.jwk, label, new_key_proof: await dpopProof(key, proof) };
    const pem = await privatePem(key.privateKey);
    label = await addKey(session.account, attempt, json);
    const href = URL.createObjectURL(new Blob([pem], { type: "application/x-pem-file" }));
    link = h("a", { class: "button primary", href, download: "key.pem" }, t("keys.file.save"));
  });
  // The list says whether it is there.
  if (!done || !link) return attempt.isSent ? "" : undefined;
  await handOver(link, label, session.username);
  URL.revokeObjectURL(link.href);
  return t("keys.added", { label });
}

/**
 * Shows the file and what to do with it, until it is saved or given up.
 * @param {HTMLAnchorElement} link to the file
 * @param {string} label
 * @param {string} username
 */
async function handOver(link, label, username) {
  let isSaved = false;
  link.addEventListener("click", () => {
    isSaved = true;
  });
  const giveUp = {
    title: t("keys.file.lose.title"),
    body: [h("p", null, t("keys.file.lose.what", { label }))],
    submit: t("keys.file.lose"),
    danger: true,
  };
  const warn = (/** @type {BeforeUnloadEvent} */ event) => {
    if (!isSaved) event.preventDefault();
  };
  addEventListener("beforeunload", warn);
  const server = `--server ${issuer}`;
  await ask({
    title: t("keys.file.title"),
    body: [
      h("p", null, t("keys.file.what")),
      h("p", null, link),
      h("p", null, t("keys.file.mode")),
      h("pre", null, "chmod 600 key.pem"),
      h("p", null, t("keys.file.then")),
      h("pre", null, `countersign keyring import ${username} key.pem ${server}`),
      h("p", null, t("keys.file.or")),
      h("pre", null, `countersign keys list --key key.pem --username ${username} ${server}`),
    ],
    cancel: t("dialog.close"),
    mayClose: async () => isSaved || ask(giveUp),
  });
  removeEventListener("beforeunload", warn);
}

/** @param {CryptoKey} privateKey */
async function privatePem(privateKey) {
  const der = new Uint8Array(await crypto.subtle.exportKey("pkcs8", privateKey));
  const lines = btoa(String.fromCharCode(...der)).match(/.{1,64}/g) ?? [];
  return ["-----BEGIN PRIVATE KEY-----", ...lines, "-----END PRIVATE KEY-----", ""].join("\n");
}

/**
 * Adds the key of a program that has made a proof for this account, which says the public key too.
 * @param {Here} here
 * @returns {Promise<string | undefined>} what to say when it is done
 */
export async function pasteProof({ session }) {
  let said;
  /** @type {Attempt} */
  const attempt = {};
  const input = h("textarea", { id: "proof", name: "proof", required: true, spellcheck: "false" });
  const question = {
    title: t("keys.paste"),
    body: [
      h("p", null, t("keys.paste.what")),
      h("p", null, t("keys.paste.command")),
      h("pre", null, `countersign keys add --key key.pem --server ${issuer}`),
      field(input, t("keys.proof"), t("keys.proof.hint")),
      labelField(),
    ],
    submit: t("keys.paste.button"),
  };
  await ask(question, async (form) => {
    const new_key_proof = String(form.get("proof")).trim();
    const public_key = keyOfProof(new_key_proof);
    const wrong = looksLikeKey(new_key_proof) ? "keys.proof.public-key" : "keys.proof.malformed";
    showFieldError(input, public_key ? "" : t(wrong));
    if (!public_key) throw new Problem("not-a-proof");
    const json = { public_key, label: String(form.get("label")).trim(), new_key_proof };
    said = t("keys.added", { label: await addKey(session.account, attempt, json) });
  });
  return said;
}

/**
 * The public key in a proof; nothing if the text is no proof.
 * @param {string} text
 * @returns {JsonWebKey | undefined}
 */
function keyOfProof(text) {
  try {
    const header = readClaims(`.${text.split(".")[0]}`);
    return header.typ === "dpop+jwt" ? header.jwk : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whether the text is a key as programs print it: PEM, OpenSSH, RFC 4716, PuTTY or JWK.
 * @param {string} text
 */
const looksLikeKey = (text) =>
  /^(-----BEGIN |---- BEGIN SSH2 |ssh-|ecdsa-|sk-|PuTTY-User-Key-File-|\{)/.test(text);
