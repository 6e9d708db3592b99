import { type HeardEpoch, laterEpoch } from "../../machines/accepted.js";
import { type BackoffRule, backoffMs } from "../../machines/backoff.js";
import { messageOf } from "../base/errors.js";
import type { Subscription, Timer } from "../base/ports.js";
import type { InstanceState } from "../contracts/instance.js";
import { subjectsOf } from "../contracts/subjects.js";
import { adopt, reap } from "./adoption.js";
import { answerAsks, type ReportAsk } from "./asks.js";
import { faultOf, reasonOf } from "./fault.js";
import { type InstanceJournals, InstanceRunner, type InstanceSnapshot } from "./instance-runner.js";
import { type InstanceView, viewOf } from "./instance-view.js";
import type { AgentParts, InstanceOptions } from "./parts.js";
import { Reporter } from "./reporter.js";
import type { Upkeep } from "./upkeep.js";

/** Before an instance whose records could not be written is taken up again. */
const revival: BackoffRule = { firstMs: 1_000, maxMs: 30_000 };
/** Taken up for so long, earlier losses are forgotten. */
const sustainedMs = 60_000;

/**
 * One instance of an agent for as long as the agent runs: its runner, its reports, its answers. When the runner is lost
 * (a full disk, a defect) it makes another from what was last written; the level-triggered desired state does the rest.
 */
export class SupervisedInstance {
  readonly id: string;
  readonly #parts: AgentParts;
  readonly #options: InstanceOptions;
  readonly #upkeep: () => Upkeep;
  readonly #reporter: Reporter;
  #runner: InstanceRunner;
  #asks: Subscription | undefined;
  #again: Timer | undefined;
  /** The epoch whose request was heeded last: what is written of it may lag. */
  #heeded: HeardEpoch = { ledgerId: null, epoch: 0 };
  #losses = 0;
  #beganAtMs: number;
  #closed = false;
  #ending = false;

  constructor(
    parts: AgentParts,
    options: InstanceOptions,
    journals: InstanceJournals,
    { intervalMs, upkeep }: { intervalMs: number; upkeep: () => Upkeep },
  ) {
    this.id = options.id;
    this.#upkeep = upkeep;
    this.#parts = parts;
    this.#options = options;
    this.#beganAtMs = parts.clock.monotonicMs();
    this.#runner = this.#newRunner(journals);
    const { clock, random, bus, agentId: agent, incarnation } = parts;
    const subject = subjectsOf(parts.fleet).health(this.id);
    const formats = parts.formats.report;
    const reporting = {
      clock,
      random,
      bus,
      subject,
      instance: this.id,
      agent,
      incarnation,
      intervalMs,
      formats,
    };
    this.#reporter = new Reporter(reporting, this.view);
  }

