import { expect, test } from "vitest";
import type { SnapshotFrom } from "xstate";
import { appMachine } from "../../machines/app.js";
import {
  type AppCommand,
  type AppContext,
  type AppEvent,
  type AppFailure,
  defaultLimitsMs,
  freshApp,
  initStatusOf,
  isAsAsked,
  nextVerb,
  verbs,
} from "../../machines/app-facts.js";
import { isEnabled } from "../../src/contracts/app-status.js";
import { generatePaths, missedBy, walk } from "../kit/paths.js";
import { desiredApp } from "./app-samples.js";

type Snapshot = SnapshotFrom<typeof appMachine>;

const passing: AppFailure = { cause: "error", code: "APP_FAILED", message: "it threw", permanent: false };
const lasting: AppFailure = {
  cause: "compiler",
  code: "APP_COMPILER_ERROR",
  message: "Unexpected token",
  permanent: true,
};

const working = ["installing", "initializing", "enabling", "disabling", "uninstalling"];
const after = (delay: string, state: string) =>
  ({ type: `xstate.after.${delay}.app.${state}` }) as unknown as AppEvent;

/** The next change of what is asked; what is asked already is not asked again, so that there are few states. */
function changes({ wanted }: AppContext): AppEvent[] {
  const generation = (wanted?.generation ?? 0) + 1;
  return [
    desiredApp(generation, "enabled"),
    desiredApp(generation, "enabled", { version: "2.0.0" }),
    desiredApp(generation, "disabled"),
    desiredApp(generation, "uninstalled"),
  ].map((state) => ({ type: "desired", state, revision: 10 * generation, heard: "told" }));
}

/** What is asked already, written anew. */
function repeats({ wanted }: AppContext): AppEvent[] {
  if (wanted === null) return [];
  const { generation, desiredStatus, content } = wanted;
  const state = desiredApp(generation, desiredStatus, { content });
  return [{ type: "desired", state, revision: 10 * generation + 1, heard: "told" }];
}

const restored: AppContext = {
  ...freshApp("mail", defaultLimitsMs),
  accepted: { ledgerId: "m1000000000000-a", revision: 10 },
  wanted: { generation: 1, desiredStatus: "enabled", content: desiredApp(1, "enabled").content },
  mayRun: true,
  mayBeHere: true,
  attempts: 1,
};
const underWay = (verb: "enable" | "disable", generation = 1) => ({
  verb,
  generation,
  content: desiredApp(1, "enabled").content,
});

const generated = generatePaths(appMachine, {
  starts: [
    { name: "fresh", input: { app: "mail", limitsMs: defaultLimitsMs } },
    ...[
      { name: "restarted", call: null },
      { name: "died while enabling", call: underWay("enable") },
      { name: "died while disabling", call: underWay("disable") },
      { name: "died in an old call", call: underWay("enable", 0) },
    ].map(({ name, call }) => ({
      name,
      input: { app: "mail", limitsMs: defaultLimitsMs },
      restored: { value: "asleep", context: { ...restored, call } },
    })),
  ],
  events: ({ context }: Snapshot): AppEvent[] => [
    ...changes(context),
    ...repeats(context),
    // Old news.
    { type: "desired", state: desiredApp(1, "disabled"), revision: 0, heard: "told" },
    { type: "missing", ledgerId: "m1000000000000-a", revision: 0 },
    { type: "missing", ledgerId: "m1000000000000-a", revision: 1_000 },
    { type: "missing", ledgerId: "m2000000000000-b", revision: 1 },
    { type: "missing", ledgerId: "m0000000000001-c", revision: 1 },
    { type: "resume", unit: 0.5 },
    { type: "turn" },
    { type: "retry" },
    { type: "halt" },
    ...[context.number, context.number - 1].flatMap((number): AppEvent[] => [
      { type: "done", number },
      { type: "failed", number, failure: passing, unit: 0.5 },
      { type: "failed", number, failure: lasting, unit: 0.5 },
    ]),
    { type: "ended", failure: passing, unit: 0.5 },
    ...working.map((state) => after("limit", `working.${state}`)),
    after("backoff", "backoff"),
    after("sustained", "resting"),
  ],
  shorten: ({ value, context }) => [
    value,
    context.wanted?.desiredStatus,
    context.wanted?.content.version,
    context.installed?.version,
    context.ready?.version,
    context.runs?.content.version,
    context.mayRun,
    context.mayBeHere,
    context.failedNow,
    context.failure?.verb,
    context.failure?.permanent,
    context.call !== null && context.call.generation === context.wanted?.generation,
    context.halting,
    context.dropped,
    context.doubted,
    context.accepted === null,
  ],
  statesMax: 20_000,
});

test("generated paths take every arrow of an app, and see both outcomes of its guards", () => {
  expect(missedBy(generated)).toEqual({ missed: [], excusedButHit: [] });
});

/** Everything that must hold in every state. */
function check({ value, context }: Snapshot): void {
  const { wanted, runs, mayRun, mayBeHere, failure, failedNow } = context;
  if (runs !== null) expect(mayRun).toBe(true);
  if (context.installed !== null) expect(mayBeHere).toBe(true);
  if (isEnabled(initStatusOf(context))) expect(runs).not.toBeNull();
  if (value === "resting") {
    expect(failure).toBeNull();
    expect(nextVerb(context)).toBeNull();
    if (!context.halting) expect(isAsAsked(context)).toBe(true);
    if (wanted?.desiredStatus !== "enabled") expect(mayRun).toBe(false);
  }
  if (value === "stopped") expect([failure?.permanent, mayRun]).toEqual([true, false]);
  if (value === "backoff") expect([failure === null, failedNow]).toEqual([false, false]);
  if (value === "over") expect(context.halting || context.dropped).toBe(true);
}

test.each(generated.paths)("one call at a time, and none towards what is not asked: $name", (path) => {
  let hasTurn = false;
  let asked = false;
  const open = new Set<number>();
  walk(appMachine, path).forEach(({ snapshot, emitted }, at) => {
    const event = path.events[at - 1] as AppEvent | undefined;
    const { context } = snapshot;
    check(snapshot);
    if (event?.type === "done" || event?.type === "failed") open.delete(event.number);
    if (event?.type === "turn" && asked) [hasTurn, asked] = [true, false];
    if (String(event?.type).includes("after.limit")) open.clear();
    for (const command of emitted as readonly AppCommand[]) {
      if (command.type === "askTurn") asked = true;
      if (command.type === "endTurn") [hasTurn, asked] = [false, false];
      if (command.type !== "call") continue;
      expect(hasTurn).toBe(true);
      expect(open.size).toBe(0);
      open.add(command.number);
      const { wanted, halting } = context;
      if (halting || wanted?.desiredStatus !== "enabled")
        expect(["disable", "uninstall"]).toContain(command.verb);
      if (command.verb === "uninstall") expect(wanted?.desiredStatus).toBe("uninstalled");
      // Written down before it can be so.
      if (command.verb === "enable" || command.verb === "initialize") expect(context.mayRun).toBe(true);
      if (command.verb === "install") expect(context.mayBeHere).toBe(true);
      expect(verbs).toContain(command.verb);
    }
  });
});
