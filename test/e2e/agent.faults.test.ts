import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { git, hasGit, runs } from "../agent-adapters/kit.js";
import { eventually } from "../kit/eventually.js";
import { startNats } from "../kit/nats.js";
import { makeTempDir } from "../kit/temp-dir.js";
import { processesIn } from "./left-processes.js";
import { factsAt, makeService } from "./service.js";
import { type Running, World } from "./world.js";

const world = new World();
const testMaxMs = 60_000;
const agentDir = join(world.dataDir, "agents", "web-1");
const instanceDir = join(agentDir, "instances", "web-1");
/** While a file of a name is here, whoever waits for it waits. */
const gates = join(world.dir, "gates");
const journal = join(world.dir, "services");
let agent: Running;

const hold = (gate: string) => writeFileSync(join(gates, gate), "");
const letGo = (gate: string) => rmSync(join(gates, gate));
const passing = (gate: string) => `while test -e '${gates}/${gate}'; do sleep 0.03; done`;

/** A release that waits at its gates. */
function release(version: string, also: Readonly<Record<string, unknown>> = {}): string {
  const start = ["sh", "-c", `${passing(`${version}.listen`)}; exec node server.cjs`];
  return makeService({ manifest: { start, env: { JOURNAL: journal }, ...also }, content: version });
}

const manyFiles = "i=0; while [ $i -lt 1000 ]; do echo $i > f$i; i=$((i+1)); done";
const building = `echo $$ > '${world.dir}/build.pid'; ${passing("built.build")}; echo whole > made`;

beforeAll(async () => {
  mkdirSync(gates);
  await world.up();
  agent = await startAgent();
  const first = release("first", {
    start: ["sh", "-c", `trap "${passing("first.end")}; exit" TERM; node server.cjs & wait`],
    stop: { signal: "SIGTERM", graceMs: 20_000 },
  });
  const repository = release("fetched");
  git(repository, "init", "--quiet");
  git(repository, "add", "--all");
  git(repository, "commit", "--quiet", "-m", "one");
  const sources = {
    first,
    v1: release("v1"),
    built: release("built", { build: { command: building } }),
    copied: release("copied", { build: { command: manyFiles } }),
    linked: release("linked", { build: { command: manyFiles } }),
    routed: release("routed", { routes: [{ path: "/routed" }] }),
    listening: release("listening", { order: "startFirst" }),
    beside: release("beside", { order: "startFirst" }),
    ...(hasGit && { fetched: `git+file://${repository}#HEAD` }),
  };
  for (const [version, source] of Object.entries(sources))
    await world.ok("releases", "push", version, source);
}, testMaxMs);

/** An agent whose activations and fetches by git wait at gates. */
async function startAgent(): Promise<Running> {
  const hook = join(world.dir, "hook");
  writeFileSync(hook, `#!/bin/sh\n${passing("pull")}\nexec "$@"\n`, { mode: 0o755 });
  writeFileSync(join(world.dir, "gitconfig"), `[uploadpack]\n  packObjectsHook = ${hook}\n`);
  const options = ["--reload-command", passing("activate")];
  const env = { GIT_CONFIG_GLOBAL: join(world.dir, "gitconfig") };
  return await world.agent(["web-1"], options, { env });
}

/** Where the agent's own record says that the instance stands. */
function stage(): string {
  const file = join(agentDir, "journal", "instance", "web-1.json");
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).stage : "";
}

/** Kills the agent once it is at work in a stage. */
async function killIn(wanted: string, isAtWork: () => boolean = () => true): Promise<void> {
  await eventually(() => stage() === wanted && isAtWork(), { everyMs: 5 });
  await agent.kill9();
  expect(stage()).toBe(wanted);
}

/** The same for a stage of a few milliseconds. */
async function killAtOnceIn(wanted: string): Promise<void> {
  const untilMs = performance.now() + 30_000;
  while (stage() !== wanted && performance.now() < untilMs) {
    for (let looks = 0; looks < 200 && stage() !== wanted; looks++);
    if (stage() !== wanted) await setImmediate();
  }
  process.kill(agent.pid, "SIGSTOP");
  expect(stage()).toBe(wanted);
  await agent.kill9();
}

async function deploy(version: string, minHealthyMs = 200): Promise<string> {
  const client = await world.client();
  const { id } = await client.deployments.create({ release: version, selector: null, minHealthyMs });
  return id;
}

