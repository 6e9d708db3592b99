import type { DesiredInstance } from "../src/contracts/instance.js";
import type { Config, Release } from "../src/contracts/release.js";
import type { VersionPair } from "../src/contracts/version.js";
import { type Accepted, accept, type HeardEpoch, laterEpoch } from "./accepted.js";
import type { Fault, Launch, ProcessStatus } from "./process.js";

/** What the instance machine knows, hears and asks for, and what follows from it; the machine itself is in instance.ts. */

/** Where a process of an instance lives: two, so that a new version can start beside the old one. */
export type Slot = "a" | "b";
export const slots: readonly Slot[] = ["a", "b"];

export interface Run {
  readonly release: Release;
  readonly config: Config | null;
}

/** What is acted on: the part of a desired state that the work needs. */
export interface Target {
  readonly ledgerId: string;
  readonly generation: number;
  readonly run: Run | null;
  readonly minHealthyMs: number;
}

/** A version in its place: the slot of its process, and how that is started. */
export interface Placed {
  readonly slot: Slot;
  readonly launch: Launch;
}

/** The newest heard of the process in a slot. `unknown`: not heard yet since the agent started. */
export interface ProcessSeen {
  readonly status: ProcessStatus | "unknown";
  /** Counts the requests made of the slot: what is told about an earlier one is old news. */
  readonly order: number;
  readonly pid: number | null;
  readonly restarts: number;
  /** On the monotonic clock of the agent, when it was last told to be up. */
  readonly upAtMs: number;
  readonly fault: Fault | null;
}

/** What the health checks of the watched process came to. */
export interface Checks {
  /** Of the newest check; the answer to an earlier one is old news. */
  readonly number: number;
  /** Counted failures in a row. */
  readonly failures: number;
  /** Of the last check that did not fail; `null` if none of this process has succeeded. */
  readonly verdict: "healthy" | "degraded" | null;
  /** What was seen last. */
  readonly detail: string;
  /** On the monotonic clock, the first healthy check after the last one that was not; `null` while not healthy. */
  readonly goodSinceMs: number | null;
  /** The process is in its start period: it is asked more often, and failures do not count. */
  readonly starting: boolean;
}

export interface InstanceContext extends Accepted {
  readonly instance: string;
  /** The highest epoch heard of. */
  readonly epoch: number;
  /** The ledger that counts it; `null` before one was named. */
  readonly epochLedgerId: string | null;
  readonly wanted: DesiredInstance | null;
  /** What is, or was last, acted on. */
  readonly target: Target | null;
  /** What `current` points at, and what is to serve. */
  readonly active: Placed | null;
  /** Its routes are published: nobody has begun to take them back. */
  readonly published: boolean;
  readonly previous: VersionPair | null;
  /** What is to become active. */
  readonly candidate: Placed | null;
  /** Ports chosen anew in a row, because another program had taken the one before. */
  readonly moves: number;
  /** Why the last target was not reached, or what was reached was lost. */
  readonly failure: Fault | null;
  /** Counts the pieces of work begun in this life of the agent. */
  readonly work: number;
  /** Repeats of the phase's work in a row. */
  readonly tries: number;
  /** What the next wait is multiplied by, drawn by the host. */
  readonly unit: number;
  readonly progress: { readonly percent: number; readonly note: string };
  readonly processes: Readonly<Record<Slot, ProcessSeen>>;
  readonly checks: Checks;
  /** What is acted on was reached: it runs and has been healthy, or there is nothing to run. */
  readonly reached: boolean;
  /** Counts the readings of the desired state. */
  readonly read: number;
  /** The desired state was read since the last start or reconnect, or could not be. */
  readonly known: boolean;
  /** The agent that the instance belongs to, if it is another. */
  readonly takenBy: string | null;
}

export type InstanceEvent =
  | { readonly type: "desired"; readonly state: DesiredInstance; readonly revision: number }
  /** The newest desired state names another agent. */
  | {
      readonly type: "taken";
      readonly owner: string;
      readonly ledgerId: string;
      readonly revision: number;
      readonly epoch: number;
    }
  /** A coordinator of this epoch has made a request. */
  | { readonly type: "epoch"; readonly epoch: number; readonly ledgerId: string | null }
  /** The agent has started, or started again. */
  | { readonly type: "resume" }
  | { readonly type: "reconnected" }
  /** It is time to look at the desired state again. */
  | { readonly type: "poll" }
  /** The desired state was read, or cannot be. */
  | { readonly type: "asked"; readonly read: number }
  | {
      readonly type: "phase.progress";
      readonly work: number;
      readonly percent: number;
      readonly note: string;
    }
  | { readonly type: "phase.done"; readonly work: number; readonly port?: number }
  | {
      readonly type: "phase.failed";
      readonly work: number;
      readonly fault: Fault;
      readonly transient: boolean;
      readonly unit: number;
    }
  | {
      readonly type: "process";
      readonly slot: Slot;
      readonly order: number;
      readonly status: ProcessStatus;
      readonly pid: number | null;
      readonly restarts: number;
      readonly fault: Fault | null;
      readonly atMs: number;
    }
  | {
      readonly type: "checked";
      readonly number: number;
      readonly verdict: "healthy" | "degraded" | "unhealthy";
      readonly detail: string;
      readonly atMs: number;
    }
  /** A free port for the active version's process; `null` if there is none now. */
  | { readonly type: "port"; readonly port: number | null }
  /** `current` and the routes are not what they should be. */
  | { readonly type: "mend" }
  /** The files of the active release are not whole. */
  | { readonly type: "repair" }
  /** From the machine to itself: another process is to be checked from now on. */
  | { readonly type: "recheck" };

