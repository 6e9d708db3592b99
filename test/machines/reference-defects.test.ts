import { describe, expect, test } from "vitest";
import { type Observed, plan } from "../../machines/deployment-plan.js";
import { newDeployment } from "../../machines/deployment-request.js";
import { overlapsOf, targetsOf } from "../../machines/deployment-targets.js";
import type { MemberEvent } from "../../machines/member.js";
import type { InstanceRecord } from "../../src/contracts/deployment.js";
import { driveDeployment, driveMember, restoreDeployment } from "./drive.js";
import {
  broken,
  byAnna,
  claimOf,
  deeds,
  deploymentOf,
  flightOf,
  instanceOf,
  observedOf,
  type SightingChanges,
  sightingOf,
  specOf,
  v1,
  v2,
} from "./samples.js";

/*
 * The reference implementation of rolling deployments (xNok/dides, from whose documents this project began) has these
 * defects. Each test is named after what went wrong there, and shows that it cannot happen here.
 */

const wanted = {
  batch: 2,
  failureThreshold: 3,
  deadlineMs: 100_000,
  progressDeadlineMs: 1_000_000,
};
const policy = { standing: false, mayJudge: true, ranMs: 1_000, movedAtMs: 0, leftFailed: 0 };
const planFor = (seen: Omit<Partial<Observed>, "step">, changes: Partial<typeof wanted> = {}) =>
  plan({ ...wanted, ...changes }, observedOf({ step: 0, ...seen }), policy, 0);

const report = (changes: SightingChanges): MemberEvent => ({ type: "report", sighting: sightingOf(changes) });
const rollback = deploymentOf({ id: "d2", rollbackOf: "d1" });
const around = { siblings: new Set<string>(), isSilent: () => false };
const undoing = { ...around, siblings: new Set(["d1"]) };
const told = claimOf({ state: "told", toldAtMs: 0 });

describe("who may roll out where", () => {
  test("the lock never excluded anybody: two roll-outs wrote to the same instances", () => {
    const fleet = [instanceOf({ id: "i1", claim: claimOf({ deployment: "d0" }) }), instanceOf({ id: "i2" })];
    expect(targetsOf(deploymentOf(), fleet, around).map(({ instance }) => instance)).toEqual(["i2"]);
    expect(overlapsOf(deploymentOf(), fleet, around)).toEqual([{ instance: "i1", owner: "d0" }]);
  });

  test("one roll-out at a time for the whole system, even where labels had nothing in common", () => {
    const fleet = [
      instanceOf({ id: "db", labels: { tier: "db" }, claim: claimOf({ deployment: "d0" }) }),
      instanceOf({ id: "web", labels: { tier: "web" } }),
    ];
    const web = deploymentOf({ spec: { selector: "tier=web" } });
    expect(overlapsOf(web, fleet, around)).toEqual([]);
    expect(targetsOf(web, fleet, around).map(({ instance }) => instance)).toEqual(["web"]);
  });
});

