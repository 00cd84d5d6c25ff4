// The mutual login as a person sees it: each step is told when it is done, and the token can be used
// and ended.

import { moment, t } from "./i18n.js";
import { logInMutually, logOutMutually, whoAmI } from "./mutual-login.js";
import { busy, fill, h, showProblem, showStatus } from "./ui.js";

/** @import { MutualLogin, MutualToken } from "./mutual-login.js" */

const STEPS = /** @type {const} */ (["asked", "server-proven", "answered", "token"]);

/**
 * @param {MutualLogin} login
 * @param {(token: { text: string, expiresAt: number } | null) => Promise<void>} [keep] told of a new
 * token, and of its end
 */
export function mutualSteps(login, keep = async () => {}) {
  const list = h("ol", { class: "steps" });
  const outcome = h("div", { class: "outcome", "aria-live": "polite" });
  const start = h("button", { type: "button", class: "primary" }, t("mutual.log-in"));
  const show = (/** @type {number} */ reached) => {
    const items = STEPS.map((step, at) => {
      const state = at < reached ? "mutual.done" : "mutual.open";
      const mark = h("span", { class: at < reached ? "badge good" : "badge" }, t(state));
      return h("li", { "data-step": step, "data-done": at < reached }, t(`mutual.${step}`), mark);
    });
    fill(list, items);
  };
  show(0);
  start.addEventListener("click", () =>
    busy(start, async () => {
      fill(outcome);
      show(0);
      const token = await logInMutually(login, (step) => show(STEPS.indexOf(step) + 1));
      await keep(token);
      fill(
        outcome,
        loggedIn(token, keep, () => fill(outcome)),
      );
      showStatus(t("mutual.logged-in"));
    }),
  );
  return h("div", null, list, h("div", { class: "actions" }, start), outcome);
}

/**
 * @param {MutualToken} token
 * @param {(token: null) => Promise<void>} keep
 * @param {() => void} ended
 */
function loggedIn(token, keep, ended) {
  const answer = h("p", { "data-whoami": true });
  const use = h("button", { type: "button" }, t("mutual.use"));
  const leave = h("button", { type: "button" }, t("mutual.log-out"));
  use.addEventListener("click", () =>
    busy(use, async () => {
      const { username, account_id: account } = await whoAmI(token);
      answer.textContent = t("mutual.whoami", { username, account });
    }),
  );
  leave.addEventListener("click", () =>
    busy(
      leave,
      async () => {
        await logOutMutually(token.text);
        await keep(null);
        ended();
        showStatus(t("mutual.logged-out"));
      },
      showProblem,
    ),
  );
  return h(
    "div",
    { class: "notice good" },
    h("h3", null, t("mutual.logged-in")),
    h("p", null, t("mutual.until", { when: moment(token.expiresAt) })),
    answer,
    h("div", { class: "actions" }, use, leave),
  );
}
