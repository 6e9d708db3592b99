import { expect, test } from "vitest";
import { type CoordinatorEvent, coordinatorMachine } from "../../machines/coordinator.js";
import { generatePaths, missedBy, walk } from "../kit/paths.js";

const after = (delay: string, state: string) =>
  ({ type: `xstate.after.${delay}.coordinator.${state}` }) as unknown as CoordinatorEvent;

const samples: readonly CoordinatorEvent[] = [
  { type: "acquired", epoch: 1, validForMs: 2_500 },
  { type: "heldBy", leader: "c2", epoch: 1 },
  { type: "unavailable", problem: "no answer" },
  { type: "unfit", problem: "a newer format", leader: "c2", epoch: 1 },
  { type: "leaseFree" },
  { type: "loaded" },
  { type: "renewed", validForMs: 2_500 },
  { type: "renewFailed", problem: "no answer" },
  { type: "deposed" },
  { type: "writeFailed", problem: "refused" },
  { type: "resigned" },
  { type: "stop" },
  after("lookAgain", "following"),
  after("renewAfter", "loading.steady"),
  after("renewAfter", "leading.steady"),
  after("leaseRest", "leading.renewing"),
  after("leaseRest", "loading.renewing"),
  after("retryAfter", "leading.renewing.waiting"),
];

const generated = generatePaths(coordinatorMachine, {
  starts: [{ name: "started", input: { leaseMs: 3_000 } }],
  events: () => samples,
  shorten: ({ value, status, context }) => [value, status, context.leader],
});

test("generated paths take every arrow of the coordinator", () => {
  expect(missedBy(generated)).toEqual({ missed: [], excusedButHit: [] });
});

test.each(generated.paths)("it leads only with a lease, and forgets what it knew: $name", (path) => {
  let leads = false;
  let holds = false;
  for (const [at, { snapshot, emitted }] of walk(coordinatorMachine, path).entries()) {
    const event = at === 0 ? undefined : path.events[at - 1]?.type;
    for (const { type } of emitted) {
      if (type === "lead") {
        expect(leads, "it begins to lead once").toBe(false);
        expect(holds, "it holds the lease").toBe(true);
        leads = true;
      }
      if (type === "drop") leads = false;
      if (type === "resign") expect(leads, "it forgets before it hands over").toBe(false);
    }
    if (event === "acquired") holds = true;
    if (event === "deposed" || event === "resigned") holds = false;
    expect(leads).toBe(snapshot.matches("leading"));
  }
});
