import { beforeEach, describe, expect, test } from "vitest";
import { keys } from "../../src/contracts/keys.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { nextFormats } from "../../src/simulator/chaos/next-formats.js";
import { AgentWorld, fleet, release } from "./agent-kit.js";

describe("an agent newer than the control plane", () => {
  let world: AgentWorld;
  /** The formats of its reports, the latest last. */
  let formats: unknown[];

  beforeEach(async () => {
    world = new AgentWorld({ agent: { formats: nextFormats } });
    formats = [];
    world.observer.subscribe(subjectsOf(fleet).health("*"), ({ data }) => {
      const { format } = JSON.parse(new TextDecoder().decode(data)) as { format: unknown };
      formats.push(format);
    });
    await world.start();
  });

  async function ask(reportFormat: number): Promise<unknown> {
    const asked = world.observer.request(
      subjectsOf(fleet).ask("i1", "report"),
      JSON.stringify({ epoch: 1, reportFormat, somethingNew: true }),
      { timeoutMs: 1_000 },
    );
    const { data } = await world.passing(asked);
    return (JSON.parse(new TextDecoder().decode(data)) as { format: unknown }).format;
  }

  test("says what it reads, and reports in the newest format that it knows until it is asked for an older one", async () => {
    expect(world.state().desiredFormat).toBe(2);
    expect(formats.at(-1)).toBe(2);
    expect(await ask(1)).toBe(1);
    await world.clock.advance(5_000);
    expect(formats.at(-1)).toBe(1);
    expect(await ask(7)).toBe(2);
    await world.clock.advance(5_000);
    expect(formats.at(-1)).toBe(2);
  });

  test("acts on desired states of either format", async () => {
    world.tell(release("v1"));
    await world.untilActive("v1");
    const next = nextFormats["desired.instance"].write(world.desired(release("v2")));
    expect(next).toMatchObject({ format: 2 });
    world.ledger.put(keys.desiredInstance("i1"), next);
    await world.untilActive("v2");
    world.tell(release("v3"));
    await world.untilActive("v3");
    expect(world.agent.stats.complaints.desiredGarbage).toBe(0);
  });
});

test("an agent older than the control plane takes no harm from what it is asked, and says that it reads the first formats", async () => {
  const world = new AgentWorld();
  await world.start();
  const asked = world.observer.request(
    subjectsOf(fleet).ask("i1", "report"),
    JSON.stringify({ epoch: 1, reportFormat: 2, intervalMs: 2_000, somethingNew: { of: "later" } }),
    { timeoutMs: 1_000 },
  );
  const { data } = await world.passing(asked);
  expect(JSON.parse(new TextDecoder().decode(data))).toMatchObject({
    format: 1,
    state: { desiredFormat: 1 },
  });
});
