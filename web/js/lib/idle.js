// What is not used for a while is put away.

import { elapsed } from "./store.js";

/** What a person does. */
const SIGNS_OF_LIFE = ["keydown", "pointerdown", "wheel"];

/**
 * Does something when nobody has used the page for a while, also if the computer slept meanwhile.
 * @param {number} limit in milliseconds
 * @param {() => void} action
 * @returns {() => void} ends the watch
 */
export function whenIdle(limit, action) {
  let last = elapsed();
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  const left = () => last + limit - elapsed();
  const check = () => {
    clearTimeout(timer);
    if (left() > 0) {
      timer = setTimeout(check, left());
      return;
    }
    stop();
    action();
  };
  const used = (/** @type {Event} */ event) => {
    // A script is nobody who is there.
    if (!event.isTrusted) return;
    // The first touch after a long sleep comes too late.
    if (left() <= 0) check();
    else last = elapsed();
  };
  const stop = () => {
    clearTimeout(timer);
    for (const sign of SIGNS_OF_LIFE) removeEventListener(sign, used, true);
    removeEventListener("visibilitychange", check, true);
  };
  for (const sign of SIGNS_OF_LIFE) addEventListener(sign, used, { capture: true, passive: true });
  addEventListener("visibilitychange", check, true);
  timer = setTimeout(check, limit);
  return stop;
}
