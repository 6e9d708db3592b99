import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { create, extract } from "tar";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Leadership, LedgerBatch } from "../../src/base/ports.js";
import { connectNatsBus, type NatsBus } from "../../src/bus/nats-bus.js";
import { keys, storesOf } from "../../src/contracts/keys.js";
import { streamOf, subjectOfKey } from "../../src/ledger/ledger-reader.js";
import { openNatsLedger } from "../../src/ledger/nats-ledger.js";
import { openNatsObjects } from "../../src/ledger/nats-objects.js";
import { createRealRandom } from "../../src/runtime/random.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { envOf } from "../cli/run-cli.js";
import { runHere } from "../cli/run-here.js";
import { withNats } from "../kit/nats.js";
import { quietLog } from "../kit/quiet-log.js";
import { makeTempDir } from "../kit/temp-dir.js";
import { releaseOf } from "../machines/instance-samples.js";
import { byAnna, claimOf, deploymentOf, instanceOf, v1 } from "../machines/samples.js";

const nats = withNats({ storeBytesMax: 16 * 1024 ** 3 });
const clock = createRealClock();
const random = createRealRandom();
const sizes = { keysBytes: 8 * 1_048_576, eventsBytes: 8 * 1_048_576, filesBytes: 8 * 1_048_576 };
const content = "the files of v1";
const digest = `sha256:${createHash("sha256").update(content).digest("hex")}`;
let fleets = 0;

/** A fleet with a release, two instances and a roll-out under way; nobody leads it. */
class Fleet {
  readonly name = `b${++fleets}`;
  readonly dir = makeTempDir();

  readonly bus: NatsBus;

  constructor(bus: NatsBus) {
    this.bus = bus;
  }

  static async made(): Promise<Fleet> {
    const { user, password } = nats().credentials;
    const bus = await connectNatsBus({
      servers: nats().url,
      user,
      pass: password,
      name: "test",
      clock,
      log: quietLog,
    });
    onTestFinished(() => bus.close());
    const fleet = new Fleet(bus);
    const { name } = fleet;
    const leadership = await fleet.lead();
    await openNatsObjects({ fleet: name, bus, clock, log: quietLog }).put(digest, bytesOf(content));
    const object = { name: digest, digest, sizeBytes: content.length };
    const release = { ...releaseOf("v1"), source: { kind: "artifact", object } } as const;
    await fleet.write(leadership, {
      [keys.release("v1")]: { format: 1, release, digest, pushed: byAnna(1) },
      [keys.deployment("d1")]: deploymentOf({ stage: "running", spec: { release: "v1" } }),
      [keys.instance("i1")]: instanceOf({
        id: "i1",
        generation: 1,
        desired: v1,
        claim: claimOf({ target: v1, before: v1 }),
      }),
      [keys.instance("i2")]: instanceOf({ id: "i2" }),
      [keys.desiredInstance("i1")]: desiredOf(release),
    });
    await leadership.resign();
    return fleet;
  }

  open() {
    const { name, bus } = this;
    return openNatsLedger({ fleet: name, bus, clock, random, log: quietLog, sizes });
  }

  async lead(): Promise<Leadership> {
    const got = await (await this.open()).acquire({ holder: `c-${random.id()}`, leaseMs: 30_000 });
    if ("heldBy" in got) throw new Error(`${got.heldBy} leads`);
    return got;
  }

  async write(
    leadership: Leadership,
    values: Record<string, unknown>,
    deletes: string[] = [],
  ): Promise<void> {
    const event = {
      kind: "deployment",
      id: "d1",
      type: "deployment.created",
      data: {},
      actor: "user:anna",
      cause: "request:k1",
    };
    const puts = Object.entries(values).map(([key, value]) => ({ key, value }));
    await leadership.commit({ events: [event], puts, deletes } satisfies LedgerBatch);
  }

  /** What is wrong on purpose, written by somebody who leads. */
  async damage(values: Record<string, unknown>, deletes: string[] = []): Promise<void> {
    const leadership = await this.lead();
    await this.write(leadership, values, deletes);
    await leadership.resign();
  }

  async records(): Promise<Record<string, unknown>> {
    const entries = await (await this.open()).readAll();
    return Object.fromEntries(entries.map(({ key, value }) => [key, value]));
  }

  /** `rollcall ledger …` */
  async run(...args: string[]) {
    const env = envOf(nats(), { ROLLCALL_FLEET: this.name, ROLLCALL_USER: "anna" });
    return await runHere(["ledger", ...args], { env, cwd: this.dir });
  }

  async json(...args: string[]) {
    const { code, stdout } = await this.run(...args, "--json");
    return { code, reply: JSON.parse(stdout) as Record<string, unknown> };
  }

