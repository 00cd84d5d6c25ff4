// The one Trusted Types policy of the pages. It lets scripts of our own be started as workers, and
// nothing else be made of a text.

/** @typedef {{ createScriptURL(url: string): string }} ScriptUrlPolicy */

const rules = {
  /** @param {string} url */
  createScriptURL(url) {
    const { origin, pathname } = new URL(url, location.href);
    if (origin === location.origin && /^\/web\/[\w-]+\/workers\/[\w.-]+\.js$/.test(pathname))
      return url;
    throw new TypeError(`not a worker of this server: ${url}`);
  },
};

/** @type {{ createPolicy(name: string, rules: ScriptUrlPolicy): ScriptUrlPolicy } | undefined} */
const trustedTypes = /** @type {any} */ (globalThis).trustedTypes;

const policy = trustedTypes?.createPolicy("countersign", rules) ?? rules;

/**
 * Starts a worker of this server.
 * @param {string} name the file's name in `web/workers`
 */
export function startWorker(name) {
  const url = new URL(`../../workers/${name}`, import.meta.url).href;
  return new Worker(policy.createScriptURL(url), { type: "module" });
}
