import { expect, test } from "vitest";
import type { SnapshotFrom } from "xstate";
import {
  type ProcessCommand,
  type ProcessEvent,
  processMachine,
  sameLaunch,
} from "../../machines/process.js";
import { processFromJournal, processJournalOf, readJournal } from "../../src/agent/journal.js";
import { generatePaths, missedBy, walk } from "../kit/paths.js";
import { identity, launchOf } from "./instance-samples.js";

type Snapshot = SnapshotFrom<typeof processMachine>;

const v1 = launchOf("v1", { restarts: 1 });
const v2 = launchOf("v2", { restarts: 0 });

const after = (delay: string, state: string) =>
  ({ type: `xstate.after.${delay}.process.${state}` }) as unknown as ProcessEvent;

/** What may become of the newest start, and of the one before it. */
function outcomes(run: number): ProcessEvent[] {
  return [
    { type: "spawned", run, identity },
    { type: "spawnFailed", run, fault: { code: "START_FAILED" }, unit: 0.5 },
    { type: "exited", run, how: "exit code 1", output: "", unit: 0.5 },
    { type: "killed", run },
    { type: "killFailed", run },
  ];
}

const generated = generatePaths(processMachine, {
  starts: [{ name: "fresh", input: { instance: "i1", slot: "a" } }],
  events: ({ context: { run, order } }: Snapshot): ProcessEvent[] => [
    { type: "run", order: order + 1, launch: v1 },
    { type: "run", order: order + 1, launch: v2 },
    { type: "halt", order: order + 1 },
    { type: "restored", alive: true },
    { type: "restored", alive: false },
    ...outcomes(run),
    ...outcomes(run - 1),
    after("sustained", "running"),
    after("backoff", "backoff"),
    after("killAgain", "stopping.resisting"),
  ],
  shorten: ({ value, context: { wanted, launch, streak } }) => [
    value,
    wanted?.release.version,
    launch?.release.version,
    streak,
  ],
});

test("generated paths take every arrow of a process, and see both outcomes of its guards", () => {
  expect(missedBy(generated)).toEqual({ missed: [], excusedButHit: [] });
});

function commandsOf(path: (typeof generated.paths)[number]) {
  return walk(processMachine, path).map(({ snapshot, emitted }) => ({
    snapshot,
    emitted: emitted as readonly ProcessCommand[],
  }));
}

test.each(generated.paths)("at most one process runs in a slot, and its instance knows: $name", (path) => {
  let told: string | undefined;
  for (const { snapshot, emitted } of commandsOf(path)) {
    const { wanted, launch, order } = snapshot.context;
    const journal = processJournalOf(snapshot);
    expect(readJournal("process", "web-1.a", JSON.parse(JSON.stringify(journal)))).toEqual(journal);
    expect(processJournalOf(processMachine.resolveState(processFromJournal(journal)))).toEqual(journal);
    for (const command of emitted) {
      if (command.type !== "tell") continue;
      told = command.status;
      expect(command.order).toBe(order);
    }
    expect(emitted.filter(({ type }) => type === "spawn").length).toBeLessThanOrEqual(1);
    if (snapshot.value === "running") {
      expect(sameLaunch(wanted, launch)).toBe(true);
      expect(told).toBe("up");
    }
    if (snapshot.value === "failed") expect(told).toBe("failed");
    if (snapshot.value === "backoff") expect(told).toBe("restarting");
    // A slot in which nothing has happened yet has nothing to tell.
    if (snapshot.value === "stopped") expect([undefined, "gone"]).toContain(told);
  }
});

test("every request is answered, or its answer is on the way", () => {
  const onTheWay = ["starting", { stopping: "ending" }, { stopping: "resisting" }];
  for (const path of generated.paths) {
    const stops = commandsOf(path);
    stops.forEach(({ snapshot, emitted }, at) => {
      const asked = path.events[at - 1]?.type;
      if (asked !== "run" && asked !== "halt") return;
      const answered = emitted.some(({ type }) => type === "tell");
      expect(
        answered || onTheWay.some((state) => JSON.stringify(state) === JSON.stringify(snapshot.value)),
      ).toBe(true);
    });
  }
});
