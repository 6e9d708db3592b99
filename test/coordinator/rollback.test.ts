import { beforeEach, describe, expect, test } from "vitest";
import type { Log } from "../../src/base/ports.js";
import { type Deploy, FleetWorld } from "../kit/fleet.js";
import { Invariants } from "../kit/invariants.js";
import { quietLog } from "../kit/quiet-log.js";
import { refusalOf } from "../kit/refusals.js";

let world: FleetWorld;

beforeEach(async () => {
  world = await FleetWorld.ready(6);
  new Invariants(world);
});

const all: Deploy = { batch: 6 };
const rollback = (deployment: string) => world.call("deployments.rollback", { deployment, by: "anna" });

describe("a roll-out that fails goes back by itself", () => {
  test("each touched instance to exactly what was stable there, and nobody else is told anything", async () => {
    await world.rolledOut("v1", { ...all, selector: null });
    await world.relabel("web-2", { tier: "web", canary: "yes" });
    await world.rolledOut("v2", { selector: "canary=yes" });
    world.behave({ v3: { fails: true } }, ["web-2", "web-3"]);
    const bad = await world.rolledOut("v3", { batch: 1 });
    expect(bad).toMatchObject({ outcome: "failed", counts: { succeeded: 1, failed: 2, waiting: 3 } });
    const back = await world.finished(bad.rolledBackBy ?? "");
    expect(back).toMatchObject({
      status: "COMPLETED",
      outcome: "rolled_back",
      rollbackOf: bad.id,
      batch: 1,
      matched: 3,
      counts: { total: 3, succeeded: 3 },
    });
    expect(world.running()).toEqual({
      "web-1": "v1",
      "web-2": "v2",
      "web-3": "v1",
      "web-4": "v1",
      "web-5": "v1",
      "web-6": "v1",
    });
    expect(world.toldOf("v3")).toEqual(["web-1", "web-2", "web-3"]);
    for (const name of ["web-4", "web-5", "web-6"]) expect(world.agent(name).story).toEqual(["v1"]);
    const { items } = await world.call("instances.list", {});
    expect(items.every(({ claim, updateState }) => claim === null && updateState === "COMPLETED")).toBe(true);
    expect((await world.instance("web-2")).stable?.release).toBe("v2");
  });

  test("those in flight and those that failed go first, together; the finished ones a batch at a time after them", async () => {
    await world.rolledOut("v1", all);
    for (const name of ["web-1", "web-2"]) world.agent(name).behaviour = () => ({ tookMs: 100 });
    const v1 = { tookMs: 5_000 };
    world.behave({ v1, v2: { fails: true, tookMs: 3_000 } }, ["web-3", "web-4"]);
    world.behave({ v1, v2: { hangs: true } }, ["web-5", "web-6"]);
    const { id } = await world.deploy("v2", { batch: 4, failureThreshold: 2 });
    const bad = await world.finished(id);
    expect(bad).toMatchObject({ counts: { succeeded: 2, failed: 2, inFlight: 2 } });
    const back = bad.rolledBackBy ?? "";
    const told = () =>
      world.desires.flatMap(({ instance, desired }) => (desired?.deployment === back ? [instance] : []));
    expect(told().sort()).toEqual(["web-3", "web-4", "web-5", "web-6"]);
    await world.advance(4_000);
    expect(told()).toHaveLength(4);
    await world.finished(back);
    expect(told()).toHaveLength(6);
    expect(world.versions()).toEqual(["v1"]);
  });

  test("without anything before it: its instances are stopped, and it says that there was nothing to go back to", async () => {
    world.behave({ v1: { fails: true } });
    const bad = await world.rolledOut("v1");
    expect(bad).toMatchObject({ outcome: "failed", rolledBackBy: null, counts: { failed: 2 } });
    await world.advance(5_000);
    expect(world.agent("web-1").story).toEqual(["v1", null]);
    expect(world.agent("web-3").story).toEqual([]);
    const { items } = await world.call("instances.list", {});
    expect(items.filter(({ claim }) => claim !== null)).toEqual([]);
    expect(await world.instance("web-1")).toMatchObject({
      desired: null,
      phase: "STOPPED",
      updateState: "COMPLETED",
    });
    expect(await refusalOf(rollback(bad.id))).toMatchObject({ code: "NO_PREVIOUS_DEPLOYMENT" });
  });

  test("with something before it on some instances only: the others are stopped, and that is their success", async () => {
    await world.rolledOut("v1", all);
    world.addAgent("web-0", { tier: "web", fresh: "yes" });
    await world.relabel("web-1", { tier: "web", fresh: "yes" });
    // web-0 gets v1 as it joins; an instance of its own label set has had nothing.
    world.addAgent("lone-1", { fresh: "yes" });
    await world.advance(5_000);
    world.behave({ v2: { fails: true } });
    const bad = await world.rolledOut("v2", { selector: "fresh=yes", batch: 3, failureThreshold: 3 });
    const back = await world.finished(bad.rolledBackBy ?? "");
    expect(back).toMatchObject({ outcome: "rolled_back", counts: { total: 3, succeeded: 3 } });
    expect(world.agent("lone-1").story).toEqual(["v2", null]);
    expect(world.agent("lone-1").state.phase).toBe("STOPPED");
    expect(world.running()).toMatchObject({ "web-0": "v1", "web-1": "v1", "lone-1": null });
  });

  test("not if that is switched off: those in flight and those that failed are told what they had, the others stay", async () => {
    await world.rolledOut("v1", all);
    world.agent("web-1").behaviour = () => ({ tookMs: 100 });
    world.behave({ v2: { fails: true, tookMs: 1_200 } }, ["web-2", "web-3"]);
    world.behave({ v2: { hangs: true } }, ["web-4", "web-5"]);
    const bad = await world.rolledOut("v2", { batch: 4, rollback: "off" });
    expect(bad).toMatchObject({ outcome: "failed", rolledBackBy: null });
    await world.advance(10_000);
    expect(world.running()).toEqual({
      "web-1": "v2",
      "web-2": "v1",
      "web-3": "v1",
      "web-4": "v1",
      "web-5": "v1",
      "web-6": "v1",
    });
    expect((await world.call("deployments.list", {})).items).toHaveLength(2);
    expect((await world.instance("web-1")).stable?.release).toBe("v1");
    // A person may still take it back.
    const back = await rollback(bad.id);
    expect(await world.finished(back.id)).toMatchObject({ outcome: "rolled_back" });
    expect(world.versions()).toEqual(["v1"]);
  });
});

