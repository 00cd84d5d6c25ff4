// Chromium by puppeteer: people with browsers of their own, and authenticators that hold passkeys.
import puppeteer from "puppeteer-core";

/** Milliseconds that a page has for what it promises. */
export const PATIENCE = 20_000;

/** Nothing that Chromium does of its own accord: no update, no first run, no network but the test's. */
const QUIET = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export async function startChromium() {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  return puppeteer.launch({ executablePath, headless: true, args: QUIET, protocolTimeout: 60_000 });
}

/** One browser of one person: storage of its own, one tab, an authenticator if wanted. */
export class Visitor {
  /**
   * @param {import("puppeteer-core").BrowserContext} context
   * @param {import("puppeteer-core").Page} page
   * @param {import("puppeteer-core").CDPSession} cdp
   */
  constructor(context, page, cdp) {
    this.context = context;
    this.page = page;
    this.cdp = cdp;
    /**
     * What the browser complained of: exceptions and errors on the console. A first request without a nonce is none.
     * @type {string[]}
     */
    this.complaints = [];
    page.on("pageerror", (error) => this.complaints.push(String(error)));
    page.on("console", (message) => {
      const isComplaint = message.type() === "error" && !message.text().includes("status of 401");
      if (isComplaint) this.complaints.push(message.text());
    });
  }

  /** An authenticator that says yes at once. Its passkeys are synced ones if `synced`. */
  async addAuthenticator({ synced = false, userVerified = true } = {}) {
    await this.cdp.send("WebAuthn.enable", { enableUI: false });
    const { authenticatorId } = await this.cdp.send("WebAuthn.addVirtualAuthenticator", {
      options: {
        protocol: "ctap2",
        ctap2Version: "ctap2_1",
        transport: "internal",
        hasResidentKey: true,
        hasUserVerification: true,
        hasPrf: true,
        isUserVerified: userVerified,
        automaticPresenceSimulation: true,
        defaultBackupEligibility: synced,
        defaultBackupState: synced,
      },
    });
    this.authenticatorId = authenticatorId;
    return this;
  }

  /** Takes the authenticator away: from now on nothing can be touched. */
  removeAuthenticator() {
    const authenticatorId = /** @type {string} */ (this.authenticatorId);
    return this.cdp.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId });
  }

  /** The passkeys in the authenticator, with their private keys. */
  async passkeys() {
    const authenticatorId = /** @type {string} */ (this.authenticatorId);
    return (await this.cdp.send("WebAuthn.getCredentials", { authenticatorId })).credentials;
  }

  /**
   * What a synced passkey is: the same key in another browser.
   * @param {Visitor} other
   */
  async copyPasskeysFrom(other) {
    const authenticatorId = /** @type {string} */ (this.authenticatorId);
    for (const credential of await other.passkeys()) {
      await this.cdp.send("WebAuthn.addCredential", { authenticatorId, credential });
    }
  }

  close() {
    return this.context.close();
  }
}

/**
 * A browser that has never been anywhere.
 * @param {import("puppeteer-core").Browser} browser
 */
export async function newVisitor(browser) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  return new Visitor(context, page, await page.createCDPSession());
}
