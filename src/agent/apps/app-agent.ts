import type { HeardEpoch } from "../../../machines/accepted.js";
import { type CallLimits, defaultLimitsMs, type HowHeard } from "../../../machines/app-facts.js";
import { messageOf } from "../../base/errors.js";
import { byName } from "../../base/name-order.js";
import type { Subscription } from "../../base/ports.js";
import type { DesiredApp } from "../../contracts/app.js";
import { appsMax } from "../../contracts/app-limits.js";
import type { AppExplanation, AppReportAsk, AppRetryAnswer, AppState } from "../../contracts/app-report.js";
import { refusal } from "../../contracts/errors.js";
import { idSchema } from "../../contracts/names.js";
import { currentFormats, type Formats } from "../../contracts/record-formats.js";
import { subjectsOf } from "../../contracts/subjects.js";
import { createActorHost } from "../../runtime/actor-host.js";
import { type Complaint, Complaints } from "../complaints.js";
import { answerAppAsks } from "./app-asks.js";
import { AppBook } from "./app-book.js";
import { AppFeed } from "./app-feed.js";
import {
  type AppJournal,
  appJournalId,
  appJournalKind,
  appOfJournalId,
  readAppJournal,
} from "./app-journal.js";
import type { AppAgentPorts, AppParts } from "./app-parts.js";
import { AppReporter } from "./app-reporter.js";
import { AppRevivals } from "./app-revivals.js";
import { AppRunner, type AppSnapshot } from "./app-runner.js";
import { AppTurns } from "./app-turns.js";

export interface AppAgentOptions {
  readonly fleet: string;
  /** The instance whose apps these are. */
  readonly instance: string;
  /** The version of the program, in reports. */
  readonly agentVersion: string;
  /** The longest that each call of the engine may take. Default: install 120 s, uninstall 60 s, the others 30 s. */
  readonly limitsMs?: Partial<CallLimits>;
  /** Until a coordinator assigns another: time between two reports. Default 2,000. */
  readonly reportIntervalMs?: number;
  /** The formats that it knows. Default: those of this version; tests of upgrades give others. */
  readonly formats?: Formats;
}

export interface AppAgentStats {
  readonly apps: number;
  readonly reportsSent: number;
  /** What went wrong or was not acted on, counted since the start. */
  readonly complaints: Readonly<Record<Complaint, number>>;
}

/** Runs the apps of one instance, as administrators want them. */
export interface AppAgent {
  /**
   * Takes up what its records tell, reads what is asked, and brings every app to it. Resolves when it works, which needs no connection.
   *
   * @throws RollcallError `BAD_NAME` the instance's id, `LEDGER_NEWER` a newer Rollcall has written the records
   */
  start(): Promise<void>;
  /** Disables whatever runs, and is silent then. With `leave` the control plane forgets the instance. */
  stop(options?: { readonly leave?: boolean }): Promise<void>;
  /** What an app has come to here; `undefined` for one that was never asked for. */
  stateOf(app: string): AppState | undefined;
  /** All of them, by name. */
  states(): readonly AppState[];
  readonly stats: AppAgentStats;
}

const reportIntervalMs = 2_000;
/** How long a departing instance waits for the control plane to take note. */
const leaveMaxMs = 2_000;
const endSlackMs = 1_000;

/**
 * Makes an agent of the apps of one instance; it does nothing before `start`.
 *
 * @example
 * const agent = createAppAgent(
 *   { clock, random, log, bus, ledger, engine, records },
 *   { fleet: "default", instance: "web-1", agentVersion: "1.0.0" },
 * );
 * await agent.start();
 */
export function createAppAgent(ports: AppAgentPorts, options: AppAgentOptions): AppAgent {
  return new InstanceApps(ports, options);
}

