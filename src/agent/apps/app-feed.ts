import { type HeardEpoch, laterEpoch } from "../../../machines/accepted.js";
import type { HowHeard } from "../../../machines/app-facts.js";
import {
  type HeardApps,
  hearList,
  hearRecord,
  isBehind,
  type KnownApp,
  nothingHeard,
} from "../../../machines/app-list.js";
import { messageOf } from "../../base/errors.js";
import type { LedgerEntry, Subscription, Timer } from "../../base/ports.js";
import type { AppList, DesiredApp } from "../../contracts/app.js";
import type { RecordFormats } from "../../contracts/formats.js";
import { keys, parseKey } from "../../contracts/keys.js";
import type { AppParts } from "./app-parts.js";

/** Between two readings of the list, whose change may have been missed. */
const pollMinMs = 30_000;
const pollMaxMs = 60_000;
/** The same after a reading that failed. */
const againMinMs = 1_000;
const againMaxMs = 5_000;
/** A reading of one key that has not ended by then has failed. */
const readMaxMs = 10_000;
/** Instances that have missed the same thing do not read all at once. */
const spreadMs = 100;
const readsAtOnce = 8;

/** What the feed tells, in the order in which it hears it; the machines know which is newer. */
export interface AppFeedListener {
  desired(state: DesiredApp, revision: number, heard: HowHeard): void;
  /** The list of that revision does not have an app that is here. */
  missing(app: string, ledgerId: string, revision: number): void;
  /** The apps that are here. */
  known(): ReadonlyMap<string, KnownApp>;
  /** The first reading has ended, well or not. */
  ready(): void;
  /** It has heard further. */
  moved(): void;
}

/** Brings an instance what is asked of its apps: as it is written, and by reading what was missed. */
export class AppFeed {
  readonly #parts: AppParts;
  readonly #listener: AppFeedListener;
  #heard: HeardApps = nothingHeard;
  #epoch: HeardEpoch = { ledgerId: null, epoch: 0 };
  #isReady = false;
  #reading = false;
  #again = false;
  #watch: Subscription | undefined;
  #next: { readonly timer: Timer; readonly dueMs: number } | undefined;
  #closed = false;

  constructor(parts: AppParts, listener: AppFeedListener) {
    this.#parts = parts;
    this.#listener = listener;
  }

  /** The ledger whose list was read last. */
  get ledgerId(): string | null {
    return this.#heard.accepted?.ledgerId ?? null;
  }

  /** Of the list: everything up to it has been heard. */
  get generation(): number {
    return this.#heard.generation;
  }

  /** The highest epoch heard of, in the newest ledger. */
  get epoch(): HeardEpoch {
    return this.#epoch;
  }

  seeEpoch(heard: HeardEpoch): void {
    this.#epoch = laterEpoch(this.#epoch, heard);
  }

  /** Listens, before the first reading: what is written in between is not missed then. */
  start(): void {
    this.#watch = this.#parts.ledger.watch(keys.desiredAppsBelow, (entry) => this.#hear(entry));
    this.readAgain();
  }

  close(): void {
    this.#closed = true;
    this.#watch?.unsubscribe();
    this.#next?.timer.cancel();
  }

