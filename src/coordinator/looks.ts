import type { Clock, Timer } from "../base/ports.js";

/** Deployments that are to be shown new numbers: noted as often as something changes, shown once, in a later turn. */
export class Looks {
  readonly #clock: Clock;
  readonly #take: (due: ReadonlyMap<string, boolean>) => void;
  #due = new Map<string, boolean>();
  #timer: Timer | undefined;

  /** @param take shows them; true: also to one that could not go on by what it sees */
  constructor(clock: Clock, take: (due: ReadonlyMap<string, boolean>) => void) {
    this.#clock = clock;
    this.#take = take;
  }

  add(deployment: string, inAnyCase: boolean): void {
    this.#due.set(deployment, inAnyCase || this.#due.get(deployment) === true);
    this.#timer ??= this.#clock.setTimer(0, () => {
      const due = this.#due;
      this.#due = new Map();
      this.#timer = undefined;
      this.#take(due);
    });
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
