import { describe, expect, test } from "vitest";
import { driveDeployment } from "./drive.js";
import {
  abort,
  allDone,
  batchFull,
  begun,
  begunRollback,
  contextOf,
  letGo,
  look,
  pause,
  published,
  recordOf,
  resume,
  rollBack,
  type Seen,
  twoFailed,
} from "./looks.js";
import {
  byAnna,
  type DeploymentChanges,
  deeds,
  deploymentOf,
  flightOf,
  mass,
  observedOf,
} from "./samples.js";

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
      flights: [flightOf("i2")],
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
    for (const seen of [twoFailed, { ...twoFailed, flights: [flightOf("i3")] }]) {
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
    expect(commands.filter(({ type }) => type === "alert")).toEqual([]);
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
    const commands = look(deployment, 1_000, { ...others, nextUrgent: urgent });
    expect(commands).toContainEqual(expect.objectContaining({ type: "tell", instances: urgent }));
    const flights = urgent.map((name) => flightOf(name));
    expect(deeds(look(deployment, 2_000, { ...others, flights }))).toEqual([]);
    const next = look(deployment, 3_000, { ...others, flights: flights.slice(2) });
    expect(next).toContainEqual(expect.objectContaining({ type: "tell", instances: ["i8"] }));
  });
});

describe("an instance that leaves", () => {
  const oneFailed: Seen = {
    ...batchFull,
    flights: [flightOf("i2")],
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
    expect(deeds(look(deployment, 7_000, { ...oneFailed, total: 9, flights: [] }))).toEqual([
      "beginRollback",
    ]);
  });

  test("frees its slot and is no failure if it never failed", () => {
    const deployment = begun();
    expect(deeds(deployment.send({ type: "left", failed: false }))).toEqual([]);
    const commands = look(deployment, 6_000, { ...batchFull, total: 9, flights: [flightOf("i2")] });
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
  expect(notes).toEqual([
    ...["created", "started", "told", "held", "forced", "paused", "resumed"],
    ...["aborted", "reverting", "unforced", "finished"],
  ]);
});
