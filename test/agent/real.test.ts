import { readFileSync, readlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventuallyPasses } from "../kit/eventually.js";
import { limit, RealAgent } from "./real-agent.js";

describe("an agent with real folders and processes", () => {
  let real: RealAgent;

  beforeAll(async () => {
    real = new RealAgent();
    await real.agent.start();
  });

  afterAll(async () => {
    await real.agent.stop({ stopProcesses: true });
    real.processes.close();
  });

  test("takes a release through its phases until it serves", async () => {
    real.tell(await real.release("v1"));
    await real.untilActive("v1");
    expect(await real.served()).toBe("v1");
    expect(basename(readlinkSync(join(real.dataDir, "instances", "i1", "current")))).toBe("v1");
    expect(readFileSync(join(real.dataDir, "routes.json"), "utf8")).toContain(
      `http://127.0.0.1:${real.state.port}`,
    );
  });

  test("starts the process again when it is killed", async () => {
    const { pid } = real.state;
    if (pid === null) throw new Error("nothing runs");
    process.kill(pid, "SIGKILL");
    await eventuallyPasses(() => {
      expect(real.state).toMatchObject({ health: "HEALTHY", restarts: 1 });
      expect(real.state.pid).not.toBe(pid);
    }, limit);
    expect(await real.served()).toBe("v1");
  });

  test("goes back to what served when the new version is not healthy, and says why", async () => {
    real.tell(await real.release("v2", { well: false }));
    await eventuallyPasses(() => {
      expect(real.state).toMatchObject({
        phase: "FAILED",
        health: "FAILED",
        running: { release: "v1" },
        reason: { code: "HEALTH_CHECK_FAILED" },
      });
    }, limit);
    expect(real.state.reason?.message).toContain("HTTP 500");
    await eventuallyPasses(async () => expect(await real.served()).toBe("v1"), limit);
  });

  test("started again, adopts the process that runs", async () => {
    real.tell(await real.release("v3", { manifest: { order: "startFirst" } }));
    await real.untilActive("v3");
    const { pid } = real.state;
    await real.restart();
    await real.untilActive("v3");
    expect(real.state).toMatchObject({ pid, restarts: 0 });
    expect(await real.served()).toBe("v3");
  });

  test("stops what is told to stop", async () => {
    const { port } = real.state;
    real.tell(null);
    await eventuallyPasses(
      () => expect(real.state).toMatchObject({ phase: "STOPPED", running: null }),
      limit,
    );
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
    expect(await real.processes.owned()).toEqual([]);
    expect(readFileSync(join(real.dataDir, "routes.json"), "utf8")).not.toContain("127.0.0.1");
  });
}, 120_000);
