// Adding keys to the account: a passkey, a file for a program, or the key of a program that proves it.

import { call, issuer, Problem } from "./api.js";
import { t } from "./i18n.js";
import { dpopProof, generateKey, readClaims } from "./jose.js";
import { createPasskey } from "./passkey.js";
import { ask, h, showFieldError, showStatus } from "./ui.js";

/** @import { Here } from "./page.js" */

/** Makes a passkey and adds it; the server may want another one to confirm that. */
export async function addPasskey() {
  const options = await call("POST", "/v1/passkeys/options/add");
  showStatus(t("passkey.making"));
  const { json: passkey } = await createPasskey(options);
  showStatus(t("passkey.confirming"));
  await call("POST", "/v1/passkeys", { json: { passkey }, confirm: true });
  showStatus(t("passkey.added"));
}

/** A field with its label, its hint and a place for what is wrong with it. */
/**
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
 * Makes a key for a program and gives it to the person as a file. It is the one key of the page that
 * can be read, because it must leave; the page keeps nothing of it.
 * @param {Here} here
 */
export async function makeKeyFile({ session }) {
  /** @type {HTMLAnchorElement | undefined} */
  let link;
  let label = "";
  const question = {
    title: t("keys.new-file"),
    body: [h("p", null, t("keys.new-file.what")), labelField()],
    submit: t("keys.new-file.button"),
  };
  const done = await ask(question, async (form) => {
    label = String(form.get("label")).trim();
    const key = await generateKey(true);
    const now = Math.floor(Date.now() / 1000);
    const proof = { method: "POST", url: `${issuer}/v1/keys`, now, sub: session.username };
    const json = { public_key: key.jwk, label, new_key_proof: await dpopProof(key, proof) };
    const pem = await privatePem(key.privateKey);
    await call("POST", "/v1/keys", { json, confirm: true });
    const href = URL.createObjectURL(new Blob([pem], { type: "application/x-pem-file" }));
    link = h("a", { class: "button primary", href, download: "key.pem" }, t("keys.file.save"));
  });
  if (!done || !link) return;
  const command = `countersign keyring import ${session.username} key.pem --server ${issuer}`;
  await ask({
    title: t("keys.file.title"),
    body: [
      h("p", null, t("keys.file.what")),
      h("p", null, link),
      h("p", null, t("keys.file.then")),
      h("pre", null, command),
    ],
    cancel: t("dialog.close"),
  });
  URL.revokeObjectURL(link.href);
  showStatus(t("keys.added", { label }));
}

/** @param {CryptoKey} privateKey */
async function privatePem(privateKey) {
  const der = new Uint8Array(await crypto.subtle.exportKey("pkcs8", privateKey));
  const lines = btoa(String.fromCharCode(...der)).match(/.{1,64}/g) ?? [];
  return ["-----BEGIN PRIVATE KEY-----", ...lines, "-----END PRIVATE KEY-----", ""].join("\n");
}

/** Adds the key of a program that has made a proof for this account, which says the public key too. */
export async function pasteProof() {
  const input = h("textarea", { id: "proof", name: "proof", required: true, spellcheck: "false" });
  const question = {
    title: t("keys.paste"),
    body: [
      h("p", null, t("keys.paste.what")),
      field(input, t("keys.proof"), t("keys.proof.hint")),
      labelField(),
    ],
    submit: t("keys.paste.button"),
  };
  await ask(question, async (form) => {
    const new_key_proof = String(form.get("proof")).trim();
    const public_key = keyOfProof(new_key_proof);
    showFieldError(input, public_key ? "" : t("keys.proof.malformed"));
    if (!public_key) throw new Problem("not-a-proof");
    const label = String(form.get("label")).trim();
    await call("POST", "/v1/keys", { json: { public_key, label, new_key_proof }, confirm: true });
    showStatus(t("keys.added", { label }));
  });
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
