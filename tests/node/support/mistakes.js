// Mistakes that a client can make alike at any authorization server: the name of each, and what it does to an honest plan.
import { generateKeyPairSync, randomUUID } from "node:crypto";

import { es256Der, jws, tokenHash } from "./jws.js";

const now = () => Math.floor(Date.now() / 1000);
const without = (part, name) => (plan) => {
  delete plan[part[0]][part[1]][name];
};
const header = (name, value) => (plan) => {
  plan.proof.header[name] = value;
};
const claim = (name, value) => (plan) => {
  plan.proof.claims[name] = typeof value === "function" ? value(plan.proof.claims[name]) : value;
};
const form = (name, value) => (plan) => {
  if (value === undefined) delete plan.form[name];
  else plan.form[name] = value;
};
const assertionHeader = (name, value) => (plan) => {
  plan.assertion.header[name] = value;
};
const assertionClaim = (name, value) => (plan, peer) => {
  plan.assertion.claims[name] = typeof value === "function" ? value(plan.assertion.claims[name], peer) : value;
};
const proofText = (change) => (plan) => {
  plan.proof.compact = change;
};
const assertionText = (change) => (plan) => {
  plan.assertion.compact = change;
};
const repeated = (part) => (plan) => {
  plan.twice = part;
};
const flipped = (jwt) => {
  const signature = Buffer.from(jwt.split(".")[2], "base64url");
  signature[0] ^= 1;
  return `${jwt.slice(0, jwt.lastIndexOf("."))}.${signature.toString("base64url")}`;
};
const unsigned = (jwt) => jwt.slice(0, jwt.lastIndexOf(".") + 1);
const asJson = (jwt) => {
  const [protected_, payload, signature] = jwt.split(".");
  return JSON.stringify({ protected: protected_, payload, signature });
};
const jsonBody = (plan) => {
  plan.headers["Content-Type"] = "application/json";
  plan.body = JSON.stringify(plan.form);
};
const get = (plan) => {
  plan.method = "GET";
  plan.query = `?${new URLSearchParams(plan.form)}`;
};

/** A key of another curve, whose algorithm neither metadata names. */
const P521 = generateKeyPairSync("ec", { namedCurve: "P-521" });

const proofMistakes = [
  ["no proof", (plan) => delete plan.proof],
  ["two proofs", (plan) => (plan.proof.fields = (text) => [text, text])],
  ["a proof that is no JWT", (plan) => (plan.proof.text = "garbage")],
  ["a proof in the JSON serialisation", proofText(asJson)],
  ["a proof with a padded signature", proofText((jwt) => `${jwt}==`)],
  ["no typ", without(["proof", "header"], "typ")],
  ["typ JWT", header("typ", "JWT")],
  ["no alg", without(["proof", "header"], "alg")],
  ["alg none, without a signature", (plan) => Object.assign(plan.proof, { compact: unsigned }) && header("alg", "none")(plan)],
  ["alg HS256", header("alg", "HS256")],
  ["alg ES384 of a P-256 key", header("alg", "ES384")],
  ["a key of P-521", (plan) => (plan.proof.header.jwk = P521.publicKey.export({ format: "jwk" }))],
  ["no jwk", without(["proof", "header"], "jwk")],
  ["a private jwk", (plan, { key }) => (plan.proof.header.jwk = key.privateJwk)],
  ["a symmetric jwk", header("jwk", { kty: "oct", k: "c2VjcmV0" })],
  ["a jwk that is a text", header("jwk", "key")],
  ["an unknown crit", header("crit", ["https://example.com/unknown"])],
  ["the key of somebody else in jwk", (plan, { stranger }) => (plan.proof.header.jwk = stranger.jwk)],
  ["a changed signature", proofText(flipped)],
  ["an empty signature", proofText(unsigned)],
  ["an ECDSA signature in DER", (plan) => (plan.proof.sign = es256Der)],
  ["no jti", without(["proof", "claims"], "jti")],
  ["a jti that is a number", claim("jti", 7)],
  ["no htm", without(["proof", "claims"], "htm")],
  ["htm of another method", claim("htm", "PUT")],
  ["htm in lower case", claim("htm", (method) => method.toLowerCase())],
  ["no htu", without(["proof", "claims"], "htu")],
  ["htu of another path", claim("htu", (url) => `${url}/other`)],
  ["htu of another host", claim("htu", (url) => url.replace("127.0.0.1", "localhost"))],
  ["htu that is only a path", claim("htu", (url) => new URL(url).pathname)],
  ["no iat", without(["proof", "claims"], "iat")],
  ["an iat that is a text", claim("iat", (time) => String(time))],
  ["an iat of an hour ago", claim("iat", (time) => time - 3600)],
  ["an iat an hour ahead", claim("iat", (time) => time + 3600)],
  ["no nonce", without(["proof", "claims"], "nonce")],
  ["a nonce of the client's own", claim("nonce", "AAAABBBBCCCCDDDD")],
  ["a nonce that is a number", claim("nonce", 7)],
  ["an exp that is over", claim("exp", () => now() - 3600)],
  ["claims that are an array", (plan) => (plan.proof.claims = ["claims"])],
  ["the proof again", repeated("proof")],
];

