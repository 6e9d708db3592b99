import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import {
  createProcesses,
  type ProcessesOptions,
  type RealProcesses,
} from "../../src/agent/adapters/processes.js";
import type { ProcessExit, ProcessIdentity, ProcessStart } from "../../src/agent/ports.js";
import { eventually, eventuallyPasses } from "../kit/eventually.js";
import { quietLog } from "../kit/quiet-log.js";
import { makeTempDir } from "../kit/temp-dir.js";
import { clock, codeOf, random, refusalOf, runs } from "./kit.js";

const opened: RealProcesses[] = [];
const servers: Server[] = [];

afterEach(async () => {
  for (const processes of opened.splice(0)) {
    for (const { identity } of await processes.owned())
      await processes.stop(identity, { signal: "SIGKILL", graceMs: 0 });
    processes.close();
  }
  for (const server of servers.splice(0)) server.close();
});

function setUp(also: Partial<ProcessesOptions> = {}) {
  const dataDir = makeTempDir();
  const cwd = join(dataDir, "cwd");
  mkdirSync(cwd);
  const open = () => {
    const processes = createProcesses({ dataDir, clock, random, log: quietLog, ...also });
    opened.push(processes);
    return processes;
  };
  const startOf = (command: ProcessStart["command"], more: Partial<ProcessStart> = {}): ProcessStart => ({
    instance: "i1",
    generation: 7,
    command,
    cwd,
    env: {},
    ...more,
  });
  return { dataDir, cwd, open, processes: open(), startOf };
}

const node = (script: string) => [process.execPath, "-e", script];
const stopNow = { signal: "SIGTERM", graceMs: 10_000 };

function exitOf(processes: RealProcesses, identity: ProcessIdentity): Promise<ProcessExit> {
  return new Promise((resolve) => void processes.onExit(identity, resolve));
}

async function pidsIn(file: string, count: number): Promise<number[]> {
  return await eventually(() => {
    const pids = existsSync(file) ? readFileSync(file, "utf8").trim().split("\n").map(Number) : [];
    return pids.length >= count && pids;
  });
}

describe("a started service", () => {
  test("runs in its folder, with its own environment and nothing of the agent's secrets", async () => {
    const { cwd, processes, startOf } = setUp();
    process.env.ROLLCALL_TEST_SECRET = "hidden";
    const script =
      "require('fs').writeFileSync('env.json', JSON.stringify({ ...process.env, cwd: process.cwd() })); setInterval(() => {}, 1000)";
    const identity = await processes.start(
      startOf(node(script), { env: { PORT: "1234", GREETING: "hello" } }),
    );
    delete process.env.ROLLCALL_TEST_SECRET;
    const seen = await eventually(
      () => existsSync(join(cwd, "env.json")) && JSON.parse(readFileSync(join(cwd, "env.json"), "utf8")),
    );
    expect(seen).toMatchObject({
      cwd,
      PORT: "1234",
      GREETING: "hello",
      ROLLCALL_INSTANCE: "i1",
      ROLLCALL_GENERATION: "7",
      PATH: process.env.PATH,
    });
    expect(seen).not.toHaveProperty("ROLLCALL_TEST_SECRET");
    expect(processes.isAlive(identity)).toBe(true);
    await processes.stop(identity, stopNow);
    expect(processes.isAlive(identity)).toBe(false);
  });

  test("of a single command is the process itself, not a shell before it", async () => {
    const { processes, startOf } = setUp();
    const identity = await processes.start(startOf('sleep "300"'));
    await eventuallyPasses(() =>
      expect(readFileSync(`/proc/${identity.pid}/cmdline`, "utf8")).toBe("sleep\x00300\x00"),
    );
  });

  test.each(["true && sleep 300", "A=1 sleep 300", "cd / && sleep 300", "if true; then sleep 300; fi"])(
    "may be any shell command: %s",
    async (command) => {
      const { processes, startOf } = setUp();
      const identity = await processes.start(startOf(command));
      await eventually(() => readFileSync(`/proc/${identity.pid}/cmdline`, "utf8").startsWith("s"));
      expect(processes.isAlive(identity)).toBe(true);
      await processes.stop(identity, stopNow);
    },
  );

  test("whose program is not there is refused by name, as is one whose folder is not there", async () => {
    const { processes, startOf } = setUp();
    const missing = await refusalOf(
      processes.start(startOf(["/no/such/program"], { env: { ROLLCALL_RELEASE: "v3" } })),
    );
    expect(missing.code).toBe("START_FAILED");
    expect(missing.message).toContain("release v3");
    expect(missing.message).toContain("/no/such/program");
    const noFolder = await refusalOf(processes.start(startOf("sleep 300", { cwd: "/no/such/folder" })));
    expect(noFolder.code).toBe("START_FAILED");
    expect(noFolder.message).toContain("/no/such/folder");
    expect(await processes.owned()).toEqual([]);
  });

  test("that ends at once is told by onExit with how", async () => {
    const { processes, startOf } = setUp();
    for (let round = 0; round < 20; round++) {
      const identity = await processes.start(startOf("echo broken; exit 3"));
      expect(await exitOf(processes, identity)).toEqual({ code: 3, signal: null });
    }
    expect(await processes.tail("i1")).toBe("broken");
    expect(await processes.owned()).toEqual([]);
  });

  test("tells how it ended, to everybody who asked before or asks afterwards, once", async () => {
    const { processes, startOf } = setUp();
    const identity = await processes.start(startOf("sleep 0.1; exit 5"));
    const before: ProcessExit[] = [];
    processes.onExit(identity, (exit) => before.push(exit));
    const unwanted: ProcessExit[] = [];
    processes.onExit(identity, (exit) => unwanted.push(exit)).unsubscribe();
    await eventually(() => before.length);
    expect(await exitOf(processes, identity)).toEqual({ code: 5, signal: null });
    expect(before).toEqual([{ code: 5, signal: null }]);
    expect(unwanted).toEqual([]);
  });

  test("that is killed from outside tells the signal", async () => {
    const { processes, startOf } = setUp();
    const identity = await processes.start(startOf("sleep 300"));
    const exit = exitOf(processes, identity);
    process.kill(identity.pid, "SIGKILL");
    expect(await exit).toEqual({ code: null, signal: "SIGKILL" });
  });

  test("that ends by itself leaves nothing of its group running when its end is told", async () => {
    const { cwd, processes, startOf } = setUp();
    const command =
      "sh -c 'trap \"\" TERM; echo $$ >> pids; while :; do sleep 1; done' & setsid sh -c 'echo $$ >> pids; exec sleep 300' & sleep 0.4; exit 1";
    const identity = await processes.start(startOf(command));
    const exit = exitOf(processes, identity);
    const pids = await pidsIn(join(cwd, "pids"), 2);
    expect(await exit).toEqual({ code: 1, signal: null });
    expect(pids.filter(runs)).toEqual([]);
  });
});

