// Accounts: made with `jose` as any client of the native surface would.
import { randomUUID } from "node:crypto";
import * as jose from "jose";

let accounts = 0;

/** A key pair that an account owns; `alg` is a JOSE algorithm. */
export async function newKey(alg = "ES256") {
  const { publicKey, privateKey } = await jose.generateKeyPair(alg, { extractable: true });
  const { kty, crv, x, y, n, e } = await jose.exportJWK(publicKey);
  const jwk = JSON.parse(JSON.stringify({ kty, crv, x, y, n, e }));
  return { alg, publicKey, privateKey, jwk, thumbprint: await jose.calculateJwkThumbprint(jwk) };
}

/** Registers an account; the key proves itself by a DPoP proof (RFC 9449 §4.2). */
export async function newAccount(server, key) {
  key ??= await newKey();
  const username = `node-${process.pid}-${++accounts}`;
  const url = `${server.origin}/v1/accounts`;
  const proof = await new jose.SignJWT({ htm: "POST", htu: url, jti: randomUUID() })
    .setProtectedHeader({ typ: "dpop+jwt", alg: key.alg, jwk: key.jwk })
    .setIssuedAt()
    .sign(key.privateKey);
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", dpop: proof },
    body: JSON.stringify({ username, public_key: key.jwk }),
  });
  if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
  const { account_id: id } = await response.json();
  return { username, id, key };
}

/** A login assertion (RFC 7523 §3), for another DPoP key if its thumbprint is given. */
export function assertion(server, account, sessionThumbprint) {
  const claims = sessionThumbprint ? { cnf: { jkt: sessionThumbprint } } : {};
  return new jose.SignJWT(claims)
    .setProtectedHeader({ alg: account.key.alg, kid: account.key.thumbprint })
    .setIssuer(account.username)
    .setSubject(account.username)
    .setAudience(server.origin)
    .setIssuedAt()
    .setExpirationTime("1m")
    .setJti(randomUUID())
    .sign(account.key.privateKey);
}
