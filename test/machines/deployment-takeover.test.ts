import { describe, expect, test } from "vitest";
import { driveDeployment, restoreDeployment } from "./drive.js";
import {
  allDone,
  batchFull,
  begun,
  contextOf,
  letGo,
  look,
  pause,
  recordOf,
  type Seen,
  twoFailed,
} from "./looks.js";
import { deeds, deploymentOf, mass } from "./samples.js";

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

  test("need not wait until the ledger has the reports that freed its slots: it is written behind them", () => {
    const deployment = begun();
    const free: Seen = { ...batchFull, flights: [], succeeded: 2 };
    expect(deeds(look(deployment, 2_000, { ...free, unwritten: 1 }))).toEqual(["tell"]);
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
