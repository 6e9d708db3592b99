import { expect, test } from "vitest";
import { AgentWorld, release } from "./agent-kit.js";

test("a desired state takes an instance through all phases to ACTIVE", async () => {
  const world = new AgentWorld();
  await world.start();
  world.tell(release("v1"));
  await world.until(() => world.reports.some((report) => report.healthyForMs >= 3_000));
  const phases = world.reports.flatMap((report) => report.state?.phase ?? []);
  expect(world.state().phase).toBe("ACTIVE");
  world.behave("v2", { unhealthy: true });
  world.tell(release("v2"));
  await world.until(() => world.state().health === "FAILED");
  await world.clock.advance(5_000);
});
