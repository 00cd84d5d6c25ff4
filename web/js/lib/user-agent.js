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
  const find = (/** @type {readonly (readonly [RegExp, string])[]} */ kinds) =>
    kinds.find(([pattern]) => pattern.test(userAgent))?.[1];
  const browser = find(BROWSERS) ?? t("agent.browser");
  const system = find(SYSTEMS);
  return system ? t("agent.on", { browser, system }) : browser;
}
