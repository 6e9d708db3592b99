import { existsSync, readlinkSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { ReconciliationReport } from "../../src/contracts/reconciliation.js";
import { makeService } from "./service.js";
import { World } from "./world.js";

const world = new World();
const folder = join(world.dataDir, "agents/host/instances/web-1");

describe("rollcall reconcile, as a user runs it", () => {
  beforeAll(async () => {
    await world.up();
    await world.agent(["web-1:tier=web"], ["--name", "host"]);
    for (const version of ["v1", "v2", "v3"]) {
      await world.ok("releases", "push", version, makeService({ content: version }));
      await world.ok("deploy", "--release", version, "--all", "--wait", "--timeout", "1m");
    }
    await world.ok("releases", "rm", "v1");
  });

  test("--dry-run says what it would do, and changes nothing", async () => {
    const said = await world.ok("reconcile", "--dry-run");
    expect(said).toContain("would do  release v1 of web-1, which its agent does not need: it is removed");
    expect(said).toContain("Nothing was changed.");
    expect(existsSync(join(folder, "releases/v1"))).toBe(true);
    expect(await world.ok("status")).not.toContain("reconciled");
  });

  test("does it, says item by item what became of it, and leaves what is needed", async () => {
    rmSync(join(folder, "current"));
    const report = await world.json<ReconciliationReport>("reconcile", "--reason", "a clean-up");
    expect(report).toMatchObject({ state: "over", dryRun: false, counts: { failed: 0 } });
    expect(report.items.find(({ what }) => what.includes("release v1"))?.outcome).toBe("done");
    expect(existsSync(join(folder, "releases/v1"))).toBe(false);
    expect(existsSync(join(folder, "releases/v2"))).toBe(true);
    expect(basename(readlinkSync(join(folder, "current")))).toBe("v3");
    expect((await world.instance("web-1")).status).toBe("HEALTHY");
  });

  test("finds nothing to do a second time, and the status tells of it", async () => {
    expect(await world.ok("reconcile")).toContain("Everything is as it should be.");
    expect(await world.ok("status")).toMatch(/^reconciled .* by .*: 0 things found$/m);
    expect(await world.ok("deployments", "ls", "--stuck")).toContain("Nothing is stuck.");
  });
});
