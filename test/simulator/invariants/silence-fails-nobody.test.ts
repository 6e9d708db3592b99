import { expect, test } from "vitest";
import type { AgentNode } from "../../../src/simulator/chaos/agent-node.js";
import { silenceFailsNobody } from "../../../src/simulator/chaos/invariants/silence-fails-nobody.js";
import { broken, claimOf, deploymentOf, instanceOf, sightingOf } from "../../machines/samples.js";
import { event, RollingFleet } from "./rolling-fleet.js";

const told = instanceOf({ generation: 1, claim: claimOf({ state: "told", toldAtMs: 5_000 }) });
const failed = instanceOf({ generation: 1, claim: claimOf({ state: "failed", hasFailed: true }) });
const clock = { ranMs: 0, runningSinceMs: 0 };
const deadline = { code: "INSTANCE_DEADLINE", message: "It was not healthy in time." };

function rolling(changes: Parameters<typeof deploymentOf>[0] = {}): RollingFleet {
  const fleet = new RollingFleet(silenceFailsNobody);
  fleet.store({ deployments: [deploymentOf({ stage: "running", clock, ...changes })], instances: [told] });
  return fleet;
}

function failing(reason: typeof deadline, cause?: string) {
  const said = event("instance.failed", "i1", {
    generation: 1,
    reason,
    ...(cause === undefined ? {} : { cause }),
  });
  return { instances: [failed], events: [said] };
}

test("an instance that fails without having said anything is noticed", () => {
  expect(() => rolling().store(failing(broken, "clock:silence"))).toThrow(/nothing of it was heard/);
  // Of a second agent under its name, once the first has left, nothing is kept.
  const stranger = rolling();
  stranger.gone.push({ id: "i1", agentId: "a1" } as AgentNode);
  expect(() => stranger.store(failing(broken, "clock:silence"))).not.toThrow();
});

test("an instance that fails by a healthy word, or by one about an older command, is noticed", () => {
  const says = (state: Parameters<typeof sightingOf>[0], observedGeneration: number) => {
    const fleet = rolling();
    fleet.report({ seq: 3, observedGeneration, state: sightingOf(state).state });
    return () => fleet.store(failing(broken, "report:i1/n1/3"));
  };
  expect(says({ health: "HEALTHY" }, 1)).toThrow(/said HEALTHY of 1/);
  expect(says({ health: "FAILED" }, 0)).toThrow(/said FAILED of 0/);
  expect(says({ health: "FAILED" }, 1)).not.toThrow();
});

test("a deadline that has not passed on the deployment's clock is noticed", () => {
  const early = rolling();
  early.nowMs = 90_000;
  expect(() => early.store(failing(deadline))).toThrow(/after 85000 ms/);
  const due = rolling();
  due.nowMs = 105_000;
  expect(() => due.store(failing(deadline))).not.toThrow();
  const stood = rolling({ clock: { ranMs: 20_000, runningSinceMs: null } });
  stood.nowMs = 900_000;
  expect(() => stood.store(failing(deadline))).toThrow(/after 15000 ms/);
});

test("a deadline of an instance that is not in flight is noticed", () => {
  const fleet = rolling();
  fleet.store({ instances: [instanceOf({ claim: claimOf({ state: "succeeded" }) })] });
  fleet.nowMs = 900_000;
  expect(() => fleet.store(failing(deadline))).toThrow(/and succeeded/);
});
