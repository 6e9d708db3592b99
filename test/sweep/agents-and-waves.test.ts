import { describe, expect, test } from "vitest";
import { sweep } from "../kit/sweep.js";
import { largeWave, realAgents, retried } from "./stories.js";

// A share of the messages here, all with ROLLCALL_SWEEP=all.
describe("a leader that is killed around a message leaves the same end and the same effects", () => {
  test("to the real agents: each step on disk and each process", async () => {
    const { ending } = await sweep(realAgents, { every: 7 });
    expect(ending.deployments.map(({ outcome }) => outcome)).toEqual([
      "completed",
      "completed",
      "failed",
      "rolled_back",
    ]);
    expect(ending.likeness.running).toEqual({ i1: "v2", i2: "v2", i3: "v2" });
  });

  test("to a roll-out that fails without a rollback and is retried", async () => {
    const { ending } = await sweep(retried, { every: 6 });
    expect(ending.deployments.map(({ outcome }) => outcome)).toEqual(["completed", "failed", "completed"]);
  });

  test("to a wave of which only a part is written", async () => {
    const { ending } = await sweep(largeWave, { every: 4, offset: 1 });
    expect(ending.deployments.at(-1)).toMatchObject({ outcome: "completed", counts: { succeeded: 320 } });
  });
});
