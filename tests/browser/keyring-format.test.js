// Keyrings as the pages read and write them, against files of other programs: no browser is needed for it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createPrivateKey, generateKeyPairSync, privateEncrypt, verify } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { KeyringError } from "../../web/js/lib/keyring/error.js";
import { Keyring } from "../../web/js/lib/keyring/keyring.js";
import { decodeRecords, encodeRecords } from "../../web/js/lib/keyring/records.js";
import { parseJson } from "../../web/js/lib/keyring/strict-json.js";
import { ServerUnproven, VerifiedNumber } from "../../web/js/lib/mutual.js";

const web = new URL("../../web/", import.meta.url);
const binary =
  process.env.COUNTERSIGN_BIN ??
  fileURLToPath(new URL("../../target/debug/countersign", import.meta.url));

const PASSPHRASE = "correct horse é";
const URL_OF_SERVER = "https://auth.example";
const NOW = 2_000_000_000;
/** Written by Python, with t = 2, m = 8 MiB, p = 2. */
const python = readFile(
  new URL("../../crates/client/src/keyring/tests/python.keyring", import.meta.url),
);

/** The vendored function; `argon2.js` around it fetches the same module in a worker. */
async function derive(
  /** @type {Uint8Array} */ password,
  /** @type {import("../../web/js/lib/keyring/envelope.js").Derivation} */ { t, m_kib, p, salt },
) {
  const { default: argon2id } = await import(
    new URL("vendor/argon2id-1.0.1/lib/argon2id.js", web).href
  );
  const memory = new WebAssembly.Memory({ initial: 1040, maximum: 65536 });
  const wasm = await readFile(new URL("vendor/argon2id-1.0.1/dist/simd.wasm", web));
  const { instance } = await WebAssembly.instantiate(new Uint8Array(wasm), { env: { memory } });
  const bytes = argon2id(
    { password, salt, parallelism: p, passes: t, memorySize: m_kib, tagLength: 32 },
    { memory, instance },
  );
  return crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]);
}

const passphrase = (text = PASSPHRASE) => new TextEncoder().encode(text);
const open = (/** @type {Uint8Array} */ file, text = PASSPHRASE) =>
  Keyring.open(file, passphrase(text), derive);

/**
 * @param {string} code
 * @param {Record<string, string | number>} [values]
 */
const refusal =
  (code, values = {}) =>
  (/** @type {unknown} */ error) => {
    assert.ok(error instanceof KeyringError, String(error));
    assert.deepEqual({ code: error.code, values: error.values }, { code, values });
    return true;
  };

/** A home with a keyring of the command line. */
async function home(/** @type {import("node:test").TestContext} */ t) {
  const directory = await mkdtemp(join(tmpdir(), "countersign-keyring-"));
  t.after(() => rm(directory, { recursive: true }));
  const path = join(directory, "keyring.json");
  const env = {
    ...process.env,
    HOME: directory,
    COUNTERSIGN_PASSPHRASE: PASSPHRASE,
    COUNTERSIGN_SERVER: URL_OF_SERVER,
  };
  const run = async (/** @type {string[]} */ ...words) => {
    const { stdout } = await promisify(execFile)(binary, ["keyring", ...words, "--keyring", path], {
      env,
      cwd: directory,
    });
    return stdout;
  };
  return { path, directory, run };
}

/** @param {"ed25519" | "P-256" | "P-384" | "rsa"} kind */
function pem(kind) {
  const pair =
    kind === "rsa"
      ? generateKeyPairSync("rsa", { modulusLength: 2048 })
      : kind === "ed25519"
        ? generateKeyPairSync("ed25519")
        : generateKeyPairSync("ec", { namedCurve: kind });
  return String(pair.privateKey.export({ type: "pkcs8", format: "pem" }));
}

test("a keyring that Python wrote opens, and its entries are read", async () => {
  const keyring = await open(await python);
  const views = await keyring.views();
  assert.ok(views.length > 0);
  for (const view of views) assert.ok(view.key, view.name);
});

