import { expect, test } from "vitest";
import type { Agent } from "../../../src/agent/agent.js";
import { keys } from "../../../src/contracts/keys.js";
import type { AgentNode } from "../../../src/simulator/chaos/agent-node.js";
import type { AppNode } from "../../../src/simulator/chaos/app-node.js";
import type { CoordinatorNode } from "../../../src/simulator/chaos/coordinator-node.js";
import { Rest } from "../../../src/simulator/chaos/rest.js";
import { stirIn } from "../../../src/simulator/chaos/stillness.js";
import { askedApp } from "../../machines/app-samples.js";
import { claimOf, deploymentOf, instanceOf, sightingOf, v2 } from "../../machines/samples.js";
import { StagedFleet, told } from "./staged-fleet.js";

/** A fleet of one instance that is led, does what it was told, and whose faults have ended at 0. */
function calm({ isLed = true }: { readonly isLed?: boolean } = {}) {
  const fleet = new StagedFleet(() => ({ id: "none", says: "" }));
  fleet.coordinators.set("c1", { leads: isLed } as CoordinatorNode);
  fleet.lead("c1");
  fleet.tell("i1", 1);
  fleet.report({ observedGeneration: 1 });
  let state = sightingOf().state;
  const agent = { stateOf: () => state } as unknown as Agent;
  fleet.agents.set("i1", { id: "i1", agent } as AgentNode);
  return {
    fleet,
    rest: new Rest({ ...fleet.witness, plan: { ...fleet.witness.plan, leaseMs: 3_000, happenings: [] } }, 0),
    says: (changes: Parameters<typeof sightingOf>[0]) => {
      state = sightingOf(changes).state;
    },
  };
}

const minutes = 60_000;

test("a fleet in which everybody does what was asked is at rest", () => {
  const { rest } = calm();
  expect(rest.unrest()).toBeUndefined();
  expect(rest.late()).toBeUndefined();
});

test.each([
  [{ phase: "BUILDING" }, /i1 is at work, BUILDING/],
  [{ running: null }, /about to be started again/],
] as const)("an instance that says %j is not at rest", (changes, why) => {
  const { rest, says } = calm();
  says(changes);
  expect(rest.unrest()).toMatch(why);
});

test("what was broadcast and not noticed is unrest, and so is what is owed, claimed, or goes back", () => {
  const { fleet, rest } = calm();
  fleet.report({ observedGeneration: 0 });
  expect(rest.unrest()).toMatch(/acts on generation 0, it was told 1/);
  fleet.report({ observedGeneration: 1 });
  const put = (changes: Parameters<typeof instanceOf>[0]) => {
    fleet.write({ puts: { [keys.instance("i1")]: instanceOf({ generation: 1, ...changes }) } });
    return rest.unrest();
  };
  const last = { deployment: "d1", before: null };
  expect(put({ owed: { deployment: "d1", target: v2, minHealthyMs: 0 } })).toMatch(/owed something by d1/);
  expect(put({ claim: claimOf() })).toMatch(/claimed by d1/);
  const owed = { deployment: "d1", target: v2, minHealthyMs: 0 };
  expect(put({ last: { ...last, result: "told" }, owed })).toMatch(/on its way to what it is owed/);
  expect(put({ last: { ...last, result: "goingBack" } })).toMatch(/still going back/);
  const target = { release: "v1", config: null };
  expect(
    put({ last: { ...last, result: "failed" }, owed: { deployment: "d1", target, minHealthyMs: 0 } }),
  ).toMatch(/owed something by d1/);
  expect(
    put({ last: { ...last, result: "failed" }, owed: { deployment: "d1", target: v2, minHealthyMs: 0 } }),
  ).toBe(undefined);
});

test("what a silent instance was told by one deployment is not what another one owes it", () => {
  const { fleet, rest } = calm();
  fleet.agents.clear();
  const owed = { deployment: "d2", target: v2, minHealthyMs: 0 };
  const last = { deployment: "d1", before: null, result: "told" } as const;
  fleet.write({ puts: { [keys.instance("i1")]: instanceOf({ generation: 1, owed, last }) } });
  expect(rest.unrest()).toBeUndefined();
});

