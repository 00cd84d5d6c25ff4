// The worker that opens keyring files: the one place where their secrets are. Only workers may compile
// WebAssembly. It serves one page and holds one keyring.

import { deriveKey } from "../js/lib/keyring/argon2.js";
import { KeyringError } from "../js/lib/keyring/error.js";
import { Keyring } from "../js/lib/keyring/keyring.js";
import { entryOperations, serve } from "../js/lib/keyring/worker.js";

/** @type {Keyring | null} */
let open = null;

/** @returns {Keyring} */
function current() {
  if (!open) throw new KeyringError("not-open");
  return open;
}

serve({
  ...entryOperations(current),
  /** @param {{file: Uint8Array, passphrase: Uint8Array}} argument */
  async open({ file, passphrase }) {
    open = null;
    open = await Keyring.open(file, passphrase, deriveKey);
    return open.views();
  },
  /** @param {{passphrase: Uint8Array}} argument */
  async create({ passphrase }) {
    open = null;
    open = await Keyring.create(passphrase, deriveKey);
    return open.views();
  },
  /** @param {{passphrase: Uint8Array}} argument */
  async changePassphrase({ passphrase }) {
    await current().changePassphrase(passphrase, deriveKey);
    return current().views();
  },
  seal: () => current().seal(),
});
