// How every page looks in every state, in English: see support/appearance.js.
import { test } from "node:test";

import { lookAtAll } from "./support/appearance.js";

test("every page is accessible and fits in every state, in English", (t) => lookAtAll(t, "en"));
