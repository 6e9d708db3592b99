import { messageOf } from "../base/errors.js";
import type { Clock, Subscription, Timer } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import type { StoreChange, StoreResult } from "./memory-exchange.js";
import type { ConnectedBus } from "./reachable.js";
import type { StoreFollower, StoreFollowing } from "./store.js";

/** As often as the server over NATS sends its heartbeat. */
const lookEveryMs = 1_000;
/** Changes that come while everything is being read. */
const earlyMax = 1_000;

interface FollowParts {
  readonly fleet: string;
  readonly bus: ConnectedBus;
  readonly clock: Clock;
  readonly follower: StoreFollower;
  readonly scan: () => Promise<StoreResult>;
  readonly revision: () => Promise<number>;
  /** Where changes are announced. */
  readonly changes: string;
  readonly changeOf: (ticket: string) => StoreChange | undefined;
}

/** Follows the store in memory as an ordered consumer follows a stream: whenever a change is missing it begins anew. */
export class MemoryFollow implements StoreFollowing {
  readonly #parts: FollowParts;
  readonly #subscriptions: readonly Subscription[];
  /** Up to where everything was handed over; `undefined` while all of it is being read. */
  #revision: number | undefined;
  /** Where the store was one look ago, if this was behind. */
  #awaited = 0;
  #early: StoreChange[] = [];
  #timer: Timer | undefined;
  /** Grows with each beginning, so that what an earlier one still waits for is not taken. */
  #turn = 0;
  #ended = false;

  constructor(parts: FollowParts) {
    this.#parts = parts;
    const { bus, changes, changeOf } = parts;
    const decoder = new TextDecoder();
    this.#subscriptions = [
      bus.subscribe(changes, ({ data }) => {
        const change = changeOf(decoder.decode(data));
        if (change !== undefined) this.#take(change);
      }),
      bus.onStatus((status) => {
        if (status === "reconnected") this.again();
        else this.#fail("disconnected");
      }),
    ];
    this.again();
  }

  unsubscribe(): void {
    this.#ended = true;
    this.#turn++;
    this.#timer?.cancel();
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  again(): void {
    this.#timer?.cancel();
    const turn = ++this.#turn;
    if (this.#ended || !this.#parts.bus.connected) return;
    this.#revision = undefined;
    this.#early = [];
    this.#parts.follower.began();
    this.#parts.scan().then(
      ({ messages = [], revision = 0 }) => {
        if (turn !== this.#turn) return;
        for (const message of messages) if (turn === this.#turn) this.#parts.follower.message(message);
        if (turn !== this.#turn) return;
        this.#revision = revision;
        this.#parts.follower.inStep();
        this.#look();
        for (const change of this.#early.splice(0)) this.#take(change);
      },
      (error: unknown) => {
        if (turn === this.#turn) this.#fail(messageOf(error));
      },
    );
  }

  #fail(problem: string): void {
    this.#timer?.cancel();
    this.#turn++;
    if (this.#ended) return;
    this.#timer = this.#parts.clock.setTimer(lookEveryMs, () => this.again());
    this.#parts.follower.failed(refusal("LEDGER_UNAVAILABLE", { fleet: this.#parts.fleet, problem }));
  }

  #take(change: StoreChange): void {
    if (this.#revision === undefined) {
      if (this.#early.length < earlyMax) this.#early.push(change);
      return;
    }
    if (change.toRevision <= this.#revision) return;
    if (change.fromRevision !== this.#revision) {
      this.again();
      return;
    }
    const turn = this.#turn;
    for (const message of change.messages) if (turn === this.#turn) this.#parts.follower.message(message);
    if (turn !== this.#turn) return;
    this.#revision = change.toRevision;
    this.#parts.follower.inStep();
  }

  #look(): void {
    const turn = this.#turn;
    this.#timer = this.#parts.clock.setTimer(lookEveryMs, () => {
      this.#parts.revision().then(
        (revision) => {
          if (turn === this.#turn) this.#compare(revision);
        },
        (error: unknown) => {
          if (turn === this.#turn) this.#fail(messageOf(error));
        },
      );
    });
  }

  #compare(revision: number): void {
    const own = this.#revision ?? 0;
    if (own >= revision) this.#parts.follower.inStep();
    // What it was behind a look ago has had the time to come.
    if (own < this.#awaited) {
      this.again();
      return;
    }
    this.#awaited = revision;
    this.#look();
  }
}
