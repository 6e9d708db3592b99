import { assert } from "../base/assert.js";
import type { Bus, BusMessage, Clock, Subscription } from "../base/ports.js";
import { storesOf } from "../contracts/keys.js";
import { subjectsOf } from "../contracts/subjects.js";
import type { AuditEvent } from "./event-chain.js";
import { ledgerOf, readEvent } from "./event-chain.js";
import { directGetMany, leaderGet, orUnavailable, streamMessages } from "./nats-api.js";

/** What the audit log may be behind the ledger: on a cluster that has lost the leader of the bucket, 25 s were seen. */
export const auditLagMaxMs = 40_000;
/** Messages of one answer. */
const readMax = 1_000;
/** How far a page looks back at first; four times as far each time that it finds too little. */
const spanMin = 256;
const spanGrowth = 4;
/** While nothing is heard of new events it is looked for them all the same. */
const lookEveryMs = 5_000;
const tryAgainMs = 1_000;

/** An event, and its place in the stream of events: it grows, and is no number of the event's own. */
export interface AuditEntry {
  readonly event: AuditEvent;
  readonly position: number;
}

/** Which events; all that are left out do not matter. */
export interface AuditFilter {
  /** Of objects of this kind, `deployment`. */
  readonly kind?: string | undefined;
  /** Of this object alone; with its kind. */
  readonly id?: string | undefined;
  readonly accepts?: ((event: AuditEvent) => boolean) | undefined;
}

/** A page of events, the oldest first. */
export interface AuditPage {
  readonly entries: readonly AuditEntry[];
  /** Ask for what is before this position to go on; `null` where there is nothing before. */
  readonly before: number | null;
}

/**
 * Reads the audit log of a fleet from its stream, with no more rights than reading needs: one to get messages of the stream, one to ask where it ends, and
 * one to hear new events. Nothing is set up on the server.
 *
 * @example for await (const { event } of log.read()) console.log(event.time, event.type, event.subject);
 */
export class AuditLog {
  readonly #fleet: string;
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #stream: string;

  constructor({ fleet, bus, clock }: { readonly fleet: string; readonly bus: Bus; readonly clock: Clock }) {
    this.#fleet = fleet;
    this.#bus = bus;
    this.#clock = clock;
    this.#stream = storesOf(fleet).eventStream;
  }