  /** It may have missed something. */
  readAgain(): void {
    if (this.#reading) this.#again = true;
    else void this.#read();
  }

  /** Somebody says that the list is at this generation, in the ledger of which they speak. */
  told(generation: number, ledgerId = this.ledgerId): void {
    if (ledgerId !== this.ledgerId || isBehind(this.#heard, generation)) this.readAgain();
  }

  #hear(entry: LedgerEntry): void {
    const state = this.#take(entry, "told");
    if (state === undefined) return;
    const { heard, missed } = hearRecord(this.#heard, state);
    const hasMoved = heard.generation !== this.#heard.generation;
    this.#heard = heard;
    if (missed) this.#readIn(spreadMs * this.#parts.random.unit());
    if (hasMoved) this.#listener.moved();
  }

  async #read(): Promise<void> {
    this.#reading = true;
    this.#again = false;
    this.#next?.timer.cancel();
    this.#next = undefined;
    const well = await this.#readWell();
    this.#reading = false;
    if (this.#closed) return;
    if (!this.#isReady) {
      this.#isReady = true;
      this.#listener.ready();
    }
    const isDone = well && !isBehind(this.#heard) && !this.#again;
    const [minMs, maxMs] = isDone ? [pollMinMs, pollMaxMs] : [againMinMs, againMaxMs];
    if (this.#again && well) this.readAgain();
    else this.#readIn(minMs + (maxMs - minMs) * this.#parts.random.unit());
  }

  async #readWell(): Promise<boolean> {
    try {
      return await this.#readAll();
    } catch (error) {
      const { complaints, instance } = this.#parts;
      const facts = { error: messageOf(error) };
      complaints.add(
        "readFailed",
        instance,
        facts,
        "what is asked of apps cannot be read; what is known goes on",
      );
      return false;
    }
  }

  /** @returns false if what was read is not all of it, or old */
  async #readAll(): Promise<boolean> {
    const entry = await this.#inTime(this.#parts.ledger.get(keys.desiredApps));
    // No list at all means: keep what you run.
    if (entry === undefined || this.#closed) return true;
    const list: AppList | undefined = this.#parsed(
      this.#parts.formats.desired,
      keys.desiredApps,
      entry.value,
    );
    if (list === undefined) return false;
    const found = hearList(this.#heard, list, entry.revision, this.#listener.known());
    if (found === undefined) return false;
    await this.#readApps(found.read);
    // Meanwhile more may have been heard.
    const after = hearList(this.#heard, list, entry.revision, this.#listener.known());
    if (after === undefined || this.#closed) return false;
    this.seeEpoch(list);
    this.#heard = after.heard;
    for (const app of after.missing) this.#listener.missing(app, list.ledgerId, entry.revision);
    this.#listener.moved();
    return true;
  }

  async #readApps(apps: readonly string[]): Promise<void> {
    const left = [...apps];
    const how = this.#heard.accepted === null ? "found" : "told";
    const readOneByOne = async (): Promise<void> => {
      for (let app = left.pop(); app !== undefined && !this.#closed; app = left.pop()) {
        const entry = await this.#inTime(this.#parts.ledger.get(keys.desiredApp(app)));
        if (entry !== undefined && !this.#closed) this.#take(entry, how);
      }
    };
    await Promise.all(Array.from({ length: readsAtOnce }, readOneByOne));
  }

  #inTime<T>(reading: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const limit = this.#parts.clock.setTimer(readMaxMs, () =>
        reject(new Error(`no answer within ${readMaxMs} ms`)),
      );
      reading.then(resolve, reject).finally(() => limit.cancel());
    });
  }

  #readIn(inMs: number): void {
    const { clock } = this.#parts;
    const dueMs = clock.monotonicMs() + inMs;
    if (this.#next !== undefined && this.#next.dueMs <= dueMs) return;
    this.#next?.timer.cancel();
    const read = (): void => {
      this.#next = undefined;
      this.readAgain();
    };
    this.#next = { dueMs, timer: clock.setTimer(inMs, read) };
  }

  #take({ key, value, revision }: LedgerEntry, heard: HowHeard): DesiredApp | undefined {
    // A deleted one was a tombstone, or means: keep what you run. The list tells which.
    if (this.#closed || value === undefined) return undefined;
    const state: DesiredApp | undefined = this.#parsed(this.#parts.formats["desired.app"], key, value);
    if (state === undefined) return undefined;
    if (parseKey(key)?.[1] !== state.app) {
      this.#complain(key, `it is of app ${state.app}`);
      return undefined;
    }
    this.#listener.desired(state, revision, heard);
    return state;
  }

  #parsed<T>(formats: RecordFormats<T>, key: string, value: unknown): T | undefined {
    const read = formats.read(value);
    if ("record" in read) return read.record;
    if ("problem" in read) this.#complain(key, read.problem);
    else
      this.#parts.complaints.add(
        "desiredNewer",
        this.#parts.instance,
        { key, format: read.newer, known: formats.newest },
        "a newer Rollcall has written what is asked of apps: upgrade this program; it keeps what it runs",
      );
    return undefined;
  }

  #complain(key: string, problem: string): void {
    this.#parts.complaints.add(
      "desiredGarbage",
      this.#parts.instance,
      { key, problem },
      "what is asked of an app cannot be understood and is left out",
    );
  }
}
