import { describe, expect, test } from "vitest";
import { settleMs } from "../../machines/formats-agreement.js";
import { keys } from "../../src/contracts/keys.js";
import { currentFormats, type Formats } from "../../src/contracts/record-formats.js";
import { laterFormats, nextFormats } from "../../src/simulator/chaos/next-formats.js";
import { fleet, leaseMs } from "../kit/coordinators-world.js";
import { FleetWorld } from "../kit/fleet.js";
import { Invariants } from "../kit/invariants.js";
import { refusalOf } from "../kit/refusals.js";
import { WrittenFormats } from "../kit/written-formats.js";

/** Long enough for a leader to find that everybody reads the newer formats, and to write them. */
const raisedMs = settleMs + 90_000;

type Versions = (name: string) => Formats;
type Action = (world: FleetWorld, versions: Versions) => Promise<void> | void;

const start =
  (...names: string[]): Action =>
  async (world, versions) => {
    for (const name of names) await world.startCoordinator(name, leaseMs, versions(name));
  };
const stop =
  (name: string): Action =>
  (world) =>
    world.stopCoordinator(name);
const kill =
  (...names: string[]): Action =>
  (world) => {
    for (const name of names) world.kill(name);
  };
const wait: Action = (world) => world.advance(raisedMs);

/** By their names; of agents, every other one is of the newer version. */
const mixed: Versions = (name) =>
  /^new|[246]$/.test(name) && !name.startsWith("old") ? nextFormats : currentFormats;
const allOld: Versions = () => currentFormats;

/** Where in the story something is done. */
type Moment = "inPreparation" | "inFlight" | "halfWay" | "between" | "failing" | "goingBack";
type Plan = Partial<Record<Moment, readonly Action[]>>;

interface Ending {
  readonly outcomes: readonly (string | null)[];
  readonly running: Readonly<Record<string, string | null>>;
  /** What the instances were told, repeats of the same taken as one; who comes first is up to who leads. */
  readonly told: readonly string[];
}

/**
 * A fleet of six on v1, led by `old-1` and followed by `old-2`, gets v2, and then v3, which fails everywhere and goes back.
 */
async function story(
  plan: Plan,
  versions: Versions,
): Promise<{ ending: Ending; world: FleetWorld; written: WrittenFormats }> {
  const world = new FleetWorld();
  const written = new WrittenFormats(world);
  const at = async (moment: Moment) => {
    for (const action of plan[moment] ?? []) await action(world, versions);
    await world.untilLed();
  };
  await start("old-1")(world, versions);
  for (let n = 1; n <= 6; n++) world.addAgent(`web-${n}`, { tier: "web" }, undefined, versions(`web-${n}`));
  await world.advance(2_500);
  for (const version of ["v1", "v2", "v3"]) await world.pushRelease(version);
  await world.rolledOut("v1", { batch: 6 });
  world.behave({ v3: { fails: true } });
  await start("old-2")(world, versions);
  new Invariants(world);

  const asked = world.ask("deployments.create", requestFor("v2"));
  await at("inPreparation");
  const first = await answered(world, asked, "v2");
  await world.until(() => world.toldOf("v2").length >= 2);
  await at("inFlight");
  await world.until(() => world.toldOf("v2").length >= 4);
  await at("halfWay");
  const second = await world.finished(first);
  await at("between");
  const third = await answered(world, undefined, "v3");
  await world.until(() => world.toldOf("v3").length >= 2);
  await at("failing");
  const failed = await world.finished(third);
  await at("goingBack");
  const back = await world.finished(failed.rolledBackBy ?? "");
  await world.advance(20_000);

  const told = [...world.agents.keys()].map((name) => withoutRepeats(world.desiresOf(name)).join(" ")).sort();
  const outcomes = [second.outcome, failed.outcome, back.outcome];
  const ending = { outcomes, running: world.running(), told };
  return { ending, world, written };
}

function requestFor(release: string) {
  return { release, selector: "tier=web", batch: 2, failureThreshold: 3, requestKey: release };
}

