import { beforeEach, describe, expect, test } from "vitest";
import { currentFormats } from "../../src/contracts/record-formats.js";
import { Leader } from "../../src/coordinator/leader.js";
import { SelfWatch } from "../../src/coordinator/self-watch.js";
import { createActorHost } from "../../src/runtime/actor-host.js";
import { fleet } from "../kit/coordinators-world.js";
import { FleetWorld } from "../kit/fleet.js";
import { Invariants } from "../kit/invariants.js";

let world: FleetWorld;

beforeEach(async () => {
  world = await FleetWorld.ready(10);
  new Invariants(world);
  await world.rolledOut("v1", { batch: 10 });
});

const cutOff = (names: readonly string[]) =>
  names.forEach((name) => void world.hub.disconnect(`agent-${name}`));
const bringBack = (names: readonly string[]) =>
  names.forEach((name) => void world.hub.reconnect(`agent-${name}`));
const web = (...numbers: number[]) => numbers.map((n) => `web-${n}`);
const statusOf = async (name: string) => (await world.instance(name)).status;

describe("an instance that misses its reports", () => {
  test("is UNKNOWN after three of them, with the reason, and HEALTHY again by the next one", async () => {
    await world.advance(1_000);
    cutOff(["web-1"]);
    await world.advance(5_900);
    expect(await statusOf("web-1")).toBe("HEALTHY");
    await world.advance(4_000);
    const silent = await world.instance("web-1");
    expect(silent).toMatchObject({
      status: "UNKNOWN",
      reason: { code: "SILENT" },
      running: { release: "v1" },
    });
    expect(silent.why).toMatch(/^It has missed its reports; the last one came \d+s ago\.$/);
    bringBack(["web-1"]);
    await world.advance(2_100);
    expect(await statusOf("web-1")).toBe("HEALTHY");
  });

  test("is not picked, and the others go on", async () => {
    cutOff(["web-1"]);
    await world.advance(15_000);
    const done = await world.rolledOut("v2", { batch: 2 });
    expect(done).toMatchObject({ outcome: "completed", counts: { succeeded: 9, unreachable: 1 } });
    expect(world.desiresOf("web-1").map(({ release }) => release)).toEqual(["v1"]);
  });

  test("in flight fails by its own deadline only", async () => {
    world.behave({ v2: { tookMs: 5_000 } });
    const { id } = await world.deploy("v2", { batch: 1, failureThreshold: 1, deadlineMs: 60_000 });
    await world.advance(1_000);
    cutOff(["web-1"]);
    await world.advance(57_000);
    expect(await world.view(id)).toMatchObject({ state: "rolling", counts: { inFlight: 1, failed: 0 } });
    await world.advance(5_000);
    expect(await world.finished(id)).toMatchObject({ outcome: "failed", counts: { failed: 1 } });
  });

  test("in flight and back before its deadline succeeds", async () => {
    world.behave({ v2: { tookMs: 5_000 } });
    const { id } = await world.deploy("v2", { batch: 1, failureThreshold: 1, deadlineMs: 60_000 });
    await world.advance(1_000);
    cutOff(["web-1"]);
    await world.advance(40_000);
    bringBack(["web-1"]);
    expect(await world.finished(id)).toMatchObject({ outcome: "completed", counts: { succeeded: 10 } });
  });

  test("for a day has left the fleet: its record and its desired state are gone", async () => {
    world = new FleetWorld();
    // A long lease: its renewals are most of what happens in a day in which nothing happens.
    await world.startCoordinator("c1", 600_000);
    world.addAgent("web-1", { tier: "web" });
    await world.advance(2_500);
    await world.pushRelease("v1");
    await world.rolledOut("v1");
    world.agent("web-1").stop();
    await world.advance(86_390_000);
    expect((await world.call("instances.list", {})).items).toHaveLength(1);
    await world.advance(20_000);
    expect((await world.call("instances.list", {})).items).toEqual([]);
    expect(world.desires.at(-1)).toMatchObject({ instance: "web-1", desired: undefined });
    expect(world.eventsOf("instance", "web-1").at(-1)).toBe("left");
  });
});

