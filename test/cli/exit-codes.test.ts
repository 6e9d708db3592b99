import { expect, test } from "vitest";
import { RollcallError } from "../../src/base/errors.js";
import { exitCodeOf } from "../../src/cli/exit-codes.js";
import { errorCodes } from "../../src/contracts/error-codes.js";
import { type ErrorCode, refusal } from "../../src/contracts/errors.js";

const codesOf = (exitCode: number) =>
  (Object.keys(errorCodes) as ErrorCode[]).filter((code) => exitCodeOf(refusal(code)) === exitCode);

test("no control plane is told from a refusal, and a refusal from a defect", () => {
  expect(codesOf(7)).toEqual(
    expect.arrayContaining([
      "NO_LEADER",
      "NO_CONTROL_PLANE",
      "NO_RESPONDERS",
      "REQUEST_TIMEOUT",
      "LEDGER_UNAVAILABLE",
      "NATS_UNREACHABLE",
      "DEPOSED",
    ]),
  );
  expect(codesOf(3)).toEqual(
    expect.arrayContaining(["BAD_NAME", "ROLLOUT_IN_PROGRESS", "UNKNOWN_RELEASE", "NOT_ALLOWED"]),
  );
  expect(codesOf(1)).toEqual(expect.arrayContaining(["INTERNAL", "LEDGER_CORRUPT", "NATS_TOO_OLD"]));
  expect(codesOf(0)).toEqual([]);
});

test("a refusal of a newer control plane is a refusal", () => {
  expect(exitCodeOf(new RollcallError("SOMETHING_NEW", "No."))).toBe(3);
});