describe("stopping", () => {
  test("lets a service end well by its signal", async () => {
    const { cwd, processes, startOf } = setUp();
    const script =
      "process.on('SIGINT', () => { require('fs').writeFileSync('ended', 'well'); process.exit(0) }); console.log('ready'); setInterval(() => {}, 1000)";
    const identity = await processes.start(startOf(node(script)));
    await eventually(async () => (await processes.tail("i1")) === "ready");
    const exit = exitOf(processes, identity);
    await processes.stop(identity, { signal: "SIGINT", graceMs: 20_000 });
    expect(readFileSync(join(cwd, "ended"), "utf8")).toBe("well");
    expect(await exit).toEqual({ code: 0, signal: null });
  });

  test("gives each process of the group the signal exactly once", async () => {
    const { processes, startOf } = setUp();
    const script =
      "let n = 0; process.on('SIGTERM', () => { n++; console.log('term', n); setTimeout(() => process.exit(), 700) }); console.log('ready'); setInterval(() => {}, 1000)";
    const identity = await processes.start(startOf(node(script)));
    await eventually(async () => (await processes.tail("i1")) === "ready");
    await processes.stop(identity, stopNow);
    expect(await processes.tail("i1")).toBe("ready\nterm 1");
  });

  test("kills a group that ignores the signal, with children and grandchildren, after the grace time", async () => {
    const { cwd, processes, startOf } = setUp();
    const stubborn = (inside: string) =>
      `trap "" TERM INT HUP; echo $$ >> pids; ${inside} while :; do sleep 0.2; done`;
    writeFileSync(join(cwd, "grandchild.sh"), stubborn(""));
    writeFileSync(join(cwd, "child.sh"), stubborn("sh grandchild.sh & "));
    const identity = await processes.start(startOf(stubborn("sh child.sh & ")));
    const pids = await pidsIn(join(cwd, "pids"), 3);
    const sinceMs = performance.now();
    await processes.stop(identity, { signal: "SIGTERM", graceMs: 300 });
    expect(performance.now() - sinceMs).toBeGreaterThanOrEqual(300);
    expect(pids.filter(runs)).toEqual([]);
    expect(await processes.owned()).toEqual([]);
  });

  test("ends also what has left the group", async () => {
    const { cwd, processes, startOf } = setUp();
    const identity = await processes.start(
      startOf("setsid sh -c 'echo $$ >> pids; exec sleep 300' & sleep 300; true"),
    );
    const [daemon = 0] = await pidsIn(join(cwd, "pids"), 1);
    await processes.stop(identity, stopNow);
    expect(runs(daemon)).toBe(false);
  });

  test("ends a service that is stopped in its tracks", async () => {
    const { processes, startOf } = setUp();
    const identity = await processes.start(startOf("sleep 300"));
    process.kill(identity.pid, "SIGSTOP");
    const sinceMs = performance.now();
    await processes.stop(identity, { signal: "SIGTERM", graceMs: 60_000 });
    expect(performance.now() - sinceMs).toBeLessThan(30_000);
    expect(processes.isAlive(identity)).toBe(false);
  });

  test("what is gone already is success, twice and at the same time too", async () => {
    const { processes, startOf } = setUp();
    const identity = await processes.start(startOf("sleep 300"));
    await Promise.all([processes.stop(identity, stopNow), processes.stop(identity, stopNow)]);
    await processes.stop(identity, stopNow);
    await processes.stop({ ...identity, pid: 4_194_303 }, stopNow);
  });

  test("never touches a stranger that has the number now", async () => {
    const { processes, startOf } = setUp();
    const identity = await processes.start(startOf("sleep 300"));
    await processes.stop({ ...identity, startTime: "1" }, { signal: "SIGKILL", graceMs: 0 });
    await processes.stop({ ...identity, bootId: "another boot" }, { signal: "SIGKILL", graceMs: 0 });
    expect(processes.isAlive(identity)).toBe(true);
    expect(processes.isAlive({ ...identity, startTime: "1" })).toBe(false);
  });
});