describe("a rollback that fails itself", () => {
  test("ends as rollback_failed, raises an alert, and begins no other", async () => {
    const alerts: string[] = [];
    const log: Log = { ...quietLog, error: (_, what) => alerts.push(what), child: () => log };
    world = await FleetWorld.ready(4, { log });
    new Invariants(world);
    await world.rolledOut("v1", all);
    world.behave({ v1: { fails: true }, v2: { fails: true } });
    const bad = await world.rolledOut("v2");
    const back = await world.finished(bad.rolledBackBy ?? "");
    expect(back).toMatchObject({ status: "FAILED", outcome: "rollback_failed", rolledBackBy: null });
    await world.advance(600_000);
    expect((await world.call("deployments.list", {})).items).toHaveLength(3);
    expect(alerts.filter((what) => what.startsWith(back.id))).toHaveLength(1);
    expect(world.agent("web-1").story).toEqual(["v1", "v2", "v1"]);
    expect(world.agent("web-4").story).toEqual(["v1"]);
    expect(await refusalOf(rollback(back.id))).toMatchObject({
      code: "ROLLBACK_OF_ROLLBACK",
      details: { deployment: back.id },
    });
  });

  test("is repeated by retry, for those that are not back yet", async () => {
    await world.rolledOut("v1", all);
    world.behave({ v2: { fails: true }, v1: { fails: true } }, ["web-3", "web-4"]);
    const bad = await world.rolledOut("v2", { batch: 2 });
    const back = await world.finished(bad.rolledBackBy ?? "");
    expect(back).toMatchObject({ outcome: "rollback_failed", counts: { failed: 2 } });
    expect(world.running()).toMatchObject({ "web-1": "v2", "web-2": "v2" });
    world.behave({});
    const again = await world.call("deployments.retry", { deployment: back.id });
    expect(again).toMatchObject({ rollbackOf: bad.id, retryOf: back.id, batch: 2, matched: 4 });
    expect(await world.finished(again.id)).toMatchObject({
      outcome: "rolled_back",
      counts: { succeeded: 4 },
    });
    expect(world.versions()).toEqual(["v1"]);
    expect(await refusalOf(world.call("deployments.retry", { deployment: again.id }))).toMatchObject({
      code: "NOTHING_TO_RETRY",
    });
  });

  test("can be aborted: what it told stays told, the others stay where they are, and a retry goes on", async () => {
    await world.rolledOut("v1", all);
    world.behave({ v2: { fails: true } }, ["web-5", "web-6"]);
    const bad = await world.rolledOut("v2", { batch: 2 });
    world.behave({ v1: { tookMs: 4_000 } });
    const back = bad.rolledBackBy ?? "";
    await world.until(() => world.desires.filter(({ desired }) => desired?.deployment === back).length === 4);
    const aborted = await world.call("deployments.abort", { deployment: back });
    expect(aborted).toMatchObject({ outcome: "aborted", status: "FAILED" });
    await world.advance(10_000);
    expect(world.running()).toEqual({
      "web-1": "v1",
      "web-2": "v1",
      "web-3": "v2",
      "web-4": "v2",
      "web-5": "v1",
      "web-6": "v1",
    });
    expect((await world.view(bad.id)).rolledBackBy).toBeNull();
    const again = await world.call("deployments.retry", { deployment: back });
    expect(await world.finished(again.id)).toMatchObject({ outcome: "rolled_back" });
    expect(world.versions()).toEqual(["v1"]);
  });
});

