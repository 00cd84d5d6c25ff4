// The page "Activity" when something is wrong: what a thief does is an alarm there, and the key that it was
// done with is isolated, with all that it let in.
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  arrives,
  callFromPage,
  click,
  moduleUrl,
  register,
  sees,
  signInByPasskey,
  storedJson,
  text,
} from "./support/app.js";
import { newVisitor, PATIENCE } from "./support/chromium.js";
import { Client } from "./support/dpop.js";
import { chromium, server } from "./support/house.js";
import { lastTo, record } from "./support/recorder.js";

/** @import { Page } from "puppeteer-core" */
/** @import { Visitor } from "./support/chromium.js" */

const ACTIVITY = "/account/activity";

/** Somebody with a browser at home and a laptop, which are signed in by the same synced passkey. */
async function twoBrowsers() {
  const home = await (await newVisitor(chromium)).addAuthenticator({ synced: true });
  const username = await register(home, server.origin);
  const laptop = await (await newVisitor(chromium)).addAuthenticator({ synced: true });
  await laptop.copyPasskeysFrom(home);
  await signInByPasskey(laptop, server.origin);
  const { session } = await storedJson(laptop.page);
  const { answer } = await callFromPage(laptop.page, "GET", "/v1/keys");
  const browsers = answer.keys.filter((/** @type {any} */ { kind }) => kind === "browser");
  const key = browsers.find((/** @type {any} */ { added_by }) => added_by).thumbprint;
  const renamed = await callFromPage(laptop.page, "PATCH", `/v1/keys/${key}`, { label: "laptop" });
  assert.ok(renamed.ok);
  return { home, laptop, username, token: session.token };
}

/**
 * The laptop lets a key in, and with that key another browser signs in: what a thief does who wants to stay.
 * @param {Visitor} laptop
 * @param {string} username
 */
async function letsInAnother(laptop, username) {
  const other = await newVisitor(chromium);
  await other.page.goto(`${server.origin}/account/keyring`);
  await arrives(other.page, "/account/keyring");
  const library = (await moduleUrl(other.page, "js/lib/")) ?? "";
  const key = await other.page.evaluate(
    async (from, sub) => {
      const { generateKey, dpopProof } = await import(`${from}jose.js`);
      const { issuer, serverNow } = await import(`${from}api.js`);
      const made = await generateKey();
      Object.assign(globalThis, { made });
      const what = { method: "POST", url: `${issuer}/v1/keys`, now: serverNow(), sub };
      return { public_key: made.jwk, new_key_proof: await dpopProof(made, what) };
    },
    library,
    username,
  );
  const added = await callFromPage(laptop.page, "POST", "/v1/keys", { ...key, label: "script" });
  assert.ok(added.ok, JSON.stringify(added));
  await other.page.evaluate(
    async (from, account) => {
      const { enrolThisBrowser } = await import(`${from}enrol.js`);
      await enrolThisBrowser(/** @type {any} */ (globalThis).made, account, "browser");
    },
    library,
    username,
  );
  await other.page.goto(`${server.origin}/account`);
  await arrives(other.page, "/account");
  return other;
}

/**
 * Gives a browser the passkeys as another one has used them: the emulated authenticators count signatures apart,
 * so that the first would look like a copy.
 * @param {Visitor} visitor
 * @param {Visitor} other
 */
async function syncPasskeys(visitor, other) {
  await visitor.removeAuthenticator();
  await visitor.addAuthenticator({ synced: true });
  await visitor.copyPasskeysFrom(other);
}

/**
 * Loads the page until it shows a text: the server writes refusals down a moment later.
 * @param {Page} page
 * @param {string} wanted
 */
async function seesInTime(page, wanted) {
  const until = Date.now() + PATIENCE;
  const shows = () => page.evaluate((words) => document.body.innerText.includes(words), wanted);
  do {
    await page.goto(server.origin + ACTIVITY);
    await arrives(page, ACTIVITY);
  } while (!(await shows()) && Date.now() < until);
  await sees(page, wanted);
}