  async backedUp(): Promise<string> {
    const file = join(this.dir, `backup-${random.id()}.tar.gz`);
    expect(await this.run("backup", file)).toMatchObject({ code: 0 });
    return file;
  }
}

async function* bytesOf(text: string) {
  yield Buffer.from(text);
}

function desiredOf(release: unknown) {
  return {
    ...{ format: 1, ledgerId: "x", instance: "i1", agent: "a1", generation: 1, epoch: 1, deployment: "d1" },
    ...{ run: { release, config: null }, stable: null, minHealthyMs: 0, deadlineMs: 1_000 },
  };
}

/** Changes a part of a backup, and makes a file of it again. */
async function tampered(file: string, name: string, change: (text: string) => string): Promise<string> {
  const folder = mkdtempSync(`${file}.`);
  await extract({ file, cwd: folder });
  writeFileSync(join(folder, name), change(readFileSync(join(folder, name), "utf8")));
  const made = `${file}.changed.tar.gz`;
  await create({ file: made, gzip: true, cwd: folder }, readdirSync(folder));
  return made;
}

test("a backup holds everything that is needed, is whole, and nobody else may read it", async () => {
  const fleet = await Fleet.made();
  const file = join(fleet.dir, "shop.tar.gz");
  const { code, reply } = await fleet.json("backup", "shop.tar.gz");
  expect([code, reply]).toMatchObject([
    0,
    {
      file,
      fleet: fleet.name,
      sha256: createHash("sha256").update(readFileSync(file)).digest("hex"),
      sizeBytes: statSync(file).size,
      counts: { deployments: 1, instances: 2, releases: 1, configs: 0, events: 1, files: 1 },
      missing: [],
    },
  ]);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readdirSync(fleet.dir)).toEqual(["shop.tar.gz"]);
  const verified = await fleet.run("verify", "shop.tar.gz");
  expect(verified.code).toBe(0);
  expect(verified.stdout).toMatch(
    /^shop\.tar\.gz, as of revision \d+: \d+ records, 1 event, 1 file; nothing is wrong\.\n$/,
  );
  // What is there is not overwritten.
  expect(await fleet.run("backup", "shop.tar.gz")).toMatchObject({
    code: 3,
    stderr: expect.stringContaining("is there already: name another file for the backup"),
  });
});

