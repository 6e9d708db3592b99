import { beforeEach, describe, expect, test } from "vitest";
import type { Behaviour } from "../kit/fake-agent.js";
import { FleetWorld } from "../kit/fleet.js";
import { Invariants } from "../kit/invariants.js";

let world: FleetWorld;

beforeEach(async () => {
  world = await FleetWorld.ready(4);
  new Invariants(world);
});

const all = { batch: 4 };
const rollback = (deployment: string) => world.call("deployments.rollback", { deployment });

describe("an instance that joins", () => {
  test("an empty fleet is told nothing, and keeps what it runs", async () => {
    world.addAgent("new-1", { tier: "web" });
    await world.advance(30_000);
    expect(world.desires).toEqual([]);
    expect(await world.instance("new-1")).toMatchObject({
      generation: 0,
      updateState: "NOT_NEEDED",
      desired: null,
    });
  });

  test("gets the version of the newest completed deployment that matches its labels", async () => {
    await world.rolledOut("v1", { ...all, selector: null });
    await world.rolledOut("v2", all);
    await world.rolledOut("v3", { selector: "tier!=db", ...all });
    world.addAgent("db-1", { tier: "db" });
    world.addAgent("web-9", { tier: "web" });
    await world.advance(5_000);
    expect(world.agent("db-1").story).toEqual(["v1"]);
    expect(world.agent("web-9").story).toEqual(["v3"]);
    expect(await world.instance("web-9")).toMatchObject({
      updateState: "COMPLETED",
      stable: { release: "v3" },
    });
  });

  test("gets release and configuration, from the deployments that brought them", async () => {
    await world.pushConfig("c1");
    await world.rolledOut("v1", all);
    await world.rolledOut(null, { ...all, config: "c1" });
    world.addAgent("web-9", { tier: "web" });
    await world.advance(5_000);
    expect((await world.instance("web-9")).running).toEqual({ release: "v1", config: "c1" });
  });

  test("gets nothing of what failed, was aborted or was rolled back", async () => {
    await world.rolledOut("v1", all);
    const second = await world.rolledOut("v2", all);
    await world.finished((await rollback(second.id)).id);
    world.behave({ v3: { fails: true } });
    const third = await world.rolledOut("v3", all);
    await world.finished(third.rolledBackBy ?? "");
    world.addAgent("web-9", { tier: "web" });
    await world.advance(5_000);
    expect(world.agent("web-9").story).toEqual(["v1"]);
  });

  test("gets its turn in the roll-out that runs, after those before it, and counts in it", async () => {
    await world.rolledOut("v1", all);
    world.behave({ v2: { tookMs: 3_000 } });
    const { id } = await world.deploy("v2", { batch: 1 });
    await world.advance(2_000);
    world.addAgent("web-9", { tier: "web" });
    await world.advance(1_000);
    expect(await world.instance("web-9")).toMatchObject({ claim: "waiting", deployment: id });
    expect(await world.finished(id)).toMatchObject({
      outcome: "completed",
      counts: { total: 5, succeeded: 5 },
    });
    expect(world.agent("web-9").story).toEqual(["v2"]);
  });

  test("and has failed in the roll-out that runs goes back to what the fleet had, not to nothing", async () => {
    await world.rolledOut("v1", all);
    world.behave({ v2: { tookMs: 3_000 } });
    const { id } = await world.deploy("v2", { batch: 1, failureThreshold: 1 });
    await world.advance(1_000);
    const late = world.addAgent("web-9", { tier: "web" });
    late.behaviour = ({ run }) => ({ fails: run?.release.version === "v2" });
    const bad = await world.finished(id);
    expect(bad).toMatchObject({ outcome: "failed", counts: { succeeded: 4, failed: 1 } });
    await world.finished(bad.rolledBackBy ?? "");
    expect(late.story).toEqual(["v2", "v1"]);
    expect(world.versions()).toEqual(["v1"]);
  });

  test("is taken by the oldest roll-out if several run", async () => {
    world.behave({ v1: { hangs: true }, v2: { hangs: true } });
    await world.relabel("web-1", { tier: "web", side: "a" });
    const first = await world.deploy("v1", { selector: "side=a" });
    await world.deploy("v2", { selector: "side!=a" });
    await world.advance(1_000);
    world.addAgent("both", { side: "a", tier: "web" });
    await world.advance(100);
    expect(await world.instance("both")).toMatchObject({ deployment: first.id });
  });

  test("at any moment of a roll-out is forgotten by nobody", async () => {
    for (let moment = 0; moment < 30; moment += 1) {
      const fresh = await FleetWorld.ready(2);
      new Invariants(fresh);
      const creating = fresh.ask("deployments.create", { release: "v1", selector: null, batch: 2 });
      let left = moment;
      await fresh.until(() => left-- <= 0);
      fresh.addAgent("late", {});
      const { id } = await fresh.during(creating);
      await fresh.finished(id);
      await fresh.advance(10_000);
      expect(fresh.running(), `joined ${moment} events after the request`).toEqual({
        "web-1": "v1",
        "web-2": "v1",
        late: "v1",
      });
    }
    // The same around the end of the roll-out.
    for (let moment = 0; moment < 30; moment += 1) {
      const fresh = await FleetWorld.ready(2);
      new Invariants(fresh);
      const { id } = await fresh.call("deployments.create", { release: "v1", selector: null, batch: 2 });
      await fresh.advance(1_495);
      let left = moment;
      await fresh.until(() => left-- <= 0);
      fresh.addAgent("late", {});
      await fresh.finished(id);
      await fresh.advance(10_000);
      expect(fresh.running(), `joined ${moment} events later`).toMatchObject({ late: "v1" });
    }
  });
});

