import type { NatsConnection } from "@nats-io/transport-node";
import type { BusMessage, Clock } from "../base/ports.js";
import { storesOf } from "../contracts/keys.js";
import { streamOf, subjectOfKey } from "./ledger-reader.js";
import { ApiRefused, askApi, directGetMany, isObject, orUnavailable } from "./nats-api.js";
import { publishBatch } from "./nats-batch.js";
import type { ConnectedBus } from "./reachable.js";
import { untilConnected, untilCutOff } from "./reachable.js";
import type { Store, StoreAnswer, StoreBatch, StoredMessage, StoreUsage } from "./store.js";

/** What the ledger needs of the NATS bus: the connection under it, for batches. */
export interface NatsLink extends ConnectedBus {
  readonly connection: NatsConnection;
}

/** JetStream's "no message found". */
const notFoundCode = 10037;
/** A message beside its body: headers of the batch and of an event. */
const headersMaxBytes = 4_096;
/** Tries to read what a follower of a cluster does not have yet. */
const staleTriesMax = 20;
const staleWaitMs = 50;

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

  read(key: string): Promise<StoredMessage | undefined> {
    return orUnavailable(this.#fleet, () => this.#lastOf(this.#stream, this.#subjectOf(key)));
  }

  scan(): Promise<StoredMessage[]> {
    return orUnavailable(this.#fleet, () => this.#scan());
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
    const found = await storedMessage(this.#link, eventStream, { last_by_subj: ">" });
    const [stream, sequence] = headerIn(found?.headers ?? "", "Nats-Stream-Source")?.split(" ") ?? [];
    return stream === this.#stream ? Number(sequence) : 0;
  }

  async #lastOf(stream: string, subject: string): Promise<StoredMessage | undefined> {
    const found = await storedMessage(this.#link, stream, { last_by_subj: subject });
    return found === undefined ? undefined : this.#messageOf(found);
  }

  #messageOf({ subject, sequence, time, headers, body }: RawMessage): StoredMessage {
    const deleted = /^(KV-Operation|Nats-Marker-Reason):/m.test(headers);
    const key = subject.slice(this.#subjectOf("").length);
    return { key, revision: sequence, writtenAtMs: Date.parse(time), deleted, body };
  }

  /**
   * The bucket keeps one message a key, so that its messages in order of revision are its newest state: a key that is
   * written while this reads is met again further on. It ends where the stream's leader has nothing more.
   */
  async #scan(): Promise<StoredMessage[]> {
    const found = new Map<string, StoredMessage>();
    let next = 1;
    for (let staleTries = 0; ; ) {
      const { messages, atEnd } = await directGetMany(this.#link, this.#stream, {
        seq: next,
        next_by_subj: this.#subjectOf(">"),
      });
      for (const message of messages) {
        const read = this.#scanned(message);
        next = read.revision + 1;
        if (read.deleted || read.key.startsWith("event.")) found.delete(read.key);
        else found.set(read.key, read);
      }
      if (!atEnd) continue;
      if (!(await this.#leaderHasMore(next))) return [...found.values()];
      if (messages.length > 0) continue;
      if (++staleTries > staleTriesMax) throw new ApiRefused(0, "a follower of the cluster lags behind");
      await new Promise<void>((resolve) => this.#clock.setTimer(staleWaitMs, resolve));
    }
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

  async #leaderHasMore(from: number): Promise<boolean> {
    const request = { seq: from, next_by_subj: this.#subjectOf(">") };
    return (await storedMessage(this.#link, this.#stream, request)) !== undefined;
  }
}

interface RawMessage {
  readonly subject: string;
  readonly sequence: number;
  readonly time: string;
  readonly headers: string;
  readonly body: string;
}

/** One message as the leader of a stream has it; `undefined` if there is none. */
async function storedMessage(
  link: NatsLink,
  stream: string,
  request: object,
): Promise<RawMessage | undefined> {
  try {
    const { message } = await askApi(link, `STREAM.MSG.GET.${stream}`, request);
    if (!isObject(message)) throw new ApiRefused(0, "the answer holds no message");
    return {
      subject: String(message.subject),
      sequence: Number(message.seq),
      time: String(message.time),
      headers: Buffer.from(String(message.hdrs ?? ""), "base64").toString(),
      body: Buffer.from(String(message.data ?? ""), "base64").toString(),
    };
  } catch (thrown) {
    if (thrown instanceof ApiRefused && thrown.code === notFoundCode) return undefined;
    throw thrown;
  }
}

function headerIn(headers: string, name: string): string | undefined {
  return headers
    .split("\r\n")
    .find((line) => line.startsWith(`${name}: `))
    ?.slice(name.length + 2);
}
