// A client of Marionette, Firefox's own remote protocol: the only way to its virtual authenticators without geckodriver.
// A message is `LENGTH:[type, id, …]` in JSON; type 0 is a command, type 1 an answer.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { FIREFOX, QUIET } from "./firefox.js";

const PATIENCE = 60_000;

/** The virtual authenticators instead of those on the USB bus. */
const AUTHENTICATORS = {
  "security.webauth.webauthn_enable_softtoken": true,
  "security.webauth.webauthn_enable_usbtoken": false,
};

export class Marionette {
  /**
   * Firefox with a profile of its own, whose Marionette listens on a port that the system chooses.
   * @param {Record<string, boolean | string | number>} more preferences
   */
  static async start(more = {}) {
    const profile = await mkdtemp(join(tmpdir(), "countersign-firefox-"));
    const preferences = { ...QUIET, "marionette.port": 0, ...AUTHENTICATORS, ...more };
    const lines = Object.entries(preferences).map(
      ([name, value]) => `user_pref("${name}", ${JSON.stringify(value)});\n`,
    );
    await writeFile(join(profile, "user.js"), lines.join(""));
    const words = ["--marionette", "--headless", "--no-remote", "--profile", profile];
    const child = spawn(FIREFOX, words, { stdio: "ignore" });
    const port = await portOf(profile);
    const socket = connect(port, "127.0.0.1");
    const marionette = new Marionette(socket, async () => {
      const ended = new Promise((done) => child.once("close", done));
      socket.destroy();
      child.kill("SIGTERM");
      await ended;
      await rm(profile, { recursive: true, maxRetries: 5 });
    });
    await marionette.send("WebDriver:NewSession", { capabilities: {} });
    await marionette.send("WebDriver:SetTimeouts", { script: PATIENCE, pageLoad: PATIENCE });
    return marionette;
  }

  /**
   * @param {import("node:net").Socket} socket
   * @param {() => Promise<void>} stop
   */
  constructor(socket, stop) {
    this.socket = socket;
    this.stop = stop;
    /** @type {Map<number, { done: (value: any) => void, failed: (error: Error) => void }>} */
    this.waiting = new Map();
    this.lastId = 0;
    /** @type {Buffer} */
    let received = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      received = this.take(Buffer.concat([received, chunk]));
    });
  }

  /**
   * Takes the whole messages from the front and gives back the rest.
   * @param {Buffer} received
   * @returns {Buffer}
   */
  take(received) {
    const colon = received.indexOf(":");
    const length = Number(received.subarray(0, colon));
    const end = colon + 1 + length;
    if (colon < 0 || received.length < end) return received;
    const message = JSON.parse(received.subarray(colon + 1, end).toString());
    if (Array.isArray(message)) {
      const [, id, error, result] = message;
      const waiting = this.waiting.get(id);
      this.waiting.delete(id);
      if (error) waiting?.failed(new Error(`${error.error}: ${error.message}`));
      else waiting?.done(result);
    }
    return this.take(received.subarray(end));
  }

  /**
   * @param {string} command
   * @param {object} parameters
   * @returns {Promise<any>}
   */
  send(command, parameters = {}) {
    const id = ++this.lastId;
    const message = JSON.stringify([0, id, command, parameters]);
    this.socket.write(`${Buffer.byteLength(message)}:${message}`);
    return new Promise((done, failed) => this.waiting.set(id, { done, failed }));
  }

  /** An authenticator that says yes at once. */
  addAuthenticator() {
    return this.send("WebAuthn:AddVirtualAuthenticator", {
      protocol: "ctap2_1",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserConsenting: true,
      isUserVerified: true,
    });
  }

  /** @param {string} url */
  goto(url) {
    return this.send("WebDriver:Navigate", { url });
  }

  /**
   * The element with this text or label, scrolled into sight.
   * @param {string} xpath
   * @returns {Promise<string>} its id for other commands
   */
  async find(xpath) {
    await this.send("WebDriver:SetTimeouts", { implicit: 20_000 });
    const { value } = await this.send("WebDriver:FindElement", { using: "xpath", value: xpath });
    return /** @type {string} */ (Object.values(value)[0]);
  }

  /**
   * Presses the button of this name.
   * @param {string} name
   */
  async press(name) {
    const id = await this.find(`//button[normalize-space()="${name}"]`);
    await this.send("WebDriver:ElementClick", { id });
  }

  /**
   * Types into the field of this label.
   * @param {string} label
   * @param {string} text
   */
  async type(label, text) {
    const id = await this.find(`//input[@id=//label[normalize-space()="${label}"]/@for]`);
    await this.send("WebDriver:ElementSendKeys", { id, text });
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
    const { value: outcome } = await this.send("WebDriver:ExecuteAsyncScript", { script, args });
    if (outcome.error) throw new Error(outcome.error);
    return outcome.value;
  }
}

/**
 * Firefox writes the port into its profile when it listens.
 * @param {string} profile
 */
async function portOf(profile) {
  for (const deadline = Date.now() + PATIENCE; Date.now() < deadline; ) {
    const port = Number(
      await readFile(join(profile, "MarionetteActivePort"), "utf8").catch(() => ""),
    );
    if (port) return port;
    await new Promise((later) => setTimeout(later, 20));
  }
  throw new Error("Firefox did not say where Marionette listens");
}
