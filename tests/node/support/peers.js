// Countersign and node oidc-provider, asked for the same things: a token with a DPoP proof, a resource, introspection,
// revocation. The request that an honest client would send is a plan, which a mistake changes before it is sent.
import { generateKeyPairSync, randomBytes, randomUUID } from "node:crypto";
import { createServer, request as httpRequest } from "node:http";
import * as jose from "jose";
import { Provider } from "oidc-provider";

import { newAccount } from "./account.js";
import { es256, jws, tokenHash } from "./jws.js";
import { startServer } from "./server.js";

const JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const CLIENT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const now = () => Math.floor(Date.now() / 1000);

async function newPair() {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { kty, crv, x, y, d } = privateKey.export({ format: "jwk" });
  const jwk = { kty, crv, x, y };
  return { alg: "ES256", privateKey, jwk, privateJwk: { ...jwk, d }, thumbprint: await jose.calculateJwkThumbprint(jwk) };
}

/** Sends exactly these header fields, several of one name too, and gives back the answer. */
function send(url, method, headers, body) {
  return new Promise((answered, failed) => {
    const outgoing = httpRequest(url, { method, headers, agent: false }, (incoming) => {
      const chunks = [];
      incoming.on("data", (chunk) => chunks.push(chunk));
      incoming.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        answered({ status: incoming.statusCode, headers: incoming.headers, text });
      });
    });
    outgoing.on("error", failed);
    outgoing.end(body);
  });
}

/** What the two have in common: who calls, and how an honest request is made. */
class Peer {
  nonces = {};

  async prepare() {
    this.stranger = await newPair();
    const { text } = await this.ask("token", () => {});
    this.token = JSON.parse(text).access_token;
    this.resourceToken = await this.tokenForResource();
    await this.ask("resource", () => {});
    return this;
  }

  /** The proof of an honest client for that place. */
  proof(place) {
    const { key } = this;
    const { method, url, nonces } = place;
    const claims = { jti: randomUUID(), htm: method, htu: url, iat: now(), nonce: nonces };
    return { header: { typ: "dpop+jwt", alg: key.alg, jwk: key.jwk }, claims, key: key.privateKey, sign: es256 };
  }

  /** The assertion by which an honest client authenticates itself. */
  assertion() {
    const claims = { iss: this.clientId, sub: this.clientId, aud: this.origin, iat: now(), exp: now() + 60, jti: randomUUID() };
    return { header: { alg: this.key.alg, kid: this.key.thumbprint }, claims, key: this.key.privateKey, sign: es256 };
  }

  clientForm = { client_assertion_type: CLIENT_ASSERTION };

  plan(door) {
    const url = this.urls[door === "client" ? "introspection" : door];
    const plan = { url, method: door === "resource" ? "GET" : "POST", headers: {}, assertion: this.assertion() };
    if (door === "token") plan.form = { ...this.grant };
    else if (door !== "resource") plan.form = { token: this.token, ...this.clientForm };
    if (door === "token" || door === "resource") {
      plan.proof = this.proof({ method: plan.method, url, nonces: this.nonces[door] });
    }
    if (door === "resource") {
      plan.proof.claims.ath = tokenHash(this.resourceToken);
      plan.headers.Authorization = `DPoP ${this.resourceToken}`;
    }
    plan.assertionName = door === "token" ? this.assertionName : "client_assertion";
    return plan;
  }

  /** Sends what `mistake` makes of an honest plan, with the newest nonce of that place. */
  async ask(door, mistake) {
    if ((door === "token" || door === "resource") && !this.nonces[door]) await this.sendPlan(door, this.plan(door));
    const plan = this.plan(door);
    await mistake(plan, this);
    const answer = await this.sendPlan(door, plan);
    if (!plan.twice) return answer;
    if (answer.status !== 200) throw new Error(`what is to be repeated was refused: ${answer.text}`);
    // The second request repeats one part of the first and is honest and new otherwise.
    const again = this.plan(door);
    again[plan.twice] = plan[plan.twice];
    return this.sendPlan(door, again);
  }

