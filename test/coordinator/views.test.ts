import { beforeEach, describe, expect, test } from "vitest";
import type { SnapshotFrom } from "xstate";
import type { deploymentMachine } from "../../machines/deployment.js";
import { publishedState } from "../../machines/deployment-status.js";
import { type ControlPlane, endpoints } from "../../src/contracts/api.js";
import type { Actor } from "../../src/runtime/actor.js";
import { drawPlan } from "../../src/simulator/chaos/draw-plan.js";
import type { MakeInvariant } from "../../src/simulator/chaos/invariant.js";
import { live } from "../../src/simulator/chaos/life.js";
import { FleetWorld } from "../kit/fleet.js";

let world: FleetWorld;

beforeEach(async () => {
  world = await FleetWorld.ready(6);
  await world.rolledOut("v1", { batch: 6 });
});

const why = async (deployment: string) => world.call("deployments.why", { deployment });

describe("why a deployment is not further", () => {
  test("while instances are on their way: who, since when, in which phase, and the deadline", async () => {
    world.behave({ v2: { hangs: true } });
    const { id } = await world.deploy("v2", { batch: 2 });
    await world.advance(12_000);
    const { rule, sentence, blocking, nextAtMs } = await why(id);
    expect(rule).toBe("waiting-for-slot");
    expect(sentence).toMatch(
      /^4 wait for a free one of 2 slots: web-1 has been updating for 12s \(deadline 1m, then it counts as failed; last report just now, phase PULLING_SOURCE\) and 1 more\. 0 of 2 failures/,
    );
    expect(blocking).toEqual(["web-1", "web-2"]);
    expect(nextAtMs).toBeGreaterThan(world.clock.nowMs() + 47_000);
    expect(nextAtMs).toBeLessThan(world.clock.nowMs() + 49_000);
  });

  test("while the last ones are on their way", async () => {
    world.behave({ v2: { hangs: true } });
    const { id } = await world.deploy("v2", { batch: 6 });
    await world.advance(3_000);
    expect(await why(id)).toMatchObject({ rule: "in-flight" });
  });

  test("while it is paused: by whom, why, and how it goes on", async () => {
    const { id } = await world.deploy("v2");
    await world.call("deployments.pause", { deployment: id, by: "anna", reason: "lunch" });
    expect(await why(id)).toMatchObject({
      rule: "paused",
      sentence: `Paused by anna (lunch); it goes on by rollcall deployments resume ${id}.`,
    });
  });

  test("while it is held: how many are silent, and when it goes on", async () => {
    world.behave({ v2: { hangs: true } }, ["web-1"]);
    const { id } = await world.deploy("v2", { batch: 1 });
    for (const n of [3, 4, 5, 6]) world.hub.disconnect(`agent-web-${n}`);
    await world.advance(10_000);
    const held = await why(id);
    expect(held.rule).toBe("mass-silence");
    expect(held.sentence).toMatch(/4 of 5 are silent now.*resume --force/);
    expect(held.nextAtMs).toBeNull();
    for (const n of [3, 4, 5, 6]) world.hub.reconnect(`agent-web-${n}`);
    await world.advance(4_000);
    expect((await why(id)).nextAtMs).toBeGreaterThan(world.clock.nowMs());
  });

  test("when it is over: how it ended and why", async () => {
    world.behave({ v2: { fails: true } });
    const bad = await world.rolledOut("v2");
    expect((await why(bad.id)).sentence).toMatch(
      /^It has failed: 2 instances have failed; the failure threshold is 2\./,
    );
    await world.finished(bad.rolledBackBy ?? "");
    expect((await why(bad.rolledBackBy ?? "")).sentence).toBe(
      "Every touched instance is back on what was stable before.",
    );
  });

  test("after a takeover: it listens first", async () => {
    world.behave({ v2: { tookMs: 3_000 } });
    const { id } = await world.deploy("v2", { batch: 1 });
    await world.advance(500);
    world.agent("web-1").stop();
    world.kill();
    await world.startCoordinator("c2");
    await world.untilLed();
    expect((await why(id)).sentence).toMatch(/takeover|not heard of yet|listens/);
  });

  test("in every state is a sentence, and the same wherever it is shown", async () => {
    world.behave({ v2: { hangs: true } });
    const { id } = await world.deploy("v2");
    await world.advance(1_000);
    const [one, list, got, status] = [
      await why(id),
      await world.call("deployments.list", {}),
      await world.call("deployments.get", { deployment: id, instances: true }),
      await world.call("status.get", {}),
    ];
    expect(list.items[0]?.why.sentence).toBe(one.sentence);
    expect(got.deployment.why.sentence).toBe(one.sentence);
    expect(status.active[0]?.why.sentence).toBe(one.sentence);
    expect(got.instances.map((instance) => instance.id)).toEqual([1, 2, 3, 4, 5, 6].map((n) => `web-${n}`));
  });
});

