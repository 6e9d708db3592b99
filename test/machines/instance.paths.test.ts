import { expect, test } from "vitest";
import type { SnapshotFrom } from "xstate";
import { instanceMachine } from "../../machines/instance.js";
import {
  freshInstance,
  type InstanceEvent,
  isApart,
  isVersion,
  type Slot,
  slots,
  vitality,
} from "../../machines/instance-facts.js";
import { type Stage, stageOf, standingOf } from "../../machines/instance-standing.js";
import { instanceFromJournal, instanceJournalOf, readJournal } from "../../src/agent/journal.js";
import type { DesiredInstance } from "../../src/contracts/instance.js";
import { generatePaths, missedBy, walk } from "../kit/paths.js";
import { launchOf, releaseOf } from "./instance-samples.js";

const { healthCheck: tcp } = releaseOf("v0").manifest;

type Snapshot = SnapshotFrom<typeof instanceMachine>;

const v1 = releaseOf("v1", { order: "stopFirst", healthCheck: { ...tcp, retries: 1 } });
const v2 = releaseOf("v2", { order: "startFirst", healthCheck: { ...tcp, retries: 1 } });
const patient = releaseOf("v1", { healthCheck: { ...tcp, retries: 2 } });

const after = (delay: string, state: string) =>
  ({ type: `xstate.after.${delay}.instance.${state}` }) as unknown as InstanceEvent;

const stages: readonly Stage[] = [
  "STOPPED",
  "QUEUED",
  "PULLING_SOURCE",
  "BUILDING",
  "COPYING_FILES",
  "CREATING_SYMLINKS",
  "UPDATING_ROUTES",
  "HEALTH_CHECK",
  "SWITCHING",
  "STOPPING",
  "ACTIVE",
  "FAILED",
];
const workPhases = ["PULLING_SOURCE", "BUILDING", "COPYING_FILES", "CREATING_SYMLINKS", "UPDATING_ROUTES"];

function desiredOf({ wanted }: Pick<Snapshot["context"], "wanted">, run: typeof v1 | null): DesiredInstance {
  return {
    format: 1,
    ledgerId: "l1",
    instance: "i1",
    agent: "a1",
    generation: (wanted?.generation ?? 0) + 1,
    epoch: 1,
    deployment: null,
    run: run === null ? null : { release: run, config: null },
    minHealthyMs: 1_000,
    deadlineMs: 10_000,
    stable: null,
  };
}

/** What is asked of the instance. */
function desires({ context }: Snapshot): InstanceEvent[] {
  const revision = (context.accepted?.revision ?? 0) + 1;
  return [v1, v2, null].map((run) => ({ type: "desired", state: desiredOf(context, run), revision }));
}

const resume: InstanceEvent = { type: "resume" };

/** What is asked for late, by others, or of the agent as a whole. */
function asides({ context }: Snapshot): InstanceEvent[] {
  const revision = context.accepted?.revision ?? 0;
  return [
    { type: "desired", state: desiredOf(context, v2), revision },
    { type: "taken", owner: "a2", ledgerId: "l1", revision: revision + 1, epoch: 1 },
    { type: "taken", owner: "a2", ledgerId: "l1", revision, epoch: 1 },
    { type: "epoch", epoch: 2, ledgerId: null },
    { type: "poll" },
  ];
}

function readings({ context: { read } }: Snapshot): InstanceEvent[] {
  return [{ type: "reconnected" }, { type: "asked", read }, { type: "asked", read: read - 1 }];
}

/** What becomes of the newest piece of work, and of the one before it. */
function outcomes({ context }: Snapshot): InstanceEvent[] {
  const fault = { code: "BUILD_FAILED" };
  return [context.work, context.work - 1].flatMap((work): InstanceEvent[] => [
    { type: "phase.progress", work, percent: 50, note: "half" },
    { type: "phase.done", work, port: 20_000 + work },
    { type: "phase.failed", work, fault, transient: false, unit: 0 },
    { type: "phase.failed", work, fault, transient: true, unit: 0 },
  ]);
}

function tellingsOf(slot: Slot, order: number): InstanceEvent[] {
  const told = { type: "process", slot, order, pid: 1, restarts: 0, fault: null, atMs: 0 } as const;
  return [
    { ...told, status: "gone" },
    { ...told, status: "up" },
    { ...told, status: "failed" },
  ];
}

