// Argon2id (RFC 9106) by WebAssembly. Only the worker may compile it: the policy of pages forbids it.

import { fromBase64 } from "./bytes.js";
import { KeyringError } from "./error.js";

/** @import { Derivation } from "./envelope.js" */

const VENDOR = new URL("../../../vendor/argon2id-1.0.1/", import.meta.url);

/** Pages of 64 KiB that the module declares: it takes no less. */
const MIN_PAGES = 1040;
const MAX_PAGES = 65_536;
/** What the function needs beside the blocks, in KiB. */
const MORE_KIB = 64;
/** The length of the derived key, in bytes. */
const KEY_BYTES = 32;
/** The smallest module that uses SIMD: a function that returns `i8x16.splat(0)`. */
const SIMD = fromBase64("AGFzbQEAAAABBQFgAAF7AwIBAAoIAQYAQQD9Dws=");

/**
 * The function of the vendored module, whose memory and code come from here.
 * @typedef {(
 *   parameters: {password: Uint8Array, salt: Uint8Array, parallelism: number, passes: number,
 *     memorySize: number, tagLength: number},
 *   wasm: {memory: WebAssembly.Memory, instance: WebAssembly.Instance},
 * ) => Uint8Array<ArrayBuffer>} Argon2id
 */

/**
 * The bytes of `passphrase` are wiped.
 * @param {Uint8Array} passphrase at least 8 bytes
 * @param {Derivation} derivation
 * @returns {Promise<CryptoKey>} for AES-256-GCM, not extractable
 * @throws {KeyringError}
 */
export async function deriveKey(passphrase, { t, m_kib, p, salt }) {
  const cost = { parallelism: p, passes: t, memorySize: m_kib, tagLength: KEY_BYTES };
  let memory;
  try {
    const { default: argon2id } = /** @type {{default: Argon2id}} */ (
      await import(new URL("lib/argon2id.js", VENDOR).href)
    );
    const initial = Math.max(MIN_PAGES, Math.ceil((m_kib + MORE_KIB) / 64));
    memory = new WebAssembly.Memory({ initial, maximum: MAX_PAGES });
    const wasm = { memory, instance: await instantiate(memory) };
    const bytes = argon2id({ ...cost, password: passphrase, salt }, wasm);
    const key = await crypto.subtle.importKey("raw", bytes, "AES-GCM", false, [
      "encrypt",
      "decrypt",
    ]);
    bytes.fill(0);
    return key;
  } catch (cause) {
    if (cause instanceof RangeError)
      throw new KeyringError("memory", { mib: Math.ceil(m_kib / 1024) });
    throw cause;
  } finally {
    passphrase.fill(0);
    // The vendored function wipes its first blocks only.
    if (memory) new Uint8Array(memory.buffer).fill(0);
  }
}

/**
 * @param {WebAssembly.Memory} memory
 * @returns {Promise<WebAssembly.Instance>}
 */
async function instantiate(memory) {
  const hasSimd = SIMD !== null && WebAssembly.validate(SIMD);
  const response = await fetch(new URL(hasSimd ? "dist/simd.wasm" : "dist/no-simd.wasm", VENDOR));
  if (!response.ok) throw new KeyringError("worker-failed", { cause: `HTTP ${response.status}` });
  const { instance } = await WebAssembly.instantiate(await response.arrayBuffer(), {
    env: { memory },
  });
  return instance;
}
