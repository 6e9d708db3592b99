import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, realpath, rm, stat, writeFile } from "node:fs/promises";
import type { Server } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JetStreamClient } from "@nats-io/jetstream";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { connect } from "@nats-io/transport-node";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { findFreePort } from "../../src/base-node/free-port.js";
import { findByArgument, identify, isAlive } from "../../src/base-node/process-identity.js";
import type { RunNatsOptions } from "../../src/nats-server/run.js";
import { runNatsServer } from "../../src/nats-server/run.js";
import type { RunningNats } from "../../src/nats-server/running-nats.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { eventually } from "../kit/eventually.js";
import { natsBinary } from "../kit/nats.js";
import { quietLog } from "../kit/quiet-log.js";

const clock = createRealClock();
let binary: string;
let dataDir: string;
const running: RunningNats[] = [];
const connections: NatsConnection[] = [];
const children: ChildProcess[] = [];

beforeAll(async () => {
  binary = await natsBinary();
}, 180_000);
beforeEach(async () => {
  dataDir = await realpath(await mkdtemp(join(tmpdir(), "rollcall-run-")));
});
afterEach(async () => {
  for (const connection of connections.splice(0)) await connection.close();
  for (const child of children.splice(0)) child.kill("SIGKILL");
  for (const server of running.splice(0)) await server.stop();
  for (const left of ours()) process.kill(left.pid, "SIGKILL");
  await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
});

async function run(options: Partial<RunNatsOptions> = {}): Promise<RunningNats> {
  const server = await runNatsServer({ binary, dataDir, clock, log: quietLog, ...options });
  running.push(server);
  return server;
}

async function client(server: RunningNats): Promise<NatsConnection> {
  const { url, user, password } = server;
  const options = { servers: url, user, pass: password, maxReconnectAttempts: -1, reconnectTimeWait: 20 };
  const connection = await connect(options);
  connections.push(connection);
  return connection;
}

/** Every server process of this test's data folder. */
function ours() {
  return findByArgument(join(dataDir, "nats", "server.conf"));
}

async function record(): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(dataDir, "nats.json"), "utf8")) as Record<string, unknown>;
}

async function setRecord(change: Record<string, unknown>): Promise<void> {
  await writeFile(join(dataDir, "nats.json"), JSON.stringify({ ...(await record()), ...change }));
}

/** A program of its own that runs the server of this data folder, as `rollcall up` does. */
async function owner(): Promise<ChildProcess> {
  const module = (path: string) => JSON.stringify(new URL(`../../${path}`, import.meta.url).href);
  const script = `
    import { runNatsServer } from ${module("src/nats-server/run.ts")};
    import { createRealClock } from ${module("src/runtime/real-clock.ts")};
    import { quietLog } from ${module("test/kit/quiet-log.ts")};
    const [binary, dataDir] = process.argv.slice(1);
    await runNatsServer({ binary, dataDir, clock: createRealClock(), log: quietLog });
    console.log("runs");`;
  const args = ["--import", "tsx", "--input-type=module", "-e", script, binary, dataDir];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  await once(child.stdout, "data");
  return child;
}

async function killed(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await once(child, "exit");
}

