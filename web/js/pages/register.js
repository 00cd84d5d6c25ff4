// A new account: a name, the button, a touch. The passkey lies with the person; this browser gets a
// key of its own beside it, so that nothing has to be touched again here.

import {
  adoptLogin,
  asProblem,
  issuer,
  logInWith,
  newBrowserKey,
  Problem,
  register,
  registrationOptions,
} from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { goTo, startPublic } from "../lib/page.js";
import { available, createPasskey, forgetPasskey, whyNoPasskeys } from "../lib/passkey.js";
import {
  busy,
  byId,
  clearMessages,
  fill,
  h,
  notice,
  showFieldError,
  showProblem,
  showStatus,
} from "../lib/ui.js";
import { describeBrowser } from "../lib/user-agent.js";

/** @import { BrowserKey } from "../lib/jose.js" */
/** @import { PasskeyAnswer } from "../lib/passkey.js" */

/**
 * A passkey that was made before the server said what else it needs.
 * `sent`: whether a registration with it had no answer, so that the account may be there.
 * @typedef {{ username: string, key: BrowserKey, kept: boolean, passkey?: PasskeyAnswer, rpId: string, sent?: boolean }} Attempt
 */

const USERNAME = /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$/;

startPublic(import.meta.url, async (here) => {
  if (here) return goTo("/account");
  const code = /** @type {HTMLInputElement} */ (byId("code"));
  code.value = new URLSearchParams(location.hash.slice(1)).get("code") ?? "";
  byId("code-field").hidden = !code.value;

  const { kept } = await newBrowserKey();
  if (!available()) {
    const then = kept ? "register.browser-key-only" : "register.nothing-kept";
    const text = [h("p", null, t(whyNoPasskeys())), h("p", null, t(then))];
    fill(byId("hints"), notice(kept ? "warning" : "danger", t("no-passkeys"), ...text));
    byId("go").textContent = t("register.button.browser-key");
    byId("what").hidden = true;
    byId("form").hidden = !kept;
    if (!kept) return;
  } else if (!kept) {
    fill(byId("hints"), notice("warning", t("memory-only"), h("p", null, t("memory-only.why"))));
    byId("remember").hidden = true;
  }
  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    busy(byId("go"), submit);
  });
});

/** @type {Attempt | undefined} */
let attempt;

async function submit() {
  clearMessages();
  const field = /** @type {HTMLInputElement} */ (byId("username"));
  const username = field.value.trim();
  const problem = !username ? "missing" : !USERNAME.test(username) ? "malformed" : undefined;
  showFieldError(field, problem ? t(`username.${problem}`) : "");
  if (problem || isRecovery(username)) return;
  try {
    if (attempt?.username !== username) await abandon();
    attempt ??= await begin(username);
    await finish(attempt).catch(async (error) => {
      if (!(await isThere(attempt, asProblem(error)))) throw error;
    });
    attempt = undefined;
    await goTo("/account?new");
  } catch (error) {
    await explainRefusal(error, field);
  }
}

/**
 * @param {string} username
 * @returns {Promise<Attempt>}
 */
async function begin(username) {
  const made = { username, ...(await newBrowserKey()), rpId: location.hostname };
  if (!available()) return made;
  const options = await registrationOptions(made.key, username, enrolmentCode());
  showStatus(t("register.touch"));
  const passkey = await createPasskey(options);
  return { ...made, passkey, rpId: options.rp.id ?? made.rpId };
}

/** @param {Attempt} made */
async function finish({ username, key, kept, passkey }) {
  const shared = /** @type {HTMLInputElement} */ (document.querySelector("[name=visit]")).checked;
  const remember = kept && !shared ? "browser" : "visit";
  const more = { enrolmentCode: enrolmentCode(), passkey };
  await register(key, { username, label: describeBrowser(), remember, ...more });
}

const enrolmentCode = () =>
  /** @type {HTMLInputElement} */ (byId("code")).value.trim() || undefined;

/**
 * Whether the code is for the command line, and leads back into an account. Then it says so, and the code is not sent.
 * @param {string} username
 */
function isRecovery(username) {
  const found = enrolmentCode()?.startsWith("csr_") ?? false;
  const code = /** @type {HTMLInputElement} */ (byId("code"));
  showFieldError(code, found ? t("register.code.recovery", { username, issuer }) : "");
  return found;
}

/**
 * Whether the account was made after all, by a try whose answer was lost. Then the passkey is good.
 * @param {Attempt | undefined} made
 * @param {Problem} problem
 */
async function isThere(made, problem) {
  if (!made) return false;
  const isTaken = problem.kind === "username-taken" || problem.kind === "key-taken";
  if (made.sent && isTaken) {
    const login = await logInWith(made.key, made.username).catch(() => undefined);
    if (!login) return false;
    await adoptLogin(made.key, login);
    return true;
  }
  made.sent ||= problem.status === 0 || problem.status >= 500;
  return false;
}

/** Lets the password manager drop a passkey that certainly belongs to no account. */
async function abandon() {
  const { passkey, rpId, sent } = attempt ?? {};
  attempt = undefined;
  if (passkey && rpId && !sent) await forgetPasskey(rpId, String(passkey.json.id));
}

/**
 * @param {unknown} error
 * @param {HTMLInputElement} field
 */
async function explainRefusal(error, field) {
  const problem = asProblem(error);
  showStatus("");
  if (problem.kind === "username-taken" || problem.kind === "invalid-username") {
    await abandon();
    showFieldError(field, t(`problem.${problem.kind}`));
  } else if (problem.kind === "enrolment-code" || problem.lack === "enrolment-code") {
    askForCode(problem);
  } else {
    // A challenge that has expired, or a passkey that was refused, is of no more use.
    if (problem.status >= 400 && problem.status < 500 && problem.status !== 429) await abandon();
    showProblem(problem);
  }
}

/** @param {Problem} problem */
function askForCode(problem) {
  const code = /** @type {HTMLInputElement} */ (byId("code"));
  const isFirst = byId("code-field").hidden;
  byId("code-field").hidden = false;
  showFieldError(code, t(isFirst ? "register.code.needed" : `problem.${problem.kind}`));
}