describe("an instance that was away", () => {
  test("is skipped as unreachable, is counted so in the result, and converges when it returns", async () => {
    await world.rolledOut("v1", all);
    world.hub.disconnect("agent-web-2");
    await world.advance(15_000);
    const done = await world.rolledOut("v2", all);
    expect(done).toMatchObject({ outcome: "completed", counts: { succeeded: 3, unreachable: 1 } });
    expect(await world.instance("web-2")).toMatchObject({ status: "UNKNOWN", updateState: "NEEDING_UPDATE" });
    expect((await world.instance("web-2")).why).toContain("missed its reports");
    world.hub.reconnect("agent-web-2");
    await world.advance(10_000);
    expect(world.agent("web-2").story).toEqual(["v1", "v2"]);
    expect(await world.instance("web-2")).toMatchObject({
      updateState: "COMPLETED",
      stable: { release: "v2" },
    });
    // What it got late goes back with the others.
    const back = await rollback(done.id);
    expect(await world.finished(back.id)).toMatchObject({ outcome: "rolled_back", counts: { succeeded: 4 } });
    expect(world.versions()).toEqual(["v1"]);
  });

  test("returns with others: they converge in the batch size of that deployment, also under another leader", async () => {
    const away = ["web-1", "web-2", "web-3", "web-4"];
    for (let n = 5; n <= 14; n++) world.addAgent(`web-${n}`, { tier: "web" });
    await world.advance(3_000);
    await world.rolledOut("v1", { batch: 14 });
    for (const name of away) world.hub.disconnect(`agent-${name}`);
    await world.advance(15_000);
    await world.rolledOut("v2", { batch: 2 });
    world.behave({ v2: { tookMs: 4_000 } }, away);
    const underWay = () =>
      away.filter(
        (name) =>
          world.agent(name).desired?.run?.release.version === "v2" && world.agent(name).running === "v1",
      );
    let most = 0;
    world.checks.push(() => {
      most = Math.max(most, underWay().length);
      if (underWay().length > 2) throw new Error(`${underWay().length} converge at once`);
    });
    for (const name of away) world.hub.reconnect(`agent-${name}`);
    await world.advance(5_000);
    world.kill();
    await world.startCoordinator("c2");
    await world.untilLed();
    await world.advance(40_000);
    expect(world.versions()).toEqual(["v2"]);
    expect(most).toBe(2);
  });

  test("and fails on what it is owed raises an alert and nothing else; the next one has its turn", async () => {
    await world.rolledOut("v1", all);
    for (const name of ["web-1", "web-2"]) world.hub.disconnect(`agent-${name}`);
    await world.advance(15_000);
    const done = await world.rolledOut("v2", { batch: 1, deadlineMs: 20_000, failureThreshold: 1 });
    world.behave({ v2: { hangs: true } }, ["web-1"]);
    for (const name of ["web-1", "web-2"]) world.hub.reconnect(`agent-${name}`);
    await world.advance(60_000);
    expect(await world.instance("web-1")).toMatchObject({ updateState: "FAILED", stable: { release: "v1" } });
    expect((await world.instance("web-1")).why).toContain("not healthy on v2");
    expect(await world.instance("web-2")).toMatchObject({
      updateState: "COMPLETED",
      stable: { release: "v2" },
    });
    expect(await world.view(done.id)).toMatchObject({ outcome: "completed", rolledBackBy: null });
    expect((await world.call("deployments.list", {})).items).toHaveLength(2);
    // It is healthy after all.
    world.agent("web-1").set({ running: { release: "v2", config: null }, phase: "ACTIVE" });
    world.agent("web-1").recover();
    await world.advance(5_000);
    expect(await world.instance("web-1")).toMatchObject({
      updateState: "COMPLETED",
      stable: { release: "v2" },
    });
  });

  test("never gets the version of a completed deployment that was rolled back before it returned", async () => {
    await world.rolledOut("v1", all);
    world.hub.disconnect("agent-web-2");
    await world.advance(15_000);
    const second = await world.rolledOut("v2", all);
    await world.finished((await rollback(second.id)).id);
    world.hub.reconnect("agent-web-2");
    await world.advance(60_000);
    expect(world.agent("web-2").story).toEqual(["v1"]);
    expect(await world.instance("web-2")).toMatchObject({
      updateState: "COMPLETED",
      stable: { release: "v1" },
    });
  });

  test("and is told its version in the moment in which that is rolled back: it goes back too", async () => {
    for (let moment = 0; moment < 20; moment++) {
      world = await FleetWorld.ready(2);
      new Invariants(world);
      await world.rolledOut("v1", all);
      world.hub.disconnect("agent-web-2");
      await world.advance(15_000);
      const second = await world.rolledOut("v2", all);
      world.hub.reconnect("agent-web-2");
      world.agent("web-2").report({ whole: true });
      let left = moment;
      await world.until(() => left-- <= 0);
      await world.finished((await rollback(second.id)).id);
      await world.advance(30_000);
      expect(world.versions(), `${moment} events later`).toEqual(["v1"]);
      expect((await world.instance("web-2")).stable?.release).toBe("v1");
    }
  });

  test("for several deployments gets the newest that still stands", async () => {
    await world.rolledOut("v1", all);
    world.hub.disconnect("agent-web-2");
    await world.advance(15_000);
    await world.rolledOut("v2", all);
    const third = await world.rolledOut("v3", all);
    await world.finished((await rollback(third.id)).id);
    world.hub.reconnect("agent-web-2");
    await world.advance(60_000);
    expect(world.agent("web-2").story).toEqual(["v1", "v2"]);
    expect(world.versions()).toEqual(["v2"]);
  });

  test("and is taken by a roll-out that fails, gets afterwards what it was owed before", async () => {
    await world.rolledOut("v1", all);
    world.hub.disconnect("agent-web-2");
    await world.advance(15_000);
    await world.rolledOut("v2", all);
    world.behave({ v3: { fails: true } }, ["web-1"]);
    world.behave({ v3: { hangs: true } }, ["web-2"]);
    const { id } = await world.deploy("v3", { batch: 1, failureThreshold: 2, deadlineMs: 30_000 });
    world.hub.reconnect("agent-web-2");
    const bad = await world.finished(id);
    expect(bad.outcome).toBe("failed");
    await world.finished(bad.rolledBackBy ?? "");
    await world.advance(30_000);
    expect(world.agent("web-2").story).toEqual(["v1", "v3", "v1", "v2"]);
    expect(world.versions()).toEqual(["v2"]);
  });

  test("and whose claim is still waiting gets its turn when it is heard again", async () => {
    await world.rolledOut("v1", all);
    world.hub.disconnect("agent-web-1");
    await world.advance(15_000);
    world.behave({ v2: { tookMs: 20_000 } });
    const { id } = await world.deploy("v2", { batch: 1 });
    await world.advance(1_000);
    expect(world.toldOf("v2")).toEqual(["web-2"]);
    world.hub.reconnect("agent-web-1");
    expect(await world.finished(id)).toMatchObject({ counts: { succeeded: 4, unreachable: 0 } });
  });
});

