import { serveApi } from "../../src/api/service.js";
import type { Bus, Leadership, Ledger, LedgerBatch } from "../../src/base/ports.js";
import { connectNatsBus, type NatsBus } from "../../src/bus/nats-bus.js";
import { keys } from "../../src/contracts/keys.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { createCoordinator } from "../../src/coordinator/coordinator.js";
import type { Coordinator } from "../../src/coordinator/coordinator-ports.js";
import { openNatsLedger } from "../../src/ledger/nats-ledger.js";
import type { ActorHost } from "../../src/runtime/actor.js";
import { createActorHost } from "../../src/runtime/actor-host.js";
import { createRealRandom } from "../../src/runtime/random.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import type { BatchShape } from "../kit/batch-shape.js";
import { creditSubject, Meter, type Metered } from "../kit/meter.js";
import type { NatsAccess } from "../kit/nats.js";
import type { Calls } from "../kit/processes.js";
import { instanceName, settledRecord } from "../kit/reports.js";
import { stderrLog } from "../kit/stderr-log.js";
import { type MemoryUse, memoryUse } from "../kit/usage.js";
import { usageOver } from "./subscriber.js";

/** A batch that the coordinator wrote, and how long that took. */
export interface WrittenBatch extends BatchShape {
  readonly tookMs: number;
}

/** As it was given to the ledger: its lengths are worked out when somebody asks. */
interface Written {
  readonly batch: LedgerBatch;
  readonly tookMs: number;
}

/** A coordinator as `rollcall up` runs it, watched from its ports. */
export interface CoordinatorCalls extends Calls {
  /** Writes so many instances into the ledger of a fleet that nobody leads. @returns how long it took */
  seed(options: { access: NatsAccess; fleet: string; instances: number }): Promise<number>;
  /** Resolves when it leads. @returns how long it took */
  start(options: { access: NatsAccess; fleet: string }): Promise<number>;
  /** Resolves with what the next so many reports cost. */
  measure(count: number): Promise<Metered>;
  usage(seconds: number): Promise<{ cpuMs: number; wallMs: number }>;
  memory(nothing: null): Promise<MemoryUse>;
  /** How a sample of the instances stands with it. */
  heard(options: { sample: number; instances: number }): Promise<{ healthy: number; oldestMs: number }>;
  /** The batches written since this was asked last. */
  batches(nothing: null): Promise<WrittenBatch[]>;
  /** Hands over and disconnects. */
  stop(nothing: null): Promise<void>;
}

const leaseMs = 3_000;
const seedBatchMax = 900;
const queuedMax = 2_000;

export function createCoordinatorCalls(): CoordinatorCalls {
  const clock = createRealClock();
  const random = createRealRandom();
  let running: { bus: NatsBus; host: ActorHost; coordinator: Coordinator; meter: Meter } | undefined;
  let written: Written[] = [];

  const open = async (access: NatsAccess, fleet: string) => {
    const { url, user, password } = access;
    const bus = await connectNatsBus({
      servers: url,
      user,
      pass: password,
      name: "bench",
      clock,
      log: stderrLog,
    });
    const ledger = await openNatsLedger({ fleet, bus, clock, random, log: stderrLog });
    return { bus, ledger };
  };

  return {
    seed: async ({ access, fleet, instances }) => {
      const startedAtMs = performance.now();
      const { bus, ledger } = await open(access, fleet);
      await seedInstances(ledger, instances);
      await bus.close();
      return performance.now() - startedAtMs;
    },
    start: async ({ access, fleet }) => {
      const startedAtMs = performance.now();
      const { bus, ledger } = await open(access, fleet);
      const host = createActorHost({
        node: "bench",
        clock,
        random,
        log: stderrLog,
        bus,
        subjects: subjectsOf(fleet),
      });
      const credit = creditSubject(fleet);
      // Nobody is asked for more while what came has not been worked off.
      const giveCredit = (taken: number): void => {
        if (host.stats.queued > queuedMax) setImmediate(giveCredit, taken);
        else bus.publish(credit, String(taken));
      };
      const meter = new Meter(giveCredit, () => host.idle());
      const coordinator = createCoordinator(
        {
          clock,
          random,
          log: stderrLog,
          bus: meteredBus(bus, subjectsOf(fleet).health("*"), meter),
          ledger: recordedLedger(ledger, (batch) => written.push(batch)),
          host,
        },
        { fleet, name: "bench", leaseMs, version: "0.0.0", node: "bench" },
      );
      const role = () => ({
        leading: coordinator.leads(),
        epoch: coordinator.leader().epoch,
        leader: coordinator.leader().name,
      });
      serveApi({
        bus,
        fleet,
        plane: coordinator.plane,
        node: "bench",
        version: "0.0.0",
        role,
        clock,
        log: stderrLog,
      });
      coordinator.start();
      while (!coordinator.leads()) await new Promise((resolve) => setTimeout(resolve, 5));
      running = { bus, host, coordinator, meter };
      return performance.now() - startedAtMs;
    },
    measure: (count) => running!.meter.measure(count),
    usage: usageOver,
    memory: async () => memoryUse(),
    heard: async ({ sample, instances }) => {
      let healthy = 0;
      let oldestMs = 0;
      for (let taken = 0; taken < sample; taken++) {
        const instance = instanceName(Math.floor((taken * instances) / sample));
        const view = await running!.coordinator.plane["instances.get"]({ instance });
        if (view.status === "HEALTHY") healthy++;
        oldestMs = Math.max(oldestMs, view.reportAgeMs ?? Number.POSITIVE_INFINITY);
      }
      return { healthy, oldestMs };
    },
    batches: async () => {
      const batches = written.map(({ batch, tookMs }) => ({ ...shapeOf(batch), tookMs }));
      written = [];
      return batches;
    },
    stop: async () => {
      await running?.coordinator.stop();
      running?.host.stop();
      await running?.bus.close();
      running = undefined;
    },
  };
}

