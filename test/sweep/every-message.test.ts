import { describe, expect, test } from "vitest";
import { sweep } from "../kit/sweep.js";
import { abortedInTheMiddle, completes, failsAndGoesBack, owed } from "./stories.js";

describe("a leader that is killed just before or just after any of its messages leaves the same end and the same effects", () => {
  test("to a roll-out that completes", async () => {
    const { points, ending } = await sweep(completes);
    expect(ending.likeness.running).toEqual({ i1: "v2", i2: "v2", i3: "v2" });
    // Requests and replies, writes and what the ledger says to them, desired states, reports.
    for (const kind of [/\.api\./, /_INBOX/, /\$LEDGER/, /\.desired\./, /\.event\./, /\.health\./])
      expect(
        points.some((point) => kind.test(point)),
        String(kind),
      ).toBe(true);
  });

  test("to a roll-out that fails and goes back", async () => {
    const { ending } = await sweep(failsAndGoesBack);
    expect(ending.deployments.map(({ outcome }) => outcome)).toEqual(["completed", "failed", "rolled_back"]);
    expect(ending.likeness.running).toEqual({ i1: "v1", i2: "v1", i3: "v1" });
  });

  test("to a roll-out that is aborted in the middle", async () => {
    const { ending } = await sweep(abortedInTheMiddle);
    expect(ending.deployments.at(-1)?.outcome).toBe("aborted");
    expect(ending.likeness.running).toEqual({ i1: "v2", i2: "v1", i3: "v1", i4: "v1" });
  });

  test("to what is owed to an instance that was away", async () => {
    const { ending } = await sweep(owed, { every: 2 });
    expect(ending.likeness.running).toEqual({ i1: "v2", i2: "v2", i3: "v2" });
  });
});
