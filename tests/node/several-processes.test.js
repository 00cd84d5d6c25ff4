// An API in several processes: clients that know nothing of them pass, and repeat a request at most once.
//
// The API is examples/fastapi, which needs the Python environment that `scripts/test` makes; without it these are skipped.
// COUNTERSIGN_REQUESTS is how many requests each client sends.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as jose from "jose";

import { newAccount } from "./support/account.js";
import { call, logIn, session } from "./support/oauth.js";
import { cleanEnvironment, startServer } from "./support/server.js";

const REQUESTS = Number(process.env.COUNTERSIGN_REQUESTS ?? 200);
const LAYOUTS = ["uvicorn", "gunicorn", "nginx"];
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const python = process.env.COUNTERSIGN_PYTHON ?? here("../../.venv/bin/python");
const skip = existsSync(python) ? false : `there is no ${python}`;

const origins = {};
let server;
before(async () => {
  if (skip) return;
  for (const layout of LAYOUTS) origins[layout] = await freeOrigin();
  server = await startServer(...Object.values(origins).flatMap((origin) => ["--resource", origin]));
});
after(() => server?.stop());

/** An origin on this machine where nobody listens now. */
async function freeOrigin() {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  listener.close();
  return `http://127.0.0.1:${port}`;
}

/** Starts the API, runs `work` and ends it. */
async function withApi(layout, work) {
  const words = ["-m", "support.workers", layout, server.origin, origins[layout]];
  const stdio = ["pipe", "pipe", "inherit"];
  const api = spawn(python, words, { cwd: here("../python"), env: cleanEnvironment(), stdio });
  const ended = once(api, "exit");
  try {
    const [said] = await Promise.race([once(api.stdout, "data"), ended]);
    assert.equal(String(said).trim(), "ready");
    await work(origins[layout]);
  } finally {
    api.stdin.end();
    await ended;
  }
}

/** Sends `REQUESTS` requests, eight at a time. */
async function many(send) {
  const statuses = [];
  while (statuses.length < REQUESTS) statuses.push(...(await Promise.all(Array.from({ length: 8 }, send))));
  assert.deepEqual(new Set(statuses), new Set([200]));
}

for (const layout of LAYOUTS) {
  test(`oauth4webapi passes: ${layout}`, { skip }, () =>
    withApi(layout, async (origin) => {
      const mine = await session(server, await newAccount(server));
      const { access_token: token } = await logIn(mine, origin);
      const there = { ...mine, server: { origin } };
      await many(async () => (await call(there, token, "GET", "/items")).status);
    }));

  test(`@atproto/oauth-client passes: ${layout}`, { skip }, () =>
    withApi(layout, async (origin) => {
      // The package exports whole sessions only; this is the part of them that makes proofs.
      const { dpopFetchWrapper } = await import(here("node_modules/@atproto/oauth-client/dist/fetch-dpop.js"));
      const mine = await session(server, await newAccount(server));
      const { access_token: token } = await logIn(mine, origin);
      const { alg, jwk, privateKey } = mine.account.key;
      const createJwt = (header, payload) => new jose.SignJWT(payload).setProtectedHeader(header).sign(privateKey);
      const fetch = dpopFetchWrapper({
        key: { algorithms: [alg], bareJwk: jwk, createJwt },
        nonces: new Map(),
        isAuthServer: false,
      });
      const headers = { authorization: `DPoP ${token}` };
      await many(async () => (await fetch(`${origin}/items`, { headers })).status);
    }));
}