export interface WorkCommand {
  readonly work: number;
  readonly generation: number;
  readonly release: Release;
  readonly config: Config | null;
}

export type InstanceCommand =
  | (WorkCommand & { readonly type: "pull" | "build" | "copy" | "prepareNext" | "activate" })
  /** `port`: the release's own, if it has one; else a free one is chosen and comes back with `phase.done`. */
  | (WorkCommand & { readonly type: "stageRoutes"; readonly port: number | null })
  | { readonly type: "withdrawRoutes"; readonly work: number; readonly generation: number }
  | { readonly type: "cancel"; readonly work: number; readonly generation: number }
  | { readonly type: "abandon"; readonly generation: number }
  /** `current` and the published routes are to say what the active version is and where it listens. */
  | { readonly type: "restore"; readonly launch: Launch }
  | { readonly type: "prune"; readonly generation: number; readonly keep: readonly string[] }
  | { readonly type: "startProcess"; readonly slot: Slot; readonly order: number; readonly launch: Launch }
  | { readonly type: "stopProcess"; readonly slot: Slot; readonly order: number }
  /** Asks for a free port. */
  | { readonly type: "choosePort" }
  | { readonly type: "check"; readonly number: number; readonly launch: Launch }
  | { readonly type: "readDesired"; readonly read: number };

/** Time between two checks of a process that has not been healthy yet, at most. */
const startIntervalMs = 1_000;
/** Ports chosen anew without a healthy check in between, after which one that is taken is a failure like any other. */
const movesMax = 5;
/** Repeats of one phase's work after which a failure for want of a connection is one like any other. */
const triesMax = 20;

const goneProcess: ProcessSeen = { status: "gone", order: 0, pid: null, restarts: 0, upAtMs: 0, fault: null };
export const freshChecks = {
  failures: 0,
  verdict: null,
  detail: "",
  goodSinceMs: null,
  starting: true,
} as const;

/** An instance that nothing is known of and that runs nothing. */
export function freshInstance(instance: string): InstanceContext {
  return {
    instance,
    accepted: null,
    retired: [],
    epoch: 0,
    epochLedgerId: null,
    wanted: null,
    target: null,
    active: null,
    published: false,
    previous: null,
    candidate: null,
    moves: 0,
    failure: null,
    work: 0,
    tries: 0,
    unit: 0,
    progress: { percent: 0, note: "" },
    processes: { a: goneProcess, b: goneProcess },
    checks: { number: 0, ...freshChecks },
    reached: false,
    read: 0,
    known: false,
    takenBy: null,
  };
}

export function versionOf(run: Run): VersionPair {
  return { release: run.release.version, config: run.config?.version ?? null };
}

export function isVersion(one: Run, other: Run): boolean {
  return one.release.version === other.release.version && one.config?.version === other.config?.version;
}

/** What is remembered of a desired state by whoever it is for. */
export function acceptedOf(context: InstanceContext, ledgerId: string, revision: number, epoch: number) {
  const isLeft = context.accepted !== null && context.accepted.ledgerId !== ledgerId;
  const accepted = accept(context, ledgerId, revision);
  if (isLeft && context.epochLedgerId !== ledgerId) return { ...accepted, epoch, epochLedgerId: ledgerId };
  return { ...accepted, ...epochSeen(context, { ledgerId, epoch }) };
}

/** The same of an epoch. */
export function epochSeen({ epoch, epochLedgerId }: InstanceContext, heard: HeardEpoch) {
  const later = laterEpoch({ ledgerId: epochLedgerId, epoch }, heard);
  return { epoch: later.epoch, epochLedgerId: later.ledgerId };
}

/** Something else is asked for than what is acted on. */
export function hasNews({ wanted, target }: InstanceContext): boolean {
  if (wanted === null) return false;
  return target === null || wanted.ledgerId !== target.ledgerId || wanted.generation !== target.generation;
}

/** The process that the health checks are about. */
export function watched({ candidate, active }: InstanceContext): Placed | null {
  return candidate ?? active;
}

export function statusIn({ processes }: InstanceContext, placed: Placed | null): ProcessSeen["status"] {
  return placed === null ? "gone" : processes[placed.slot].status;
}