test("a backup of a living fleet is exactly as of one revision, its events with it", async () => {
  const fleet = await Fleet.made();
  const leadership = await fleet.lead();
  let living = true;
  const writing = (async () => {
    for (let n = 1; living; n++) {
      const twins = Object.fromEntries(
        [3, 4, 5].map((i) => [keys.instance(`i${i}`), instanceOf({ id: `i${i}`, generation: n })]),
      );
      await fleet.write(leadership, twins);
    }
  })();
  const files: string[] = [];
  for (let count = 0; count < 4; count++) files.push(await fleet.backedUp());
  living = false;
  await writing;
  for (const file of files) {
    expect((await fleet.json("verify", file)).reply).toMatchObject({ ok: true, findings: [] });
    const folder = mkdtempSync(`${file}.`);
    await extract({ file, cwd: folder });
    const records = readFileSync(join(folder, "records.ndjson"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const generations = records
      .filter(({ key }) => /^instance\.i[345]$/.test(key))
      .map(({ value }) => value.generation);
    expect(new Set(generations).size, String(generations)).toBeLessThanOrEqual(1);
  }
});

test("a restore brings records and files back under a newer identity, without desired states; roll-outs wait", async () => {
  const fleet = await Fleet.made();
  const before = await fleet.records();
  const file = await fleet.backedUp();
  const copy = new Fleet(fleet.bus);
  const { code, stdout } = await copy.run("restore", file, "--as", copy.name);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^Restored 4 records and 1 file as of /);
  expect(stdout).toContain("Paused, to be resumed or aborted by a person: d1.");
  const after = await copy.records();
  for (const key of [keys.release("v1"), keys.instance("i1"), keys.instance("i2")])
    expect(after[key]).toEqual(before[key]);
  expect(after[keys.desiredInstance("i1")]).toBeUndefined();
  expect(after[keys.deployment("d1")]).toMatchObject({ stage: "running", paused: { by: "anna" } });
  const ledgerIds = [before, after].map((records) => (records[keys.ledger] as { ledgerId: string }).ledgerId);
  expect(ledgerIds.toSorted()).toEqual(ledgerIds);
  expect(ledgerIds[0]).not.toBe(ledgerIds[1]);
  const chunks: Uint8Array[] = [];
  for await (const chunk of openNatsObjects({ fleet: copy.name, bus: copy.bus, clock, log: quietLog }).get(
    digest,
  ))
    chunks.push(chunk);
  expect(Buffer.concat(chunks).toString()).toBe(content);
  expect(await copy.json("verify", "--files")).toMatchObject({ code: 0, reply: { ok: true, findings: [] } });
});

test("over records it needs --force, and backs them up first", async () => {
  const fleet = await Fleet.made();
  const file = await fleet.backedUp();
  await fleet.damage({ [keys.instance("i9")]: instanceOf({ id: "i9" }) });
  const refused = await fleet.json("restore", file);
  expect(refused).toMatchObject({
    code: 3,
    reply: {
      error: {
        code: "LEDGER_NOT_EMPTY",
        message: expect.stringContaining("holds 5 records already: give --force"),
      },
    },
  });
  expect(Object.keys(await fleet.records())).toContain(keys.instance("i9"));
  const { reply } = await fleet.json("restore", file, "--force");
  expect(reply.saved).toMatch(new RegExp(`/${fleet.name}-before-restore-.*\\.tar\\.gz$`));
  expect(Object.keys(await fleet.records())).not.toContain(keys.instance("i9"));
  // Back and forth: what was there before is there again.
  expect(await fleet.run("restore", String(reply.saved), "--force")).toMatchObject({ code: 0 });
  expect(Object.keys(await fleet.records())).toContain(keys.instance("i9"));
});

describe("a restore is refused", () => {
  test("while a coordinator leads", async () => {
    const fleet = await Fleet.made();
    const file = await fleet.backedUp();
    const leadership = await fleet.lead();
    expect(await fleet.json("restore", file, "--force")).toMatchObject({
      code: 3,
      reply: { error: { code: "LEDGER_IN_USE", message: expect.stringContaining(leadership.holder) } },
    });
    await fleet.write(leadership, { [keys.instance("i3")]: instanceOf({ id: "i3" }) });
  });

  test("with the backup of another fleet", async () => {
    const [one, other] = [await Fleet.made(), await Fleet.made()];
    const { code, reply } = await other.json("restore", await one.backedUp(), "--force");
    expect([code, reply]).toMatchObject([3, { error: { code: "BACKUP_OF_ANOTHER_FLEET" } }]);
    expect(JSON.stringify(reply)).toContain(`give --fleet ${one.name}, or --as ${other.name}`);
  });

  const damages: readonly (readonly [
    what: string,
    damage: (file: string) => Promise<string>,
    says: RegExp,
  ])[] = [
    [
      "was cut off",
      async (file) => {
        writeFileSync(`${file}.short`, readFileSync(file).subarray(0, -40));
        return `${file}.short`;
      },
      /cannot be restored/,
    ],
    [
      "was changed",
      async (file) => {
        const bytes = readFileSync(file);
        bytes[bytes.length >> 1] = ~(bytes[bytes.length >> 1] ?? 0);
        writeFileSync(`${file}.bits`, bytes);
        return `${file}.bits`;
      },
      /cannot be restored/,
    ],
    [
      "has a changed record",
      (file) => tampered(file, "records.ndjson", (text) => text.replace('"generation":1', '"generation":2')),
      /records\.ndjson in it was changed: its checksum is/,
    ],
    [
      "is of a newer Rollcall",
      (file) => tampered(file, "manifest.json", (text) => text.replace('"format": 1', '"format": 2')),
      /it has format 2, newer than 1 that this Rollcall knows/,
    ],
    ["is not there", async () => "/nowhere/backup.tar.gz", /there is no such file/],
    [
      "is no backup",
      async (file) => {
        writeFileSync(`${file}.txt`, "hello");
        return `${file}.txt`;
      },
      /cannot be restored/,
    ],
  ];

  test.each(damages)("with a file that %s, and so is its verification", async (_what, damage, says) => {
    const fleet = await Fleet.made();
    const file = await damage(await fleet.backedUp());
    for (const args of [
      ["restore", file, "--force"],
      ["verify", file],
    ]) {
      const { code, reply } = await fleet.json(...args);
      expect([code, reply]).toMatchObject([
        3,
        { error: { code: "BAD_BACKUP", message: expect.stringMatching(says) } },
      ]);
    }
    expect((await fleet.json("verify")).reply).toMatchObject({ ok: true });
  });
});

describe("verify finds in a living ledger", () => {
  const lost = { release: "v7", config: "c7" };
  const findings: readonly (readonly [
    what: string,
    damage: (fleet: Fleet) => Promise<void>,
    where: string,
    problem: string,
  ])[] = [
    [
      "a record that does not parse",
      (fleet) => fleet.damage({ [keys.instance("i2")]: { format: 1, id: "i2" } }),
      "instance.i2",
      "holds something unreadable under instance.i2",
    ],
    [
      "a record of a newer format",
      (fleet) => fleet.damage({ [keys.instance("i2")]: { ...instanceOf({ id: "i2" }), format: 9 } }),
      "instance.i2",
      "has format 9, newer than",
    ],
    [
      "a key of no known kind",
      (fleet) => fleet.damage({ "moon.m1": 1 }),
      "moon.m1",
      "it is of no kind that this Rollcall knows",
    ],
    [
      "a claim of a deployment that does not exist",
      (fleet) =>
        fleet.damage({
          [keys.instance("i2")]: instanceOf({ id: "i2", claim: claimOf({ deployment: "d7", target: v1 }) }),
        }),
      "instance.i2",
      "deployment d7 owns it, and is not there",
    ],
    [
      "a version that is not there",
      (fleet) => fleet.damage({ [keys.instance("i2")]: instanceOf({ id: "i2", stable: lost }) }),
      "instance.i2",
      "its stable version is v7 with config c7, which is not there",
    ],
    [
      "a deployment of a release that is not there",
      (fleet) =>
        fleet.damage({
          [keys.deployment("d2")]: deploymentOf({ id: "d2", stage: "running", spec: { release: "v7" } }),
        }),
      "deployment.d2",
      "it rolls out release v7, which is not there",
    ],
    [
      "a release without its file",
      ({ name, bus }) => openNatsObjects({ fleet: name, bus, clock, log: quietLog }).remove(digest),
      "release.v1",
      `its file ${digest} is not there`,
    ],
    [
      "a release with another file",
      async ({ name, bus }) => {
        await openNatsObjects({ fleet: name, bus, clock, log: quietLog }).put(
          digest,
          bytesOf("something else"),
        );
      },
      "release.v1",
      `its file ${digest} has the digest sha256:`,
    ],
    [
      "an audit log that ends with another event",
      async ({ name, bus }) => {
        const head = { sequence: 1, hash: "of another event" };
        bus.connection.publish(subjectOfKey(name, keys.eventHead), JSON.stringify(head));
        await bus.flush();
      },
      "event-head",
      "the audit log should end with event 1, but ends with event 1 of another hash",
    ],
  ];

  test.each(findings)("%s", async (_what, damage, where, problem) => {
    const fleet = await Fleet.made();
    await damage(fleet);
    const { code, reply } = await fleet.json("verify");
    expect(code).toBe(3);
    expect(reply.ok).toBe(false);
    expect(reply.findings).toEqual([
      expect.objectContaining({ where, problem: expect.stringContaining(problem) }),
    ]);
    expect((await fleet.run("verify")).stdout).toContain(`1 thing is wrong.\n  ${where}: `);
  });

  test("a record that is no JSON", async () => {
    const fleet = await Fleet.made();
    // Asked for an answer, the server says when it is stored.
    await fleet.bus.connection.request(subjectOfKey(fleet.name, keys.instance("i2")), "{");
    expect(await fleet.json("verify")).toMatchObject({
      code: 1,
      reply: { error: { code: "LEDGER_CORRUPT" } },
    });
  });

  test("a file that was damaged in the store, if files are read", async () => {
    const fleet = await Fleet.made();
    const { streams } = await jetstreamManager(fleet.bus.connection);
    const { files } = storesOf(fleet.name);
    await streams.purge(`OBJ_${files}`, { filter: `$O.${files}.C.>` });
    expect((await fleet.json("verify")).reply).toMatchObject({ ok: true });
    expect((await fleet.json("verify", "--files")).reply).toMatchObject({
      ok: false,
      findings: [{ where: `file ${digest}`, problem: expect.stringContaining("is not in the store") }],
    });
    // The rest is backed up all the same.
    expect((await fleet.json("backup", "rest.tar.gz")).reply).toMatchObject({
      counts: { files: 0 },
      missing: [expect.any(String)],
    });
  });
});

test("a fleet that this server does not know has no ledger, and none is made by looking", async () => {
  const fleet = await Fleet.made();
  const stranger = new Fleet(fleet.bus);
  for (const args of [["backup", "x.tar.gz"], ["verify"]])
    expect(await stranger.json(...args)).toMatchObject({ code: 3, reply: { error: { code: "NO_LEDGER" } } });
  const { streams } = await jetstreamManager(fleet.bus.connection);
  await expect(streams.info(streamOf(stranger.name))).rejects.toThrow(/not found/);
  expect(readdirSync(stranger.dir)).toEqual([]);
});
