// The browsers of a test file. Each is started when a test first needs it and serves all tests of the file, each of which
// has storage of its own.
import { after } from "node:test";

import { newVisitor, startChromium } from "./chromium.js";
import { startFirefox } from "./firefox.js";
import { WebKit } from "./webkit.js";

/** @typedef {import("./hands.js").Tab & { goto: (url: string) => Promise<unknown> }} Tab */

/** A page without pickers, as Firefox and Safari have none. */
const withoutPickers = () => {
  Object.assign(window, { showOpenFilePicker: undefined, showSaveFilePicker: undefined });
};

/**
 * Starts something once.
 * @template Started
 * @param {() => Promise<Started>} start
 * @param {(started: Started) => Promise<unknown>} end after all tests of the file
 */
function once(start, end) {
  /** @type {Promise<Started> | undefined} */
  let started;
  after(async () => started && end(await started));
  return () => (started ??= start());
}

/** The browsers of this file. */
export function browsers() {
  const chromium = once(startChromium, (browser) => browser.close());
  const firefox = once(startFirefox, (browser) => browser.close());
  const webkit = once(
    () => WebKit.start(),
    (driver) => driver.stop(),
  );
  return {
    chromium,
    firefox,
    webkit,
    /**
     * In each engine a tab of somebody who has never been anywhere.
     * @type {Record<string, () => Promise<Tab>> & { Chromium: () => Promise<Tab>, Firefox: () => Promise<Tab> }}
     */
    tabs: {
      Chromium: async () => {
        const { page } = await newVisitor(await chromium());
        await page.evaluateOnNewDocument(withoutPickers);
        return page;
      },
      Firefox: async () => (await (await firefox()).createBrowserContext()).newPage(),
      WebKit: async () => {
        const driver = await webkit();
        await driver.anew();
        const evaluate = driver.evaluate.bind(driver);
        // The driver may lose the first script after a page, and says so by a timeout.
        const goto = async (/** @type {string} */ url) => {
          await driver.goto(url);
          await evaluate(() => true).catch(() => driver.goto(url));
        };
        return { evaluate, goto };
      },
    },
  };
}
