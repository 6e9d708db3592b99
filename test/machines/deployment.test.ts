import { describe, expect, test } from "vitest";
import type { Observed } from "../../machines/deployment-plan.js";
import type { DeploymentEvent } from "../../machines/deployment-record.js";
import { publishedState } from "../../machines/deployment-status.js";
import { type DrivenDeployment, driveDeployment, restoreDeployment } from "./drive.js";
import {
  byAnna,
  calm,
  type DeploymentChanges,
  deeds,
  deploymentOf,
  flightOf,
  mass,
  observedOf,
} from "./samples.js";

type Seen = Omit<Partial<Observed>, "step">;

const contextOf = (deployment: DrivenDeployment) => deployment.snapshot.context;
const recordOf = (deployment: DrivenDeployment) => contextOf(deployment).record;
const published = (deployment: DrivenDeployment) => publishedState(deployment.snapshot.value);

/** Shows a deployment how its members stand; unless told otherwise, its newest step has taken effect. */
function look(
  deployment: DrivenDeployment,
  nowMs: number,
  seen: Seen = {},
  step = contextOf(deployment).step,
) {
  return deployment.send({ type: "observe", observed: observedOf({ step, ...seen }), moved: false, nowMs });
}

const pause = (atMs: number): DeploymentEvent => ({ type: "pause", mark: byAnna(atMs) });
const resume = (atMs: number, force = false): DeploymentEvent => ({
  type: "resume",
  mark: byAnna(atMs),
  force,
});
const abort = (atMs: number): DeploymentEvent => ({ type: "abort", mark: byAnna(atMs) });
const rollBack = (atMs: number): DeploymentEvent => ({ type: "rollBack", mark: byAnna(atMs) });

const two = (toldAtMs = 0) => [flightOf("i1", { toldAtMs }), flightOf("i2", { toldAtMs })];
const batchFull: Seen = { waiting: 8, next: ["i3", "i4"], inFlight: two(), returnable: 2 };
const twoFailed: Seen = { waiting: 8, next: ["i3", "i4"], failed: 2, everFailed: 2, returnable: 2 };
const allDone: Seen = { waiting: 0, next: [], succeeded: 10, returnable: 10 };
const letGo: Seen = { waiting: 0, next: [], total: 0 };

/** A roll-out whose claims were confirmed at ledger time 1,000, and that has told its first two. */
function begun(changes: DeploymentChanges = {}, judgeFromMs = 0): DrivenDeployment {
  const deployment = driveDeployment(deploymentOf(changes), judgeFromMs);
  look(deployment, 1_000);
  expect(deployment.snapshot.value).toMatchObject({ running: { pace: "writing" } });
  look(deployment, 1_000, batchFull);
  expect(deployment.snapshot.value).toMatchObject({ running: { pace: "watching" } });
  return deployment;
}

/** A rollback that has told its first two. */
const begunRollback = () => begun({ id: "d2", rollbackOf: "d1" });

