// The libraries in web/vendor are what npm has under the same name and version, byte for byte: `npm ci` has held the
// packages against the integrity in package-lock.json. Nothing of our own does what the policy forbids.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
const VENDOR = here("../../web/vendor");

/**
 * @param {string} directory
 * @returns {string[]}
 */
function filesBelow(directory) {
  return readdirSync(directory).flatMap((name) => {
    const path = join(directory, name);
    return statSync(path).isDirectory() ? filesBelow(path) : [path];
  });
}

const digest = (/** @type {string} */ file) =>
  createHash("sha256").update(readFileSync(file)).digest("hex");

test("every vendored file is npm's, of the version that its folder names, with its licence", () => {
  const { devDependencies } = JSON.parse(readFileSync(here("package.json"), "utf8"));
  const { packages } = JSON.parse(readFileSync(here("package-lock.json"), "utf8"));
  const folders = readdirSync(VENDOR);
  assert.ok(folders.length > 0);
  for (const folder of folders) {
    const [, name, version] = /^(.+)-(\d+\.\d+\.\d+)$/.exec(folder) ?? [];
    // `@scope/name` is the folder `scope-name`.
    const folderOf = (/** @type {string} */ key) => key.replace("@", "").replace("/", "-");
    const wanted = Object.keys(devDependencies).find((key) => folderOf(key) === name);
    assert.ok(wanted, `package.json has no ${name}`);
    assert.equal(devDependencies[wanted], version, folder);
    assert.match(packages[`node_modules/${wanted}`].integrity, /^sha512-/);
    const published = new Set(filesBelow(here(`node_modules/${wanted}`)).map(digest));
    const files = filesBelow(join(VENDOR, folder));
    for (const file of files) assert.ok(published.has(digest(file)), `${file} is not npm's`);
    assert.ok(
      files.some((file) => /licen[cs]e/i.test(file)),
      `${folder} has no licence`,
    );
  }
});

/** What no file of ours has: sinks of markup and script, and storage that a thief could read. */
const FORBIDDEN =
  /\b(innerHTML|outerHTML|insertAdjacentHTML|localStorage|sessionStorage|serviceWorker|new Function)\b|\bdocument\.(write|cookie)\b|\beval\(/;

test("no module of ours has a sink for markup, or stores anything outside of IndexedDB", () => {
  const folders = ["js", "lang", "workers"].map((name) => here(`../../web/${name}`));
  const files = folders.filter(existsSync).flatMap(filesBelow);
  assert.ok(files.length > 10);
  for (const file of files) assert.doesNotMatch(readFileSync(file, "utf8"), FORBIDDEN, file);
});

/** Where a module could take the time of this computer. `new Date(seconds * 1000)` is a time that somebody gave. */
const TIME = /\bDate\.now\b|\bDate\(\s*\)|\bDate\b(?![.(])|\btimeOrigin\b/;

test("no module but one asks this computer for the time", () => {
  const folders = ["js", "workers"].map((name) => here(`../../web/${name}`));
  const files = folders.flatMap(filesBelow);
  const asking = files.filter((file) => TIME.test(readFileSync(file, "utf8")));
  assert.deepEqual(asking, [here("../../web/js/lib/store.js")]);
});

test("every language has the same texts with the same values", async () => {
  // Whole languages, and the parts of them that only some pages need.
  const root = here("../../web/lang");
  const files = readdirSync(root, { recursive: true }).map(String);
  const english = files.filter((name) => /^en[./]/.test(name) && name.endsWith(".js"));
  const tags = files.filter((name) => /^[\w-]+\.js$/.test(name)).map((name) => name.slice(0, -3));
  const read = async (/** @type {string} */ name) => (await import(join(root, name))).default;
  const values = (/** @type {string} */ text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
  assert.ok(english.length > 1 && tags.length > 1);
  for (const [tag, file] of tags.flatMap((tag) => english.map((file) => [tag, file]))) {
    const name = String(file).replace(/^en/, String(tag));
    const [expected, texts] = [await read(String(file)), await read(name)];
    assert.deepEqual(Object.keys(texts).sort(), Object.keys(expected).sort(), name);
    for (const key of Object.keys(expected)) {
      assert.deepEqual(values(texts[key]), values(expected[key]), `${name}: ${key}`);
    }
  }
});
