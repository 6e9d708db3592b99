import type { Clock } from "../../base/ports.js";
import type { Passing } from "../../bus/memory-bus.js";
import type { InstanceRecord } from "../../contracts/deployment.js";
import type { Report } from "../../contracts/instance.js";
import type { NodeClock } from "../node-clock.js";
import type { AgentNode } from "./agent-node.js";

/** A process, as it ran when its instance reported. */
export interface RunningThen {
  readonly release: string;
  readonly upForMs: number;
  /** A moment ago. */
  readonly hasEnded: boolean;
}

/** A report as it was sent, beside what was true on its host at that moment. */
export interface SeenReport {
  readonly atMs: number;
  readonly report: Report;
  /** What `current` pointed at. */
  readonly current: string | null;
  readonly running: readonly RunningThen[];
  /** The coordinators that have taken it, each as often as it has. */
  readonly takenBy: string[];
}

/** What a coordinator has taken of an instance. */
interface Heard {
  readonly seen: SeenReport;
  readonly atMs: number;
  readonly sinceMs: number;
}

/** Three missed reports and a half of 2 s each: whoever is not heard for so long is silent. */
const windowMs = 7_000;

/** Reports kept of each instance: as many as may wait while a coordinator stands still. */
const keptMax = 128;

/** So long it may take until an agent knows that a process has ended. */
const noticedMs = 50;
/** One that has stood still for longer knows that it has, by a report that should have gone out two seconds ago. */
const unnoticedStallMs = 4_000;

/** Since when an agent may not have noticed anything yet. */
function unnoticedSinceMs({ stood }: Pick<NodeClock, "stood">, monotonicMs: number): number {
  const { fromMs, untilMs } = stood;
  const hasGoneOnNow = monotonicMs - untilMs <= noticedMs && untilMs - fromMs <= unnoticedStallMs;
  return (hasGoneOnNow ? fromMs : monotonicMs) - noticedMs;
}

/** What runs, and what has ended so lately that its agent need not know. */
function runningFor({ host, clock }: Watching, instance: string, monotonicMs: number): RunningThen[] {
  const ended = host.processes.lastEnded(instance);
  const sinceMs = unnoticedSinceMs(clock, monotonicMs);
  const unnoticed = ended !== undefined && ended.atMs >= sinceMs ? [ended.process] : [];
  const living = host.processes.livingOf(instance);
  return [...living, ...unnoticed].map((process) => ({
    release: process.release,
    upForMs: monotonicMs - process.startedAtMs,
    hasEnded: unnoticed.includes(process),
  }));
}

/** What of an agent is looked at. */
type Watching = Pick<AgentNode, "host"> & { readonly clock: Pick<NodeClock, "stood"> };

/** Every report that was sent lately, and who heard whom when. */
export class ReportLog {
  readonly #clock: Clock;
  readonly #agents: ReadonlyMap<string, Watching>;
  readonly #kept = new Map<string, SeenReport[]>();
  readonly #bySending = new WeakMap<Passing, SeenReport>();
  /** The newest report that a coordinator has taken of an instance, and when it was taken: by both. */
  readonly #heard = new Map<string, Map<string, Heard>>();

  constructor(clock: Clock, agents: ReadonlyMap<string, Watching>) {
    this.#clock = clock;
    this.#agents = agents;
  }

  sent(passing: Passing, report: Report): void {
    const { instance } = report;
    const agent = this.#agents.get(instance);
    const monotonicMs = this.#clock.monotonicMs();
    const running = agent === undefined ? [] : runningFor(agent, instance, monotonicMs);
    const current = agent?.host.files.disk(instance).current ?? null;
    const seen: SeenReport = { atMs: this.#clock.nowMs(), report, current, running, takenBy: [] };
    const kept = this.#kept.get(instance) ?? [];
    this.#kept.set(instance, kept);
    kept.push(seen);
    if (kept.length > keptMax) kept.shift();
    this.#bySending.set(passing, seen);
  }

  taken(passing: Passing, by: string): void {
    const taken = this.#bySending.get(passing);
    if (taken === undefined) return;
    taken.takenBy.push(by);
    const heard = this.#heard.get(by) ?? new Map<string, Heard>();
    this.#heard.set(by, heard);
    const { instance } = taken.report;
    const before = heard.get(instance);
    const seen = before !== undefined && before.seen.atMs > taken.atMs ? before.seen : taken;
    const atMs = this.#clock.nowMs();
    const isSilent = before === undefined || atMs - before.atMs > windowMs;
    heard.set(instance, { seen, atMs, sinceMs: isSilent ? atMs : before.sinceMs });
  }

  /** Since when this coordinator hears an instance, as long as it is not silent for it; `undefined`: never. */
  heardSinceMs(by: string, instance: string): number | undefined {
    return this.#heard.get(by)?.get(instance)?.sinceMs;
  }

  /** When this coordinator took a report of the instance last; `undefined`: never. */
  heardAtMs(by: string, instance: string): number | undefined {
    return this.#heard.get(by)?.get(instance)?.atMs;
  }

  /**
   * The report by which a coordinator decided something about an instance: the one that the event names as its cause, else the newest
   * that it had taken of the agent that has the instance; with the state that it says or leaves as it was.
   *
   * @param cause `report:<instance>/<incarnation>/<seq>`, or anything else
   */
  behind(
    by: string,
    { id, agent }: Pick<InstanceRecord, "id" | "agent">,
    cause: string,
  ): FoundReport | undefined {
    const [, incarnation, seq] = /^report:[^/]+\/([^/]+)\/(\d+)$/.exec(cause) ?? [];
    let found: FoundReport | undefined;
    for (const seen of this.#kept.get(id)?.toReversed() ?? []) {
      const { report } = seen;
      if (found === undefined) {
        const isIt =
          incarnation === undefined
            ? report.agent === agent && seen.takenBy.includes(by)
            : report.incarnation === incarnation && report.seq === Number(seq);
        if (isIt) found = { seen, report };
      } else if (report.state !== undefined && report.digest === found.report.digest)
        found = { seen: found.seen, report: { ...found.report, state: report.state } };
      if (found?.report.state !== undefined) return found;
    }
    return found;
  }
}

interface FoundReport {
  readonly seen: SeenReport;
  readonly report: Report;
}
