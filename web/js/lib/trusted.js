// Workers, for the pages that have any. The policy that lets them start is made on every page.

export { startWorker } from "./ui.js";