test("a leader that stood still past the deadline of who catches up hears what it has to say first", async () => {
  const patient = new FleetWorld();
  await patient.startCoordinator("c1", 60_000);
  patient.addAgent("web-1", { tier: "web" });
  await patient.advance(2_500);
  await patient.pushRelease("v1", { deadlineMs: 10_000 });
  await patient.rolledOut("v1", { failureThreshold: 1 });
  const newcomer = patient.addAgent("web-9", { tier: "web" });
  newcomer.behaviour = () => ({ tookMs: 5_000 });
  await patient.until(() => newcomer.told.length === 1);
  patient.stall("c1", 20_000);
  await patient.advance(40_000);
  expect(newcomer.running).toBe("v1");
  expect(await patient.instance("web-9")).toMatchObject({
    updateState: "COMPLETED",
    stable: { release: "v1" },
  });
  const events = patient.store.events("default").map(({ type, subject }) => `${type} ${subject}`);
  expect(events.filter((event) => event.includes("failed") || event.includes("alerted"))).toEqual([]);
});

describe("the time of an instance that catches up", () => {
  async function withNewcomer(behaviour: Behaviour): Promise<FleetWorld> {
    const fleet = new FleetWorld();
    await fleet.startCoordinator("c1", 60_000);
    fleet.addAgent("web-1", { tier: "web" });
    await fleet.advance(2_500);
    await fleet.pushRelease("v1", { deadlineMs: 10_000 });
    await fleet.rolledOut("v1", { failureThreshold: 1 });
    fleet.addAgent("web-9", { tier: "web" }).behaviour = () => behaviour;
    return fleet;
  }

  test("begins when the ledger has what it is told: a slow write takes nothing of it", async () => {
    const slow = await withNewcomer({ tookMs: 7_000 });
    slow.hub.delay(4_000, ({ from, to }) => from === "c1" && to === "ledger-store");
    await slow.advance(40_000);
    expect(await slow.instance("web-9")).toMatchObject({
      updateState: "COMPLETED",
      stable: { release: "v1" },
    });
    expect(slow.eventsOf("instance", "web-9")).toEqual(["joined", "told", "succeeded"]);
  });

  test("is that of its deployment, also under another leader", async () => {
    const led = await withNewcomer({ hangs: true });
    await led.startCoordinator("c2");
    await led.until(() => led.agent("web-9").told.length === 1);
    await led.stopCoordinator("c1");
    await led.advance(30_000);
    expect(await led.instance("web-9")).toMatchObject({
      updateState: "FAILED",
      reason: { code: "INSTANCE_DEADLINE" },
    });
  });
});
