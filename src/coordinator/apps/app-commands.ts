import {
  type AppAsking,
  type AppWish,
  changeOf,
  isTold,
  listWithout,
  tellingOf,
} from "../../../machines/app-change.js";
import type { AppRecord, AppRequestMade } from "../../contracts/app.js";
import type { AppReport } from "../../contracts/app-report.js";
import type { FleetEvent } from "../../contracts/event-types.js";
import { keys } from "../../contracts/keys.js";
import { byClock, byReport, byUser, type Origin } from "../../contracts/origin.js";
import type { Term } from "../term.js";
import type { Put } from "../writer.js";
import type { AppCatalog } from "./app-catalog.js";
import type { KnownApps } from "./known-apps.js";

/** What every change of an app carries. */
export interface AppRequest {
  readonly app: string;
  readonly by: string;
  readonly reason: string | null;
  readonly requestKey?: string | undefined;
  readonly expectedGeneration?: number | undefined;
}

/** What came of a request. */
export interface AppChanged {
  readonly record: AppRecord;
  /** It was carried out before, and this is what it was answered then. */
  readonly repeated: AppRequestMade | undefined;
}

/** Writes what people ask of apps: the record, what instances are told, the list and the event are one unit. */
export class AppCommands {
  readonly #term: Term;
  readonly #catalog: AppCatalog;
  readonly #known: Pick<KnownApps, "unaskedApp">;
  /** In which format all instances read what they are told. */
  readonly #format: () => number;
  /** The newest write of each app that is under way. */
  readonly #writing = new Map<string, Promise<void>>();

  constructor(term: Term, known: Pick<KnownApps, "catalog" | "unaskedApp">, format: () => number) {
    this.#term = term;
    this.#catalog = known.catalog;
    this.#known = known;
    this.#format = format;
  }

  /**
   * Changes an app, or leaves it where it is so already.
   * @throws RollcallError as `changeOf` of machines/app-change.ts; what the ledger said
   */
  async change(wish: AppWish, request: AppRequest): Promise<AppChanged> {
    const { by, reason, requestKey = null } = request;
    const { app, expectedGeneration } = request;
    const mark = { by, reason, atMs: this.#term.nowMs() };
    const found = this.#known.unaskedApp(app);
    const asking: AppAsking = { app, mark, requestKey, expectedGeneration, found };
    const outcome = changeOf(this.#catalog, wish, asking);
    const { record } = outcome;
    // Whoever is told that it is so already is told so of what cannot be lost.
    if (outcome.kind === "same") await this.#writing.get(app);
    const origin = byUser(by, requestKey ?? this.#term.random.id());
    if (outcome.kind === "untold") await this.#tellAnew(record, reason, origin);
    if (outcome.kind !== "changed") return { record, repeated: outcome.repeated };
    await this.#tell(record, [{ key: keys.app(app), value: record }], outcome.happening, origin);
    return { record, repeated: undefined };
  }

  /** Has this ledger's instances told of apps as they stand. @returns of how many */
  async tellAnew(apps: readonly string[], reason: string | null, origin: Origin): Promise<number> {
    const records = apps.flatMap((app) => this.#catalog.records.get(app) ?? []);
    const untold = records.filter(({ app }) => !isTold(this.#catalog, app));
    await Promise.all(untold.map((record) => this.#tellAnew(record, reason, origin)));
    return untold.length;
  }

  /**
   * Has everything that was told told once more, as it stands, if an instance cannot read it: it has come since, with a program that
   * reads less than those that were there.
   */
  async tellReadably(report: AppReport): Promise<void> {
    const { instance, desiredFormat } = report;
    if (desiredFormat >= this.#catalog.toldFormat) return;
    this.#catalog.tellAllAgain();
    const reason = `${instance} reads format ${desiredFormat} of it at most`;
    const origin = byReport({ ...report, agent: instance });
    const told = [...this.#catalog.records.values()].filter(({ app }) => isTold(this.#catalog, app));
    await Promise.all(told.map((record) => this.#tellAnew(record, reason, origin)));
  }

  /** Forgets apps of which nothing is left anywhere. @param confirmed instances that have said so */
  async clear(apps: readonly string[], confirmed: number): Promise<void> {
    const { leadership, ledgerId, writer } = this.#term;
    const list = listWithout(this.#catalog, apps, { ledgerId, epoch: leadership.epoch });
    const [first, ...rest] = apps.map((app): FleetEvent => {
      const generation = this.#catalog.record(app).generation;
      const data = { confirmed };
      return { kind: "app", id: app, type: "app.cleared", data, generation, ...byClock("apps", "tombstone") };
    });
    if (first === undefined) return;
    for (const app of apps) this.#catalog.remove(app);
    const format = this.#format();
    this.#catalog.put({ kind: "desired", record: list, format });
    await writer.add({
      puts: [{ key: keys.desiredApps, value: list, formatMax: format }],
      deletes: apps.flatMap((app) => [keys.app(app), keys.desiredApp(app)]),
      events: [first, ...rest],
    });
  }

  #tellAnew(record: AppRecord, reason: string | null, origin: Origin): Promise<void> {
    return this.#tell(record, [], { type: "app.told", data: { reason } }, origin);
  }

  #tell(
    record: AppRecord,
    puts: readonly Put[],
    event: Pick<FleetEvent, "type" | "data">,
    origin: Origin,
  ): Promise<void> {
    const { leadership, ledgerId, writer } = this.#term;
    const { app, generation } = record;
    const format = this.#format();
    const { desired, list } = tellingOf(this.#catalog, record, { ledgerId, epoch: leadership.epoch });
    this.#catalog.put({ kind: "app", record });
    this.#catalog.tell(app, list, { atMs: this.#term.nowMs(), format });
    const written = writer.add({
      puts: [
        ...puts,
        { key: keys.desiredApp(app), value: desired, formatMax: format },
        { key: keys.desiredApps, value: list, formatMax: format },
      ],
      events: [{ kind: "app", id: app, ...event, generation, ...origin }],
    });
    this.#writing.set(app, written);
    const forget = () => {
      if (this.#writing.get(app) === written) this.#writing.delete(app);
    };
    written.then(forget, forget);
    return written;
  }
}