  /** What a report would say now. */
  get view(): InstanceView {
    const { agentId, agentVersion, formats } = this.#parts;
    const desiredFormat = formats["desired.instance"].newest;
    const { labels } = this.#options;
    return viewOf(this.#runner.snapshot, { labels, agentId, agentVersion, desiredFormat });
  }

  /** Who runs it now; `undefined` while it waits to be taken up again. */
  get runner(): InstanceRunner | undefined {
    return this.#again === undefined && !this.#closed && !this.#ending ? this.#runner : undefined;
  }

  get reportsSent(): number {
    return this.#reporter.sent;
  }

  /** The longest time that its processes may take to end. */
  get graceMs(): number {
    const { active, candidate } = this.#runner.snapshot.context;
    return Math.max(
      active?.launch.release.manifest.stop.graceMs ?? 0,
      candidate?.launch.release.manifest.stop.graceMs ?? 0,
    );
  }

  get isIdle(): boolean {
    return this.#runner.isIdle;
  }

  start(): void {
    this.#runner.resume();
    this.#asks = answerAsks(this.#parts, this.id, this.#asked());
    this.#reporter.start();
  }

  reconnected(): void {
    this.#runner.reconnected();
    this.#reporter.publish({ whole: true });
  }

  /** Nothing is begun any more, and its processes end; the reports say that nothing serves. */
  endProcesses(): void {
    const { view } = this;
    this.#ending = true;
    this.#again?.cancel();
    this.#runner.endProcesses();
    const state: InstanceState = { ...view.state, health: "UNKNOWN", reason: null, running: null, pid: null };
    this.#reporter.see({ ...view, state, goodSinceMs: null });
  }

  /** The last word, if `lastReport`; then silence. Processes that run go on. */
  close({ lastReport }: { lastReport: boolean }): void {
    this.#closed = true;
    this.#again?.cancel();
    this.#asks?.unsubscribe();
    if (lastReport) this.#reporter.publish({ whole: true });
    this.#reporter.stop();
    this.#runner.close();
  }

  #asked() {
    const known = () => {
      const { epoch, epochLedgerId, accepted } = this.#runner.snapshot.context;
      return laterEpoch({ epoch, ledgerId: epochLedgerId ?? accepted?.ledgerId ?? null }, this.#heeded);
    };
    return {
      get known(): HeardEpoch {
        return known();
      },
      seeEpoch: (heard: HeardEpoch) => {
        this.#heeded = laterEpoch(known(), heard);
        this.#runner.seeEpoch(heard);
      },
      report: ({ intervalMs, reportFormat, generation }: ReportAsk) => {
        if (generation !== undefined && generation > this.view.observedGeneration) this.#runner.readAgain();
        if (intervalMs !== undefined) this.#reporter.reportEvery(intervalMs);
        if (reportFormat !== undefined) this.#reporter.speak(reportFormat);
        return this.#reporter.publish({ whole: true });
      },
      inventory: (host: boolean) => this.#upkeep().inventory(this.id, host),
      mend: (key: string) => this.#upkeep().mend(key),
    };
  }

  #newRunner(journals: InstanceJournals): InstanceRunner {
    const runner: InstanceRunner = new InstanceRunner(this.#parts, this.id, journals, {
      seen: (snapshot) => this.#seen(runner, snapshot),
      lost: (error) => this.#lost(runner, error),
    });
    return runner;
  }

  #seen(runner: InstanceRunner, _: InstanceSnapshot): void {
    if (runner === this.#runner && !this.#closed) this.#reporter.see(this.view);
  }

  /** The reports go on, and say what is wrong with this host. */
  #lost(runner: InstanceRunner, error: unknown): void {
    if (runner !== this.#runner || this.#closed || this.#ending || this.#again !== undefined) return;
    const { view } = this;
    const state: InstanceState = { ...view.state, health: "UNKNOWN", reason: reasonOf(faultOf(error)) };
    const { journals } = runner;
    runner.close();
    this.#reporter.see({ ...view, state, goodSinceMs: null });
    const livedMs = this.#parts.clock.monotonicMs() - this.#beganAtMs;
    this.#losses = livedMs >= sustainedMs ? 1 : this.#losses + 1;
    const waitMs = backoffMs(revival, this.#losses, this.#parts.random.unit());
    this.#parts.log.error(
      { instance: this.id, error: messageOf(error), waitMs },
      "an instance is taken up again from what was last written",
    );
    this.#again = this.#parts.clock.setTimer(waitMs, () => void this.#revive(journals));
  }

  async #revive(written: InstanceJournals): Promise<void> {
    const { processes, records, log } = this.#parts;
    let journals = written;
    try {
      const owned = (await processes.owned()).filter(({ instance }) => instance === this.id);
      const found = await adopt(owned, new Map([[this.id, written]]), records);
      journals = found.journals.get(this.id) ?? written;
      await reap(found.strangers, processes, log);
    } catch (error) {
      log.error(
        { instance: this.id, error: messageOf(error) },
        "the processes of an instance could not be looked through",
      );
    }
    this.#again = undefined;
    if (this.#closed || this.#ending) return;
    this.#beganAtMs = this.#parts.clock.monotonicMs();
    this.#runner = this.#newRunner(journals);
    this.#runner.resume();
    this.#reporter.see(this.view);
  }
}
