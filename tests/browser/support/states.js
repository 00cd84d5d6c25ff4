// Every page in every state that a person can meet, with the way to it.
import { click, fillIn, find, newName, sees, signInByPasskey } from "./app.js";
import { KEYRING_STATES } from "./keyring-states.js";
import {
  accountPage,
  member,
  newMember,
  newStranger,
  pressFirst,
  publicPage,
  somebody,
  staying,
} from "./scene.js";

/** @import { Scene, Visitor, Way } from "./scene.js" */

/** Somebody who isolates the passkey that let this browser in, step by step. */
const isolating = staying(async (scene) => {
  const first = await newMember(scene);
  const visitor = await (await somebody(scene)).addAuthenticator({ synced: true });
  await visitor.copyPasskeysFrom(first.visitor);
  await first.visitor.close();
  await signInByPasskey(visitor, scene.origin);
  const isolate = scene.t("isolate.of", { label: "passkey" });
  await accountPage(
    "/account/activity",
    ({ page }) => click(page, isolate),
    async () => ({ visitor }),
  )(scene);
  return { visitor };
});

/** @param {(page: Visitor["page"], t: Scene["t"]) => Promise<unknown>} then @returns {Way} */
const above = (then) => async (scene) => {
  const { visitor } = await isolating(scene);
  await then(visitor.page, scene.t);
  return visitor;
};

