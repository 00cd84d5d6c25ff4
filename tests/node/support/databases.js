// What the servers of the tests work on.
//
// Usually that is a file in the data directory. With COUNTERSIGN_TEST_DATABASE=postgres each server has a database of its own, at the
// PostgreSQL server in COUNTERSIGN_TEST_POSTGRES, which scripts/with-postgres starts.
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);
const kind = process.env.COUNTERSIGN_TEST_DATABASE ?? "sqlite";
let count = 0;

/** The settings that name a new, empty database; none for a file, which the server makes at its first start. */
export async function newDatabase() {
  if (kind === "sqlite") return {};
  if (kind !== "postgres") throw new Error(`COUNTERSIGN_TEST_DATABASE is sqlite or postgres, not ${kind}`);
  const server = process.env.COUNTERSIGN_TEST_POSTGRES;
  const name = `node_${process.pid}_${++count}`;
  await run("psql", ["--no-psqlrc", "--quiet", "--dbname", server, "--command", `CREATE DATABASE ${name}`]);
  return { COUNTERSIGN_DATABASE_URL: new URL(name, server).href };
}
