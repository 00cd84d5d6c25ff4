// How every page looks in the other languages: see support/appearance.js.
import { test } from "node:test";

import { lookAtAll } from "./support/appearance.js";

test("every page is accessible and fits in every state, in German", (t) => lookAtAll(t, "de"));

test("every text is translated, and a longer one from right to left fits", (t) =>
  lookAtAll(t, "pseudo"));
