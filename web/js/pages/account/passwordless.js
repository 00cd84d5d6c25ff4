// The mutual login with keys that this browser keeps. Keys of a keyring file do the same on the page of
// the keyring.

import { issuer, newBrowserKey } from "../../lib/api.js";
import { t } from "../../lib/i18n.js";
import { labelled, paragraph, textField } from "../../lib/keyring/fields.js";
import { registerMutually } from "../../lib/mutual-login.js";
import { mutualSteps } from "../../lib/mutual-steps.js";
import { startPublic } from "../../lib/page.js";
import { isMemoryOnly, read, write } from "../../lib/store.js";
import {
  ask,
  busy,
  button,
  byId,
  clearMessages,
  fill,
  h,
  notice,
  showStatus,
} from "../../lib/ui.js";

/** @import { MutualAccount } from "../../lib/store.js" */

startPublic(import.meta.url, show);

async function show() {
  const accounts = (await read("mutual")) ?? [];
  const memory =
    isMemoryOnly() && notice("warning", t("memory-only"), paragraph(t("mutual.memory")));
  fill(byId("content"), memory, accounts.map(card), registerForm(accounts), fromKeyring());
}

/** @param {MutualAccount} account */
function card(account) {
  const { username, key, serverKey } = account;
  const login = { account: account.account, serverKey, key: async () => key };
  return h(
    "section",
    { class: "card", "data-account": username },
    h("h2", null, t("mutual.account", { username })),
    paragraph(t("mutual.account.what", { thumbprint: key.thumbprint })),
    mutualSteps(login),
    h(
      "p",
      null,
      button(t("mutual.forget"), () => forget(account), {
        class: "quiet",
        "aria-label": t("mutual.forget.of", { username }),
      }),
    ),
  );
}

/** @param {MutualAccount[]} accounts */
function registerForm(accounts) {
  const go = h("button", { class: "primary" }, t("mutual.register.button"));
  const name = h("input", {
    required: true,
    maxlength: 64,
    autocomplete: "username",
    spellcheck: "false",
  });
  const form = h(
    "form",
    { class: "card narrow", id: "register" },
    h("h2", null, t("mutual.register")),
    paragraph(t("mutual.register.what")),
    labelled("username", name, t("register.username.hint")),
    textField("code", {}, t("keyring.code.hint")),
    go,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(go, async () => {
      clearMessages();
      const values = new FormData(form);
      const username = String(values.get("username")).trim();
      const { key } = await newBrowserKey();
      const enrolmentCode = String(values.get("code")).trim();
      const made = await registerMutually(key.jwk, username, { enrolmentCode, kind: "mutual" });
      await write("mutual", [...accounts, { username, key, ...made }]);
      await show();
      showStatus(t("mutual.registered", { username }));
    });
  });
  return form;
}

const fromKeyring = () =>
  h(
    "section",
    { class: "card" },
    h("h2", null, t("mutual.keyring")),
    paragraph(t("mutual.keyring.what", { issuer })),
    paragraph("", h("a", { href: "/account/keyring" }, t("mutual.keyring.go"))),
  );

/** @param {MutualAccount} account */
async function forget({ username, account }) {
  const question = {
    title: t("mutual.forget.of", { username }),
    body: [paragraph(t("mutual.forget.what"))],
    submit: t("mutual.forget"),
    danger: true,
  };
  const done = await ask(question, async () => {
    const all = (await read("mutual")) ?? [];
    await write(
      "mutual",
      all.filter((one) => one.account !== account),
    );
  });
  if (done) await show();
}
