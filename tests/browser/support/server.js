// The real binary as a process, under the name that passkeys need: `localhost` is a domain, an IP address is none.
import { execFile, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** Milliseconds until a start or a command has failed; a debug build on a busy machine is slow. */
const PATIENCE = 60_000;

/** Where `cargo build` puts the binaries. */
const built = fileURLToPath(new URL("../../../target/debug/", import.meta.url));
export const binary = resolve(process.env.COUNTERSIGN_BIN ?? join(built, "countersign"));
const exampleApi = resolve(
  process.env.COUNTERSIGN_EXAMPLE_AXUM ?? join(binary, "../countersign-example-axum"),
);

/**
 * The caller's environment without a setting of Countersign, but for the one that gives the binary
 * other files of the app.
 * @param {Record<string, string>} settings
 */
function environment(settings = {}) {
  const kept = Object.entries(process.env).filter(
    ([name]) => name === "COUNTERSIGN_WEB_DIRECTORY" || !/^(COUNTERSIGN_|NOT_MY_KEY$)/.test(name),
  );
  return { ...Object.fromEntries(kept), ...settings };
}

/**
 * A port where nobody listens now, and that no outgoing connection gets before somebody does: it lies
 * below the range that systems take those from.
 */
export async function freePort() {
  for (;;) {
    const port = randomInt(10_000, 32_768);
    const listener = createServer();
    const outcome = await new Promise((done) => {
      listener.once("error", done);
      listener.listen(port, "127.0.0.1", () => listener.close(done));
    });
    if (outcome === undefined) return port;
  }
}

/**
 * Starts a process and waits until it prints `text`.
 * @param {string} command
 * @param {string[]} words
 * @param {import("node:child_process").SpawnOptionsWithoutStdio} options
 * @param {string} text
 */
export async function startProcess(command, words, options, text) {
  const child = spawn(command, words, options);
  const ended = new Promise((done) => child.once("close", done));
  let output = "";
  await new Promise((ready, failed) => {
    const giveUp = (/** @type {string} */ why) => {
      clearTimeout(timer);
      failed(new Error(`${command} ${why}:\n${output}`));
    };
    const timer = setTimeout(() => giveUp(`did not say "${text}" in time`), PATIENCE);
    const read = (/** @type {Buffer} */ chunk) => {
      output += chunk;
      if (output.includes(text)) {
        clearTimeout(timer);
        ready(undefined);
      }
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.once("error", (error) => giveUp(String(error)));
    child.once("close", () => giveUp("ended"));
  });
  return {
    output: () => output,
    pid: /** @type {number} */ (child.pid),
    async stop() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

/** `countersign serve` on a free port over a data directory of its own. */
export class Server {
  /**
   * @param {string} directory
   * @param {number} port
   * @param {{ issuer?: string, options: string[], settings: Record<string, string> }} how
   */
  constructor(directory, port, { issuer, options, settings }) {
    this.directory = directory;
    this.port = port;
    this.origin = issuer ?? `http://localhost:${port}`;
    this.options = options;
    /** @type {Record<string, string>} */
    this.settings = { COUNTERSIGN_RATE_LIMITS: "off", ...settings };
  }

  async start() {
    const words = [
      "serve",
      "--listen",
      `127.0.0.1:${this.port}`,
      "--issuer",
      this.origin,
      "--data-dir",
      this.directory,
    ];
    const options = { cwd: this.directory, env: environment(this.settings) };
    this.process = await startProcess(binary, [...words, ...this.options], options, "listening on");
    return this;
  }

  /** Everything that the server has printed since its last start. */
  get output() {
    return this.process?.output() ?? "";
  }

  /** The same server after a restart, over the same data. */
  async restart() {
    await this.process?.stop();
    return this.start();
  }

  /**
   * Runs `countersign admin` beside the running server.
   * @param {...string} words
   */
  admin(...words) {
    return this.cli(["admin", ...words, "--data-dir", this.directory]);
  }

  /**
   * Runs the command line.
   * @param {string[]} words
   * @param {Record<string, string>} settings
   * @returns {Promise<string>} what it prints
   */
  cli(words, settings = {}) {
    const options = { cwd: this.directory, env: environment(settings), timeout: PATIENCE };
    return new Promise((done, failed) => {
      const child = execFile(binary, words, options, (error, stdout, stderr) =>
        error
          ? failed(new Error(`countersign ${words.join(" ")}: ${stderr || error.message}`))
          : done(stdout),
      );
      child.stdin?.end();
    });
  }

  /** The resident memory of the server, in bytes. */
  async memory() {
    const { readFile } = await import("node:fs/promises");
    const status = await readFile(`/proc/${this.process?.pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
  }

  async stop() {
    await this.process?.stop();
    await rm(this.directory, { recursive: true });
  }
}

/**
 * @param {{ port?: number, issuer?: string, options?: string[], settings?: Record<string, string> }} how
 *   clients know it by `issuer`: a proxy may listen there
 */
export async function startServer({ port, issuer, options = [], settings = {} } = {}) {
  const directory = await mkdtemp(join(tmpdir(), "countersign-browser-"));
  const server = new Server(directory, port ?? (await freePort()), { issuer, options, settings });
  return server.start();
}

/**
 * `examples/axum`: an API in a process of its own, which follows the server's revocations.
 * @param {Server} server started with `--resource` and this origin
 * @param {string} origin
 */
export async function startApi(server, origin) {
  const settings = { ISSUER: server.origin, ORIGIN: origin, LISTEN: new URL(origin).host };
  return startProcess(exampleApi, [], { env: environment(settings) }, "listening on");
}