describe("a roll-out", () => {
  test("claims its instances before it tells anybody anything", () => {
    const deployment = driveDeployment(deploymentOf());
    expect(deeds(deployment.commands)).toEqual(["claim"]);
    expect(published(deployment)).toEqual({ status: "UNKNOWN", state: "preparing", outcome: null });
    expect(deeds(look(deployment, 500, { unwritten: 3 }))).toEqual([]);
    const commands = look(deployment, 1_000);
    expect(commands).toContainEqual({ type: "tell", step: 2, instances: ["i1", "i2"], toldAtMs: 0 });
    expect(published(deployment)).toEqual({ status: "RUNNING", state: "rolling", outcome: null });
  });

  test("tells the next when a slot is free, by its own clock", () => {
    const deployment = begun();
    const commands = look(deployment, 31_000, {
      waiting: 8,
      next: ["i3", "i4"],
      inFlight: [flightOf("i2")],
      succeeded: 1,
    });
    expect(commands).toContainEqual({ type: "tell", step: 3, instances: ["i3"], toldAtMs: 30_000 });
  });

  test("ends completed: what succeeded becomes stable first, the outcome is written last", () => {
    const deployment = begun();
    expect(deeds(look(deployment, 50_000, allDone))).toEqual(["complete"]);
    expect(recordOf(deployment)).toMatchObject({
      stage: "completing",
      outcome: null,
      ending: { outcome: "completed" },
    });
    expect(published(deployment)).toEqual({ status: "RUNNING", state: "rolling", outcome: null });
    expect(deeds(look(deployment, 51_000, { ...letGo, unwritten: 4 }))).toEqual([]);
    expect(recordOf(deployment).outcome).toBeNull();
    look(deployment, 52_000, letGo);
    expect(recordOf(deployment)).toMatchObject({
      stage: "finished",
      outcome: "completed",
      finishedAtMs: 52_000,
      counts: { total: 10, succeeded: 10, failed: 0 },
    });
    expect(published(deployment)).toEqual({ status: "COMPLETED", state: "finished", outcome: "completed" });
  });

  test("that had to tell nobody completes at once", () => {
    const deployment = driveDeployment(deploymentOf());
    expect(deeds(look(deployment, 1_000, { waiting: 0, next: [], notNeeded: 10 }))).toEqual(["complete"]);
  });

  test("ends failed at the threshold, and a rollback takes over in the same breath", () => {
    const deployment = begun();
    const commands = look(deployment, 20_000, twoFailed);
    expect(deeds(commands)).toEqual(["beginRollback"]);
    expect(commands).toContainEqual({
      type: "beginRollback",
      mark: { by: "rollcall", atMs: 20_000, reason: "2 instances have failed; the failure threshold is 2." },
    });
    expect(commands).toContainEqual(expect.objectContaining({ type: "alert", code: "DEPLOYMENT_FAILED" }));
    expect(recordOf(deployment)).toMatchObject({
      stage: "finished",
      outcome: "failed",
      finishedAtMs: 20_000,
      ending: { reason: { code: "FAILURE_THRESHOLD" } },
      counts: { failed: 2, waiting: 8 },
    });
    expect(published(deployment)).toEqual({ status: "FAILED", state: "finished", outcome: "failed" });
  });

  test.each<[string, DeploymentChanges, Seen]>([
    ["rollback is switched off", { spec: { rollback: "off" } }, twoFailed],
    ["nobody has a version to go back to", {}, { ...twoFailed, returnable: 0 }],
  ])("ends failed without a rollback where %s: who is not finished is sent back", (_where, changes, seen) => {
    const deployment = begun(changes);
    const commands = look(deployment, 20_000, seen);
    expect(deeds(commands)).toEqual(["revert"]);
    expect(commands).toContainEqual({ type: "revert", step: 3, goBack: true });
    expect(recordOf(deployment)).toMatchObject({ stage: "reverting", outcome: null });
    const last = look(deployment, 21_000, letGo);
    expect(last).toContainEqual(expect.objectContaining({ type: "alert", code: "DEPLOYMENT_FAILED" }));
    expect(published(deployment)).toEqual({ status: "FAILED", state: "finished", outcome: "failed" });
  });

  test("tells nobody new by the look that reaches the threshold, though the failed ones have left their slots", () => {
    for (const seen of [twoFailed, { ...twoFailed, inFlight: [flightOf("i3")] }]) {
      expect(look(begun(), 20_000, seen).filter(({ type }) => type === "tell")).toEqual([]);
    }
  });

  test("ends failed where nothing has moved for the progress deadline", () => {
    const deployment = begun({ spec: { deadlineMs: 5_000_000, progressDeadlineMs: 100_000 } });
    expect(deeds(look(deployment, 100_999, batchFull))).toEqual([]);
    look(deployment, 101_000, batchFull);
    expect(recordOf(deployment).ending?.reason?.code).toBe("PROGRESS_DEADLINE");
  });

  test("is not stalled while an instance takes a step now and then", () => {
    const deployment = begun({ spec: { deadlineMs: 5_000_000, progressDeadlineMs: 100_000 } });
    const step = contextOf(deployment).step;
    const observed = observedOf({ step, ...batchFull });
    deployment.send({ type: "observe", observed, moved: true, nowMs: 90_000 });
    expect(deeds(look(deployment, 189_999, batchFull))).toEqual([]);
    look(deployment, 190_000, batchFull);
    expect(recordOf(deployment).ending?.reason?.code).toBe("PROGRESS_DEADLINE");
  });

  test("ends aborted: who is not finished is sent back, nobody is told anything new", () => {
    const deployment = begun();
    const commands = deployment.send({ type: "abort", mark: byAnna(5_000, "wrong day") });
    expect(deeds(commands)).toEqual(["revert"]);
    expect(commands).toContainEqual(expect.objectContaining({ type: "revert", goBack: true }));
    expect(deeds(look(deployment, 6_000, { unwritten: 1 }))).toEqual([]);
    const last = look(deployment, 7_000, letGo);
    expect(last.filter(({ type }) => type === "alert")).toEqual([]);
    expect(recordOf(deployment)).toMatchObject({
      outcome: "aborted",
      finishedAtMs: 7_000,
      ending: { reason: { code: "ABORTED", message: "Aborted by anna: wrong day." } },
    });
    expect(published(deployment)).toEqual({ status: "FAILED", state: "finished", outcome: "aborted" });
  });

  test("that is aborted while it takes its instances lets go of all once it has them, and tells nobody", () => {
    const deployment = driveDeployment(deploymentOf());
    expect(deeds(deployment.send(abort(500)))).toEqual([]);
    expect(deeds(look(deployment, 900, { unwritten: 3 }))).toEqual([]);
    expect(deeds(look(deployment, 1_000))).toEqual(["revert"]);
    look(deployment, 2_000, letGo);
    expect(published(deployment).outcome).toBe("aborted");
  });

  test("lets go of an instance too that joined while it was ending", () => {
    const deployment = begun();
    deployment.send(abort(5_000));
    expect(deeds(look(deployment, 6_000, { ...letGo, total: 1 }))).toEqual(["revert"]);
    look(deployment, 7_000, letGo);
    expect(published(deployment).outcome).toBe("aborted");
  });

  test("that is done while a person has paused it does not end before that person lets it", () => {
    const deployment = begun();
    deployment.send(pause(2_000));
    expect(deeds(look(deployment, 50_000, allDone))).toEqual([]);
    expect(deeds(deployment.send(resume(60_000)))).toEqual(["complete"]);
  });

  test("is rolled back by a person while it runs: a rollback takes over, in that person's name and at that time", () => {
    const deployment = begun();
    const commands = deployment.send({ type: "rollBack", mark: byAnna(5_000, "slow") });
    expect(deeds(commands)).toEqual(["beginRollback"]);
    expect(commands).toContainEqual({ type: "beginRollback", mark: byAnna(5_000, "slow") });
    expect(recordOf(deployment)).toMatchObject({
      outcome: "failed",
      finishedAtMs: 5_000,
      clock: { ranMs: 4_000, runningSinceMs: null },
      ending: { reason: { code: "ROLLED_BACK", message: "Rolled back by anna: slow." } },
    });
  });

  test("cannot be rolled back where nobody has a version to go back to", () => {
    const deployment = begun();
    look(deployment, 2_000, { ...batchFull, returnable: 0 });
    expect(deployment.snapshot.can(rollBack(5_000))).toBe(false);
    expect(deployment.send(rollBack(5_000))).toEqual([]);
    expect(published(deployment).state).toBe("rolling");
  });
});

