import { messageOf } from "../base/errors.js";
import type { Bus, Clock, Log, Subscription, Timer } from "../base/ports.js";
import { ageText } from "../contracts/duration.js";
import { subjectsOf } from "../contracts/subjects.js";
import { type CoordinatorView, doesNotAnswer } from "../contracts/views.js";
import { coordinatorsOf } from "./find-coordinators.js";

/** How often the others are asked, so that one that falls silent is known by then. */
const askEveryMs = 30_000;
/** For how long one that answers no more is listed. */
const listedMs = 86_400_000;
const seenMax = 100;

interface Seen {
  readonly view: CoordinatorView;
  /** Monotonic. */
  readonly atMs: number;
}

/**
 * The coordinators of a fleet, those too that have answered and do so no more: asleep, cut off or dead. One that ends in order
 * says so, and is missed by nobody.
 */
export class CoordinatorsSeen {
  readonly #bus: Bus;
  readonly #fleet: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #seen = new Map<string, Seen>();
  #left: Subscription | undefined;
  #next: Timer | undefined;

  constructor(parts: {
    readonly bus: Bus;
    readonly fleet: string;
    readonly clock: Clock;
    readonly log: Log;
  }) {
    this.#bus = parts.bus;
    this.#fleet = parts.fleet;
    this.#clock = parts.clock;
    this.#log = parts.log;
  }

  /** From now on who is there is looked for by itself; else only when the list is asked for. */
  start(): void {
    const subject = subjectsOf(this.#fleet).coordinatorLeft;
    this.#left = this.#bus.subscribe(subject, ({ data }) =>
      this.#seen.delete(new TextDecoder().decode(data)),
    );
    this.#look();
  }

  /** @param node the coordinator that ends, in order */
  stop(node: string): void {
    this.#next?.cancel();
    this.#left?.unsubscribe();
    this.#left = undefined;
    this.#bus.publish(subjectsOf(this.#fleet).coordinatorLeft, node);
  }

  /** Who answers now, and what those that do not have said last. */
  async list(): Promise<CoordinatorView[]> {
    const answering = await coordinatorsOf(this.#bus, this.#fleet);
    const nowMs = this.#clock.monotonicMs();
    for (const view of answering) {
      this.#seen.delete(view.id);
      this.#seen.set(view.id, { view, atMs: nowMs });
    }
    for (const [id, { atMs }] of this.#seen)
      if (nowMs - atMs > listedMs || this.#seen.size > seenMax) this.#seen.delete(id);
    return [...this.#seen.values()].map(({ view, atMs }) =>
      atMs === nowMs ? view : silent(view, nowMs - atMs),
    );
  }

  #look(): void {
    this.list()
      .catch((error: unknown) =>
        this.#log.debug({ error: messageOf(error) }, "the other coordinators could not be asked"),
      )
      .finally(() => {
        if (this.#left !== undefined) this.#next = this.#clock.setTimer(askEveryMs, () => this.#look());
      });
  }
}

function silent(view: CoordinatorView, forMs: number): CoordinatorView {
  const doing = `${doesNotAnswer}, last heard ${ageText(forMs)}`;
  return { ...view, role: "following", epoch: null, renewedAtMs: null, doing, problem: null };
}
