import { describe, expect, test } from "vitest";
import { endpoints } from "../../src/contracts/api.js";
import { type Deploy, FleetWorld } from "../kit/fleet.js";
import { onBatches } from "../kit/on-batches.js";
import { refusalOf } from "../kit/refusals.js";

describe("a deployment is refused", () => {
  const refused: readonly (readonly [why: string, asked: Deploy, code: string, details: object])[] = [
    ["for an unknown release", { release: "v9" }, "UNKNOWN_RELEASE", { version: "v9" }],
    ["for an unknown configuration", { config: "c9" }, "UNKNOWN_CONFIG", { version: "c9" }],
    ["when nothing matches", { selector: "tier=db" }, "NO_MATCHING_INSTANCES", { selector: "tier=db" }],
    ["for a selector that is none", { selector: "tier" }, "BAD_SELECTOR", { given: "tier" }],
    ["for a batch of 0", { batch: 0 }, "BAD_BATCH", { given: "0" }],
    ["for a batch of 0 %", { batch: "0%" }, "BAD_BATCH", { given: "0%" }],
    ["for a batch of 101 %", { batch: "101%" }, "BAD_BATCH", { given: "101%" }],
    ["for a batch of -1", { batch: -1 }, "BAD_BATCH", { given: "-1" }],
    ["for a threshold of 0", { failureThreshold: 0 }, "BAD_FAILURE_THRESHOLD", { given: "0" }],
    ["for a threshold of 101 %", { failureThreshold: "101%" }, "BAD_FAILURE_THRESHOLD", { given: "101%" }],
    [
      "for a deadline that is no longer than the healthy time",
      { minHealthyMs: 5_000, deadlineMs: 5_000 },
      "BAD_DEADLINE",
      { deadlineMs: 5_000, minHealthyMs: 5_000 },
    ],
    ["when it names nothing to deploy", { release: null }, "NOTHING_TO_DEPLOY", {}],
  ];

  test.each(refused)("%s", async (_why, asked, code, details) => {
    const world = await FleetWorld.ready(2);
    const before = world.store.used("default");
    expect(await refusalOf(world.deploy("v1", asked))).toMatchObject({ code, details });
    await world.advance(5_000);
    expect((await world.call("deployments.list", {})).items).toEqual([]);
    expect(world.desires).toEqual([]);
    expect(world.store.used("default")).toBeLessThanOrEqual(before + 2_000);
  });

  test("for a batch that is no number, by the request's schema already", () => {
    const { request } = endpoints["deployments.create"];
    expect(request.safeParse({ release: "v1", selector: null, batch: "abc" }).success).toBe(false);
    expect(request.safeParse({ release: "v1", selector: null, batch: 1.5 }).success).toBe(false);
    expect(request.safeParse({ release: "v1", selector: null, batch: "25%" }).success).toBe(true);
  });

  test("as a configuration alone where no release runs yet, naming an instance", async () => {
    const world = await FleetWorld.ready(3);
    await world.pushConfig("c1");
    expect(await refusalOf(world.deploy(null, { config: "c1" }))).toMatchObject({
      code: "NO_RELEASE_YET",
      details: { example: "web-1", others: 2 },
    });
    await world.rolledOut("v1");
    const done = await world.rolledOut(null, { config: "c1" });
    expect(done).toMatchObject({ outcome: "completed", counts: { succeeded: 3 } });
    expect((await world.instance("web-1")).running).toEqual({ release: "v1", config: "c1" });
  });

  test("while another one has some of its instances, naming that one and an example", async () => {
    const world = await FleetWorld.ready(4);
    world.addAgent("db-1", { tier: "db" });
    await world.advance(3_000);
    const first = await world.deploy("v1");
    const { code, details, message } = await refusalOf(world.deploy("v2", { selector: null }));
    expect({ code, details }).toEqual({
      code: "ROLLOUT_IN_PROGRESS",
      details: { other: first.id, shared: 4, example: "web-1" },
    });
    expect(message).toContain(`rollcall deployments abort ${first.id}`);
    await world.finished(first.id);
    expect(await world.rolledOut("v2", { selector: null })).toMatchObject({ outcome: "completed" });
  });
});