describe("when many fall silent at once", () => {
  const away = web(7, 8, 9, 10);

  test("the roll-out holds and says why; deadlines stop; it goes on by itself once they are back for a while", async () => {
    world.behave({ v2: { hangs: true } }, ["web-1"]);
    const { id } = await world.deploy("v2", { batch: 1, failureThreshold: 1, deadlineMs: 60_000 });
    await world.advance(1_000);
    cutOff(away);
    await world.advance(10_000);
    const held = await world.view(id);
    expect(held).toMatchObject({ status: "RUNNING", state: "held", held: { by: "rollcall" } });
    expect(held.why).toMatchObject({ rule: "mass-silence" });
    expect(held.why.sentence).toContain("4 of 9 are silent now");
    await world.advance(600_000);
    expect(await world.view(id)).toMatchObject({ state: "held", counts: { inFlight: 1, failed: 0 } });
    bringBack(away);
    await world.advance(3_000);
    expect(await world.view(id)).toMatchObject({ state: "held" });
    await world.advance(8_000);
    expect(await world.view(id)).toMatchObject({ state: "rolling", held: null });
    expect(world.eventsOf("deployment", id)).toEqual(["created", "started", "told", "held", "released"]);
    expect(await world.finished(id)).toMatchObject({ outcome: "failed", counts: { failed: 1 } });
  });

  test("it does not complete over the heads of the silent ones", async () => {
    world.behave({ v2: { tookMs: 3_000 } });
    const { id } = await world.deploy("v2", { batch: 2 });
    await world.advance(1_000);
    cutOff(web(3, 4, 5, 6, 7, 8, 9, 10));
    await world.advance(120_000);
    expect(await world.view(id)).toMatchObject({
      state: "held",
      counts: { succeeded: 2, inFlight: 2, unreachable: 6 },
    });
    bringBack(web(3, 4, 5, 6, 7, 8, 9, 10));
    expect(await world.finished(id)).toMatchObject({ outcome: "completed", counts: { succeeded: 10 } });
  });

  test("it goes on when a person forces it, and is not held again for the same silence", async () => {
    const { id } = await world.deploy("v2", { batch: 1 });
    cutOff(away);
    await world.advance(9_000);
    expect(await world.view(id)).toMatchObject({ state: "held" });
    const forced = await world.call("deployments.resume", { deployment: id, force: true, by: "anna" });
    expect(forced).toMatchObject({ state: "rolling", held: null });
    expect(await world.finished(id)).toMatchObject({
      outcome: "completed",
      counts: { succeeded: 6, unreachable: 4 },
    });
  });

  test("a pause hides the hold, and both must clear", async () => {
    world.behave({ v2: { tookMs: 5_000 } });
    const { id } = await world.deploy("v2", { batch: 1 });
    cutOff(away);
    await world.advance(9_000);
    expect(await world.call("deployments.pause", { deployment: id })).toMatchObject({ state: "paused" });
    expect(await world.call("deployments.resume", { deployment: id })).toMatchObject({ state: "held" });
    await world.call("deployments.pause", { deployment: id });
    bringBack(away);
    await world.advance(20_000);
    expect(await world.view(id)).toMatchObject({ state: "paused", held: null });
    await world.call("deployments.resume", { deployment: id });
    expect(await world.finished(id)).toMatchObject({ outcome: "completed" });
  });

  test("while held the threshold still takes it back", async () => {
    world.behave({ v2: { fails: true, tookMs: 30_000 } }, ["web-1"]);
    const { id } = await world.deploy("v2", { batch: 1, failureThreshold: 1 });
    cutOff(away);
    await world.advance(10_000);
    expect(await world.view(id)).toMatchObject({ state: "held" });
    const bad = await world.finished(id);
    expect(bad).toMatchObject({ outcome: "failed" });
    await world.finished(bad.rolledBackBy ?? "");
    expect(world.agent("web-1").running).toBe("v1");
  });

  test("fewer than three, or less than 30 %, hold nothing; nor do those in flight", async () => {
    world.behave({ v2: { tookMs: 20_000 } });
    const { id } = await world.deploy("v2", { batch: 5, deadlineMs: 300_000 });
    await world.advance(1_000);
    cutOff(web(1, 2, 3, 4, 5, 9, 10));
    await world.advance(15_000);
    expect(await world.view(id)).toMatchObject({ state: "rolling" });
    bringBack(web(1, 2, 3, 4, 5, 9, 10));
    expect(await world.finished(id)).toMatchObject({ outcome: "completed", counts: { succeeded: 10 } });
  });

  test("instances in flight that stay silent do not keep the hold", async () => {
    world.behave({ v2: { hangs: true } }, web(1, 2, 3));
    const { id } = await world.deploy("v2", { batch: 3, failureThreshold: 9, deadlineMs: 600_000 });
    await world.advance(1_000);
    cutOff([...web(1, 2, 3), ...away]);
    await world.advance(10_000);
    expect(await world.view(id)).toMatchObject({ state: "held" });
    bringBack(away);
    await world.advance(15_000);
    expect(await world.view(id)).toMatchObject({ state: "rolling" });
  });
});

