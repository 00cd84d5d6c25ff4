// What can be wrong with a passkey's response: each mutation changes a plan, or the JSON that came of it.
import { AT, BE, BS, cbor, ED, UP, UV } from "./authenticator.js";

/** Random numbers that are the same in each run: mulberry32. */
export function random(seed) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return { below: (bound) => next() % bound, pick: (list) => list[next() % list.length] };
}

const WRONG_TYPES = [null, 1, true, [], {}, ["AA"]];
const ORIGINS = ["https://example.com", "http://example.org", "https://example.org:8443", "https://example.org/", "null"];
const STATUSES = [null, "", "supported", {}, { status: "supported" }, { status: "present", id: "a" }, { status: "x" }];

/** Of both ceremonies, before anything is signed. */
const OF_PLANS = [
  (plan, by) => (plan.client.type = by.pick(["webauthn.get", "webauthn.create", "payment.get", "", null])),
  (plan, by) => (plan.client.challenge = Buffer.alloc(by.pick([0, 15, 31, 32, 64]), 8).toString("base64url")),
  (plan) => (plan.client.challenge += "="),
  (plan, by) => (plan.client.origin = by.pick(ORIGINS)),
  (plan, by) => (plan.client.crossOrigin = by.pick([true, "false", null, 0])),
  (plan, by) => (plan.client.topOrigin = by.pick(["https://example.com", "", null])),
  (plan) => Object.assign(plan.client, { crossOrigin: true, topOrigin: "https://example.com" }),
  (plan, by) => delete plan.client[by.pick(["type", "challenge", "origin", "crossOrigin"])],
  (plan, by) => (plan.client[by.pick(["type", "challenge", "origin"])] = by.pick(WRONG_TYPES)),
  (plan, by) => (plan.client.tokenBinding = by.pick(STATUSES)),
  (plan, by) => (plan.client[by.pick(["a", "extra", "é"])] = by.pick([1, "x", [[]], { a: { b: null } }])),
  (plan) => (plan.clientText = (client) => `\ufeff${JSON.stringify(client)}`),
  (plan) => (plan.clientText = (client) => ` ${JSON.stringify(client, null, 2)}\n`),
  (plan) => (plan.clientText = (client) => `{"type":"x",${JSON.stringify(client).slice(1)}`),
  (plan, by) => (plan.clientText = (client) => JSON.stringify(client) + by.pick(["", "}", "\0", " x"])),
  (plan, by) => (plan.rpId = by.pick(["example.com", "org", "", "https://example.org"])),
  (plan, by) => (plan.flags ^= by.pick([UP, UV, UP | UV])),
  (plan, by) => (plan.flags ^= by.pick([BE, BS, BE | BS])),
  (plan, by) => (plan.flags ^= by.pick([AT, ED, 2, 1 << 5])),
  (plan, by) => (plan.counter = by.pick([0, 1, 6, 7, 8, 0xffffffff])),
  (plan, by) => (plan.tail = Buffer.alloc(1 + by.below(40), by.below(256))),
  (plan, by) => {
    plan.flags |= ED;
    plan.tail = cbor(by.pick([new Map([["x", true]]), new Map([["credProps", new Map()]]), new Map(), [], 1, "x"]));
  },
  (plan, by) => {
    plan.flags |= ED;
    plan.tail = Buffer.concat([cbor(new Map([["x", 1]])), Buffer.alloc(by.below(3))]);
  },
];