describe("the server of a data folder", () => {
  test("runs on loopback with credentials of its own, which stand in files of its owner only", async () => {
    const startedAt = performance.now();
    const server = await run();
    console.info(`ready after ${Math.round(performance.now() - startedAt)} ms`);
    expect(server.url).toMatch(/^nats:\/\/127\.0\.0\.1:\d+$/);
    expect(server.adopted).toBe(false);
    await jetstreamManager(await client(server));
    await expect(connect({ servers: server.url })).rejects.toThrow(/Authorization/);
    for (const file of ["nats.json", "nats/server.conf"]) {
      expect((await stat(join(dataDir, file))).mode & 0o777).toBe(0o600);
    }
    expect((await stat(join(dataDir, "nats"))).mode & 0o777).toBe(0o700);
    expect(await readFile(join(dataDir, "nats/server.conf"), "utf8")).toContain("sync_interval: always");
    const commandLine = spawn("ps", ["-o", "args=", "-p", String(server.pid)]);
    expect(String((await once(commandLine.stdout, "data"))[0])).not.toContain(server.password);
  });

  test("keeps port, credentials and store from one start to the next, and leaves nothing running between them", async () => {
    const first = await run();
    const manager = await jetstreamManager(await client(first));
    await manager.streams.add({ name: "KEPT", subjects: ["kept"] });
    await first.stop();
    expect(ours()).toEqual([]);
    expect((await record()).server).toBeNull();
    const second = await run();
    expect([second.url, second.password]).toEqual([first.url, first.password]);
    expect((await (await jetstreamManager(await client(second))).streams.info("KEPT")).config.name).toBe(
      "KEPT",
    );
  });

  test("moves to another port when its own is taken at the start, and says no when that port was asked for", async () => {
    const first = await run();
    const port = Number(new URL(first.url).port);
    await first.stop();
    const squatter: Server = createServer().listen(port, "127.0.0.1");
    await once(squatter, "listening");
    try {
      await expect(run({ port })).rejects.toMatchObject({
        code: "NATS_START_FAILED",
        message: expect.stringMatching(/address already in use/),
      });
      expect(ours()).toEqual([]);
      const second = await run();
      expect(second.url).not.toBe(first.url);
      await client(second);
    } finally {
      squatter.close();
    }
  });

  test("listens where it is told, and stores no more than it is told", async () => {
    const port = await findFreePort();
    const server = await run({ port, storeBytesMax: 8 * 1024 * 1024 });
    expect(server.url).toBe(`nats://127.0.0.1:${port}`);
    const manager = await jetstreamManager(await client(server));
    const large = { name: "LARGE", subjects: ["large"], max_bytes: 9 * 1024 * 1024 };
    await expect(manager.streams.add(large)).rejects.toThrow(/insufficient storage/);
  });

  test("is refused with a reason when its record is broken or its program is none", async () => {
    await expect(run({ binary: "/bin/false" })).rejects.toMatchObject({ code: "NATS_START_FAILED" });
    await expect(run({ binary: join(dataDir, "none") })).rejects.toMatchObject({ code: "NATS_START_FAILED" });
    await writeFile(join(dataDir, "nats.json"), '{"format":1}');
    await expect(run()).rejects.toMatchObject({
      code: "NATS_START_FAILED",
      message: expect.stringContaining("nats.json is not valid"),
    });
  });
});

describe("a server that dies", () => {
  test("in the middle of acknowledged writes is started again, and every acknowledged write is there", async () => {
    const server = await run();
    const connection = await client(server);
    const manager = await jetstreamManager(connection);
    await manager.streams.add({ name: "WRITES", subjects: ["writes.>"], allow_direct: true });
    const writer = new Writer(jetstream(connection));
    const written = writer.write();
    await eventually(() => writer.acknowledged.length > 200);
    const { url, pid } = server;
    process.kill(pid, "SIGKILL");
    await eventually(() => server.restarts === 1);
    const before = writer.acknowledged.length;
    await eventually(() => writer.acknowledged.length > before + 100);
    writer.enough = true;
    await written;
    expect(server.url).toBe(url);
    expect(server.pid).not.toBe(pid);
    expect((await record()).server).toEqual(identify(server.pid));
    const stored = new Set<string>();
    const messages = await manager.direct.getBatch("WRITES", { seq: 1, batch: 100_000 });
    for await (const message of messages) stored.add(message.subject);
    expect(writer.acknowledged.filter((subject) => !stored.has(subject))).toEqual([]);
  });

  test("again and again is given up, and its owner is told once", async () => {
    const wrapper = join(dataDir, "wrapper");
    await writeFile(wrapper, `#!/bin/sh\nexec ${binary} "$@"\n`);
    await chmod(wrapper, 0o755);
    const restartLimit = { restartsMax: 3, withinMs: 60_000, backoffMs: 5, backoffMaxMs: 20 };
    const server = await run({ binary: wrapper, restartLimit });
    const told: unknown[] = [];
    server.onExit((why) => told.push(why));
    await writeFile(wrapper, "#!/bin/sh\necho 'nats-server: the disk is on fire' >&2\nexit 1\n");
    process.kill(server.pid, "SIGKILL");
    await eventually(() => told.length > 0);
    expect(told).toEqual([
      expect.objectContaining({
        code: "NATS_START_FAILED",
        message: expect.stringMatching(/the disk is on fire.*not for the first time/),
      }),
    ]);
    await server.stop();
    expect(ours()).toEqual([]);
  });

  test("while it is being stopped stays down", async () => {
    const server = await run();
    process.kill(server.pid, "SIGKILL");
    await server.stop();
    await server.stop();
    expect(ours()).toEqual([]);
  });
});

