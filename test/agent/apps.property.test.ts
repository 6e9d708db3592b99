import fc from "fast-check";
import { expect, test } from "vitest";
import { AppWorld } from "./app-kit.js";

const apps = ["a", "b"] as const;
const instances = ["i0", "i1", "i2"] as const;

const step = fc.oneof(
  fc.record({
    what: fc.constant("ask" as const),
    app: fc.constantFrom(...apps),
    status: fc.constantFrom("enabled", "enabled", "disabled", "uninstalled"),
    version: fc.constantFrom("1.0.0", "2.0.0"),
    heard: fc.boolean(),
  }),
  fc.record({
    what: fc.constant("fail" as const),
    app: fc.constantFrom(...apps),
    verb: fc.constantFrom("install", "initialize", "enable", "disable", "uninstall"),
    fate: fc.constantFrom("hang", "throw"),
    instance: fc.constantFrom(...instances),
  }),
  fc.record({
    what: fc.constantFrom("kill", "crash"),
    instance: fc.constantFrom(...instances),
    app: fc.constantFrom(...apps),
  }),
  fc.record({ what: fc.constant("wait" as const), ms: fc.nat(3_000) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

async function take(world: AppWorld, next: Step): Promise<void> {
  if (next.what === "ask" && "status" in next)
    world.ask(next.app, next.status as "enabled", { version: next.version, heard: next.heard });
  else if (next.what === "fail" && "fate" in next) {
    const fate = next.fate === "hang" ? ("hang" as const) : new Error("so it is");
    world.instance(next.instance).engine.fates.set(`${next.app} ${next.verb}`, [fate, fate]);
  } else if (next.what === "wait" && "ms" in next) await world.clock.advance(next.ms);
  else if (next.what === "crash" && "instance" in next) world.instance(next.instance).engine.crash(next.app);
  else if (next.what === "kill" && "instance" in next) {
    await world.kill(next.instance);
    await world.start(next.instance);
  }
}

test("whatever fails, is killed or is not heard: once that ends, every instance is as asked and says so", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), fc.nat(), async (steps, seed) => {
      const world = new AppWorld({ seed, agent: { limitsMs: { enable: 2_000, install: 2_000 } } });
      for (const name of instances) await world.join(name, 1);
      for (const next of steps) {
        await take(world, next);
        // What was asked last and seen is never acted against.
        for (const { engine, agent } of world.instances.values())
          for (const app of apps)
            if (agent.stateOf(app)?.installed === false) expect(engine.running.has(app)).toBe(false);
      }
      for (const { engine } of world.instances.values()) engine.fates.clear();
      await world.settle(900_000);
      await world.until(() => [...world.instances.values()].every(({ ear }) => ear.isComplete), 3_000);
    }),
    { numRuns: 25 },
  );
}, 60_000);