describe("nobody is judged by what the coordinator could not hear", () => {
  test("after a takeover: neither silence nor deadlines for two report intervals", async () => {
    world.behave({ v2: { tookMs: 58_000 } });
    const { id } = await world.deploy("v2", { batch: 10, failureThreshold: 1, deadlineMs: 60_000 });
    await world.advance(57_000);
    world.kill();
    // The lease ends, and another one takes over after the deadline has passed; by then all of them are healthy.
    await world.startCoordinator("c2");
    await world.untilLed();
    expect(await world.view(id)).toMatchObject({ counts: { failed: 0 } });
    expect(await world.finished(id)).toMatchObject({ outcome: "completed", counts: { succeeded: 10 } });
  });

  test("after a takeover nobody is told who was not heard: who is away is skipped", async () => {
    cutOff(["web-3"]);
    await world.advance(15_000);
    world.behave({ v2: { tookMs: 3_000 } });
    const { id } = await world.deploy("v2", { batch: 1 });
    await world.advance(1_000);
    world.kill();
    await world.startCoordinator("c2");
    await world.untilLed();
    expect(await world.finished(id)).toMatchObject({
      outcome: "completed",
      counts: { succeeded: 9, unreachable: 1 },
    });
    expect(world.desiresOf("web-3").map(({ release }) => release)).toEqual(["v1"]);
  });

  test("while the coordinator is cut off and after it is back", async () => {
    world = new FleetWorld();
    await world.startCoordinator("c1", 60_000);
    for (const name of web(1, 2, 3, 4)) world.addAgent(name, { tier: "web" });
    await world.advance(2_500);
    await world.pushRelease("v1");
    world.behave({ v1: { tookMs: 28_000 } });
    const { id } = await world.deploy("v1", { batch: 2, failureThreshold: 1, deadlineMs: 30_000 });
    await world.advance(10_000);
    world.hub.disconnect("c1");
    await world.advance(21_000);
    world.hub.reconnect("c1");
    await world.advance(100);
    expect(world.leader().leads()).toBe(true);
    expect((await world.call("instances.list", {})).items.map(({ status }) => status)).not.toContain(
      "FAILED",
    );
    expect(await world.view(id)).toMatchObject({ state: "rolling", counts: { failed: 0 } });
    expect(await world.finished(id)).toMatchObject({ outcome: "completed", counts: { succeeded: 4 } });
    const silent = world.store.events("default").filter(({ body }) => body.includes("SILENT"));
    expect(silent).toEqual([]);
  });

  test("after a stall of its own process", async () => {
    world = new FleetWorld();
    await world.startCoordinator("c1", 120_000);
    for (const name of web(1, 2, 3, 4)) world.addAgent(name, { tier: "web" });
    await world.advance(2_500);
    await world.pushRelease("v1");
    world.behave({ v1: { tookMs: 28_000 } });
    const { id } = await world.deploy("v1", { batch: 2, failureThreshold: 1, deadlineMs: 30_000 });
    await world.advance(10_000);
    world.stall("c1", 25_000);
    await world.advance(25_100);
    expect(await world.view(id)).toMatchObject({ state: "rolling", counts: { failed: 0 } });
    for (const { reason } of (await world.call("instances.list", {})).items)
      expect(reason?.code).not.toBe("SILENT");
    expect(await world.finished(id)).toMatchObject({ outcome: "completed", counts: { succeeded: 4 } });
  });
});

test("a fleet that grows is told to report less often", async () => {
  world = new FleetWorld();
  const { clock, random, log } = world;
  const bus = world.hub.connect("c1");
  const ledger = await world.during(world.store.open({ fleet, bus, log }));
  const leadership = await world.during(ledger.acquire({ holder: "c1", leaseMs: 60_000 }));
  if (!("commit" in leadership)) throw new Error("the lease is held");
  const host = createActorHost({ node: "c1", clock, random, log });
  const onFailed = (error: unknown) => expect(error).toBeUndefined();
  const formats = currentFormats;
  const askPeers = async () => [];
  const selfWatch = new SelfWatch(onFailed);
  const parts = { fleet, ledger, leadership, clock, random, log, bus, host, formats, askPeers, onFailed };
  const leader = new Leader({ ...parts, selfWatch });
  await world.during(leader.load());
  leader.lead();
  const first = world.addAgent("first");
  await world.advance(5_000);
  expect(first.intervalMs).toBe(2_000);
  for (let n = 0; n < 30_000; n++) leader.watch.hear(`i${n}`);
  await world.advance(3_000);
  expect(first.intervalMs).toBe(3_001);
  leader.drop(new Error("the test is over"));
});