/** What the processes tell that were asked for something. */
function tellings({ context: { processes } }: Snapshot): InstanceEvent[] {
  const used = slots.filter((slot) => processes[slot].status !== "gone");
  return used.flatMap((slot) => tellingsOf(slot, processes[slot].order));
}

function late({ context: { processes } }: Snapshot): InstanceEvent[] {
  return tellingsOf("a", processes.a.order - 1);
}

/** What the checks say. */
function answers({ context: { checks } }: Snapshot): InstanceEvent[] {
  const verdicts = ["healthy", "degraded", "unhealthy"] as const;
  return verdicts.map((verdict) => ({
    type: "checked",
    number: checks.number,
    verdict,
    detail: "seen",
    atMs: 100_000,
  }));
}

const delays: readonly InstanceEvent[] = [
  ...workPhases.flatMap((phase) => [
    after(phase === "BUILDING" ? "buildStuck" : "stuck", `update.APPLYING.${phase}.working`),
    after("tryAgain", `update.APPLYING.${phase}.retrying`),
  ]),
  after("endStuck", "update.APPLYING.HEALTH_CHECK.stoppingOld"),
  after("unproven", "update.APPLYING.HEALTH_CHECK.proving"),
  after("stuck", "update.STOPPING.withdrawing"),
  after("endStuck", "update.STOPPING.ending"),
  after("stuck", "update.SWITCHING.working"),
];

const checkDelays = [after("checkOverdue", "checks.checking"), after("betweenChecks", "checks.pausing")];

/** A release serves from slot a, healthy. */
function serving(run: typeof v1) {
  const start = freshInstance("i1");
  const state = { ...desiredOf(start, run), generation: 1 };
  const context = {
    ...start,
    accepted: { ledgerId: "l1", revision: 1 },
    wanted: state,
    target: { ledgerId: "l1", generation: 1, run: state.run, minHealthyMs: 1_000 },
    active: { slot: "a" as const, launch: launchOf("v1", run.manifest) },
    processes: { ...start.processes, a: { ...start.processes.a, status: "up" as const } },
    checks: { ...start.checks, verdict: "healthy" as const, goodSinceMs: 0, starting: false },
    published: true,
    reached: true,
    known: true,
  };
  const value = {
    contact: "knowing",
    port: "kept",
    checks: "pausing",
    health: "HEALTHY",
    update: "ACTIVE",
  };
  return { name: "serving", input: { instance: "i1" }, restored: { value, context } };
}

/** The agent started again while v2 was on its way beside v1, and came to `stage`. */
function restarted(stage: Stage) {
  const { restored } = serving(v1);
  const { processes, ...context } = restored.context;
  const wanted = { ...desiredOf(context, v2), generation: 2 };
  const unheard = { ...processes.a, status: "unknown" as const };
  return {
    name: `restarted in ${stage}`,
    input: { instance: "i1" },
    restored: {
      value: standingOf(stage),
      context: {
        ...context,
        wanted,
        target: { ledgerId: "l1", generation: 2, run: wanted.run, minHealthyMs: 1_000 },
        candidate: stage === "SWITCHING" ? { slot: "b" as const, launch: launchOf("v2", v2.manifest) } : null,
        processes: { a: unheard, b: unheard },
        checks: freshInstance("i1").checks,
        reached: false,
        known: false,
      },
    },
  };
}

const isWorking = ({ value: { update } }: Snapshot) =>
  /working|withdrawing|SWITCHING/.test(JSON.stringify(update));

/** How far it is with what it was told; of health and checks only what decides about that. */
const updating = generatePaths(instanceMachine, {
  starts: [{ name: "fresh", input: { instance: "i1" } }],
  events: (snapshot): InstanceEvent[] => [
    ...desires(snapshot),
    { type: "asked", read: snapshot.context.read },
    ...(isWorking(snapshot) ? outcomes(snapshot) : []),
    ...tellings(snapshot),
    ...answers(snapshot),
    { type: "mend" },
    { type: "repair" },
    ...delays,
  ],
  shorten: ({ value, context }) => {
    const { target, active, published, candidate, processes, checks, known } = context;
    const run = target?.run ?? null;
    const first = active?.slot ?? "a";
    return [
      value.update,
      run === null ? target !== null : run.release.manifest.order,
      published && active !== null && run !== null && isVersion(active.launch, run),
      processes[first].status,
      processes[first === "a" ? "b" : "a"].status,
      candidate !== null && isApart(context),
      checks.failures > 0 ? "failing" : checks.verdict,
      known,
    ];
  },
});

