// Sign in with a passkey: by the button, or by what the browser offers in the field. No name is typed,
// and what stands in the field is never read.

import { asProblem, newBrowserKey, signIn, signInOptions } from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { goTo, startPublic } from "../lib/page.js";
import {
  available,
  canAutofill,
  forgetPasskey,
  getPasskey,
  whyNoPasskeys,
} from "../lib/passkey.js";
import { elapsed } from "../lib/store.js";
import { busy, byId, clearMessages, fill, h, notice, showProblem, showStatus } from "../lib/ui.js";

/** @import { BrowserKey } from "../lib/jose.js" */
/** @import { PasskeyAnswer, RequestJson } from "../lib/passkey.js" */

/** A challenge is good for ten minutes. */
const OFFER_LASTS_MS = 8 * 60_000;

/** How long to wait after a refused passkey, at first and at most. Each time it is twice as long. */
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 60_000;

/** A key for this browser, and a challenge that was made for it. */
/** @typedef {{ key: BrowserKey, kept: boolean, options: RequestJson, at: number }} Offer */

/** @returns {Promise<Offer>} */
async function newOffer() {
  const { key, kept } = await newBrowserKey();
  return { key, kept, options: await signInOptions(key), at: elapsed() };
}

/** @param {Offer} offer */
const isFresh = (offer) => elapsed() - offer.at < OFFER_LASTS_MS;

/** Where to go afterwards: only to pages of the account. */
function nextPage() {
  const next = new URLSearchParams(location.search).get("next") ?? "";
  return /^\/account(\/[a-z]+)?$/.test(next) ? next : "/account";
}

startPublic(import.meta.url, async (here) => {
  if (here) return goTo(nextPage());
  const signedOut = new URLSearchParams(location.search).get("signed-out");
  if (signedOut !== null) {
    showStatus(t(signedOut === "elsewhere" ? "sign-out.elsewhere" : "sign-out.done"));
  }
  if (!available()) {
    byId("form").hidden = true;
    const advice = h("p", null, t("sign-in.without-passkeys"));
    fill(
      byId("hints"),
      notice("warning", t("no-passkeys"), h("p", null, t(whyNoPasskeys())), advice),
    );
    return;
  }
  await offerPasskeys();
});

/**
 * Waits for a time, or until a person does something.
 * @param {number} ms
 * @param {AbortSignal} signal ends it too
 * @returns {Promise<boolean>} whether a person did something
 */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const ended = new AbortController();
    const end = (/** @type {boolean} */ byPerson) => {
      clearTimeout(timer);
      ended.abort();
      resolve(byPerson);
    };
    const timer = setTimeout(end, ms, false);
    const acts = (/** @type {Event} */ event) => event.isTrusted && end(true);
    for (const type of ["pointerdown", "keydown"]) {
      addEventListener(type, acts, { signal: ended.signal });
    }
    signal.addEventListener("abort", () => end(false), { signal: ended.signal });
  });
}

async function offerPasskeys() {
  const form = byId("form");
  const go = byId("go");
  let waiting = new AbortController();

  /** @type {Offer | undefined} */
  let offer;

  /**
   * @param {Offer} used
   * @param {PasskeyAnswer} passkey
   */
  async function finish(used, passkey) {
    showStatus(t("sign-in.checking"));
    const chosen = new FormData(/** @type {HTMLFormElement} */ (form)).get("remember");
    try {
      await signIn(used.key, passkey, used.kept && chosen === "browser" ? "browser" : "visit");
    } catch (error) {
      const { rpId = location.hostname } = used.options;
      if (asProblem(error).reason === "unknown-passkey") {
        await forgetPasskey(rpId, String(passkey.json.id));
      }
      throw error;
    }
    await goTo(nextPage());
  }

  /**
   * Waits until the person picks a passkey in the field; renews the challenge meanwhile. Some password
   * managers answer by themselves, and would answer the next request with the same passkey at once.
   */
  async function waitForAutofill() {
    const { signal } = waiting;
    if (!(await canAutofill())) return;
    let delay = FIRST_PAUSE_MS;
    while (!signal.aborted) {
      const round = new AbortController();
      const stop = () => round.abort();
      signal.addEventListener("abort", stop);
      const timer = setTimeout(stop, OFFER_LASTS_MS);
      const used = offer && isFresh(offer) ? offer : await newOffer();
      offer = used;
      const passkey = await getPasskey(used.options, { autofill: true, signal: round.signal })
        .catch((error) => (round.signal.aborted ? undefined : Promise.reject(error)))
        .finally(() => clearTimeout(timer));
      signal.removeEventListener("abort", stop);
      if (!passkey) continue;
      offer = undefined;
      try {
        await finish(used, passkey);
        return;
      } catch (error) {
        showProblem(error);
      }
      const isSomebodyThere = await pause(delay, signal);
      delay = isSomebodyThere ? FIRST_PAUSE_MS : Math.min(2 * delay, LONGEST_PAUSE_MS);
    }
  }

  /** A browser that offers nothing is no problem: there is the button. */
  const reportAutofill = (/** @type {unknown} */ error) => {
    if (asProblem(error).kind !== "passkey-not-confirmed") showProblem(error);
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(go, async () => {
      clearMessages();
      waiting.abort();
      try {
        const used = offer && isFresh(offer) ? offer : await newOffer();
        offer = undefined;
        await finish(used, await getPasskey(used.options));
      } catch (error) {
        const missed = asProblem(error).kind === "passkey-not-confirmed";
        showProblem(error, byId("problem"), missed && h("p", null, t("sign-in.not-found")));
        waiting = new AbortController();
        waitForAutofill().catch(reportAutofill);
      }
    });
  });

  // Made before anybody asks, because some browsers forget during a request that a person has clicked.
  try {
    offer = await newOffer();
  } catch (error) {
    showProblem(error);
    return;
  }
  if (!offer.kept) {
    byId("remember").hidden = true;
    const text = h("p", null, t("memory-only.why"));
    fill(byId("hints"), notice("warning", t("memory-only"), text));
  }
  waitForAutofill().catch(reportAutofill);
}
