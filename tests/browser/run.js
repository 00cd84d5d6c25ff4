// Runs the test files named, or all of them, three at a time: they wait for browsers more than they compute.
import { readdirSync } from "node:fs";
import { run } from "node:test";
import { tap } from "node:test/reporters";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const all = readdirSync(here).filter((name) => name.endsWith(".test.js"));
// What takes longest, the last of these, begins first.
const slow = [
  "policy.test.js",
  "keyring.test.js",
  "online-keyring.test.js",
  "journey.test.js",
  "languages.test.js",
  "appearance.test.js",
];
all.sort((a, b) => slow.indexOf(b) - slow.indexOf(a));
const named = process.argv.slice(2);
const files = named.length > 0 ? named : all.map((name) => here + name);

/** @type {any} */
const tests = run({ files, concurrency: 3 });
tests.on("test:fail", () => {
  process.exitCode = 1;
});
tests.compose(tap).pipe(process.stdout);