/** The same right after a start of the agent. */
const resuming = generatePaths(instanceMachine, {
  starts: stages.map(restarted),
  events: (snapshot): InstanceEvent[] => [resume, ...readings(snapshot), ...tellings(snapshot)],
  shorten: ({ value, context: { processes, known } }) => [
    value.update,
    processes.a.status,
    processes.b.status,
    known,
  ],
});

/** How well it is while it serves, and while something newer is on its way. */
const living = generatePaths(instanceMachine, {
  starts: [serving(patient)],
  events: (snapshot): InstanceEvent[] => [
    ...desires(snapshot).slice(1, 2),
    ...tellings(snapshot),
    ...late(snapshot),
    ...answers(snapshot),
    {
      type: "checked",
      number: snapshot.context.checks.number - 1,
      verdict: "healthy",
      detail: "late",
      atMs: 0,
    },
    { type: "recheck" },
    ...checkDelays,
  ],
  shorten: ({ value, context }) => [
    value.health,
    value.checks,
    JSON.stringify(value.update).slice(0, 12),
    context.processes.a.status,
    Math.min(2, context.checks.failures),
    context.checks.verdict,
  ],
});

/** v2 is to prove itself beside v1. */
function proving() {
  const { restored } = restarted("SWITCHING");
  const value = { ...restored.value, update: { APPLYING: { HEALTH_CHECK: "proving" } } };
  return { name: "proving", input: { instance: "i1" }, restored: { ...restored, value } };
}

/** Another program takes the ports of its processes while they are down. */
const moving = generatePaths(instanceMachine, {
  starts: [serving(v1), proving()],
  events: ({ context: { processes } }: Snapshot): InstanceEvent[] => [
    ...slots.flatMap((slot): InstanceEvent[] => {
      const { order } = processes[slot];
      const told = { type: "process", slot, order, pid: null, restarts: 0, atMs: 0 } as const;
      return [
        { ...told, status: "failed", fault: { code: "PORT_IN_USE" } },
        { ...told, status: "up", fault: null },
      ];
    }),
    { type: "port", port: 30_000 },
    { type: "port", port: null },
    after("portAgain", "port.lacking"),
  ],
  shorten: ({ value, context: { processes, moves } }) => [
    value.port,
    JSON.stringify(value.update).slice(0, 40),
    processes.a.status,
    processes.b.status,
    moves,
  ],
});

/** What it hears and reads. */
const hearing = generatePaths(instanceMachine, {
  starts: [{ name: "fresh", input: { instance: "i1" } }],
  events: (snapshot): InstanceEvent[] => [
    resume,
    ...desires(snapshot).slice(0, 1),
    ...asides(snapshot),
    ...readings(snapshot),
  ],
  shorten: ({ value, context: { known, accepted, takenBy } }) => [
    value.contact,
    known,
    accepted !== null,
    takenBy,
  ],
});

const explorations = { updating, resuming, living, moving, hearing };
const paths = Object.values(explorations).flatMap((exploration) => exploration.paths);

test("generated paths take every arrow of an instance, and see both outcomes of its guards", () => {
  const hit = new Set(Object.values(explorations).flatMap((exploration) => [...exploration.hit]));
  expect(missedBy({ ...updating, hit })).toEqual({ missed: [], excusedButHit: [] });
});

test.each(paths)(
  "what it says follows from where it stands, and its record brings it back there: $name",
  (path) => {
    for (const { snapshot } of walk(instanceMachine, path)) {
      const { value, context } = snapshot;
      expect(value.health).toBe(vitality(context).toUpperCase());
      const journal = instanceJournalOf(snapshot);
      expect(readJournal("instance", "web-1", JSON.parse(JSON.stringify(journal)))).toEqual(journal);
      const back = instanceMachine.resolveState(instanceFromJournal(journal));
      expect(instanceJournalOf(back)).toEqual(journal);
      if (stageOf(value) === "FAILED") expect(context.failure).not.toBeNull();
      else expect(context.failure).toBeNull();
    }
  },
);
