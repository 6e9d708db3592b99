import { RollcallError } from "../base/errors.js";
import type { Clock } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import type { StoreCall, StoreExchange, StoreResult } from "./memory-exchange.js";
import { MemoryFollow } from "./memory-follow.js";
import type { ConnectedBus } from "./reachable.js";
import { untilConnected } from "./reachable.js";
import type {
  Store,
  StoreAnswer,
  StoreBatch,
  StoredMessage,
  StoreFollower,
  StoreFollowing,
  StoreUsage,
} from "./store.js";

const callTimeoutMs = 5_000;
/** A server takes 1 MiB; what it has beside a body is left to its headers, as over NATS. */
const messageMaxBytes = 1_048_576 - 4_096;

/** One process's way to the store in memory, over its own connection to the hub. */
export class MemoryStore implements Store {
  readonly messageMaxBytes = messageMaxBytes;
  readonly #fleet: string;
  readonly #subject: string;
  readonly #bus: ConnectedBus;
  readonly #clock: Clock;
  readonly #exchange: StoreExchange;

  constructor(parts: {
    fleet: string;
    subject: string;
    bus: ConnectedBus;
    clock: Clock;
    exchange: StoreExchange;
  }) {
    this.#fleet = parts.fleet;
    this.#subject = parts.subject;
    this.#bus = parts.bus;
    this.#clock = parts.clock;
    this.#exchange = parts.exchange;
  }

  async write(batch: StoreBatch, timeoutMs: number): Promise<StoreAnswer> {
    try {
      const { answer } = await this.#call({ verb: "write", batch, from: this.#bus.name ?? "" }, timeoutMs);
      return answer ?? { kind: "unanswered", problem: "the store gave no answer" };
    } catch (thrown) {
      return { kind: "unanswered", problem: thrown instanceof Error ? thrown.message : String(thrown) };
    }
  }

  async read(key: string): Promise<StoredMessage | undefined> {
    return (await this.#call({ verb: "read", key })).messages?.[0];
  }

  async scan(): Promise<StoredMessage[]> {
    return [...((await this.#call({ verb: "scan" })).messages ?? [])];
  }

  follow(follower: StoreFollower): StoreFollowing {
    return new MemoryFollow({
      fleet: this.#fleet,
      bus: this.#bus,
      clock: this.#clock,
      follower,
      scan: () => this.#call({ verb: "follow" }),
      revision: async () => (await this.#call({ verb: "revision" })).revision ?? 0,
      changes: `${this.#subject}.changes`,
      changeOf: (ticket) => this.#exchange.changeOf(ticket),
    });
  }

  async usage(): Promise<StoreUsage> {
    return (await this.#call({ verb: "usage" })).usage ?? { usedBytes: 0, maxBytes: 0 };
  }

  async dropHeldEvents(): Promise<void> {
    await this.#call({ verb: "dropHeldEvents" });
  }

  reachable(timeoutMs: number): Promise<boolean> {
    return untilConnected(this.#bus, this.#clock, timeoutMs);
  }

  async #call(call: StoreCall, timeoutMs: number = callTimeoutMs): Promise<StoreResult> {
    const ticket = this.#exchange.open(call);
    try {
      await this.#bus.request(this.#subject, ticket, { timeoutMs });
    } catch (thrown) {
      this.#exchange.close(ticket);
      const problem = thrown instanceof RollcallError ? thrown.message : String(thrown);
      throw refusal("LEDGER_UNAVAILABLE", { fleet: this.#fleet, problem }, thrown);
    }
    return this.#exchange.close(ticket);
  }
}