test("a stolen token and a proof that comes again are alarms, and isolating the key ends all that it let in", async () => {
  const { home, laptop, username, token } = await twoBrowsers();
  const other = await letsInAnother(laptop, username);
  await syncPasskeys(home, laptop);

  const thief = new Client(server.origin);
  assert.equal((await thief.send("GET", "/v1/whoami", { token })).status, 401);
  const requests = record(laptop.page);
  assert.ok((await callFromPage(laptop.page, "GET", "/v1/whoami")).ok);
  const { url, headers } = lastTo(requests, "GET", "/v1/whoami");
  assert.equal((await fetch(url, { headers })).status, 401);

  const { page } = home;
  await seesInTime(page, text("alarm.replayed"));
  await seesInTime(page, text("alarm.other-key"));
  await sees(page, text("activity.alarms.one", { count: "1" }));

  await click(page, text("isolate.of", { label: "laptop" }));
  await sees(page, text("revoke.title", { label: "laptop" }));
  await click(page, text("revoke.button"));
  await sees(page, text("revoke.added.title.other", { count: "2" }));
  const ticked = await page.$$eval("dialog input[type=checkbox]", (boxes) =>
    boxes.map((box) => box.checked),
  );
  assert.deepEqual(ticked, [true, true]);
  await click(page, text("revoke.added.button"));
  await sees(page, text("isolate.deeds", { label: "laptop" }));
  const deeds = await page.$eval("dialog", (dialog) => dialog.innerText);
  for (const key of ["event.proof.replayed", "fact.reason.used-before", "fact.reason.other-key"]) {
    assert.ok(deeds.includes(text(key)), `${key} is not in ${deeds}`);
  }
  await click(page, text("dialog.close"));
  assert.deepEqual(home.complaints, []);

  for (const { page: outside } of [laptop, other]) {
    const next = await callFromPage(outside, "GET", "/v1/whoami");
    assert.deepEqual([next.ok, next.kind], [false, "signed-out"]);
  }
  const { answer } = await callFromPage(page, "GET", "/v1/keys");
  const live = answer.keys.filter((/** @type {any} */ key) => key.revoked_at === null);
  assert.deepEqual(live.map((/** @type {any} */ { kind }) => kind).sort(), ["browser", "passkey"]);

  // An isolated key does no more harm: nothing is suspicious, and the page says what was let in by it.
  await seesInTime(page, text("activity.quiet"));
  await page.$$eval("details", (all) => {
    for (const one of all) one.open = true;
  });
  await sees(page, text("fact.by", { value: "laptop" }));
});

test("what was let in and is kept goes on", async () => {
  const { home, laptop, username } = await twoBrowsers();
  const other = await letsInAnother(laptop, username);
  await syncPasskeys(home, laptop);
  await seesInTime(home.page, "laptop");
  await click(home.page, text("isolate.of", { label: "laptop" }));
  await click(home.page, text("revoke.button"));
  await click(home.page, text("revoke.added.keep"));
  await sees(home.page, text("isolate.deeds", { label: "laptop" }));
  assert.equal((await callFromPage(laptop.page, "GET", "/v1/whoami")).kind, "signed-out");
  assert.ok((await callFromPage(other.page, "GET", "/v1/whoami")).ok);
});

/**
 * Puts harmless events of later in front of what the server lists: sign-ins with a key, as many as a thief likes. A
 * listing of some kinds has none of them.
 * @param {Page} page
 * @param {number} count
 */
async function hideBehindSignIns(page, count) {
  await page.evaluateOnNewDocument((howMany) => {
    const { fetch } = globalThis;
    const FIRST = 1_000_000;
    globalThis.fetch = async (url, init) => {
      const { pathname, searchParams: query } = new URL(String(url), location.href);
      if (pathname !== "/v1/events" || query.has("event")) return fetch(url, init);
      const limit = Number(query.get("limit"));
      const before = Math.min(Number(query.get("before") ?? FIRST + howMany), FIRST + howMany);
      const at = Math.floor(Date.now() / 1000);
      const left = before - FIRST;
      if (left <= 0) return fetch(url, init);
      const sent = Math.min(limit, left);
      const thumbprint = query.get("key") ?? undefined;
      const events = Array.from({ length: sent }, (_, place) => {
        const id = before - 1 - place;
        return { id, at, event: "login.succeeded", thumbprint, address: "203.0.113.66" };
      });
      const answer = { events, next_before: before - sent, looked_back_to: at };
      return new Response(JSON.stringify(answer));
    };
  }, count);
}

test("an alarm is found behind more sign-ins than the page reads", async () => {
  const { home, laptop, username, token } = await twoBrowsers();
  await syncPasskeys(home, laptop);
  const thief = new Client(server.origin);
  assert.equal((await thief.send("GET", "/v1/whoami", { token })).status, 401);
  await seesInTime(home.page, text("alarm.other-key"));
  await laptop.page.evaluate(
    async (api, account) => {
      const { currentSession, logInWith } = await import(api);
      const { key } = await currentSession();
      for (let count = 0; count < 410; count += 1) await logInWith(key, account);
    },
    await moduleUrl(laptop.page, "js/lib/api.js"),
    username,
  );
  const { page } = home;
  await page.goto(server.origin + ACTIVITY);
  await arrives(page, ACTIVITY);
  const { answer } = await callFromPage(page, "GET", "/v1/events?limit=200");
  const kinds = new Set(answer.events.map((/** @type {any} */ { event }) => event));
  assert.deepEqual([...kinds], ["login.succeeded"]);
  await sees(page, text("alarm.other-key"));
  await sees(page, text("activity.alarms.one", { count: "1" }));
});

