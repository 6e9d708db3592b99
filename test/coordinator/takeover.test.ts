import { beforeEach, describe, expect, test } from "vitest";
import type { Leadership, Ledger, LedgerEntry } from "../../src/base/ports.js";
import { instanceRecordSchema } from "../../src/contracts/deployment.js";
import { keys } from "../../src/contracts/keys.js";
import { createCoordinator } from "../../src/coordinator/coordinator.js";
import { createActorHost } from "../../src/runtime/actor-host.js";
import { fleet, leaseMs } from "../kit/coordinators-world.js";
import { FleetWorld } from "../kit/fleet.js";
import { quietLog } from "../kit/quiet-log.js";

const atOnce = 500;

describe("taking a fleet over", () => {
  let world: FleetWorld;

  beforeEach(() => {
    world = new FleetWorld();
  });

  test("leaves others their turn, however many instances there are", async () => {
    await seed(world, 5_000);
    let turns = 0;
    const turn = (): void => {
      turns++;
      if (turns < 1_000 && !coordinator.leads()) world.clock.setTimer(0, turn);
    };
    const { coordinator } = await started(world);
    world.clock.setTimer(0, turn);
    await world.clock.runUntil(() => coordinator.leads(), { limitMs: 10_000 });
    // Without a break between the records nothing but a handful of steps of the start would come in between.
    expect(turns).toBeGreaterThan(25);
    expect((await world.call("status.get", {}, coordinator.plane)).instances.total).toBe(5_000);
  });

  test("a leader whose lease ends while it still reads the records drops them, and the next try leads", async () => {
    await seed(world, 3);
    const reading = gate();
    const { coordinator } = await started(world, (ledger) => slowAndCutOffOnce(ledger, reading.passed));
    await world.clock.advance(1_000);
    expect(coordinator.view().role).not.toBe("loading");
    reading.open();
    await world.clock.advance(5_000);
    expect(coordinator.leads()).toBe(true);
    expect((await world.call("status.get", {}, coordinator.plane)).instances.total).toBe(3);
  });
});

async function seed(world: FleetWorld, instances: number): Promise<void> {
  const { clock, store } = world;
  const bus = world.hub.connect("seed");
  const ledger = await world.during(store.open({ fleet, bus, log: quietLog }));
  const leadership = await world.during(ledger.acquire({ holder: "seed", leaseMs }));
  if ("heldBy" in leadership) throw new Error("somebody leads already");
  for (let from = 0; from < instances; from += atOnce) {
    const count = Math.min(atOnce, instances - from);
    const puts = Array.from({ length: count }, (_, offset) => record(`web-${from + offset}`));
    const event = {
      kind: "ledger",
      id: fleet,
      type: "ledger.written",
      data: {},
      actor: "user:test",
      cause: "request:test",
    };
    await world.during(leadership.commit({ events: [event], puts, deletes: [] }));
  }
  await world.during(leadership.resign());
  await clock.advance(10);
}

function record(id: string): { key: string; value: unknown } {
  const value = instanceRecordSchema.parse({
    format: 1,
    id,
    agent: "host-1",
    labels: {},
    joinedAtMs: 0,
    generation: 0,
    desired: null,
    stable: null,
    claim: null,
    last: null,
    owed: null,
    resetGeneration: 0,
  });
  return { key: keys.instance(id), value };
}

async function started(world: FleetWorld, around: (ledger: Ledger) => Ledger = (ledger) => ledger) {
  const { clock, random, log } = world;
  const bus = world.hub.connect("c1");
  const ledger = around(await world.during(world.store.open({ fleet, bus, log })));
  const host = createActorHost({ node: "c1", clock, random, log });
  const coordinator = createCoordinator(
    { clock, random, log, bus, ledger, host },
    { fleet, name: "c1", leaseMs, version: "1.0.0", node: "test" },
  );
  coordinator.start();
  return { coordinator };
}

/** The first reading of all records takes until `passed`, and the first renewal of the lease fails. */
function slowAndCutOffOnce(ledger: Ledger, passed: Promise<void>): Ledger {
  let readings = 0;
  let renewals = 0;
  const renew = async (leadership: Leadership): Promise<void> => {
    if (renewals++ === 0) throw new Error("the ledger cannot be reached");
    await leadership.renew();
  };
  return {
    fleet: ledger.fleet,
    ledgerId: ledger.ledgerId,
    restoredFrom: null,
    get: (key) => ledger.get(key),
    watch: (key, handle) => ledger.watch(key, handle),
    follow: (follower) => ledger.follow(follower),
    lease: () => ledger.lease(),
    close: () => ledger.close(),
    readAll: async (): Promise<LedgerEntry[]> => {
      if (readings++ === 0) await passed;
      return ledger.readAll();
    },
    acquire: async (claim) => {
      const got = await ledger.acquire(claim);
      if ("heldBy" in got) return got;
      return {
        epoch: got.epoch,
        holder: got.holder,
        ledgerNowMs: () => got.ledgerNowMs(),
        validUntilMs: () => got.validUntilMs(),
        renew: () => renew(got),
        commit: (batch) => got.commit(batch),
        resign: () => got.resign(),
      };
    },
  };
}

function gate(): { readonly passed: Promise<void>; open(): void } {
  let open: () => void = () => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open };
}
