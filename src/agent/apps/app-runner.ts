import type { SnapshotFrom } from "xstate";
import { appMachine } from "../../../machines/app.js";
import { type AppCommand, type HowHeard, initStatusOf, isStarting } from "../../../machines/app-facts.js";
import type { KnownApp } from "../../../machines/app-list.js";
import type { DesiredApp } from "../../contracts/app.js";
import type { Actor } from "../../runtime/actor.js";
import { JournalWriter } from "../journal-writer.js";
import {
  type AppJournal,
  type AppMarks,
  appFromJournal,
  appJournalId,
  appJournalKind,
  appJournalOf,
} from "./app-journal.js";
import type { AppParts } from "./app-parts.js";
import { failureOf } from "./failure.js";

/** Calls of one app that were given up and have not ended: with so many nothing more is begun; what ends it is still tried. */
const openCallsMax = { starting: 16, ending: 64 };

export type AppSnapshot = SnapshotFrom<typeof appMachine>;
type Called = Extract<AppCommand, { type: "call" }>;

/** Whom a runner tells what becomes of its app. */
export interface AppRunnerOwner {
  seen(app: string, snapshot: AppSnapshot): void;
  /** What was said of the app, for its record. */
  marksOf(app: string): AppMarks;
  /** Its record could not be written, or its machine failed too often: it has to begin anew from what was written. */
  lost(app: string, error: unknown): void;
}

/** Runs the actor of one app: does what its machine asks of the engine, and brings it what became of that. It decides nothing. */
export class AppRunner {
  readonly app: string;
  readonly #parts: AppParts;
  readonly #journal: JournalWriter;
  readonly #actor: Actor<typeof appMachine>;
  readonly #calls = new Map<number, AbortController>();
  #closed = false;

  constructor(parts: AppParts, app: string, saved: AppJournal | undefined, owner: AppRunnerOwner) {
    this.app = app;
    this.#parts = parts;
    const { instance, limitsMs } = parts;
    this.#journal = new JournalWriter(parts.records, appJournalKind, appJournalId(instance, app), saved);
    this.#actor = parts.host.spawn({
      kind: `app.${app}`,
      id: instance,
      machine: appMachine,
      input: { app, limitsMs },
      ...(saved !== undefined && { restored: appFromJournal(saved, limitsMs) }),
      perform: (command) => this.#perform(command),
      onTransition: (snapshot) => owner.seen(app, snapshot),
      durable: {
        recordOf: (snapshot) => appJournalOf(snapshot, owner.marksOf(app)),
        save: (record) => this.#journal.save(record),
        onSaveFailed: (error) => owner.lost(app, error),
      },
      supervision: { onGiveUp: (error) => owner.lost(app, error) },
      publicView: ({ context }) => ({
        desiredStatus: context.wanted?.desiredStatus ?? null,
        initStatus: initStatusOf(context),
        generation: context.wanted?.generation ?? 0,
        version: context.wanted?.content.version ?? null,
        attempts: context.attempts,
        failure: context.failure?.code ?? null,
      }),
    });
  }

  get snapshot(): AppSnapshot {
    return this.#actor.snapshot();
  }

  /** What was last written of it. */
  get saved(): AppJournal | undefined {
    return this.#journal.saved as AppJournal | undefined;
  }

  /** What it has heard. */
  get known(): KnownApp {
    const { accepted, wanted } = this.snapshot.context;
    return { ledgerId: accepted?.ledgerId ?? null, generation: wanted?.generation ?? 0 };
  }

  desired(state: DesiredApp, revision: number, heard: HowHeard): void {
    this.#actor.send({ type: "desired", state, revision, heard });
  }

  missing(ledgerId: string, revision: number): void {
    this.#actor.send({ type: "missing", ledgerId, revision });
  }

  resume(): void {
    this.#actor.send({ type: "resume", unit: this.#parts.random.unit() });
  }

  /** @returns false if nothing failed that could be tried again */
  retry(): boolean {
    const { value } = this.snapshot;
    return (value === "backoff" || value === "stopped") && this.#actor.send({ type: "retry" });
  }

  ended(why: unknown): void {
    const failure = failureOf(this.app, why, "APP_ENDED");
    this.#actor.send({ type: "ended", failure, unit: this.#parts.random.unit() });
  }

  halt(): void {
    this.#actor.send({ type: "halt" });
  }

  /** Lets go of it, with whatever of it runs. */
  close(): void {
    this.#closed = true;
    for (const abort of this.#calls.values()) abort.abort();
    this.#actor.stop();
    this.#parts.turns.end(this.app);
  }

  #perform(command: AppCommand): void {
    const { turns } = this.#parts;
    switch (command.type) {
      case "askTurn":
        turns.ask(this.app, command.repeat, () => this.#turn());
        break;
      case "endTurn":
        turns.end(this.app);
        break;
      case "cancel":
        this.#calls.get(command.number)?.abort();
        break;
      case "call":
        void this.#call(command);
    }
  }

  /** It may be over meanwhile: what gives the turn back is told once that is written. */
  #turn(): void {
    if (this.snapshot.status === "active") this.#actor.send({ type: "turn" });
  }

  async #call({ number, verb, content }: Called): Promise<void> {
    const { engine, random } = this.#parts;
    const abort = new AbortController();
    try {
      const openMax = openCallsMax[isStarting(verb) ? "starting" : "ending"];
      if (this.#calls.size >= openMax) throw new Error(`${openMax} earlier calls have not ended`);
      this.#calls.set(number, abort);
      await engine[verb]({ app: this.app, ...content }, abort.signal);
      if (!this.#closed) this.#actor.send({ type: "done", number });
    } catch (thrown) {
      const failure = failureOf(this.app, thrown);
      if (!this.#closed) this.#actor.send({ type: "failed", number, failure, unit: random.unit() });
    } finally {
      this.#calls.delete(number);
    }
  }
}
