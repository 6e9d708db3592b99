import { describe, expect, test } from "vitest";
import { sweep } from "../kit/sweep.js";
import { deadlineExpires, heldByMassSilence, pausedForAWhile } from "./stories.js";

// Each fourth or eighth message here, all with ROLLCALL_SWEEP=all: these stories take long, and report most of the time.
describe("a leader that is killed around a message leaves the same end and the same effects, and what remains of each deadline", () => {
  test("to a roll-out that is paused for a while", async () => {
    const { ending } = await sweep(pausedForAWhile, { every: 4 });
    expect(ending.deployments.at(-1)).toMatchObject({ outcome: "completed", counts: { succeeded: 3 } });
  });

  test("to a roll-out that is held by mass silence", async () => {
    const { ending } = await sweep(heldByMassSilence, { every: 8, offset: 2 });
    expect(ending.deployments.at(-1)).toMatchObject({ outcome: "completed", counts: { succeeded: 5 } });
  });

  test("to a roll-out in which an instance runs into its deadline", async () => {
    const { ending } = await sweep(deadlineExpires, { every: 4, offset: 1 });
    expect(ending.deployments.at(-1)).toMatchObject({
      outcome: "completed",
      counts: { succeeded: 2, failed: 1 },
    });
  });
});