test("entries are written as the command line writes them, byte for byte", async (t) => {
  const { path, directory, run } = await home(t);
  const kinds = /** @type {const} */ (["ed25519", "P-256", "P-384", "rsa"]);
  for (const kind of kinds) {
    await writeFile(join(directory, "key.pem"), pem(kind), { mode: 0o600 });
    await run("import", `Gerät "${kind}" \\`, "key.pem", "--username", "toto");
  }
  const file = await readFile(path);
  const keyring = await open(file);
  const views = await keyring.views();
  assert.deepEqual(
    views.map(({ key }) => key?.type),
    ["Ed25519", "P-256", "P-384", "RSA"],
  );
  const listed = JSON.parse(await run("list", "--json")).entries;
  assert.deepEqual(
    views.map(({ key }) => key?.thumbprint),
    listed.map((/** @type {any} */ { thumbprint }) => thumbprint),
  );
  // The same salt and cost, another nonce, the same content: the same length and the same beginning.
  const sealed = await keyring.seal();
  const head = (/** @type {Uint8Array} */ bytes) => String(Buffer.from(bytes)).split('"nonce"')[0];
  assert.equal(head(sealed), head(file));
  assert.equal(sealed.length, file.length);
  await writeFile(path, sealed);
  assert.equal(
    await run("list", "--json"),
    JSON.stringify({ entries: listed }, null, 2).concat("\n"),
  );
});

test("records with every member keep their bytes", () => {
  const text =
    '[{"name":"a","url":"https://a.example","username":"t\\u0007o\\"\\\\é😀\u2028","accountId":"1","clientSidePrivateKey":"AA==",' +
    '"clientSidePublicKey":"AA==","serverSidePublicKey":"AA==","password":"p","jwtToken":"a.b.c","jwtTokenExpiresAt":5,' +
    '"dpopNonces":[{"origin":"https://a.example","nonce":"n"}],"askedScope":"read","resourceTokens":[{"resource":"https://b.example",' +
    '"jwtToken":"d","jwtTokenExpiresAt":6,"dpopNonces":[{"origin":"o","nonce":"m"}],"askedScope":"x"}],"createdAt":7}]';
  assert.equal(String(Buffer.from(encodeRecords(decodeRecords(Buffer.from(text))))), text);
});

test("a keyring made here is read by the command line, and its keys sign", async (t) => {
  const { path, directory, run } = await home(t);
  const keyring = await Keyring.create(passphrase(), derive);
  const entry = { url: URL_OF_SERVER, username: "toto", now: NOW };
  const types = /** @type {const} */ (["Ed25519", "P-256", "P-384", "RSA"]);
  for (const type of types) await keyring.addGenerated({ ...entry, name: type, type });
  const pasted = { ed: pem("ed25519"), ec: pem("P-256"), rsa: pem("rsa") };
  for (const [name, text] of Object.entries(pasted))
    await keyring.addPasted({ ...entry, name, text });
  await writeFile(path, await keyring.seal());
  for (const { name, key } of await keyring.views()) {
    const shown = JSON.parse(await run("show", name, "--json"));
    assert.equal(shown.thumbprint, key?.thumbprint);
    assert.equal(
      await keyring.reveal({ name, what: "private-key" }),
      await run("export", name, "--reveal-private-key"),
    );
    const { privateKey } = await keyring.use({ name });
    assert.equal(privateKey.extractable, false);
  }
  assert.equal(await run("export", "rsa", "--reveal-private-key"), pasted.rsa);
  await keyring.rename({ from: "rsa", to: "RSA alt" });
  await keyring.remove({ name: "ec" });
  await keyring.changePassphrase(passphrase("another one"), derive);
  await writeFile(path, await keyring.seal());
  await assert.rejects(run("list"), /wrong passphrase or damaged file/);
  await writeFile(join(directory, "passphrase"), "another one", { mode: 0o600 });
  const listed = JSON.parse(await run("list", "--json", "--passphrase-file", "passphrase")).entries;
  const names = (await keyring.views()).map(({ name }) => name);
  assert.deepEqual(
    listed.map((/** @type {any} */ { name }) => name),
    names,
  );
});

