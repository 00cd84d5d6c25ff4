// Looks at every page in every state: accessible by axe's rules, without sideways scrolling at 320 pixels and wide, in light
// and dark, in English, German, and a language that is 40 % longer and runs from right to left. Pictures of every state are in
// target/browser-screenshots; somebody must look at them.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";

import { english, textsIn } from "./app.js";
import { startChromium } from "./chromium.js";
import { startServerBehindProxy } from "./proxy.js";
import { pseudo, pseudoLanguage, untranslated } from "./pseudo.js";
import { STATES } from "./states.js";

const PICTURES = fileURLToPath(new URL("../../../target/browser-screenshots", import.meta.url));
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const NARROW = { width: 320, height: 640 };
const WIDE = { width: 1280, height: 900 };

const german = await textsIn("de");

/** @typedef {{ [key: string]: string }} Texts */
const texts =
  (/** @type {Texts} */ all) =>
  (/** @type {string} */ key, values = /** @type {Texts} */ ({})) =>
    (all[key] ?? assert.fail(`no text ${key}`)).replace(
      /\{(\w+)\}/g,
      (whole, name) => values[name] ?? whole,
    );

/** Each look at a state: a width and a scheme. */
const LOOKS = /** @type {[typeof WIDE, string][]} */ ([
  [NARROW, "light"],
  [NARROW, "dark"],
  [WIDE, "light"],
  [WIDE, "dark"],
]);

/**
 * The texts of each language, and the looks that there are pictures of: a picture takes longer than all else. Colours do not
 * depend on the language.
 */
const LANGUAGES = {
  en: { t: texts(english), pictured: [LOOKS[0], LOOKS[3]] },
  de: { t: texts(german), pictured: [LOOKS[0]] },
  pseudo: {
    t: texts(Object.fromEntries(Object.entries(english).map(([key, text]) => [key, pseudo(text)]))),
    pictured: [LOOKS[0]],
  },
};

/** @type {Awaited<ReturnType<typeof startServerBehindProxy>>} */
let behindProxy;
/** @type {import("puppeteer-core").Browser} */
let chromium;
before(async () => {
  mkdirSync(PICTURES, { recursive: true });
  behindProxy = await startServerBehindProxy();
  chromium = await startChromium();
});
after(async () => {
  await chromium?.close();
  await behindProxy?.stop();
});

/**
 * What axe finds, one line for each.
 * @param {import("puppeteer-core").Page} page
 * @param {string[]} exceptions rules that are left out
 * @returns {Promise<string[]>}
 */
async function violations(page, exceptions) {
  const run = async (/** @type {string[]} */ tags, /** @type {string[]} */ without) => {
    /** @type {any} */
    const { axe } = globalThis;
    const rules = Object.fromEntries(without.map((id) => [id, { enabled: false }]));
    const { violations: found } = await axe.run({
      runOnly: tags,
      rules,
      resultTypes: ["violations"],
    });
    return found.map(
      (/** @type {any} */ { id, nodes }) => `${id}: ${nodes[0].failureSummary} ${nodes[0].html}`,
    );
  };
  return page.evaluate(run, RULES, exceptions);
}

/** By how many pixels the page is wider than its window. */
const overflow = () => {
  const { scrollWidth, clientWidth } = document.documentElement;
  return scrollWidth - clientWidth;
};

/**
 * Looks at every state in a language.
 * @param {import("node:test").TestContext} context
 * @param {keyof typeof LANGUAGES} language
 */
export async function lookAtAll(context, language) {
  const { t, pictured } = LANGUAGES[language];
  // In the pseudo-language no text is a part of another: a button's name cannot contain what it shows.
  const exceptions = language === "pseudo" ? ["label-content-name-mismatch"] : [];
  behindProxy.proxy.change = language === "pseudo" ? pseudoLanguage() : () => undefined;
  const { origin } = behindProxy;
  /** @type {import("./scene.js").Scene} */
  const scene = {
    chromium,
    origin,
    t,
    language: language === "de" ? "de" : "en",
    staying: new Map(),
  };
  for (const [state, way] of Object.entries(STATES)) {
    await context.test(state, async () => {
      const visitor = await way(scene);
      await visitor.page.evaluate(AXE);
      for (const look of LOOKS) {
        const name = `${`${state}-${language}`.replace(/\W+/g, "-")}-${look[0].width}-${look[1]}`;
        await showAs(visitor.page, look);
        if (pictured.includes(look)) {
          await visitor.page.screenshot({ path: `${PICTURES}/${name}.png`, fullPage: true });
        }
        assert.deepEqual(await violations(visitor.page, exceptions), [], name);
        assert.ok((await visitor.page.evaluate(overflow)) <= 0, `${name} scrolls sideways`);
      }
      if (language === "pseudo") {
        assert.deepEqual(await visitor.page.evaluate(untranslated), [], "untranslated");
      }
      const stays = [...scene.staying.values()].some((one) => one.visitor === visitor);
      if (!stays) await visitor.close();
    });
  }
  const stayed = new Set([...scene.staying.values()].map(({ visitor }) => visitor));
  for (const visitor of stayed) await visitor.close();
}

/**
 * @param {import("puppeteer-core").Page} page
 * @param {typeof LOOKS[number]} look
 */
async function showAs(page, [viewport, scheme]) {
  await page.setViewport(viewport);
  await page.emulateMediaFeatures([
    { name: "prefers-color-scheme", value: scheme },
    { name: "prefers-reduced-motion", value: "reduce" },
  ]);
}
