import { expect, test } from "vitest";
import { keys } from "../../../src/contracts/keys.js";
import { landmarks } from "../../../src/simulator/chaos/invariants/landmarks.js";
import { claimOf, instanceOf, sightingOf } from "../../machines/samples.js";
import { StagedFleet } from "./staged-fleet.js";

function led(): StagedFleet {
  const fleet = new StagedFleet(landmarks);
  fleet.lead("c1");
  return fleet;
}

test("what becomes of the leader is marked, what becomes of another coordinator is not", () => {
  const fleet = led();
  const happens = (who: string) => {
    const at = { do: "coordinator", atMs: 0, which: 0, forMs: 60_000 } as const;
    fleet.invariant.happens?.({ ...at, how: "kill" }, [who]);
    fleet.invariant.happens?.({ ...at, how: "stall" }, [who]);
    fleet.invariant.happens?.({ do: "clockStep", atMs: 0, of: "coordinator", which: 0, byMs: 1 }, [who]);
    return [...fleet.marks].sort();
  };
  expect(happens("c2")).toEqual([]);
  expect(happens("c1")).toEqual(["clockSteppedWhileLeading", "leaderStalledPastLease"]);
  fleet.write({ puts: { [keys.instance("i1")]: instanceOf({ claim: claimOf({ state: "told" }) }) } });
  expect(happens("c1")).toContain("leaderKilledInWave");
});

test("an agent that is killed in a phase is marked, and one that adopts what runs", () => {
  const fleet = led();
  const kill = () =>
    fleet.invariant.happens?.({ do: "agent", atMs: 0, which: 0, how: "kill", forMs: 1 }, ["i1"]);
  fleet.report({ incarnation: "n1", state: sightingOf({ pid: 7 }).state });
  kill();
  fleet.report({ incarnation: "n2", state: sightingOf({ pid: 8 }).state });
  expect(fleet.marks.size).toBe(0);
  fleet.report({ incarnation: "n3", state: sightingOf({ pid: null }).state });
  expect(fleet.marks.size).toBe(0);
  fleet.report({ incarnation: "n3", state: sightingOf({ pid: 8, phase: "BUILDING" }).state });
  expect([...fleet.marks]).toEqual(["adoptedProcess"]);
  kill();
  expect(fleet.marks).toContain("agentRestartedInPhase");
});

test("what the store refuses is marked by its reason", () => {
  const fleet = led();
  const seen = { fleet: "default", from: "c1", batch: { writes: [{ key: "a", body: "" }] as const } };
  fleet.invariant.refused?.(seen, "conflict");
  expect(fleet.marks.size).toBe(0);
  fleet.invariant.refused?.(seen, "duplicate");
  fleet.invariant.refused?.(seen, "full");
  expect([...fleet.marks]).toEqual(["answerLost", "fullStore"]);
});