  /** The position of the newest event; 0 if there is none. @throws RollcallError `LEDGER_UNAVAILABLE`, `NOT_ALLOWED` */
  async end(): Promise<number> {
    const last = await orUnavailable(this.#fleet, () =>
      leaderGet(this.#bus, this.#stream, { last_by_subj: ">" }),
    );
    return last?.sequence ?? 0;
  }

  /** All events behind a position, oldest first, until there are no more. @throws RollcallError `LEDGER_UNAVAILABLE`, `NOT_ALLOWED` */
  async *read(after = 0): AsyncGenerator<AuditEntry> {
    const all = { clock: this.#clock, stream: this.#stream, filter: ">", from: after + 1 };
    const messages = streamMessages(this.#bus, all);
    for (;;) {
      const { value: message } = await orUnavailable(this.#fleet, () => messages.next());
      if (message === undefined) return;
      const entry = entryIn(message);
      if (entry !== undefined) yield entry;
    }
  }

  /** The first event at or behind a position. @throws RollcallError `LEDGER_UNAVAILABLE`, `NOT_ALLOWED` */
  async at(position: number): Promise<AuditEntry | undefined> {
    const [first] = (await this.#get(Math.max(1, position), ">", 1)).entries;
    return first;
  }

  /**
   * The newest events that the filter takes, before a position if one is given.
   *
   * @param ask `limit` how many at most; `sinceMs` none that is older; `scanMax` how many are looked at, after which the page may
   *   be shorter than there are events
   * @throws RollcallError `LEDGER_UNAVAILABLE`, `NOT_ALLOWED`
   */
  async page(
    ask: AuditFilter & {
      readonly limit: number;
      readonly before?: number | null | undefined;
      readonly sinceMs?: number | null | undefined;
      readonly scanMax?: number | undefined;
    },
  ): Promise<AuditPage> {
    const { limit, accepts = () => true, sinceMs = null, scanMax = Number.POSITIVE_INFINITY } = ask;
    const found: AuditEntry[] = [];
    let end = ask.before ?? (await this.end()) + 1;
    let scanned = 0;
    let isOlder = false;
    for (let span = spanMin; end > 1 && found.length < limit && !isOlder && scanned < scanMax; ) {
      const start = Math.max(1, end - span);
      const chunk = await this.#range(start, end, this.#filterOf(ask));
      isOlder = sinceMs !== null && chunk.some(({ event }) => Date.parse(event.time) < sinceMs);
      const taken = chunk.filter(
        ({ event }) => (sinceMs === null || Date.parse(event.time) >= sinceMs) && accepts(event),
      );
      found.unshift(...taken);
      scanned += chunk.length;
      end = start;
      if (chunk.length * spanGrowth < readMax) span *= spanGrowth;
    }
    const entries = found.slice(Math.max(0, found.length - limit));
    const isCut = entries.length < found.length;
    const before = isCut ? (entries[0]?.position ?? 1) : end;
    return { entries, before: before > 1 && (isCut || !isOlder) ? before : null };
  }

  /**
   * Hands over every event behind a position, in order and once each, and goes on with what comes, over reconnects, restarts of the server and a
   * stream that was made anew, until it is stopped. What `handle` or the server throws is told and tried again.
   */
  follow(
    after: number,
    filter: AuditFilter,
    listener: {
      readonly handle: (entries: readonly AuditEntry[]) => void | Promise<void>;
      readonly onProblem: (problem: unknown) => void;
    },
  ): Subscription {
    const following = new Following(this.#bus, this.#clock, subjectsOf(this.#fleet).event("*", "*"));
    const { accepts = () => true } = filter;
    let position = after;
    let last: AuditEvent | undefined;
    const isRepeat = ({ event }: AuditEntry) =>
      last !== undefined && ledgerOf(event) === ledgerOf(last) && event.sequence <= last.sequence;
    const look = async (): Promise<void> => {
      for (let count = 0; ; count++) {
        const { entries, atEnd, last: to } = await this.#get(position + 1, this.#filterOf(filter), readMax);
        const news = entries.filter((entry) => !isRepeat(entry));
        if (following.stopped) return;
        const taken = news.filter(({ event }) => accepts(event));
        if (taken.length > 0) await listener.handle(taken);
        last = news.at(-1)?.event ?? last;
        position = to ?? position;
        if (following.stopped) return;
        if (!atEnd) continue;
        // A stream that ends before what was read of it is another one.
        if (count === 0 && to === undefined && (await this.end()) < position) position = 0;
        return;
      }
    };
    void following.run(look, listener.onProblem);
    return { unsubscribe: () => following.stop() };
  }

  async #range(start: number, end: number, filter: string): Promise<AuditEntry[]> {
    const found: AuditEntry[] = [];
    for (let from = start; from < end; ) {
      const { entries, last, atEnd } = await this.#get(from, filter, Math.min(readMax, end - from));
      found.push(...entries.filter(({ position }) => position < end));
      if (last === undefined || atEnd) break;
      from = last + 1;
    }
    return found;
  }

  /** @returns `last`: the position of the last message, an event or not */
  async #get(
    from: number,
    filter: string,
    max: number,
  ): Promise<{ readonly entries: AuditEntry[]; readonly last: number | undefined; readonly atEnd: boolean }> {
    const { messages, atEnd } = await orUnavailable(this.#fleet, () =>
      directGetMany(this.#bus, this.#stream, { seq: from, next_by_subj: filter, batch: max }),
    );
    const end = messages.at(-1);
    return {
      entries: messages.flatMap((message) => entryIn(message) ?? []),
      last: end && positionOf(end),
      atEnd,
    };
  }

  #filterOf({ kind, id }: AuditFilter): string {
    assert(id === undefined || kind !== undefined, "an object is named by its kind and id");
    return kind === undefined ? ">" : subjectsOf(this.#fleet).event(kind, id ?? "*");
  }
}

/** Looks again whenever there may be news: an event was heard, the connection is back, some time has passed. */
class Following {
  readonly #clock: Clock;
  readonly #subscriptions: readonly Subscription[];
  #wake: () => void = () => undefined;
  #hasNews = true;
  stopped = false;

  constructor(bus: Bus, clock: Clock, events: string) {
    this.#clock = clock;
    const wake = () => {
      this.#hasNews = true;
      this.#wake();
    };
    this.#subscriptions = [bus.subscribe(events, wake), bus.onStatus(wake)];
  }

  async run(look: () => Promise<void>, onProblem: (problem: unknown) => void): Promise<void> {
    while (!this.stopped) {
      this.#hasNews = false;
      try {
        await look();
      } catch (problem) {
        if (this.stopped) return;
        onProblem(problem);
        await new Promise<void>((resolve) => this.#clock.setTimer(tryAgainMs, resolve));
        continue;
      }
      await this.#untilNews();
    }
  }

  stop(): void {
    this.stopped = true;
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.#wake();
  }

  async #untilNews(): Promise<void> {
    if (this.#hasNews || this.stopped) return;
    await new Promise<void>((resolve) => {
      const timer = this.#clock.setTimer(lookEveryMs, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
    this.#wake = () => undefined;
  }
}

function positionOf(message: BusMessage): number {
  return Number(message.header("Nats-Sequence"));
}

function entryIn(message: BusMessage): AuditEntry | undefined {
  const event = readEvent(message);
  return event === undefined ? undefined : { event, position: positionOf(message) };
}
