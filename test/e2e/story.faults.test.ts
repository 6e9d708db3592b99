import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { InstanceView } from "../../src/contracts/views.js";
import { eventually, eventuallyPasses } from "../kit/eventually.js";
import { processesIn } from "./left-processes.js";
import { patience, says, startStory, testMaxMs } from "./story-kit.js";
import { World } from "./world.js";

test(
  "Ctrl-C and a closed terminal leave nothing behind, at whatever moment they come",
  async () => {
    const [early, later] = [new World(), new World()];
    const [starting, rolling] = [await startStory(early), await startStory(later)];
    // In the middle of starting one agent after the other.
    await eventually(() => processesIn(early.dir).some(({ command }) => / agent /.test(command)), patience);
    expect((await starting.end("SIGINT")).code).toBe(130);
    expect(processesIn(early.dir)).toEqual([]);

    await eventually(() => /web-\d: - → v1/.test(rolling.stdout()), patience);
    rolling.child.stdout?.destroy();
    rolling.child.stderr?.destroy();
    await rolling.end("SIGHUP");
    await eventuallyPasses(() => expect(processesIn(later.dir)).toEqual([]), { withinMs: 5_000 });
  },
  testMaxMs,
);

test(
  "what a killed story left in a folder of its own is ended by the next story, wherever that one runs",
  async () => {
    const world = new World();
    const first = await startStory(world);
    await eventually(() => world.isUp, patience);
    const second = await startStory(world);
    const beside = join(world.dir, ".rollcall-2");
    await eventually(() => existsSync(join(beside, "context.json")), patience);
    await second.kill9();
    await first.end("SIGINT");
    expect(processesIn(world.dataDir)).toEqual([]);
    expect(processesIn(beside).length).toBeGreaterThan(0);

    // A user's own control plane in the first folder is left alone.
    const up = await world.up();
    const third = await startStory(world);
    await says(third, "processes that an earlier story left behind were ended.");
    await says(third, "── A control plane and six agents");
    await eventually(() => processesIn(beside).some(({ command }) => / agent /.test(command)), patience);
    expect((await third.end("SIGTERM")).code).toBe(130);
    const { items } = await world.json<{ items: InstanceView[] }>("instances", "ls");
    expect(items.filter(({ reportAgeMs }) => reportAgeMs !== null)).toEqual([]);
    expect((await up.end()).code).toBe(0);
    expect(processesIn(world.dir)).toEqual([]);
  },
  testMaxMs,
);
