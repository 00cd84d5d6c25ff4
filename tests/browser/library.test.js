// The library of the pages, without a browser: what it signs, what it sends, and what it does when something fails.
import assert from "node:assert/strict";
import { createHash, createPublicKey, verify } from "node:crypto";
import { beforeEach, test } from "node:test";

const ORIGIN = "http://localhost:8080";

// What the modules look for in a page.
/** @type {any} */
const page = globalThis;
page.document = {
  documentElement: { lang: "en" },
  head: { querySelectorAll: () => [] },
  querySelector: (/** @type {string} */ selector) => ({
    getAttribute: () => (selector.includes("issuer") ? ORIGIN : "on"),
  }),
};
page.location = new URL(`${ORIGIN}/account`);
page.window = page;
page.addEventListener = page.removeEventListener = () => {};
page.PublicKeyCredential = class {};
// A real one would keep the process alive.
page.BroadcastChannel = class {
  addEventListener() {}
  postMessage() {}
};
/** @type {{ userAgent: string, credentials?: unknown }} */
const agent = { userAgent: "this" };
Object.defineProperty(page, "navigator", { value: agent });

const web = (/** @type {string} */ name) =>
  import(new URL(`../../web/js/lib/${name}.js`, import.meta.url).href);
const jose = await web("jose");
const passkeys = await web("passkey");
const store = await web("store");
const api = await web("api");
const { alarmOf, groupEvents } = await web("events");
const { inThisLanguage, mayBeOldSelf } = await web("keys");
const { describeBrowser } = await web("user-agent");

const decode = (/** @type {string} */ part) => JSON.parse(String(Buffer.from(part, "base64url")));
const sha256 = (/** @type {string} */ text) => createHash("sha256").update(text);

// ---- Keys and proofs

/**
 * Header and claims of a JWT whose signature is good by node's cryptography.
 * @param {string} jwt
 */
function verified(jwt) {
  const [header = "", claims = "", signature = ""] = jwt.split(".");
  const { alg, jwk } = decode(header);
  const key = createPublicKey({ key: jwk, format: "jwk" });
  const options = alg === "ES256" ? { key, dsaEncoding: /** @type {const} */ ("ieee-p1363") } : key;
  const digest = alg === "ES256" ? "sha256" : null;
  const input = Buffer.from(`${header}.${claims}`);
  assert.ok(verify(digest, input, options, Buffer.from(signature, "base64url")), alg);
  return { header: decode(header), claims: decode(claims) };
}

for (const alg of ["EdDSA", "ES256"]) {
  test(`a proof covers method, URL, token and body, signed with ${alg}`, async (t) => {
    if (alg === "ES256") {
      const { generateKey } = crypto.subtle;
      t.mock.method(crypto.subtle, "generateKey", (/** @type {any[]} */ ...call) =>
        call[0].name === "Ed25519"
          ? Promise.reject(new DOMException("no Ed25519", "NotSupportedError"))
          : Reflect.apply(generateKey, crypto.subtle, call),
      );
    }
    const key = await jose.generateKey();
    const request = { method: "POST", url: `${ORIGIN}/v1/keys?x=1#y`, now: 7, nonce: "n" };
    const { header, claims } = verified(
      await jose.dpopProof(key, { ...request, token: "token", body: "{}" }),
    );
    assert.equal(header.alg, alg);
    assert.equal(header.typ, "dpop+jwt");
    const { jti, ...rest } = claims;
    assert.match(jti, /^[\w-]{22}$/);
    assert.deepEqual(rest, {
      htm: "POST",
      htu: `${ORIGIN}/v1/keys`,
      iat: 7,
      nonce: "n",
      ath: sha256("token").digest("base64url"),
      tha: sha256("{}").digest("hex"),
    });
    const members = Object.fromEntries(Object.entries(key.jwk).sort());
    assert.equal(key.thumbprint, sha256(JSON.stringify(members)).digest("base64url"));
  });
}

test("the browser's key cannot be exported, and its public half says no more than it must", async () => {
  const key = await jose.generateKey();
  assert.equal(key.privateKey.extractable, false);
  await assert.rejects(crypto.subtle.exportKey("pkcs8", key.privateKey));
  assert.deepEqual(Object.keys(key.jwk).sort(), ["crv", "kty", "x"]);
});

