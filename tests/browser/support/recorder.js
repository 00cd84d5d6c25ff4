// Everything that a browser sends, as somebody on the line would have it: headers, proofs and bodies.

/**
 * @typedef {{ method: string, url: string, headers: Record<string, string>, body: string }} Recorded
 */

/**
 * Records the requests of a page from now on.
 * @param {import("puppeteer-core").Page} page
 * @returns {Recorded[]}
 */
export function record(page) {
  /** @type {Recorded[]} */
  const requests = [];
  page.on("request", async (request) => {
    const entry = {
      method: request.method(),
      url: request.url(),
      headers: request.headers(),
      body: request.postData() ?? "",
    };
    requests.push(entry);
    if (request.hasPostData() && !entry.body) entry.body = (await request.fetchPostData()) ?? "";
  });
  return requests;
}

/**
 * The last of them to this path.
 * @param {Recorded[]} requests
 * @param {string} method
 * @param {string} path
 */
export function lastTo(requests, method, path) {
  const found = requests.findLast(
    (request) => request.method === method && new URL(request.url).pathname === path,
  );
  if (!found) throw new Error(`nothing was sent to ${method} ${path}`);
  return found;
}
