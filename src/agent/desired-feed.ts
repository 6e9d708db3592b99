import { messageOf } from "../base/errors.js";
import type { LedgerEntry, Subscription, Timer } from "../base/ports.js";
import type { DesiredInstance } from "../contracts/instance.js";
import { keys } from "../contracts/keys.js";
import type { AgentParts } from "./parts.js";

/** Between two readings of a desired state whose change may have been missed. */
const pollMinMs = 30_000;
const pollMaxMs = 60_000;
/** The same after a reading that failed. */
const againMinMs = 1_000;
const againMaxMs = 5_000;
/** A reading that has not ended by then has failed. */
const readMaxMs = 10_000;

/** What the feed tells of a desired state, in the order in which it hears it; the machine knows which is newer. */
export interface DesiredListener {
  desired(state: DesiredInstance, revision: number): void;
  taken(owner: string, state: DesiredInstance, revision: number): void;
  /** The reading of that number has ended, well or not. */
  asked(read: number): void;
  /** It is time to read again. */
  poll(): void;
}

/** Brings an instance its desired states: as they are written, and by reading when asked. */
export class DesiredFeed {
  readonly #parts: AgentParts;
  readonly #instance: string;
  readonly #key: string;
  readonly #listener: DesiredListener;
  #watch: Subscription | undefined;
  #poll: Timer | undefined;
  #closed = false;

  constructor(parts: AgentParts, instance: string, listener: DesiredListener) {
    this.#parts = parts;
    this.#instance = instance;
    this.#key = keys.desiredInstance(instance);
    this.#listener = listener;
  }

  /** Listens, before the first reading: what is written in between is not missed then. */
  start(): void {
    this.#watch = this.#parts.ledger.watch(this.#key, (entry) => this.#take(entry));
  }

  close(): void {
    this.#closed = true;
    this.#watch?.unsubscribe();
    this.#poll?.cancel();
  }

  async read(read: number): Promise<void> {
    const well = await this.#read();
    if (this.#closed) return;
    this.#listener.asked(read);
    this.#armPoll(well);
  }

  async #read(): Promise<boolean> {
    try {
      const entry = await this.#inTime(this.#parts.ledger.get(this.#key));
      if (entry !== undefined && !this.#closed) this.#take(entry);
      return true;
    } catch (error) {
      const facts = { error: messageOf(error) };
      this.#parts.complaints.add(
        "readFailed",
        this.#instance,
        facts,
        "the desired state cannot be read; what is known goes on",
      );
      return false;
    }
  }

  #inTime<T>(reading: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const limit = this.#parts.clock.setTimer(readMaxMs, () =>
        reject(new Error(`no answer within ${readMaxMs} ms`)),
      );
      reading.then(resolve, reject).finally(() => limit.cancel());
    });
  }

  #armPoll(well: boolean): void {
    const { clock, random } = this.#parts;
    const [minMs, maxMs] = well ? [pollMinMs, pollMaxMs] : [againMinMs, againMaxMs];
    this.#poll?.cancel();
    this.#poll = clock.setTimer(minMs + (maxMs - minMs) * random.unit(), () => this.#listener.poll());
  }

  #take({ value, revision }: LedgerEntry): void {
    // A deleted desired state means: keep what you run.
    if (this.#closed || value === undefined) return;
    const state = this.#parsed(value);
    if (state === undefined) return;
    const { agentId, complaints } = this.#parts;
    if (state.agent === agentId) {
      this.#listener.desired(state, revision);
      return;
    }
    const facts = { owner: state.agent, agent: agentId };
    complaints.add(
      "desiredForeign",
      this.#instance,
      facts,
      "the instance belongs to another agent; this one leaves it alone",
    );
    this.#listener.taken(state.agent, state, revision);
  }

  #parsed(value: unknown): DesiredInstance | undefined {
    const { complaints } = this.#parts;
    const known = this.#parts.formats["desired.instance"];
    const read = known.read(value);
    if ("newer" in read) {
      complaints.add(
        "desiredNewer",
        this.#instance,
        { format: read.newer, known: known.newest },
        "a newer Rollcall has written this desired state: upgrade this agent; it keeps what it runs",
      );
      return undefined;
    }
    if ("record" in read && read.record.instance === this.#instance) return read.record;
    const problem = "record" in read ? `it is of instance ${read.record.instance}` : read.problem;
    complaints.add(
      "desiredGarbage",
      this.#instance,
      { problem },
      "a desired state cannot be understood and is left out",
    );
    return undefined;
  }
}