const tokenMistakes = [
  ...proofMistakes,
  ["no grant_type", form("grant_type")],
  ["an unknown grant_type", form("grant_type", "urn:example:unknown")],
  ["grant_type twice", (plan) => (plan.form.grant_type = [plan.form.grant_type, plan.form.grant_type])],
  ["no assertion", (plan) => delete plan.assertion],
  ["a body in JSON", jsonBody],
  ["GET, with everything in the query", get],
  ["an unknown scope", form("scope", "unknown-scope")],
  ["a secret too", form("client_secret", "secret")],
  ["Basic credentials too", (plan) => (plan.headers.Authorization = `Basic ${btoa("client:secret")}`)],
  ["the client_id of somebody else", form("client_id", "somebody-else")],
];

const resourceMistakes = [
  ["nothing presented", (plan) => delete plan.proof && delete plan.headers.Authorization],
  ["a proof without a token", (plan) => delete plan.headers.Authorization],
  ["the token alone", (plan) => delete plan.proof],
  ["the token as Bearer, without a proof", (plan, peer) => delete plan.proof && bearer(plan, peer)],
  ["the token as Bearer, with a proof", (plan, peer) => bearer(plan, peer)],
  ["a token that is none", (plan) => presented(plan, "not-a-token")],
  ["a scheme without a token", (plan) => (plan.headers.Authorization = "DPoP")],
  ["no ath", without(["proof", "claims"], "ath")],
  ["ath of another token", claim("ath", tokenHash("another"))],
  ["a proof by another key", (plan, { stranger }) => byAnother(plan.proof, stranger)],
  ["htm of another method", claim("htm", "POST")],
  ["htu of another path", claim("htu", (url) => `${url}/other`)],
  ["an iat of an hour ago", claim("iat", (time) => time - 3600)],
  ["no nonce", without(["proof", "claims"], "nonce")],
  ["a nonce of the client's own", claim("nonce", "AAAABBBBCCCCDDDD")],
  ["a changed signature", proofText(flipped)],
  ["two proofs", (plan) => (plan.proof.fields = (text) => [text, text])],
  ["the proof again", repeated("proof")],
];

