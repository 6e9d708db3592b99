import { beforeEach, describe, expect, test } from "vitest";
import type { Log } from "../../src/base/ports.js";
import { fleet, leaseMs } from "../kit/coordinators-world.js";
import { FleetWorld } from "../kit/fleet.js";
import { Invariants } from "../kit/invariants.js";
import { quietLog } from "../kit/quiet-log.js";
import { refusalOf } from "../kit/refusals.js";

let world: FleetWorld;

beforeEach(async () => {
  world = await FleetWorld.ready(6);
  new Invariants(world);
  await world.startCoordinator("c2");
  await world.rolledOut("v1", { batch: 6 });
});

/** A roll-out that is under way: two have succeeded, two are in flight, two wait. */
async function halfWay(): Promise<string> {
  const { id } = await world.deploy("v2");
  await world.until(() => world.toldOf("v2").length === 4);
  return id;
}

describe("of two coordinators", () => {
  test("one leads; the other one answers reads from its copy, refuses all else, and knows who leads", async () => {
    expect(world.leaderName()).toBe("c1");
    const c2 = world.coordinators.get("c2")?.coordinator;
    expect(c2?.leads()).toBe(false);
    expect(c2?.leader()).toMatchObject({ name: "c1", epoch: 1 });
    expect(c2?.view()).toMatchObject({ role: "following", id: "c2" });
    expect((await world.call("deployments.list", {}, c2?.plane)).items).toMatchObject([{ id: "d1" }]);
    expect(await refusalOf(world.call("deployments.abort", { deployment: "d1" }, c2?.plane))).toMatchObject({
      code: "NO_LEADER",
      details: { fleet },
    });
  });

  test("the one that is stopped hands over within milliseconds, and the roll-out goes on", async () => {
    const id = await halfWay();
    const stoppedAtMs = world.clock.nowMs();
    const stopping = world.stopCoordinator("c1");
    await stopping;
    await world.untilLed();
    expect(world.clock.nowMs() - stoppedAtMs).toBeLessThanOrEqual(50);
    expect(world.leaderName()).toBe("c2");
    expect(await world.finished(id)).toMatchObject({
      outcome: "completed",
      counts: { total: 6, succeeded: 6 },
    });
    for (const { story } of world.agents.values()) expect(story).toEqual(["v1", "v2"]);
  });

  test("the one that is killed is followed when its lease has ended, with the same counts", async () => {
    const id = await halfWay();
    const before = await world.view(id);
    const killedAtMs = world.clock.nowMs();
    world.kill("c1");
    await world.untilLed();
    expect(world.clock.nowMs() - killedAtMs).toBeLessThanOrEqual(leaseMs + 1_000);
    expect((await world.view(id)).counts).toEqual(before.counts);
    expect(await world.finished(id)).toMatchObject({ outcome: "completed", counts: { succeeded: 6 } });
    for (const { story } of world.agents.values()) expect(story).toEqual(["v1", "v2"]);
  });

  test("the next one goes on at once with those in flight: it does not wait for their next reports", async () => {
    world.behave({ v2: { hangs: true } });
    await world.deploy("v2", { batch: 1 });
    await world.until(() => world.toldOf("v2").length === 1);
    await world.advance(1_000);
    const before = world.desires.length;
    world.kill("c1");
    const [inFlight = ""] = world.toldOf("v2");
    world.agent(inFlight).set({
      phase: "ACTIVE",
      health: "HEALTHY",
      running: { release: "v2", config: null },
    });
    world.agent(inFlight).recover();
    await world.advance(1_000);
    await world.untilLed();
    const ledAtMs = world.clock.nowMs();
    await world.until(() => world.desires.length > before, 10_000);
    expect(world.clock.nowMs() - ledAtMs).toBeLessThanOrEqual(50);
  });

  test("the one that is cut off stops before the other one begins", async () => {
    const id = await halfWay();
    world.hub.disconnect("c1");
    await world.until(() => world.leaderName() === undefined, 10_000);
    expect(
      await refusalOf(world.call("deployments.list", {}, world.coordinators.get("c1")?.coordinator.plane)),
    ).toMatchObject({ code: "NO_LEADER" });
    expect(await world.untilLed()).toBe("c2");
    expect(await world.finished(id)).toMatchObject({ outcome: "completed", counts: { succeeded: 6 } });
    world.hub.reconnect("c1");
    await world.advance(5_000);
    expect(world.leaderName()).toBe("c2");
    expect(world.coordinators.get("c1")?.coordinator.view()).toMatchObject({ role: "following" });
  });

  test("the one that slept wakes up deposed: what it decides then reaches nobody", async () => {
    world.behave({ v2: { tookMs: 4_000 } });
    const { id } = await world.deploy("v2", { batch: 1 });
    await world.advance(4_500);
    world.stall("c1", 20_000);
    await world.until(() => world.leaderName() === undefined, leaseMs);
    expect(await world.untilLed()).toBe("c2");
    await world.advance(25_000);
    expect(world.leaderName()).toBe("c2");
    expect(await world.finished(id)).toMatchObject({ outcome: "completed", counts: { succeeded: 6 } });
    for (const { story } of world.agents.values()) expect(story).toEqual(["v1", "v2"]);
  });
});

