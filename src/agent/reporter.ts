import { createHash } from "node:crypto";
import type { Bus, Clock, Random, Timer } from "../base/ports.js";
import type { RecordFormats } from "../contracts/formats.js";
import type { Report } from "../contracts/instance.js";
import type { InstanceView } from "./instance-view.js";

/** Changes within this time share one report. */
const coalesceMs = 20;
/** The same for changes of nothing but the progress. */
const coalesceProgressMs = 250;
/** Each so manieth report carries the whole state, changed or not. */
const wholeEvery = 10;
/** Of the interval, by how much a report may come earlier, so that agents that started together drift apart. */
const jitter = 0.1;
const digestLength = 27;

/** A regular report that is so late says that this process stood still: nobody has watched the instance meanwhile. */
const stoodStillMs = 2_000;

const reportIntervalMinMs = 100;
const reportIntervalMaxMs = 600_000;

export interface ReporterOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly bus: Bus;
  readonly subject: string;
  readonly instance: string;
  readonly agent: string;
  readonly incarnation: string;
  readonly intervalMs: number;
  readonly formats: RecordFormats<Report>;
}

/**
 * Tells what an instance is: at every interval, soon after each change, when it has been healthy for as long as is asked,
 * and on request. The whole state rides along when it changed, when it is asked for, and now and then.
 */
export class Reporter {
  readonly #options: ReporterOptions;
  #intervalMs: number;
  /** The newest that it knows, until a coordinator asks for an older one. */
  #format: number;
  #view: InstanceView;
  #text: string;
  #digest: string;
  #sentDigest: string | undefined;
  #movedAtMs: number;
  #seq = 0;
  #regular: { readonly timer: Timer; readonly dueMs: number } | undefined;
  /** Without a gap since then, the instance is watched. */
  #watchedSinceMs = Number.NEGATIVE_INFINITY;
  #soon: { readonly timer: Timer; readonly dueMs: number } | undefined;
  #soak: { readonly timer: Timer; readonly dueMs: number } | undefined;
  #running = false;

  constructor(options: ReporterOptions, view: InstanceView) {
    this.#options = options;
    this.#intervalMs = boundedIntervalMs(options.intervalMs);
    this.#format = options.formats.newest;
    this.#view = view;
    this.#text = JSON.stringify(view.state);
    this.#digest = digestOf(this.#text);
    this.#movedAtMs = options.clock.monotonicMs();
  }

  get sent(): number {
    return this.#seq;
  }

  start(): void {
    this.#running = true;
    this.publish({ whole: true });
    this.#armSoak();
  }

  stop(): void {
    this.#running = false;
    this.#regular?.timer.cancel();
    this.#soon?.timer.cancel();
    this.#soak?.timer.cancel();
  }

  reportEvery(intervalMs: number): void {
    this.#intervalMs = boundedIntervalMs(intervalMs);
  }

  /** Reports in this format from now on, or in the nearest that it knows. */
  speak(format: number): void {
    const { oldest, newest } = this.#options.formats;
    this.#format = Math.max(oldest, Math.min(newest, format));
  }

  /** Takes in how the instance stands now. */
  see(view: InstanceView): void {
    const before = this.#view;
    const text = JSON.stringify(view.state);
    const acted = view.observedGeneration !== before.observedGeneration || view.ledgerId !== before.ledgerId;
    this.#view = view;
    if (acted || movedBetween(before, view)) this.#movedAtMs = this.#options.clock.monotonicMs();
    if (text !== this.#text) {
      this.#text = text;
      this.#digest = digestOf(text);
    }
    this.#armSoak();
    if (this.#digest !== this.#sentDigest || acted)
      this.#publishSoon(acted || isMajor(before, view) ? coalesceMs : coalesceProgressMs);
  }

  /** Sends a report now, and the next one an interval later. @returns what was sent */
  publish({ whole }: { whole: boolean }): unknown {
    const report = this.#options.formats.write(this.#report(whole), this.#format);
    this.#soon?.timer.cancel();
    this.#soon = undefined;
    this.#options.bus.publish(this.#options.subject, JSON.stringify(report));
    this.#regular?.timer.cancel();
    if (this.#running) {
      const { clock, random } = this.#options;
      const inMs = this.#intervalMs * (1 - jitter * random.unit());
      const timer = clock.setTimer(inMs, () => this.publish({ whole: false }));
      this.#regular = { timer, dueMs: clock.monotonicMs() + inMs };
    }
    return report;
  }

  #report(whole: boolean): Report {
    const { clock, instance, agent, incarnation } = this.#options;
    const { state, observedGeneration, ledgerId, goodSinceMs } = this.#view;
    const nowMs = clock.monotonicMs();
    if (this.#regular !== undefined && nowMs - this.#regular.dueMs > stoodStillMs)
      this.#watchedSinceMs = nowMs;
    const seq = this.#seq++;
    const withState = whole || this.#digest !== this.#sentDigest || seq % wholeEvery === 0;
    if (withState) this.#sentDigest = this.#digest;
    return {
      format: 1,
      instance,
      agent,
      incarnation,
      seq,
      observedGeneration,
      ledgerId,
      digest: this.#digest,
      healthyForMs: goodSinceMs === null ? 0 : this.#healthyForMs(goodSinceMs, nowMs),
      phaseAgeMs: Math.max(0, Math.floor(nowMs - this.#movedAtMs)),
      ...(withState && { state }),
    };
  }

  #healthyForMs(goodSinceMs: number, nowMs: number): number {
    return Math.max(0, Math.floor(nowMs - Math.max(goodSinceMs, this.#watchedSinceMs)));
  }

  #publishSoon(inMs: number): void {
    if (!this.#running) return;
    const { clock } = this.#options;
    const dueMs = clock.monotonicMs() + inMs;
    if (this.#soon !== undefined && this.#soon.dueMs <= dueMs) return;
    this.#soon?.timer.cancel();
    this.#soon = { dueMs, timer: clock.setTimer(inMs, () => this.publish({ whole: false })) };
  }

  /** The coordinator waits for this moment: it does not have to wait for the next interval too. */
  #armSoak(): void {
    const { clock } = this.#options;
    const { goodSinceMs, minHealthyMs } = this.#view;
    const dueMs = goodSinceMs === null ? undefined : Math.ceil(goodSinceMs + minHealthyMs);
    if (this.#soak?.dueMs === dueMs) return;
    this.#soak?.timer.cancel();
    this.#soak = undefined;
    const inMs = dueMs === undefined ? 0 : dueMs - clock.monotonicMs();
    if (!this.#running || dueMs === undefined || inMs <= 0) return;
    this.#soak = { dueMs, timer: clock.setTimer(inMs, () => this.#soaked(dueMs)) };
  }

  #soaked(dueMs: number): void {
    // A timer of the operating system may come a little early.
    this.#soak = undefined;
    if (this.#options.clock.monotonicMs() < dueMs) this.#armSoak();
    else this.publish({ whole: false });
  }
}

function boundedIntervalMs(intervalMs: number): number {
  return Math.min(reportIntervalMaxMs, Math.max(reportIntervalMinMs, intervalMs));
}

/** Equal texts have equal digests, on every host and in every run. */
function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("base64url").slice(0, digestLength);
}

function movedBetween(before: InstanceView, after: InstanceView): boolean {
  const { phase, note } = before.state;
  return before.progress !== after.progress || phase !== after.state.phase || note !== after.state.note;
}

/** More than progress has changed. */
function isMajor(before: InstanceView, after: InstanceView): boolean {
  const { progress, note } = after.state;
  return JSON.stringify({ ...before.state, progress, note }) !== JSON.stringify(after.state);
}
