import { describe, expect, test } from "vitest";
import type { DeploymentContext } from "../../machines/deployment-record.js";
import { type Blocker, whyOf } from "../../machines/deployment-why.js";
import { whySchema } from "../../src/contracts/views.js";
import { driveDeployment } from "./drive.js";
import {
  byAnna,
  contextOf,
  type DeploymentChanges,
  deploymentOf,
  flightOf,
  mass,
  observedOf,
} from "./samples.js";

const nowMs = 130_000;
const checking: Blocker = { phase: "HEALTH_CHECK", note: "", reportAgeMs: 4_000 };

/** A roll-out whose clock has run for 100 s. */
const running: DeploymentChanges = { stage: "running", clock: { ranMs: 0, runningSinceMs: 30_000 } };
const fullBatch = {
  step: 1,
  waiting: 8,
  flights: [flightOf("web-1", { toldAtMs: 20_000 }), flightOf("web-2", { toldAtMs: 40_000 })],
};
const batchFull = observedOf(fullBatch);

function why(
  changes: DeploymentChanges,
  context: Partial<DeploymentContext> = {},
  about: Blocker = checking,
) {
  const record = deploymentOf(changes);
  return whyOf(contextOf(record, { observed: batchFull, step: 1, nowMs, ...context }), nowMs, () => about);
}

const twoFailed = {
  code: "FAILURE_THRESHOLD",
  message: "2 instances have failed; the failure threshold is 2.",
};
const aborted = { code: "ABORTED", message: "Aborted by anna: wrong day." };
const held = { by: "rollcall", atMs: 0, reason: "4 instances that are not in flight went silent at once" };
const finished = (
  outcome: NonNullable<ReturnType<typeof deploymentOf>["outcome"]>,
  reason: typeof aborted | null,
) => ({ stage: "finished", outcome, ending: { outcome, reason } }) as const;

const sentences: readonly [string, ReturnType<typeof why>, string, string][] = [
  [
    "takes its instances",
    why({ stage: "preparing" }),
    "preparing",
    "It is taking its instances as its own; nobody has been told anything yet.",
  ],
  [
    "has a full batch",
    why(running),
    "waiting-for-slot",
    "8 wait for a free one of 2 slots: web-1 has been updating for 1m20s (deadline 1m40s, then it counts as failed; last report 4s ago, phase HEALTH_CHECK) and 1 more. 0 of 2 failures that end it.",
  ],
  [
    "has told the last ones",
    why(running, {
      observed: observedOf({ step: 1, waiting: 0, flights: [flightOf("web-1")], everFailed: 1 }),
    }),
    "in-flight",
    "1 in flight: web-1 has been updating for 1m40s (deadline 1m40s, then it counts as failed; last report 4s ago, phase HEALTH_CHECK). 1 of 2 failures that end it.",
  ],
  [
    "waits for one that was not heard of",
    why({ ...running, leftFailed: 1 }, {}, { phase: null, note: "", reportAgeMs: null }),
    "waiting-for-slot",
    "8 wait for a free one of 2 slots: web-1 has been updating for 1m20s (deadline 1m40s, then it counts as failed; not heard of yet) and 1 more. 1 of 2 failures that end it.",
  ],
  [
    "is writing its step",
    why(running, { observed: observedOf({ step: 1, unwritten: 2 }) }),
    "writing",
    "Its last step is on the way into the ledger.",
  ],
  [
    "is about to tell the next",
    why(running, { observed: observedOf({ step: 1, waiting: 3 }) }),
    "next-batch",
    "3 instances wait for their turn.",
  ],
  [
    "is about to tell the last one",
    why(running, { observed: observedOf({ step: 1, waiting: 1 }) }),
    "next-batch",
    "1 instance waits for its turn.",
  ],
  [
    "is about to send back what failed",
    why(
      { ...running, rollbackOf: "d0" },
      { observed: observedOf({ step: 1, waiting: 0, nextUrgent: ["web-1", "web-2"] }) },
    ),
    "next-batch",
    "2 instances wait for their turn.",
  ],
  [
    "has taken a step that its members do not show yet",
    why(running, { step: 2 }),
    "writing",
    "Its last step is on the way into the ledger.",
  ],
  [
    "has only one silent left",
    why(running, { observed: observedOf({ step: 1, waiting: 0, unreachable: 1 }) }),
    "unreachable",
    "1 instance is silent and is left out; the others are done.",
  ],
  [
    "has only silent ones left",
    why(running, { observed: observedOf({ step: 1, waiting: 0, unreachable: 2 }) }),
    "unreachable",
    "2 instances are silent and are left out; the others are done.",
  ],
  [
    "was taken over",
    why(running, { observed: null, judgeFromMs: nowMs + 4_000 }),
    "taken-over",
    "A new leader has taken it over and listens before it judges.",
  ],
  [
    "is paused",
    why({ ...running, paused: byAnna(0, "lunch"), held }),
    "paused",
    "Paused by anna (lunch); it goes on by rollcall deployments resume d1.",
  ],
  [
    "is paused without a word",
    why({ ...running, paused: byAnna(0) }),
    "paused",
    "Paused by anna; it goes on by rollcall deployments resume d1.",
  ],
  [
    "is held",
    why({ ...running, held }, { observed: { ...batchFull, silence: mass } }),
    "mass-silence",
    "Held: 4 instances that are not in flight went silent at once, so the network is suspect, not the release. 4 of 8 are silent now. It goes on when less than 15 % have been silent for one window, or by rollcall deployments resume --force d1.",
  ],
  [
    "is completing",
    why({ stage: "completing", ending: { outcome: "completed", reason: null } }),
    "ending",
    "Every instance is done. Its last writes are under way.",
  ],
  [
    "is ending early",
    why({ stage: "reverting", ending: { outcome: "aborted", reason: aborted } }),
    "ending",
    "Aborted by anna: wrong day. Its last writes are under way.",
  ],
  ["has completed", why(finished("completed", null)), "finished", "It has completed."],
  [
    "has failed",
    why(finished("failed", twoFailed)),
    "finished",
    "It has failed: 2 instances have failed; the failure threshold is 2.",
  ],
  [
    "was aborted",
    why(finished("aborted", aborted)),
    "finished",
    "It was aborted: Aborted by anna: wrong day.",
  ],
  [
    "was rolled back",
    why(finished("rolled_back", null)),
    "finished",
    "Every touched instance is back on what was stable before.",
  ],
  [
    "could not be rolled back",
    why(finished("rollback_failed", twoFailed)),
    "finished",
    "The way back has failed, and a person is needed: 2 instances have failed; the failure threshold is 2.",
  ],
];

