// A proxy between browser and server, under the server's own name, that changes answers on the way and hears every request.
import { createServer, request } from "node:http";

import { freePort, startServer } from "./server.js";

/**
 * @typedef {Buffer | string | undefined} Changed another body, or nothing to leave it
 * @typedef {(path: string, body: Buffer, type: string) => Changed | Promise<Changed>} Change
 *   holds an answer back until its promise is kept
 */

/**
 * A server whose clients reach it through a proxy. `proxy.change` may be set at any time.
 * @param {{ options?: string[], settings?: Record<string, string> }} how
 */
export async function startServerBehindProxy(how = {}) {
  const port = await freePort();
  const server = await startServer({ ...how, issuer: `http://localhost:${port}` });
  /** `received` has the requests whole, workers' too: a byte is a character. @type {{ change: Change, seen: string[], received: string[] }} */
  const proxy = { change: () => undefined, seen: [], received: [] };
  const http = createServer((incoming, outgoing) => {
    const { method, url = "/", headers } = incoming;
    proxy.seen.push(`${method} ${url}`);
    const place = proxy.received.push([method, url, ...incoming.rawHeaders].join("\n")) - 1;
    incoming.on("data", (chunk) => {
      proxy.received[place] += chunk.toString("latin1");
    });
    // Whole and uncompressed answers, so that they can be changed.
    const whole = method === "GET" ? { "if-none-match": "" } : {};
    const plain = { ...headers, "accept-encoding": "identity", ...whole };
    const options = { port: server.port, host: "127.0.0.1", method, path: url, headers: plain };
    const forwarded = request(options, async (answer) => {
      const chunks = [];
      for await (const chunk of answer) chunks.push(chunk);
      const body = Buffer.concat(chunks);
      const changed = await proxy.change(url, body, answer.headers["content-type"] ?? "");
      const sent = Buffer.from(changed ?? body);
      const headers = { ...answer.headers, "content-length": String(sent.length) };
      delete headers["transfer-encoding"];
      outgoing.writeHead(answer.statusCode ?? 502, headers).end(sent);
    });
    forwarded.on("error", () => outgoing.destroy());
    incoming.pipe(forwarded);
  });
  await new Promise((listening) => http.listen(port, "127.0.0.1", () => listening(undefined)));
  return {
    origin: server.origin,
    server,
    proxy,
    async stop() {
      http.closeAllConnections();
      http.close();
      await server.stop();
    },
  };
}