test("a wrong passphrase and damage have names of their own", async () => {
  const good = await python;
  await assert.rejects(open(good, "wrong passphrase"), refusal("wrong-or-damaged"));
  const text = String(good);
  const cases = /** @type {[string | Uint8Array, string, Record<string, string | number>?][]} */ ([
    ["", "empty"],
    [text.trimEnd().slice(0, -20), "truncated"],
    [text.replace('"ciphertext":"', '"ciphertext":"A'), "damaged"],
    [text.replace('{"format"', '{"format":"countersign-keyring","format"'), "damaged"],
    ["{}", "not-a-keyring"],
    ['{"a":1.5}', "not-a-keyring"],
    ["-----BEGIN PRIVATE KEY-----", "not-a-keyring"],
    [Buffer.from([0xff, 0xfe]), "not-a-keyring"],
    [text.replace('"version":1', '"version":2'), "newer", { version: 2 }],
    [text.replace('"version":1', '"version":0'), "damaged"],
    [text.replace('"version":1', '"version":1,"more":1'), "damaged"],
    [text.replace('"A256GCM"', '"A128GCM"'), "damaged"],
    [text.replace('"t":2', '"t":17'), "cost", { parameter: "t", value: 17, min: 1, max: 16 }],
    [
      text.replace('"m_kib":8192', '"m_kib":8191'),
      "cost",
      { parameter: "m_kib", value: 8191, min: 8192, max: 1_048_576 },
    ],
    [Buffer.alloc(4 * 1024 * 1024 + 1, "x"), "too-large", { mib: 4 }],
  ]);
  const never = () => assert.fail("nothing may be derived");
  for (const [file, code, values] of cases) {
    const bytes = typeof file === "string" ? Buffer.from(file) : file;
    await assert.rejects(Keyring.open(bytes, passphrase(), never), refusal(code, values), code);
  }
  // The header is covered by the seal.
  const altered = Buffer.from(text.replace('"t":2', '"t":3'));
  await assert.rejects(open(altered), refusal("wrong-or-damaged"));
});

test("more than 256 MiB are refused before anything is derived", async () => {
  const costly = String(await python).replace('"m_kib":8192', `"m_kib":${256 * 1024 + 1}`);
  const never = () => assert.fail("nothing may be derived");
  const refused = Keyring.open(Buffer.from(costly), passphrase(), never);
  await assert.rejects(refused, refusal("cost-here", { mib: 257, max: 256 }));
});

test("a passphrase that this page cannot work with is refused with the reason", async () => {
  const never = () => assert.fail("nothing may be derived");
  for (const [text, code, values] of /** @type {const} */ ([
    ["", "passphrase-empty", {}],
    ["1234567", "passphrase-short", { min: 8 }],
    ["x".repeat(1025), "passphrase-long", { max: 1024 }],
  ])) {
    await assert.rejects(Keyring.create(passphrase(text), never), refusal(code, values));
    await assert.rejects(
      Keyring.open(await python, passphrase(text), never),
      refusal(code, values),
    );
  }
});

test("content that two readers could read differently is refused, and not quoted", () => {
  const record =
    '"url":"u","username":"n","clientSidePrivateKey":"secret","clientSidePublicKey":"k","createdAt":1';
  for (const text of [
    "{}",
    `[{"name":"a",${record},"more":"secret"}]`,
    `[{"name":"a","name":"a",${record}}]`,
    `[{"name":" a",${record}}]`,
    `[{"name":"a",${record}},{"name":"a",${record}}]`,
    `[{"name":"a",${record.replace("1", "1.0")}}]`,
    `[{"name":"a",${record.replace("1", "-1")}}]`,
    `[{"name":"a",${record.replace('"secret"', "5")}}]`,
    `[{"name":"\\ud800",${record}}]`,
  ]) {
    assert.throws(() => decodeRecords(Buffer.from(text)), refusal("content"), text);
  }
});