// ---- Passkeys

const bytes = (/** @type {number[]} */ ...values) => Uint8Array.from(values).buffer;

/**
 * A credential as a careless password manager hands it out.
 * @param {unknown} prf
 */
function credential(prf) {
  return {
    id: "AQI",
    rawId: bytes(1, 2),
    type: "public-key",
    authenticatorAttachment: null,
    getClientExtensionResults: () => ({ prf: { enabled: true, results: { first: prf } } }),
    toJSON: () => assert.fail("toJSON is not to be relied on"),
    response: {
      clientDataJSON: bytes(3),
      authenticatorData: bytes(4),
      signature: bytes(5),
      userHandle: bytes(6),
    },
  };
}

for (const [name, prf] of Object.entries({ buffer: bytes(9, 8), array: [9, 8] })) {
  test(`the secret of a passkey stays in the page (as ${name})`, async () => {
    agent.credentials = { get: async () => credential(prf) };
    const answer = await passkeys.getPasskey({ challenge: "AA" }, { prf: bytes(0) });
    assert.deepEqual([...answer.prf], [9, 8]);
    assert.equal(answer.userHandle, "Bg");
    assert.deepEqual(answer.json.clientExtensionResults, {});
    assert.deepEqual(JSON.parse(JSON.stringify(answer.json)), {
      id: "AQI",
      rawId: "AQI",
      type: "public-key",
      clientExtensionResults: {},
      response: {
        clientDataJSON: "Aw",
        authenticatorData: "BA",
        signature: "BQ",
        userHandle: "Bg",
      },
    });
  });
}

// The examples of the PRF extension in Web Authentication Level 3 (§16), the part for the API. The other part, the messages of
// `hmac-secret`, is between browser and authenticator.

const derived = (/** @type {number} */ number) =>
  sha256(`WebAuthn PRF test vectors${String.fromCharCode(number)}`).digest();
const passkeyId = derived(0).toString("base64url");
const secret = Uint8Array.from(derived(1));
const input = Uint8Array.of(1, 2, 3, 4);
const first = { first: input };
const otherId = "AQID";

/**
 * `asked`: what the browser must get, when a passkey is made (`create`) or used, for what the page wants. Outputs of the
 * browser that have the secret are in `has`, others in `hasNot`.
 * @typedef {{ create?: true, wants: object, asked: object, has?: object[], hasNot?: object[] }} PrfExample
 * @type {Record<string, PrfExample>}
 */
const PRF_EXAMPLES = {
  "made without an input": {
    create: true,
    wants: {},
    asked: {},
    hasNot: [{ enabled: true }, { enabled: false }],
  },
  "made with an input": {
    create: true,
    wants: { prf: input },
    asked: { eval: first },
    has: [{ enabled: true, results: { first: secret } }],
    hasNot: [{ enabled: true }, { enabled: false }],
  },
  "used with an input": {
    wants: { prf: input },
    asked: { eval: first },
    has: [
      { results: { first: secret } },
      { results: { first: secret.buffer } },
      { results: { first: new Uint32Array(secret.buffer) } },
      { results: { first: secret, second: input } },
    ],
    hasNot: [{}],
  },
  "used, each with its input": {
    wants: { salts: { [passkeyId]: input, [otherId]: secret } },
    asked: { evalByCredential: { [passkeyId]: first, [otherId]: { first: secret } } },
    has: [{ results: { first: secret } }],
    hasNot: [{}],
  },
};

for (const [how, { create, wants, asked, has = [], hasNot = [] }] of Object.entries(PRF_EXAMPLES)) {
  test(`the secret of a passkey that is ${how}, by the examples of the specification`, async () => {
    for (const prf of [...has, ...hasNot]) {
      /** @type {any} */
      let extensions;
      const give = async (/** @type {any} */ { publicKey }) => {
        ({ extensions } = publicKey);
        return { ...credential(undefined), getClientExtensionResults: () => ({ prf }) };
      };
      agent.credentials = { create: give, get: give };
      const options = { challenge: "AA", user: { id: "AA" } };
      const done = await (create ? passkeys.createPasskey : passkeys.getPasskey)(options, wants);
      assert.deepEqual(extensions.prf, asked);
      assert.deepEqual(done.prf, has.includes(prf) ? secret : undefined);
      assert.deepEqual(done.json.clientExtensionResults, {}, "it stays in the page");
    }
  });
}

