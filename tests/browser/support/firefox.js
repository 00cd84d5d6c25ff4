// Firefox by puppeteer over WebDriver BiDi, which needs no geckodriver. BiDi has no authenticators: see marionette.js.
import puppeteer from "puppeteer-core";

export const FIREFOX = process.env.FIREFOX ?? "/usr/bin/firefox-esr";

/** No updates, no first run, no telemetry, no captive portal: nothing that Firefox asks the network by itself. */
export const QUIET = {
  "app.update.enabled": false,
  "browser.shell.checkDefaultBrowser": false,
  "captivedetect.canonicalURL": "",
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "services.settings.server": "data:,#remote-settings-dummy/v1",
  "toolkit.telemetry.enabled": false,
};

/**
 * @param {Record<string, boolean | string | number>} preferences
 */
export async function startFirefox(preferences = {}) {
  return puppeteer.launch({
    browser: "firefox",
    executablePath: FIREFOX,
    headless: true,
    extraPrefsFirefox: { ...QUIET, ...preferences },
    protocolTimeout: 60_000,
  });
}