async function outcomeOf(id: string): Promise<string | null> {
  return await eventually(
    async () => (await world.deployments()).find((deployment) => deployment.id === id)?.outcome,
    { withinMs: 30_000 },
  );
}

function routes(): unknown[] {
  const file = join(agentDir, "routes.json");
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).routes : [];
}

function services(): number[] {
  return processesIn(join(instanceDir, "releases")).map(({ pid }) => pid);
}

/** The instance runs this version and nothing else, and everything on the disk says so. */
async function expectRuns(version: string): Promise<void> {
  const { pid, port } = await world.until(
    "web-1",
    ({ status, running }) => status === "HEALTHY" && running?.release === version,
  );
  expect(await factsAt(port ?? 0)).toMatchObject({ pid, release: version, content: version });
  await eventually(() => services().length === 1);
  expect(services()).toEqual([pid]);
  expect(basename(readlinkSync(join(instanceDir, "current")))).toBe(version);
  expect(routes()).toEqual(
    version === "routed" ? [{ path: "/routed", instance: "web-1", target: `http://127.0.0.1:${port}` }] : [],
  );
  await eventually(() => stage() === "ACTIVE");
}

function starts(version: string): number {
  return readFileSync(journal, "utf8").split(`begin ${version}\n`).length - 1;
}

describe("an agent that is killed goes on, without a repeat and without an orphan, in", () => {
  test(
    "STOPPING",
    async () => {
      hold("first.end");
      const id = await deploy("first", 30_000);
      await eventually(() => stage() === "ACTIVE");
      await (await world.client()).deployments.abort({ deployment: id, by: "test" });
      await killIn("STOPPING");
      agent = await startAgent();
      letGo("first.end");
      await eventually(() => stage() === "STOPPED" && services().length === 0, { withinMs: 30_000 });
    },
    testMaxMs,
  );

  test(
    "BUILDING: the build that goes on without it is ended, and it is built again from clean",
    async () => {
      hold("built.build");
      const id = await deploy("built");
      await killIn("BUILDING", () => existsSync(join(world.dir, "build.pid")));
      const build = Number(readFileSync(join(world.dir, "build.pid"), "utf8"));
      expect(runs(build)).toBe(true);
      agent = await startAgent();
      await eventually(() => Number(readFileSync(join(world.dir, "build.pid"), "utf8")) !== build);
      expect(runs(build)).toBe(false);
      letGo("built.build");
      expect(await outcomeOf(id)).toBe("completed");
      await expectRuns("built");
      expect(readFileSync(join(instanceDir, "current", "made"), "utf8")).toBe("whole\n");
    },
    testMaxMs,
  );

  test.skipIf(!hasGit)(
    "PULLING_SOURCE: what was fetched by half is fetched again",
    async () => {
      hold("pull");
      const id = await deploy("fetched");
      const fetching = () => processesIn(join(agentDir, "scratch")).map(({ pid }) => pid);
      await killIn("PULLING_SOURCE", () => fetching().length > 0);
      const left = fetching();
      agent = await startAgent();
      await eventually(() => !left.some(runs));
      letGo("pull");
      expect(await outcomeOf(id)).toBe("completed");
      await expectRuns("fetched");
    },
    testMaxMs,
  );

  test(
    "COPYING_FILES",
    async () => {
      const id = await deploy("copied");
      await killIn("COPYING_FILES");
      expect(existsSync(join(instanceDir, "copies", "copied.json"))).toBe(false);
      agent = await startAgent();
      expect(await outcomeOf(id)).toBe("completed");
      await expectRuns("copied");
      expect(readFileSync(join(instanceDir, "current", "f999"), "utf8")).toBe("999\n");
    },
    testMaxMs,
  );

  test.each([
    ["CREATING_SYMLINKS", "linked"],
    ["UPDATING_ROUTES", "routed"],
  ])(
    "%s",
    async (phase, version) => {
      const id = await deploy(version);
      await killAtOnceIn(phase);
      expect(basename(readlinkSync(join(instanceDir, "current")))).not.toBe(version);
      agent = await startAgent();
      expect(await outcomeOf(id)).toBe("completed");
      await expectRuns(version);
    },
    testMaxMs,
  );

  test(
    "HEALTH_CHECK, beside the old version: the new process is adopted",
    async () => {
      hold("listening.listen");
      const id = await deploy("listening");
      await killIn("HEALTH_CHECK", () => services().length === 2);
      const before = services();
      agent = await startAgent();
      letGo("listening.listen");
      expect(await outcomeOf(id)).toBe("completed");
      await expectRuns("listening");
      expect(before).toContain(services()[0]);
      expect(starts("listening")).toBe(1);
    },
    testMaxMs,
  );

  test(
    "the swap of link and routes",
    async () => {
      hold("activate");
      const id = await deploy("routed");
      await killIn("SWITCHING", () =>
        processesIn(agentDir).some(({ command }) => command.includes("activate'; do")),
      );
      agent = await startAgent();
      letGo("activate");
      expect(await outcomeOf(id)).toBe("completed");
      await expectRuns("routed");
    },
    testMaxMs,
  );

  test(
    "QUEUED, on its way back while the new process takes its time to end",
    async () => {
      hold("beside.listen");
      const id = await deploy("beside");
      await killIn("HEALTH_CHECK", () => services().length === 2);
      await (await world.client()).deployments.abort({ deployment: id, by: "test" });
      agent = await startAgent();
      await expectRuns("routed");
      letGo("beside.listen");
      expect(starts("beside")).toBe(0);
    },
    testMaxMs,
  );

  test(
    "ACTIVE, with the whole machine: it starts what it ran, elsewhere if its port is taken, and routes lead there",
    async () => {
      const { port } = await world.instance("web-1");
      await agent.kill9();
      for (const pid of services()) process.kill(pid, "SIGKILL");
      await eventually(() => services().length === 0);
      const other = await world.startProgram([
        process.execPath,
        "-e",
        `require("node:http").createServer((q, r) => r.end("another")).listen(${port}, "127.0.0.1", () => console.log("on"))`,
      ]);
      await eventually(() => other.stdout().includes("on"));
      agent = await startAgent();
      await eventually(async () => (await world.instance("web-1")).port !== port);
      await expectRuns("routed");
      await other.kill9();
    },
    testMaxMs,
  );
});

