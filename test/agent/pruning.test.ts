import { expect, test } from "vitest";
import { AgentWorld, release } from "./agent-kit.js";

test("the stable release is never pruned, however many came after it", async () => {
  const world = new AgentWorld();
  await world.start();
  for (const version of ["v1", "v2", "v3", "v4", "v5", "v6"]) {
    world.tell(release(version), { stable: "v1" });
    await world.untilActive(version);
    await world.clock.advance(1_000);
  }
  const kept = world.host.files.disk("i1").copied;
  expect(kept.has("v1")).toBe(true);
  expect(kept.has("v6")).toBe(true);
  expect(kept.has("v2")).toBe(false);
});
