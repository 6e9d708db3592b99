import { expect, test } from "vitest";
import { keys } from "../../../src/contracts/keys.js";
import { landmarks } from "../../../src/simulator/chaos/invariants/landmarks.js";
import { claimOf, deploymentOf, instanceOf, sightingOf } from "../../machines/samples.js";
import { StagedFleet, told } from "./staged-fleet.js";

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

test("a service that is healthy again is marked, one that was replaced meanwhile is not", () => {
  const fleet = led();
  const says = (health: "HEALTHY" | "FAILED", pid: number) =>
    fleet.report({ state: sightingOf({ health, pid }).state });
  says("FAILED", 7);
  says("HEALTHY", 8);
  expect(fleet.marks).not.toContain("recovered");
  says("FAILED", 8);
  says("HEALTHY", 8);
  expect(fleet.marks).toContain("recovered");
});

test("what goes well where it failed before is marked, and other labels while something is rolled out", () => {
  const fleet = led();
  const note = (type: "instance.failed" | "instance.succeeded" | "instance.relabelled", version = "v1") =>
    fleet.write({
      events: [{ ...told("i1", 1), type, data: { version: { release: version, config: null } } }],
    });
  note("instance.failed", "v2");
  note("instance.succeeded", "v1");
  note("instance.relabelled");
  expect(fleet.marks.size).toBe(0);
  note("instance.succeeded", "v2");
  fleet.write({ puts: { [keys.deployment("d1")]: deploymentOf({ stage: "running" }) } });
  note("instance.relabelled");
  expect([...fleet.marks]).toEqual(["wentWellWhenRetried", "relabelled"]);
});
