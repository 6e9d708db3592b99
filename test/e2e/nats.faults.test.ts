import { rmSync } from "node:fs";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { expect, onTestFinished, test } from "vitest";
import type { Verified } from "../../src/backup/verify.js";
import type { ReplyOf } from "../../src/contracts/api.js";
import { storesOf } from "../../src/contracts/keys.js";
import { type Client, connectNatsBus, createClient, type NatsBus } from "../../src/index.js";
import { AuditLog } from "../../src/ledger/audit-log.js";
import { streamOf } from "../../src/ledger/ledger-reader.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { eventually, eventuallyPasses } from "../kit/eventually.js";
import { startNats } from "../kit/nats.js";
import { startNatsCluster } from "../kit/nats-cluster.js";
import type { TestNats } from "../kit/test-nats.js";
import { factsAt, makeService } from "./service.js";
import { type Running, World } from "./world.js";

const fleet = "default";
const clock = createRealClock();
const ids = ["web-1", "web-2", "web-3", "web-4"];
const testMaxMs = 170_000;

/** A fleet on NATS servers of the test: coordinators, one agent with four instances, and a client. */
class OnNats {
  readonly world = new World();
  readonly #env: Record<string, string>;
  readonly #servers: string;
  #bus: NatsBus | undefined;

  constructor(nats: Pick<TestNats, "url" | "credentials">) {
    const { user, password } = nats.credentials;
    this.#servers = nats.url;
    this.#env = { NATS_URL: nats.url, NATS_USER: user, NATS_PASSWORD: password };
    onTestFinished(async () => {
      await this.#bus?.close();
      await this.world.close();
    });
  }

  async bus(): Promise<NatsBus> {
    const { NATS_USER: user, NATS_PASSWORD: pass } = this.#env;
    this.#bus ??= await connectNatsBus({ servers: this.#servers, user, pass });
    return this.#bus;
  }

  async client(): Promise<Client> {
    return createClient({ bus: await this.bus(), fleet });
  }

