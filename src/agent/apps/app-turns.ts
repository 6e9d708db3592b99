import type { Clock, Timer } from "../../base/ports.js";

/** Apps of one instance that use the engine at a time. */
const turnsMax = 4;
/** Of these, apps that have failed before: the others must not wait for what hangs again and again. */
const repeatsMax = 2;
/** Between two repeats, so that many failing apps cost a bounded rate. */
const repeatEveryMs = 200;

interface Waiting {
  readonly app: string;
  readonly grant: () => void;
}

/** Grants apps their turns at the engine: first tries before repeats, each in the order in which they asked. */
export class AppTurns {
  readonly #clock: Clock;
  readonly #first: Waiting[] = [];
  readonly #repeats: Waiting[] = [];
  /** Whose turn it is, and whether it is a repeat. */
  readonly #granted = new Map<string, boolean>();
  #repeatAtMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `grant` once it is the app's turn, which lasts until `end`. */
  ask(app: string, repeat: boolean, grant: () => void): void {
    this.end(app);
    (repeat ? this.#repeats : this.#first).push({ app, grant });
    this.#next();
  }

  /** The app needs no turn any more. */
  end(app: string): void {
    const hadTurn = this.#granted.delete(app);
    for (const queue of [this.#first, this.#repeats]) {
      const at = queue.findIndex((waiting) => waiting.app === app);
      if (at >= 0) queue.splice(at, 1);
    }
    if (hadTurn) this.#next();
  }

  close(): void {
    this.#timer?.cancel();
    this.#first.length = 0;
    this.#repeats.length = 0;
  }

  #next(): void {
    while (this.#granted.size < turnsMax) {
      const waiting = this.#first.shift();
      if (waiting === undefined) break;
      this.#grant(waiting, false);
    }
    this.#nextRepeat();
  }

  #nextRepeat(): void {
    const atWork = [...this.#granted.values()].filter((repeat) => repeat).length;
    if (this.#repeats.length === 0 || atWork >= repeatsMax || this.#granted.size >= turnsMax) return;
    const inMs = this.#repeatAtMs + repeatEveryMs - this.#clock.monotonicMs();
    if (inMs > 0) {
      this.#timer ??= this.#clock.setTimer(inMs, () => {
        this.#timer = undefined;
        this.#next();
      });
      return;
    }
    const waiting = this.#repeats.shift();
    if (waiting === undefined) return;
    this.#repeatAtMs = this.#clock.monotonicMs();
    this.#grant(waiting, true);
    this.#nextRepeat();
  }

  #grant({ app, grant }: Waiting, repeat: boolean): void {
    this.#granted.set(app, repeat);
    grant();
  }
}
