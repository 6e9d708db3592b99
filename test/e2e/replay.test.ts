import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { eventually } from "../kit/eventually.js";
import { World } from "./world.js";

const versions = join(import.meta.dirname, "../../examples/hello-fleet/versions");

test("what the hello fleet has recorded is decided as it was, from the audit file and from rollcall events --json", async () => {
  const world = new World();
  const file = join(world.dir, "audit.ndjson");
  await world.up(["--audit-file", file]);
  await world.agent(["web-1:tier=web", "web-2:tier=web", "web-3:tier=web"]);
  for (const version of ["v1", "v3"]) await world.ok("releases", "push", version, join(versions, version));
  const selected = ["--selector", "tier=web", "--wait", "--timeout", "2m"];
  await world.ok("deploy", "--release", "v1", "--batch", "2", ...selected);
  // The version that never answers.
  expect((await world.run(["deploy", "--release", "v3", ...selected])).code).toBe(4);
  await eventually(() => /deployment\.finished\S+"deployment\/d3"/.test(readFileSync(file, "utf8")));
  const said = await world.ok("simulate", "--replay", file);
  expect(said).toMatch(/^d1 .* completed +completed +\d+ +0$/m);
  expect(said).toMatch(/^d2, d3 .* failed, rolled_back +failed, rolled_back +\d+ +0$/m);
  expect(said).toContain("Today's machines decide all of it as it was decided then.");
  writeFileSync(join(world.dir, "events.ndjson"), await world.ok("events", "--since", "1h", "--json"));
  expect(await world.json("simulate", "--replay", "events.ndjson", "--deployment", "d2")).toMatchObject({
    same: true,
    deployments: [{ deployment: "d2", rollback: "d3", differences: [] }],
  });
});
