// JSON (RFC 8259) without the freedoms that make two readers disagree: no member twice, whole
// numbers only, no half characters. `JSON.parse` takes the last of two members and says nothing.

/** Deeper texts are refused. */
const MAX_DEPTH = 32;

/**
 * @typedef {string | number | boolean | null | JsonArray | JsonObject} Json
 * @typedef {Json[]} JsonArray
 * @typedef {{[member: string]: Json}} JsonObject
 */

/** A text that is not JSON of this kind. `at` is the place, in UTF-16 units. */
export class JsonError extends Error {
  /** @param {number} at */
  constructor(at) {
    super(`not strict JSON at ${at}`);
    this.at = at;
  }
}

/**
 * @param {string} text one JSON text
 * @returns {Json} objects have no prototype
 * @throws {JsonError}
 */
export function parseJson(text) {
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.space();
  if (reader.at !== text.length) throw new JsonError(reader.at);
  return value;
}

/**
 * @param {Json | undefined} value
 * @returns {value is JsonObject}
 */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

class Reader {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  /**
   * @param {number} depth
   * @returns {Json}
   */
  value(depth) {
    this.space();
    if (depth > MAX_DEPTH) throw new JsonError(this.at);
    const next = this.text[this.at];
    if (next === "{") return this.object(depth);
    if (next === "[") return this.array(depth);
    if (next === '"') return this.string();
    for (const [word, value] of /** @type {const} */ ([
      ["true", true],
      ["false", false],
      ["null", null],
    ])) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    return this.number();
  }

  /**
   * @param {number} depth
   * @returns {JsonObject}
   */
  object(depth) {
    /** @type {JsonObject} */
    const object = Object.create(null);
    this.list("}", () => {
      this.space();
      const start = this.at;
      const member = this.string();
      if (member in object) throw new JsonError(start);
      this.space();
      this.expect(":");
      object[member] = this.value(depth + 1);
    });
    return object;
  }

  /**
   * @param {number} depth
   * @returns {JsonArray}
   */
  array(depth) {
    /** @type {JsonArray} */
    const array = [];
    this.list("]", () => array.push(this.value(depth + 1)));
    return array;
  }

  /**
   * What stands between two brackets, the first of which is next.
   * @param {string} end
   * @param {() => void} element
   */
  list(end, element) {
    this.at += 1;
    this.space();
    if (this.text[this.at] === end) {
      this.at += 1;
      return;
    }
    for (;;) {
      element();
      this.space();
      if (this.text[this.at] === end) break;
      this.expect(",");
    }
    this.at += 1;
  }

  /** @returns {string} */
  string() {
    const start = this.at;
    this.expect('"');
    let end = start;
    do {
      end = this.text.indexOf('"', end + 1);
      if (end < 0) throw new JsonError(start);
    } while (this.isEscaped(end));
    this.at = end + 1;
    let value;
    try {
      value = /** @type {string} */ (JSON.parse(this.text.slice(start, this.at)));
    } catch {
      throw new JsonError(start);
    }
    if (/\p{Surrogate}/u.test(value)) throw new JsonError(start);
    return value;
  }

  /**
   * Whether an odd number of backslashes stands before a place.
   * @param {number} place
   */
  isEscaped(place) {
    let first = place;
    while (this.text[first - 1] === "\\") first -= 1;
    return (place - first) % 2 === 1;
  }

  /** @returns {number} */
  number() {
    const token = /-?(?:0|[1-9]\d*)(?![\d.eE])/y;
    token.lastIndex = this.at;
    const found = token.exec(this.text);
    const value = Number(found?.[0] ?? Number.NaN);
    if (!Number.isSafeInteger(value)) throw new JsonError(this.at);
    this.at = token.lastIndex;
    return value;
  }

  space() {
    while (" \t\n\r".includes(this.text[this.at] ?? "x")) this.at += 1;
  }

  /** @param {string} character */
  expect(character) {
    if (this.text[this.at] !== character) throw new JsonError(this.at);
    this.at += 1;
  }
}