describe("how many at once", () => {
  const overFull: Omit<Partial<Observed>, "step"> = {
    waiting: 5,
    next: ["i4", "i5"],
    flights: ["i1", "i2", "i3"].map((name) => flightOf(name)),
  };

  test("a limit below zero stood for no limit: the whole fleet was updated at once", () => {
    expect(planFor(overFull)).toMatchObject({ freeSlots: 0, tell: [], verdict: "going" });
  });

  test("only a batch that was exactly full waited, one that was over-full went on", () => {
    for (const batch of [1, 2, 3]) expect(planFor(overFull, { batch }).tell).toEqual([]);
    expect(planFor(overFull, { batch: 4 }).tell).toEqual(["i4"]);
  });

  test("failed instances filled the batch: with fewer failures than the threshold the roll-out hung for ever", () => {
    const seen = { failed: 2, everFailed: 2, waiting: 5, next: ["i3", "i4"] };
    expect(planFor(seen)).toMatchObject({ freeSlots: 2, tell: ["i3", "i4"], verdict: "going" });
  });

  test("instances that were told already were told again, and counted again", () => {
    const flights = [flightOf("i1")];
    expect(planFor({ waiting: 5, next: ["i2", "i3"], flights }).tell).toEqual(["i2"]);
    const member = driveMember(instanceOf({ claim: told, generation: 1, desired: v2 }));
    const tell: MemberEvent = { type: "tell", deployment: "d1", toldAtMs: 5, deadlineMs: 100_000 };
    expect(member.send(tell)).toEqual([]);
    expect(member.snapshot.context.record.generation).toBe(1);
  });

  test("half of the first batch was written: the other half was lost, or told twice", () => {
    const first = driveDeployment(deploymentOf());
    const { commands } = first;
    first.send({ type: "observe", observed: observedOf({ step: 1 }), moved: false, nowMs: 1_000 });
    expect(commands).toContainEqual(expect.objectContaining({ type: "tell", instances: ["i1", "i2"] }));
    const half = { waiting: 9, next: ["i2", "i3"], flights: [flightOf("i1")], returnable: 1 };
    const observe = (step: number, unwritten: number) =>
      ({
        type: "observe",
        observed: observedOf({ step, ...half, unwritten }),
        moved: true,
        nowMs: 2_000,
      }) as const;
    expect(deeds(first.send(observe(2, 1)))).toEqual([]);
    const next = restoreDeployment(first.snapshot.context.record, 5_000);
    next.send({ type: "takenOver" });
    const again = next.send(observe(0, 0));
    expect(again).toContainEqual(expect.objectContaining({ type: "tell", instances: ["i2"] }));
  });
});

describe("when it has failed", () => {
  test("a threshold of zero was taken: it failed at once, without a failure", () => {
    const asked = { id: "d1", release: null, config: null, matched: 3, mark: byAnna(0), requestKey: null };
    const ask = (failureThreshold: number | string) => () =>
      newDeployment({ ...asked, spec: specOf({ failureThreshold }), rollbackOf: null, retryOf: null });
    expect(ask(0)).toThrow("The failure threshold 0 is not allowed");
    expect(ask("0%")).toThrow("The failure threshold 0% is not allowed");
    expect(planFor({ failed: 0 }, { failureThreshold: 1 }).verdict).toBe("going");
  });

  test("a rollback that failed started another rollback, at each look", () => {
    const deployment = driveDeployment(rollback);
    const { commands } = deployment;
    const failing = { waiting: 8, next: ["i3"], failed: 2, everFailed: 2, returnable: 2 };
    for (let nowMs = 1_000; nowMs < 20_000; nowMs += 1_000) {
      const { step } = deployment.snapshot.context;
      deployment.send({ type: "observe", observed: observedOf({ step, ...failing }), moved: false, nowMs });
    }
    expect(commands.filter(({ type }) => type === "beginRollback")).toEqual([]);
    expect(deployment.snapshot.context.record.ending?.outcome).toBe("rollback_failed");
  });

  test("nothing to go back to was an error that nobody saw: the failed roll-out was left as it was", () => {
    const deployment = driveDeployment(deploymentOf());
    const failing = { waiting: 8, failed: 2, everFailed: 2, returnable: 0 };
    const look = (seen: Omit<Partial<Observed>, "step">, nowMs: number) => {
      const { step } = deployment.snapshot.context;
      return deployment.send({
        type: "observe",
        observed: observedOf({ step, ...seen }),
        moved: false,
        nowMs,
      });
    };
    look({}, 1_000);
    expect(deeds(look(failing, 2_000))).toEqual(["revert"]);
    const last = look({ total: 0 }, 3_000);
    expect(last).toContainEqual(expect.objectContaining({ type: "alert", code: "DEPLOYMENT_FAILED" }));
    expect(deployment.snapshot.context.record.outcome).toBe("failed");
  });

  test("silent instances were in progress for ever: there was no deadline of any kind", () => {
    const member = driveMember(instanceOf({ claim: told, generation: 1, desired: v2 }));
    member.send(report({}), { type: "silent" });
    expect(member.snapshot.value.status).toBe("UNKNOWN");
    const silent = { waiting: 0, next: [], flights: [flightOf("i1")] };
    const late = { ...policy, ranMs: wanted.deadlineMs };
    expect(plan(wanted, observedOf({ step: 0, ...silent }), late, 0).overdue).toEqual(["i1"]);
    const stuck = { ...policy, ranMs: wanted.progressDeadlineMs };
    const nothingMoves = plan(
      { ...wanted, deadlineMs: 10_000_000 },
      observedOf({ step: 0, ...silent }),
      stuck,
      0,
    );
    expect(nothingMoves.reason?.code).toBe("PROGRESS_DEADLINE");
  });
});