/** The deployment's id, asked for again until somebody has taken the request: repeats carry the same key. */
async function answered(
  world: FleetWorld,
  asked: Promise<{ id: string }> | undefined,
  release: string,
): Promise<string> {
  let answer = asked;
  for (;;) {
    await world.untilLed();
    answer ??= world.ask("deployments.create", requestFor(release));
    const id = answer.then(
      (view) => view.id,
      () => undefined,
    );
    const patience = new Promise<undefined>((resolve) =>
      world.clock.setTimer(5_000, () => resolve(undefined)),
    );
    const found = await world.during(Promise.race([id, patience]));
    if (found !== undefined) return found;
    answer = undefined;
  }
}

function withoutRepeats(desires: readonly { readonly release: string | null }[]): (string | null)[] {
  return desires
    .map(({ release }) => release)
    .filter((release, at, all) => at === 0 || all[at - 1] !== release);
}

const plans: Readonly<Record<string, Plan>> = {
  "the follower first, then the leader": {
    inFlight: [stop("old-2"), start("new-1")],
    halfWay: [stop("old-1"), start("new-2")],
  },
  "the leader first": { inFlight: [stop("old-1"), start("new-1")], halfWay: [stop("old-2"), start("new-2")] },
  "the leader killed in preparation, the other one in a wave": {
    inPreparation: [start("new-1"), kill("old-1")],
    inFlight: [kill("old-2"), start("new-2")],
  },
  "both killed at once, with a newer one beside them": { inFlight: [start("new-1"), kill("old-1", "old-2")] },
  "to the newer version and back by a take-over in mid-roll-out": {
    inFlight: [start("new-1"), stop("old-2"), kill("old-1")],
    halfWay: [start("old-3"), kill("new-1")],
    failing: [start("new-2"), stop("old-3")],
    goingBack: [start("old-4"), kill("new-2")],
  },
  "upgraded and taken back before anything newer was written": {
    inFlight: [stop("old-2"), start("new-1"), stop("old-1"), start("new-2")],
    between: [stop("new-1"), start("old-3"), stop("new-2")],
  },
  "with the newer formats written from the rollback on": {
    halfWay: [stop("old-2"), start("new-1"), stop("old-1"), start("new-2")],
    goingBack: [wait, kill("new-1")],
  },
  "with the newer formats written before the second roll-out": {
    halfWay: [stop("old-2"), start("new-1"), stop("old-1"), start("new-2")],
    between: [wait],
    failing: [kill("new-1")],
    goingBack: [start("new-3"), kill("new-2")],
  },
  "with an old one that comes back too late": {
    inFlight: [stop("old-2"), start("new-1"), stop("old-1")],
    between: [wait, start("old-3"), kill("new-1"), start("new-2")],
  },
};

describe("coordinators are replaced by newer ones in mid-roll-out", () => {
  test.each(Object.entries(plans))("%s: it ends as if all were of one version", async (_name, plan) => {
    const reference = await story(plan, allOld);
    expect(reference.ending.outcomes).toEqual(["completed", "failed", "rolled_back"]);
    expect(reference.ending.told).toEqual([...Array(2).fill("v1 v2"), ...Array(4).fill("v1 v2 v3 v2")]);
    const { ending } = await story(plan, mixed);
    expect(ending).toEqual(reference.ending);
  });

  test("the newer formats are in use once all are newer, and the last records are in them", async () => {
    const plan = { halfWay: [stop("old-2"), start("new-1"), stop("old-1"), start("new-2")], between: [wait] };
    const { world, written } = await story(plan, mixed);
    expect(written.agreed).toMatchObject({
      deployment: 2,
      instance: 2,
      release: 1,
      "desired.instance": 2,
      report: 2,
    });
    const told = [...world.agents.values()].map(({ reportFormat, unread }) => [reportFormat, unread]);
    expect(told).toEqual([1, 2, 1, 2, 1, 2].map((format) => [format, 0]));
  });
});

