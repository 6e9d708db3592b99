import type { Timer } from "../../base/ports.js";
import { appChangesMax } from "../../contracts/app-limits.js";
import type { AppChange, AppReport } from "../../contracts/app-report.js";
import { subjectsOf } from "../../contracts/subjects.js";
import type { AppBook } from "./app-book.js";
import type { AppParts } from "./app-parts.js";

/** Between two reports at least: changes within this time share one; and those that only lead to another soon, within this longer one. */
const coalesceMs = 20;
const passingMs = 500;
/** Of the interval, by how much a report may come earlier, so that instances that started together drift apart. */
const jitter = 0.1;
const intervalMinMs = 100;
const intervalMaxMs = 600_000;

/** What a report is made of. */
export interface Reported {
  readonly book: AppBook;
  /** How far has been heard what is asked. */
  readonly feed: { readonly ledgerId: string | null; readonly generation: number };
}

/**
 * Tells what the apps of an instance have come to: at every interval, soon after each change, and on request. States ride along that
 * changed since the last report; all of them in the first one and on request.
 */
export class AppReporter {
  readonly #parts: AppParts;
  readonly #reported: Reported;
  readonly #subject: string;
  #intervalMs: number;
  #format: number;
  readonly #changed = new Set<string>();
  #heardSent = "";
  /** Of the newest change that was sent. */
  #number = 0;
  #seq = 0;
  #running = false;
  #regular: Timer | undefined;
  #soon: Timer | undefined;
  #soonAtMs = 0;
  #sentAtMs = Number.NEGATIVE_INFINITY;

  constructor(parts: AppParts, reported: Reported, intervalMs: number) {
    this.#parts = parts;
    this.#reported = reported;
    this.#subject = subjectsOf(parts.fleet).apps(parts.instance);
    this.#intervalMs = boundedIntervalMs(intervalMs);
    this.#format = parts.formats["app-report"].newest;
  }

  get sent(): number {
    return this.#seq;
  }

  start(): void {
    this.#running = true;
    this.publish({ whole: true });
  }

  stop(): void {
    this.#running = false;
    this.#regular?.cancel();
    this.#soon?.cancel();
  }

  reportEvery(intervalMs: number): void {
    this.#intervalMs = boundedIntervalMs(intervalMs);
  }

  /** Reports in this format from now on, or in the nearest that it knows. */
  speak(format: number): void {
    const { oldest, newest } = this.#parts.formats["app-report"];
    this.#format = Math.max(oldest, Math.min(newest, format));
  }

  /** The state of an app is another one, or it is here no more. */
  changed(app: string): void {
    this.#changed.add(app);
    this.#publishSoon(this.#reported.book.isAtRest(app) ? 0 : passingMs);
  }

  /** What has been heard may be more. */
  moved(): void {
    if (this.#heardText() !== this.#heardSent) this.#publishSoon(passingMs);
  }

  /** Sends a report now, and the next one an interval later. @param changesAfter with the changes after that one @returns what was sent */
  publish({ whole, changesAfter }: { whole: boolean; changesAfter?: number }): unknown {
    const { formats, bus, clock, random } = this.#parts;
    const report = formats["app-report"].write(this.#report(whole, changesAfter), this.#format);
    this.#soon?.cancel();
    this.#soon = undefined;
    bus.publish(this.#subject, JSON.stringify(report));
    this.#sentAtMs = clock.monotonicMs();
    this.#regular?.cancel();
    if (this.#running) {
      const inMs = this.#intervalMs * (1 - jitter * random.unit());
      this.#regular = clock.setTimer(inMs, () => this.publish({ whole: false }));
      if (this.#number < this.#reported.book.number) this.#publishSoon(0);
    }
    return report;
  }

  #report(whole: boolean, changesAfter: number | undefined): AppReport {
    const { instance, incarnation, agentVersion, formats, clock } = this.#parts;
    const { book, feed } = this.#reported;
    const apps = this.#states(whole);
    const recent = this.#recent(changesAfter);
    this.#heardSent = this.#heardText();
    return {
      format: 1,
      instance,
      incarnation,
      seq: this.#seq++,
      agentVersion,
      desiredFormat: formats["desired.app"].newest,
      ledgerId: feed.ledgerId,
      generation: feed.generation,
      digest: book.digest,
      count: book.count,
      changes: { log: incarnation, number: book.number },
      atMs: Math.floor(clock.nowMs()),
      ...(apps !== undefined && { apps }),
      ...(recent.length > 0 && { recent: [...recent] }),
    };
  }

  #states(whole: boolean): AppReport["apps"] {
    const { book } = this.#reported;
    const changed = [...this.#changed];
    this.#changed.clear();
    if (whole) return { whole, states: book.states(), gone: [] };
    if (changed.length === 0) return undefined;
    return {
      whole,
      states: changed.flatMap((app) => book.state(app) ?? []),
      gone: changed.filter((app) => book.state(app) === undefined),
    };
  }

  #recent(changesAfter: number | undefined): readonly AppChange[] {
    const recent = this.#reported.book.changesAfter(changesAfter ?? this.#number).slice(0, appChangesMax);
    // What was asked for was sent before; what is sent for the first time goes on where it ended.
    this.#number = Math.max(this.#number, recent.at(-1)?.number ?? 0);
    return recent;
  }

  #heardText(): string {
    const { ledgerId, generation } = this.#reported.feed;
    return `${ledgerId} ${generation}`;
  }

  #publishSoon(inMs: number): void {
    if (!this.#running) return;
    const { clock } = this.#parts;
    const nowMs = clock.monotonicMs();
    const atMs = Math.max(nowMs + inMs, this.#sentAtMs + coalesceMs);
    if (this.#soon !== undefined && this.#soonAtMs <= atMs) return;
    this.#soon?.cancel();
    this.#soonAtMs = atMs;
    this.#soon = clock.setTimer(atMs - nowMs, () => this.publish({ whole: false }));
  }
}

function boundedIntervalMs(intervalMs: number): number {
  return Math.min(intervalMaxMs, Math.max(intervalMinMs, intervalMs));
}
