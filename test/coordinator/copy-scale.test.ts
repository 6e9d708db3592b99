import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import type { BusMessage, LedgerFollower } from "../../src/base/ports.js";
import type { InstanceRecord } from "../../src/contracts/deployment.js";
import type { Report } from "../../src/contracts/instance.js";
import { keys } from "../../src/contracts/keys.js";
import { currentFormats } from "../../src/contracts/record-formats.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { FleetCopy, type FleetCopyParts } from "../../src/coordinator/fleet-copy.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { quietLog } from "../kit/quiet-log.js";

const instances = 100_000;
const fleet = "default";
const version = { release: "v1", config: null };
const subjects = subjectsOf(fleet);

const record = (id: string): InstanceRecord => ({
  format: 1,
  id,
  agent: `agent-${id}`,
  labels: { tier: "web", zone: "a" },
  joinedAtMs: 1,
  generation: 1,
  desired: version,
  stable: version,
  claim: null,
  last: null,
  owed: null,
  resetGeneration: 0,
});

const report = (id: string, seq: number): Report => ({
  format: 1,
  instance: id,
  agent: `agent-${id}`,
  incarnation: "incarnation",
  seq,
  observedGeneration: 1,
  ledgerId: "ledger",
  digest: "digest",
  healthyForMs: 60_000,
  phaseAgeMs: 60_000,
  ...(seq === 0 && {
    state: {
      health: "HEALTHY",
      phase: "ACTIVE",
      progress: 100,
      note: "",
      running: version,
      reason: null,
      port: 8_080,
      pid: 4_711,
      agentVersion: "1.0.0",
      restarts: 0,
      labels: { tier: "web", zone: "a" },
    },
  }),
});

/** A copy whose ledger and instances are spoken for by the test. */
function copied() {
  let follower: LedgerFollower | undefined;
  let hear: (message: BusMessage) => void = () => undefined;
  const bus: FleetCopyParts["bus"] = {
    publish: () => undefined,
    subscribe: (subject: string, handle: (message: BusMessage) => void) => {
      if (subject === subjects.health("*")) hear = handle;
      return { unsubscribe: () => undefined };
    },
    onStatus: () => ({ unsubscribe: () => undefined }),
  };
  const ledger: FleetCopyParts["ledger"] = {
    ledgerId: "ledger",
    restoredFrom: null,
    get: async () => undefined,
    watch: () => ({ unsubscribe: () => undefined }),
    follow: (given: LedgerFollower) => {
      follower = given;
      return { unsubscribe: () => undefined };
    },
  };
  const copy = new FleetCopy({
    fleet,
    ledger,
    bus,
    clock: createRealClock(),
    log: quietLog,
    formats: currentFormats,
    onLeaseFree: () => undefined,
  });
  copy.start();
  if (follower === undefined) throw new Error("a copy follows its ledger");
  return { copy, follower, hear: (message: BusMessage) => hear(message) };
}

function said(id: string, seq: number): BusMessage {
  return {
    subject: subjects.health(id),
    data: new TextEncoder().encode(JSON.stringify(report(id, seq))),
    header: () => undefined,
    expectsReply: false,
    respond: () => undefined,
  };
}

test("a copy of 100,000 instances stays under 1 GiB, and takes more than 10,000 repeated reports in a second of one processor", async () => {
  const { copy, follower, hear } = copied();
  const beforeBytes = process.memoryUsage().heapUsed;
  follower.began();
  let revision = 0;
  const tell = (key: string, value: unknown) =>
    follower.entry({ key, value, revision: ++revision, writtenAtMs: revision });
  tell(keys.ledger, { format: 1, ledgerId: "ledger" });
  for (let n = 0; n < instances; n++) {
    tell(keys.instance(`web-${n}`), JSON.parse(JSON.stringify(record(`web-${n}`))));
    if (n % 5_000 === 0) await setImmediate();
  }
  follower.inStep();
  for (let n = 0; n < instances; n++) {
    hear(said(`web-${n}`, 0));
    if (n % 5_000 === 0) await setImmediate();
  }
  expect(copy.isWhole).toBe(true);
  expect(copy.member(`web-${instances - 1}`)?.value).toEqual({ status: "HEALTHY", update: "NOT_NEEDED" });

  expect(process.memoryUsage().heapUsed - beforeBytes).toBeLessThan(1_073_741_824);

  const repeated = 50_000;
  const messages = Array.from({ length: repeated }, (_, n) => said(`web-${n}`, 1));
  const usage = process.cpuUsage();
  for (const message of messages) hear(message);
  const { user, system } = process.cpuUsage(usage);

  expect(repeated / ((user + system) / 1_000_000)).toBeGreaterThan(10_000);
  copy.stop();
});