describe("as long as an old coordinator answers", () => {
  test("nothing newer is written, and for five minutes after it was there last", async () => {
    const world = await FleetWorld.ready(2, { formats: nextFormats });
    const written = new WrittenFormats(world);
    await start("old-1")(world, mixed);
    await start("new-2")(world, mixed);
    await world.stopCoordinator("c1");
    await world.advance(3 * settleMs);
    expect(written.agreed).toEqual({});
    if (world.leaderName() !== "new-2") await world.stopCoordinator("old-1");
    else world.kill("old-1");
    await world.untilLed();
    await world.advance(settleMs - 60_000);
    expect(written.agreed).toEqual({});
    await world.advance(150_000);
    expect(written.agreed).toMatchObject({ deployment: 2 });
  });

  test("one that is restarted within these minutes begins them anew", async () => {
    const world = await FleetWorld.ready(2, { formats: nextFormats });
    await start("old-1")(world, mixed);
    await world.advance(60_000);
    for (let n = 0; n < 4; n++) {
      await world.stopCoordinator("old-1");
      await world.advance(settleMs - 60_000);
      await start("old-1")(world, mixed);
      await world.advance(60_000);
    }
    expect(await entryOf(world, keys.formats)).toBeUndefined();
  });

  test("a leader that is cut off, and hears not even itself, concludes nothing", async () => {
    const world = await FleetWorld.ready(2, { formats: nextFormats });
    await start("old-1")(world, mixed);
    world.hub.drop(({ subject }) => subject.includes("$SRV"));
    world.hub.disconnect("c1");
    await world.advance(2 * settleMs);
    world.hub.reconnect("c1");
    await world.advance(2 * settleMs);
    expect(await entryOf(world, keys.formats)).toBeUndefined();
  });
});

describe("an old coordinator, once newer formats are written,", () => {
  async function upgraded() {
    const world = new FleetWorld();
    const written = new WrittenFormats(world);
    await start("new-1")(world, mixed);
    for (let n = 1; n <= 4; n++) world.addAgent(`web-${n}`, { tier: "web" });
    await world.advance(2_500);
    for (const version of ["v1", "v2"]) await world.pushRelease(version);
    await world.rolledOut("v1");
    await world.advance(raisedMs);
    expect(written.agreed).toMatchObject({ deployment: 2 });
    await world.rolledOut("v2");
    new Invariants(world);
    return { world, written };
  }

  test("follows, says why it cannot lead, and knows who does", async () => {
    const { world } = await upgraded();
    await start("old-1")(world, mixed);
    await world.advance(10_000);
    const old = world.coordinators.get("old-1")?.coordinator;
    expect(old?.view()).toMatchObject({
      role: "following",
      problem: expect.stringContaining("has format 2, newer than 1"),
    });
    expect(old?.leader()).toMatchObject({ name: "new-1" });
    expect(world.leaderName()).toBe("new-1");
  });

  test("does not lead even if nobody else is there, never writes, and leaves the lease to who can", async () => {
    const { world, written } = await upgraded();
    await start("old-1", "old-2")(world, mixed);
    const before = await records(world);
    world.kill("new-1");
    await world.advance(120_000);
    expect(world.leaderName()).toBeUndefined();
    const old = world.coordinators.get("old-1")?.coordinator;
    expect(await refusalOf(world.call("deployments.list", {}, old?.plane))).toMatchObject({
      code: "NO_LEADER",
    });
    expect(await records(world)).toEqual(before);
    expect([...written.batches.keys()].filter((name) => name.startsWith("old"))).toEqual([]);
    await start("new-2")(world, mixed);
    await world.untilLed(leaseMs);
    expect(await world.rolledOut("v1")).toMatchObject({ outcome: "completed", counts: { succeeded: 4 } });
  });

  test("gives the lease back unused if it had not seen it yet when it took it", async () => {
    const { world, written } = await upgraded();
    const { open } = world.store;
    // What it reads before it stands for the lease is from before the change.
    const stale: typeof open = async (options) => {
      const ledger = await open.call(world.store, options);
      const { get } = ledger;
      let reads = 0;
      ledger.get = async (key) => (key === keys.formats && reads++ === 0 ? undefined : get.call(ledger, key));
      return ledger;
    };
    world.kill("new-1");
    await world.advance(leaseMs + 1_000);
    Object.assign(world.store, { open: stale });
    await start("old-1")(world, mixed);
    await world.advance(1_000);
    const old = world.coordinators.get("old-1")?.coordinator;
    expect(old?.view()).toMatchObject({
      role: "following",
      problem: expect.stringContaining("newer than 1"),
    });
    expect(written.batches.get("old-1")).toBeUndefined();
    Object.assign(world.store, { open });
    await start("new-2")(world, mixed);
    expect(await world.untilLed(leaseMs)).toBe("new-2");
  });

  test("that was cut off when they were agreed on is no leader when it comes back", async () => {
    const world = await FleetWorld.ready(2, { formats: nextFormats });
    const written = new WrittenFormats(world);
    await start("old-1")(world, mixed);
    world.hub.disconnect("old-1");
    await world.stopCoordinator("c1");
    await start("new-1")(world, mixed);
    await world.advance(raisedMs);
    expect(written.agreed).toMatchObject({ deployment: 2 });
    world.hub.reconnect("old-1");
    await world.advance(5_000);
    world.kill("new-1");
    await world.advance(30_000);
    expect(world.leaderName()).toBeUndefined();
    await start("new-2")(world, mixed);
    expect(await world.untilLed()).toBe("new-2");
  });
});

