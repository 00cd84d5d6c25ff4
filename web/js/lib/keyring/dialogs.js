// What a person does with an open keyring and its entries, in dialogs.

import { currentSession, issuer } from "../api.js";
import { enrolThisBrowser, registerKey } from "../enrol.js";
import { t } from "../i18n.js";
import { registerMutually } from "../mutual-login.js";
import { ask, h, showStatus } from "../ui.js";
import { describeBrowser } from "../user-agent.js";
import {
  choice,
  labelled,
  newPassphrase,
  newPassphraseFields,
  paragraph,
  textField,
} from "./fields.js";
import { download } from "./file.js";

/** @import { EntryView } from "./entries.js" */
/** @import { Opened, OpenedKeyring, Secret } from "./opened.js" */
/** @import { KeyType } from "./der.js" */

const NAME = { required: true, maxlength: 64 };

/**
 * Whether an entry is for this server, so that its key can be used here.
 * @param {EntryView} entry
 */
export const isHere = ({ url }) => withoutSlash(url) === withoutSlash(issuer);

const withoutSlash = (/** @type {string} */ url) => url.replace(/\/+$/, "");

/** @param {Opened} keyring */
export async function addEntry(keyring) {
  const text = h("textarea", { spellcheck: "false", autocomplete: "off", rows: 6 });
  const types = /** @type {const} */ (["Ed25519", "P-256", "P-384", "RSA"]);
  const type = h(
    "select",
    null,
    types.map((name) => h("option", { value: name }, t(`keyring.type.${name}`))),
  );
  const sources = /** @type {[string, string][]} */ ([
    ["generate", t("keyring.add.generate")],
    ["paste", t("keyring.add.paste")],
  ]);
  const source = choice("source", sources, t("keyring.add.source"));
  const made = labelled("key-type", type);
  const pasted = labelled("private-key", text, t("keyring.private-key.hint"));
  pasted.hidden = true;
  source.addEventListener("change", () => {
    pasted.hidden = !pasted.hidden;
    made.hidden = !pasted.hidden;
  });
  const body = [
    textField("entry-name", NAME, t("keyring.entry-name.hint")),
    source,
    made,
    pasted,
    textField("username", {}, t("keyring.username.hint")),
    textField("server", { type: "url", value: issuer }),
  ];
  const question = { title: t("keyring.add"), body, submit: t("keyring.add.button") };
  const done = await ask(question, async (form) => {
    const name = String(form.get("entry-name")).trim();
    const username = String(form.get("username")).trim() || name;
    const entry = { name, username, url: String(form.get("server")).trim() };
    if (form.get("source") === "paste") {
      await keyring.addPasted({ ...entry, text: String(form.get("private-key")) });
    } else {
      await keyring.addGenerated({ ...entry, type: /** @type {KeyType} */ (form.get("key-type")) });
    }
    text.value = "";
  });
  if (done) showStatus(t("keyring.added"));
}

/**
 * @param {Opened} keyring
 * @param {EntryView} entry
 */
export async function renameEntry(keyring, { name }) {
  const question = {
    title: t("keyring.rename.of", { name }),
    body: [textField("entry-name", { ...NAME, value: name })],
    submit: t("keyring.rename"),
  };
  const done = await ask(question, (form) =>
    keyring.rename(name, String(form.get("entry-name")).trim()),
  );
  if (done) showStatus(t("keyring.renamed"));
}

/**
 * @param {Opened} keyring
 * @param {EntryView} entry
 */
export async function removeEntry(keyring, { name, username, url }) {
  const question = {
    title: t("keyring.remove.of", { name }),
    body: [paragraph(t("keyring.remove.what", { username, url }))],
    submit: t("keyring.remove"),
    danger: true,
  };
  if (await ask(question, () => keyring.remove(name))) showStatus(t("keyring.removed", { name }));
}

/** @param {OpenedKeyring} keyring */
export async function changePassphrase(keyring) {
  const question = {
    title: t("keyring.passphrase"),
    body: [paragraph(t("keyring.passphrase.what")), newPassphraseFields()].flat(),
    submit: t("keyring.passphrase.button"),
  };
  const done = await ask(question, (form) => keyring.changePassphrase(newPassphrase(form)));
  if (done) showStatus(t("keyring.passphrase.done"));
}

/**
 * Shows a secret to somebody who asks for it, and says first what that means.
 * @param {Opened} keyring
 * @param {EntryView} entry
 */
