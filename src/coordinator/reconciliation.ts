import {
  type ReconciliationCommand,
  reconciliationMachine,
  type Treated,
  type Wish,
} from "../../machines/reconciliation.js";
import { messageOf } from "../base/errors.js";
import { refusal } from "../contracts/errors.js";
import type { FleetEvent } from "../contracts/event-types.js";
import type { Mended } from "../contracts/inventory.js";
import { keys } from "../contracts/keys.js";
import { byUser, type Origin } from "../contracts/origin.js";
import {
  type ReconciliationCounts,
  type ReconciliationRecord,
  type ReconciliationReport,
  reconciledItemsMax,
} from "../contracts/reconciliation.js";
import type { Actor } from "../runtime/actor.js";
import { gatherFacts, type ReconciliationParts } from "./reconciliation-facts.js";
import { soon } from "./soon.js";
import { Treatment } from "./treatment.js";

/** How long an answer waits for the end before it says that it is under way. */
const answerWithinMs = 1_500;
/** Reports of those that are over, for who asks again. */
const reportsMax = 8;

export interface ReconcileRequest {
  readonly dryRun: boolean;
  readonly epoch?: number | undefined;
  readonly by: string;
  readonly reason: string | null;
  readonly requestKey?: string | undefined;
}

/** One that somebody asked for, or that was due. */
interface Run {
  readonly requestKey: string | null;
  readonly wish: Wish;
  readonly startedAtMs: number;
  readonly origin: Origin;
  readonly over: Promise<ReconciliationReport>;
  readonly settle: { done(report: ReconciliationReport): void; failed(error: unknown): void };
}

/** The reconciliations of a leader: does what `machines/reconciliation.ts` says, and answers who asks for one. */
export class Reconciliation {
  readonly #parts: ReconciliationParts;
  readonly #treatment: Treatment;
  readonly #everyMs: number;
  #actor: Actor<typeof reconciliationMachine> | undefined;
  #run: Run | undefined;
  readonly #over: { readonly requestKey: string | null; readonly report: ReconciliationReport }[] = [];
  #stopped = false;

  constructor(parts: ReconciliationParts, everyMs: number) {
    this.#parts = parts;
    this.#everyMs = everyMs;
    this.#treatment = new Treatment(parts);
  }

  start(): void {
    const { term } = this.#parts;
    this.#actor = term.host.spawn({
      kind: "reconciliation",
      // The one of an earlier term may still be at its end.
      id: `epoch-${term.leadership.epoch}`,
      machine: reconciliationMachine,
      input: { everyMs: this.#everyMs, unit: term.random.unit() },
      perform: (command) => this.#perform(command),
      publicView: ({ context: { run, wish, todo, treated } }) => ({
        run,
        wish,
        todo: todo.length,
        treated: treated.length,
        counters: { ...term.counters },
      }),
      onTransition: ({ status }) => {
        if (status === "done") term.clock.setTimer(0, () => this.#actor?.stop());
      },
    });
  }

  /** The leadership is over: what is under way ends with what was begun, and whoever waits for it is told. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    // Whoever waits must not wait for a turn that this process may not have any more.
    this.#interrupt(this.#actor?.snapshot().context.treated ?? []);
    this.#actor?.send({ type: "lost" });
  }

  /**
   * Begins one, or answers about the one that was asked for with the same key.
   * @throws RollcallError `RECONCILIATION_UNDER_WAY`, `RECONCILIATION_INTERRUPTED`, `RECONCILIATION_FAILED`
   */
  async reconcile(request: ReconcileRequest): Promise<ReconciliationReport> {
    const { term } = this.#parts;
    const { requestKey = null, dryRun, by, reason, epoch } = request;
    if (epoch !== undefined && epoch !== term.leadership.epoch)
      throw refusal("RECONCILIATION_INTERRUPTED", { after: "" });
    const over = requestKey === null ? undefined : this.#over.find((one) => one.requestKey === requestKey);
    if (over !== undefined) return over.report;
    const running = this.#run;
    if (running !== undefined) {
      if (requestKey === null || running.requestKey !== requestKey)
        throw refusal("RECONCILIATION_UNDER_WAY", { by: running.wish.by });
      return await this.#answer(running);
    }
    const wish = { dryRun, by, reason };
    const run = this.#begin(wish, requestKey, byUser(by, requestKey ?? term.random.id()));
    if (this.#actor?.send({ type: "reconcile", wish }) !== true) this.#interrupt([]);
    return await this.#answer(run);
  }

  #begin(wish: Wish, requestKey: string | null, origin: Origin): Run {
    let settle: Run["settle"] | undefined;
    const over = new Promise<ReconciliationReport>((done, failed) => {
      settle = { done, failed };
    });
    // Nobody may be waiting for it.
    over.catch(() => undefined);
    const startedAtMs = this.#parts.term.nowMs();
    const run: Run = { requestKey, wish, startedAtMs, origin, over, settle: settle as Run["settle"] };
    this.#run = run;
    return run;
  }

