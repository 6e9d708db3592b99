import { beforeEach, describe, expect, test } from "vitest";
import { FleetWorld } from "../kit/fleet.js";
import { Invariants } from "../kit/invariants.js";
import { refusalOf } from "../kit/refusals.js";

let world: FleetWorld;

beforeEach(async () => {
  world = await FleetWorld.ready(6);
  new Invariants(world);
  await world.rolledOut("v1", { batch: 6 });
});

const abort = (deployment: string) =>
  world.call("deployments.abort", { deployment, by: "anna", reason: "wrong day" });

describe("an abort", () => {
  test("tells those in flight and those that failed what they had; finished ones stay, the others are told nothing", async () => {
    world.agent("web-1").behaviour = () => ({ tookMs: 100 });
    world.behave({ v2: { fails: true, tookMs: 500 } }, ["web-2"]);
    world.behave({ v2: { hangs: true } }, ["web-3", "web-4", "web-5"]);
    const { id } = await world.deploy("v2", { batch: 3 });
    await world.advance(3_000);
    expect(await world.view(id)).toMatchObject({
      counts: { succeeded: 1, failed: 1, inFlight: 3, waiting: 1 },
    });
    const aborted = await abort(id);
    expect(aborted).toMatchObject({
      status: "FAILED",
      state: "finished",
      outcome: "aborted",
      reason: { code: "ABORTED", message: "Aborted by anna: wrong day." },
      rolledBackBy: null,
      counts: { succeeded: 1, failed: 1, inFlight: 3, waiting: 1 },
    });
    await world.advance(20_000);
    expect(world.running()).toMatchObject({ "web-1": "v2", "web-2": "v1", "web-3": "v1", "web-5": "v1" });
    for (const name of ["web-2", "web-3", "web-4", "web-5"])
      expect(world.agent(name).story).toEqual(["v1", "v2", "v1"]);
    expect(world.agent("web-6").story).toEqual(["v1"]);
    const { items } = await world.call("instances.list", {});
    expect(
      items.map(({ id: name, claim, updateState, stable }) => [name, claim, updateState, stable?.release]),
    ).toEqual(items.map(({ id: name }) => [name, null, "COMPLETED", "v1"]));
  });

  test("stops an instance that had nothing before", async () => {
    world.addAgent("new-1", { tier: "new" });
    await world.advance(3_000);
    world.behave({ v2: { hangs: true } });
    const { id } = await world.deploy("v2", { selector: "tier=new" });
    await world.advance(2_000);
    await abort(id);
    await world.advance(5_000);
    expect(world.agent("new-1").story).toEqual(["v2", null]);
  });

  test("while its instances are still being taken: nobody is told anything, and all are let go", async () => {
    const creating = world.ask("deployments.create", { release: "v2", selector: "tier=web" });
    // Its id is known as soon as it is there, before the ledger has all of it.
    await world.until(() => [...world.host().list("deployment")].length > 0);
    const [{ id = "" } = {}] = [...world.host().list("deployment")];
    const aborted = await world.call("deployments.abort", { deployment: id });
    expect(aborted).toMatchObject({ outcome: "aborted" });
    expect(await world.during(creating)).toMatchObject({ id });
    await world.advance(60_000);
    expect(world.toldOf("v2")).toEqual([]);
    const { items } = await world.call("instances.list", {});
    expect(items.filter(({ claim }) => claim !== null)).toEqual([]);
    expect(await world.rolledOut("v3", { batch: 6 })).toMatchObject({ outcome: "completed" });
  });

  test("in the very moment in which instances are told: they go back too", async () => {
    for (const delay of [0, 1, 2, 3, 4, 5, 6]) {
      const fresh = await FleetWorld.ready(3);
      new Invariants(fresh);
      await fresh.rolledOut("v1", { batch: 3 });
      const creating = fresh.ask("deployments.create", { release: "v2", selector: "tier=web", batch: 3 });
      await fresh.until(() => [...fresh.host().list("deployment")].length > 0);
      const [{ id = "" } = {}] = [...fresh.host().list("deployment")];
      // So many virtual events later: somewhere between the claims and the desired states.
      let left = delay;
      await fresh.until(() => left-- <= 0);
      const aborting = fresh.ask("deployments.abort", { deployment: id });
      await fresh.during(Promise.allSettled([creating, aborting]));
      expect(await fresh.view(id)).toMatchObject({ outcome: "aborted" });
      await fresh.advance(20_000);
      expect(fresh.versions()).toEqual(["v1"]);
      for (const { story } of fresh.agents.values()) expect(["v1", "v1 v2 v1"]).toContain(story.join(" "));
    }
  });

  test("a second time, and of what is over, is refused with how it ended", async () => {
    world.behave({ v2: { hangs: true } });
    const { id } = await world.deploy("v2");
    const both = await world.during(
      Promise.allSettled([1, 2].map(() => world.ask("deployments.abort", { deployment: id }))),
    );
    // Both asked for the same, and both have it.
    expect(both.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled"]);
    expect(await refusalOf(abort(id))).toMatchObject({
      code: "ALREADY_FINISHED",
      details: { deployment: id, outcome: "aborted", verb: "abort" },
    });
    expect(await refusalOf(world.call("deployments.pause", { deployment: id }))).toMatchObject({
      code: "ALREADY_FINISHED",
    });
    const done = await world.rolledOut("v3", { batch: 6 });
    expect(await refusalOf(abort(done.id))).toMatchObject({
      code: "ALREADY_FINISHED",
      details: { outcome: "completed" },
    });
    expect(await refusalOf(abort("d99"))).toMatchObject({ code: "UNKNOWN_DEPLOYMENT" });
  });

  test("of a paused roll-out ends it", async () => {
    const { id } = await world.deploy("v2");
    await world.call("deployments.pause", { deployment: id });
    expect(await abort(id)).toMatchObject({ outcome: "aborted", paused: null });
  });
});

test("an abort that comes while the failure of a deployment is still being written is refused, with how that has ended", async () => {
  world.behave({ v2: { fails: true } });
  const { id } = await world.deploy("v2", { batch: 2, failureThreshold: 1, rollback: "off" });
  world.hub.delay(500, ({ from, to }) => from === "c1" && to === "ledger-store");
  await world.until(() => world.toldOf("v2").length > 0);
  await world.advance(800);
  expect(await refusalOf(abort(id))).toMatchObject({
    code: "ALREADY_FINISHED",
    details: { deployment: id, outcome: "failed", verb: "abort" },
  });
});

test("an instance that was away never starts the version of a deployment that was aborted or rolled back meanwhile", async () => {
  for (const how of ["abort", "rollback"] as const) {
    const fresh = await FleetWorld.ready(4);
    new Invariants(fresh);
    await fresh.rolledOut("v1", { batch: 4 });
    fresh.behave({ v2: { tookMs: 5_000 } });
    const { id } = await fresh.deploy("v2", { batch: 1 });
    await fresh.advance(1_000);
    // web-2 gets nothing that is sent to it from here on: its turn, and what takes it back.
    fresh.hub.disconnect("agent-web-2");
    await fresh.until(() => fresh.desiresOf("web-2").some(({ release }) => release === "v2"));
    await fresh.call(how === "abort" ? "deployments.abort" : "deployments.rollback", { deployment: id });
    await fresh.advance(120_000);
    fresh.hub.reconnect("agent-web-2");
    await fresh.advance(30_000);
    expect(fresh.agent("web-2").story).not.toContain("v2");
    expect(fresh.agent("web-2").running).toBe("v1");
  }
});