test("an app that is still tried is unrest, and so is a tombstone that all have confirmed", () => {
  const { fleet, rest } = calm();
  const state = { generation: 3, initStatus: "error_disabled", installed: true, stopped: false };
  const unknown = { app: "news", nextAttemptAtMs: null as number | null };
  const agent = { stateOf: () => state, states: () => [unknown] };
  fleet.apps.set("p1", { id: "p1", agent } as unknown as AppNode);
  expect(rest.unrest()).toBe("p1 has apps and is not in the fleet");
  const p1 = { format: 1, instance: "p1", joinedAtMs: 0, audited: [], alertedAtMs: {} };
  fleet.write({ puts: { [keys.appInstance("p1")]: p1 } });
  const ask = (desiredStatus: "enabled" | "uninstalled") => {
    fleet.write({ puts: { [keys.app("mail")]: askedApp(desiredStatus).record } });
    return rest.unrest();
  };
  expect(ask("enabled")).toMatch(/mail on p1 is error_disabled at generation 3, it is to be enabled at 3/);
  state.stopped = true;
  expect(ask("enabled")).toBeUndefined();
  unknown.nextAttemptAtMs = 60_000;
  expect(rest.unrest()).toBe("news is tried again on p1");
  unknown.nextAttemptAtMs = null;
  state.installed = false;
  expect(ask("uninstalled")).toMatch(/the tombstone of mail still stands/);
});

test("L2: nobody who leads two leases later is late", () => {
  const { fleet, rest } = calm({ isLed: false });
  expect(rest.unrest()).toBe("nobody leads");
  fleet.nowMs = 12_000;
  expect(rest.late()).toBeUndefined();
  fleet.nowMs = 14_000;
  expect(rest.late()).toEqual({ id: "L2", sentence: "nobody leads" });
});

test("L6: an instance in flight whose deadline nobody notices is late, also one that was told by an earlier leader", () => {
  const { fleet, rest } = calm();
  const claim = claimOf({ state: "told", toldAtMs: 0 });
  const deployment = deploymentOf({ stage: "running", clock: { ranMs: 0, runningSinceMs: 0 } });
  fleet.write({
    puts: { [keys.deployment("d1")]: deployment, [keys.instance("i1")]: instanceOf({ claim }) },
  });
  rest.unrest();
  fleet.nowMs = deployment.spec.deadlineMs;
  expect(rest.late()).toBeUndefined();
  fleet.nowMs += 11_000;
  expect(rest.late()).toMatchObject({
    id: "L6",
    sentence: expect.stringContaining("i1 was told something by d1"),
  });
});

test("L6: a deadline stands still with its deployment", () => {
  const { fleet, rest } = calm();
  const claim = claimOf({ state: "told", toldAtMs: 0 });
  const deployment = deploymentOf({ stage: "running", clock: { ranMs: 50_000, runningSinceMs: null } });
  fleet.write({
    puts: { [keys.deployment("d1")]: deployment, [keys.instance("i1")]: instanceOf({ claim }) },
  });
  rest.unrest();
  fleet.nowMs = 2 * minutes;
  expect(rest.late()).toBeUndefined();
});

test("L4: a deployment whose instances have all had their turns, and that is not over, is late", () => {
  const { fleet, rest } = calm();
  const puts: Record<string, unknown> = {
    [keys.deployment("d1")]: deploymentOf({ stage: "running", batch: 2 }),
  };
  for (const id of ["a", "b", "c"]) puts[keys.instance(id)] = instanceOf({ id, claim: claimOf() });
  fleet.write({ puts });
  rest.unrest();
  rest.late();
  // Two turns of 100 s, with what may come on top of each.
  fleet.nowMs = 5 * minutes;
  expect(rest.late()).toBeUndefined();
  fleet.nowMs = 7 * minutes;
  expect(rest.late()).toEqual({ id: "L4", sentence: "deployment d1 is running" });
});

test("L1: a fleet that does not come to rest for no reason that it could name is late", () => {
  const { fleet, rest, says } = calm();
  says({ phase: "BUILDING" });
  fleet.nowMs = 5 * minutes;
  rest.unrest();
  expect(rest.late()).toBeUndefined();
  fleet.nowMs = 9 * minutes;
  expect(rest.late()).toMatchObject({ id: "L1", sentence: expect.stringContaining("i1 is at work") });
});

test("a lead that changes at rest is a stir, and so is whatever is told; notes of a coordinator are none", () => {
  const { fleet } = calm();
  const stir = () => {
    const commit = fleet.committed.at(-1);
    return commit && stirIn(commit);
  };
  fleet.renew();
  expect(stir()).toBeUndefined();
  fleet.write({ events: [{ ...told("i1", 1), kind: "fleet", type: "fleet.reconciled" }] });
  expect(stir()).toBeUndefined();
  fleet.write({ events: [{ ...told("i1", 1), type: "instance.alerted" }] });
  expect(stir()).toBe("c1 notes instance.alerted of i1");
  fleet.tell("i1", 2);
  expect(stir()).toBe("c1 writes instance i1");
  fleet.lead("c2");
  expect(stir()).toBe("c2 takes the lead");
});
