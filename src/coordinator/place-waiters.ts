import type { Clock } from "../base/ports.js";
import type { LedgerPlace } from "../contracts/answer-source.js";

/** Past it nobody more waits: the caller asks the leader at once. */
const waitersMax = 1_000;

interface Waiter {
  readonly place: LedgerPlace;
  readonly done: (reached: boolean) => void;
}

/** Who waits until a copy of the ledger has got to a place. */
export class PlaceWaiters {
  readonly #clock: Clock;
  /** What the copy shows now; `undefined` until it shows anything. */
  readonly #shown: () => LedgerPlace | undefined;
  readonly #waiters = new Set<Waiter>();

  constructor(clock: Clock, shown: () => LedgerPlace | undefined) {
    this.#clock = clock;
    this.#shown = shown;
  }

  /** @returns false if the place is not reached within the time, or the copy is one of another ledger */
  reached(place: LedgerPlace, withinMs: number): Promise<boolean> {
    if (this.#isShown(place)) return Promise.resolve(true);
    const shown = this.#shown();
    const isOther = shown !== undefined && shown.ledgerId !== place.ledgerId;
    if (isOther || withinMs <= 0 || this.#waiters.size >= waitersMax) return Promise.resolve(false);
    return new Promise((resolve) => {
      const waiter: Waiter = {
        place,
        done: (reached) => {
          timer.cancel();
          this.#waiters.delete(waiter);
          resolve(reached);
        },
      };
      const timer = this.#clock.setTimer(withinMs, () => waiter.done(this.#isShown(place)));
      this.#waiters.add(waiter);
    });
  }

  /** The copy has got on. */
  look(): void {
    for (const waiter of this.#waiters) if (this.#isShown(waiter.place)) waiter.done(true);
  }

  /** It gets on no more. */
  stop(): void {
    for (const waiter of this.#waiters) waiter.done(false);
  }

  #isShown({ ledgerId, revision }: LedgerPlace): boolean {
    const shown = this.#shown();
    return shown !== undefined && shown.ledgerId === ledgerId && shown.revision >= revision;
  }
}