/** @type {Record<string, Way>} */
export const STATES = {
  index: publicPage("/"),
  "index, signed in": accountPage("/"),
  "sign-in": publicPage("/sign-in"),
  "sign-in, at another address": async (scene) => {
    const visitor = await somebody(scene);
    await visitor.page.goto(`${scene.origin.replace("localhost", "127.0.0.1")}/sign-in`);
    await find(visitor.page, "link", scene.t("start.go-there"));
    return visitor;
  },
  "sign-in, no passkey confirmed": publicPage("/sign-in", async ({ page }, { t }) => {
    await page.evaluate(() => {
      navigator.credentials.get = async () => {
        throw new DOMException("cancelled", "NotAllowedError");
      };
    });
    await click(page, t("sign-in.button"));
    await sees(page, t("problem.passkey-not-confirmed"));
  }),
  "sign-in, waiting for a passkey": publicPage("/sign-in", async ({ page }, { t }) => {
    await page.evaluate(() => {
      navigator.credentials.get = () => new Promise(() => {});
    });
    await click(page, t("sign-in.button"));
    await page.waitForSelector("button[aria-busy]");
  }),
  "sign-in, browser without passkeys": async (scene) => {
    const visitor = await somebody(scene);
    await visitor.page.evaluateOnNewDocument(() => {
      // @ts-expect-error some browsers have none
      delete window.PublicKeyCredential;
    });
    await visitor.page.goto(`${scene.origin}/sign-in`);
    await sees(visitor.page, scene.t("no-passkeys"));
    return visitor;
  },
  "sign-in, nothing can be stored": async (scene) => {
    const visitor = await somebody(scene);
    await visitor.page.evaluateOnNewDocument(() => {
      Object.defineProperty(window, "indexedDB", { value: undefined });
    });
    await visitor.page.goto(`${scene.origin}/sign-in`);
    await sees(visitor.page, scene.t("memory-only"));
    return visitor;
  },
  register: publicPage("/register"),
  "register, no name": publicPage("/register", async ({ page }, { t }) => {
    await click(page, t("register.button"));
    await sees(page, t("username.missing"));
  }),
  "register, a name that somebody has": async (scene) => {
    const { username: taken } = await member(scene);
    const visitor = await (await somebody(scene)).addAuthenticator();
    await visitor.page.goto(`${scene.origin}/register`);
    await fillIn(visitor.page, scene.t("register.username"), taken);
    await click(visitor.page, scene.t("register.button"));
    await sees(visitor.page, scene.t("problem.username-taken"));
    return visitor;
  },
  "register, invited": publicPage("/register#code=csi_0123456789", async ({ page }, { t }) => {
    await find(page, "textbox", t("register.code"));
  }),
  "register, with a recovery code": publicPage(
    "/register#code=csr_0123456789",
    async ({ page }, { t }) => {
      await fillIn(page, t("register.username"), newName());
      await click(page, t("register.button"));
      await page.waitForSelector("[aria-invalid=true]");
    },
  ),
  account: accountPage("/account"),
  keys: accountPage("/account/keys"),
  "keys, naming a new file": accountPage("/account/keys", async ({ page }, { t }) => {
    await click(page, t("keys.new-file"));
    await find(page, "textbox", t("keys.name"));
  }),
  "keys, renaming": accountPage("/account/keys", async ({ page }, { t }) => {
    await pressFirst(page, t("keys.rename"));
    await find(page, "button", t("keys.rename.save"));
  }),
  "keys, a file is made": accountPage("/account/keys", async ({ page }, { t }) => {
    await click(page, t("keys.new-file"));
    // A name in the language, so that everything on the page is.
    await fillIn(page, t("keys.name"), t("key.kind.key"));
    await click(page, t("keys.new-file.button"));
    await find(page, "link", t("keys.file.save"));
  }),
  "keys, a file is not saved": accountPage("/account/keys", async ({ page }, { t }) => {
    await click(page, t("keys.new-file"));
    await fillIn(page, t("keys.name"), t("key.kind.key"));
    await click(page, t("keys.new-file.button"));
    await find(page, "link", t("keys.file.save"));
    await page.keyboard.press("Escape");
    await find(page, "button", t("keys.file.lose"));
  }),
  "keys, a proof that is none": accountPage("/account/keys", async ({ page }, { t }) => {
    await click(page, t("keys.paste"));
    await fillIn(page, t("keys.proof"), "rubbish");
    await fillIn(page, t("keys.name"), "program");
    await click(page, t("keys.paste.button"));
    await sees(page, t("keys.proof.malformed"));
  }),
  "keys, the last one": accountPage("/account/keys", async ({ page }, { t }) => {
    const remove = await page.waitForSelector("main li button:last-of-type");
    await remove?.click();
    await find(page, "button", t("dialog.cancel"));
  }),
  activity: accountPage("/account/activity"),
  "activity, details open": accountPage("/account/activity", ({ page }) =>
    page.$$eval("details", (all) => {
      for (const one of all) one.open = true;
    }),
  ),
  "activity, isolating a key": above((page, t) => find(page, "button", t("revoke.button"))),
  "activity, what an isolated key let in": above(async (page, t) => {
    await click(page, t("revoke.button"));
    await find(page, "button", t("revoke.added.keep"));
  }),
  "activity, what an isolated key did": above(async (page, t) => {
    await click(page, t("revoke.added.keep"));
    await page.waitForSelector("#since");
  }),
  ...KEYRING_STATES,
  passwordless: accountPage("/account/passwordless"),
  "passwordless, with an account that is logged in": publicPage(
    "/account/passwordless",
    async ({ page }, { t }) => {
      await fillIn(page, t("register.username"), newName());
      await click(page, t("mutual.register.button"));
      await click(page, t("mutual.log-in"));
      await click(page, t("mutual.use"));
      await page.waitForFunction(() => document.querySelector("[data-whoami]")?.textContent);
    },
    newStranger,
  ),
  "account, waiting for the server": async (scene) => {
    const { visitor } = await newMember(scene);
    await visitor.page.setRequestInterception(true);
    visitor.page.on("request", (request) => {
      if (!request.url().includes("/v1/")) request.continue();
    });
    await visitor.page.reload();
    await visitor.page.waitForSelector("main[aria-busy]");
    return visitor;
  },
  "account, the server is gone": accountPage(
    "/account",
    async ({ page }, { t }) => {
      await page.setRequestInterception(true);
      page.on("request", (request) =>
        request.url().includes("/v1/") ? request.abort() : request.continue(),
      );
      await page.reload();
      await sees(page, t("problem.offline"));
    },
    newMember,
  ),
  "account, signed out from elsewhere": accountPage(
    "/account",
    async ({ page }, { t, origin }) => {
      await page.evaluate(async () => {
        const opened = indexedDB.open("countersign");
        await new Promise((done) => Object.assign(opened, { onsuccess: done }));
        const store = opened.result.transaction("session", "readwrite").objectStore("session");
        const asked = store.get("session");
        await new Promise((done) => Object.assign(asked, { onsuccess: done }));
        store.put(
          { ...asked.result, token: "", expiresAt: 0, account: crypto.randomUUID() },
          "session",
        );
        opened.result.close();
      });
      await page.goto(`${origin}/account/keys`);
      await sees(page, t("problem.signed-out.ended"));
    },
    newMember,
  ),
};