export async function revealSecret(keyring, { name, hasPassword, serverSidePublicKey }) {
  const kinds = /** @type {[Secret, string, string?][]} */ ([
    ["private-key", t("keyring.secret.private-key")],
    ...(hasPassword ? [["password", t("keyring.secret.password")]] : []),
    ...(serverSidePublicKey
      ? [["login-object", t("keyring.secret.login-object"), t("keyring.secret.login-object.hint")]]
      : []),
  ]);
  /** @type {{ what: Secret, secret: string } | undefined} */
  let shown;
  const question = {
    title: t("keyring.secret.of", { name }),
    body: [
      paragraph(t("keyring.secret.warning")),
      choice("what", kinds, t("keyring.secret.which")),
    ],
    submit: t("keyring.secret.show"),
    danger: true,
  };
  await ask(question, async (form) => {
    const what = /** @type {Secret} */ (form.get("what"));
    shown = { what, secret: await keyring.reveal(name, what) };
  });
  if (shown) await showSecret(name, shown);
}

/**
 * @param {string} name
 * @param {{ what: Secret, secret: string }} shown
 */
async function showSecret(name, { what, secret }) {
  const text = h("textarea", { readonly: true, rows: 10, spellcheck: "false" });
  text.value = secret;
  const file = what === "login-object" ? `${name}.json` : `${name}.pem`;
  const save = h("button", { type: "button" }, t("keyring.secret.save"));
  save.addEventListener("click", () => download(secret, file));
  await ask({
    title: t(`keyring.secret.${what}`),
    body: [
      labelled("secret", text),
      paragraph(t("keyring.secret.file"), " ", what !== "password" && save),
    ],
    cancel: t("dialog.close"),
  });
  text.value = "";
}

/**
 * Makes the account of an entry at this server.
 * @param {Opened} keyring
 * @param {EntryView} entry
 */
export async function registerEntry(keyring, { name, username }) {
  const ways = /** @type {[string, string, string][]} */ ([
    ["ordinary", t("keyring.register.ordinary"), t("keyring.register.ordinary.hint")],
    ["mutual", t("keyring.register.mutual"), t("keyring.register.mutual.hint")],
  ]);
  const body = [
    paragraph(t("keyring.register.what", { username, issuer })),
    choice("way", ways, t("keyring.register.way")),
    textField("code", {}, t("keyring.code.hint")),
  ];
  const question = { title: t("keyring.register"), body, submit: t("keyring.register.button") };
  const done = await ask(question, async (form) => {
    const key = await keyring.use(name);
    const enrolmentCode = String(form.get("code")).trim();
    if (form.get("way") === "mutual") {
      const { account, serverKey } = await registerMutually(key.jwk, username, {
        enrolmentCode,
      });
      await keyring.update(name, { accountId: account, serverSidePublicKey: serverKey });
    } else {
      const label = t("keyring.register.label");
      const accountId = await registerKey(key, { username, label, enrolmentCode });
      await keyring.update(name, { accountId });
    }
  });
  if (done) showStatus(t("keyring.registered", { username }));
}

/**
 * Signs this browser in with a key of its own, which the entry's key lets in.
 * @param {Opened} keyring
 * @param {EntryView} entry
 * @returns {Promise<string | null>} the username; null when it was not done
 */
export async function signInHere(keyring, { name, username, accountId }) {
  const here = await currentSession();
  if (here) {
    const text = t("keyring.sign-in.already", { username: here.session.username });
    const title = t("keyring.sign-in.of", { name });
    await ask({ title, body: [paragraph(text)], cancel: t("dialog.close") });
    return null;
  }
  const durations = /** @type {[string, string, string][]} */ ([
    ["browser", t("remember.browser"), t("remember.browser.hint")],
    ["visit", t("remember.visit"), t("remember.visit.hint")],
  ]);
  const body = [
    paragraph(t("keyring.sign-in.what", { username, browser: describeBrowser() })),
    choice("remember", durations, t("remember.legend")),
  ];
  let signedIn = "";
  const question = { title: t("keyring.sign-in.of", { name }), body, submit: t("keyring.sign-in") };
  const done = await ask(question, async (form) => {
    const key = await keyring.use(name);
    const remember = form.get("remember") === "visit" ? "visit" : "browser";
    const who = await enrolThisBrowser(key, accountId ?? username, remember);
    signedIn = who.username;
    if (!accountId) await keyring.note(name, { accountId: who.account });
  });
  return done ? signedIn : null;
}
