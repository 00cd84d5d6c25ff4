// `oauth4webapi`, used as its own examples use it.
import * as oauth from "oauth4webapi";

import { assertion } from "./account.js";

const GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/** The server under test speaks HTTP on the loopback interface. */
export const INSECURE = { [oauth.allowInsecureRequests]: true };

/** Runs a request, and once more if the server asked for its nonce. */
export async function withNonce(attempt) {
  try {
    return await attempt();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    return attempt();
  }
}

export async function discover(server) {
  const issuer = new URL(server.origin);
  const response = await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...INSECURE });
  return oauth.processDiscoveryResponse(issuer, response);
}

/** A session: an account, its client and the handle that makes the proofs. */
export async function session(server, account, dpopKey = account.key) {
  const client = { client_id: account.username };
  const as = await discover(server);
  return { server, account, as, client, dpopKey, DPoP: oauth.DPoP(client, dpopKey) };
}

/** Gets an access token for the session; the very same assertion goes along when the server asks for its nonce. */
export async function logIn(session, resource) {
  const { server, account, as, client, dpopKey, DPoP, authentication = oauth.None() } = session;
  const sessionThumbprint = dpopKey === account.key ? undefined : dpopKey.thumbprint;
  const parameters = { assertion: await assertion(server, account, sessionThumbprint), ...(resource && { resource }) };
  return withNonce(async () => {
    const options = { DPoP, ...INSECURE };
    const response = await oauth.genericTokenEndpointRequest(as, client, authentication, GRANT, parameters, options);
    return oauth.processGenericTokenEndpointResponse(as, client, response);
  });
}

/** Calls a protected resource with the session's proof. */
export function call({ server, DPoP }, token, method = "GET", path = "/v1/whoami", body = undefined) {
  const url = new URL(path, server.origin);
  return withNonce(() => oauth.protectedResourceRequest(token, method, url, new Headers(), body, { DPoP, ...INSECURE }));
}
