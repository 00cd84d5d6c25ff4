// Who is on which page: the ways to the states of states.js and keyring-states.js.
import { arrives, newName, register } from "./app.js";
import { newVisitor } from "./chromium.js";

/** @typedef {import("./chromium.js").Visitor} Visitor */
/** @typedef {{ visitor: Visitor, username: string }} Member somebody with an account */

/**
 * @typedef {object} Scene
 * @property {import("puppeteer-core").Browser} chromium
 * @property {string} origin
 * @property {(key: string, values?: Record<string, string>) => string} t texts in the language of the scene
 * @property {string} language for Accept-Language
 * @property {Map<Function, { visitor: Visitor }>} staying who goes from state to state, by how they came
 */

/** The way to a state. It gives back the visitor who is there. */
/** @typedef {(scene: Scene) => Promise<Visitor>} Way */

/** What a visitor does on a page. @typedef {(visitor: Visitor, scene: Scene) => Promise<unknown>} Then */

/**
 * Somebody new, who speaks the language of the scene.
 * @param {Scene} scene
 */
export async function somebody({ chromium, language }) {
  const visitor = await newVisitor(chromium);
  await visitor.page.setExtraHTTPHeaders({ "accept-language": language });
  // A page may ask whether it may be left.
  visitor.page.on("dialog", (dialog) => dialog.accept());
  return visitor;
}

/**
 * Somebody with an account of their own.
 * @param {Scene} scene
 */
export async function newMember(scene) {
  const visitor = await (await somebody(scene)).addAuthenticator({ synced: true });
  const username = await register(visitor, scene.origin, newName(), scene.t);
  return { visitor, username };
}

/**
 * Whoever comes in this way, once for all states of a scene.
 * @template {{ visitor: Visitor }} Somebody
 * @param {(scene: Scene) => Promise<Somebody>} come
 */
export const staying = (come) => async (/** @type {Scene} */ scene) => {
  const found = /** @type {Somebody | undefined} */ (scene.staying.get(come));
  const here = found ?? (await come(scene));
  scene.staying.set(come, here);
  return here;
};

/** The one with an account, who goes from state to state. */
export const member = staying(newMember);

/** Somebody without an account, in a browser of their own. @param {Scene} scene */
export const newStranger = async (scene) => ({ visitor: await somebody(scene) });

/** The one without an account, who goes from state to state. */
const stranger = staying(newStranger);

/**
 * A page that needs no account.
 * @param {string} path
 * @param {Then} [then]
 * @param {(scene: Scene) => Promise<{ visitor: Visitor }>} [who] somebody new where the state stays in the browser
 * @returns {Way}
 */
export const publicPage =
  (path, then, who = stranger) =>
  async (scene) => {
    const { visitor } = await who(scene);
    // Another fragment alone would load nothing.
    if (path.includes("#")) await visitor.page.goto("about:blank");
    await visitor.page.goto(scene.origin + path);
    await arrives(visitor.page, new URL(path, scene.origin).pathname);
    await then?.(visitor, scene);
    return visitor;
  };

/**
 * A page of an account.
 * @param {string} path
 * @param {Then} [then]
 * @param {(scene: Scene) => Promise<{ visitor: Visitor }>} [who] somebody new where the state spoils the browser
 * @returns {Way}
 */
export const accountPage =
  (path, then, who = member) =>
  async (scene) => {
    const { visitor } = await who(scene);
    await visitor.page.goto(scene.origin + path);
    await arrives(visitor.page, path);
    await then?.(visitor, scene);
    return visitor;
  };

/**
 * Presses the first button or link of the page itself that has these words. Its name may say more.
 * @param {import("puppeteer-core").Page} page
 * @param {string} words
 */
export async function pressFirst(page, words) {
  const found = await page.waitForFunction(
    (text) => {
      const all = Array.from(document.querySelectorAll("main button, main a"));
      return all.find((one) => one.textContent === text);
    },
    {},
    words,
  );
  await /** @type {import("puppeteer-core").ElementHandle<Element>} */ (found).click();
}

/**
 * Closes what is open above the page, and waits until the page has come to rest.
 * @param {import("puppeteer-core").Page} page
 */
export async function closeDialogs(page) {
  while (await page.$("dialog")) {
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => !document.querySelector("dialog"));
  }
  // The button that opened it may show the page anew.
  await page.waitForFunction(() => !document.querySelector("button[aria-busy]"));
}