/**
 * Its process does not start because another program has its port meanwhile, and nobody asked for that very port: it can be
 * chosen anew.
 */
export function lostPort({ processes, moves }: InstanceContext, placed: Placed | null): boolean {
  if (placed === null || placed.launch.release.manifest.port !== undefined || moves >= movesMax) return false;
  const { status, fault } = processes[placed.slot];
  return (status === "restarting" || status === "failed") && fault?.code === "PORT_IN_USE";
}

/** The process is not started again by itself, and no other port would help. */
export function hasEnded(context: InstanceContext, placed: Placed | null): boolean {
  return statusIn(context, placed) === "failed" && !lostPort(context, placed);
}

/** The active version is to go on under another port. What is to replace it is waited for first. */
export function mustMove(context: InstanceContext): boolean {
  return context.published && !isApart(context) && lostPort(context, context.active);
}

/** Everything that its record names: none of it is removed by anybody. */
export function neededOf(context: InstanceContext): readonly string[] {
  const { candidate, target, wanted } = context;
  const more = [candidate?.launch, target?.run, wanted?.run].map((run) => run?.release.version);
  return [...new Set([...keepOf(context), ...more.filter((version) => version !== undefined)])];
}

/** What really serves: the active version, while its process is up. */
export function runningOf(context: InstanceContext): VersionPair | null {
  return context.active !== null && statusIn(context, context.active) === "up"
    ? versionOf(context.active.launch)
    : null;
}

/** The slots whose process should not run, and is not known to be gone. */
export function strays({ active, processes }: InstanceContext): readonly Slot[] {
  return slots.filter((slot) => slot !== active?.slot && processes[slot].status !== "gone");
}

/** The candidate has a process of its own. */
export function isApart({ active, candidate }: InstanceContext): boolean {
  return candidate !== null && candidate.slot !== active?.slot;
}

/** The active version's process is to run, does not, and nothing is in its way. */
export function mayRestore(context: InstanceContext): boolean {
  const { active, candidate, target } = context;
  if (active === null || target?.run === null) return false;
  const status = statusIn(context, active);
  if (status !== "gone" && status !== "stopping" && status !== "unknown") return false;
  return (
    !isApart(context) ||
    candidate?.launch.port !== active.launch.port ||
    statusIn(context, candidate) === "gone"
  );
}

/** The slot for a new process: the one that the active version does not have. */
export function freeSlot({ active }: InstanceContext): Slot {
  return active?.slot === "a" ? "b" : "a";
}

export function mayTryAgain({ tries }: InstanceContext, transient: boolean): boolean {
  return transient && tries < triesMax;
}

/** So many checks in a row have failed that the process counts as failed. */
export function isFailing(context: InstanceContext): boolean {
  const process = watched(context);
  return process !== null && context.checks.failures >= process.launch.release.manifest.healthCheck.retries;
}

/**
 * What is said of the service's health. While it is on its way to something newer, nobody is told that the old version
 * fails: that would be taken for a failure of the new one.
 */
export function vitality(context: InstanceContext): "unknown" | "healthy" | "degraded" | "failed" {
  const { failure, reached, candidate, checks } = context;
  const process = watched(context);
  const status = statusIn(context, process);
  if (failure !== null) return "failed";
  if (hasEnded(context, process) || (status === "up" && isFailing(context)))
    return reached || candidate !== null ? "failed" : "unknown";
  return process === null || status !== "up" ? "unknown" : (checks.verdict ?? "unknown");
}

/** What the checks know after one more answer. */
export function judged(
  context: InstanceContext,
  verdict: "healthy" | "degraded" | "unhealthy",
  detail: string,
  atMs: number,
): Checks {
  const { checks, processes } = context;
  const process = watched(context);
  if (process === null) return checks;
  if (verdict !== "unhealthy") {
    const goodSinceMs = verdict === "healthy" ? (checks.goodSinceMs ?? atMs) : null;
    return { ...checks, failures: 0, verdict, detail, goodSinceMs, starting: false };
  }
  const { startPeriodMs } = process.launch.release.manifest.healthCheck;
  const forgiven = checks.starting && atMs - processes[process.slot].upAtMs < startPeriodMs;
  return {
    ...checks,
    failures: checks.failures + (forgiven ? 0 : 1),
    detail,
    goodSinceMs: null,
    starting: forgiven,
  };
}

/** The time until the next check. */
export function pauseMs(context: InstanceContext): number {
  const intervalMs = watched(context)?.launch.release.manifest.healthCheck.intervalMs ?? startIntervalMs;
  return context.checks.starting ? Math.min(intervalMs, startIntervalMs) : intervalMs;
}

/** The releases that are never pruned here, whatever their age. */
export function keepOf({ active, previous, wanted }: InstanceContext): readonly string[] {
  const kept = [active?.launch.release.version, previous?.release, wanted?.stable];
  return [...new Set(kept.filter((version) => typeof version === "string"))];
}
