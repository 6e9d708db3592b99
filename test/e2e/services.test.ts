import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { create } from "tar";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { filesBelow, git, hasGit } from "../agent-adapters/kit.js";
import { eventually } from "../kit/eventually.js";
import { makeTempDir } from "../kit/temp-dir.js";
import { FrontDoor } from "./front-door.js";
import { factsAt, makeService, type ServiceOptions } from "./service.js";
import { World } from "./world.js";

const world = new World();
const instances = ["start-first", "stop-first", "config", "build", "prune", "source", "degraded", "pace"];
let door: FrontDoor;

beforeAll(async () => {
  await world.up();
  door = await FrontDoor.open(join(world.dir, "routes.json"));
  const routes = ["--routes", "routes.json", "--reload-command", door.reloadCommand];
  await world.agent(
    instances.map((id) => `${id}:name=${id}`),
    ["--name", "host", ...routes],
  );
});
afterAll(() => door.close());

async function push(version: string, options: ServiceOptions = {}): Promise<string> {
  await world.ok("releases", "push", version, makeService({ content: version, ...options }));
  return version;
}

function rollOut(id: string, ...what: string[]): Promise<string> {
  return world.ok("deploy", ...what, "--selector", `name=${id}`, "--wait", "--timeout", "1m");
}

async function portOf(id: string): Promise<number> {
  return (await world.instance(id)).port ?? 0;
}

function folderOf(id: string): string {
  return join(world.dataDir, "agents/host/instances", id);
}

describe("an update", () => {
  test("that starts the new process first answers every request, and publishes its routes once it is healthy", async () => {
    const [id, journal] = ["start-first", join(world.dir, "start-first.txt")];
    const routes = [{ host: "shop.example.org", path: "/" }];
    const manifest = { order: "startFirst", routes, env: { JOURNAL: journal } };
    await push("sf-1", { manifest });
    await push("sf-2", { manifest });
    await push("sf-bad", { manifest: { ...manifest, start: "exit 3", restarts: 0 } });
    expect(existsSync(door.routesFile)).toBe(false);
    await rollOut(id, "--release", "sf-1");
    const [route, ...others] = door.routesOf(id);
    expect(others).toEqual([]);
    expect(route).toEqual({ ...routes[0], instance: id, target: `http://127.0.0.1:${await portOf(id)}` });

    const seen = new Map<string, number>();
    let isOver = false;
    const visitor = async (): Promise<void> => {
      while (!isOver) {
        const { release } = await door.visit(id);
        seen.set(release, (seen.get(release) ?? 0) + 1);
      }
    };
    const visitors = Promise.all([visitor(), visitor(), visitor()]);
    await Promise.race([rollOut(id, "--release", "sf-2"), visitors]);
    // One that fails changes nothing of what is published.
    const { reloads } = door;
    const failed = await world.run(["deploy", "--release", "sf-bad", "--selector", `name=${id}`, "--wait"]);
    expect(failed.code).toBe(4);
    isOver = true;
    await visitors;
    expect(door.reloads).toBe(reloads);
    expect([...seen.keys()]).toEqual(["sf-1", "sf-2"]);
    expect(Math.min(...seen.values())).toBeGreaterThan(10);
    expect(readFileSync(journal, "utf8")).toBe("begin sf-1\nbegin sf-2\nend sf-1\n");
  });

  test("that stops the old process first never has two at once, and may keep its port", async () => {
    const [id, journal] = ["stop-first", join(world.dir, "stop-first.txt")];
    const env = { JOURNAL: journal };
    for (const version of ["st-1", "st-2"]) {
      await push(version, { manifest: { order: "stopFirst", env } });
      await rollOut(id, "--release", version);
    }
    expect(readFileSync(journal, "utf8")).toBe("begin st-1\nend st-1\nbegin st-2\n");
  });
});

test("a process gets its port, its name, its release and its configuration, and nothing of the agent's own", async () => {
  const text = '{ "greeting": "grüß dich" }\n\n';
  writeFileSync(join(world.dir, "c1.json"), text);
  writeFileSync(join(world.dir, "c2.json"), "other");
  await world.ok("configs", "push", "c1", "c1.json");
  await world.ok("configs", "push", "c2", "c2.json");
  const early = await world.run(["deploy", "--config", "c1", "--selector", "name=config", "--json"]);
  expect([early.code, early.stdout]).toEqual([3, expect.stringContaining("NO_RELEASE_YET")]);

  await rollOut("config", "--release", await push("cf-1"), "--config", "c1");
  const view = await world.instance("config");
  const facts = await factsAt(view.port ?? 0);
  expect(facts).toMatchObject({
    instance: "config",
    port: view.port,
    pid: view.pid,
    release: "cf-1",
    config: "c1",
    configText: text,
    content: "cf-1",
  });
  expect(statSync(facts.configFile ?? "").mode & 0o077).toBe(0);
  expect(facts.environment.filter((name) => /^(NATS|ROLLCALL_(DATA|FLEET|LOG|NATS))/.test(name))).toEqual([]);

  await rollOut("config", "--config", "c2", "--min-healthy", "200ms");
  expect(await factsAt(await portOf("config"))).toMatchObject({
    release: "cf-1",
    config: "c2",
    configText: "other",
  });
  expect(await world.instance("config")).toMatchObject({ stable: { release: "cf-1", config: "c2" } });
});

