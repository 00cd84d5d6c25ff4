// An authenticator and a browser that do right, until a test changes one of their parts.
import { createHash, generateKeyPairSync, sign } from "node:crypto";

export const RP_ID = "example.org";
export const ORIGIN = "https://example.org";
export const CHALLENGE = Buffer.alloc(32, 9).toString("base64url");
export const USER_HANDLE = Buffer.alloc(32, 5).toString("base64url");

export const UP = 1;
export const UV = 1 << 2;
export const BE = 1 << 3;
export const BS = 1 << 4;
export const AT = 1 << 6;
export const ED = 1 << 7;

const sha256 = (data) => createHash("sha256").update(data).digest();

/** The shortest CBOR (RFC 8949) of integers, strings, Buffers, arrays, Maps, booleans and null. */
export function cbor(value) {
  const head = (major, number) => {
    if (number < 24) return Buffer.from([(major << 5) | number]);
    if (number < 0x100) return Buffer.from([(major << 5) | 24, number]);
    if (number < 0x10000) return Buffer.from([(major << 5) | 25, number >> 8, number & 0xff]);
    const wide = Buffer.alloc(5);
    wide[0] = (major << 5) | 26;
    wide.writeUInt32BE(number, 1);
    return wide;
  };
  if (value === null) return Buffer.from([0xf6]);
  if (typeof value === "boolean") return Buffer.from([value ? 0xf5 : 0xf4]);
  if (typeof value === "number") return value >= 0 ? head(0, value) : head(1, -1 - value);
  if (typeof value === "string") return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value]);
  if (Array.isArray(value)) return Buffer.concat([head(4, value.length), ...value.map(cbor)]);
  return Buffer.concat([head(5, value.size), ...[...value].flatMap(([key, own]) => [cbor(key), cbor(own)])]);
}

const KINDS = {
  "-7": ["ec", { namedCurve: "P-256" }],
  "-8": ["ed25519", {}],
  "-257": ["rsa", { modulusLength: 2048 }],
};

/** A new passkey for a COSE algorithm: -7, -8 or -257. */
export function newPasskey(alg) {
  const { publicKey, privateKey } = generateKeyPairSync(...KINDS[alg]);
  const jwk = publicKey.export({ format: "jwk" });
  const bytes = (name) => Buffer.from(jwk[name], "base64url");
  const parts = {
    "-7": () => [[1, 2], [3, -7], [-1, 1], [-2, bytes("x")], [-3, bytes("y")]],
    "-8": () => [[1, 1], [3, -8], [-1, 6], [-2, bytes("x")]],
    "-257": () => [[1, 3], [3, -257], [-1, bytes("n")], [-2, bytes("e")]],
  };
  return { alg, privateKey, jwk, cose: new Map(parts[alg]()), id: Buffer.alloc(32, 1) };
}

const signature = (passkey, data) => sign(passkey.alg === -8 ? null : "sha256", data, passkey.privateKey);

const clientData = (type) => ({ type, challenge: CHALLENGE, origin: ORIGIN, crossOrigin: false });

/** A good registration of `passkey` in parts, for `registration` to put together. */
export const registrationPlan = (passkey, selfAttested = false) => ({
  passkey,
  selfAttested,
  client: clientData("webauthn.create"),
  clientText: JSON.stringify,
  rpId: RP_ID,
  flags: UP | UV | BE | BS | AT,
  counter: 0,
  id: passkey.id,
  idLength: passkey.id.length,
  cose: new Map(passkey.cose),
  coseBytes: cbor,
  tail: Buffer.alloc(0),
  format: selfAttested ? "packed" : "none",
  statement: new Map(),
  behind: Buffer.alloc(0),
});

/** A good authentication by `passkey` in parts, for `authentication` to put together. */
export const authenticationPlan = (passkey) => ({
  passkey,
  client: clientData("webauthn.get"),
  clientText: JSON.stringify,
  rpId: RP_ID,
  flags: UP | UV | BE | BS,
  counter: 8,
  id: passkey.id,
  tail: Buffer.alloc(0),
  userHandle: USER_HANDLE,
  /** What the server has stored of it. */
  stored: {
    id: passkey.id.toString("base64url"),
    user_handle: USER_HANDLE,
    public_key: passkey.jwk,
    sign_count: 7,
    backup_eligible: true,
  },
});

function head(plan) {
  const counter = Buffer.alloc(4);
  counter.writeUInt32BE(plan.counter);
  return Buffer.concat([sha256(plan.rpId), Buffer.from([plan.flags]), counter]);
}

function credential(plan, response) {
  const id = plan.id.toString("base64url");
  return { id, rawId: id, type: "public-key", clientExtensionResults: {}, response };
}

/** The RegistrationResponseJSON that a plan describes. */
export function registration(plan) {
  const length = Buffer.from([plan.idLength >> 8, plan.idLength & 0xff]);
  const attested = [Buffer.alloc(16, 0xaa), length, plan.id, plan.coseBytes(plan.cose)];
  const data = Buffer.concat([head(plan), ...(plan.flags & AT ? attested : []), plan.tail]);
  const client = Buffer.from(plan.clientText(plan.client));
  const statement = plan.selfAttested
    ? new Map([
        ["alg", plan.passkey.alg],
        ["sig", signature(plan.passkey, Buffer.concat([data, sha256(client)]))],
        ...plan.statement,
      ])
    : plan.statement;
  const object = cbor(new Map([["fmt", plan.format], ["attStmt", statement], ["authData", data]]));
  return credential(plan, {
    clientDataJSON: client.toString("base64url"),
    attestationObject: Buffer.concat([object, plan.behind]).toString("base64url"),
    transports: ["internal", "hybrid"],
  });
}

/** The AuthenticationResponseJSON that a plan describes. */
export function authentication(plan) {
  const data = Buffer.concat([head(plan), plan.tail]);
  const client = Buffer.from(plan.clientText(plan.client));
  return credential(plan, {
    clientDataJSON: client.toString("base64url"),
    authenticatorData: data.toString("base64url"),
    signature: signature(plan.passkey, Buffer.concat([data, sha256(client)])).toString("base64url"),
    userHandle: plan.userHandle,
  });
}