describe("a rollback", () => {
  test("ends rolled_back", () => {
    const deployment = begunRollback();
    expect(deeds(look(deployment, 9_000, allDone))).toEqual(["complete"]);
    look(deployment, 10_000, letGo);
    expect(published(deployment)).toEqual({ status: "COMPLETED", state: "finished", outcome: "rolled_back" });
  });

  test("that crosses the threshold itself fails, stops and raises an alert; it never starts another", () => {
    const deployment = begunRollback();
    const commands = look(deployment, 20_000, twoFailed);
    expect(deeds(commands)).toEqual(["revert"]);
    expect(commands).toContainEqual(expect.objectContaining({ type: "revert", goBack: false }));
    const last = look(deployment, 21_000, letGo);
    expect(last).toContainEqual({
      type: "alert",
      code: "ROLLBACK_FAILED",
      message: "d2: 2 instances have failed; the failure threshold is 2.",
    });
    expect(published(deployment)).toEqual({
      status: "FAILED",
      state: "finished",
      outcome: "rollback_failed",
    });
    expect(deployment.commands.map(({ type }) => type)).not.toContain("beginRollback");
  });

  test("cannot itself be rolled back", () => {
    expect(begunRollback().send(rollBack(5_000))).toEqual([]);
  });

  test("can be aborted: nobody is told anything more", () => {
    const deployment = begunRollback();
    const commands = deployment.send(abort(5_000));
    expect(commands).toContainEqual(expect.objectContaining({ type: "revert", goBack: false }));
    look(deployment, 6_000, letGo);
    expect(published(deployment).outcome).toBe("aborted");
  });

  test("tells its urgent instances at once, whatever the batch, and the others a batch at a time when these are finished", () => {
    const deployment = driveDeployment(deploymentOf({ id: "d2", rollbackOf: "d1" }));
    const urgent = ["i1", "i2", "i3"];
    const others: Seen = { waiting: 5, next: ["i8", "i9"] };
    const commands = look(deployment, 1_000, { ...others, urgent });
    expect(commands).toContainEqual(expect.objectContaining({ type: "tell", instances: urgent }));
    const inFlight = urgent.map((name) => flightOf(name, { urgent: true }));
    expect(deeds(look(deployment, 2_000, { ...others, inFlight }))).toEqual([]);
    const next = look(deployment, 3_000, { ...others, inFlight: inFlight.slice(2) });
    expect(next).toContainEqual(expect.objectContaining({ type: "tell", instances: ["i8"] }));
  });
});

