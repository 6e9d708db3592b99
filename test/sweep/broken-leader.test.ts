import { describe, expect, test } from "vitest";
import type { LedgerBatch } from "../../src/base/ports.js";
import type { FleetWorld } from "../kit/fleet.js";
import { sweep } from "../kit/sweep.js";
import { completes, deadlineExpires } from "./stories.js";

type Put = LedgerBatch["puts"][number];

/** Leaders whose writes are not what they decided. */
function writing(change: (put: Put) => Put | undefined): (world: FleetWorld) => void {
  return ({ store }) => {
    const { open } = store;
    const spoilt: typeof open = async (options) => {
      const ledger = await open.call(store, options);
      const { acquire } = ledger;
      ledger.acquire = async (claim) => {
        const got = await acquire.call(ledger, claim);
        if (!("commit" in got)) return got;
        const { commit } = got;
        got.commit = (batch) =>
          commit.call(got, { ...batch, puts: batch.puts.flatMap((put) => change(put) ?? []) });
        return got;
      };
      return ledger;
    };
    Object.assign(store, { open: spoilt });
  };
}

/** One that forgets to write down, once, that it told an instance. */
function forgettingOnce(): (put: Put) => Put | undefined {
  let forgotten = false;
  return (put) => {
    const { claim } = put.value as { claim?: { deployment: string; state: string } | null };
    const isIt = put.key === "instance.i1" && claim?.deployment === "d2" && claim.state === "told";
    if (!isIt || forgotten) return put;
    forgotten = true;
    return undefined;
  };
}

/** One that writes down that a deployment has run for less long than it has. */
function withLateClock(put: Put): Put {
  const { clock } = put.value as { clock?: { runningSinceMs: number | null } };
  if (!put.key.startsWith("deployment.") || typeof clock?.runningSinceMs !== "number") return put;
  const late = { ...clock, runningSinceMs: clock.runningSinceMs + 30_000 };
  return { ...put, value: { ...(put.value as object), clock: late } };
}

describe("a sweep notices", () => {
  test("a leader that tells an instance without writing it down", async () => {
    const spoil = (world: FleetWorld) => writing(forgettingOnce())(world);
    const noticed = await sweep(completes, { spoil }).catch((error: unknown) => error);
    expect(String(noticed)).toMatch(/killed .*told generation|deeply equal/);
  });

  test("a leader that does not keep what remains of a deadline", async () => {
    await expect(sweep(deadlineExpires, { spoil: writing(withLateClock), every: 5 })).rejects.toThrow(
      /killed .*expected \d+ to be less than or equal to/,
    );
  });
});