// ---- Storage

test("without IndexedDB the key lives in the tab, and the page knows", async () => {
  const { key, kept } = await api.newBrowserKey();
  assert.equal(kept, false);
  assert.equal(api.isMemoryOnly(), true);
  await api.adopt(key, "id", "alice");
  assert.equal((await api.currentSession()).session.username, "alice");
  await api.forget({ key });
  assert.equal(await api.currentSession(), undefined);
});

// ---- Requests

/** @type {{ url: string, headers: Record<string, string>, claims: any, body: string }[]} */
let sent = [];
/** @type {(() => Response)[]} */
let answers = [];
beforeEach(async () => {
  sent = [];
  answers = [];
  await store.clear((await store.read("key")) ?? {});
});
page.fetch = async (/** @type {string} */ url, /** @type {any} */ { headers, body }) => {
  sent.push({ url, headers, claims: verified(headers.DPoP).claims, body });
  return (answers.shift() ?? assert.fail(`one request too many: ${url}`))();
};

/**
 * @param {number} status
 * @param {unknown} body
 * @param {Record<string, string>} [headers]
 */
const answer =
  (status, body, headers = {}) =>
  () =>
    new Response(JSON.stringify(body), { status, headers });

/** An answer of the server's guard. */
const challenge = (/** @type {string} */ error) =>
  answer(
    401,
    { type: "https://example.org/problems/unauthenticated" },
    { "DPoP-Nonce": `after-${error}`, "WWW-Authenticate": `DPoP error="${error}"` },
  );

const token = (/** @type {string} */ jti) =>
  [{}, { sub: "id", preferred_username: "alice", jti }, {}]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");

/** @param {Partial<{ expiresAt: number, hasPasskey: boolean }>} [more] */
async function signedIn(more = {}) {
  const { key } = await api.newBrowserKey();
  await api.adopt(key, "id", "alice");
  const expiresAt = Date.now() / 1000 + 600;
  await api.note({ key }, { token: token("first"), expiresAt, ...more });
  return key;
}

test("a request is sent once more with the nonce that the answer has", async () => {
  await signedIn();
  answers = [challenge("use_dpop_nonce"), answer(200, { fine: true })];
  assert.deepEqual(await api.call("id", "GET", "/v1/keys"), { fine: true });
  assert.deepEqual(
    sent.map(({ claims }) => claims.nonce),
    [undefined, "after-use_dpop_nonce"],
  );
});

test("a server that always wants another nonce is not asked for ever", async () => {
  await signedIn();
  answers = [challenge("use_dpop_nonce"), challenge("use_dpop_nonce")];
  await assert.rejects(api.call("id", "GET", "/v1/keys"), { kind: "use_dpop_nonce" });
});

test("a token that has ended is renewed by the browser's key", async () => {
  await signedIn({ expiresAt: 0 });
  answers = [
    answer(200, { access_token: token("second"), expires_in: 900 }),
    answer(200, { fine: true }),
  ];
  await api.call("id", "GET", "/v1/keys");
  assert.equal(sent[1]?.headers.Authorization, `DPoP ${token("second")}`);
});

test("a token that the server refuses is renewed once", async () => {
  await signedIn();
  answers = [
    challenge("invalid_token"),
    answer(200, { access_token: token("second"), expires_in: 900 }),
    challenge("invalid_token"),
  ];
  await assert.rejects(api.call("id", "GET", "/v1/keys"), { kind: "invalid_token" });
});

test("a browser whose key was removed elsewhere forgets it and says so", async () => {
  await signedIn({ expiresAt: 0 });
  answers = [answer(400, { error: "invalid_grant" })];
  await assert.rejects(api.call("id", "GET", "/v1/keys"), { kind: "signed-out", reason: "ended" });
  assert.equal(await api.currentSession(), undefined);
});

const inAnHour = () => new Date(Date.now() + 3_600_000).toUTCString();
const isInAnHour = (/** @type {number} */ seconds) =>
  Math.abs(seconds - Date.now() / 1000 - 3600) < 5;