test("the reader of JSON takes what is JSON and nothing else", () => {
  for (const text of [
    '{"a":[1,-2,0,true,false,null,"x\\n\\u00e9\\\\"]}',
    '""',
    " [ ] ",
    '{"__proto__":1}',
    String(2 ** 53 - 1),
  ]) {
    assert.equal(JSON.stringify(parseJson(text)), JSON.stringify(JSON.parse(text)));
  }
  const deep = "[".repeat(40) + "]".repeat(40);
  for (const text of [
    "",
    "[1,]",
    "{,}",
    '{"a":1,"a":1}',
    '{"a":1,"\\u0061":1}',
    "01",
    "1.5",
    "1e3",
    "9007199254740992",
    '"\n"',
    '"\\x"',
    "nul",
    '"',
    '"\\',
    "[] []",
    "'a'",
    deep,
  ]) {
    assert.throws(() => parseJson(text), text);
  }
});

test("pasted keys: what is no private key is told apart", async () => {
  const keyring = await Keyring.create(passphrase(), derive);
  const entry = { name: "a", url: URL_OF_SERVER, username: "toto", now: NOW };
  const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const jwk = pair.privateKey.export({ format: "jwk" });
  const { privateKey: small } = generateKeyPairSync("rsa", { modulusLength: 1024 });
  const { privateKey: other } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const asText = (/** @type {import("node:crypto").KeyObject} */ key) =>
    String(key.export({ type: "pkcs8", format: "pem" }));
  const encrypted = pair.privateKey.export({
    type: "pkcs8",
    format: "pem",
    cipher: "aes-256-cbc",
    passphrase: "x",
  });
  const public_ = pair.publicKey.export({ type: "spki", format: "pem" });
  const foreign = { ...jwk, d: other.export({ format: "jwk" }).d };
  for (const [text, code, values] of /** @type {[string, string, Record<string, number>?][]} */ ([
    [String(encrypted), "key-encrypted"],
    ["-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----", "key-damaged"],
    [String(public_), "key-public"],
    [JSON.stringify(pair.publicKey.export({ format: "jwk" })), "key-public"],
    [asText(small), "key-weak", { bits: 1024, min: 2048, max: 4096 }],
    [asText(pair.privateKey) + asText(other), "key-several"],
    ["hello", "key-unknown"],
    ["{", "key-json"],
    [" \n", "key-empty"],
    ['{"keys":[]}', "key-jwks"],
    ['{"alg":"ES256"}', "key-jwk"],
    ['{"kty":"RSA","n":"*","e":"AQAB","d":"AQAB"}', "key-damaged"],
    [
      '{"kty":"RSA","n":"AQAB","e":"AQAB","d":"AQAB"}',
      "key-weak",
      { bits: 17, min: 2048, max: 4096 },
    ],
    [asText(small).slice(0, -30), "key-damaged"],
    [asText(pair.privateKey).replace("MIG", "MIG=="), "key-damaged"],
  ])) {
    await assert.rejects(keyring.addPasted({ ...entry, text }), refusal(code, values), text);
  }
  await assert.rejects(
    keyring.addPasted({ ...entry, text: JSON.stringify(foreign) }),
    KeyringError,
  );
  for (const [name, text] of Object.entries({
    pem: asText(pair.privateKey),
    sec1: String(pair.privateKey.export({ type: "sec1", format: "pem" })),
    jwk: JSON.stringify({ ...jwk, use: "sig", key_ops: ["sign"], alg: "ES256" }),
    base64: pair.privateKey.export({ type: "pkcs8", format: "der" }).toString("base64"),
  })) {
    await keyring.addPasted({ ...entry, name, text });
  }
  const thumbprints = new Set((await keyring.views()).map(({ key }) => key?.thumbprint));
  assert.equal(thumbprints.size, 1, "one key in four spellings");
  const taken = { ...entry, name: "pem", text: asText(other) };
  await assert.rejects(keyring.addPasted(taken), refusal("name-taken", { name: "pem" }));
  await assert.rejects(keyring.addPasted({ ...taken, name: "" }), refusal("name-invalid"));
  await assert.rejects(
    keyring.addPasted({ ...taken, name: "b", url: "auth" }),
    refusal("url-invalid"),
  );
});

