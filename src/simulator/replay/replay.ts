import { type AuditEvent, chainVerifier, ledgerOf } from "../../ledger/event-chain.js";
import { CaseBook, type RecordedCase } from "./case-book.js";
import { assertWhole } from "./case-check.js";
import { type Decision, decisionsOf, type Names } from "./decisions.js";
import { compare, type Difference } from "./differences.js";
import { dataOf, endingSchema } from "./event-data.js";
import { type Played, play } from "./play.js";
import { type RecordedEvent, takenApart } from "./recorded-event.js";
import { scriptOf } from "./script.js";
import { UnusableLog } from "./unusable-log.js";

/** What a replay says of one deployment and the rollback that followed. */
export interface ReplayedDeployment {
  readonly deployment: string;
  readonly rollback: string | null;
  readonly createdAtMs: number;
  /** How it ended then and would today, its rollback included; `null`: it did not, as far as the log goes. */
  readonly recorded: string | null;
  readonly today: string | null;
  /** Decisions that the log has. */
  readonly decisions: number;
  readonly differences: readonly Difference[];
  /** Instances whose turn came in the moment of an end: whether they were told is chance. */
  readonly close: readonly string[];
  readonly assumed: readonly string[];
}

export interface Replay {
  readonly deployments: readonly ReplayedDeployment[];
  /** Deployments of which the log says too little. */
  readonly unplayed: readonly { readonly deployment: string; readonly why: string }[];
}

/**
 * A log that is read for a replay, event by event: checked for what was changed, sorted by deployments. Events that are missing are no
 * fault, as long as the deployments do not need them.
 */
export class ReplayLog {
  readonly #book = new CaseBook();
  #verify = chainVerifier();
  #last: AuditEvent | undefined;

  /** @throws UnusableLog */
  take(event: AuditEvent, line: number): void {
    const last = this.#last;
    this.#last = event;
    const isSameLedger = last !== undefined && ledgerOf(last) === ledgerOf(event);
    if (isSameLedger && event.sequence <= last.sequence)
      throw new UnusableLog(
        line,
        `event ${event.id} stands behind ${last.id}: events were doubled or reordered`,
      );
    // Behind a gap a chain begins anew.
    if (isSameLedger && event.sequence > last.sequence + 1) this.#verify = chainVerifier();
    const problem = this.#verify(event);
    if (problem !== undefined) throw new UnusableLog(line, problem);
    this.#book.take(takenApart(event, line));
  }

  /**
   * Plays what was read.
   *
   * @param only the one deployment to play; all, if left out
   * @param onProgress told how many of all deployments are done
   * @throws UnusableLog if events that are needed are missing
   */
  async replay(
    only: string | undefined,
    onProgress: (done: number, all: number) => void = () => undefined,
  ): Promise<Replay> {
    const { cases, lastAtMs, unplayed } = this.#book;
    const chosen = cases.filter(({ id, rollback }) => only === undefined || id === only || rollback === only);
    for (const recorded of chosen) assertWhole(recorded);
    const deployments: ReplayedDeployment[] = [];
    for (const recorded of chosen) {
      onProgress(deployments.length, chosen.length);
      deployments.push(await replayOne(recorded, lastAtMs));
    }
    return { deployments, unplayed: [...unplayed].map(([deployment, why]) => ({ deployment, why })) };
  }
}

async function replayOne(recorded: RecordedCase, logEndMs: number): Promise<ReplayedDeployment> {
  const { id, rollback, createdAtMs } = recorded;
  const script = scriptOf(recorded, logEndMs);
  const played = await play(script);
  const then = decisionsOf(recorded.events, new Map([id, rollback].map((name) => [name ?? "", name ?? ""])));
  const now = [...decisionsOf(played.events, namesIn(played, recorded)), ...refusalsOf(played, then)];
  const compared = compare(then, now, script.time, script.isOver ? undefined : script.endMs - lastMomentMs);
  return {
    deployment: id,
    rollback,
    createdAtMs,
    recorded: outcomeOf(recorded.events, id, rollback),
    today: outcomeOf(played.events, played.forward, played.rollback),
    decisions: then.length,
    ...compared,
    assumed: script.assumed,
  };
}

/** Decisions that a log breaks off at: what follows from the last events may just not be in it. */
const lastMomentMs = 5_000;

function namesIn({ forward, rollback }: Played, recorded: RecordedCase): Names {
  const names = new Map<string, string>();
  if (forward !== null) names.set(forward, recorded.id);
  if (rollback !== null) names.set(rollback, recorded.rollback ?? `rollback-of-${recorded.id}`);
  return names;
}

/** What was carried out then and is refused today stands in the place of the event that it had. */
function refusalsOf({ refused }: Played, then: readonly Decision[]): Decision[] {
  return refused.flatMap(({ event, atMs, problem }) => {
    // Nobody asked for it then: what has left by itself has left by itself today too.
    if (event.actor.startsWith("rule:")) return [];
    const kind = event.type.startsWith("instance.") ? "instance" : "deployment";
    const object = `${kind}/${event.id}`;
    const decision = then.find(
      (one) => one.object === object && one.sentence === event.sentence && one.atMs === event.atMs,
    );
    const sentence = `is refused: ${problem}`;
    return decision === undefined ? [] : [{ ...decision, detail: "refused", atMs, sentence }];
  });
}

/** `completed`; `failed, rolled_back` */
function outcomeOf(
  events: readonly RecordedEvent[],
  forward: string | null,
  rollback: string | null,
): string | null {
  const of = (id: string) => {
    const end = events.find((event) => event.type === "deployment.finished" && event.id === id);
    return end === undefined ? "not over" : (dataOf(endingSchema, end).outcome ?? "not over");
  };
  if (forward === null) return null;
  return rollback === null ? of(forward) : `${of(forward)}, ${of(rollback)}`;
}
