// The first page: whoever is signed in finds the way to the account.

import { t } from "../lib/i18n.js";
import { startPublic } from "../lib/page.js";
import { byId, fill, h } from "../lib/ui.js";

startPublic(import.meta.url, async (here) => {
  if (!here) return;
  fill(
    byId("people"),
    h("h2", null, t("index.signed-in", { username: here.session.username })),
    h(
      "div",
      { class: "actions" },
      h("a", { class: "button primary", href: "/account" }, t("account.title")),
    ),
  );
});