test("what a JWK says of its use is taken and refused as by the command line", async (t) => {
  const keyring = await Keyring.create(passphrase(), derive);
  const { directory, run } = await home(t);
  const jwk = (/** @type {string} */ type) =>
    createPrivateKey(pem(/** @type {any} */ (type))).export({ format: "jwk" });
  const ec = jwk("P-256");
  const all = /** @type {[string, object, string?][]} */ ([
    ["use sig", { ...ec, use: "sig" }],
    ["use enc", { ...ec, use: "enc" }, "key-use"],
    ["use null", { ...ec, use: null }, "key-use"],
    ["use and no private half", { ...ec, d: undefined, use: "enc" }, "key-use"],
    ["alg null", { ...ec, alg: null }, "key-alg"],
    ["alg of a MAC", { ...ec, alg: "HS256" }, "key-alg"],
    ["alg of another curve", { ...ec, alg: "ES384" }, "key-alg"],
    ["alg that agrees keys", { ...ec, alg: "ECDH-ES" }, "key-alg"],
    ["key_ops sign", { ...ec, key_ops: ["sign"] }],
    ["key_ops of a public half", { ...ec, key_ops: ["verify"] }],
    ["key_ops decrypt", { ...ec, key_ops: ["decrypt"] }],
    ["ES384", { ...jwk("P-384"), alg: "ES384" }],
    ["EdDSA", { ...jwk("ed25519"), alg: "EdDSA" }],
    ["Ed25519", { ...jwk("ed25519"), alg: "Ed25519" }],
    ["PS256", { ...jwk("rsa"), alg: "PS256" }],
    ["RS512", { ...jwk("rsa"), alg: "RS512" }, "key-alg"],
    ["RSA-OAEP", { ...jwk("rsa"), alg: "RSA-OAEP", use: "sig" }, "key-alg"],
  ]);
  for (const [name, given, code] of all) {
    const text = JSON.stringify(given);
    const file = join(directory, "key.json");
    await writeFile(file, text, { mode: 0o600 });
    const byCommand = await run("import", name, file, "--username", "toto").then(
      () => undefined,
      (error) => String(error.stderr),
    );
    assert.equal(byCommand !== undefined, code !== undefined, `${name}: ${byCommand}`);
    const added = keyring.addPasted({ name, url: URL_OF_SERVER, username: "toto", now: NOW, text });
    if (!code) await added;
    else await assert.rejects(added, { name: "KeyringError", code }, name);
  }
});

/** Files of other programs, which lie where the command line is tested with them. */
const vectors = new URL("../../crates/protocol/vectors/", import.meta.url);
const ofClient = "../../client/vectors/openssh";

/** A pasted file: text, or base64 of what is none. */
async function pasted(/** @type {string} */ name) {
  const content = await readFile(new URL(name, vectors));
  return /\.(p12|jks|jceks)$/.test(name) ? content.toString("base64") : String(content);
}