test("when somebody else takes the epoch, the old leader stops at its next write and comes back by a new one", async () => {
  await world.stopCoordinator("c2");
  const id = await halfWay();
  world.store.depose(fleet);
  await world.until(() => world.leaderName() === undefined);
  await world.untilLed();
  expect(world.leader().view().epoch).toBeGreaterThan(2);
  expect(await world.finished(id)).toMatchObject({ outcome: "completed", counts: { succeeded: 6 } });
  for (const { story } of world.agents.values()) expect(story).toEqual(["v1", "v2"]);
});

describe("a request whose write the ledger refuses is refused, and nothing of it is there afterwards", () => {
  test("a release", async () => {
    world.store.refuseNextCommit(fleet);
    expect((await refusalOf(world.pushRelease("v9"))).code).toBe("LEDGER_UNAVAILABLE");
    await world.untilLed();
    const { items } = await world.call("releases.list", {});
    expect(items.map(({ version }) => version)).not.toContain("v9");
  });

  test("a pause", async () => {
    world.behave({ v2: { hangs: true } });
    const { id } = await world.deploy("v2");
    await world.advance(1_000);
    world.store.refuseNextCommit(fleet);
    const paused = refusalOf(world.call("deployments.pause", { deployment: id }));
    expect((await paused).code).toMatch(/LEDGER_UNAVAILABLE|NO_LEADER/);
    await world.untilLed();
    expect(await world.view(id)).toMatchObject({ state: "rolling", paused: null });
  });

  test("the removal of an instance", async () => {
    world.agent("web-1").stop();
    await world.advance(20);
    world.store.refuseNextCommit(fleet);
    const removed = refusalOf(world.call("instances.remove", { instance: "web-1" }));
    expect((await removed).code).toBe("LEDGER_UNAVAILABLE");
    await world.untilLed();
    expect(await world.instance("web-1")).toMatchObject({ id: "web-1" });
  });
});

describe("what is being written is said to be done only when the ledger has it, also to who asks again:", () => {
  const object = { name: "x", digest: `sha256:${"0".repeat(64)}`, sizeBytes: 1 };
  const push = () => world.ask("configs.push", { config: { version: "conf9", object } });
  const asking: Record<string, () => Promise<unknown>> = {
    "an instance is removed": () => world.ask("instances.remove", { instance: "web-1" }),
    "a release is removed": () => world.ask("releases.remove", { version: "v9" }),
    "a configuration is pushed": push,
    "a configuration is removed": () => world.ask("configs.remove", { version: "conf9" }),
    "a deployment is resumed": () => world.ask("deployments.resume", { deployment: "d2" }),
  };
  test.each(Object.entries(asking))("%s", async (what, ask) => {
    await world.pushRelease("v9");
    if (what.endsWith("configuration is removed")) await world.during(push());
    if (what.endsWith("resumed")) await world.call("deployments.pause", { deployment: await halfWay() });
    const arrive = world.store.holdNextCommit(fleet);
    let answered = 0;
    const note = () => {
      answered++;
    };
    for (let times = 0; times < 2; times++) ask().then(note, note);
    await world.advance(1_000);
    expect(answered).toBe(0);
    arrive();
    await world.until(() => answered === 2);
  });
});

test("what was spent by an instance that left stays spent under another leader", async () => {
  world.behave({ v2: { fails: true } }, ["web-1"]);
  world.behave({ v2: { tookMs: 10_000 } }, ["web-2"]);
  const { id } = await world.deploy("v2", { batch: 1, failureThreshold: 2 });
  await world.until(() => world.eventsOf("instance", "web-1").at(-1) === "failed");
  world.agent("web-1").stop();
  await world.advance(20);
  await world.call("instances.remove", { instance: "web-1" });
  world.behave({ v2: { fails: true } }, ["web-3"]);
  world.kill("c1");
  await world.untilLed();
  expect(await world.finished(id)).toMatchObject({
    outcome: "failed",
    reason: { code: "FAILURE_THRESHOLD" },
  });
});