/** A refusal by a server whose clock is an hour ahead. */
const fromThePast = () =>
  answer(
    401,
    { type: "x/unauthenticated", detail: "the proof is too old" },
    { Date: inAnHour(), "WWW-Authenticate": 'DPoP error="invalid_dpop_proof"' },
  );

test("a page of one account asks and does nothing in the name of another", async () => {
  await signedIn();
  for (const request of [
    api.call("other", "GET", "/v1/keys"),
    api.confirmation("other", "PUT", "/v1/keyring", { json: {} }),
  ]) {
    await assert.rejects(request, { kind: "other-account" });
  }
  assert.deepEqual(sent, []);
});

test("a login that is answered after somebody else has signed in changes nothing of theirs", async () => {
  const others = await api.newBrowserKey();
  for (const late of [
    answer(400, { error: "invalid_grant" }),
    answer(200, { access_token: token("late"), expires_in: 900 }),
  ]) {
    await signedIn({ expiresAt: 0 });
    answers = [late];
    const { fetch: plain } = page;
    page.fetch = async (/** @type {string} */ url, /** @type {any} */ what) => {
      await api.adopt(others.key, "other", "berta");
      return plain(url, what);
    };
    await assert
      .rejects(api.call("id", "GET", "/v1/keys"), { kind: "other-account" })
      .finally(() => {
        page.fetch = plain;
      });
    const now = await api.currentSession();
    assert.equal(now.key.thumbprint, others.key.thumbprint);
    assert.equal(now.session.username, "berta");
    assert.equal(now.session.token, "");
    await api.forget(now);
  }
});

test("who signs out while a login is under way stays signed out", async () => {
  const key = await signedIn({ expiresAt: 0 });
  answers = [answer(200, { access_token: token("late"), expires_in: 900 })];
  const { fetch: plain } = page;
  page.fetch = async (/** @type {string} */ url, /** @type {any} */ what) => {
    await api.forget({ key });
    return plain(url, what);
  };
  await assert.rejects(api.call("id", "GET", "/v1/keys"), { kind: "signed-out" }).finally(() => {
    page.fetch = plain;
  });
  assert.equal(await api.currentSession(), undefined);
});

test("what a page notes of a session goes into no other one", async () => {
  const key = await signedIn();
  const others = await api.newBrowserKey();
  await api.adopt(others.key, "other", "berta");
  await api.note({ key }, { hasPasskey: true });
  await api.forget({ key });
  assert.equal((await api.currentSession()).session.hasPasskey, undefined);
});

test("a wrong clock is noticed by the answer, and the proof made again", async () => {
  await signedIn();
  answers = [fromThePast(), answer(200, { fine: true }, { Date: inAnHour() })];
  await api.call("id", "GET", "/v1/keys");
  assert.ok(isInAnHour(sent[1]?.claims.iat));
  assert.ok(isInAnHour(api.serverNow()), "what else is signed says the same time");
});

test("a wrong clock is noticed by each of several requests at once", async () => {
  await signedIn();
  const fine = answer(200, { fine: true }, { Date: inAnHour() });
  answers = [fromThePast(), fromThePast(), fine, fine];
  await Promise.all([api.call("id", "GET", "/v1/keys"), api.call("id", "GET", "/v1/events")]);
  assert.ok(sent.slice(2).every(({ claims }) => isInAnHour(claims.iat)));
});

test("a wrong clock signs nobody out: the login is signed anew too", async () => {
  await signedIn({ expiresAt: 0 });
  answers = [
    answer(400, { error: "invalid_grant" }, { Date: inAnHour() }),
    answer(200, { access_token: token("second"), expires_in: 900 }, { Date: inAnHour() }),
    answer(200, { fine: true }, { Date: inAnHour() }),
  ];
  await api.call("id", "GET", "/v1/keys");
  const [before, after] = sent.map(({ body }) => new URLSearchParams(body).get("assertion"));
  const claims = (/** @type {string | null | undefined} */ jwt) => decode(jwt?.split(".")[1] ?? "");
  assert.ok(!isInAnHour(claims(before).iat));
  assert.ok(isInAnHour(claims(after).iat));
  assert.notEqual(claims(before).jti, claims(after).jti);
});

test("where a proof is refused all the same, the page says that the clock differs", async () => {
  await signedIn();
  answers = [fromThePast(), fromThePast()];
  const refused = { kind: "invalid_dpop_proof", reason: "clock" };
  await assert.rejects(api.call("id", "GET", "/v1/keys"), refused);
});

