import { existsSync, mkdirSync, readFileSync, renameSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Leadership } from "../../src/base/ports.js";
import { connectNatsBus, type NatsBus } from "../../src/bus/nats-bus.js";
import { AuditCopy } from "../../src/cli/run/audit-copy.js";
import { AuditFile } from "../../src/cli/run/audit-file.js";
import { readAuditFile } from "../../src/ledger/audit-lines.js";
import { AuditLog } from "../../src/ledger/audit-log.js";
import { openNatsLedger } from "../../src/ledger/nats-ledger.js";
import { AuditVerifier } from "../../src/ledger/verify-audit.js";
import { createRealRandom } from "../../src/runtime/random.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { eventually } from "../kit/eventually.js";
import { withNats } from "../kit/nats.js";
import { quietLog } from "../kit/quiet-log.js";
import { makeTempDir } from "../kit/temp-dir.js";

const nats = withNats();
const clock = createRealClock();
let fleets = 0;
let bus: NatsBus;
let audit: AuditLog;
let leadership: Leadership;
let path: string;
let copies: AuditCopy[];
let errors: string[];

beforeEach(async () => {
  const { url, credentials } = nats();
  const { user, password } = credentials;
  const fleet = `copied-${++fleets}`;
  bus = await connectNatsBus({ servers: url, user, pass: password, name: "test", clock, log: quietLog });
  const sizes = { keysBytes: 8 * 1_048_576, eventsBytes: 4 * 1_048_576, filesBytes: 1_048_576 };
  const ledger = await openNatsLedger({
    fleet,
    bus,
    clock,
    random: createRealRandom(),
    log: quietLog,
    sizes,
  });
  const taken = await ledger.acquire({ holder: "c1", leaseMs: 600_000 });
  if ("heldBy" in taken) throw new Error("nobody else leads");
  leadership = taken;
  audit = new AuditLog({ fleet, bus, clock });
  path = join(makeTempDir(), "audit.ndjson");
  copies = [];
  errors = [];
});

afterEach(async () => {
  for (const copy of copies) await copy.stop();
  await bus.close();
});

async function commit(count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    const event = { kind: "config", id: "c1", type: "config.pushed", data: { n } };
    const origin = { actor: "user:alice", cause: "request:k1" };
    await leadership.commit({ events: [{ ...event, ...origin }], puts: [], deletes: [] });
  }
}

function startCopy(): AuditCopy {
  const log = { ...quietLog, error: (facts: object) => void errors.push(JSON.stringify(facts)) };
  const copy = new AuditCopy({ audit, path, clock, log });
  copies.push(copy);
  return copy;
}

/** The numbers of the events in a file, which are checked. */
async function sequencesIn(file = path): Promise<number[]> {
  if (!existsSync(file)) return [];
  const verifier = new AuditVerifier();
  const found: number[] = [];
  for await (const event of readAuditFile(file)) {
    verifier.take(event);
    found.push(event.sequence);
  }
  return found;
}

async function untilCopied(count: number): Promise<void> {
  await eventually(async () => (await sequencesIn()).length >= count);
}

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => from + at);

test("every event is appended, from the first on and as they come, and from where it was left off after a restart", async () => {
  await commit(3);
  const first = startCopy();
  await untilCopied(3);
  await commit(2);
  await untilCopied(5);
  await first.stop();
  await commit(3);
  startCopy();
  await untilCopied(8);
  await commit(1);
  await untilCopied(9);
  expect(await sequencesIn()).toEqual(numbers(1, 9));
});

test("a last line that was torn by a crash is taken away, one that lacks only its end is ended, and nothing is missing or doubled", async () => {
  await commit(3);
  const first = startCopy();
  await untilCopied(3);
  await first.stop();
  const whole = readFileSync(path, "utf8");
  const [one = "", two = "", three = ""] = whole.split("\n");
  for (const torn of [
    `${one}\n${two}\n${three}`,
    `${one}\n${two}\n${three.slice(0, -1)}`,
    `${one}\n${two}\n{`,
    `${one}\n`,
    one.slice(0, 40),
    // What a power cut may leave of a line.
    `${one}\n${two}\n${"\0".repeat(100_000)}`,
  ]) {
    writeFileSync(path, torn);
    const again = startCopy();
    // From a file without a whole line it goes on behind the last event that was ever copied.
    const left = torn.startsWith(one) ? 3 : 0;
    await eventually(async () => {
      const file = readFileSync(path, "utf8");
      return left === 3 ? file === whole : file === "";
    });
    await again.stop();
  }
  expect(errors).toEqual([]);
});

test("a file that is rotated away is followed by a new one, also if that happens while nobody writes", async () => {
  await commit(2);
  const first = startCopy();
  await untilCopied(2);
  renameSync(path, `${path}.1`);
  await commit(2);
  await eventually(async () => (await sequencesIn()).length === 2);
  await first.stop();
  renameSync(path, `${path}.2`);
  const second = startCopy();
  await commit(2);
  await untilCopied(2);
  await second.stop();
  expect(await Promise.all([`${path}.1`, `${path}.2`, path].map(sequencesIn))).toEqual([
    [1, 2],
    [3, 4],
    [5, 6],
  ]);
  expect(errors).toEqual([]);
});

test("what cannot be written is said once, and made up for as soon as it can be", async () => {
  await commit(2);
  const copy = startCopy();
  await untilCopied(2);
  renameSync(path, `${path}.1`);
  mkdirSync(path);
  await commit(3);
  await eventually(() => errors.length > 0);
  await commit(1);
  rmdirSync(path);
  await untilCopied(4);
  expect(await sequencesIn()).toEqual([3, 4, 5, 6]);
  expect(errors).toEqual([expect.stringContaining("EISDIR")]);
  await copy.stop();
});

test("a file that holds something else is left as it is", async () => {
  writeFileSync(path, "a diary\nof somebody\n");
  await commit(1);
  startCopy();
  await eventually(() => errors.length > 0);
  expect(errors[0]).toContain("holds something else than events");
  expect(readFileSync(path, "utf8")).toBe("a diary\nof somebody\n");
});

test("a second process does not write into the same file, and takes over when the first ends", async () => {
  await commit(1);
  const file = new AuditFile(path);
  await file.open();
  startCopy();
  await eventually(() => errors.length > 0);
  await file.close();
  await untilCopied(1);
  expect(await sequencesIn()).toEqual([1]);
});

test("goes on over a restart of the NATS server", async () => {
  await commit(2);
  startCopy();
  await untilCopied(2);
  await nats().restart();
  await eventually(() => bus.connected);
  await commit(2);
  await untilCopied(4);
  expect(await sequencesIn()).toEqual([1, 2, 3, 4]);
});
