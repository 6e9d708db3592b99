import { expect, test } from "vitest";
import { MemoryRecords } from "../../src/agent/memory/records.js";
import { createVirtualClock } from "../../src/runtime/virtual-clock.js";
import { AgentWorld, release } from "./agent-kit.js";

async function active(options?: ConstructorParameters<typeof AgentWorld>[0]): Promise<AgentWorld> {
  const world = new AgentWorld(options);
  await world.start();
  world.tell(release("v1"));
  await world.untilActive("v1");
  await world.clock.advance(2_000);
  return world;
}

function running(world: AgentWorld): string[] {
  return world.host.processes.livingOf("i1").map((process) => process.release);
}

test.each(["old", "new"])(
  "of a record that is being written when the machine goes down the %s one is there, all others as they were written",
  async (which) => {
    const clock = createVirtualClock();
    const records = new MemoryRecords(clock, 10);
    const written = [records.save("instance", "i1", { n: 1 }), records.save("instance", "i2", { n: 1 })];
    await clock.advance(10);
    await Promise.all(written);
    let ended = false;
    void records.save("instance", "i1", { n: 2 }).finally(() => {
      ended = true;
    });
    await clock.advance(5);
    records.reboot(() => which === "new");
    await clock.advance(100);
    expect(ended).toBe(false);
    expect(await records.load("instance")).toEqual([
      { id: "i1", record: { n: which === "new" ? 2 : 1 } },
      { id: "i2", record: { n: 1 } },
    ]);
  },
);

test("whenever the machine goes down in an update, the agent comes to what is asked when it is up again", async () => {
  for (let atMs = 5; atMs < 4_000; atMs += 190) {
    const world = await active({ seed: atMs, saveMs: 7 });
    world.tell(release("v2"));
    await world.clock.advance(atMs);
    await world.reboot();
    await world.untilActive("v2");
    await world.clock.advance(2_000);
    expect(running(world)).toEqual(["v2"]);
    await world.agent.stop();
  }
});

test("a service that is healthy and is not, by turns, is reported as what it is, in time", async () => {
  const world = new AgentWorld();
  world.behave("v1", { flaps: { upMs: 20_000, downMs: 10_000 } });
  await world.start();
  world.tell(release("v1"));
  await world.untilActive("v1");
  const seen: string[] = [];
  for (let n = 0; n < 120; n++) {
    await world.clock.advance(1_000);
    const { health } = world.state();
    if (seen.at(-1) !== health) seen.push(health);
  }
  expect(seen.length).toBeGreaterThan(5);
  expect(new Set(seen)).toEqual(new Set(["HEALTHY", "FAILED"]));
});

test("a disk that gets full in the middle of an update fails it and leaves what runs; with room again it is tried again when asked", async () => {
  const world = await active({ saveMs: 2 });
  world.tell(release("v2"));
  await world.until(() =>
    world.host.files.steps.some(({ step, release: of }) => step === "pull" && of === "v2"),
  );
  world.host.setDiskFull(true);
  await world.clock.advance(30_000);
  expect(running(world)).toEqual(["v1"]);
  expect(world.state().reason?.code).toBe("DISK_FULL");
  world.host.setDiskFull(false);
  world.tell(release("v2"));
  await world.untilActive("v2");
});

test("a slow disk makes an update slow, and nothing else of it", async () => {
  const world = await active({ saveMs: 2 });
  world.host.slowDisk(1_500);
  world.tell(release("v2"));
  await world.clock.advance(6_000);
  expect(running(world)).toEqual(["v1"]);
  await world.untilActive("v2");
  world.host.slowDisk(0);
  const before = world.clock.nowMs();
  world.tell(release("v3"));
  await world.untilActive("v3");
  expect(world.clock.nowMs() - before).toBeLessThan(6_000);
});
