// The real binary as a process.
import { spawn, execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { newDatabase } from "./databases.js";

/** Milliseconds until a start has failed; a debug build on a busy machine is slow. */
const PATIENCE = 60_000;

/** The caller's environment without a setting of Countersign. */
export function cleanEnvironment(settings = {}) {
  const kept = Object.entries(process.env).filter(([name]) => !/^(COUNTERSIGN_|NOT_MY_KEY$)/.test(name));
  return { ...Object.fromEntries(kept), ...settings };
}

/** Where `cargo build --bin countersign` puts the binary. */
const built = fileURLToPath(new URL("../../../target/debug/countersign", import.meta.url));
const binary = resolve(process.env.COUNTERSIGN_BIN ?? built);
const run = promisify(execFile);

/** `countersign serve` with these options, on a port that the system chooses, in a temporary directory. */
export async function startServer(...options) {
  const directory = await mkdtemp(join(tmpdir(), "countersign-"));
  const database = await newDatabase();
  const admin = async (...words) => {
    const { stdout } = await run(binary, ["admin", ...words, "--data-dir", directory], { env: cleanEnvironment(database) });
    return stdout;
  };
  if (database.COUNTERSIGN_DATABASE_URL) await admin("init");
  const child = spawn(binary, ["serve", "--listen", "127.0.0.1:0", "--data-dir", directory, ...options], {
    cwd: directory,
    env: cleanEnvironment({ COUNTERSIGN_RATE_LIMITS: "off", ...database }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise((done) => child.once("close", done));
  const origin = await announcedOrigin(child);
  return {
    origin,
    admin,
    async stop() {
      child.kill("SIGTERM");
      await ended;
      await rm(directory, { recursive: true });
    },
  };
}

/** The origin that the server prints when it listens. */
function announcedOrigin(child) {
  return new Promise((found, failed) => {
    let output = "";
    const giveUp = (why) => failed(new Error(`${why}:\n${output}`));
    const timer = setTimeout(giveUp, PATIENCE, "the server did not say in time where it listens");
    const read = (chunk) => {
      output += chunk;
      const match = output.match(/(http:\/\/127\.0\.0\.1:[1-9]\d*)\D/);
      if (match) {
        clearTimeout(timer);
        found(match[1]);
      }
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.once("close", () => giveUp("the server ended"));
  });
}
