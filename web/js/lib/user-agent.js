// A user agent in words. It says what a browser claims to be: good for recognising one's own devices,
// and for nothing else.

import { t } from "./i18n.js";

/** In this order, because most browsers claim to be several others too. */
const BROWSERS = /** @type {const} */ ([
  [/\bEdgA?\//, "Edge"],
  [/\bOPR\//, "Opera"],
  [/\bSamsungBrowser\//, "Samsung Internet"],
  [/\bFirefox\/|\bFxiOS\//, "Firefox"],
  [/Chrome\/|\bCriOS\/|Chromium\//, "Chrome"],
  [/\bSafari\//, "Safari"],
]);

const SYSTEMS = /** @type {const} */ ([
  [/\biPhone\b/, "iPhone"],
  [/\biPad\b/, "iPad"],
  [/\bAndroid\b/, "Android"],
  [/\bCrOS\b/, "ChromeOS"],
  [/\bWindows\b/, "Windows"],
  [/\bMac OS X\b/, "macOS"],
  [/\bLinux\b/, "Linux"],
]);

/**
 * Such as "Firefox on Linux".
 * @param {string} [userAgent] this browser's by default
 */
export function describeBrowser(userAgent = navigator.userAgent) {
  const browser = find(BROWSERS, userAgent) ?? t("agent.browser");
  const system = find(SYSTEMS, userAgent);
  return system ? t("agent.on", { browser, system }) : browser;
}

/**
 * Whether a label is such a description, in whatever language it was made, and not a person's choice:
 * "Firefox auf Linux".
 * @param {string} label
 * @param {string} userAgent
 */
export function isDescription(label, userAgent) {
  const browser = find(BROWSERS, userAgent);
  const system = find(SYSTEMS, userAgent);
  if (!browser || !system || !label.endsWith(` ${system}`)) return false;
  const start = label.replace(/^Chromium /, "Chrome ").slice(0, -system.length - 1);
  return start.startsWith(`${browser} `) && /^\p{L}+$/u.test(start.slice(browser.length + 1));
}

/**
 * @param {readonly (readonly [RegExp, string])[]} kinds
 * @param {string} userAgent
 */
const find = (kinds, userAgent) => kinds.find(([pattern]) => pattern.test(userAgent))?.[1];
