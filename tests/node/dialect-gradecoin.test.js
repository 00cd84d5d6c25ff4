// The gradecoin dialect with node:crypto: publicEncrypt with OAEP, AES-128-CBC, RS256.
import assert from "node:assert/strict";
import {
  constants,
  createCipheriv,
  createHash,
  createPublicKey,
  generateKeyPairSync,
  publicEncrypt,
  randomBytes,
  sign,
} from "node:crypto";
import { after, before, test } from "node:test";

import { startServer } from "./support/server.js";

let server;
let serverKey;
let students = 0;
before(async () => {
  server = await startServer();
  serverKey = createPublicKey(await (await fetch(`${server.origin}/gradecoin.pub`)).text());
});
after(() => server?.stop());

/** Somebody who was invited. */
async function newStudent() {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const id = `e${100000 + ++students}`;
  const passwd = (await server.admin("invite", id, "--one-time-password")).trim();
  const pem = publicKey.export({ type: "spki", format: "pem" });
  return { id, passwd, pem, privateKey, fingerprint: createHash("sha256").update(pem).digest("hex") };
}

function seal(text, { key = randomBytes(16), oaepHash = "sha256" } = {}) {
  const iv = randomBytes(16);
  const cipher = createCipheriv("aes-128-cbc", key.subarray(0, 16), iv);
  const c = Buffer.concat([cipher.update(text), cipher.final()]);
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  const sealed = publicEncrypt({ key: serverKey, padding, oaepHash }, key);
  return { c: c.toString("base64"), iv: iv.toString("base64"), key: sealed.toString("base64") };
}

async function register(student, options) {
  const text = JSON.stringify({ student_id: student.id, passwd: student.passwd, public_key: student.pem });
  return post("/register", JSON.stringify(seal(text, options)));
}

const post = (path, body, headers = {}) =>
  fetch(server.origin + path, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body });

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A request whose JWT vouches for `signedBody`. */
function call(student, body, signedBody = body) {
  const now = Math.floor(Date.now() / 1000);
  const tha = createHash("sha256").update(signedBody).digest("hex");
  const input = `${encode({ alg: "RS256", typ: "JWT" })}.${encode({ tha, iat: now, exp: now + 60 })}`;
  const jwt = `${input}.${sign("sha256", Buffer.from(input), student.privateKey).toString("base64url")}`;
  return post("/v1/whoami", body, { Authorization: `Bearer ${jwt}` });
}

test("whoever was invited registers and signs requests", async () => {
  const student = await newStudent();
  const response = await register(student);
  assert.equal(response.status, 201);
  const { res, message } = await response.json();
  assert.equal(res, "Success");
  assert.ok(message.endsWith(student.fingerprint));

  const body = JSON.stringify({ source: student.fingerprint, target: "somebody", amount: 2 });
  const accepted = await call(student, body);
  assert.equal(accepted.status, 200);
  assert.equal((await accepted.json()).username, student.id);
  assert.equal((await call(student, body.replace("2", "3"), body)).status, 401);
});

test("every failure to open has the answer of a wrong password", async () => {
  const student = await newStudent();
  const wrong = await register({ ...student, passwd: "not the password" });
  assert.equal(wrong.status, 400);
  const refusal = await wrong.text();
  assert.equal(JSON.parse(refusal).res, "Error");
  for (const options of [{ oaepHash: "sha1" }, { key: randomBytes(32) }]) {
    const response = await register(student, options);
    assert.equal(response.status, 400);
    assert.equal(await response.text(), refusal);
  }
  for (const text of ["", "{", "[]", '{"student_id":"a"}']) {
    assert.equal(await (await post("/register", JSON.stringify(seal(text)))).text(), refusal);
  }
  assert.equal((await register(student)).status, 201);
});

test("a password works once", async () => {
  const student = await newStudent();
  const { pem } = await newStudent();
  const answers = [await register(student), await register(student), await register({ ...student, pem })];
  assert.deepEqual(answers.map((answer) => answer.status), [201, 400, 400]);
});
