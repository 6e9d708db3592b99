import { expect, test } from "vitest";
import { refusal } from "../../src/contracts/errors.js";
import { believed } from "../../src/coordinator/believed.js";
import { refusalOf } from "../kit/refusals.js";

async function refusing(code: "UNKNOWN_DEPLOYMENT" | "NO_LEADER", leadsStill: boolean) {
  const answer = Promise.reject(refusal(code, { deployment: "d7", fleet: "default" }));
  return (await refusalOf(believed("default", answer, () => leadsStill))).code;
}

test("what a leader refuses is as it says", async () => {
  expect(await refusing("UNKNOWN_DEPLOYMENT", true)).toBe("UNKNOWN_DEPLOYMENT");
});

test("what one refuses that has dropped all it knew meanwhile may have been done: it is to be asked again", async () => {
  expect(await refusing("UNKNOWN_DEPLOYMENT", false)).toBe("LEDGER_UNAVAILABLE");
  expect(await refusing("NO_LEADER", false)).toBe("NO_LEADER");
});