test("a release is built where it runs, and what the build printed is kept", async () => {
  const build = { command: "echo first line; cp source.txt content.txt; echo last line >&2" };
  await rollOut(
    "build",
    "--release",
    await push("bd-1", { manifest: { build }, files: { "source.txt": "built" } }),
  );
  expect(await factsAt(await portOf("build"))).toMatchObject({ content: "built" });
  const cache = join(world.dataDir, "agents/host/cache");
  const logs = readdirSync(cache, { recursive: true, encoding: "utf8" }).filter((path) =>
    path.endsWith("build.log"),
  );
  expect(logs.map((path) => readFileSync(join(cache, path), "utf8"))).toEqual(["first line\nlast line\n"]);
});

test("old releases are removed from the disk, but for the newest three", async () => {
  const healthCheck = { type: "tcp", intervalMs: 100, startPeriodMs: 10_000 };
  const versions = ["pr-1", "pr-2", "pr-3", "pr-4", "pr-5"];
  for (const version of versions) {
    await push(version, { manifest: { healthCheck, minHealthyMs: 0 } });
    await rollOut("prune", "--release", version);
  }
  const releases = () => readdirSync(join(folderOf("prune"), "releases")).sort();
  await eventually(() => releases().length === 3);
  expect(releases()).toEqual(["pr-3", "pr-4", "pr-5"]);
  expect(await factsAt(await portOf("prune"))).toMatchObject({ content: "pr-5" });
});

test("a folder, an archive and a git repository of the same files are the same release", async () => {
  const healthCheck = { type: "command", command: "test -x bin/tool && test -L link", intervalMs: 100 };
  const folder = makeService({
    manifest: { healthCheck },
    files: { "bin/tool": "#!/bin/sh\n", "deep/er/Ünïcode name.txt": "ü\n", ".hidden": "h" },
  });
  chmodSync(join(folder, "bin/tool"), 0o755);
  symlinkSync("deep/er", join(folder, "link"));
  const archive = join(makeTempDir(), "release.tar.gz");
  await create({ file: archive, gzip: true, cwd: folder }, readdirSync(folder));
  if (hasGit) commitAll(folder);
  const sources = [folder, archive, ...(hasGit ? [`git+file://${folder}#main`] : [])];
  const arrived: Record<string, string>[] = [];
  for (const [index, source] of sources.entries()) {
    const version = `so-${index}`;
    await world.ok("releases", "push", version, source);
    await rollOut("source", "--release", version);
    arrived.push(filesBelow(join(folderOf("source"), "current")));
  }
  expect(Object.keys(arrived[0] ?? {})).toContain("bin/tool");
  for (const files of arrived) expect(files).toEqual(arrived[0]);
});

function commitAll(folder: string): void {
  git(folder, "init", "--quiet");
  git(folder, "add", "--all");
  git(folder, "commit", "--quiet", "-m", "a release");
}

test("a service that says that it is degraded is neither a success nor a failure, until the deadline", async () => {
  await push("dg-1", { manifest: { env: { HEALTH: "degraded" }, minHealthyMs: 100 } });
  const deploying = world.run(["deploy", "--release", "dg-1", "--selector", "name=degraded", "--wait"]);
  const { port, deployment } = await world.until("degraded", ({ status }) => status === "DEGRADED");
  const client = await world.client();
  const show = () => client.deployments.get({ deployment: deployment ?? "" });
  const { asOf } = await show();
  const later = await eventually(async () => {
    const shown = await show();
    return shown.asOf > asOf + 1_000 && shown.deployment;
  });
  expect(later).toMatchObject({ state: "rolling", counts: { inFlight: 1, succeeded: 0, failed: 0 } });
  await fetch(`http://127.0.0.1:${port}/become?ok`);
  expect((await deploying).code).toBe(0);
  await fetch(`http://127.0.0.1:${port}/become?degraded`);
  await world.until("degraded", ({ status }) => status === "DEGRADED");
  expect(await world.instance("degraded")).toMatchObject({
    running: { release: "dg-1" },
    stable: { release: "dg-1" },
  });

  await push("dg-2", { manifest: { env: { HEALTH: "degraded" }, deadlineMs: 3_000, minHealthyMs: 100 } });
  const asked = ["--release", "dg-2", "--selector", "name=degraded", "--no-rollback", "--wait"];
  const late = await world.run(["deploy", ...asked]);
  expect([late.code, late.stdout]).toEqual([
    5,
    expect.stringMatching(/INSTANCE_DEADLINE: .* HEALTH_CHECK, .*; the last one: .*degraded/),
  ]);
});

test("an instance counts as done once it was healthy for as long as its release asks, or the deployment", async () => {
  const took = async (...more: string[]): Promise<number> => {
    await rollOut("pace", "--release", ...more);
    const [newest] = await world.deployments();
    return (newest?.finishedAtMs ?? 0) - (newest?.created.atMs ?? 0);
  };
  await push("pc-1", { manifest: { minHealthyMs: 2_000 } });
  await push("pc-2", { manifest: { minHealthyMs: 60_000, deadlineMs: 120_000 } });
  expect(await took("pc-1")).toBeGreaterThanOrEqual(2_000);
  const own = await took("pc-2", "--min-healthy", "500ms");
  expect(own).toBeGreaterThanOrEqual(500);
  expect(own).toBeLessThan(60_000);
});