test("where passkeys were switched off meanwhile, none is asked for", async () => {
  await signedIn({ hasPasskey: true });
  const off = answer(404, { type: "x/not-found", detail: "there are no passkeys here" });
  answers = [off, answer(200, { fine: true })];
  await api.call("id", "POST", "/v1/keys", { json: {}, confirm: true });
  assert.equal(sent[1]?.headers["Passkey-Assertion"], undefined);
  answers = [off];
  await assert.rejects(api.call("id", "POST", "/v1/passkeys/options/add"), {
    kind: "passkeys-off",
  });
});

test("what changes keys takes the passkey's word for exactly that request", async (t) => {
  await signedIn();
  agent.credentials = { get: async () => credential(undefined) };
  const options = answer(200, { challenge: "AA", allowCredentials: [] });
  const wanting = { type: "x/step-up-needed", lack: "passkey" };
  answers = [answer(401, wanting), options, answer(200, { fine: true })];
  const bodies = /** @type {string[]} */ ([]);
  const { fetch: plain } = page;
  t.mock.method(page, "fetch", (/** @type {string} */ url, /** @type {any} */ what) => {
    bodies.push(what.body);
    return plain(url, what);
  });
  const headers = { "If-Match": '"7"' };
  await api.call("id", "PATCH", "/v1/keys/abc", { json: { label: "new" }, headers });
  const body_sha256 = sha256('{"label":"new"}').digest("hex");
  assert.deepEqual(JSON.parse(bodies[1] ?? ""), {
    operation: { method: "PATCH", path: "/v1/keys/abc", body_sha256, if_match: '"7"' },
  });
  assert.equal(bodies[2], bodies[0]);
  assert.equal(decode(sent[2]?.headers["Passkey-Assertion"] ?? "").id, "AQI");
});

test("a fresh login is made when that is what lacks", async () => {
  await signedIn();
  answers = [
    answer(401, { type: "x/step-up-needed", lack: "fresh-login" }),
    answer(200, { access_token: token("second"), expires_in: 900 }),
    answer(200, { fine: true }),
  ];
  await api.call("id", "DELETE", "/v1/keys/abc");
  assert.equal(sent[2]?.headers.Authorization, `DPoP ${token("second")}`);
});

test("a server out of reach is told from one that refuses", async (t) => {
  await signedIn();
  t.mock.method(page, "fetch", () => Promise.reject(new TypeError("Failed to fetch")));
  await assert.rejects(api.call("id", "GET", "/v1/keys"), { kind: "offline" });
});

test("silence ends a request, and not how long it takes", async (t) => {
  /** @type {{ ends: () => void, ms: number }[]} */
  const timers = [];
  t.mock.method(page, "setTimeout", (/** @type {() => void} */ ends, /** @type {number} */ ms) =>
    timers.push({ ends, ms }),
  );
  t.mock.method(page, "clearTimeout", () => {});
  /** @type {ReadableStreamDefaultController<Uint8Array>[]} */
  const wires = [];
  t.mock.method(page, "fetch", async (/** @type {string} */ _, /** @type {RequestInit} */ init) => {
    const body = new ReadableStream({
      start(controller) {
        wires.push(controller);
        init.signal?.addEventListener("abort", () => controller.error(new Error("given up")));
      },
    });
    return new Response(body, { headers: { "Content-Type": "application/json" } });
  });
  /** Waits until so many times was begun to wait. */
  const begun = async (/** @type {number} */ count) => {
    for (let turns = 0; timers.length < count; turns += 1) {
      assert.ok(turns < 10_000, "nothing waits anew");
      await new Promise((later) => setImmediate(later));
    }
  };
  const bytes = (/** @type {string} */ text) => new TextEncoder().encode(text);
  const json = { ciphertext: "A".repeat(1 << 20) };

  await signedIn();
  const slow = api.call("id", "PUT", "/v1/keyring/content", { json });
  await begun(2);
  for (const [place, part] of ['{"fi', 'ne"', ":tr", "ue}"].entries()) {
    wires[0]?.enqueue(bytes(part));
    await begun(3 + place);
  }
  wires[0]?.close();
  assert.deepEqual(await slow, { fine: true });
  const [first = 0, ...others] = timers.map(({ ms }) => ms);
  assert.ok(first > 30_000 + 500_000, "a large body has its time to go out");
  assert.deepEqual(new Set(others), new Set([30_000]));

  timers.length = 0;
  const silent = api.call("id", "GET", "/v1/keys");
  await begun(2);
  wires[1]?.enqueue(bytes('{"fi'));
  await begun(3);
  timers.at(-1)?.ends();
  await assert.rejects(silent, { kind: "offline" });
});