  async #answer(run: Run): Promise<ReconciliationReport> {
    const report = await soon(this.#parts.term.clock, run.over, answerWithinMs);
    return report ?? this.#reportOf(run, this.#actor?.snapshot().context.treated ?? [], "underWay");
  }

  #perform(command: ReconciliationCommand): void {
    // Decided just before the leadership was lost.
    if (this.#stopped && (command.type === "gather" || command.type === "treat")) return;
    switch (command.type) {
      case "gather":
        this.#takeUp(command.wish);
        void this.#gather(command.run);
        break;
      case "treat":
        void this.#treat(command);
        break;
      case "report":
        void this.#finish(command.treated);
        break;
      case "giveUp":
        this.#fail(refusal("RECONCILIATION_FAILED", { problem: command.problem }));
        break;
      case "interrupted":
        this.#interrupt(command.treated);
        break;
    }
  }

  /** One that was due was not asked for, and may come before one that was. */
  #takeUp(wish: Wish): void {
    if (this.#run?.wish === wish) return;
    this.#run?.settle.failed(refusal("RECONCILIATION_UNDER_WAY", { by: wish.by }));
    this.#begin(wish, null, this.#parts.term.ownOrigin);
  }

  async #gather(run: number): Promise<void> {
    try {
      const facts = await gatherFacts(this.#parts, () => this.#stopped);
      this.#actor?.send({ type: "gathered", run, facts });
    } catch (error) {
      this.#actor?.send({ type: "gatheringFailed", run, problem: messageOf(error) });
    }
  }

  async #treat({ run, item }: Extract<ReconciliationCommand, { type: "treat" }>): Promise<void> {
    const { log, ownOrigin } = this.#parts.term;
    const treated = await this.#treatment
      .treat(item, this.#run?.origin ?? ownOrigin)
      .catch((error: unknown): Mended => ({ outcome: "failed", why: messageOf(error) }));
    if (this.#stopped) return;
    const { outcome, why } = treated;
    log.info(
      { object: item.object, what: item.what, outcome, why },
      "a reconciliation has treated something",
    );
    this.#actor?.send({ type: "treated", run, outcome, why: why.slice(0, 1_024) });
  }

  async #finish(treated: readonly Treated[]): Promise<void> {
    const run = this.#run;
    if (run === undefined) return;
    const { term } = this.#parts;
    const report = this.#reportOf(run, treated, "over");
    try {
      if (!run.wish.dryRun) await this.#record(run, report);
    } catch (error) {
      // The term ends with a write that failed.
      term.log.debug({ error: messageOf(error) }, "the end of a reconciliation was not written");
      return;
    }
    this.#over.push({ requestKey: run.requestKey, report });
    if (this.#over.length > reportsMax) this.#over.shift();
    this.#run = undefined;
    run.settle.done(report);
  }

  async #record(run: Run, { startedAtMs, tookMs, counts }: ReconciliationReport): Promise<void> {
    const { term } = this.#parts;
    const { by, reason } = run.wish;
    const record: ReconciliationRecord = { format: 1, by, startedAtMs, tookMs, counts };
    const event: FleetEvent = {
      kind: "fleet",
      id: term.fleet,
      type: "fleet.reconciled",
      data: { ...counts, tookMs, ...(reason === null ? {} : { reason }) },
      ...run.origin,
    };
    await term.writer.add({ puts: [{ key: keys.reconciliation, value: record }], events: [event] });
    term.catalog.reconciliation = record;
    term.counters.reconciliations++;
    if (counts.found > 0) term.log.info({ ...counts, by, tookMs }, "the fleet was reconciled");
  }

  #fail(error: unknown): void {
    const run = this.#run;
    this.#run = undefined;
    if (run === undefined) return;
    this.#parts.term.log.warn(
      { error: messageOf(error), by: run.wish.by },
      "a reconciliation did not come to its end",
    );
    run.settle.failed(error);
  }

  #interrupt(treated: readonly Treated[]): void {
    const done = treated.filter(({ outcome }) => outcome === "done" || outcome === "gone").length;
    this.#fail(refusal("RECONCILIATION_INTERRUPTED", { after: `; ${done} things were done before` }));
  }

  #reportOf(
    run: Run,
    treated: readonly Treated[],
    state: ReconciliationReport["state"],
  ): ReconciliationReport {
    const { term } = this.#parts;
    const shown = treated.slice(0, reconciledItemsMax);
    return {
      state,
      epoch: term.leadership.epoch,
      dryRun: run.wish.dryRun,
      by: run.wish.by,
      startedAtMs: run.startedAtMs,
      tookMs: Math.max(0, term.nowMs() - run.startedAtMs),
      counts: countsOf(treated),
      items: shown.map(({ item: { object, what }, outcome, why }) => ({
        object: object.slice(0, 256),
        what: what.slice(0, 512),
        outcome,
        why: why.slice(0, 1_024),
      })),
      more: treated.length - shown.length,
    };
  }
}

function countsOf(treated: readonly Treated[]): ReconciliationCounts {
  const counts = { found: treated.length, planned: 0, done: 0, gone: 0, left: 0, failed: 0 };
  for (const { outcome } of treated) counts[outcome]++;
  return counts;
}