describe("paused and held", () => {
  const heldSeen: Seen = { ...batchFull, silence: mass };
  const calmAgain = (calmSinceMs: number): Seen => ({ ...batchFull, silence: { ...calm, calmSinceMs } });

  test("nobody new is told while it is paused; after that it goes on", () => {
    const deployment = begun();
    deployment.send(pause(2_000));
    expect(published(deployment).state).toBe("paused");
    const free: Seen = { ...batchFull, inFlight: [], succeeded: 2 };
    expect(deeds(look(deployment, 3_000, free))).toEqual([]);
    expect(deeds(deployment.send(resume(4_000)))).toEqual(["tell"]);
    expect(recordOf(deployment)).toMatchObject({ paused: null, generation: 3 });
  });

  test("nobody new is told while a rule holds it; it goes on when the silence was over for one window", () => {
    const deployment = begun();
    look(deployment, 2_000, heldSeen);
    expect(published(deployment).state).toBe("held");
    expect(recordOf(deployment).held?.reason).toBe("4 instances that are not in flight went silent at once");
    const free: Seen = { ...calmAgain(3_000), inFlight: [], succeeded: 2 };
    expect(deeds(look(deployment, 9_999, free))).toEqual([]);
    expect(deeds(look(deployment, 10_000, free))).toEqual(["tell"]);
    expect(published(deployment).state).toBe("rolling");
  });

  test("a pause hides a hold, and both must clear", () => {
    const deployment = begun();
    look(deployment, 2_000, heldSeen);
    deployment.send(pause(3_000));
    expect(published(deployment).state).toBe("paused");
    expect(recordOf(deployment)).toMatchObject({ held: { by: "rollcall" }, paused: { by: "anna" } });
    deployment.send(resume(4_000));
    expect(published(deployment).state).toBe("held");
    look(deployment, 12_000, calmAgain(5_000));
    expect(published(deployment).state).toBe("rolling");
  });

  test("a hold that ends under a pause leaves it paused", () => {
    const deployment = begun();
    deployment.send(pause(2_000));
    look(deployment, 3_000, heldSeen);
    look(deployment, 12_000, calmAgain(5_000));
    expect(published(deployment).state).toBe("paused");
    expect(recordOf(deployment).held).toBeNull();
    deployment.send(resume(13_000));
    expect(published(deployment).state).toBe("rolling");
  });

  test("a person may force a held one on, and it is not held again by the same silence", () => {
    const deployment = begun();
    look(deployment, 2_000, heldSeen);
    deployment.send(resume(3_000));
    expect(published(deployment).state).toBe("held");
    deployment.send(resume(4_000, true));
    expect(published(deployment).state).toBe("rolling");
    look(deployment, 5_000, heldSeen);
    expect(published(deployment).state).toBe("rolling");
    look(deployment, 6_000, calmAgain(5_500));
    expect(recordOf(deployment).forced).toBe(false);
    look(deployment, 7_000, heldSeen);
    expect(published(deployment).state).toBe("held");
  });

  test("one request forces a paused and held one on, and counts as one", () => {
    const deployment = begun();
    look(deployment, 2_000, heldSeen);
    deployment.send(pause(3_000));
    const { generation } = recordOf(deployment);
    deployment.send(resume(4_000, true));
    expect(published(deployment).state).toBe("rolling");
    expect(recordOf(deployment).generation).toBe(generation + 1);
  });

  test.each([
    ["paused", (deployment: DrivenDeployment) => deployment.send(pause(2_000))],
    ["held", (deployment: DrivenDeployment) => look(deployment, 2_000, heldSeen)],
  ])("the threshold still rolls back while it is %s", (_how, stop) => {
    const deployment = begun();
    stop(deployment);
    expect(deeds(look(deployment, 3_000, { ...twoFailed, silence: mass }))).toEqual(["beginRollback"]);
    expect(recordOf(deployment)).toMatchObject({ outcome: "failed", paused: null, held: null });
  });

  test("a mass silence in the eyes of a leader that has just taken over holds nothing yet", () => {
    const deployment = begun({}, 10_000);
    look(deployment, 9_999, heldSeen);
    expect(published(deployment).state).toBe("rolling");
    look(deployment, 10_000, heldSeen);
    expect(published(deployment).state).toBe("held");
  });

  test("a look that sees many silent in a fleet that is calm as a whole holds it, once", () => {
    const deployment = begun();
    look(deployment, 20_000, { ...batchFull, silence: { ...mass, calmSinceMs: 0 } });
    expect(published(deployment).state).toBe("held");
  });
});