describe("the output", () => {
  test("of both streams is in the tail, at most 2 KiB of it, whole lines since the last start", async () => {
    const { processes, startOf } = setUp();
    const first = await processes.start(startOf("echo first"));
    await exitOf(processes, first);
    const script =
      "for (let i = 0; i < 1000; i++) console.log('line', i, 'é'.repeat(40)); console.error('\\u001b[31mbroken\\u001b[0m')";
    const second = await processes.start(startOf(node(script), { generation: 8 }));
    await exitOf(processes, second);
    const tail = await processes.tail("i1");
    expect(Buffer.byteLength(tail)).toBeLessThanOrEqual(2_048);
    expect(tail).toMatch(/^line \d+ é+\n/);
    expect(tail.endsWith("broken")).toBe(true);
    expect(await processes.tail("nobody")).toBe("");
  });

  test("of the start before is still in the file, with a line between", async () => {
    const { dataDir, processes, startOf } = setUp();
    for (const word of ["one", "two"])
      await exitOf(processes, await processes.start(startOf(`echo ${word}`)));
    const text = readFileSync(join(dataDir, "instances", "i1", "logs", "service.log"), "utf8");
    expect(text).toMatch(/^--- rollcall: generation 7 started .*Z ---\none\n--- rollcall: .* ---\ntwo\n$/);
  });

  test("is kept below a bound over restarts, with one older file", async () => {
    const { dataDir, processes, startOf } = setUp({ logBytesMax: 10_000 });
    for (let round = 0; round < 5; round++) {
      const identity = await processes.start(startOf(node(`console.log('${round}'.repeat(8000))`)));
      await exitOf(processes, identity);
    }
    const log = join(dataDir, "instances", "i1", "logs", "service.log");
    expect(statSync(log).size + statSync(`${log}.1`).size).toBeLessThan(40_000);
    expect(await processes.tail("i1")).toMatch(/^4+$/);
  });
});

describe("a free port", () => {
  async function listenOn(port: number, host = "127.0.0.1"): Promise<number> {
    const server = createServer();
    servers.push(server);
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, host, resolve));
    return (server.address() as { port: number }).port;
  }

  test("is never given to two instances", async () => {
    const { processes } = setUp();
    const ports = await Promise.all(
      Array.from({ length: 200 }, (_, index) => processes.freePort(`i${index}`)),
    );
    expect(new Set(ports).size).toBe(200);
    await listenOn(ports[0] ?? 0);
  });

  test("is the wanted one if nobody has it", async () => {
    const { processes } = setUp();
    const port = await processes.freePort("i1");
    expect(await processes.freePort("i1", port)).toBe(port);
    expect(await codeOf(processes.freePort("i2", port))).toBe("PORT_IN_USE");
    await listenOn(port);
    const refused = await refusalOf(processes.freePort("i1", port));
    expect(refused.code).toBe("PORT_IN_USE");
    expect(refused.message).toContain(String(port));
  });

  test.each(["0.0.0.0", "::"])("is not one that somebody listens on everywhere (%s)", async (host) => {
    const { processes } = setUp();
    const port = await listenOn(0, host);
    expect(await codeOf(processes.freePort("i1", port))).toBe("PORT_IN_USE");
  });

  test("wanted by two at the same moment goes to one of them", async () => {
    const { processes } = setUp();
    const port = await processes.freePort("i0");
    const other = setUp().processes;
    const ends = await Promise.all(
      ["i1", "i2", "i3"].map((instance) =>
        other.freePort(instance, port).then(
          () => "got",
          () => "refused",
        ),
      ),
    );
    expect(ends.sort()).toEqual(["got", "refused", "refused"]);
  });

  test("of an ended service can be had by another instance", async () => {
    const { processes, startOf } = setUp();
    const port = await processes.freePort("i1");
    const identity = await processes.start(startOf("sleep 300", { env: { PORT: String(port) } }));
    expect(await codeOf(processes.freePort("i2", port))).toBe("PORT_IN_USE");
    await processes.stop(identity, stopNow);
    expect(await processes.freePort("i2", port)).toBe(port);
  });
});