test.each(sentences)("a deployment that %s says so", (_how, said, rule, sentence) => {
  expect(said.sentence).toBe(sentence);
  expect(said.rule).toBe(rule);
  expect(whySchema.parse(said)).toEqual(said);
});

describe("what blocks it, and the clock that runs", () => {
  test("is the instance whose deadline comes first, and that deadline in ledger time", () => {
    expect(why(running)).toMatchObject({ blocking: ["web-1", "web-2"], nextAtMs: 150_000 });
  });

  test("are at most twenty instances of a large batch", () => {
    const flights = Array.from({ length: 50 }, (_, at) => flightOf(`i${at}`, { toldAtMs: at }));
    const observed = observedOf({ ...fullBatch, flights, awaited: 1_000 });
    const { blocking, sentence } = why(running, { observed });
    expect(blocking).toHaveLength(20);
    expect(sentence).toContain("and 999 more");
  });

  test("is the end of the silence of a held one, once it has become calm", () => {
    const observed = { ...batchFull, silence: { ...mass, silent: 1, newlySilent: 0, calmSinceMs: 128_000 } };
    expect(why({ ...running, held }, { observed }).nextAtMs).toBe(135_000);
    expect(why({ ...running, held }, { observed: { ...observed, silence: mass } }).nextAtMs).toBeNull();
  });

  test("is the time from which a new leader judges", () => {
    expect(why(running, { observed: null, judgeFromMs: nowMs + 4_000 }).nextAtMs).toBe(134_000);
  });

  test("is none while a person has paused it or when it is over", () => {
    expect(why({ ...running, paused: byAnna(0) })).toMatchObject({ blocking: [], nextAtMs: null });
    expect(why(finished("completed", null))).toMatchObject({ blocking: [], nextAtMs: null });
  });
});

test("every state that a real deployment passes through has a sentence of its own", () => {
  const deployment = driveDeployment(deploymentOf());
  const rules: string[] = [];
  const ask = () => {
    const { context } = deployment.snapshot;
    const { rule, sentence } = whyOf(context, context.nowMs, () => checking);
    expect(sentence).toMatch(/^[A-Z0-9].*\.$/);
    rules.push(rule);
  };
  const look = (seen: Partial<typeof batchFull>, atMs: number) => {
    const { step } = deployment.snapshot.context;
    deployment.send({ type: "observe", observed: observedOf({ step, ...seen }), moved: false, nowMs: atMs });
    ask();
  };
  ask();
  look({ unwritten: 1 }, 1_000);
  look({}, 2_000);
  look({ waiting: 8, flights: [flightOf("i1"), flightOf("i2")] }, 3_000);
  deployment.send({ type: "pause", mark: byAnna(4_000) });
  ask();
  deployment.send({ type: "resume", mark: byAnna(5_000), force: false });
  look({ waiting: 0, next: [], flights: [flightOf("i2")], succeeded: 9 }, 6_000);
  look({ waiting: 0, next: [], succeeded: 10 }, 7_000);
  look({ waiting: 0, next: [], total: 0 }, 8_000);
  expect(rules).toEqual([
    "preparing",
    "preparing",
    "writing",
    "waiting-for-slot",
    "paused",
    "in-flight",
    "ending",
    "finished",
  ]);
});
