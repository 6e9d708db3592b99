import { beforeEach, describe, expect, test } from "vitest";
import type { Client } from "../../src/api/client-types.js";
import { CoordinatorsSeen } from "../../src/api/coordinators-seen.js";
import type { Log } from "../../src/base/ports.js";
import type { DeploymentView } from "../../src/contracts/views.js";
import type { Coordinator } from "../../src/coordinator/coordinator-ports.js";
import { fleet } from "../kit/coordinators-world.js";
import { FleetWorld } from "../kit/fleet.js";
import { quietLog } from "../kit/quiet-log.js";

let world: FleetWorld;
let client: Client;
let warnings: { readonly facts: object; readonly sentence: string }[];

const log: Log = {
  ...quietLog,
  warn: (facts, sentence) => void warnings.push({ facts, sentence }),
  child: () => log,
};

beforeEach(async () => {
  warnings = [];
  world = await FleetWorld.ready(6, { log });
  world.serve("c1");
  for (const name of ["c2", "c3"]) {
    await world.startCoordinator(name);
    world.serve(name);
  }
  client = world.client("anna");
  await world.rolledOut("v1", { batch: 6 });
  // By then every instance has said its whole state once more.
  await world.advance(25_000);
});

function coordinator(name: string): Coordinator {
  const found = world.coordinators.get(name)?.coordinator;
  if (found === undefined) throw new Error(`there is no ${name}`);
  return found;
}

/** The ledger's changes do not reach a coordinator: its copy stands still, while it can be asked. */
function holdBack(name: string) {
  return world.hub.drop(({ to, subject }) => to === name && subject.endsWith(".changes"));
}

/** What differs by the moment in which it is asked. */
function likeness(reply: unknown): unknown {
  return JSON.parse(
    JSON.stringify(reply, (key, value: unknown) => {
      if (["asOf", "ledgerNowMs", "reportAgeMs", "nextAtMs"].includes(key)) return undefined;
      return typeof value === "string"
        ? value.replace(/\b\d+( ms|s|m(\d+s)?)\b( ago)?|just now/g, "a while")
        : value;
    }),
  );
}

async function answersOf({ plane }: Coordinator): Promise<unknown> {
  const deployments = await world.call("deployments.list", {}, plane);
  const details = [];
  for (const { id } of deployments.items)
    details.push(await world.call("deployments.get", { deployment: id, instances: true }, plane));
  // What a leader has found of itself no follower knows.
  const { broken: _, ...status } = await world.call("status.get", {}, plane);
  return likeness([
    deployments,
    details,
    await world.call("instances.list", {}, plane),
    await world.call("releases.list", {}, plane),
    await world.call("configs.list", {}, plane),
    await world.call("deployments.stuck", {}, plane),
    status,
  ]);
}

/** Followers and leader look for silent instances at different moments, but less than this apart. */
const apartMs = 1_500;

async function expectAlike(): Promise<void> {
  for (let tries = 1; ; tries++) {
    const [leader, ...followers] = ["c1", "c2", "c3"].map(coordinator) as [Coordinator, ...Coordinator[]];
    const expected = await answersOf(leader);
    const got: unknown[] = [];
    for (const follower of followers) got.push(await answersOf(follower));
    if (tries === 3 || got.every((one) => JSON.stringify(one) === JSON.stringify(expected))) {
      for (const one of got) expect(one).toEqual(expected);
      return;
    }
    await world.advance(apartMs);
  }
}

describe("a follower's copy shows what the leader shows", () => {
  test("before, in the middle of and after a roll-out, paused, failed and rolled back", async () => {
    await expectAlike();
    world.behave({ v2: { hangs: true } }, ["web-2"]);
    const { id } = await world.deploy("v2", { batch: 2, failureThreshold: 3, deadlineMs: 20_000 });
    for (let looks = 0; looks < 4; looks++) {
      await world.advance(700);
      await expectAlike();
    }
    await world.call("deployments.pause", { deployment: id, by: "anna", reason: "lunch" });
    await expectAlike();
    await world.call("deployments.resume", { deployment: id, by: "anna" });
    await world.advance(30_000);
    await expectAlike();
    world.behave({ v3: { fails: true } });
    const failing = await world.deploy("v3", { batch: 6, failureThreshold: 1 });
    await world.advance(1_500);
    await expectAlike();
    await world.finished(failing.id);
    await world.advance(30_000);
    await expectAlike();
  });

  test("with instances that join, leave, fall silent, and come back", async () => {
    world.addAgent("web-7", { tier: "web" });
    await world.advance(1_000);
    await expectAlike();
    world.hub.disconnect("agent-web-3");
    await world.advance(12_000);
    await expectAlike();
    world.hub.reconnect("agent-web-3");
    await world.advance(25_000);
    await expectAlike();
    await world.call("instances.remove", { instance: "web-7", by: "anna", reason: null });
    world.hub.disconnect("agent-web-7");
    await world.advance(500);
    await expectAlike();
  });

  test("after it was cut off and came back", async () => {
    world.hub.disconnect("c2");
    await world.rolledOut("v2", { batch: 6 });
    await world.advance(3_000);
    expect(coordinator("c2").isFresh()).toBe(false);
    world.hub.reconnect("c2");
    await world.advance(25_000);
    expect(coordinator("c2").isFresh()).toBe(true);
    await expectAlike();
  });
});