describe("a server whose owner was killed", () => {
  test("survives, is adopted by the next start, and is then watched and stopped like a child", async () => {
    await killed(await owner());
    const [survivor] = ours();
    const server = await run();
    expect(server.adopted).toBe(true);
    expect(server.pid).toBe(survivor?.pid);
    await client(server);
    process.kill(server.pid, "SIGKILL");
    await eventually(() => server.restarts === 1);
    await client(server);
    await server.stop();
    expect(ours()).toEqual([]);
  });

  test("before it was recorded is found by its configuration", async () => {
    await killed(await owner());
    const [survivor] = ours();
    await setRecord({ server: null });
    const server = await run();
    expect([server.adopted, server.pid]).toEqual([true, survivor?.pid]);
  });

  test("and that runs with another configuration than it would get now is replaced", async () => {
    await killed(await owner());
    const [survivor] = ours();
    const server = await run({ storeBytesMax: 100 * 1024 * 1024 });
    expect(server.adopted).toBe(false);
    expect(ours().map(({ pid }) => pid)).toEqual([server.pid]);
    expect(survivor && isAlive(survivor)).toBe(false);
  });

  test("and that does not answer is replaced", { timeout: 30_000 }, async () => {
    await killed(await owner());
    const [survivor] = ours();
    process.kill(survivor?.pid ?? 0, "SIGSTOP");
    const server = await run();
    expect(server.adopted).toBe(false);
    expect(ours().map(({ pid }) => pid)).toEqual([server.pid]);
  });

  test("leaves a stranger alone that has its number now", async () => {
    const first = await run();
    await first.stop();
    const stranger = spawn("sleep", ["60"], { detached: true, stdio: "ignore" });
    children.push(stranger);
    await once(stranger, "spawn");
    await setRecord({ server: { ...identify(stranger.pid ?? 0), startTime: "1" } });
    expect((await run()).adopted).toBe(false);
    expect(stranger.exitCode).toBeNull();
    expect(identify(stranger.pid ?? 0)).toBeDefined();
  });
});

/** Writes on and on, 16 at a time, and knows what was acknowledged. */
class Writer {
  readonly acknowledged: string[] = [];
  enough = false;
  readonly #client: JetStreamClient;

  constructor(client: JetStreamClient) {
    this.#client = client;
  }

  async write(): Promise<void> {
    await Promise.all(Array.from({ length: 16 }, (_, lane) => this.#lane(lane)));
  }

  async #lane(lane: number): Promise<void> {
    for (let n = 0; !this.enough; n++) {
      const subject = `writes.${lane}.${n}`;
      const sent = this.#client.publish(subject, "x".repeat(200), { timeout: 500 });
      // Without an acknowledgement it may be there or not.
      await sent.then(
        () => this.acknowledged.push(subject),
        () => undefined,
      );
    }
  }
}
