// WebKitGTK, Safari's engine, by WebDriver over plain HTTP. It has no passkeys here.
import { freePort, startProcess } from "./server.js";

const DRIVER = process.env.WEBKIT_DRIVER ?? "/usr/bin/WebKitWebDriver";
const PATIENCE = 60_000;

export class WebKit {
  /** The driver under a virtual screen, and one window of MiniBrowser. */
  static async start() {
    const port = await freePort();
    const words = [
      "--auto-servernum",
      "sh",
      "-c",
      'echo starting; exec "$0" "$@"',
      DRIVER,
      `--port=${port}`,
    ];
    const settings = {
      ...process.env,
      WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1",
      LIBGL_ALWAYS_SOFTWARE: "1",
    };
    const driver = await startProcess(
      "xvfb-run",
      words,
      { env: settings, detached: true },
      "starting",
    );
    const webkit = new WebKit(`http://127.0.0.1:${port}`, driver);
    await webkit.open();
    return webkit;
  }

  /**
   * @param {string} origin
   * @param {{ pid: number, stop: () => Promise<void> }} driver
   */
  constructor(origin, driver) {
    this.origin = origin;
    this.driver = driver;
    this.session = "";
    /** Whether its window has been nowhere. */
    this.isNew = true;
  }

  async open() {
    this.isNew = true;
    await this.untilItListens();
    const { sessionId } = await this.send("POST", "/session", {
      capabilities: { alwaysMatch: {} },
    });
    this.session = `/session/${sessionId}`;
    await this.send("POST", `${this.session}/timeouts`, { script: PATIENCE, pageLoad: PATIENCE });
  }

  /** Another window, which knows nothing of what was done before. */
  async anew() {
    if (this.isNew) return;
    await this.send("DELETE", this.session);
    await this.open();
  }

  async untilItListens() {
    for (const deadline = Date.now() + PATIENCE; Date.now() < deadline; ) {
      if (await fetch(`${this.origin}/status`).catch(() => null)) return;
      await new Promise((later) => setTimeout(later, 20));
    }
    throw new Error("WebKitWebDriver does not answer");
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   * @returns {Promise<any>}
   */
  async send(method, path, body) {
    const response = await fetch(this.origin + path, {
      method,
      body: body && JSON.stringify(body),
    });
    const { value } = await response.json();
    if (!response.ok) throw new Error(`${value.error}: ${value.message}`);
    return value;
  }

  /** @param {string} url */
  goto(url) {
    this.isNew = false;
    return this.send("POST", `${this.session}/url`, { url });
  }

  /**
   * What an async function, run in the page, gives back.
   * @param {(...args: any[]) => unknown} work
   * @param {...unknown} args
   */
  async evaluate(work, ...args) {
    const script = `
      const args = [...arguments], done = args.pop();
      Promise.resolve().then(() => (${work})(...args)).then((value) => done({ value }), (error) => done({ error: String(error) }));`;
    const outcome = await this.send("POST", `${this.session}/execute/async`, { script, args });
    if (outcome.error) throw new Error(outcome.error);
    return outcome.value;
  }

  /**
   * Waits until a function, run in the page, gives back something true.
   * @param {(...args: any[]) => unknown} condition
   * @param {...unknown} args
   */
  async waitFor(condition, ...args) {
    for (const deadline = Date.now() + PATIENCE; Date.now() < deadline; ) {
      const value = await this.evaluate(condition, ...args).catch(() => false);
      if (value) return value;
    }
    throw new Error(`in vain: ${condition} ${args}`);
  }

  async stop() {
    await this.send("DELETE", this.session).catch(() => {});
    process.kill(-this.driver.pid, "SIGTERM");
    await this.driver.stop();
  }
}