test("pasted files of other programs are told apart", async () => {
  const keyring = await Keyring.create(passphrase(), derive);
  const entry = { name: "a", url: URL_OF_SERVER, username: "toto", now: NOW };
  const weak = { bits: 1024, min: 2048, max: 4096 };
  for (const [name, code, values] of /** @type {[string, string, Record<string, any>?][]} */ ([
    [`${ofClient}/ed25519`, "key-openssh"],
    [`${ofClient}/ecdsa-384-encrypted`, "key-openssh"],
    [`${ofClient}/rsa-2048-encrypted`, "key-openssh"],
    [`${ofClient}/cipher-chacha20-poly1305`, "key-openssh"],
    [`${ofClient}/ed25519.pub`, "key-public"],
    ["key-files/openssh-3des", "key-openssh-cipher"],
    ["key-files/openssh-dsa", "key-kind", { kind: "DSA" }],
    ["key-files/openssh-p521", "key-kind", { kind: "EC P-521" }],
    ["key-files/openssh-p521-encrypted", "key-kind", { kind: "EC P-521" }],
    ["key-files/openssh-rsa-1024-encrypted", "key-weak", weak],
    ["key-files/ed25519.ppk", "key-putty"],
    ["key-files/p256-encrypted.ppk", "key-putty"],
    ["key-files/p521.ppk", "key-kind", { kind: "EC P-521" }],
    ["key-files/rsa-1024.ppk", "key-weak", weak],
    ["key-files/rsa-2048.sshcom", "key-sshcom"],
    ["key-files/pgp-private.asc", "key-pgp"],
    ["key-files/pgp-public.asc", "key-pgp"],
    ["key-files/p256.p12", "key-pkcs12"],
    ["key-files/java.jks", "key-keystore"],
    ["key-files/java.jceks", "key-keystore"],
    ["key-files/pbes2/scrypt.pem", "key-encrypted"],
    ["keys/p256.encrypted.pem", "key-encrypted"],
    ["keys/rsa-2048.pkcs1-encrypted.pem", "key-encrypted"],
    ["keys/p521.pkcs8.pem", "key-kind", { kind: "EC P-521" }],
    ["keys/rsa-1024.pkcs8.pem", "key-weak", weak],
    ["keys/rsa-e3.pkcs8.pem", "key-exponent"],
    ["keys/p256.certificate.pem", "key-certificate"],
    ["rfc4716/ed25519.pub", "key-public"],
  ])) {
    const text = await pasted(name);
    await assert.rejects(keyring.addPasted({ ...entry, text }), refusal(code, values), name);
    // The same without its frame, where it has one.
    const [, label = "", body] = /-----BEGIN ([A-Z0-9 ]+)-----([^-:]+)-----END/.exec(text) ?? [];
    if (!body || /PGP|OPENSSH/.test(label)) continue;
    await assert.rejects(keyring.addPasted({ ...entry, text: body }), refusal(code, values), name);
  }
  const openssh = await pasted(`${ofClient}/ed25519-encrypted`);
  const file = Buffer.from(openssh.replace(/-----.*-----/g, ""), "base64");
  const again = (/** @type {Buffer} */ bytes) =>
    keyring.addPasted({
      ...entry,
      text: openssh.replace(/-----\n[^-]+/, `-----\n${bytes.toString("base64")}\n`),
    });
  for (let length = 0; length < 126; length++) {
    await assert.rejects(again(file.subarray(0, length)), refusal("key-damaged"), `${length}`);
  }
  // The rounds of bcrypt stand after the salt.
  file.writeUInt32BE(4097, 63);
  await assert.rejects(again(file), refusal("key-openssh-rounds", { rounds: 4097, max: 4096 }));
});

test("a kind of key that the server does not take is named", async () => {
  const keyring = await Keyring.create(passphrase(), derive);
  const entry = { name: "a", url: URL_OF_SERVER, username: "toto", now: NOW };
  const ec = (/** @type {string} */ namedCurve) =>
    generateKeyPairSync("ec", { namedCurve }).privateKey;
  for (const [key, kind] of /** @type {[import("node:crypto").KeyObject, string][]} */ ([
    [ec("secp521r1"), "EC P-521"],
    [ec("secp224r1"), "EC P-224"],
    [ec("secp256k1"), "EC secp256k1"],
    [ec("brainpoolP256r1"), "1.3.36.3.3.2.8.1.1.7"],
    [generateKeyPairSync("x25519").privateKey, "X25519"],
    [generateKeyPairSync("ed448").privateKey, "Ed448"],
    [generateKeyPairSync("rsa-pss", { modulusLength: 2048 }).privateKey, "RSA-PSS"],
    [generateKeyPairSync("dsa", { modulusLength: 1024, divisorLength: 160 }).privateKey, "DSA"],
  ])) {
    const types = /** @type {("pkcs8" | "sec1")[]} */ (
      key.asymmetricKeyType === "ec" ? ["pkcs8", "sec1"] : ["pkcs8"]
    );
    for (const type of types) {
      const text = String(key.export(/** @type {any} */ ({ type, format: "pem" })));
      await assert.rejects(keyring.addPasted({ ...entry, text }), refusal("key-kind", { kind }));
    }
  }
  for (const [jwk, kind] of /** @type {[object, string][]} */ ([
    [{ kty: "oct", k: "AA" }, "oct"],
    [{ kty: "EC", crv: "P-521" }, "EC P-521"],
    [{ kty: "OKP", crv: "X25519" }, "OKP X25519"],
  ])) {
    const text = JSON.stringify(jwk);
    await assert.rejects(keyring.addPasted({ ...entry, text }), refusal("key-kind", { kind }));
  }
  const options = /** @type {const} */ ({ namedCurve: "P-256", paramEncoding: "explicit" });
  const { privateKey } = generateKeyPairSync("ec", options);
  for (const type of /** @type {const} */ (["pkcs8", "sec1"])) {
    const text = String(privateKey.export({ type, format: "pem" }));
    await assert.rejects(keyring.addPasted({ ...entry, text }), refusal("key-curve"));
  }
});

