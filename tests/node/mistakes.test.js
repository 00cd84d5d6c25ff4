// The same mistakes at Countersign and at node oidc-provider. docs/mistakes.md has what each answers, and why they differ
// where they do. COUNTERSIGN_WRITE_MISTAKES=1 writes what was observed into the table, and keeps the reasons.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { MISTAKES } from "./support/mistakes.js";

const DOCUMENT = new URL("../../docs/mistakes.md", import.meta.url);

const skip = Number(process.versions.node.split(".")[0]) < 20 ? "oidc-provider needs Node 20" : false;

let peers;
before(async () => {
  if (skip) return;
  const { startCountersign, startOidcProvider } = await import("./support/peers.js");
  peers = [await startCountersign(), await startOidcProvider()];
});
after(async () => {
  for (const peer of peers ?? []) await peer.stop();
});

/** Status and error code; of an introspection also whether the token is active. */
function outcome({ status, headers, text }) {
  const body = headers["content-type"]?.includes("json") ? JSON.parse(text) : {};
  const challenge = /error="([^"]*)"/.exec(headers["www-authenticate"] ?? "");
  const error = status === 200 ? body.active === false && "inactive" : (body.error ?? challenge?.[1]);
  return error ? `${status} ${error}` : String(status);
}

/** The rows of the table: place, mistake, the two outcomes, reason. */
function rows() {
  const lines = readFileSync(DOCUMENT, "utf8").split("\n").filter((line) => /^\| (?!place|--)/.test(line));
  return lines.map((line) => line.slice(1, -1).split("|").map((cell) => cell.trim()));
}

const expected = new Map(rows().map(([place, mistake, ...rest]) => [`${place}: ${mistake}`, rest]));
const observed = [];

for (const [door, mistakes] of Object.entries(MISTAKES)) {
  for (const [name, mistake] of mistakes) {
    test(`${door}: ${name}`, { skip }, async () => {
      const [ours, theirs] = [outcome(await peers[0].ask(door, mistake)), outcome(await peers[1].ask(door, mistake))];
      const row = expected.get(`${door}: ${name}`);
      observed.push([door, name, ours, theirs, row?.[2] ?? ""]);
      if (process.env.COUNTERSIGN_WRITE_MISTAKES) return;
      assert.ok(row, "docs/mistakes.md has no such row");
      assert.deepEqual({ ours, theirs }, { ours: row[0], theirs: row[1] });
      if (ours === theirs) assert.equal(row[2], "", "there is nothing to explain");
      else assert.ok(row[2].length > 10, "the difference has no reason");
    });
  }
}

test("each row of docs/mistakes.md is a mistake that is tried", () => {
  if (process.env.COUNTERSIGN_WRITE_MISTAKES) {
    const [head] = readFileSync(DOCUMENT, "utf8").split("\n| place |");
    const table = [["place", "mistake", "Countersign", "oidc-provider", "why they differ"], Array(5).fill("---"), ...observed];
    writeFileSync(DOCUMENT, `${head}\n${table.map((row) => `| ${row.join(" | ")} |`).join("\n")}\n`);
    return;
  }
  const tried = Object.entries(MISTAKES).flatMap(([door, mistakes]) => mistakes.map(([name]) => `${door}: ${name}`));
  assert.deepEqual([...expected.keys()].sort(), tried.sort());
  assert.ok(tried.length >= 80);
});

test("what is no mistake is accepted by both", { skip }, async () => {
  for (const peer of peers) {
    for (const door of Object.keys(MISTAKES)) {
      const answer = await peer.ask(door, () => {});
      assert.equal(answer.status, 200, `${door}: ${answer.text}`);
      // A revoked token is replaced, so that the order of the tests does not matter.
      if (door === "revocation") await peer.prepare();
    }
  }
});
