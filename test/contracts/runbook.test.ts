import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { errorCodes } from "../../src/contracts/error-codes.js";

/** What is shown and is no refusal: alerts, and why a roll-out ended or an instance is as it is. */
const reasons = [
  "DEPLOYMENT_FAILED",
  "ROLLBACK_FAILED",
  "CONVERGENCE_FAILED",
  "RULE_BROKEN",
  "FAILURE_THRESHOLD",
  "PROGRESS_DEADLINE",
  "ROLLED_BACK",
  "ABORTED",
  "SILENT",
];

test("the runbook has one entry for each code that an operator can meet, and no other", () => {
  const entries = [...readFileSync("docs/runbook.md", "utf8").matchAll(/^### (.+)$/gm)];
  expect(entries.map(([, code]) => code).sort()).toEqual([...Object.keys(errorCodes), ...reasons].sort());
});
