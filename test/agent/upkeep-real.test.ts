import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { markVariables, ownerOf } from "../../src/agent/adapters/process-marks.js";
import { identify, isAlive } from "../../src/base-node/process-identity.js";
import { eventuallyPasses } from "../kit/eventually.js";
import { limit, RealAgent } from "./real-agent.js";

describe("the upkeep of a real host, without a leader", () => {
  const real = new RealAgent({ upkeepEveryMs: 500 });
  const folder = join(real.dataDir, "instances", "i1");
  const routesFile = join(real.dataDir, "routes.json");

  beforeAll(async () => {
    await real.agent.start();
    real.tell(await real.release("v1"));
    await real.untilActive("v1");
  });

  afterAll(async () => {
    await real.agent.stop({ stopProcesses: true });
    real.processes.close();
  });

  test("makes the link `current` again that was removed by hand", async () => {
    rmSync(join(folder, "current"));
    await eventuallyPasses(() => expect(basename(readlinkSync(join(folder, "current")))).toBe("v1"), limit);
  });

  test("turns the link back that was led elsewhere by hand", async () => {
    rmSync(join(folder, "current"));
    symlinkSync("/tmp", join(folder, "current"));
    await eventuallyPasses(() => expect(basename(readlinkSync(join(folder, "current")))).toBe("v1"), limit);
  });

  test("publishes routes again that were changed by hand", async () => {
    const published = readFileSync(routesFile, "utf8");
    writeFileSync(routesFile, '{"routes":[]}');
    await eventuallyPasses(() => expect(readFileSync(routesFile, "utf8")).toBe(published), limit);
  });

  test("ends a process with its marks that no record owns, and no other", async () => {
    const { pid } = real.state;
    const marked = (owner: string, start: string) =>
      spawn(process.execPath, ["-e", "process.on('SIGTERM',()=>0);setInterval(()=>0,1000)"], {
        detached: true,
        stdio: "ignore",
        env: { ...process.env, ...markVariables(owner, start, { instance: "i1", generation: 7 }) },
      }).pid ?? 0;
    const stranger = identify(marked("another-agent-of-this-host", "s1"));
    const zombie = identify(marked(ownerOf(real.dataDir), "s2"));
    if (stranger === undefined || zombie === undefined) throw new Error("they do not run");
    try {
      await eventuallyPasses(() => expect(isAlive(zombie)).toBe(false), limit);
      expect(isAlive(stranger)).toBe(true);
      expect(real.state).toMatchObject({ pid, health: "HEALTHY" });
    } finally {
      process.kill(stranger.pid, "SIGKILL");
    }
  });

  test("removes a release folder that was never complete, and the folder of an instance that is gone with its routes", async () => {
    const orphan = join(folder, "releases", "v0");
    mkdirSync(orphan);
    const gone = join(real.dataDir, "instances", "gone-9");
    mkdirSync(gone);
    const route = { path: "/", instance: "gone-9", target: "http://127.0.0.1:1" };
    const published = { format: 1, release: "v1", config: null, routes: [route] };
    writeFileSync(join(gone, "published.json"), JSON.stringify(published));
    await eventuallyPasses(() => {
      expect(existsSync(orphan)).toBe(false);
      expect(existsSync(gone)).toBe(false);
      expect(readFileSync(routesFile, "utf8")).not.toContain("gone-9");
    }, limit);
    expect(await real.served()).toBe("v1");
  });

  test("brings the files of what runs again when one of them is missing", async () => {
    const file = join(folder, "releases", "v1", "server.mjs");
    rmSync(file);
    await eventuallyPasses(() => expect(existsSync(file)).toBe(true), limit);
    await real.untilActive("v1");
    expect(await real.served()).toBe("v1");
  });
}, 120_000);