const OF_REGISTRATIONS = [
  (plan, by) => plan.cose.set(by.pick([1, 3, -1]), by.pick([1, 2, 3, 6, -7, -8, -35, -257, -65535, "x", null])),
  (plan, by) => plan.cose.delete(by.pick([...plan.cose.keys()])),
  (plan, by) => plan.cose.set(by.pick([2, -4, 4, "x"]), by.pick([Buffer.alloc(32, 7), 1])),
  (plan, by) => plan.cose.set(-2, Buffer.alloc(by.pick([0, 31, 32, 33]), 0x11)),
  (plan, by) => (plan.coseBytes = () => by.pick([cbor([]), cbor(1), Buffer.alloc(0), Buffer.from([0xbf, 0xff])])),
  (plan) => (plan.cose = new Map([...plan.cose].reverse())),
  (plan, by) => (plan.id = Buffer.alloc(by.pick([1, 16, 1023, 1024, 2000]), 2)) && (plan.idLength = plan.id.length),
  (plan, by) => (plan.idLength = by.pick([0, 31, 33, 1023, 1024, 0xffff])),
  (plan, by) => (plan.format = by.pick(["", "None", "acme", "packed", "none"])),
  (plan, by) => plan.statement.set(by.pick(["alg", "sig", "x"]), by.pick([-7, -8, -257, Buffer.from("x"), "x", null])),
  (plan, by) => plan.statement.set("x5c", by.pick([[], ["x"], "x", null])),
  (plan, by) => (plan.behind = Buffer.alloc(1 + by.below(5), by.below(256))),
];

const OF_AUTHENTICATIONS = [
  (plan, by) => (plan.userHandle = by.pick([undefined, null, "", "BgYG", "BQ==", 1])),
  (plan, by) => (plan.stored.sign_count = by.pick([0, 7, 8, 9, 0xffffffff])),
  (plan) => (plan.stored.backup_eligible = false),
  (plan, by) => (plan.id = Buffer.alloc(by.pick([1, 32, 1024]), 2)),
  (plan) => {
    plan.flags |= AT;
    plan.tail = Buffer.concat([Buffer.alloc(16), Buffer.from([0, 1, 1]), cbor(plan.passkey.cose)]);
  },
];

/** Of the JSON, after everything was signed. */
const OF_JSON = [
  (json, by) => delete json[by.pick(["id", "rawId", "type", "response", "clientExtensionResults"])],
  (json, by) => (json[by.pick(["id", "rawId", "type", "clientExtensionResults"])] = by.pick(WRONG_TYPES)),
  (json, by) => (json[by.pick(["id", "rawId"])] = by.pick(["", "AQ", "A=", "é"])),
  (json) => (json.id = json.rawId = "AQ"),
  (json, by) => delete json.response[by.pick(Object.keys(json.response))],
  (json, by) => (json.response[by.pick(Object.keys(json.response))] = by.pick(["", ...WRONG_TYPES])),
  (json, by) => (json.response[by.pick(texts(json))] += by.pick(["=", "A", "+", " ", "\n"])),
  (json, by) => turnBits(json, by, 1),
  (json, by) => turnBits(json, by, 1),
  (json, by) => turnBits(json, by, 1),
  (json, by) => turnBits(json, by, 3),
  (json, by) => changeBytes(json, by, (bytes) => bytes.subarray(0, by.below(bytes.length))),
  (json, by) => changeBytes(json, by, (bytes) => Buffer.concat([bytes, Buffer.from([by.below(256)])])),
  (json, by) => (json[by.pick(["extra", "authenticatorAttachment"])] = by.pick(["x", null, [1]])),
];

const texts = (json) => Object.keys(json.response).filter((name) => typeof json.response[name] === "string");

function changeBytes(json, by, change) {
  const name = by.pick(texts(json));
  json.response[name] = change(Buffer.from(json.response[name], "base64url")).toString("base64url");
}

function turnBits(json, by, count) {
  changeBytes(json, by, (bytes) => {
    for (let turned = 0; turned < count; turned++) bytes[by.below(bytes.length)] ^= 1 << by.below(8);
    return bytes;
  });
}

/** The mutations of one ceremony: those of its plans, and those of the JSON. */
export const mutations = (ceremony) => ({
  ofPlans: [...OF_PLANS, ...(ceremony === "registration" ? OF_REGISTRATIONS : OF_AUTHENTICATIONS)],
  ofJson: OF_JSON,
});
