// Passkeys' responses with something wrong get the verdict of @simplewebauthn/server, or a stricter one for a reason.
// Statements of authenticators' makers are left out: it evaluates them, and here they count as none.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { verifyAuthenticationResponse, verifyRegistrationResponse } from "@simplewebauthn/server";

import {
  authentication,
  authenticationPlan,
  cbor,
  CHALLENGE,
  newPasskey,
  ORIGIN,
  registration,
  registrationPlan,
  RP_ID,
} from "./support/authenticator.js";
import { mutations, random } from "./support/mutations.js";

const SEED = 20_261_127;
const CASES = 1000;

/** What this product says where it refuses and the other accepts, and why it is right to refuse. */
const STRICTER = [
  [/\(crossOrigin\)|\(topOrigin\)|member (crossOrigin|topOrigin) /, "a page within another may deceive its user"],
  [/^clientDataJSON: /, "a member that comes twice, or is no UTF-8, means one thing here and another elsewhere"],
  [/ is not canonical base64url /, "bytes have one spelling"],
  [/ is malformed$/, "tokenBinding had its form as long as it existed (Level 2, section 5.8.1)"],
  [/member (transports|clientExtensionResults) |^a transport is /, "what is stored or looked at has its type"],
  [/ CBOR$|ends within a value$/, "the attestation object is one whole value"],
  [/^the attestation statement |^the self attestation /, "a packed statement has alg, sig and x5c, and no more (section 8.2)"],
  [/^the extensions that the flag ED announces /, "extensions are a map from names (section 9.1)"],
  [/ of the COSE key | COSE key (has|lacks|is) /, "a key is looked at when it comes, not when its owner wants to log in"],
  [/^the passkey's key is not acceptable: /, "a key that protects nothing protects nobody"],
  [/^a credential id has at most 1023 bytes/, "section 4"],
  [/^the id of the credential is not /, "section 7.1 stores the id that the authenticator has signed"],
  [/^the response is by another passkey$/, "there, the caller compares the ids"],
  [/\(userHandle\)|member userHandle /, "there, the caller compares the account (section 7.2, step 6)"],
  [/\(BE\)$/, "there, the caller compares what may never change (section 6.1.3)"],
  [/\(the flag AT is set\)/, "only a registration has a new passkey (section 6.1)"],
  [/^the signature is wrong$/, "DER has one spelling, and nothing behind it"],
];

/** Where `cargo build -p countersign-protocol --example webauthn_verdicts` puts it. */
const built = fileURLToPath(new URL("../../target/debug/countersign", import.meta.url));
const program = join(dirname(resolve(process.env.COUNTERSIGN_BIN ?? built)), "examples", "webauthn_verdicts");

/** The verdicts of this product, by an example of its crate `protocol`. */
function ourVerdicts(cases) {
  const input = cases.map((one) => `${JSON.stringify(one.asked)}\n`).join("");
  const { status, stdout, stderr, error } = spawnSync(program, { input, encoding: "utf8", maxBuffer: 1 << 26 });
  assert.equal(error, undefined, `${program}: ${error?.message}`);
  assert.equal(status, 0, stderr);
  return stdout.trimEnd().split("\n");
}

/** Whether @simplewebauthn/server accepts it. */
async function theirVerdict({ asked, passkey }) {
  const expected = { expectedChallenge: CHALLENGE, expectedOrigin: ORIGIN, expectedRPID: RP_ID };
  try {
    const response = JSON.parse(asked.response);
    if (asked.ceremony === "registration") {
      const supportedAlgorithmIDs = [-8, -7, -257];
      return (await verifyRegistrationResponse({ ...expected, response, supportedAlgorithmIDs })).verified;
    }
    const credential = { id: asked.stored.id, publicKey: cbor(passkey.cose), counter: asked.stored.sign_count };
    return (await verifyAuthenticationResponse({ ...expected, response, credential })).verified;
  } catch {
    return false;
  }
}

function newCase(ceremony, passkey, by, mutated = true) {
  const { ofPlans, ofJson } = mutations(ceremony);
  const mutation = by.below(ofPlans.length + ofJson.length);
  const plan =
    ceremony === "registration" ? registrationPlan(passkey, by.below(2) === 1) : authenticationPlan(passkey);
  if (mutated && mutation < ofPlans.length) ofPlans[mutation](plan, by);
  const json = ceremony === "registration" ? registration(plan) : authentication(plan);
  if (mutated && mutation >= ofPlans.length) ofJson[mutation - ofPlans.length](json, by);
  const response = JSON.stringify(json);
  const asked = { ceremony, response, challenge: CHALLENGE, rp_id: RP_ID, origin: ORIGIN, stored: plan.stored };
  return { asked, passkey };
}

test("both accept what is right", async () => {
  const by = random(SEED);
  const cases = [-7, -8, -257].flatMap((alg) => {
    const passkey = newPasskey(alg);
    return ["registration", "registration", "authentication"].map((ceremony) => newCase(ceremony, passkey, by, false));
  });
  assert.deepEqual(ourVerdicts(cases), cases.map(() => "accepted"));
  assert.ok((await Promise.all(cases.map(theirVerdict))).every(Boolean));
});

test("a response with something wrong gets the verdict of @simplewebauthn/server, or a stricter one for a reason", async () => {
  const by = random(SEED);
  const passkeys = [-7, -8, -257].map(newPasskey);
  const cases = Array.from({ length: CASES }, () =>
    newCase(by.pick(["registration", "authentication"]), by.pick(passkeys), by),
  );
  const ours = ourVerdicts(cases);
  const theirs = await Promise.all(cases.map(theirVerdict));
  const shown = new Set();
  const counts = { both: 0, neither: 0, stricter: 0 };
  const wrong = [];
  for (const [index, { asked }] of cases.entries()) {
    const [, refusal] = ours[index].match(/^refused: (.*)$/) ?? [];
    if ((refusal === undefined) === theirs[index]) {
      counts[theirs[index] ? "both" : "neither"]++;
      continue;
    }
    counts.stricter++;
    const reason = refusal && STRICTER.find(([form]) => form.test(refusal));
    if (reason) shown.add(reason);
    else wrong.push(`${ours[index]}; theirs: ${theirs[index]}; ${JSON.stringify(asked)}`);
  }
  assert.deepEqual(wrong, []);
  assert.deepEqual(STRICTER.filter((reason) => !shown.has(reason)), [], "a reason that no response shows");
  assert.ok(counts.both > 50 && counts.neither > 500, JSON.stringify(counts));
});