const clientMistakes = [
  ["no client authentication", (plan) => delete plan.assertion && form("client_assertion_type")(plan)],
  ["an assertion that is no JWT", (plan) => (plan.assertion.text = "garbage")],
  ["no client_assertion_type", form("client_assertion_type")],
  ["an unknown client_assertion_type", form("client_assertion_type", "urn:example:unknown")],
  ["client_assertion_type alone", (plan) => delete plan.assertion],
  ["alg none, without a signature", (plan) => Object.assign(plan.assertion, { compact: unsigned }) && assertionHeader("alg", "none")(plan)],
  ["alg HS256", assertionHeader("alg", "HS256")],
  ["a changed signature", assertionText(flipped)],
  ["an ECDSA signature in DER", (plan) => (plan.assertion.sign = es256Der)],
  ["the key of somebody else", (plan, { stranger }) => (plan.assertion.key = stranger.privateKey)],
  ["a client that does not exist", (plan) => Object.assign(plan.assertion.claims, { iss: "nobody", sub: "nobody" })],
  ["an unknown crit", assertionHeader("crit", ["https://example.com/unknown"])],
  ["typ at+jwt", assertionHeader("typ", "at+jwt")],
  ["no iss", without(["assertion", "claims"], "iss")],
  ["no sub", without(["assertion", "claims"], "sub")],
  ["iss and sub that differ", assertionClaim("iss", "somebody-else")],
  ["no aud", without(["assertion", "claims"], "aud")],
  ["aud of another server", assertionClaim("aud", "https://other.example")],
  ["aud of the endpoint", assertionClaim("aud", (_, peer) => peer.urls.introspection)],
  ["aud of two, the issuer among them", assertionClaim("aud", (issuer) => [issuer, "https://other.example"])],
  ["no exp", without(["assertion", "claims"], "exp")],
  ["an exp that is over", assertionClaim("exp", () => now() - 60)],
  ["an exp that is a text", assertionClaim("exp", (time) => String(time))],
  ["an exp of next year", assertionClaim("exp", (time) => time + 31_536_000)],
  ["an nbf an hour ahead", assertionClaim("nbf", () => now() + 3600)],
  ["an iat an hour ahead", assertionClaim("iat", () => now() + 3600)],
  ["no jti", without(["assertion", "claims"], "jti")],
  ["the assertion again", repeated("assertion")],
  ["a DPoP proof as assertion", (plan, peer) => (plan.assertion.text = proofOf(peer, plan))],
  ["a secret too", form("client_secret", "secret")],
  ["Basic credentials too", (plan) => (plan.headers.Authorization = `Basic ${btoa("client:secret")}`)],
  ["the client_id of somebody else", form("client_id", "somebody-else")],
];

const introspectionMistakes = [
  ["no token", form("token")],
  ["a token that is none", form("token", "not-a-token")],
  ["token twice", (plan) => (plan.form.token = [plan.form.token, plan.form.token])],
  ["a token of somebody else", async (plan, peer) => (plan.form.token = await peer.foreignToken())],
  ["an unknown token_type_hint", form("token_type_hint", "unknown")],
  ["a body in JSON", jsonBody],
  ["GET, with everything in the query", get],
];

const revocationMistakes = [
  ["no token", form("token")],
  ["a token that is none", form("token", "not-a-token")],
  ["token twice", (plan) => (plan.form.token = [plan.form.token, plan.form.token])],
  ["a token of somebody else", async (plan, peer) => (plan.form.token = await peer.foreignToken())],
  ["an assertion by somebody else's key", (plan, { stranger }) => (plan.assertion.key = stranger.privateKey)],
  ["a token that is none, with an unknown token_type_hint", (plan) => Object.assign(plan.form, { token: "x", token_type_hint: "unknown" })],
  ["a body in JSON", jsonBody],
  ["GET, with everything in the query", get],
];

function presented(plan, token) {
  plan.headers.Authorization = `DPoP ${token}`;
  plan.proof.claims.ath = tokenHash(token);
}

function bearer(plan, peer) {
  plan.headers.Authorization = `Bearer ${peer.resourceToken}`;
}

function byAnother(proof, { jwk, privateKey }) {
  proof.header.jwk = jwk;
  proof.key = privateKey;
}

function proofOf({ key }, { url }) {
  const claims = { jti: randomUUID(), htm: "POST", htu: url, iat: now() };
  return jws({ typ: "dpop+jwt", alg: key.alg, jwk: key.jwk }, claims, key.privateKey);
}

/** By the place where they are made. */
export const MISTAKES = {
  token: tokenMistakes,
  resource: resourceMistakes,
  client: clientMistakes,
  introspection: introspectionMistakes,
  revocation: revocationMistakes,
};