describe("a rollback that a person asks for", () => {
  test("of a running deployment ends that one and takes its instances over, in one step", async () => {
    await world.rolledOut("v1", all);
    const { id } = await world.deploy("v2");
    await world.until(() => Object.values(world.running()).includes("v2"));
    const back = await rollback(id);
    expect(back).toMatchObject({ rollbackOf: id, created: { by: "anna" } });
    expect(await world.view(id)).toMatchObject({
      outcome: "failed",
      reason: { code: "ROLLED_BACK", message: "Rolled back by anna." },
      rolledBackBy: back.id,
    });
    expect(await world.finished(back.id)).toMatchObject({ outcome: "rolled_back", counts: { total: 2 } });
    expect(world.versions()).toEqual(["v1"]);
    expect(world.toldOf("v2")).toEqual(["web-1", "web-2"]);
  });

  test("in the moment in which the deployment ends by itself is carried out all the same", async () => {
    for (let moment = 0; moment < 25; moment++) {
      world = await FleetWorld.ready(2);
      new Invariants(world);
      await world.rolledOut("v1", all);
      const { id } = await world.deploy("v2", all);
      await world.advance(1_495);
      let left = moment;
      await world.until(() => left-- <= 0);
      const back = await rollback(id);
      expect(back).toMatchObject({ rollbackOf: id });
      await world.finished(back.id);
      expect(world.versions(), `${moment} events later`).toEqual(["v1"]);
    }
  });

  test("of a finished deployment takes every instance back that it touched, with its batch", async () => {
    await world.rolledOut("v1", all);
    const good = await world.rolledOut("v2");
    const back = await rollback(good.id);
    expect(back).toMatchObject({ rollbackOf: good.id, batch: 2, matched: 6 });
    expect(await world.finished(back.id)).toMatchObject({ outcome: "rolled_back", counts: { succeeded: 6 } });
    expect(world.versions()).toEqual(["v1"]);
    expect((await world.instance("web-1")).stable?.release).toBe("v1");
    expect((await world.view(good.id)).rolledBackBy).toBe(back.id);
  });

  test("of a deployment that was aborted takes back what had finished", async () => {
    await world.rolledOut("v1", all);
    const { id } = await world.deploy("v2");
    await world.until(() => world.toldOf("v2").length === 4);
    await world.call("deployments.abort", { deployment: id });
    await world.advance(5_000);
    expect(world.running()).toMatchObject({ "web-1": "v2", "web-2": "v2", "web-3": "v1" });
    const back = await rollback(id);
    await world.finished(back.id);
    expect(world.versions()).toEqual(["v1"]);
  });

  test("leaves alone what a later deployment has touched, and is refused when that is all", async () => {
    await world.rolledOut("v1", all);
    const second = await world.rolledOut("v2");
    await world.relabel("web-1", { tier: "web", name: "one" });
    await world.rolledOut("v3", { selector: "name=one" });
    const back = await world.finished((await rollback(second.id)).id);
    expect(back).toMatchObject({ outcome: "rolled_back", matched: 5 });
    expect(world.running()).toMatchObject({ "web-1": "v3", "web-2": "v1", "web-6": "v1" });
    const third = await world.rolledOut("v2", all);
    await world.rolledOut("v3", all);
    expect(await refusalOf(rollback(third.id))).toMatchObject({
      code: "SUPERSEDED",
      details: { deployment: third.id },
    });
  });

  test("is refused while another deployment has some of its instances", async () => {
    await world.rolledOut("v1", all);
    const second = await world.rolledOut("v2", all);
    world.behave({ v3: { hangs: true } });
    const third = await world.deploy("v3", { batch: 1 });
    await world.advance(1_000);
    expect(await refusalOf(rollback(second.id))).toMatchObject({
      code: "ROLLOUT_IN_PROGRESS",
      details: { other: third.id, shared: 5, example: "web-2" },
    });
  });

  test("is refused a second time while the first one runs, and may be repeated after it", async () => {
    await world.rolledOut("v1", all);
    const second = await world.rolledOut("v2", all);
    const first = await rollback(second.id);
    expect(await refusalOf(rollback(second.id))).toMatchObject({
      code: "ROLLOUT_IN_PROGRESS",
      details: { other: first.id },
    });
    await world.finished(first.id);
    const again = await world.finished((await rollback(second.id)).id);
    expect(again).toMatchObject({ outcome: "rolled_back", counts: { notNeeded: 6 } });
  });

  test("goes back to a version that is still there: what a rollback needs cannot be removed", async () => {
    await world.rolledOut("v1", all);
    const second = await world.rolledOut("v2", all);
    const remove = (version: string) => world.call("releases.remove", { version, by: "anna" });
    expect(await refusalOf(remove("v1"))).toMatchObject({ code: "VERSION_IN_USE" });
    await world.finished((await rollback(second.id)).id);
    expect(world.versions()).toEqual(["v1"]);
    await world.rolledOut("v3", all);
    expect(await remove("v2")).toEqual({ version: "v2" });
  });

  test("is refused for what is unknown and for what touched nothing that had a version", async () => {
    expect(await refusalOf(rollback("d9"))).toMatchObject({ code: "UNKNOWN_DEPLOYMENT" });
    const { id } = await world.deploy("v1");
    expect(await refusalOf(rollback(id))).toMatchObject({
      code: "NO_PREVIOUS_DEPLOYMENT",
      details: { deployment: id },
    });
    expect(await world.finished(id)).toMatchObject({ outcome: "completed" });
    expect(await refusalOf(rollback(id))).toMatchObject({ code: "NO_PREVIOUS_DEPLOYMENT" });
  });
});

describe("instances that cannot be reached", () => {
  test("are told at once by a rollback, outside its slots, and not waited for; they go back when they return", async () => {
    await world.rolledOut("v1", all);
    const good = await world.rolledOut("v2", all);
    world.hub.disconnect("agent-web-5");
    world.hub.disconnect("agent-web-6");
    await world.advance(30_000);
    const back = await rollback(good.id);
    await world.advance(100);
    const told = world.desires.filter(({ desired }) => desired?.deployment === back.id);
    expect(told.slice(0, 2).map(({ instance }) => instance)).toEqual(["web-5", "web-6"]);
    expect(await world.finished(back.id)).toMatchObject({
      outcome: "rolled_back",
      counts: { succeeded: 4, inFlight: 2 },
    });
    expect(world.running()).toMatchObject({ "web-1": "v1", "web-5": "v2", "web-6": "v2" });
    world.hub.reconnect("agent-web-5");
    world.hub.reconnect("agent-web-6");
    await world.advance(60_000);
    expect(world.versions()).toEqual(["v1"]);
    expect(await world.instance("web-5")).toMatchObject({
      updateState: "COMPLETED",
      stable: { release: "v1" },
    });
  });
});
