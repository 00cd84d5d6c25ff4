// Workers, for the pages that have any. What a page loads is held against its hash by the browser; what a
// worker loads is not, for import maps and Integrity-Policy end at the page. So the page fetches it all
// first, with the hashes that it came with, and no worker starts if one of them does not fit. The worker has
// the same bytes then: these URLs never change, and the browser has kept what came from them.

import { workerUrl } from "./ui.js";

/**
 * Starts a worker of this server. The page has a `<template data-worker="NAME">` with links to all that the
 * worker loads.
 * @param {string} name the file's name in `web/workers`
 * @returns {Promise<Worker>} rejected if a file is not what it was when the page was made
 */
export async function startWorker(name) {
  const template = document.querySelector(`template[data-worker="${name}"]`);
  if (!(template instanceof HTMLTemplateElement)) throw new Error(`the page has no worker ${name}`);
  await Promise.all(Array.from(template.content.children, fetched));
  return new Worker(workerUrl(name), { type: "module" });
}

/** @param {Element} link */
async function fetched(link) {
  const [url, integrity] = [link.getAttribute("href"), link.getAttribute("integrity")];
  if (!url || !integrity) throw new Error("a file of a worker has no hash");
  await (await fetch(url, { integrity })).arrayBuffer();
}