describe("deadlines", () => {
  const expired = (commands: ReturnType<typeof look>) =>
    commands.flatMap((command) => (command.type === "expire" ? command.instances : []));

  test("pass for an instance that was told so long ago, and only once", () => {
    const deployment = begun();
    expect(expired(look(deployment, 100_999, batchFull))).toEqual([]);
    expect(expired(look(deployment, 101_000, batchFull))).toEqual(["i1", "i2"]);
    expect(expired(look(deployment, 102_000, batchFull, 2))).toEqual([]);
  });

  test("stand still while it is paused: what remained remains", () => {
    const deployment = begun();
    deployment.send(pause(51_000));
    expect(expired(look(deployment, 900_000, batchFull))).toEqual([]);
    deployment.send(resume(951_000));
    expect(expired(look(deployment, 1_000_999, batchFull))).toEqual([]);
    expect(expired(look(deployment, 1_001_000, batchFull))).toEqual(["i1", "i2"]);
  });

  test("stand still while it is held", () => {
    const deployment = begun();
    look(deployment, 51_000, { ...batchFull, silence: mass });
    look(deployment, 951_000, { ...batchFull, silence: { ...calm, calmSinceMs: 60_000 } });
    expect(expired(look(deployment, 1_000_999, batchFull))).toEqual([]);
    expect(expired(look(deployment, 1_001_000, batchFull))).toEqual(["i1", "i2"]);
  });

  test("stand still until the last of pause and hold is over", () => {
    const deployment = begun();
    look(deployment, 51_000, { ...batchFull, silence: mass });
    deployment.send(pause(60_000), resume(70_000));
    expect(recordOf(deployment).clock).toEqual({ ranMs: 50_000, runningSinceMs: null });
    look(deployment, 80_000, { ...batchFull, silence: { ...calm, calmSinceMs: 71_000 } });
    expect(recordOf(deployment).clock).toEqual({ ranMs: 50_000, runningSinceMs: 80_000 });
  });

  test("go on over a change of leader, which judges nobody before it has listened", () => {
    const { record } = contextOf(begun());
    const deployment = restoreDeployment(record, 200_000, 204_000);
    deployment.send({ type: "takenOver" });
    expect(expired(look(deployment, 203_999, batchFull))).toEqual([]);
    expect(expired(look(deployment, 204_000, batchFull))).toEqual(["i1", "i2"]);
  });

  test("are looked at when they pass, without a report: after each look, and when it goes on after a pause", () => {
    const deployment = begun();
    const wake = (commands: ReturnType<typeof look>) =>
      commands.flatMap((command) => (command.type === "wake" ? command.atMs : [])).at(-1);
    expect(wake(look(deployment, 31_000, batchFull))).toBe(101_000);
    deployment.send(pause(51_000));
    expect(wake(look(deployment, 60_000, batchFull))).toBe(Number.POSITIVE_INFINITY);
    expect(wake(deployment.send(resume(951_000)))).toBe(1_001_000);
  });
});

