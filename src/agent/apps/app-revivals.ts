import { type BackoffRule, backoffMs } from "../../../machines/backoff.js";
import type { Clock, Random, Timer } from "../../base/ports.js";

/** Before an app whose record could not be written is taken up again. */
const revival: BackoffRule = { firstMs: 1_000, maxMs: 30_000 };
/** Taken up for so long, earlier losses are forgotten. */
const sustainedMs = 60_000;

/** An app that is, or was, taken up again. */
interface Revival {
  readonly losses: number;
  readonly atMs: number;
  readonly timer: Timer;
}

/** When apps that were lost are taken up again: the more often in a row, the later. */
export class AppRevivals {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #revivals = new Map<string, Revival>();

  constructor({ clock, random }: { readonly clock: Clock; readonly random: Random }) {
    this.#clock = clock;
    this.#random = random;
  }

  /** @param revive called when it is time @returns in how many milliseconds that is */
  lost(app: string, revive: () => void): number {
    const nowMs = this.#clock.monotonicMs();
    const before = this.#revivals.get(app);
    const losses = before === undefined || nowMs - before.atMs > sustainedMs ? 1 : before.losses + 1;
    const waitMs = backoffMs(revival, losses, this.#random.unit());
    const timer = this.#clock.setTimer(waitMs, revive);
    this.#revivals.set(app, { losses, atMs: nowMs + waitMs, timer });
    return waitMs;
  }

  stop(): void {
    for (const { timer } of this.#revivals.values()) timer.cancel();
  }
}