test("every refusal has a sentence", async () => {
  const source = await readFile(new URL("js/lib/keyring/error.js", web), "utf8");
  const [list = ""] = /@typedef \{[^}]+\} KeyringErrorCode/.exec(source) ?? [];
  const codes = [...list.matchAll(/"([\w-]+)"/g)].map(([, code]) => code);
  const { default: texts } = await import(new URL("lang/en/keyring.js", web).href);
  assert.ok(codes.length > 40);
  for (const code of codes) assert.ok(texts[`keyring.error.${code}`], code);
});

/** What is typed besides where a command asks for a passphrase. */
const TYPED = /** @type {Record<string, string>} */ ({
  "openssl pkey": "-passin pass:countersign",
  "openssl pkcs12": "-passin pass:countersign",
  "ssh-keygen -p": "-P countersign -N countersign",
  "keytool -importkeystore": "-srcstorepass countersign -deststorepass countersign",
});

for (const [code, name, tool] of /** @type {[string, string, string][]} */ ([
  ["key-encrypted", "keys/p256.encrypted.pem", "openssl"],
  ["key-encrypted", "keys/rsa-2048.pkcs1-encrypted.pem", "openssl"],
  ["key-encrypted", "key-files/pbes2/scrypt.pem", "openssl"],
  ["key-pkcs12", "key-files/p256.p12", "openssl"],
  ["key-keystore", "key-files/java.jks", "keytool"],
  ["key-openssh", `${ofClient}/ed25519-encrypted`, "openssl"],
  ["key-openssh", `${ofClient}/rsa-2048`, "openssl"],
  ["key-openssh-cipher", "key-files/openssh-3des", "ssh-keygen"],
  ["key-putty", "key-files/ed25519.ppk", "puttygen"],
  ["key-sshcom", "key-files/rsa-2048.sshcom", "puttygen"],
])) {
  const found = (process.env.PATH ?? "").split(":").some((path) => existsSync(join(path, tool)));
  const skip = !found && `${tool} is not installed`;
  test(`the commands in the sentence ${code} give a key: ${name}`, { skip }, async (t) => {
    const { path, directory } = await home(t);
    const { default: texts } = await import(new URL("lang/en/keyring.js", web).href);
    const content = await readFile(new URL(name, vectors));
    for (const given of ["KEY", "COPY", "FILE"])
      await writeFile(join(directory, given), content, { mode: 0o600 });
    const sentence = texts[`keyring.error.${code}`];
    const commands = [...sentence.matchAll(/“([^”]+)”/g)].map(([, command]) => String(command));
    assert.ok(commands.length > 0, sentence);
    const env = {
      ...process.env,
      PATH: `${dirname(binary)}:${process.env.PATH}`,
      COUNTERSIGN_KEYRING: path,
      COUNTERSIGN_PASSPHRASE: PASSPHRASE,
      COUNTERSIGN_KEY_PASSPHRASE: "countersign",
    };
    for (const command of commands) {
      const more = Object.keys(TYPED).find((start) => command.startsWith(start));
      const whole = `${command} ${more ? TYPED[more] : ""}`.replace("ADDRESS", URL_OF_SERVER);
      await promisify(execFile)("sh", ["-c", `umask 077; ${whole}`], { cwd: directory, env });
    }
    if (commands.at(-1)?.startsWith("countersign")) {
      const keyring = await open(await readFile(path));
      assert.ok((await keyring.views())[0]?.key);
    } else {
      const keyring = await Keyring.create(passphrase(), derive);
      const made = commands.at(-1)?.split(" ").at(-1) ?? "";
      const text = await readFile(join(directory, made), "utf8");
      await keyring.addPasted({ name: "a", url: URL_OF_SERVER, username: "toto", text, now: NOW });
    }
  });
}

