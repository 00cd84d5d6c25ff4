// Every page in every state that a person can meet, with the way to it. What a way needs is in `scene`.
import { arrives, click, fillIn, find, newName, register, sees } from "./app.js";
import { newVisitor } from "./chromium.js";

/**
 * @typedef {object} Scene
 * @property {import("puppeteer-core").Browser} chromium
 * @property {string} origin
 * @property {(key: string, values?: Record<string, string>) => string} t texts in the language of the scene
 * @property {string} language for Accept-Language
 */

/** @typedef {import("./chromium.js").Visitor} Visitor */

/**
 * Somebody new, who speaks the language of the scene.
 * @param {Scene} scene
 */
async function somebody({ chromium, language }) {
  const visitor = await newVisitor(chromium);
  await visitor.page.setExtraHTTPHeaders({ "accept-language": language });
  return visitor;
}

/**
 * Somebody with an account.
 * @param {Scene} scene
 */
async function member(scene) {
  const visitor = await (await somebody(scene)).addAuthenticator({ synced: true });
  await register(visitor, scene.origin, newName(), scene.t);
  return visitor;
}

/** What a way to a state is: it gives back the visitor who is there. */
/** @typedef {(scene: Scene) => Promise<Visitor>} Way */

/**
 * A page that needs no account.
 * @param {string} path
 * @param {(visitor: Visitor, scene: Scene) => Promise<unknown>} [then]
 * @returns {Way}
 */
const publicPage = (path, then) => async (scene) => {
  const visitor = await somebody(scene);
  await visitor.page.goto(scene.origin + path);
  await arrives(visitor.page, path);
  await then?.(visitor, scene);
  return visitor;
};

/**
 * A page of an account.
 * @param {string} path
 * @param {(visitor: Visitor, scene: Scene) => Promise<unknown>} [then]
 * @returns {Way}
 */
const accountPage = (path, then) => async (scene) => {
  const visitor = await member(scene);
  await visitor.page.goto(scene.origin + path);
  await arrives(visitor.page, path);
  await then?.(visitor, scene);
  return visitor;
};

/** @type {Record<string, Way>} */
export const STATES = {
  index: publicPage("/"),
  "index, signed in": async (scene) => {
    const visitor = await member(scene);
    await visitor.page.goto(`${scene.origin}/`);
    await arrives(visitor.page, "/");
    return visitor;
  },
  "sign-in": publicPage("/sign-in"),
  "sign-in, no passkey confirmed": publicPage("/sign-in", async ({ page }, { t }) => {
    await page.evaluate(() => {
      navigator.credentials.get = async () => {
        throw new DOMException("cancelled", "NotAllowedError");
      };
    });
    await click(page, t("sign-in.button"));
    await sees(page, t("problem.passkey-not-confirmed"));
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
    const taken = newName();
    const first = await (await somebody(scene)).addAuthenticator();
    await register(first, scene.origin, taken, scene.t);
    await first.close();
    const visitor = await (await somebody(scene)).addAuthenticator();
    await visitor.page.goto(`${scene.origin}/register`);
    await fillIn(visitor.page, scene.t("register.username"), taken);
    await click(visitor.page, scene.t("register.button"));
    await sees(visitor.page, scene.t("problem.username-taken"));
    return visitor;
  },
  account: member,
  keys: accountPage("/account/keys"),
  "keys, renaming": accountPage("/account/keys", async ({ page }, { t }) => {
    await click(page, t("keys.new-file"));
    await find(page, "textbox", t("keys.name"));
  }),
  "keys, a file is made": accountPage("/account/keys", async ({ page }, { t }) => {
    await click(page, t("keys.new-file"));
    await fillIn(page, t("keys.name"), "backup");
    await click(page, t("keys.new-file.button"));
    await find(page, "link", t("keys.file.save"));
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
  keyring: accountPage("/account/keyring"),
  passwordless: accountPage("/account/passwordless"),
  "account, the server is gone": accountPage("/account", async ({ page }, { t }) => {
    await page.setRequestInterception(true);
    page.on("request", (request) =>
      request.url().includes("/v1/") ? request.abort() : request.continue(),
    );
    await page.reload();
    await sees(page, t("problem.offline"));
  }),
  "account, signed out from elsewhere": accountPage("/account", async ({ page }, { t, origin }) => {
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
  }),
};
