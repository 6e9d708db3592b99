import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseUnit, setting } from "./unit-file.js";

const root = join(import.meta.dirname, "../..");
const names = ["rollcall-agent.service", "rollcall-coordinator.service"] as const;
const pathOf = (name: string) => join(root, "deploy/systemd", name);
const agent = parseUnit(readFileSync(pathOf(names[0]), "utf8"));
const coordinator = parseUnit(readFileSync(pathOf(names[1]), "utf8"));

test("systemd has nothing to say against the units", () => {
  const { error, status, stdout, stderr } = spawnSync(
    "systemd-analyze",
    ["verify", "--man=no", ...names.map(pathOf)],
    { encoding: "utf8" },
  );
  if (error !== undefined) {
    process.stderr.write("the units were not looked at by systemd-analyze: there is no such program here\n");
    return;
  }
  expect([status, stdout, stderr]).toEqual([0, "", ""]);
});

test("an agent's unit leaves its services alone, and brings the agent back", () => {
  expect(setting(agent, "KillMode")).toBe("process");
  expect(setting(agent, "OOMPolicy")).toBe("continue");
  // The folder would be removed under services that go on.
  expect(setting(agent, "PrivateTmp")).toBeUndefined();
  for (const unit of [agent, coordinator]) {
    expect(setting(unit, "Restart")).toBe("always");
    expect(unit.Unit?.StartLimitIntervalSec).toEqual(["0"]);
    expect(setting(unit, "StateDirectory")).toBe("rollcall");
    expect(setting(unit, "Environment")).toBe("ROLLCALL_DATA=%S/rollcall");
    expect(setting(unit, "TimeoutStopSec")).toBe("30s");
  }
});

test("the units are in the package", () => {
  const { files } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { files: string[] };
  expect(files).toContain("deploy/systemd");
});