test("a coordinator that reads the written formats no more does not lead, and says what to run in between", async () => {
  const world = await FleetWorld.ready(2);
  await world.startCoordinator("later", leaseMs, laterFormats);
  world.kill("c1");
  await world.advance(30_000);
  expect(world.leaderName()).toBeUndefined();
  expect(world.coordinators.get("later")?.coordinator.view().problem).toMatch(
    /older than 2.*run a version between/,
  );
});

describe("agents of other versions than the control plane", () => {
  test("older ones are told in the format that they read, newer ones in the newest that is agreed on", async () => {
    const world = new FleetWorld();
    new WrittenFormats(world);
    await start("new-1")(world, mixed);
    const older = world.addAgent("web-1", { tier: "web" });
    const newer = world.addAgent("web-2", { tier: "web" }, undefined, nextFormats);
    await world.advance(raisedMs);
    for (const version of ["v1", "v2"]) await world.pushRelease(version);
    expect(await world.rolledOut("v1")).toMatchObject({ outcome: "completed", counts: { succeeded: 2 } });
    expect((await entryOf(world, keys.desiredInstance("web-1"))) ?? {}).toMatchObject({ format: 1 });
    expect((await entryOf(world, keys.desiredInstance("web-2"))) ?? {}).toMatchObject({ format: 2 });
    expect([older.unread, newer.unread]).toEqual([0, 0]);
    expect(newer.reportFormat).toBe(2);
  });

  test("a newer one under an older control plane is heard at once, and goes on to the newer format with it", async () => {
    const world = await FleetWorld.ready(1);
    const newer = world.addAgent("web-9", { tier: "web" }, undefined, nextFormats);
    await world.advance(500);
    expect(newer.reportFormat).toBe(1);
    expect(await world.instance("web-9")).toMatchObject({ reportAgeMs: expect.any(Number) });
    expect(await world.rolledOut("v1")).toMatchObject({ outcome: "completed", counts: { succeeded: 2 } });
    newer.restart();
    await world.advance(2_500);
    expect(await world.instance("web-9")).toMatchObject({ status: "HEALTHY" });
    await start("new-1")(world, mixed);
    await world.stopCoordinator("c1");
    await world.advance(raisedMs);
    expect(newer.reportFormat).toBe(2);
    expect(await world.rolledOut("v2")).toMatchObject({ outcome: "completed", counts: { succeeded: 2 } });
  });

  test("one that does not heed what it is asked is asked once a second at most, and counted, never taken", async () => {
    const world = await FleetWorld.ready(1);
    let asked = 0;
    const stubborn = world.hub.connect("stubborn");
    const report = {
      ...world.agent("web-1").next({ whole: true }),
      format: 7,
      instance: "web-9",
      agent: "strange",
    };
    const say = () => stubborn.publish(`rollcall.v1.${fleet}.health.web-9`, JSON.stringify(report));
    stubborn.subscribe(`rollcall.v1.${fleet}.ask.web-9.report`, () => {
      asked++;
      say();
    });
    say();
    await world.advance(10_000);
    expect(asked).toBe(1);
    say();
    await world.advance(10_000);
    expect(asked).toBe(2);
    expect((await refusalOf(world.instance("web-9"))).code).toBe("UNKNOWN_INSTANCE");
  });
});

async function entryOf(world: FleetWorld, key: string): Promise<unknown> {
  return (await records(world)).find(([name]) => name === key)?.[1];
}

/** Everything in the ledger but who leads. */
async function records(world: FleetWorld): Promise<(readonly [key: string, value: unknown])[]> {
  const bus = world.hub.connect("reader");
  const ledger = await world.during(world.store.open({ fleet, bus }));
  const entries = await world.during(ledger.readAll());
  await world.during(bus.close());
  return entries
    .filter(({ key }) => key !== keys.lease && key !== keys.epoch)
    .map(({ key, value }) => [key, value] as const);
}