// ---- What pages say

test("what is suspicious is an alarm, and the rest is not", () => {
  const cases = {
    "proof.replayed": [undefined, "replayed"],
    "passkey.counter-regressed": [undefined, "copied-passkey"],
    "key.used-from-new-place": [undefined, "new-place"],
    "token.refused": ["other-key", "other-key"],
    "login.refused": ["key-revoked", "revoked-key"],
    "login.succeeded": [undefined, undefined],
    "key.change-refused": ["not-live", undefined],
  };
  for (const [event, [reason, alarm]] of Object.entries(cases)) {
    assert.equal(alarmOf({ event, facts: reason && { reason } }), alarm, event);
  }
  // Words are no reason.
  const refused = { event: "login.refused", detail: "the account has revoked 10 keys" };
  assert.equal(alarmOf(refused), undefined);
  assert.equal(alarmOf({ ...refused, facts: { reason: "too-many-revoked" } }), undefined);
});

test("a browser that nobody named is called what it is in the language of the page", () => {
  const agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36";
  const called = (/** @type {string} */ label, user_agent = agent) =>
    inThisLanguage({ label, user_agent }).label;
  for (const label of ["Chrome auf Linux", "Chromium on Linux", "Chrome sur Linux"]) {
    assert.equal(called(label), "Chrome on Linux");
  }
  for (const label of [
    "Chrome",
    "My Chrome on Linux",
    "Firefox on Linux",
    "Chrome on Windows",
    "PC",
  ]) {
    assert.equal(called(label), label);
  }
  assert.equal(called("Chrome auf Linux", "curl/8"), "Chrome auf Linux");
});

test("events are grouped by key, those that deserve a look first", () => {
  const key = (/** @type {string} */ thumbprint) => ({
    thumbprint,
    label: thumbprint,
    revoked_at: null,
  });
  const keys = { live: [key("calm"), key("bad")], revoked: [], mine: undefined };
  const events = [
    { id: 3, at: 30, event: "key.used", thumbprint: "calm", address: "192.0.2.1" },
    { id: 2, at: 10, last_at: 20, event: "proof.replayed", thumbprint: "bad", times: 4 },
    { id: 1, at: 5, event: "key.used", thumbprint: "calm", address: "192.0.2.1" },
  ];
  const groups = groupEvents(events, keys);
  assert.deepEqual(
    groups.map((/** @type {any} */ group) => [group.id, group.refusals, group.lastAt]),
    [
      ["bad", 1, 20],
      ["calm", 0, 30],
    ],
  );
  assert.deepEqual(groups[1].places, [{ address: "192.0.2.1", first: 5, last: 30, times: 2 }]);
});

test("a browser that lost its storage knows its old entry", () => {
  const entry = (/** @type {any} */ more) => ({ kind: "browser", user_agent: "this", ...more });
  const mine = entry({ thumbprint: "new", created_at: 9 });
  const keys = { live: [], revoked: [], mine };
  assert.equal(mayBeOldSelf(entry({ thumbprint: "old", created_at: 1 }), keys), true);
  assert.equal(mayBeOldSelf(mine, keys), false);
  const other = entry({ thumbprint: "other", created_at: 1, user_agent: "that" });
  assert.equal(mayBeOldSelf(other, keys), false);
});

test("a user agent is said in words", () => {
  const words = {
    "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0": "Firefox on Linux",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/156.0 Safari/537.36 Edg/156.0":
      "Edge on Windows",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/26.0 Safari/605.1.15":
      "Safari on macOS",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 CriOS/156 Mobile Safari/604.1":
      "Chrome on iPhone",
    "curl/8.5.0": "Browser",
  };
  for (const [agent, said] of Object.entries(words)) assert.equal(describeBrowser(agent), said);
});