  async sendPlan(door, plan) {
    const headers = { ...plan.headers };
    const finished = (jwt) => jwt.text ?? (jwt.compact ?? ((x) => x))(jws(jwt.header, jwt.claims, jwt.key, jwt.sign));
    if (plan.proof) {
      plan.proof.text = finished(plan.proof);
      headers.DPoP = plan.proof.fields?.(plan.proof.text) ?? plan.proof.text;
    }
    let { body } = plan;
    if (plan.form) {
      const fields = Object.entries(plan.form).flatMap(([name, value]) => [value].flat().map((one) => [name, one]));
      if (plan.assertion) {
        plan.assertion.text = finished(plan.assertion);
        fields.push([plan.assertionName, plan.assertion.text]);
      }
      headers["Content-Type"] ??= "application/x-www-form-urlencoded";
      body ??= String(new URLSearchParams(fields));
      if (plan.method === "GET") body = undefined;
    }
    if (body !== undefined) headers["Content-Length"] = Buffer.byteLength(body);
    const answer = await send(plan.url + (plan.query ?? ""), plan.method, headers, body);
    const nonce = answer.headers["dpop-nonce"];
    if (nonce) this.nonces[door] = nonce;
    return answer;
  }
}

/** Countersign, where the grant is an assertion and a client is an account. */
class Countersign extends Peer {
  assertionName = "assertion";
  grant = { grant_type: JWT_BEARER };

  async start() {
    this.server = await startServer();
    this.origin = this.server.origin;
    this.key = await newPair();
    const account = await newAccount(this.server, { ...this.key });
    this.clientId = account.username;
    this.urls = {
      token: `${this.origin}/oauth/token`,
      introspection: `${this.origin}/oauth/introspect`,
      revocation: `${this.origin}/oauth/revoke`,
      resource: `${this.origin}/v1/whoami`,
    };
    return this.prepare();
  }

  async tokenForResource() {
    return this.token;
  }

  /** A token of somebody else. */
  async foreignToken() {
    const other = new Countersign();
    Object.assign(other, { server: this.server, origin: this.origin, urls: this.urls, key: await newPair() });
    other.clientId = (await newAccount(this.server, { ...other.key })).username;
    return JSON.parse((await other.ask("token", () => {})).text).access_token;
  }

  stop() {
    return this.server.stop();
  }
}

/** node oidc-provider, where the client authenticates itself and asks by its own right. */
class OidcProvider extends Peer {
  assertionName = "client_assertion";
  grant = { grant_type: "client_credentials", client_assertion_type: CLIENT_ASSERTION };
  clientId = "client";

  async start() {
    this.key = await newPair();
    this.otherKey = await newPair();
    const http = createServer((incoming, outgoing) => handler(incoming, outgoing));
    await new Promise((listening) => http.listen(0, "127.0.0.1", listening));
    this.http = http;
    this.origin = `http://127.0.0.1:${http.address().port}`;
    this.provider = new Provider(this.origin, {
      clients: [client(this.clientId, this.key), client("other", this.otherKey)],
      cookies: { keys: [randomBytes(16).toString("hex")] },
      jwks: { keys: [{ ...(await newPair()).privateJwk, alg: "ES256", use: "sig" }] },
      features: {
        clientCredentials: { enabled: true },
        devInteractions: { enabled: false },
        dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
        introspection: { enabled: true },
        revocation: { enabled: true },
        userinfo: { enabled: true },
      },
      findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    });
    const handler = this.provider.callback();
    this.urls = {
      token: `${this.origin}/token`,
      introspection: `${this.origin}/token/introspection`,
      revocation: `${this.origin}/token/revocation`,
      resource: `${this.origin}/me`,
    };
    return this.prepare();
  }

  /** Its one resource, userinfo, wants the token of a person, which is made here without a browser. */
  async tokenForResource() {
    const owner = await this.provider.Client.find(this.clientId);
    const grant = new this.provider.Grant({ accountId: "alice", clientId: this.clientId });
    grant.addOIDCScope("openid");
    const token = new this.provider.AccessToken({
      accountId: "alice",
      client: owner,
      grantId: await grant.save(),
      gty: "authorization_code",
      scope: "openid",
    });
    token.setThumbprint("jkt", this.key.thumbprint);
    return token.save();
  }

  async foreignToken() {
    const other = new OidcProvider();
    Object.assign(other, { origin: this.origin, urls: this.urls, key: this.otherKey, clientId: "other" });
    return JSON.parse((await other.ask("token", () => {})).text).access_token;
  }

  async stop() {
    this.http.closeAllConnections();
    await new Promise((closed) => this.http.close(closed));
  }
}

function client(id, key) {
  return {
    client_id: id,
    grant_types: ["client_credentials", "authorization_code"],
    response_types: ["code"],
    redirect_uris: ["https://client.example/callback"],
    token_endpoint_auth_method: "private_key_jwt",
    dpop_bound_access_tokens: true,
    id_token_signed_response_alg: "ES256",
    jwks: { keys: [{ ...key.jwk, kid: key.thumbprint, use: "sig" }] },
  };
}

export const startCountersign = () => new Countersign().start();
export const startOidcProvider = () => new OidcProvider().start();
