import { expect, test } from "vitest";
import type { SnapshotFrom } from "xstate";
import { type UpkeepCommand, type UpkeepEvent, upkeepMachine } from "../../machines/upkeep.js";
import type { Finding } from "../../src/contracts/inventory.js";
import { generatePaths, missedBy, walk } from "../kit/paths.js";

type Snapshot = SnapshotFrom<typeof upkeepMachine>;

const finding = (key: string, verdict: Finding["verdict"]): Finding => ({
  key,
  kind: "release",
  instance: "i1",
  release: "v1",
  what: key,
  verdict,
});
const everything = [finding("link", "mend"), finding("old", "ask"), finding("broken", "keep")];

const after = (delay: string, state: string) =>
  ({ type: `xstate.after.${delay}.upkeep.${state}` }) as unknown as UpkeepEvent;

const generated = generatePaths(upkeepMachine, {
  starts: [{ name: "fresh", input: { everyMs: 1_000, unit: 0.5 } }],
  events: ({ context: { round, todo } }: Snapshot): UpkeepEvent[] => [
    { type: "look" },
    ...["link", "old", "broken", "nothing"].map((key): UpkeepEvent => ({ type: "ask", key })),
    ...[round, round - 1].flatMap((of): UpkeepEvent[] => [
      { type: "surveyed", round: of, findings: everything, unit: 0.1 },
      { type: "surveyed", round: of, findings: [], unit: 0.1 },
      { type: "surveyFailed", round: of, problem: "the disk is gone" },
    ]),
    ...["done", "failed"].map(
      (outcome): UpkeepEvent => ({
        type: "mended",
        key: todo[0]?.key ?? "old news",
        outcome: outcome as "done",
        why: "so it is",
      }),
    ),
    { type: "mended", key: "another", outcome: "done", why: "" },
    after("nextLook", "resting"),
    after("tooLong", "looking"),
    after("tooLong", "mending.working"),
  ],
  shorten: ({ value, context: { asked, todo } }) => [value, asked, todo.map(({ key }) => key)],
});

test("generated paths take every arrow of the upkeep, and see both outcomes of its guards", () => {
  expect(missedBy(generated)).toEqual({ missed: [], excusedButHit: [] });
});

test.each(generated.paths)(
  "whoever asks is answered once, and only what may be put right is: $name",
  (path) => {
    let owed: string | null = null;
    const stops = walk(upkeepMachine, path);
    stops.forEach(({ snapshot, emitted }, at) => {
      const event = path.events[at - 1] as UpkeepEvent | undefined;
      for (const command of emitted as readonly UpkeepCommand[]) {
        if (command.type === "mend") {
          expect(command.finding.verdict).not.toBe("keep");
          if (command.finding.verdict === "ask") expect(command.finding.key).toBe(owed);
        }
        if (command.type !== "answer") continue;
        // One that comes while another is under way is told so at once.
        if (event?.type === "ask" && owed !== null) expect(command.outcome).toBe("left");
        else if (event?.type === "ask") expect(command).toMatchObject({ key: event.key, outcome: "left" });
        else {
          expect(command.key).toBe(owed);
          owed = null;
        }
      }
      if (event?.type === "ask" && snapshot.context.asked === event.key && owed === null)
        owed = snapshot.value === "resting" ? null : event.key;
      if (snapshot.value === "resting") expect(owed).toBeNull();
    });
  },
);
