import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { unaskedRules } from "../../machines/app-unasked.js";
import { whyRules } from "../../machines/app-why.js";
import { initStatusSchema } from "../../src/contracts/app.js";
import {
  appMismatchCode,
  appUnaskedCode,
  failureMeanings,
  troubleshootingOf,
} from "../../src/contracts/app-status.js";

const codes = Object.values(failureMeanings).map(({ code }) => code);
/** Reasons that no cause of an engine leads to. */
const reasons = [...new Set([...codes, "APP_TIMEOUT", "APP_ENDED"])];

test("there is a section for each alert, cause, init status and rule of apps, and no other", () => {
  const headings = [...readFileSync("docs/troubleshooting.md", "utf8").matchAll(/^### (.+)$/gm)];
  const found = headings.map(([, heading = ""]) => `docs/troubleshooting.md#${heading.toLowerCase()}`);
  const expected = [
    appMismatchCode,
    appUnaskedCode,
    ...reasons,
    ...initStatusSchema.options,
    ...Object.values(whyRules),
    ...Object.values(unaskedRules),
    "tombstone",
    "no-instances",
  ].map(troubleshootingOf);
  expect(found.sort()).toEqual(expected.sort());
});
