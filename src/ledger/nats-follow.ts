import type { Msg, Subscription as NatsSubscription } from "@nats-io/transport-node";
import { createInbox, nanos, nuid } from "@nats-io/transport-node";
import { messageOf } from "../base/errors.js";
import type { Clock, Subscription, Timer } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import { streamOf, subjectOfKey } from "./ledger-reader.js";
import { askApi } from "./nats-api.js";
import type { NatsLink } from "./nats-link.js";
import type { StoredMessage, StoreFollower, StoreFollowing } from "./store.js";

/** How often a server with nothing to say says so. */
const heartbeatMs = 1_000;
/** Without a word for so long the consumer is gone. */
const goneAfterMs = 3_500;
const tryAgainMs = 1_000;
/** A consumer that nobody listens to any more is removed by the server after this time. */
const abandonedAfterMs = 30_000;
/** The code of what the server itself says on a consumer's subject. */
const protocolCode = 100;

/** What a consumer says of a message in its reply subject. */
interface Delivery {
  /** Of the messages of this consumer. */
  readonly number: number;
  readonly revision: number;
  readonly writtenAtMs: number;
  /** Messages that it has not delivered yet. */
  readonly pending: number;
}

/** `$JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<tries>.<revision>.<number>.<nanoseconds>.<pending>[.<more>]` */
function deliveryIn(reply: string): Delivery {
  const tokens = reply.split(".");
  const [, revision, number, nanoseconds, pending] = tokens.slice(tokens.length === 9 ? 4 : 6);
  return {
    number: Number(number),
    revision: Number(revision),
    writtenAtMs: Math.floor(Number(nanoseconds) / 1_000_000),
    pending: Number(pending),
  };
}

/**
 * Follows the keys of a bucket by an ordered consumer: in memory, without acknowledgements, each message numbered. Whenever
 * a number is missing, the server falls silent or the connection was away, a new consumer begins from the newest of each key.
 * (The client library's own goes on behind a gap instead, and would miss deletions whose markers have ended.)
 */
export class NatsFollow implements StoreFollowing {
  readonly #fleet: string;
  readonly #link: NatsLink;
  readonly #clock: Clock;
  readonly #follower: StoreFollower;
  readonly #keyBegins: number;
  readonly #status: Subscription;
  #subscription: NatsSubscription | undefined;
  #timer: Timer | undefined;
  /** Messages that this consumer has delivered. */
  #delivered = 0;
  #heardAtMs = 0;
  #ended = false;

  constructor(parts: { fleet: string; link: NatsLink; clock: Clock; follower: StoreFollower }) {
    this.#fleet = parts.fleet;
    this.#link = parts.link;
    this.#clock = parts.clock;
    this.#follower = parts.follower;
    this.#keyBegins = subjectOfKey(parts.fleet, "").length;
    this.#status = this.#link.onStatus((status) => {
      if (status === "reconnected") this.again();
      else this.#fail("the connection to the NATS server was lost");
    });
    this.again();
  }

  unsubscribe(): void {
    this.#ended = true;
    this.#status.unsubscribe();
    this.#leave();
  }

  again(): void {
    this.#leave();
    if (this.#ended || !this.#link.connected) return;
    const inbox = createInbox();
    const subscription = this.#link.connection.subscribe(inbox, {
      callback: (error, message) => {
        // What an earlier consumer had sent already.
        if (subscription !== this.#subscription) return;
        if (error === null) this.#take(message);
        else this.#fail(messageOf(error));
      },
    });
    this.#subscription = subscription;
    this.#delivered = 0;
    this.#heardAtMs = this.#clock.monotonicMs();
    this.#follower.began();
    this.#ask(inbox).then(
      (pending) => {
        if (subscription !== this.#subscription) return;
        if (pending === 0) this.#follower.inStep();
        this.#watch();
      },
      (error: unknown) => {
        if (subscription === this.#subscription) this.#fail(messageOf(error));
      },
    );
  }

  /** @returns how many messages it will deliver at once */
  async #ask(inbox: string): Promise<number> {
    const stream = streamOf(this.#fleet);
    const name = `rollcall-follower-${nuid.next()}`;
    const { num_pending } = await askApi(this.#link, `CONSUMER.CREATE.${stream}.${name}`, {
      stream_name: stream,
      config: {
        name,
        deliver_subject: inbox,
        deliver_policy: "last_per_subject",
        // Words in a key: see `isFollowed`.
        filter_subjects: [subjectOfKey(this.#fleet, "*"), subjectOfKey(this.#fleet, "*.*")],
        ack_policy: "none",
        max_deliver: 1,
        mem_storage: true,
        num_replicas: 1,
        flow_control: true,
        idle_heartbeat: nanos(heartbeatMs),
        inactive_threshold: nanos(abandonedAfterMs),
      },
      action: "create",
    });
    return Number(num_pending ?? 0);
  }

  #leave(): void {
    this.#timer?.cancel();
    this.#subscription?.unsubscribe();
    this.#subscription = undefined;
  }

  #fail(problem: string): void {
    this.#leave();
    if (this.#ended) return;
    this.#timer = this.#clock.setTimer(tryAgainMs, () => this.again());
    this.#follower.failed(refusal("LEDGER_UNAVAILABLE", { fleet: this.#fleet, problem }));
  }

  #watch(): void {
    const askedAtMs = this.#clock.monotonicMs();
    this.#timer = this.#clock.setTimer(heartbeatMs, () => {
      const now = this.#clock.monotonicMs();
      // After a sleep of this process what came meanwhile is read first.
      const slept = now - askedAtMs > 2 * heartbeatMs;
      if (!slept && now - this.#heardAtMs > goneAfterMs) this.#fail("the server says nothing any more");
      else {
        if (slept) this.#heardAtMs = now;
        this.#watch();
      }
    });
  }

  #take(message: Msg): void {
    this.#heardAtMs = this.#clock.monotonicMs();
    if (message.headers?.code === protocolCode) {
      this.#takeProtocol(message);
      return;
    }
    const delivery = deliveryIn(message.reply ?? "");
    if (delivery.number !== this.#delivered + 1) {
      this.again();
      return;
    }
    this.#delivered++;
    this.#follower.message(this.#messageOf(message, delivery));
    if (delivery.pending === 0 && this.#delivered === delivery.number) this.#follower.inStep();
  }

  /** A heartbeat, or the question whether this can take more. */
  #takeProtocol(message: Msg): void {
    const stalled = message.headers?.get("Nats-Consumer-Stalled") ?? "";
    if (message.reply) message.respond();
    else if (stalled !== "") this.#link.connection.publish(stalled);
    else if (Number(message.headers?.get("Nats-Last-Consumer")) === this.#delivered) this.#follower.inStep();
    else this.again();
  }

  #messageOf({ subject, headers, data }: Msg, { revision, writtenAtMs }: Delivery): StoredMessage {
    const deleted = headers?.has("KV-Operation") === true || headers?.has("Nats-Marker-Reason") === true;
    return {
      key: subject.slice(this.#keyBegins),
      revision,
      writtenAtMs,
      deleted,
      body: deleted ? "" : new TextDecoder().decode(data),
    };
  }
}