class InstanceApps implements AppAgent {
  readonly #parts: AppParts;
  readonly #ownsHost: boolean;
  readonly #runners = new Map<string, AppRunner>();
  readonly #book: AppBook;
  readonly #feed: AppFeed;
  readonly #reporter: AppReporter;
  readonly #revivals: AppRevivals;
  /** What this process has heard last of each app: its record may not know it, for want of room. */
  readonly #heard = new Map<string, (runner: AppRunner) => void>();
  readonly #subscriptions: Subscription[] = [];
  /** That the states in the book are compared with. */
  #ledgerId: string | null = null;
  #isAwake = false;
  #state: "fresh" | "running" | "stopping" | "stopped" = "fresh";
  #whenEmpty: (() => void) | undefined;

  constructor(ports: AppAgentPorts, options: AppAgentOptions) {
    this.#ownsHost = ports.host === undefined;
    this.#parts = partsOf(ports, options);
    this.#revivals = new AppRevivals(ports);
    this.#book = new AppBook(() => ports.clock.nowMs());
    this.#feed = new AppFeed(this.#parts, {
      desired: (state, revision, heard) => this.#desired(state, revision, heard),
      missing: (app, ledgerId, revision) => this.#hear(app, (runner) => runner.missing(ledgerId, revision)),
      known: () => new Map([...this.#runners].map(([app, { known }]) => [app, known] as const)),
      ready: () => this.#wake(),
      moved: () => this.#moved(),
    });
    const reported = { book: this.#book, feed: this.#feed };
    this.#reporter = new AppReporter(this.#parts, reported, options.reportIntervalMs ?? reportIntervalMs);
  }

  get stats(): AppAgentStats {
    const { complaints } = this.#parts;
    return { apps: this.#book.count, reportsSent: this.#reporter.sent, complaints: complaints.counts };
  }

  stateOf(app: string): AppState | undefined {
    return this.#book.state(app);
  }

  states(): readonly AppState[] {
    return this.#book.states().sort((one, other) => byName(one.app, other.app));
  }

  async start(): Promise<void> {
    if (this.#state !== "fresh")
      throw refusal("BAD_REQUEST", { problem: "an agent is started once; make another" });
    this.#state = "running";
    for (const journal of await this.#journals()) this.#run(journal.app, journal);
    if (this.#state !== "running") return;
    const { bus, engine } = this.#parts;
    engine.onEnded?.((app, why) => this.#runners.get(app)?.ended(why));
    this.#subscriptions.push(
      bus.onStatus((status) => {
        if (status === "reconnected") this.#reconnected();
      }),
      answerAppAsks(this.#parts, this.#asked()),
    );
    this.#feed.start();
    this.#reporter.start();
  }

  async stop({ leave = false }: { readonly leave?: boolean } = {}): Promise<void> {
    if (this.#state === "stopping" || this.#state === "stopped") return;
    const wasRunning = this.#state === "running";
    this.#state = "stopping";
    this.#feed.close();
    this.#reporter.stop();
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.#revivals.stop();
    if (wasRunning && this.#isAwake) await this.#endApps();
    this.#state = "stopped";
    for (const runner of this.#runners.values()) runner.close();
    this.#parts.turns.close();
    this.#parts.engine.close?.();
    if (this.#ownsHost) this.#parts.host.stop();
    if (wasRunning && leave) await this.#leave();
  }

  async #journals(): Promise<AppJournal[]> {
    const { records, instance, complaints } = this.#parts;
    const journals: AppJournal[] = [];
    for (const { id, record } of await records.load(appJournalKind)) {
      const app = appOfJournalId(instance, id);
      if (app === undefined) continue;
      const journal = readAppJournal(id, record);
      if (journal?.app === app) journals.push(journal);
      else
        complaints.add(
          "journalUnreadable",
          id,
          {},
          "the record of an app cannot be read; it is taken from what is asked",
        );
    }
    return journals;
  }

  #run(app: string, journal: AppJournal | undefined): AppRunner {
    const runner: AppRunner = new AppRunner(this.#parts, app, journal, {
      seen: (_, snapshot) => this.#seen(runner, snapshot),
      marksOf: (name) => this.#book.marksOf(name),
      lost: (_, error) => this.#lost(runner, error),
    });
    this.#runners.set(app, runner);
    if (journal !== undefined) this.#book.remember(app, journal, runner.snapshot, this.#feed.ledgerId);
    return runner;
  }

  #desired(state: DesiredApp, revision: number, heard: HowHeard): void {
    const { app } = state;
    const known = this.#runners.get(app);
    if (known === undefined && this.#runners.size >= appsMax) {
      const { complaints, instance } = this.#parts;
      complaints.add("desiredGarbage", instance, { app, max: appsMax }, "there are too many apps");
      return;
    }
    const runner = known ?? this.#run(app, undefined);
    this.#hear(app, (told) => told.desired(state, revision, heard));
    if (known === undefined && this.#isAwake) runner.resume();
  }

  #hear(app: string, tell: (runner: AppRunner) => void): void {
    const runner = this.#runners.get(app);
    if (runner === undefined) return;
    this.#heard.set(app, tell);
    tell(runner);
  }

  #wake(): void {
    this.#isAwake = true;
    for (const runner of this.#runners.values()) runner.resume();
  }

  #moved(): void {
    if (this.#feed.ledgerId !== this.#ledgerId) {
      this.#ledgerId = this.#feed.ledgerId;
      for (const [app, { snapshot }] of this.#runners) this.#see(app, snapshot);
    }
    this.#reporter.moved();
  }

  #reconnected(): void {
    this.#feed.readAgain();
    this.#reporter.publish({ whole: false });
  }

  #seen(runner: AppRunner, snapshot: AppSnapshot): void {
    const { app } = runner;
    if (this.#runners.get(app) !== runner) return;
    // What the end of this process does to its apps is no change of theirs.
    if (this.#state === "running") this.#see(app, snapshot);
    if (snapshot.status === "done") this.#parts.clock.setTimer(0, () => void this.#over(runner));
  }

  #see(app: string, snapshot: AppSnapshot): void {
    if (this.#book.see(app, snapshot, this.#feed.ledgerId)) this.#reporter.changed(app);
  }

  async #over(runner: AppRunner): Promise<void> {
    const { app } = runner;
    const { records, instance, log } = this.#parts;
    runner.close();
    this.#runners.delete(app);
    this.#heard.delete(app);
    if (this.#runners.size === 0) this.#whenEmpty?.();
    const { dropped, mayBeHere } = runner.snapshot.context;
    // One that could not be uninstalled before this process ends still is, by the next.
    if (!dropped || mayBeHere) return;
    this.#book.forget(app);
    this.#reporter.changed(app);
    try {
      await records.remove(appJournalKind, appJournalId(instance, app));
    } catch (error) {
      log.warn({ app, error: messageOf(error) }, "the record of an app that is gone could not be removed");
    }
  }

  #lost(runner: AppRunner, error: unknown): void {
    const { app } = runner;
    if (this.#runners.get(app) !== runner || this.#state !== "running") return;
    const waitMs = this.#revivals.lost(app, () => {
      runner.close();
      const next = this.#run(app, runner.saved);
      this.#heard.get(app)?.(next);
      next.resume();
      this.#feed.readAgain();
    });
    this.#parts.log.error(
      { app, error: messageOf(error), waitMs },
      "an app is taken up again from what was last written",
    );
  }

  #asked() {
    const feed = this.#feed;
    return {
      get known(): HeardEpoch {
        return feed.epoch;
      },
      seeEpoch: (heard: HeardEpoch) => feed.seeEpoch(heard),
      report: (ask: AppReportAsk) => this.#reportAsked(ask),
      retry: (apps: readonly string[] | null) => this.#retry(apps),
      explain: (app: string) => this.#explain(app),
    };
  }

  #reportAsked({ intervalMs, reportFormat, generation, ledgerId, changesAfter }: AppReportAsk): unknown {
    if (generation !== undefined) this.#feed.told(generation, ledgerId);
    if (intervalMs !== undefined) this.#reporter.reportEvery(intervalMs);
    if (reportFormat !== undefined) this.#reporter.speak(reportFormat);
    if (changesAfter === undefined) return this.#reporter.publish({ whole: true });
    const isOurs = changesAfter.log === this.#parts.incarnation;
    return this.#reporter.publish({ whole: true, changesAfter: isOurs ? changesAfter.number : 0 });
  }

  #retry(apps: readonly string[] | null): AppRetryAnswer {
    const retried: string[] = [];
    for (const app of apps ?? this.#runners.keys()) if (this.#runners.get(app)?.retry()) retried.push(app);
    return { retried, left: (apps ?? []).filter((app) => !retried.includes(app)) };
  }

  #explain(app: string): AppExplanation {
    const snapshot = this.#runners.get(app)?.snapshot;
    const failure = snapshot?.context.failure ?? null;
    const wanted = snapshot?.context.wanted ?? null;
    return {
      state: this.#book.state(app) ?? null,
      doing: snapshot === undefined ? "nothing is known of it" : doingOf(snapshot),
      reason: failure === null ? null : { code: failure.code, message: failure.message },
      asked: wanted && { desiredStatus: wanted.desiredStatus, content: wanted.content },
    };
  }

