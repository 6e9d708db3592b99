import type { BusMessage, Clock } from "../base/ports.js";
import { storesOf } from "../contracts/keys.js";
import { streamOf, subjectOfKey } from "./ledger-reader.js";
import type { RawMessage } from "./nats-api.js";
import { askApi, isNoStream, isObject, leaderGet, orUnavailable, streamMessages } from "./nats-api.js";
import { publishBatch } from "./nats-batch.js";
import { NatsFollow } from "./nats-follow.js";
import type { NatsLink } from "./nats-link.js";
import { untilConnected, untilCutOff } from "./reachable.js";
import type {
  Store,
  StoreAnswer,
  StoreBatch,
  StoredMessage,
  StoreFollower,
  StoreFollowing,
  StoreUsage,
} from "./store.js";

/** A message beside its body: headers of the batch and of an event. */
const headersMaxBytes = 4_096;

/** The key-value bucket of a fleet in JetStream. */
export class NatsStore implements Store {
  readonly #fleet: string;
  readonly #stream: string;
  readonly #link: NatsLink;
  readonly #clock: Clock;
  readonly #subjectOf: (key: string) => string;

  constructor(fleet: string, link: NatsLink, clock: Clock) {
    this.#fleet = fleet;
    this.#stream = streamOf(fleet);
    this.#link = link;
    this.#clock = clock;
    const prefix = subjectOfKey(fleet, "");
    this.#subjectOf = (key) => prefix + key;
  }

  get messageMaxBytes(): number {
    return (this.#link.connection.info?.max_payload ?? 1_048_576) - headersMaxBytes;
  }

  async write(batch: StoreBatch, timeoutMs: number): Promise<StoreAnswer> {
    if (!this.#link.connected) return { kind: "unanswered", problem: "disconnected from the NATS server" };
    const { cut, stop } = untilCutOff(this.#link);
    try {
      return await Promise.race([
        publishBatch(this.#link.connection, batch, { timeoutMs, subjectOf: this.#subjectOf }),
        cut.then(
          (): StoreAnswer => ({ kind: "unanswered", problem: "the connection to the NATS server was lost" }),
        ),
      ]);
    } finally {
      stop();
    }
  }

  /** The bucket has been made. @throws RollcallError `LEDGER_UNAVAILABLE`, `NOT_ALLOWED` */
  isThere(): Promise<boolean> {
    return orUnavailable(this.#fleet, async () => {
      try {
        await askApi(this.#link, `STREAM.INFO.${this.#stream}`, {});
        return true;
      } catch (thrown) {
        if (isNoStream(thrown)) return false;
        throw thrown;
      }
    });
  }

  read(key: string): Promise<StoredMessage | undefined> {
    return orUnavailable(this.#fleet, () => this.#lastOf(this.#stream, this.#subjectOf(key)));
  }

  scan(): Promise<StoredMessage[]> {
    return orUnavailable(this.#fleet, () => this.#scan());
  }

  follow(follower: StoreFollower): StoreFollowing {
    return new NatsFollow({ fleet: this.#fleet, link: this.#link, clock: this.#clock, follower });
  }

  usage(): Promise<StoreUsage> {
    return orUnavailable(this.#fleet, async () => {
      const { state, config } = await askApi(this.#link, `STREAM.INFO.${this.#stream}`, {});
      const maxBytes = isObject(config) ? Number(config.max_bytes) : -1;
      return {
        usedBytes: isObject(state) ? Number(state.bytes) : 0,
        maxBytes: maxBytes > 0 ? maxBytes : Number.POSITIVE_INFINITY,
      };
    });
  }

  dropHeldEvents(): Promise<void> {
    return orUnavailable(this.#fleet, async () => {
      const heldUpTo = await this.#heldUpTo();
      if (heldUpTo === 0) return;
      // By the call, never by key: a deletion's marker would be sourced as an empty event.
      const filter = this.#subjectOf("event.>");
      await askApi(this.#link, `STREAM.PURGE.${this.#stream}`, { filter, seq: heldUpTo + 1 });
    });
  }

  reachable(timeoutMs: number): Promise<boolean> {
    return untilConnected(this.#link, this.#clock, timeoutMs);
  }

  /** The last revision of the bucket that the audit stream has taken over. */
  async #heldUpTo(): Promise<number> {
    const { eventStream } = storesOf(this.#fleet);
    const found = await leaderGet(this.#link, eventStream, { last_by_subj: ">" });
    const [stream, sequence] = headerIn(found?.headers ?? "", "Nats-Stream-Source")?.split(" ") ?? [];
    return stream === this.#stream ? Number(sequence) : 0;
  }

  async #lastOf(stream: string, subject: string): Promise<StoredMessage | undefined> {
    const found = await leaderGet(this.#link, stream, { last_by_subj: subject });
    return found === undefined ? undefined : this.#messageOf(found);
  }

  #messageOf({ subject, sequence, time, headers, body }: RawMessage): StoredMessage {
    const deleted = /^(KV-Operation|Nats-Marker-Reason):/m.test(headers);
    const key = subject.slice(this.#subjectOf("").length);
    return { key, revision: sequence, writtenAtMs: Date.parse(time), deleted, body };
  }

  /**
   * The bucket keeps one message a key, so that its messages in order of revision are its newest state: a key that is
   * written while this reads is met again further on.
   */
  async #scan(): Promise<StoredMessage[]> {
    const found = new Map<string, StoredMessage>();
    const all = { clock: this.#clock, stream: this.#stream, filter: this.#subjectOf(">") };
    for await (const message of streamMessages(this.#link, all)) {
      const read = this.#scanned(message);
      if (read.deleted || read.key.startsWith("event.")) found.delete(read.key);
      else found.set(read.key, read);
    }
    return [...found.values()];
  }

  #scanned(message: BusMessage): StoredMessage {
    const deleted =
      message.header("KV-Operation") !== undefined || message.header("Nats-Marker-Reason") !== undefined;
    return {
      key: (message.header("Nats-Subject") ?? "").slice(this.#subjectOf("").length),
      revision: Number(message.header("Nats-Sequence")),
      writtenAtMs: Date.parse(message.header("Nats-Time-Stamp") ?? ""),
      deleted,
      body: deleted ? "" : new TextDecoder().decode(message.data),
    };
  }
}

function headerIn(headers: string, name: string): string | undefined {
  return headers
    .split("\r\n")
    .find((line) => line.startsWith(`${name}: `))
    ?.slice(name.length + 2);
}
