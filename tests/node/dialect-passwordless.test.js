// The passwordless dialect with node:crypto: privateEncrypt and publicDecrypt are the raw form.
import assert from "node:assert/strict";
import { constants, createPublicKey, generateKeyPairSync, privateEncrypt, publicDecrypt, sign } from "node:crypto";
import { after, before, test } from "node:test";

import { startServer } from "./support/server.js";

const padding = constants.RSA_PKCS1_PADDING;
let server;
let users = 0;
before(async () => {
  server = await startServer();
});
after(() => server?.stop());

const send = (path, body) =>
  fetch(server.origin + path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

/** A registered user with a key of that kind. */
async function newUser(kind = "rsa", options = { modulusLength: 2048 }) {
  const { publicKey, privateKey } = generateKeyPairSync(kind, options);
  const spki = publicKey.export({ type: "spki", format: "der" }).toString("base64");
  const response = await send("/register", { username: `node-${process.pid}-${++users}`, clientSidePublicKey: spki });
  assert.equal(response.status, 200);
  const { serverSidePublicKey, id } = await response.json();
  const serverKey = createPublicKey({ key: Buffer.from(serverSidePublicKey, "base64"), type: "spki", format: "der" });
  return { id, privateKey, serverKey };
}

async function number(user) {
  const response = await fetch(`${server.origin}/challenge/${user.id}`);
  assert.equal(response.status, 200);
  const { challenge } = await response.json();
  return publicDecrypt({ key: user.serverKey, padding }, Buffer.from(challenge, "base64"));
}

const propose = (user, digits) => privateEncrypt({ key: user.privateKey, padding }, digits);
const authenticate = (user, proposal) =>
  send(`/authenticate/${user.id}`, { proposal: proposal.toString("base64") });

test("both sides prove themselves", async () => {
  const user = await newUser();
  const digits = await number(user);
  assert.match(digits.toString(), /^[1-9][0-9]{38,}$/);
  const response = await authenticate(user, propose(user, digits));
  assert.equal(response.status, 200);
  const { jwtToken } = await response.json();
  const claims = JSON.parse(Buffer.from(jwtToken.split(".")[1], "base64url"));
  assert.equal(claims.sub, user.id);
  assert.equal(claims.exp - claims.iat, 900);
});

test("a number works once", async () => {
  const user = await newUser();
  const proposal = propose(user, await number(user));
  const statuses = await Promise.all(Array.from({ length: 20 }, async () => (await authenticate(user, proposal)).status));
  assert.deepEqual(statuses.sort(), [200, ...Array(19).fill(401)]);
});

test("another user's key and another user's number are refused", async () => {
  const [alice, mallory] = [await newUser(), await newUser()];
  const digits = await number(alice);
  assert.equal((await authenticate(alice, propose(mallory, digits))).status, 401);
  assert.equal((await authenticate(mallory, propose(mallory, digits))).status, 401);
  assert.equal((await authenticate(alice, propose(alice, digits))).status, 200);
});

test("an impostor's challenge does not open", async () => {
  const [alice, bob] = [await newUser(), await newUser()];
  await assert.rejects(number({ ...alice, serverKey: bob.serverKey }));
});

for (const [kind, options, algorithm, extra] of [
  ["rsa", { modulusLength: 2048 }, "sha256", {}],
  ["rsa", { modulusLength: 2048 }, "sha256", { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }],
  ["ec", { namedCurve: "P-256" }, "sha256", { dsaEncoding: "ieee-p1363" }],
  ["ed25519", {}, null, {}],
]) {
  test(`a proposal may be a signature: ${kind} ${JSON.stringify(extra)}`, async () => {
    const user = await newUser(kind, options);
    const signature = sign(algorithm, await number(user), { key: user.privateKey, ...extra });
    assert.equal((await authenticate(user, signature)).status, 200);
    assert.equal((await authenticate(user, signature)).status, 401);
  });
}

test("a logout ends the token", async () => {
  const user = await newUser();
  const { jwtToken } = await (await authenticate(user, propose(user, await number(user)))).json();
  const response = await fetch(`${server.origin}/logout`, {
    method: "POST",
    headers: { Authorization: `Bearer ${jwtToken}` },
  });
  assert.equal(response.status, 200);
});
