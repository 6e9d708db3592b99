import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { eventually } from "../kit/eventually.js";
import { processesIn } from "./left-processes.js";
import { patience, says, startStory, testMaxMs } from "./story-kit.js";
import { World } from "./world.js";

const instances = ["web-1", "web-2", "web-3", "web-4", "web-5", "web-6"];

/** The parts of a story by their titles. */
function partsOf(text: string): Map<string, string> {
  const parts = text.split(/^── /m).slice(1);
  return new Map(parts.map((part) => [part.slice(0, 2).trim(), part]));
}

function portOf(dataDir: string): number {
  return (JSON.parse(readFileSync(join(dataDir, "nats.json"), "utf8")) as { port: number }).port;
}

/** The instances on whose disk there is a copy of this release. */
function whoHas(dataDir: string, release: string): string[] {
  const agents = join(dataDir, "agents");
  return readdirSync(agents).filter((name) =>
    existsSync(join(agents, name, "instances", name, "releases", release)),
  );
}

test(
  "the story is told from its beginning to its end, also after one that was killed in the middle and beside one that lives",
  async () => {
    const world = new World();
    const killed = await startStory(world);
    await says(killed, "── v2, two instances at a time");
    await eventually(() => /^\S+ web-\d: done, v2 HEALTHY$/m.test(killed.stdout()), patience);
    // Whatever time the next story takes to come, this roll-out is not over.
    await world.ok("deployments", "pause", "d2");
    await killed.kill9();
    const left = processesIn(world.dir);
    expect(left.filter(({ command }) => /nats-server/.test(command))).toHaveLength(1);
    expect(left.filter(({ command }) => / agent /.test(command))).toHaveLength(6);

    const story = await startStory(world, "--once");
    await says(story, "processes that an earlier story left behind were ended.");
    expect(left.filter(({ pid }) => processesIn(world.dir).some((one) => one.pid === pid))).toEqual([]);
    await says(story, "── A control plane and six agents");
    const second = await startStory(world);

    // The second one is on its own: other folder, other ports, other fleet.
    await says(second, "── v1, everywhere at once");
    const beside = join(world.dir, ".rollcall-2");
    expect(portOf(beside)).not.toBe(portOf(world.dataDir));
    expect(processesIn(beside).filter(({ command }) => / agent /.test(command))).toHaveLength(6);
    expect(await second.end("SIGTERM")).toMatchObject({ code: 130, stderr: "" });
    expect(processesIn(beside)).toEqual([]);

    const { code, stdout, stderr } = await story.ended;
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^The roll-out d2 of an earlier story is ended\.$/m);
    // No terminal: plain lines, no colours, nothing that moves.
    expect(stdout).not.toContain("\u001b");
    const parts = partsOf(stdout);
    expect([...parts.keys()]).toEqual(["A", "v1", "v2", "v3", "Wh"]);
    expect(parts.get("v1")).toContain("completed: 6 of 6 run v1.");
    expect(parts.get("v2")).toContain("completed: 6 of 6 run v2.");
    expect(parts.get("v3")).toMatch(
      /failed: 2 instances have failed; the failure threshold is 2\. .*d\d+ took what it had touched back/,
    );
    // In flight and failed together: batch + threshold − 1. Who was told last may have heard of the end before it had any of it,
    // and before the story looked again.
    const shown = [...(parts.get("v3") ?? "").matchAll(/(web-\d): \S+ → v3/g)].map(([, id]) => id);
    const told = new Set([...shown, ...whoHas(world.dataDir, "v3")]);
    expect(told.size).toBeGreaterThanOrEqual(2);
    expect(told.size).toBeLessThanOrEqual(3);
    for (const id of instances)
      expect(parts.get("Wh")).toMatch(new RegExp(`^${id} +HEALTHY +\\S+ +v2 +v2 +ACTIVE`, "m"));
    expect(processesIn(world.dir)).toEqual([]);
  },
  testMaxMs,
);