describe("an answer says from where it is", () => {
  test("the leader's has no copy, a follower's names it with its revision and its age", async () => {
    const copies = [];
    for (let asked = 0; asked < 3; asked++) copies.push((await world.during(client.status.get())).copy);
    const revision = coordinator("c1").source()?.revision;
    expect(copies).toContain(undefined);
    for (const of of ["c2", "c3"])
      expect(copies).toContainEqual({
        of,
        ageMs: expect.any(Number),
        revision: expect.any(Number),
        leader: "c1",
      });
    for (const copy of copies) {
      expect(copy?.ageMs ?? 0).toBeLessThan(1_100);
      expect(copy?.revision ?? revision).toBeGreaterThanOrEqual(revision ?? 0);
    }
  });

  test("when the ledger cannot be reached and nobody leads any more, copies answer with their growing age", async () => {
    world.store.unavailable();
    await world.until(() => world.leaderName() === undefined);
    await world.advance(20_000);
    const { copy, instances } = await world.during(client.status.get());
    expect(copy?.ageMs).toBeGreaterThan(20_000);
    expect(instances).toMatchObject({ total: 6, HEALTHY: 6 });
    expect((await world.during(client.coordinators.list())).items.map(({ doing }) => doing)).toContainEqual(
      expect.stringMatching(/cannot be reached|behind|ledger/i),
    );
  });
});

describe("a client is never shown less than it has seen", () => {
  test("what it has just created is there, however far behind the followers are", async () => {
    for (const name of ["c2", "c3"]) holdBack(name);
    for (let round = 0; round < 4; round++) {
      const { id } = await world.during(
        client.deployments.create({ release: round % 2 === 0 ? "v2" : "v1", selector: "tier=web", batch: 6 }),
      );
      for (let asked = 0; asked < 6; asked++)
        expect((await world.during(client.deployments.get({ deployment: id }))).deployment.id).toBe(id);
      await world.finished(id);
    }
  });

  test("a watcher sees a roll-out go forward only, while copies lag and the leader changes", async () => {
    const steps: DeploymentView[] = [];
    const { id } = await world.during(
      client.deployments.create({ release: "v2", selector: "tier=web", batch: 1 }),
    );
    const watching = (async () => {
      for await (const { deployment } of client.watchDeployment(id)) steps.push(deployment);
    })();
    const lag = world.hub.delay(1_000, ({ to, subject }) => to === "c2" && subject.endsWith(".changes"));
    await world.until(() => (steps.at(-1)?.counts.succeeded ?? 0) >= 2);
    lag.unsubscribe();
    world.kill("c1");
    await world.during(watching, 120_000);
    const succeeded = steps.map(({ counts }) => counts.succeeded);
    expect(succeeded).toEqual(succeeded.toSorted((one, other) => one - other));
    expect(steps.at(-1)).toMatchObject({ outcome: "completed", counts: { succeeded: 6 } });
  });

  test("what a copy does not know is asked of the leader, whoever asks", async () => {
    for (const name of ["c2", "c3"]) holdBack(name);
    await world.pushRelease("v9");
    const { id } = await world.deploy("v9");
    const stranger = world.client("stranger");
    for (let asked = 0; asked < 6; asked++)
      expect((await world.during(stranger.deployments.get({ deployment: id }))).deployment.id).toBe(id);
  });
});

