// The file of a keyring: written where it lies in browsers that can do that (Chromium), else uploaded
// and downloaded.

import { h } from "../ui.js";
import { sameBytes } from "./bytes.js";
import { MAX_BYTES } from "./envelope.js";
import { keyringProblem } from "./opened.js";

/** @import { Bytes } from "./bytes.js" */

/**
 * @typedef {object} FileHandle what the pickers give (WICG File System Access)
 * @property {string} name
 * @property {() => Promise<File>} getFile
 * @property {() => Promise<{ write(data: Bytes): Promise<void>, close(): Promise<void> }>} createWritable
 */

const SUGGESTED_NAME = "keyring.json";
const TYPES = [{ description: "Countersign", accept: { "application/json": [".json"] } }];

const pickers = /** @type {{
 *   showOpenFilePicker?: (options: object) => Promise<FileHandle[]>,
 *   showSaveFilePicker?: (options: object) => Promise<FileHandle>,
 * }} */ (/** @type {unknown} */ (window));

/** Whether this browser writes files where they lie. */
export const canWriteInPlace = () => pickers.showSaveFilePicker !== undefined;

export class KeyringFile {
  /**
   * @param {string} name
   * @param {Bytes | null} content as it was read or written last; null before that
   * @param {FileHandle | null} handle null where the file is uploaded and downloaded
   */
  constructor(name, content, handle) {
    this.name = name;
    this.content = content;
    this.handle = handle;
  }

  /** A keyring that is not in a file yet. */
  static fresh() {
    return new KeyringFile(SUGGESTED_NAME, null, null);
  }

  /**
   * Lets the person choose a file.
   * @returns {Promise<KeyringFile | null>} null when they did not
   */
  static async pick() {
    const handles = await unlessCancelled(pickers.showOpenFilePicker?.({ types: TYPES }));
    const handle = handles?.[0];
    return handle ? new KeyringFile(handle.name, await read(await handle.getFile()), handle) : null;
  }

  /** @param {File} file */
  static async uploaded(file) {
    return new KeyringFile(file.name, await read(file), null);
  }

  /**
   * Saves the keyring: where it lies, else where the person wants it, else as a download.
   * @param {Bytes} content
   * @returns {Promise<"written" | "downloaded" | "cancelled">}
   */
  async save(content) {
    if (!canWriteInPlace()) {
      download(content, this.name);
      this.content = content;
      return "downloaded";
    }
    if (!this.handle) {
      const options = { types: TYPES, suggestedName: this.name };
      const handle = await unlessCancelled(pickers.showSaveFilePicker?.(options));
      if (!handle) return "cancelled";
      await write(handle, content);
      this.handle = handle;
      this.name = handle.name;
    } else {
      await this.#refuseForeignChanges(this.handle);
      await write(this.handle, content);
    }
    this.content = content;
    return "written";
  }

  /**
   * Another program may have changed the file meanwhile. Its changes must not be lost.
   * @param {FileHandle} handle
   */
  async #refuseForeignChanges(handle) {
    const now = await read(await handle.getFile());
    if (!this.content || !sameBytes(now, this.content)) throw keyringProblem("changed-elsewhere");
  }
}

/**
 * Hands a file to the person.
 * @param {BlobPart} content
 * @param {string} name
 */
export function download(content, name) {
  const url = URL.createObjectURL(new Blob([content], { type: "application/octet-stream" }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/**
 * @param {File} file
 * @returns {Promise<Bytes>}
 */
async function read(file) {
  if (file.size > MAX_BYTES) throw keyringProblem("too-large", { mib: MAX_BYTES >> 20 });
  return new Uint8Array(await file.arrayBuffer());
}

/**
 * The file takes its place as a whole when it is closed. What is there then is compared.
 * @param {FileHandle} handle
 * @param {Bytes} content
 */
async function write(handle, content) {
  try {
    const stream = await handle.createWritable();
    await stream.write(content);
    await stream.close();
    if (sameBytes(await read(await handle.getFile()), content)) return;
  } catch {
    // Told below: a stick that was pulled out, a full disk, a permission that was refused.
  }
  throw keyringProblem("not-written");
}

/**
 * @template T
 * @param {Promise<T> | undefined} choice of a picker
 * @returns {Promise<T | null>}
 */
async function unlessCancelled(choice) {
  try {
    return (await choice) ?? null;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return null;
    throw error;
  }
}
