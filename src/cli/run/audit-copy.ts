import { messageOf } from "../../base/errors.js";
import type { Clock, Log, Subscription } from "../../base/ports.js";
import type { AuditEntry, AuditLog } from "../../ledger/audit-log.js";
import { ledgerOf } from "../../ledger/event-chain.js";
import { AuditFile, type LastEvent } from "./audit-file.js";

const tryAgainMs = 5_000;
const sayEveryMs = 60_000;

/** Copies the audit log into a file, from where that was left off, until it is stopped; what goes wrong is said and tried again. */
export class AuditCopy {
  readonly #audit: AuditLog;
  readonly #path: string;
  readonly #file: AuditFile;
  readonly #clock: Clock;
  readonly #log: Log;
  #following: Subscription | undefined;
  #retry: { cancel(): void } | undefined;
  /** The end of what is being done. */
  #work: Promise<void>;
  #stopped = false;
  #saidAtMs: number | undefined;

  constructor(parts: {
    readonly audit: AuditLog;
    readonly path: string;
    readonly clock: Clock;
    readonly log: Log;
  }) {
    this.#audit = parts.audit;
    this.#path = parts.path;
    this.#file = new AuditFile(parts.path);
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#work = this.#begin();
  }

  /** Resolves when the file is closed. What has not been copied yet is copied by the next one. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#retry?.cancel();
    this.#following?.unsubscribe();
    await this.#work;
    await this.#file.close();
  }

  async #begin(): Promise<void> {
    try {
      const last = await this.#file.open();
      const after = last === undefined ? 0 : await positionOf(this.#audit, last);
      if (this.#stopped) return;
      this.#following = this.#audit.follow(
        after,
        {},
        {
          handle: (entries) => this.#inTurn(entries),
          onProblem: (problem) => this.#say(problem),
        },
      );
    } catch (problem) {
      this.#say(problem);
      if (this.#stopped) return;
      this.#retry = this.#clock.setTimer(tryAgainMs, () => {
        this.#work = this.#begin();
      });
    }
  }

  #inTurn(entries: readonly AuditEntry[]): Promise<void> {
    const done = this.#append(entries);
    this.#work = done.catch(() => undefined);
    return done;
  }

  async #append(entries: readonly AuditEntry[]): Promise<void> {
    const { hasGap } = await this.#file.append(entries.map(({ event }) => event));
    const path = this.#path;
    if (hasGap)
      this.#log.error({ path }, "NATS dropped events before they were copied: the audit file has a gap");
    if (this.#saidAtMs === undefined) return;
    this.#saidAtMs = undefined;
    this.#log.info({ path }, "the audit file is written again, and has caught up with nothing left out");
  }

  /** Once a minute, however often it is tried. */
  #say(problem: unknown): void {
    const now = this.#clock.monotonicMs();
    if (this.#saidAtMs !== undefined && now - this.#saidAtMs < sayEveryMs) return;
    this.#saidAtMs = now;
    const facts = { path: this.#path, problem: messageOf(problem) };
    this.#log.error(
      facts,
      "events are not copied into the audit file; they are as soon as that is possible again",
    );
  }
}

/** Where in the stream an event stands; 0 if it is not there any more. */
async function positionOf(audit: AuditLog, last: LastEvent): Promise<number> {
  const isIt = (entry: AuditEntry | undefined) =>
    entry !== undefined && ledgerOf(entry.event) === last.ledgerId && entry.event.sequence === last.sequence;
  const newest = await audit.at(await audit.end());
  if (newest === undefined) return 0;
  // Within one ledger events have the same distance in its chain and in the stream.
  const guess = newest.position - (newest.event.sequence - last.sequence);
  if (guess > 0 && isIt(await audit.at(guess))) return guess;
  for await (const entry of audit.read()) if (isIt(entry)) return entry.position;
  return 0;
}