async function seedInstances(ledger: Ledger, instances: number): Promise<void> {
  const leadership = await ledger.acquire({ holder: "seed", leaseMs: 60_000 });
  if ("heldBy" in leadership) throw new Error(`${leadership.heldBy} leads already`);
  for (let from = 0; from < instances; from += seedBatchMax) {
    const count = Math.min(seedBatchMax, instances - from);
    const puts = Array.from({ length: count }, (_, offset) => {
      const record = settledRecord(from + offset);
      return { key: keys.instance(record.id), value: record };
    });
    const origin = { actor: "user:bench", cause: "request:bench" };
    const event = { kind: "ledger", id: "bench", type: "ledger.written", data: { keys: count }, ...origin };
    await leadership.commit({ events: [event], puts, deletes: [] });
  }
  await leadership.resign();
}

/** The same bus, but that the reports are counted when they have been taken. */
function meteredBus(bus: Bus, reports: string, meter: Meter): Bus {
  return {
    publish: (subject, data, headers) => bus.publish(subject, data, headers),
    request: (subject, data, options) => bus.request(subject, data, options),
    requestMany: (subject, data, options) => bus.requestMany(subject, data, options),
    flush: () => bus.flush(),
    onStatus: (listener) => bus.onStatus(listener),
    close: () => bus.close(),
    subscribe: (subject, handle, options) =>
      bus.subscribe(
        subject,
        subject === reports
          ? (message) => {
              handle(message);
              meter.note();
            }
          : handle,
        options,
      ),
  };
}

/** The same ledger, but that each batch is noted when it is written. */
function recordedLedger(ledger: Ledger, note: (written: Written) => void): Ledger {
  return {
    fleet: ledger.fleet,
    restoredFrom: null,
    get ledgerId() {
      return ledger.ledgerId;
    },
    readAll: () => ledger.readAll(),
    lease: () => ledger.lease(),
    close: () => ledger.close(),
    get: (key) => ledger.get(key),
    watch: (key, handle) => ledger.watch(key, handle),
    follow: (follower) => ledger.follow(follower),
    acquire: async (claim) => {
      const got = await ledger.acquire(claim);
      return "heldBy" in got ? got : recordedLeadership(got, note);
    },
  };
}

function recordedLeadership(leadership: Leadership, note: (written: Written) => void): Leadership {
  return {
    epoch: leadership.epoch,
    holder: leadership.holder,
    ledgerNowMs: () => leadership.ledgerNowMs(),
    validUntilMs: () => leadership.validUntilMs(),
    renew: () => leadership.renew(),
    resign: () => leadership.resign(),
    commit: async (batch) => {
      const startedAtMs = performance.now();
      const committed = await leadership.commit(batch);
      note({ batch, tookMs: performance.now() - startedAtMs });
      return committed;
    },
  };
}

/** What an event carries beside its data: its own attributes in headers. */
const eventHeadersLength = 550;
/** The end of the audit log, which the ledger adds to each batch. */
const chainEndLength = 80;

function shapeOf({ puts, events, deletes }: LedgerBatch): BatchShape {
  const lengthOf = (value: unknown) => JSON.stringify(value).length;
  const isDesired = ({ key }: { key: string }) => key.startsWith("desired.");
  return {
    desired: puts.filter(isDesired).map(({ value }) => lengthOf(value)),
    events: events.map(({ data }) => eventHeadersLength + lengthOf(data)),
    others: [
      ...puts.filter((put) => !isDesired(put)).map(({ value }) => lengthOf(value)),
      ...deletes.map(() => 0),
      chainEndLength,
    ],
  };
}
