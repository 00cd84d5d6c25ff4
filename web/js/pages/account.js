// The account at a glance: this browser, what should be done, and where everything else is.

import { isMemoryOnly } from "../lib/api.js";
import { list, moment, t, tn } from "../lib/i18n.js";
import { expiry, history, loadKeys, origin } from "../lib/keys.js";
import { leaveAccount, startSignedIn } from "../lib/page.js";
import { available, serverTakesPasskeys } from "../lib/passkey.js";
import { button, byId, fill, h, notice, showStatus } from "../lib/ui.js";

/** @import { Key, Keys } from "../lib/keys.js" */
/** @import { Here } from "../lib/page.js" */

startSignedIn(import.meta.url, async (here) => {
  const keys = await loadKeys(here);
  fill(byId("warnings"), warnings(keys));
  fill(byId("content"), thisBrowser(here, keys), waysIn(keys), elsewhere());
  if (new URLSearchParams(location.search).has("new")) {
    // The greeting shall not come again with a reload.
    window.history.replaceState(null, "", "/account");
    showStatus(t("account.welcome", { username: here.session.username }));
  }
});

/** @param {Keys} keys */
function warnings({ live, mine }) {
  const passkeys = live.filter((key) => key.kind === "passkey");
  const others = live.filter((key) => key.kind === "key");
  const toKeys = h("p", null, h("a", { href: "/account/keys" }, t("account.to-keys")));
  const found = [];
  if (isMemoryOnly()) {
    found.push(notice("warning", t("memory-only"), h("p", null, t("memory-only.why"))));
  }
  if (passkeys.length === 0 && others.length === 0) {
    const why = available() ? "account.no-passkey.why" : "account.no-passkey.elsewhere";
    found.push(notice("danger", t("account.no-passkey"), h("p", null, t(why)), toKeys));
  } else if (passkeys.length + others.length === 1) {
    const why = passkeys[0]?.passkey?.backup_eligible
      ? "account.one-passkey.synced"
      : "account.one-passkey.why";
    found.push(notice("warning", t("account.one-passkey"), h("p", null, t(why)), toKeys));
  }
  const ends = mine && expiry(mine);
  if (mine && ends?.soon && !isVisit(mine)) {
    found.push(
      notice(
        "info",
        t("account.ends-soon"),
        h("p", null, t("account.ends-soon.why", { when: ends.text })),
      ),
    );
  }
  return found;
}

/**
 * Whether the key lives for one visit: such a key is never renewed.
 * @param {Key} key
 */
const isVisit = (key) => key.expires_at !== null && key.expires_at - key.created_at <= 86_400;

/**
 * @param {Here} here
 * @param {Keys} keys
 */
function thisBrowser(here, { mine }) {
  const { session } = here;
  const until = mine?.expires_at ?? undefined;
  const kept =
    until &&
    t(mine && isVisit(mine) ? "account.until" : "account.until-idle", { when: moment(until) });
  return h(
    "section",
    { class: "card" },
    h("h2", null, t("account.signed-in-as", { username: session.username })),
    mine && h("p", null, t("account.this-browser", { label: mine.label })),
    mine && h("p", { class: "small" }, [origin(mine), history(mine)].join(" · ")),
    kept && h("p", { class: "small" }, kept),
    h(
      "div",
      { class: "actions" },
      button(t("nav.sign-out"), () => leaveAccount(here)),
    ),
    h("p", { class: "hint actions" }, t("sign-out.what")),
  );
}

/** @param {Keys} keys */
function waysIn({ live }) {
  const count = (/** @type {Key["kind"]} */ kind) => live.filter((key) => key.kind === kind).length;
  const counts = [
    serverTakesPasskeys() && tn("account.passkeys", count("passkey")),
    tn("account.browsers", count("browser")),
    tn("account.programs", count("key")),
  ];
  const words = counts.filter((text) => text !== false);
  return h(
    "section",
    { class: "card" },
    h("h2", null, t("account.ways-in")),
    h("p", null, list(words)),
    h("p", null, h("a", { href: "/account/keys" }, t("account.to-keys"))),
  );
}

function elsewhere() {
  return h(
    "section",
    { class: "card" },
    h("h2", null, t("account.more")),
    h(
      "ul",
      null,
      h("li", null, h("a", { href: "/account/activity" }, t("account.to-activity"))),
      h("li", null, h("a", { href: "/account/keyring" }, t("account.to-keyring"))),
      h("li", null, h("a", { href: "/account/passwordless" }, t("account.to-passwordless"))),
    ),
  );
}
