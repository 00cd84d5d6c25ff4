// A language that nobody speaks: every text is bracketed, 40 % longer, with accents, and runs from right to left. What is
// not bracketed on a page was never translated; what does not fit would not fit in Finnish either.
import { createHash } from "node:crypto";

import { english } from "./app.js";

const ACCENTS = new Map(
  [..."aáeéiíoóuúAÁEÉIÍOÓUÚ"].flatMap((c, i, all) => (i % 2 ? [] : [[c, all[i + 1]]])),
);

/** @param {string} text */
export function pseudo(text) {
  const accented = text.replace(/\{\w+\}|./gsu, (part) => ACCENTS.get(part) ?? part);
  const words = "uno duo tres quattuor quinque sex septem octo novem decem ".repeat(20);
  return `⟦${accented} ${words.slice(0, Math.ceil(text.length * 0.4)).trim()}⟧`;
}

const FILE = /\/lang\/en(\/[\w-]+)?\.js$/;
const texts = Object.entries(english).filter(([key]) => !key.startsWith("language."));
const language = Buffer.from(
  `export default ${JSON.stringify(Object.fromEntries(texts.map(([key, text]) => [key, pseudo(text)])))};\n`,
);

const escaped = (/** @type {string} */ text) =>
  text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const integrity = `sha256-${createHash("sha256").update(language).digest("base64")}`;

/**
 * A change for the proxy: the English pages in the pseudo-language, from right to left.
 * @returns {import("./proxy.js").Change}
 */
export function pseudoLanguage() {
  // The longest first, so that no text is taken for a part of another.
  const inOrder = texts.map(([, text]) => text).sort((a, b) => b.length - a.length);
  const shells = new Map(inOrder.map((text) => [escaped(text), escaped(pseudo(text))]));
  return (path, body, type) => {
    if (FILE.test(path)) return language;
    if (!type.startsWith("text/html")) return undefined;
    const html = body
      .toString()
      .replace(
        /(\/lang\/en(?:\/[\w-]+)?\.js" integrity=")[^"]+/g,
        (_, before) => before + integrity,
      );
    const filled = html.replace(/(?<=[>"])[^<>"]+(?=[<"])/g, (part) => {
      const text = part.trim();
      const whole = shells.get(text);
      if (whole) return part.replace(text, whole);
      // A title has the server's name behind the text.
      const [head = "", tail] = text.split(" – ");
      return tail && shells.has(head) ? `${shells.get(head)} – ${tail}` : part;
    });
    return filled.replace('dir="ltr"', 'dir="rtl"');
  };
}

/**
 * In the page: every text that a person sees and nobody translated. Data, code and names are not texts; dates and the
 * words between the items of a list come from the browser, the names of a new passkey and of a browser that signs in by one
 * from the server; a file has a name.
 */
export function untranslated() {
  const data = "code, pre, kbd, .code, .brand, script, style, noscript, input, textarea, time";
  const known = [
    /^[, ]*and$/,
    /^passkey$/,
    /^Chrome on Linux$/,
    /^keyring\.json$/,
    /^[A-Z][a-z]{2} \d+, \d{4}/,
    /^Mozilla\//,
    /^[\w-]{43}$/,
  ];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    let rest = node.textContent ?? "";
    // A text may be in another one: from the inside out.
    for (let before = ""; before !== rest; ) {
      before = rest;
      rest = rest.replace(/⟦[^⟦⟧]*⟧/g, "").trim();
    }
    const shown = parent?.checkVisibility() && !parent.closest(data);
    if (shown && /\p{L}{3}/u.test(rest) && !known.some((form) => form.test(rest))) found.push(rest);
  }
  return found;
}