describe("two creations at the same moment", () => {
  test("with shared instances: exactly one of them wins", async () => {
    const world = await FleetWorld.ready(4);
    const both = [
      world.ask("deployments.create", { release: "v1", selector: "tier=web" }),
      world.ask("deployments.create", { release: "v2", selector: null }),
    ];
    const outcomes = await world.during(Promise.allSettled(both));
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    expect(await refusalOf(both[1] as Promise<unknown>)).toMatchObject({ code: "ROLLOUT_IN_PROGRESS" });
    expect((await world.call("deployments.list", {})).items).toHaveLength(1);
    await world.advance(60_000);
    expect(world.toldOf("v2")).toEqual([]);
  });

  test("without shared instances: both run at the same time", async () => {
    const world = await FleetWorld.ready(2);
    for (const n of [1, 2]) world.addAgent(`db-${n}`, { tier: "db" });
    await world.advance(3_000);
    const [web, db] = await world.during(
      Promise.all([
        world.ask("deployments.create", { release: "v1", selector: "tier=web" }),
        world.ask("deployments.create", { release: "v2", selector: "tier=db" }),
      ]),
    );
    await world.advance(700);
    expect(world.toldOf("v1")).toEqual(["web-1"]);
    expect(world.toldOf("v2")).toEqual(["db-1"]);
    expect(await world.finished(web.id)).toMatchObject({ outcome: "completed" });
    expect(await world.finished(db.id)).toMatchObject({ outcome: "completed" });
    expect(world.running()).toEqual({ "web-1": "v1", "web-2": "v1", "db-1": "v2", "db-2": "v2" });
  });
});

test("repeats of a request with the same key are that deployment, also once it is over and under another leader", async () => {
  const world = await FleetWorld.ready(2);
  const asked = { requestKey: "k1" };
  const [one, other] = await world.during(
    Promise.all(
      [1, 2].map(() => world.ask("deployments.create", { release: "v1", selector: null, ...asked })),
    ),
  );
  expect(other?.id).toBe(one?.id);
  await world.finished(one?.id ?? "");
  expect((await world.deploy("v1", asked)).id).toBe(one?.id);
  world.kill();
  await world.startCoordinator("c2");
  await world.untilLed();
  expect((await world.deploy("v1", asked)).id).toBe(one?.id);
  expect((await world.call("deployments.list", {})).items).toHaveLength(1);
});

test("a deployment completes at once when nothing needs an update, and tells nobody anything", async () => {
  const world = await FleetWorld.ready(3);
  await world.rolledOut("v1");
  const told = world.desires.length;
  const again = await world.deploy("v1");
  await world.advance(200);
  expect(await world.view(again.id)).toMatchObject({
    outcome: "completed",
    status: "COMPLETED",
    counts: { total: 3, notNeeded: 3, succeeded: 0 },
  });
  expect(world.desires).toHaveLength(told);
});

test("amounts are resolved once, of the matching instances, rounded down and at least 1", async () => {
  const world = await FleetWorld.ready(7);
  const made = await world.deploy("v1", { batch: "30%", failureThreshold: "10%" });
  expect(made).toMatchObject({ batch: 2, failureThreshold: 1, matched: 7 });
  world.addAgent("web-8", { tier: "web" });
  world.addAgent("web-9", { tier: "web" });
  await world.advance(3_000);
  expect(await world.view(made.id)).toMatchObject({ batch: 2, failureThreshold: 1, counts: { total: 9 } });
});

test("a thousand instances are claimed and told in chunks that a ledger batch holds", async () => {
  const world = new FleetWorld();
  const batches: { messages: number; instances: number }[] = [];
  onBatches(world, ({ events, puts, deletes }) =>
    batches.push({
      messages: events.length + puts.length + deletes.length + 1,
      instances: puts.filter(({ key }) => key.startsWith("instance.")).length,
    }),
  );
  await world.startCoordinator();
  for (let n = 1; n <= 1_000; n++) {
    world.addAgent(`i${n}`).intervalMs = 20_000;
  }
  await world.advance(500);
  await world.pushRelease("v1");
  const made = await world.call("deployments.create", { release: "v1", selector: null, batch: "100%" });
  const done = await world.finished(made.id);
  expect(done).toMatchObject({ outcome: "completed", matched: 1_000, counts: { succeeded: 1_000 } });
  expect(Math.max(...batches.map(({ messages }) => messages))).toBeLessThanOrEqual(1_000);
  expect(Math.max(...batches.map(({ instances }) => instances))).toBeLessThanOrEqual(300);
  expect(batches.filter(({ instances }) => instances === 300).length).toBeGreaterThanOrEqual(6);
});