describe("when it is done", () => {
  test("a roll-out that nothing needed stayed under way, and every later one was refused", () => {
    const deployment = driveDeployment(deploymentOf());
    const look = (seen: Omit<Partial<Observed>, "step">, nowMs: number) => {
      const { step } = deployment.snapshot.context;
      return deployment.send({
        type: "observe",
        observed: observedOf({ step, ...seen }),
        moved: false,
        nowMs,
      });
    };
    look({ waiting: 0, next: [], notNeeded: 10 }, 1_000);
    look({ total: 0 }, 2_000);
    expect(deployment.snapshot.context.record.outcome).toBe("completed");
  });

  test("the number of targets was frozen: who joined made it complete too early", () => {
    const joined = { total: 11, succeeded: 10, waiting: 1, next: ["i11"] };
    expect(planFor(joined)).toMatchObject({ verdict: "going", tell: ["i11"] });
  });

  test("the number of targets was frozen: who left kept it from ever completing", () => {
    expect(planFor({ total: 9, succeeded: 9, waiting: 0, next: [] }).verdict).toBe("done");
  });
});

describe("where a rollback goes", () => {
  const released = (id: string, before: InstanceRecord["stable"]) =>
    instanceOf({ id, desired: v2, stable: v2, last: { deployment: "d1", before, result: "succeeded" } });

  test("instances that had not finished were left out: they went to the bad version after the rollback", () => {
    const running = instanceOf({ id: "i1", generation: 2, desired: v2, stable: v1, claim: told });
    expect(targetsOf(rollback, [running], undoing)).toEqual([
      { instance: "i1", target: v1, before: v1, urgent: true },
    ]);
    const member = driveMember(running);
    // It still runs v1 and has not begun with v2: it is told v1 all the same, under a newer generation.
    member.send(report({ observedGeneration: 1, running: v1 }));
    member.send(
      { type: "claim", deployment: "d2", target: v1, before: v1, urgent: true, minHealthyMs: 10_000 },
      { type: "tell", deployment: "d2", toldAtMs: 0, deadlineMs: 100_000 },
    );
    expect(member.snapshot.context.record).toMatchObject({ generation: 3, desired: v1 });
    member.send(report({ observedGeneration: 2, running: v2 }));
    expect(member.snapshot.value.update).toBe("IN_PROGRESS");
    member.send(report({ observedGeneration: 3, running: v1 }));
    expect(member.snapshot.value.update).toBe("COMPLETED");
  });

  test("everybody went back to one version of some earlier deployment, not to what it had run itself", () => {
    const fleet = [released("i1", v1), released("i2", { release: "v0", config: "c0" }), released("i3", null)];
    expect(targetsOf(rollback, fleet, undoing).map(({ target }) => target)).toEqual([
      v1,
      { release: "v0", config: "c0" },
      null,
    ]);
  });

  test("going back from a completed bad version went back to that very version", () => {
    const [target] = targetsOf(rollback, [released("i1", v1)], undoing);
    expect(target?.target).toEqual(v1);
  });

  test("every failed instance was made to look unknown, also those that had nothing to do with it", () => {
    const unrelated = instanceOf({
      id: "other",
      generation: 1,
      desired: v1,
      last: { deployment: "d0", before: null, result: "succeeded" },
    });
    expect(targetsOf(rollback, [unrelated], undoing)).toEqual([]);
    const member = driveMember(unrelated);
    member.send(report({ observedGeneration: 1, health: "FAILED", reason: broken }));
    member.send({ type: "release", completed: false });
    expect(member.snapshot.value).toEqual({ status: "FAILED", update: "FAILED" });
  });
});
