import { messageOf } from "../../base/errors.js";
import type { Bus, Clock, Ledger, LedgerEntry, Log, Subscription } from "../../base/ports.js";
import { appInstancesMax } from "../../contracts/app-limits.js";
import { formatOf } from "../../contracts/formats.js";
import { keys } from "../../contracts/keys.js";
import type { Formats } from "../../contracts/record-formats.js";
import { subjectsOf } from "../../contracts/subjects.js";
import type { FleetAppRecord } from "../fleet-records.js";
import { SilenceWatch } from "../silence-watch.js";
import { AppIntake } from "./app-intake.js";
import { AppLooks } from "./app-looks.js";
import { KnownApps } from "./known-apps.js";

/** Between two looks, which only note since when conditions are what they are. */
const lookEveryMs = 30_000;
/** The leader has asked by then for what is missing. */
const patienceMs = 3_000;

export interface CopiedAppsParts {
  readonly fleet: string;
  readonly ledger: Pick<Ledger, "watch" | "get">;
  readonly clock: Clock;
  readonly bus: Pick<Bus, "subscribe" | "publish">;
  readonly log: Log;
  readonly formats: Formats;
}

/** The copy that this is a part of. */
export interface CopiedFleet {
  /** The one that is followed. */
  ledger(): Pick<Ledger, "ledgerId">;
  /** Ledger time now. */
  nowMs(): number;
}

/**
 * A fleet's apps as a follower sees them: the records by following the ledger, what was told by the list of apps, what instances have by
 * hearing it itself. There is no regular whole report, so it asks for one where the leader has not done so.
 */
export class CopiedApps {
  readonly known: KnownApps;
  readonly #parts: CopiedAppsParts;
  readonly #copy: CopiedFleet;
  readonly #intake: AppIntake;
  readonly #watch: SilenceWatch;
  #subscription: Subscription | undefined;
  readonly #looks: AppLooks;

  constructor(parts: CopiedAppsParts, copy: CopiedFleet) {
    const { fleet, clock, bus, log, formats } = parts;
    const subjects = subjectsOf(fleet);
    this.#parts = parts;
    this.#copy = copy;
    // The leader takes out of the fleet who was away for too long.
    this.#watch = new SilenceWatch(clock);
    const place = {
      get ledgerId() {
        return copy.ledger().ledgerId;
      },
      nowMs: () => copy.nowMs(),
    };
    this.known = new KnownApps(place, () => this.#intake);
    this.#intake = new AppIntake(
      Object.assign(place, { clock, bus, log, subjects, formats: { known: formats } }),
      {
        watch: this.#watch,
        patienceMs,
        // Its record may come a little later.
        join: () => (this.#intake.size < appInstancesMax ? undefined : "there are too many instances"),
        onNews: () => undefined,
        wants: () => undefined,
        ask: (instance, how) => bus.publish(subjects.appsAsk(instance, "report"), JSON.stringify(how)),
      },
    );
    this.#looks = new AppLooks({
      clock,
      known: this.known,
      everyMs: lookEveryMs,
      // It raises none.
      alertAfterMs: Number.POSITIVE_INFINITY,
      nowMs: () => copy.nowMs(),
      onLooked: () => undefined,
      onUnasked: () => undefined,
      onRound: () => {
        this.known.sweep();
        void this.#readList();
      },
    });
  }

  start(): void {
    this.#intake.start();
    this.known.listen();
    this.#subscription = this.#parts.ledger.watch(keys.desiredApps, (entry) => this.#takeList(entry));
    this.#looks.start();
    void this.#readList();
  }

  stop(): void {
    this.#watch.stop();
    this.#intake.stop();
    this.#subscription?.unsubscribe();
    this.#looks.stop();
  }

  goDeaf(): void {
    this.#watch.goDeaf();
  }

  listenAfresh(): void {
    this.#watch.startAfresh();
    void this.#readList();
  }

  put(found: FleetAppRecord): void {
    this.known.catalog.put(found);
    if (found.kind !== "app-instance") return;
    this.#watch.start();
    if (this.#intake.find(found.record.instance) === undefined) this.#watch.hear(found.record.instance);
  }

  /** A record is no more. @param kind of its key */
  remove(kind: string, name: string): void {
    if (kind === "app") this.known.catalog.remove(name);
    if (kind !== "app-instance") return;
    this.known.catalog.instances.delete(name);
    this.#intake.forget(name);
  }

  /** The whole ledger is read anew, and is another one perhaps. */
  beginAnew(isSame: boolean): void {
    this.known.catalog.clear();
    if (!isSame) {
      this.known.catalog.forgetTold();
      this.#intake.forgetAll();
    }
    void this.#readList();
  }

  /** Instances of which it is not known yet what they have. */
  unheard(): number {
    let unheard = 0;
    for (const instance of this.known.catalog.instances.keys())
      if (!this.#watch.isSilent(instance) && this.#intake.find(instance)?.isWhole !== true) unheard++;
    return unheard;
  }

  async #readList(): Promise<void> {
    const { ledger, log } = this.#parts;
    try {
      const entry = await ledger.get(keys.desiredApps);
      if (entry !== undefined) this.#takeList(entry);
    } catch (error) {
      log.debug({ error: messageOf(error) }, "the list of apps was not read; it is tried again");
    }
  }

  #takeList({ value }: LedgerEntry): void {
    const { ledgerId } = this.#copy.ledger();
    const read = this.#parts.formats.desired.read(value);
    if (!("record" in read) || read.record.ledgerId !== ledgerId) return;
    const { list } = this.known.catalog;
    if (list?.ledgerId === ledgerId && list.generation > read.record.generation) return;
    this.known.catalog.put({ kind: "desired", record: read.record, format: formatOf(value) ?? 1 });
  }
}
