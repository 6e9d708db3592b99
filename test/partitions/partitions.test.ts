import { describe, expect, test } from "vitest";
import type { DeploymentRecord } from "../../src/contracts/deployment.js";
import { fleet, leaseMs } from "../kit/coordinators-world.js";
import { type CutName, cuts } from "../kit/cuts.js";
import { FleetWorld } from "../kit/fleet.js";
import { Invariants } from "../kit/invariants.js";

const instances = 6;
const batch = 2;
const deadlineMs = 20_000;
const minHealthyMs = 1_000;
const tookMs = 1_500;
const reportMs = 2_000;
/** An agent that did not hear of a change reads its desired state this often. */
const readEveryMs = 30_000;

/** L2: from the healing on, until somebody leads. */
const ledMaxMs = 2 * leaseMs;
/**
 * L1: until everything is where it should be. Twice, for there may be a rollback; and before that a hold may have to end, which
 * takes two liveness windows.
 */
const calmMaxMs =
  2 * Math.ceil(instances / batch) * (deadlineMs + minHealthyMs + 2 * reportMs) +
  leaseMs +
  readEveryMs +
  2 * 3.5 * reportMs;
/** L3: for so long nothing is done any more. */
const stillMs = 20_000;

/** The moments of a roll-out in which something is cut, by what its leader knows of it. */
const moments: Readonly<Record<string, (records: readonly DeploymentRecord[], told: number) => boolean>> = {
  "it claims its instances": (records) => records.some(({ stage }) => stage === "preparing"),
  "a wave is under way": (_, told) => told > batch,
  "it is rolled back": (records) =>
    records.some(({ rollbackOf, stage }) => rollbackOf !== null && stage === "running"),
  "it completes": (records) =>
    records.some(({ stage, rollbackOf }) => stage === "completing" && rollbackOf === null),
};

const durations = {
  "less than a lease": leaseMs - 1_000,
  "more than a lease": 2 * leaseMs,
  "more than the deadline": deadlineMs + 10_000,
};

async function fleetOnV1(bad: boolean): Promise<{ world: FleetWorld; invariants: Invariants }> {
  const world = new FleetWorld();
  await world.startCoordinator("c1");
  world.serve("c1");
  for (let n = 1; n <= instances; n++) world.addAgent(`i${n}`);
  await world.advance(2_500);
  const manifest = { minHealthyMs, deadlineMs };
  for (const version of ["v1", "v2"]) await world.pushRelease(version, manifest);
  await world.rolledOut("v1", { selector: null, batch: instances });
  await world.startCoordinator("c2");
  world.serve("c2");
  world.behave({ v2: { tookMs, fails: bad } }, bad ? ["i2", "i3"] : undefined);
  return { world, invariants: new Invariants(world) };
}

/** As the leader has them. */
function recordsIn(world: FleetWorld): DeploymentRecord[] {
  const name = world.leaderName();
  if (name === undefined) return [];
  return [...world.host(name).list("deployment")].map(
    (actor) => (actor.snapshot() as { context: { record: DeploymentRecord } }).context.record,
  );
}

/** Waits for what the end of a story must be; nobody does anything for it. */
async function untilCalm(world: FleetWorld, invariants: Invariants): Promise<void> {
  const isCalm = () => {
    if (world.leaderName() === undefined) return false;
    try {
      invariants.checkEnd();
      return true;
    } catch {
      return false;
    }
  };
  // Looking costs time, and nothing hangs on the millisecond.
  const untilMs = world.clock.nowMs() + calmMaxMs;
  while (!isCalm()) {
    if (world.clock.nowMs() > untilMs) invariants.checkEnd();
    await world.advance(500);
  }
}

const effectsIn = (world: FleetWorld) => [...world.agents.values()].flatMap(({ effects }) => effects);

async function story(cutName: CutName, moment: string, durationMs: number): Promise<void> {
  const bad = moment === "it is rolled back";
  const { world, invariants } = await fleetOnV1(bad);
  const client = world.client("operator", 30);
  const wanted = { release: "v2", selector: null, batch, failureThreshold: 2, requestKey: "once" };
  const asked = client.deployments.create(wanted);
  asked.catch(() => undefined);
  await world.until(() => moments[moment]?.(recordsIn(world), world.toldOf("v2").length) === true, 60_000);
  const before = world.running();
  const underWay = new Set(
    [...world.agents].filter(([, { state }]) => state.phase !== "ACTIVE").map(([name]) => name),
  );
  const heal = cuts[cutName](world);
  await world.advance(durationMs);
  // Whoever runs something goes on with it, or with what it is told.
  for (const [name, running] of Object.entries(world.running()))
    if (!underWay.has(name) && before[name] !== null) expect(running, name).not.toBeNull();
  expect(effectsIn(world)).not.toContain("stop");
  heal();
  await world.until(() => world.leaderName() !== undefined, ledMaxMs);
  // Somebody who was told that nobody answers asks once more.
  const { id } = await world.during(asked.catch(() => client.deployments.create(wanted)));
  await untilCalm(world, invariants);
  const done = await world.view(id);
  const needsSomebody = await expectRightEnd(world, id, { bad, cutName, mayExpire: durationMs > deadlineMs });
  const [told, version] = [world.desires.length, done.outcome === "completed" ? "v2" : "v1"];
  await world.advance(stillMs);
  expect(world.desires.length).toBe(told);
  if (!needsSomebody) expect(world.versions()).toEqual([version]);
  expect(effectsIn(world)).not.toContain("stop");
}

/**
 * Only what was in flight when its own deadline passed may have failed, however many were not heard.
 *
 * @returns true if the way back has failed as well
 */
async function expectRightEnd(
  world: FleetWorld,
  id: string,
  { bad, cutName, mayExpire }: { bad: boolean; cutName: CutName; mayExpire: boolean },
): Promise<boolean> {
  const done = await world.view(id);
  let needsSomebody = false;
  if (bad) expect(done.outcome).toBe("failed");
  else if (!mayExpire) expect(done).toMatchObject({ outcome: "completed", counts: { failed: 0 } });
  else expect(["completed", "failed"]).toContain(done.outcome);
  if (done.outcome === "failed") {
    const back = await world.view(done.rolledBackBy ?? "");
    // Who reports all the time and does nothing of what it is told until its deadline, fails also on the way back.
    const mayFail = mayExpire && cutName === "the agents do not hear the ledger";
    needsSomebody = back.outcome === "rollback_failed";
    expect(back.outcome).toMatch(mayFail ? /^(rolled_back|rollback_failed)$/ : /^rolled_back$/);
  }
  const failures = world.store.events(fleet).filter(({ type }) => type.includes("instance.failed"));
  for (const { body } of failures) expect(body).toMatch(mayExpire ? /HEALTH_CHECK|DEADLINE/ : /HEALTH_CHECK/);
  return needsSomebody;
}

describe.each(Object.keys(moments))("a partition while %s", (moment) => {
  describe.each(Object.entries(durations))("for %s", (_, durationMs) => {
    test.each(Object.keys(cuts) as CutName[])("%s: nothing stops, and it heals by itself", (cut) =>
      story(cut, moment, durationMs),
    );
  });
});