  start(...args: string[]): Promise<Running> {
    return this.world.start(args, { env: this.#env });
  }

  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.world.run(args, { env: this.#env });
    if (code !== 0) throw new Error(`rollcall ${args.join(" ")} ended with ${code}:\n${stdout}\n${stderr}`);
    return stdout;
  }

  async status(): Promise<ReplyOf<"status.get">> {
    return await (await this.client()).status.get();
  }

  /** Two coordinators and an agent whose instances all report. */
  async started(): Promise<{ readonly planes: Running[]; readonly agent: Running }> {
    const planes = [
      await this.start("coordinator", "--name", "c1"),
      await this.start("coordinator", "--name", "c2"),
    ];
    const agent = await this.world.startAgent(ids, ["--stop-processes"], { env: this.#env });
    await eventually(async () => (await this.status()).instances.total === ids.length, { withinMs: 60_000 });
    return { planes, agent };
  }

  async instances() {
    return (await (await this.client()).instances.list()).items;
  }

  async runs(): Promise<(string | undefined)[]> {
    return (await this.instances()).map(({ running }) => running?.release);
  }

  async audit() {
    const events = [];
    for await (const { event } of new AuditLog({ fleet, bus: await this.bus(), clock }).read())
      events.push(event);
    return events;
  }
}

/** Registers one configuration after the other until it is stopped, and keeps what was tried and what was acknowledged. */
function writing(client: Client) {
  const attempted = new Set<string>();
  const acknowledged = new Set<string>();
  let going = true;
  const done = (async () => {
    for (let n = 1; going; n++) {
      const version = `c${n}`;
      const digest = `sha256:${String(n).padStart(64, "0")}`;
      attempted.add(version);
      const config = { version, object: { name: digest, digest, sizeBytes: 1 } };
      // What was refused, or is not known, is only attempted.
      const answered = await client.configs.push({ config, by: "test" }).then(
        () => true,
        () => false,
      );
      if (answered) acknowledged.add(version);
      await new Promise<void>((resolve) => clock.setTimer(20, resolve));
    }
  })();
  return {
    attempted,
    acknowledged,
    async stop() {
      going = false;
      await done;
    },
  };
}

const minus = (one: Iterable<string>, other: ReadonlySet<string>) =>
  [...one].filter((item) => !other.has(item));

/** Rolls v2 out one by one while `kill` does its worst in the middle, and looks what became of everything that was acknowledged. */
async function survives(on: OnNats, kill: () => Promise<void>): Promise<void> {
  await on.ok("releases", "push", "v1", makeService({ content: "1" }));
  await on.ok("releases", "push", "v2", makeService({ content: "2" }));
  await on.ok("deploy", "--release", "v1", "--all", "--batch", "4", "--min-healthy", "0s", "--wait");
  const writes = writing(await on.client());
  const deploying = await on.start(
    ...["deploy", "--release", "v2", "--all", "--batch", "1", "--min-healthy", "1500ms", "--wait"],
  );
  await eventually(async () => (await on.runs()).includes("v2"), { withinMs: 60_000 });
  const before = writes.acknowledged.size;
  expect(before).toBeGreaterThan(0);
  await kill();
  expect(await deploying.ended).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("completed: 4 of 4 run v2"),
  });
  await eventually(() => writes.acknowledged.size > before, { withinMs: 30_000 });
  await writes.stop();
  expect(await on.runs()).toEqual(["v2", "v2", "v2", "v2"]);

  // The audit stream takes its events over from the bucket, whose leader was killed: it finds the new one after a while.
  const events = await eventually(
    async () => {
      const found = await on.audit();
      const count = found.filter(({ type }) => type === "dev.rollcall.config.pushed.v1").length;
      return count >= writes.acknowledged.size && found;
    },
    { withinMs: 60_000, everyMs: 500 },
  );
  const pushed = events
    .filter(({ type }) => type === "dev.rollcall.config.pushed.v1")
    .map(({ subject }) => subject.slice("config/".length));
  const visible = new Set(pushed);
  expect(minus(writes.acknowledged, visible)).toEqual([]);
  expect(minus(visible, writes.attempted)).toEqual([]);
  // Whatever was sent twice was written once.
  expect(pushed).toHaveLength(visible.size);
  const { items } = await (await on.client()).configs.list();
  expect(minus(visible, new Set(items.map(({ version }) => version)))).toEqual([]);
  expect(await on.ok("events", "verify")).toContain("none was changed, removed or added");
  // But for the files of these configurations, which were never uploaded.
  const verified = JSON.parse(
    (await (await on.start("ledger", "verify", "--json")).ended).stdout,
  ) as Verified;
  expect(verified.findings.filter(({ where }) => !where.startsWith("config."))).toEqual([]);
}

test(
  "one NATS server is killed twice in the middle of a roll-out: it completes, and nothing acknowledged is lost or written twice",
  async () => {
    const nats = await startNats({ syncAlways: true });
    onTestFinished(() => nats.stop());
    const on = new OnNats(nats);
    await on.started();
    await survives(on, async () => {
      for (let kills = 0; kills < 2; kills++) {
        await nats.kill9();
        await nats.restart();
        await eventually(async () => (await on.status()).leader !== null, { withinMs: 60_000 });
      }
    });
  },
  testMaxMs,
);

test(
  "the leader of the ledger's stream is killed in a cluster of three: the roll-out completes under the same coordinator, and nothing acknowledged is lost",
  async () => {
    const cluster = await startNatsCluster();
    onTestFinished(() => cluster.stop());
    const on = new OnNats(cluster);
    await on.started();
    const bucket = streamOf(fleet);
    const { eventStream, files } = storesOf(fleet);
    for (const stream of [bucket, eventStream, `OBJ_${files}`])
      expect((await cluster.manager.streams.info(stream)).config.num_replicas, stream).toBe(3);
    const { epoch } = await on.status();
    let killed: TestNats | undefined;
    await survives(on, async () => {
      killed = await cluster.leaderOf(bucket);
      await killed.kill9();
    });
    // The lease of 12 s outlives an election of NATS.
    expect((await on.status()).epoch).toBe(epoch);
    await killed?.restart();
    await eventually(
      async () =>
        (await cluster.manager.streams.info(bucket)).cluster?.replicas?.every(({ current }) => current) ===
        true,
      { withinMs: 60_000 },
    );
  },
  testMaxMs,
);

test(
  "the store is deleted while nothing runs: the control plane says what is lost, and tells nobody anything until a person deploys",
  async () => {
    const nats = await startNats();
    onTestFinished(() => nats.stop());
    const on = new OnNats(nats);
    const { planes } = await on.started();
    await on.ok("releases", "push", "v1", makeService({ content: "1" }));
    await on.ok("deploy", "--release", "v1", "--all", "--batch", "4", "--min-healthy", "0s", "--wait");
    const before = await on.instances();
    for (const plane of planes) expect((await plane.end()).code).toBe(0);
    await nats.kill9();
    rmSync(join(nats.dir, "jetstream"), { recursive: true });
    await nats.restart();
    const plane = await on.start("coordinator", "--name", "c3");
    await eventually(async () => (await on.status()).ledger?.strangers === ids.length, { withinMs: 60_000 });
    await eventually(() => plane.stderr().includes("what the one before it knew is lost"), {
      withinMs: 30_000,
    });
    expect(await on.ok("status")).toMatch(/v1 \(no record\)/);
    expect(await on.ok("doctor")).toMatch(/4 instances act on what that one asked/);
    // Nobody was told anything: the very same processes serve.
    for (const { id, pid, port, labels } of before) {
      const now = (await on.instances()).find((one) => one.id === id);
      expect(now).toMatchObject({
        pid,
        port,
        labels,
        status: "HEALTHY",
        running: { release: "v1" },
        desired: null,
      });
      expect(await factsAt(port ?? 0)).toMatchObject({ pid, release: "v1" });
    }
    await on.ok("releases", "push", "v2", makeService({ content: "2" }));
    await on.ok("deploy", "--release", "v2", "--all", "--batch", "4", "--min-healthy", "0s", "--wait");
    expect(await on.runs()).toEqual(["v2", "v2", "v2", "v2"]);
    expect((await on.status()).ledger).toMatchObject({ strangers: 0, notice: null });
  },
  testMaxMs,
);

test(
  "a full ledger refuses by name, and is led all the same; with room again it goes on by itself",
  async () => {
    const nats = await startNats();
    onTestFinished(() => nats.stop());
    const on = new OnNats(nats);
    await on.started();
    const service = makeService({ content: "1" });
    await on.ok("releases", "push", "v1", service);
    const content = join(service, "content.txt");
    const { streams } = await jetstreamManager((await on.bus()).connection);
    const stream = streamOf(fleet);
    const { config, state } = await streams.info(stream);
    await streams.update(stream, { ...config, max_bytes: state.bytes + 1_000 });
    const refused = await eventually(async () => {
      const { code, stdout } = await (await on.start("configs", "push", "c1", content, "--json")).ended;
      return code !== 0 && stdout.includes("LEDGER_FULL") && stdout;
    });
    expect(refused).toContain("is full");
    await eventuallyPasses(async () => expect((await on.status()).leader).not.toBeNull());
    await streams.update(stream, { ...config, max_bytes: config.max_bytes });
    await eventuallyPasses(async () => {
      await on.ok("deploy", "--release", "v1", "--all", "--batch", "4", "--min-healthy", "0s", "--wait");
    });
    expect(await on.runs()).toEqual(["v1", "v1", "v1", "v1"]);
  },
  testMaxMs,
);

test(
  "a fleet is restored in the folder of its rollcall up: what runs goes on, and the next roll-out reaches all of it",
  async () => {
    const world = new World();
    const up = await world.up();
    await world.agent(ids);
    await world.ok("releases", "push", "v1", makeService({ content: "1" }));
    await world.ok("deploy", "--release", "v1", "--all", "--batch", "4", "--min-healthy", "0s", "--wait");
    await world.ok("ledger", "backup", "fleet.tar.gz");
    await world.ok("releases", "push", "v2", makeService({ content: "2" }));
    await world.ok("deploy", "--release", "v2", "--all", "--batch", "4", "--min-healthy", "0s", "--wait");
    const before = await world.instances();
    expect(await world.run(["ledger", "restore", "fleet.tar.gz", "--force"])).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/leads fleet default: stop every coordinator/),
    });
    await up.end();
    expect(await world.ok("ledger", "restore", "fleet.tar.gz", "--force")).toMatch(
      /^Restored \d+ records and 1 file/,
    );
    await world.up();
    const known = await eventually(
      async () => (await (await world.client()).status.get()).ledger?.strangers === ids.length,
      { withinMs: 60_000 },
    );
    expect(known).toBe(true);
    expect(await world.ok("status")).toMatch(
      /restored from the backup of .* 4 of them run something else .* \(v2: 4\)/s,
    );
    for (const { id, pid } of before)
      expect(await world.instance(id)).toMatchObject({
        pid,
        running: { release: "v2" },
        desired: { release: "v1" },
      });
    await world.ok("releases", "push", "v3", makeService({ content: "3" }));
    await world.ok("deploy", "--release", "v3", "--all", "--batch", "4", "--min-healthy", "0s", "--wait");
    expect((await world.instances()).map(({ running }) => running?.release)).toEqual([
      "v3",
      "v3",
      "v3",
      "v3",
    ]);
  },
  testMaxMs,
);