describe("in the middle of a roll-out", () => {
  const faults: readonly (readonly [what: string, begin: () => (() => void) | undefined])[] = [
    [
      "a refused write",
      () => {
        world.store.refuseNextCommit(fleet);
        return undefined;
      },
    ],
    [
      "a lost acknowledgement",
      () => {
        world.store.loseNextAnswer(fleet);
        return undefined;
      },
    ],
    [
      "a write that arrives much later",
      () => {
        const release = world.store.holdNextCommit(fleet);
        return release;
      },
    ],
    [
      "a store that answers nobody for a while",
      () => {
        const fault = world.store.unavailable();
        return () => fault.unsubscribe();
      },
    ],
    [
      "a full store",
      () => {
        world.store.limit(fleet, world.store.used(fleet) + 100);
        return () => world.store.limit(fleet, 1_073_741_824);
      },
    ],
  ];

  test.each(faults)(
    "%s: the state is read anew and the roll-out ends as if nothing had been",
    async (_what, begin) => {
      for (const told of [2, 3, 5]) {
        world = await FleetWorld.ready(6);
        new Invariants(world);
        await world.rolledOut("v1", { batch: 6 });
        const { id } = await world.deploy("v2");
        await world.until(() => world.toldOf("v2").length >= told);
        const end = begin();
        await world.advance(30_000);
        end?.();
        expect(await world.finished(id)).toMatchObject({
          outcome: "completed",
          counts: { total: 6, succeeded: 6 },
        });
        await world.advance(5_000);
        for (const { story } of world.agents.values()) expect(story).toEqual(["v1", "v2"]);
        expect(world.versions()).toEqual(["v2"]);
      }
    },
  );

  test("whoever leads again after a write that failed says for a minute why it did not", async () => {
    world = await FleetWorld.ready(6);
    await world.rolledOut("v1", { batch: 6 });
    world.store.refuseNextCommit(fleet);
    await refusalOf(world.call("deployments.create", { release: "v2", selector: "tier=web" }));
    await world.advance(10_000);
    const view = () => world.coordinators.get("c1")?.coordinator.view();
    expect(view()).toMatchObject({ role: "leading", problem: expect.stringMatching(/ledger/) });
    await world.advance(60_000);
    expect(view()).toMatchObject({ role: "leading", problem: null });
  });

  test("a request during a failing write is refused as unavailable or retried, never acknowledged and lost", async () => {
    world.store.unavailable();
    const asked = world.ask("deployments.create", { release: "v2", selector: "tier=web" });
    await world.advance(60_000);
    expect((await refusalOf(asked)).code).toMatch(/^(LEDGER_UNAVAILABLE|NO_LEADER)$/);
  });

  test("requests that wait when the leader is lost are refused, all of them", async () => {
    const asked = [1, 2, 3].map(() =>
      world.ask("deployments.create", { release: "v2", selector: "tier=web" }),
    );
    world.store.depose(fleet);
    const outcomes = await world.during(Promise.allSettled(asked));
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    await world.untilLed();
    expect((await world.call("deployments.list", {})).items).toHaveLength(1);
    expect(await world.rolledOut("v2", { batch: 6 })).toMatchObject({ outcome: "completed" });
  });
});

test("a ledger that cannot be read is tried again and again, and said once a minute", async () => {
  const errors: string[] = [];
  const log: Log = { ...quietLog, error: (_, sentence) => errors.push(sentence), child: () => log };
  world = await FleetWorld.ready(2, { log });
  await damage(world, "instance.web-2", (value) => ({ ...value, generation: -1 }));
  await world.startCoordinator("c3");
  await world.advance(30_000);
  expect(world.leaderName()).toBeUndefined();
  expect(errors).toEqual(["the fleet's records could not be read"]);
  await world.advance(60_000);
  expect(errors).toHaveLength(2);
});

test("a record of a newer Rollcall is not touched, and nobody leads over it", async () => {
  world = await FleetWorld.ready(2);
  await damage(world, "instance.web-2", (value) => ({ ...value, format: 2 }));
  const newer = await world.startCoordinator("c3");
  await world.advance(10_000);
  expect(newer.leads()).toBe(false);
  expect(await refusalOf(world.call("instances.list", {}, newer.plane))).toMatchObject({ code: "NO_LEADER" });
});

test("a claim of a deployment that is over does not keep its instance for ever", async () => {
  // As a crash of an older program might have left it.
  const claim = {
    deployment: "d1",
    state: "waiting",
    target: { release: "v2", config: null },
    before: null,
    urgent: false,
    toldAtMs: null,
    minHealthyMs: 0,
    hasFailed: false,
    reason: null,
  };
  await damage(world, "instance.web-3", (value) => ({ ...value, claim }));
  await world.startCoordinator("c3");
  await world.untilLed();
  await world.advance(5_000);
  expect(await world.instance("web-3")).toMatchObject({ claim: null });
  expect(await world.rolledOut("v2", { batch: 6 })).toMatchObject({
    outcome: "completed",
    counts: { succeeded: 6 },
  });
});

/** Changes a record while no coordinator runs. */
async function damage(
  of: FleetWorld,
  key: string,
  change: (value: Readonly<Record<string, unknown>>) => unknown,
): Promise<void> {
  for (const name of [...of.coordinators.keys()]) await of.stopCoordinator(name);
  const ledger = await of.during(of.store.open({ fleet, bus: of.hub.connect("repair") }));
  const leadership = await of.during(ledger.acquire({ holder: "repair", leaseMs: 3_000 }));
  if (!("commit" in leadership)) throw new Error("the lease is held");
  const entries = await of.during(ledger.readAll());
  const found = entries.find((entry) => entry.key === key)?.value as Readonly<Record<string, unknown>>;
  const event = {
    kind: "test",
    id: "damage",
    type: "test.damaged",
    data: {},
    actor: "user:test",
    cause: "request:test",
  };
  await of.during(leadership.commit({ events: [event], puts: [{ key, value: change(found) }], deletes: [] }));
  await of.during(leadership.resign());
}
