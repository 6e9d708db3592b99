import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { eventually } from "../kit/eventually.js";
import { World } from "./world.js";

test("a control plane with --audit-file leaves a copy of all that was decided, whole also after it was killed", async () => {
  const world = new World();
  const file = join(world.dir, "audit.ndjson");
  writeFileSync(join(world.dir, "c.json"), "{}");
  const up = await world.up(["--audit-file", file, "--name", "c1"]);
  await world.ok("configs", "push", "c1", "c.json");
  await eventually(() => readFileSync(file, "utf8").includes("config.pushed"));
  await up.kill9();
  await world.up(["--name", "c2"], { env: { ROLLCALL_AUDIT_FILE: file } });
  const client = await world.client();
  await eventually(async () => (await client.status.get()).leader === "c2", { withinMs: 30_000 });
  await world.ok("configs", "push", "c2", "c.json");
  await eventually(() => readFileSync(file, "utf8").match(/config\.pushed/g)?.length === 2);
  const lines = (await world.ok("events")).trimEnd().split("\n");
  expect(lines.map((line) => line.split(/ {2,}/).slice(1, 3).join(" "))).toEqual([
    expect.stringMatching(/^ledger\/default is new: ledger [\w-]+ begins$/),
    "coordinator/c1 leads the fleet",
    expect.stringMatching(/^config\/c1 is registered, sha256:/),
    "coordinator/c2 leads the fleet",
    expect.stringMatching(/^config\/c2 is registered, sha256:/),
  ]);
  const page = await client.events.list({ kind: "coordinator", limit: 1 });
  expect(page.items).toMatchObject([
    { subject: "coordinator/c2", type: "coordinator.leading", actor: "coordinator:c2" },
  ]);
  const { items, before } = await client.events.list({ kind: "coordinator", limit: 5, before: page.before });
  expect([items.map(({ sentence }) => sentence), before]).toEqual([["leads the fleet"], null]);
  expect(await world.json("events", "verify")).toMatchObject({ events: 5, end: "agrees" });
  expect(await world.json("events", "verify", "--file", file)).toMatchObject({ events: 5, end: "none" });
  expect(await world.ok("events", "--json")).toBe(readFileSync(file, "utf8"));
});
