import fc from "fast-check";
import { expect, test } from "vitest";
import type { Behaviour } from "../../src/agent/memory/behaviour.js";
import { AgentWorld, type ManifestChange, release } from "./agent-kit.js";

/** Releases and how they end: `null` well, else with this code. */
const releases: Readonly<
  Record<
    string,
    { readonly behaviour: Behaviour; readonly manifest?: ManifestChange; readonly code: string | null }
  >
> = {
  good: { behaviour: {}, code: null },
  slow: { behaviour: { slowMs: 700, healthyAfterMs: 900 }, code: null },
  beside: { behaviour: { endsAfterMs: 600 }, manifest: { order: "startFirst" }, code: null },
  fixed: { behaviour: {}, manifest: { port: 8_080 }, code: null },
  shaky: { behaviour: { exitsAfterMs: 400, exitsTimes: 2 }, code: null },
  unhealthy: { behaviour: { unhealthy: true }, code: "HEALTH_CHECK_FAILED" },
  unbuildable: { behaviour: { failsIn: "build", code: "BUILD_FAILED" }, code: "BUILD_FAILED" },
  unroutable: {
    behaviour: { failsIn: "activate", code: "RELOAD_FAILED" },
    manifest: { order: "startFirst" },
    code: "RELOAD_FAILED",
  },
  crashing: {
    behaviour: { exitsAfterMs: 50, unhealthy: true },
    manifest: { restarts: 1 },
    code: "PROCESS_EXITED",
  },
};

type Step =
  | { readonly do: "tell"; readonly what: string | null }
  | { readonly do: "wait"; readonly ms: number }
  | { readonly do: "restart" | "kill" | "reboot" | "crash" | "cutOff" | "reconnect" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("tell" as const),
      what: fc.constantFrom(null, ...Object.keys(releases)),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.integer({ min: 0, max: 4_000 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom("restart" as const, "kill" as const, "kill" as const) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom("reboot" as const, "crash" as const, "cutOff" as const, "reconnect" as const),
    }),
  },
);

async function take(world: AgentWorld, given: Step, restarts: boolean): Promise<void> {
  const { processes } = world.host;
  switch (given.do) {
    case "tell": {
      const of =
        given.what === null
          ? null
          : release(given.what, { stuckMs: 20_000, ...releases[given.what]?.manifest });
      world.tell(of);
      break;
    }
    case "wait":
      await world.clock.advance(given.ms);
      break;
    case "restart":
      if (restarts) await world.restart();
      break;
    case "kill":
      if (restarts) await world.kill();
      break;
    case "reboot":
      // The agent does not outlive its host, and another program is faster than its services then.
      await world.agent.stop();
      for (const { port } of processes.living) if (port !== 8_080) processes.occupy(port);
      processes.reboot();
      await world.restart();
      break;
    case "crash":
      for (const { identity } of processes.living) processes.crash(identity.pid);
      break;
    default:
      world.ledger.cutOff = given.do === "cutOff";
  }
}

/** Plays the log and waits until nothing moves any more. */
async function play(steps: readonly Step[], last: string | null, restarts: boolean): Promise<AgentWorld> {
  const world = new AgentWorld({ saveMs: 3, startMs: 2 });
  for (const [version, { behaviour }] of Object.entries(releases)) world.behave(version, behaviour);
  await world.start();
  for (const given of steps) await take(world, given, restarts);
  world.ledger.cutOff = false;
  await take(world, { do: "tell", what: last }, restarts);
  await world.clock.advance(120_000);
  if (restarts) await world.restart();
  await world.clock.advance(120_000);
  return world;
}

function endOf(world: AgentWorld) {
  const { phase, health, reason } = world.state();
  return { phase, health, code: reason?.code ?? null };
}

function expectWhole(world: AgentWorld, last: string | null): void {
  const { running, port, pid } = world.state();
  const living = world.host.processes.living.map((process) => [
    process.release,
    process.port,
    process.identity.pid,
  ]);
  const disk = world.host.files.disk("i1");
  const code = last === null ? null : (releases[last]?.code ?? null);
  expect(endOf(world)).toEqual(
    last === null
      ? { phase: "STOPPED", health: "UNKNOWN", code: null }
      : code === null
        ? { phase: "ACTIVE", health: "HEALTHY", code: null }
        : { phase: "FAILED", health: "FAILED", code },
  );
  expect(living).toEqual(running === null ? [] : [[running.release, port, pid]]);
  expect(disk).toMatchObject({ next: null, staged: null });
  if (code === null) expect(running?.release ?? null).toBe(last);
  if (running !== null)
    expect(disk).toMatchObject({ current: running.release, published: { release: running.release, port } });
  else if (last === null) expect(disk.published).toBeNull();
}

test("whatever happens, and wherever the agent is restarted, an instance ends where it was last told to", async () => {
  const last = fc.constantFrom(null, ...Object.keys(releases));
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), last, async (steps, told) => {
      const restarted = await play(steps, told, true);
      expectWhole(restarted, told);
      const steady = await play(steps, told, false);
      expectWhole(steady, told);
      expect(endOf(restarted)).toEqual(endOf(steady));
      await restarted.agent.stop();
      await steady.agent.stop();
      // Checks that were under way have their answers, and the timers of killed agents have rung unheard.
      await Promise.all([restarted, steady].map(({ clock }) => clock.advance(4_000_000)));
      expect(restarted.clock.pending + steady.clock.pending).toBe(0);
    }),
    { numRuns: 60 },
  );
}, 60_000);