test("the object of a login goes from the page to the command line and back", async (t) => {
  const { path, directory, run } = await home(t);
  const keyring = await Keyring.create(passphrase(), derive);
  await keyring.addGenerated({
    name: "a",
    url: URL_OF_SERVER,
    username: "toto",
    type: "P-256",
    now: NOW,
  });
  await assert.rejects(
    keyring.reveal({ name: "a", what: "login-object" }),
    refusal("login-object"),
  );
  const server = generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey.export({
    type: "spki",
    format: "der",
  });
  const [view] = await keyring.views();
  const claims = { exp: NOW, cnf: { jkt: view?.key?.thumbprint } };
  const text = `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.AA`;
  keyring.update({
    name: "a",
    change: { serverSidePublicKey: server.toString("base64"), token: { text, expiresAt: NOW } },
  });
  const object = await keyring.reveal({ name: "a", what: "login-object" });
  await writeFile(join(directory, "a.json"), object, { mode: 0o600 });
  await run("import", "b", "a.json");
  assert.equal(await run("export", "b", "--json", "--reveal-private-key"), object);
  const again = await open(await readFile(path));
  await again.addPasted({ name: "c", url: "", username: "", text: object, now: NOW });
  assert.equal(await again.reveal({ name: "c", what: "login-object" }), object);
  for (const altered of [
    { jwtToken: "e30.e30.AA" },
    { url: 1 },
    { more: "" },
    { clientSidePublicKey: server.toString("base64") },
  ]) {
    const text = JSON.stringify({ ...JSON.parse(object), ...altered });
    await assert.rejects(
      again.addPasted({ name: "d", url: "", username: "", text, now: NOW }),
      KeyringError,
    );
  }
});

test("a server proves itself by a number under its key, and by nothing else", async () => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const jwk = /** @type {{n: string, e: string}} */ (publicKey.export({ format: "jwk" }));
  const number = `1${"0123456789".repeat(6).slice(0, 51)}`;
  const block = (/** @type {string} */ text, key = privateKey) =>
    privateEncrypt({ key, padding: 1 }, Buffer.from(text)).toString("base64");
  const raw = (/** @type {Buffer} */ padded) =>
    privateEncrypt({ key: privateKey, padding: 3 }, padded).toString("base64");
  const padded = (/** @type {number[]} */ head, /** @type {number} */ fill, text = number) =>
    Buffer.concat([
      Buffer.from(head),
      Buffer.alloc(255 - head.length - text.length, fill),
      Buffer.from([0]),
      Buffer.from(text),
    ]);
  const verified = new VerifiedNumber(block(number), jwk);
  const signer = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const der = signer.privateKey.export({ type: "pkcs8", format: "der" });
  const key = await crypto.subtle.importKey(
    "pkcs8",
    new Uint8Array(der),
    { name: "ECDSA", namedCurve: "P-256" },
    false,
    ["sign"],
  );
  const proposal = await verified.propose({
    alg: "ES256",
    privateKey: key,
    jwk: {},
    thumbprint: "",
  });
  assert.equal(proposal.number, number);
  const signature = Buffer.from(proposal.proposal, "base64");
  assert.ok(
    verify(
      "sha256",
      Buffer.from(number),
      { key: signer.publicKey, dsaEncoding: "ieee-p1363" },
      signature,
    ),
  );

  const foreign = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  const tooLarge = Buffer.alloc(256, 0xff).toString("base64");
  for (const challenge of [
    block(number, foreign),
    block(number.slice(1)),
    block(`2${number.slice(1)}`),
    block(`${number.slice(1)}x`),
    block("eyJhbGciOiJFUzI1NiJ9.e30"),
    raw(padded([0, 2], 0xff)),
    raw(padded([0, 1], 0xfe)),
    raw(padded([0, 1, 0xff, 0], 0xff)),
    raw(Buffer.concat([Buffer.from([0, 1]), Buffer.alloc(254, 0xff)])),
    block(number).slice(0, -4),
    `${block(number)}AAAA`,
    tooLarge,
    "",
    "not base64",
  ]) {
    assert.throws(() => new VerifiedNumber(challenge, jwk), ServerUnproven, challenge);
  }
});
