import { expect } from "vitest";
import { ranMs } from "../../machines/deployment-record.js";
import { fleet, leaseMs } from "../kit/coordinators-world.js";
import { RealCrew } from "../kit/crew.js";
import type { FleetWorld } from "../kit/fleet.js";
import type { Story } from "../kit/sweep.js";

const onto = (release: string) => ({ release, selector: null });

/** Until a follower has noticed, has taken over and judges: two report intervals after that. */
const takeoverMaxMs = leaseMs + 1_000 + 4_000;

/** When the audit log says that this happened first, in ledger time. */
function timeOf(world: FleetWorld, object: string, type: string): number {
  const found = world.store
    .events(fleet)
    .findLast((event) => event.subject === object && event.type.includes(`.${type}.`));
  expect(found, `${type} of ${object}`).toBeDefined();
  return Date.parse(found?.time ?? "");
}

export const completes: Story = {
  instances: 3,
  live: async (_, operator) => {
    await operator.ended(await operator.deploy({ ...onto("v2"), batch: 2 }));
  },
};

export const failsAndGoesBack: Story = {
  instances: 3,
  begin: async (world) => world.behave({ v2: { fails: true } }, ["i2", "i3"]),
  live: async (_, operator) => {
    await operator.ended(await operator.deploy(onto("v2")));
  },
};

const pauseMs = 18_000;

/** What is in flight hangs until the pause is nearly over, for longer than its deadline, which stands still. */
export const pausedForAWhile: Story = {
  instances: 3,
  begin: async (world) => world.behave({ v2: { hangs: true } }, ["i2"]),
  live: async (world, operator) => {
    const id = await operator.deploy({ ...onto("v2"), deadlineMs: 16_000 });
    await world.until(() => world.toldOf("v2").length === 2);
    await operator.act("pause", id);
    await world.advance(pauseMs);
    expect(world.toldOf("v2")).toHaveLength(2);
    await operator.act("resume", id);
    world.agent("i2").proceed();
    await operator.ended(id);
  },
  check: (world, { deployments }) => {
    const record = deployments.at(-1);
    if (record === undefined || record.finishedAtMs === null) throw new Error("it is not over");
    const stoodMs =
      timeOf(world, "deployment/d2", "deployment.resumed") -
      timeOf(world, "deployment/d2", "deployment.paused");
    expect(stoodMs).toBeGreaterThanOrEqual(pauseMs - takeoverMaxMs);
    const tookMs = record.finishedAtMs - timeOf(world, "deployment/d2", "deployment.started");
    const countedMs = ranMs(record, record.finishedAtMs) + stoodMs;
    expect(countedMs).toBeLessThan(tookMs + 50);
    // Once it is ending its clock does not matter any more.
    expect(countedMs).toBeGreaterThan(tookMs - takeoverMaxMs);
  },
};

export const heldByMassSilence: Story = {
  instances: 5,
  begin: async (world) => world.behave({ v2: { hangs: true } }, ["i1"]),
  live: async (world, operator) => {
    const away = ["i3", "i4", "i5"];
    const id = await operator.deploy(onto("v2"));
    await world.until(() => world.toldOf("v2").length === 1);
    for (const name of away) world.hub.disconnect(`agent-${name}`);
    await world.until(() => world.eventsOf("deployment", id).includes("held"));
    world.agent("i1").proceed();
    await world.advance(4_000);
    for (const name of away) world.hub.reconnect(`agent-${name}`);
    await operator.ended(id);
  },
};

const deadlineMs = 14_000;

/** One instance gets nowhere: it fails by its deadline, counted from when it was told, whoever leads then. */
export const deadlineExpires: Story = {
  instances: 3,
  begin: async (world) => world.behave({ v2: { hangs: true } }, ["i1"]),
  live: async (_, operator) => {
    await operator.ended(await operator.deploy({ ...onto("v2"), batch: 3, deadlineMs }));
  },
  check: (world) => {
    const tookMs =
      timeOf(world, "instance/i1", "instance.failed") - timeOf(world, "deployment/d2", "deployment.told");
    expect(tookMs).toBeGreaterThanOrEqual(deadlineMs);
    // A leader that has just taken over listens before it judges.
    expect(tookMs).toBeLessThanOrEqual(deadlineMs + takeoverMaxMs);
  },
};

export const abortedInTheMiddle: Story = {
  instances: 4,
  begin: async (world) => world.behave({ v2: { hangs: true } }, ["i2", "i3"]),
  live: async (world, operator) => {
    const id = await operator.deploy({ ...onto("v2"), batch: 2 });
    await world.until(() => world.toldOf("v2").length === 3);
    await operator.act("abort", id);
    await operator.ended(id);
  },
};

export const retried: Story = {
  instances: 3,
  begin: async (world) => world.behave({ v2: { fails: true } }, ["i1", "i2"]),
  live: async (world, operator) => {
    const id = await operator.deploy({ ...onto("v2"), rollback: "off" });
    await operator.ended(id);
    // The first two are on their way back.
    await world.until(() => world.versions().join() === "v1");
    await world.advance(6_000);
    world.behave({});
    await operator.ended(await operator.retry(id));
  },
};

/** One instance is away while the others get the version; it is owed to it when it comes back. */
export const owed: Story = {
  instances: 3,
  begin: async (world) => {
    world.hub.disconnect("agent-i3");
    await world.advance(10_000);
  },
  live: async (world, operator) => {
    await operator.ended(await operator.deploy(onto("v2")));
    world.hub.reconnect("agent-i3");
    await world.until(() => world.agent("i3").running === "v2");
    await world.advance(3_000);
  },
};

/** More instances than one batch of the ledger takes. */
export const largeWave: Story = {
  instances: 320,
  isLarge: true,
  isPoint: ({ from, subject }) => from === "c1" && subject.startsWith("$LEDGER"),
  live: async (_, operator) => {
    await operator.ended(await operator.deploy({ ...onto("v2"), batch: 320 }));
  },
};

/** With the real agents: a version that comes up, and one that does not and goes back. */
export const realAgents: Story = {
  instances: 3,
  crew: async (world) => {
    const crew = new RealCrew();
    await crew.start(world, 3);
    for (const host of crew.hosts.values())
      host.behaviours.set("v3", { failsIn: "build", code: "BUILD_FAILED" });
    return crew;
  },
  live: async (_, operator) => {
    await operator.ended(await operator.deploy({ ...onto("v2"), batch: 2 }));
    await operator.ended(await operator.deploy({ ...onto("v3"), batch: 3, failureThreshold: 3 }));
  },
};
