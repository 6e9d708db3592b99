import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import { markVariables, ownerOf } from "../../src/agent/adapters/process-marks.js";
import { createProcesses, type RealProcesses } from "../../src/agent/adapters/processes.js";
import type { ProcessExit, ProcessIdentity } from "../../src/agent/ports.js";
import { eventually } from "../kit/eventually.js";
import { quietLog } from "../kit/quiet-log.js";
import { makeTempDir } from "../kit/temp-dir.js";
import { clock, random, runs } from "./kit.js";

const opened: RealProcesses[] = [];

afterEach(async () => {
  for (const processes of opened.splice(0)) {
    for (const { identity } of await processes.owned())
      await processes.stop(identity, { signal: "SIGKILL", graceMs: 0 });
    processes.close();
  }
});

function open(dataDir: string): RealProcesses {
  const processes = createProcesses({ dataDir, clock, random, log: quietLog });
  opened.push(processes);
  return processes;
}

/** Starts a service by an agent of its own, which is then killed without a chance to do anything. */
async function startedByKilledAgent(dataDir: string, command: string): Promise<ProcessIdentity> {
  const supervisor = fileURLToPath(new URL("./supervisor.ts", import.meta.url));
  const agent = spawn(process.execPath, ["--import", "tsx", supervisor, dataDir, command], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  agent.stdout.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  await eventually(() => agent.exitCode !== null || said.includes("\n"));
  agent.kill("SIGKILL");
  await eventually(() => agent.signalCode === "SIGKILL");
  return JSON.parse(said);
}

const ticking = "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.05; done";

test("a service survives its agent, goes on writing its log, and is found, told and ended by the next one", async () => {
  const dataDir = makeTempDir();
  const identity = await startedByKilledAgent(dataDir, ticking);
  const processes = open(dataDir);
  expect(await processes.owned()).toEqual([{ instance: "i1", generation: 7, port: null, identity }]);
  expect(processes.isAlive(identity)).toBe(true);
  const before = await processes.tail("i1");
  await eventually(async () => (await processes.tail("i1")) !== before);
  const exits: ProcessExit[] = [];
  processes.onExit(identity, (exit) => exits.push(exit));
  await processes.stop(identity, { signal: "SIGTERM", graceMs: 10_000 });
  expect(runs(identity.pid)).toBe(false);
  await eventually(() => exits.length);
  expect(exits).toEqual([{ code: null, signal: null }]);
  expect(await processes.owned()).toEqual([]);
}, 60_000);

test("the end of an adopted service is noticed, and nothing of it is left then", async () => {
  const dataDir = makeTempDir();
  const identity = await startedByKilledAgent(
    dataDir,
    "sh -c 'echo $$ > child; exec sleep 300' & sleep 300; true",
  );
  const child = Number(
    await eventually(
      () => existsSync(join(dataDir, "child")) && readFileSync(join(dataDir, "child"), "utf8"),
    ),
  );
  const processes = open(dataDir);
  const exit = new Promise<ProcessExit>((resolve) => void processes.onExit(identity, resolve));
  process.kill(identity.pid, "SIGKILL");
  expect(await exit).toEqual({ code: null, signal: null });
  expect(runs(child)).toBe(false);
}, 60_000);

test("a service that its agent had no time to write down is found by its environment", async () => {
  const dataDir = makeTempDir();
  const identity = await startedByKilledAgent(dataDir, "sleep 300");
  rmSync(join(dataDir, "processes"), { recursive: true });
  expect(await open(dataDir).owned()).toEqual([{ instance: "i1", generation: 7, port: null, identity }]);
}, 60_000);

test("a service that hides its environment is found by what its agent wrote down", async () => {
  const dataDir = makeTempDir();
  const identity = await startedByKilledAgent(dataDir, "exec env -i sleep 300");
  await eventually(() => !readFileSync(`/proc/${identity.pid}/environ`, "utf8").includes("ROLLCALL"));
  expect(await open(dataDir).owned()).toEqual([{ instance: "i1", generation: 7, port: null, identity }]);
}, 60_000);

test("what remains of a service whose own process has ended is told with generation 0, and can be ended", async () => {
  const dataDir = makeTempDir();
  const command =
    "sh -c 'echo $$ >> pids; exec sleep 300' & setsid sh -c 'echo $$ >> pids; exec sleep 300' & sleep 300; true";
  const identity = await startedByKilledAgent(dataDir, command);
  const pids = await eventually(() => {
    const path = join(dataDir, "pids");
    const found = existsSync(path) ? readFileSync(path, "utf8").trim().split("\n").map(Number) : [];
    return found.length === 2 && found;
  });
  process.kill(identity.pid, "SIGKILL");
  await eventually(() => !runs(identity.pid));
  const processes = open(dataDir);
  const [remains, ...others] = await processes.owned();
  expect(others).toEqual([]);
  expect(remains).toMatchObject({ instance: "i1", generation: 0 });
  expect(processes.isAlive(remains!.identity)).toBe(true);
  await processes.stop(remains!.identity, { signal: "SIGTERM", graceMs: 5_000 });
  expect(pids.filter(runs)).toEqual([]);
  expect(await processes.owned()).toEqual([]);
  expect(readdirSync(join(dataDir, "processes"))).toEqual([]);
}, 60_000);

test("a number that belongs to another process now is nobody's service", async () => {
  const dataDir = makeTempDir();
  mkdirSync(join(dataDir, "processes"));
  const record = {
    format: 1,
    instance: "i1",
    generation: 1,
    start: "x",
    identity: { pid: process.pid, startTime: "1", bootId: "old" },
  };
  writeFileSync(join(dataDir, "processes", `${process.pid}-1.json`), JSON.stringify(record));
  expect(await open(dataDir).owned()).toEqual([]);
  expect(readdirSync(join(dataDir, "processes"))).toEqual([]);
});

test("the services of another data folder are left alone, also of a copied one", async () => {
  const mine = makeTempDir();
  const theirs = makeTempDir();
  const others = open(theirs);
  const identity = await others.start({
    instance: "i1",
    generation: 1,
    command: "sleep 300",
    cwd: theirs,
    env: {},
  });
  expect(await open(mine).owned()).toEqual([]);
  expect(ownerOf(mine)).not.toBe(ownerOf(theirs));
  await others.stop(identity, { signal: "SIGKILL", graceMs: 0 });
});

test("a check command beside a service is not taken for the service", async () => {
  const dataDir = makeTempDir();
  const env = {
    PATH: process.env.PATH ?? "",
    ROLLCALL_INSTANCE: "i1",
    ROLLCALL_GENERATION: "1",
    ...markVariables(ownerOf(dataDir), "s"),
  };
  const check = spawn("sleep", ["300"], { env, detached: true });
  try {
    expect(await open(dataDir).owned()).toEqual([]);
  } finally {
    check.kill("SIGKILL");
  }
});