describe("a new leader", () => {
  test("claims again where the claiming was not finished", () => {
    const { record } = contextOf(driveDeployment(deploymentOf()));
    const deployment = restoreDeployment(record, 5_000);
    expect(deeds(deployment.send({ type: "takenOver" }))).toEqual(["claim"]);
    expect(deeds(look(deployment, 6_000))).toEqual(["tell"]);
  });

  test("completes again where the completing was not finished, and counts as it was counted then", () => {
    const first = begun();
    look(first, 50_000, allDone);
    const deployment = restoreDeployment(recordOf(first), 60_000);
    expect(deeds(deployment.send({ type: "takenOver" }))).toEqual(["complete"]);
    look(deployment, 61_000, letGo);
    expect(recordOf(deployment)).toMatchObject({
      outcome: "completed",
      counts: { total: 10, succeeded: 10 },
    });
  });

  test("reverts again where the reverting was not finished", () => {
    const first = begun({ spec: { rollback: "off" } });
    look(first, 50_000, twoFailed);
    const deployment = restoreDeployment(recordOf(first), 60_000);
    expect(deeds(deployment.send({ type: "takenOver" }))).toEqual(["revert"]);
    look(deployment, 61_000, letGo);
    expect(recordOf(deployment)).toMatchObject({ outcome: "failed", counts: { failed: 2 } });
  });

  test("tells nobody twice: it goes by what the members' records say", () => {
    const first = driveDeployment(deploymentOf());
    look(first, 1_000);
    const deployment = restoreDeployment(recordOf(first), 5_000);
    expect(deeds(deployment.send({ type: "takenOver" }))).toEqual([]);
    expect(deeds(look(deployment, 6_000, batchFull))).toEqual([]);
  });

  test("leaves a paused and held one paused and held", () => {
    const first = begun();
    look(first, 2_000, { ...batchFull, silence: mass });
    first.send(pause(3_000));
    const deployment = restoreDeployment(recordOf(first), 5_000);
    expect(deployment.snapshot.value).toMatchObject({ running: { person: "paused", rule: "held" } });
  });
});