test(
  "an agent that is started before NATS, and NATS before any control plane, joins the fleet once there is one",
  async () => {
    const nats = await startNats();
    try {
      await nats.kill9();
      const early = new World();
      const { user, password } = nats.credentials;
      const env = { NATS_URL: nats.url, NATS_USER: user, NATS_PASSWORD: password };
      const joining = await early.startAgent(["web-1"], [], { env });
      await eventually(() => joining.stderr().includes("the agent runs"));
      await nats.restart();
      await early.up([], { env });
      await early.until("web-1", ({ reportAgeMs }) => reportAgeMs !== null);
      await early.ok("releases", "push", "v1", makeService({ content: "v1" }));
      await early.ok("deploy", "--release", "v1", "--all", "--wait", "--timeout", "30s");
      expect(joining.child.exitCode).toBeNull();
      await early.close();
    } finally {
      await nats.stop();
    }
  },
  testMaxMs,
);

test(
  "an agent on a copy of the folder is refused while the first one runs",
  async () => {
    const copy = makeTempDir();
    const { url, user, password } = world.context();
    const env = { NATS_URL: url, NATS_USER: user ?? "", NATS_PASSWORD: password ?? "" };
    cpSync(world.dataDir, copy, { recursive: true, verbatimSymlinks: true });
    // On another machine its holder would not be alive.
    for (const name of readdirSync(join(copy, "agents", "web-1")))
      if (name.startsWith("lock.")) rmSync(join(copy, "agents", "web-1", name));
    const second = await world.startAgent(["web-1"], ["--data", copy], { env });
    const { code, stderr } = await second.ended;
    expect([code, stderr]).toEqual([3, expect.stringContaining("this data folder is a copy")]);
    await expectRuns("routed");
  },
  testMaxMs,
);

test(
  "a second agent on the same folder is refused by name, and the first one goes on",
  async () => {
    const second = await world.startAgent(["web-1"]);
    const { code, stderr } = await second.ended;
    expect([code, stderr]).toEqual([3, expect.stringContaining(`in use by process ${agent.pid}`)]);
    await expectRuns("routed");
  },
  testMaxMs,
);