describe("why an instance is where it is", () => {
  const whyOf = async (name: string) => (await world.instance(name)).why;

  test("in each state", async () => {
    expect(await whyOf("web-1")).toBe("It runs v1.");
    world.addAgent("new-1");
    await world.advance(100);
    expect(await whyOf("new-1")).toBe("It runs nothing.");
    world.behave({ v2: { hangs: true } }, ["web-1"]);
    world.behave({ v2: { fails: true } }, ["web-2"]);
    const { id } = await world.deploy("v2", { batch: 2, deadlineMs: 20_000 });
    await world.until(() => world.eventsOf("instance", "web-2").at(-1) === "failed");
    await world.advance(10);
    expect(await whyOf("web-1")).toBe("On its way to v2: PULLING_SOURCE 50 %.");
    expect(await whyOf("web-2")).toBe("no answer");
    expect(await whyOf("web-4")).toBe("It waits for its turn to get v2.");
    world.hub.disconnect("agent-web-6");
    await world.advance(10_000);
    expect(await whyOf("web-6")).toMatch(/^It has missed its reports; the last one came \d+s ago\.$/);
    const done = await world.finished(id);
    await world.finished(done.rolledBackBy ?? "");
    expect(await world.instance("web-1")).toMatchObject({ why: "It runs v1.", reason: null });
  });

  test("when it should run something else than it does: both sides", async () => {
    world.agent("web-1").set({ running: { release: "v0", config: null } });
    await world.advance(100);
    expect(await whyOf("web-1")).toBe("It should run v1, but runs v0.");
  });

  test("when it has not acted yet on what was asked of it", async () => {
    const drop = world.hub.drop(({ subject }) => subject.includes(".desired.") || subject.startsWith("$JS"));
    await world.deploy("v2", { batch: 1 });
    await world.advance(100);
    expect(await whyOf("web-1")).toBe(
      "It has not acted on what was asked of it yet (generation 2, it is at 1).",
    );
    drop.unsubscribe();
  });

  test("when an update failed by its deadline, also after the deployment is over", async () => {
    world.behave({ v2: { hangs: true } }, ["web-3"]);
    await world.rolledOut("v2", { batch: 6, failureThreshold: 2, deadlineMs: 20_000 });
    expect(await whyOf("web-3")).toBe(
      "The instance was not healthy on v2 within 20s; it was in phase PULLING_SOURCE.",
    );
    expect((await world.instance("web-3")).reason?.code).toBe("INSTANCE_DEADLINE");
  });
});

/** Looks at the views of whoever leads, now and then. */
const looksAtViews =
  (looked: { times: number }): MakeInvariant =>
  ({ coordinators }) => {
    let events = 0;
    let problem: unknown;
    const check = async (plane: ControlPlane, actor: Actor): Promise<void> => {
      const { value, context } = actor.snapshot() as SnapshotFrom<typeof deploymentMachine>;
      const isFinal = context.record.outcome !== null && !actor.saved;
      const asked = { deployment: actor.id, instances: true };
      const reply = await plane["deployments.get"](asked).catch(() => undefined);
      if (reply === undefined) return;
      looked.times++;
      endpoints["deployments.get"].reply.parse(reply);
      if (!isFinal) expect(reply.deployment).toMatchObject(publishedState(value));
      expect(reply.deployment.why.sentence).not.toContain("undefined");
      const { total, notNeeded, waiting, inFlight, succeeded, failed, unreachable } = reply.deployment.counts;
      expect(notNeeded + waiting + inFlight + succeeded + failed + unreachable).toBe(total);
      for (const instance of reply.instances) expect(instance.why).not.toMatch(/undefined|null|\[object/);
    };
    return {
      id: "views",
      says: "what is shown is what the machine's state says",
      each() {
        if (problem !== undefined) throw problem;
        const leader = [...coordinators.values()].find(({ leads }) => leads);
        if (leader?.coordinator === undefined || events++ % 10 !== 0) return;
        for (const actor of leader.host.list("deployment"))
          check(leader.coordinator.plane, actor).catch((error: unknown) => {
            problem = error;
          });
      },
    };
  };

test("what is shown is what the machine's state says, at any moment of random lives; every reply fits its schema", async () => {
  const looked = { times: 0 };
  for (const seed of ["3", "14", "15"]) {
    const plan = drawPlan(seed, { instancesMax: 6 });
    const { failure } = await live(plan, { watchers: [looksAtViews(looked)], untilMs: 200_000 });
    expect(failure).toBeNull();
  }
  expect(looked.times).toBeGreaterThan(300);
});

test("lists say as of when they are, and status sums the fleet up", async () => {
  world.hub.disconnect("agent-web-6");
  await world.advance(15_000);
  world.behave({ v2: { hangs: true } });
  await world.deploy("v2", { batch: 1 });
  await world.advance(1_000);
  const status = await world.call("status.get", {});
  expect(endpoints["status.get"].reply.parse(status)).toEqual(status);
  expect(status).toMatchObject({
    leader: "c1",
    epoch: 1,
    instances: { total: 6, HEALTHY: 4, UNKNOWN: 2 },
    versions: [{ version: { release: "v1", config: null }, instances: 6 }],
    latest: { state: "rolling" },
  });
  const releases = await world.call("releases.list", {});
  expect(releases.items.map(({ version, running, stable }) => [version, running, stable])).toEqual(
    expect.arrayContaining([
      ["v1", 6, 6],
      ["v2", 0, 0],
    ]),
  );
});
