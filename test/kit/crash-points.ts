import type { Passing } from "../../src/bus/memory-bus.js";
import type { FleetWorld } from "./fleet.js";

/** Where the leader is killed: at the so manieth message, before it goes out or after it has done its work. */
export interface Crash {
  readonly at: number;
  readonly when: "before" | "after";
}

/**
 * Every message of the leader, numbered: what it writes to the ledger and what that answers, renewals, what the ledger sends
 * out for it, requests and replies, reports. (What others have among themselves, agents and followers that read the
 * ledger, it does not notice: to end then is to end between two of its own.) At the given one the victim ends as by SIGKILL. *Before*: the message is not sent if it is
 * the victim's, and does not reach it if it is for it. *After*: its own message is on its way, and what is for
 * it was handled by it, with nothing that would follow.
 */
export class CrashPoints {
  /** What was numbered, from 1 on: who said what to whom. */
  readonly points: string[] = [];
  readonly #world: FleetWorld;
  readonly #victim: string;
  readonly #crash: Crash | undefined;
  readonly #isPoint: (passing: Passing) => boolean;
  #counting = false;
  /** The newest message that was numbered. */
  #current: Passing | undefined;
  /** The message after which the victim ends as soon as it has taken it. */
  #last: Passing | undefined;

  constructor(
    world: FleetWorld,
    victim: string,
    options: {
      readonly crash?: Crash | undefined;
      readonly isPoint?: ((passing: Passing) => boolean) | undefined;
    } = {},
  ) {
    this.#world = world;
    this.#victim = victim;
    this.#crash = options.crash;
    this.#isPoint = options.isPoint ?? (() => true);
    world.hub.tap({
      sending: (passing) => this.#sending(passing),
      sent: (passing) => this.#sent(passing),
      taken: (passing, by) => {
        if (passing === this.#last && by === victim) this.#kill();
      },
    });
  }

  get isOver(): boolean {
    return !this.#world.coordinators.has(this.#victim);
  }

  count(counting: boolean): void {
    this.#counting = counting;
  }

  #sending(passing: Passing): void {
    if (!this.#counting || !this.#isOfVictim(passing) || !this.#isPoint(passing)) return;
    this.#current = passing;
    const { from, to, subject } = passing;
    this.points.push(`${from} → ${to.join(", ")}: ${subject}`);
    if (this.#isNow("before")) this.#kill();
  }

  #sent(passing: Passing): void {
    if (passing !== this.#current || !this.#isNow("after")) return;
    if (passing.from !== this.#victim && passing.to.includes(this.#victim)) this.#last = passing;
    else this.#kill();
  }

  #isNow(when: Crash["when"]): boolean {
    return this.#crash?.when === when && this.#crash.at === this.points.length;
  }

  #isOfVictim({ from, to, subject }: Passing): boolean {
    return from === this.#victim || to.includes(this.#victim) || subject.startsWith("rollcall.");
  }

  #kill(): void {
    if (!this.isOver) this.#world.kill(this.#victim);
  }
}