  /** Has everything that runs disabled, for as long as a call may take at most. */
  async #endApps(): Promise<void> {
    if (this.#runners.size === 0) return;
    const { clock, limitsMs, log } = this.#parts;
    const over = new Promise<void>((resolve) => {
      const limit = clock.setTimer(limitsMs.disable + endSlackMs, resolve);
      this.#whenEmpty = () => {
        limit.cancel();
        resolve();
      };
    });
    for (const runner of this.#runners.values()) runner.halt();
    await over;
    if (this.#runners.size > 0)
      log.error({ apps: [...this.#runners.keys()] }, "some apps could not be disabled in time");
  }

  /** Without an answer the control plane forgets the instance by its silence, a day later. */
  async #leave(): Promise<void> {
    const { bus, fleet, instance, log } = this.#parts;
    const body = JSON.stringify({ instance, by: `instance ${instance}`, reason: "it has left the fleet" });
    try {
      await bus.request(subjectsOf(fleet).api("apps", "forget"), body, { timeoutMs: leaveMaxMs });
    } catch (error) {
      log.warn(
        { instance, error: messageOf(error) },
        "the control plane could not be told that an instance leaves",
      );
    }
  }
}

function partsOf(ports: AppAgentPorts, options: AppAgentOptions): AppParts {
  const { clock, random, log, bus } = ports;
  const { fleet, instance, agentVersion, limitsMs, formats = currentFormats } = options;
  if (!idSchema.safeParse(instance).success)
    throw refusal("BAD_NAME", { what: "The instance", name: instance, rule: idSchema.meta()?.description });
  const answersFor = [{ kind: "*", id: instance }];
  const host =
    ports.host ??
    createActorHost({ node: instance, clock, random, log, bus, subjects: subjectsOf(fleet), answersFor });
  return {
    ...ports,
    host,
    fleet,
    instance,
    agentVersion,
    incarnation: random.id(),
    limitsMs: { ...defaultLimitsMs, ...limitsMs },
    turns: new AppTurns(clock),
    complaints: new Complaints(clock, log),
    formats,
  };
}

/** What is done with an app now, for people. */
function doingOf({ value, context }: AppSnapshot): string {
  if (typeof value === "object") return `${value.working}, call ${context.number}`;
  const words = {
    asleep: "it waits for what is asked to be read",
    resting: "it is as asked",
    queueing: "it waits for its turn",
    backoff: `it has failed ${context.attempts} times and is tried again`,
    stopped: "it is tried again when it changes, or when somebody asks",
    over: "nothing of it is left",
  } as const;
  return words[value];
}