describe("while a coordinator sleeps", () => {
  const answeredWithinMs = 700;

  /** Asks again and again for a while. @returns how long the slowest answer took */
  async function slowestMs(forMs: number): Promise<number> {
    const untilMs = world.clock.nowMs() + forMs;
    let slowest = 0;
    while (world.clock.nowMs() < untilMs) {
      const askedAtMs = world.clock.nowMs();
      await world.during(client.status.get());
      slowest = Math.max(slowest, world.clock.nowMs() - askedAtMs);
      await world.advance(250);
    }
    return slowest;
  }

  test("a follower: no read is lost with it", async () => {
    world.stall("c2", 20_000);
    expect(await slowestMs(15_000)).toBeLessThanOrEqual(answeredWithinMs);
  });

  test("the leader: no read is lost with it, and a write is carried out once by the next one", async () => {
    world.stall("c1", 20_000);
    const creating = client.deployments.create({ release: "v2", selector: "tier=web", batch: 6 });
    expect(await slowestMs(3_000)).toBeLessThanOrEqual(answeredWithinMs);
    const { id } = await world.during(creating);
    expect(["c2", "c3"]).toContain(world.leaderName());
    await world.finished(id);
    await world.advance(20_000);
    const { items } = await world.during(client.deployments.list());
    expect(items.map(({ spec }) => spec.release)).toEqual(["v2", "v1"]);
  });

  test("the leader that wakes up steps down by itself, says so, and follows", async () => {
    world.stall("c1", 10_000);
    await world.advance(15_000);
    expect(coordinator("c1").view()).toMatchObject({ role: "following" });
    expect(warnings.filter(({ sentence }) => sentence.includes("steps down"))).toHaveLength(1);
    await world.advance(25_000);
    expect(coordinator("c1").isFresh()).toBe(true);
  });

  test("the list names the one that leads by its lease and does not answer", async () => {
    world.stall("c1", 20_000);
    await world.advance(1_000);
    const { items } = await world.during(client.coordinators.list());
    expect(items).toMatchObject([
      { id: "c1", role: "leading", doing: "does not answer", epoch: 1, renewedAtMs: expect.any(Number) },
      { id: "c2", role: "following", doing: "caught up" },
      { id: "c3", role: "following", doing: "caught up" },
    ]);
  });
});

test("the list goes on to name who has answered and does no more, but not who was stopped in order", async () => {
  const { clock } = world;
  const bus = world.hub.connect("watching");
  const seen = new CoordinatorsSeen({ bus, fleet, clock, log });
  seen.start();
  await world.advance(1_000);
  world.stall("c3", 60_000);
  await world.advance(40_000);
  const listed = async () =>
    Object.fromEntries(
      (await world.during(seen.list())).map(({ id, role, doing }) => [id, `${role}: ${doing}`]),
    );
  expect(await listed()).toEqual({
    c1: "leading: leads",
    c2: "following: caught up",
    c3: expect.stringMatching(/^following: does not answer, last heard \d+s ago$/),
  });
  await world.advance(60_000);
  expect((await listed()).c3).toMatch(/^following: (caught up|listens)/);
  world.kill("c3");
  await world.advance(3_600_000);
  expect((await listed()).c3).toMatch(/last heard 1h ago$|last heard 59m\d+s ago$/);
  const left = new CoordinatorsSeen({ bus: world.hub.connect("c3-again"), fleet, clock, log });
  left.stop("c3");
  await world.advance(100);
  expect(Object.keys(await listed())).toEqual(["c1", "c2"]);
  seen.stop("watching");
});

test("the list of coordinators says who, since when, under which epoch, and how each is doing", async () => {
  const { items, asOf } = await world.during(client.coordinators.list());
  expect(items).toMatchObject([
    { id: "c1", role: "leading", epoch: 1, doing: "leads" },
    { id: "c2", role: "following", epoch: null, renewedAtMs: null, doing: "caught up" },
    { id: "c3", role: "following", epoch: null, renewedAtMs: null, doing: "caught up" },
  ]);
  expect(asOf - (items[0]?.renewedAtMs ?? 0)).toBeLessThan(1_500);
  expect(items[0]?.sinceMs).toBeLessThan(items[1]?.sinceMs ?? 0);
});

test("a coordinator that has just started passes reads on until it knows the fleet", async () => {
  await world.startCoordinator("c4");
  world.serve("c4");
  expect(coordinator("c4").view().doing).toMatch(/^listens: 6 instances have not said yet how they are$/);
  expect(coordinator("c4").isFresh()).toBe(false);
  for (let asked = 0; asked < 8; asked++) {
    const { instances, copy } = await world.during(client.status.get());
    expect([instances.HEALTHY, copy?.of]).not.toContain("c4");
    expect(instances.HEALTHY).toBe(6);
  }
  await world.advance(25_000);
  expect(coordinator("c4").view().doing).toBe("caught up");
});

test("a leader whose ledger takes nothing for a while answers reads all the same, from what it knows", async () => {
  const letGo = world.store.holdNextCommit("default");
  void client.deployments.create({ release: "v2", selector: "tier=web", batch: 1 }).catch(() => undefined);
  await world.advance(50);
  const askedAtMs = world.clock.nowMs();
  const { plane } = coordinator("c1");
  expect(await world.call("status.get", {}, plane)).toMatchObject({ leader: "c1" });
  expect(world.clock.nowMs() - askedAtMs).toBeLessThanOrEqual(1_100);
  letGo();
});