describe("a step", () => {
  test("is not taken again by an observation that is older than it", () => {
    const deployment = driveDeployment(deploymentOf());
    expect(deeds(look(deployment, 1_000))).toEqual(["tell"]);
    const { step } = contextOf(deployment);
    for (let at = 0; at < step; at++) expect(deeds(look(deployment, 2_000, {}, at))).toEqual([]);
    expect(deployment.snapshot.value).toMatchObject({ running: { pace: "writing" } });
  });

  test("is not followed by another before the ledger has it", () => {
    const deployment = begun();
    const free: Seen = { ...batchFull, inFlight: [], succeeded: 2 };
    expect(deeds(look(deployment, 2_000, { ...free, unwritten: 1 }))).toEqual([]);
    expect(deeds(look(deployment, 3_000, free))).toEqual(["tell"]);
  });

  test("whose command is dropped leaves the roll-out standing still", () => {
    const deployment = driveDeployment(deploymentOf());
    expect(deeds(look(deployment, 1_000))).toEqual(["tell"]);
    // Nobody does it: the members go on waiting, and the newest step that took effect is the one before.
    const before = deployment.commands.length;
    for (let at = 2; at < 1_000; at++) look(deployment, at * 1_000, {}, 1);
    expect(deeds(deployment.commands.slice(before))).toEqual([]);
    expect(recordOf(deployment)).toMatchObject({ stage: "running", outcome: null });
  });
});

describe("an instance that leaves", () => {
  const oneFailed: Seen = {
    ...batchFull,
    inFlight: [flightOf("i2")],
    failed: 1,
    everFailed: 1,
    waiting: 0,
    next: [],
  };

  test("takes its failure along, which stays counted, once", () => {
    const deployment = begun();
    look(deployment, 5_000, oneFailed);
    expect(deeds(deployment.send({ type: "left", failed: true }))).toEqual([]);
    expect(published(deployment).state).toBe("rolling");
    expect(deeds(look(deployment, 6_000, { ...oneFailed, failed: 0, everFailed: 0, total: 9 }))).toEqual([]);
    expect(recordOf(deployment).leftFailed).toBe(1);
    expect(deeds(look(deployment, 7_000, { ...oneFailed, total: 9, inFlight: [] }))).toEqual([
      "beginRollback",
    ]);
  });

  test("frees its slot and is no failure if it never failed", () => {
    const deployment = begun();
    expect(deeds(deployment.send({ type: "left", failed: false }))).toEqual([]);
    const commands = look(deployment, 6_000, { ...batchFull, total: 9, inFlight: [flightOf("i2")] });
    expect(commands).toContainEqual(expect.objectContaining({ type: "tell", instances: ["i3"] }));
    expect(recordOf(deployment).leftFailed).toBe(0);
  });
});

describe("a finished deployment", () => {
  const finished = () => {
    const deployment = begun();
    look(deployment, 20_000, twoFailed);
    return deployment;
  };

  test("never changes its record again", () => {
    const deployment = finished();
    const record = recordOf(deployment);
    look(deployment, 30_000, { ...batchFull, silence: mass });
    look(deployment, 40_000, letGo);
    deployment.send(pause(41_000), resume(42_000, true), abort(43_000), rollBack(44_000));
    deployment.send({ type: "left", failed: true }, { type: "left", failed: false }, { type: "takenOver" });
    expect(recordOf(deployment)).toEqual(record);
  });

  test("asks for nothing any more", () => {
    const deployment = finished();
    const before = deployment.commands.length;
    look(deployment, 30_000, batchFull);
    deployment.send(pause(41_000), abort(43_000), rollBack(44_000), { type: "takenOver" });
    expect(deployment.commands.slice(before)).toEqual([]);
  });
});

test("each thing that happens to it is noted for the audit log, in its order", () => {
  const deployment = begun();
  look(deployment, 2_000, { ...batchFull, silence: mass });
  deployment.send(resume(3_000, true), pause(4_000), resume(5_000), abort(6_000));
  look(deployment, 7_000, letGo);
  const notes = deployment.commands.flatMap((command) => (command.type === "note" ? command.what : []));
  expect(notes).toEqual(["created", "started", "told", "held", "forced", "paused", "resumed", "finished"]);
});