test("alarms and deeds are found behind thousands of sign-ins", async () => {
  const { home, laptop, token } = await twoBrowsers();
  await syncPasskeys(home, laptop);
  const thief = new Client(server.origin);
  assert.equal((await thief.send("GET", "/v1/whoami", { token })).status, 401);
  const { page } = home;
  await seesInTime(page, text("alarm.other-key"));
  await hideBehindSignIns(page, 5000);
  await page.goto(server.origin + ACTIVITY);
  await arrives(page, ACTIVITY);
  await sees(page, text("alarm.other-key"));
  await sees(page, text("activity.alarms.one", { count: "1" }));
  await click(page, text("isolate.of", { label: "laptop" }));
  await click(page, text("revoke.button"));
  await sees(page, text("isolate.deeds", { label: "laptop" }));
  await sees(page, text("isolate.sign-ins-back-to").split("{when}")[1] ?? "");
  const deeds = await page.$eval("dialog", (dialog) => dialog.innerText);
  for (const key of ["event.token.refused", "event.key.renamed"]) {
    assert.ok(deeds.includes(text(key)), `${key} is not in ${deeds}`);
  }
});

/**
 * A server whose trail has so many refused sign-ins that are no alarms.
 * @param {Page} page
 * @param {number} count
 */
async function fillsWithRefusals(page, count) {
  await page.evaluateOnNewDocument((howMany) => {
    const { fetch } = globalThis;
    globalThis.fetch = async (url, init) => {
      const { pathname, searchParams: query } = new URL(String(url), location.href);
      if (pathname !== "/v1/events") return fetch(url, init);
      const before = Number(query.get("before") ?? howMany + 1);
      const sent = Math.min(Number(query.get("limit")), before - 1);
      const events = Array.from({ length: sent }, (_, place) => {
        const id = before - 1 - place;
        return {
          id,
          at: 1_700_000_000 + id,
          event: "login.refused",
          facts: { reason: "assertion" },
        };
      });
      const left = before - sent;
      const older = left > 1 && { next_before: left, looked_back_to: 1_700_000_000 + left };
      return new Response(JSON.stringify({ events, ...older }));
    };
  }, count);
}

test("that nothing is suspicious is said with its limit where the trail was not read to its end", async () => {
  const home = await (await newVisitor(chromium)).addAuthenticator({ synced: true });
  await register(home, server.origin);
  const { page } = home;
  await fillsWithRefusals(page, 3000);
  await page.goto(server.origin + ACTIVITY);
  await arrives(page, ACTIVITY);
  const [limited = ""] = text("activity.quiet.since").split("{when}");
  await sees(page, limited);
  await sees(page, text("activity.quiet.since.what"));
  const shown = await page.$eval("main", (main) => main.innerText);
  assert.ok(!shown.includes(text("activity.quiet.what")), shown);
  await click(page, text("activity.older"));
  await sees(page, text("activity.quiet.what"));
});

/**
 * A server that has looked through as much of the trail as it does for one request, and found nothing so far.
 * @param {Page} page
 */
async function looksInVain(page) {
  await page.evaluateOnNewDocument(() => {
    const { fetch } = globalThis;
    globalThis.fetch = async (url, init) => {
      const { pathname, searchParams: query } = new URL(String(url), location.href);
      if (pathname !== "/v1/events" || !query.has("event")) return fetch(url, init);
      const before = Number(query.get("before") ?? 1_000_000) - 10_000;
      const answer = { events: [], next_before: before, looked_back_to: 1_700_000_000 };
      return new Response(JSON.stringify(answer));
    };
  });
}

test("that nothing is suspicious is said with its limit where only pages without events were read", async () => {
  const home = await (await newVisitor(chromium)).addAuthenticator({ synced: true });
  await register(home, server.origin);
  const { page } = home;
  await looksInVain(page);
  await page.goto(server.origin + ACTIVITY);
  await arrives(page, ACTIVITY);
  const [limited = ""] = text("activity.quiet.since").split("{when}");
  await sees(page, limited);
  const shown = await page.$eval("main", (main) => main.innerText);
  assert.ok(!shown.includes(text("activity.quiet.what")), shown);
});

test("the own browser's button says that it signs out, and does", async () => {
  const home = await (await newVisitor(chromium)).addAuthenticator({ synced: true });
  await register(home, server.origin);
  await home.page.goto(server.origin + ACTIVITY);
  await arrives(home.page, ACTIVITY);
  await sees(home.page, text("isolate.this-browser.what"));
  // Otherwise it would sign in again by itself. Signing out takes no touch.
  await home.removeAuthenticator();
  await click(home.page, text("isolate.this-browser"));
  await sees(home.page, text("sign-out.done"));
});
