import { type AppTally, alertedApps } from "../../../machines/app-look.js";
import type { AppInstance, AskedApp } from "../../../machines/app-standing.js";
import { type AskedApps, type UnaskedApp, unaskedApp, unknownApp } from "../../../machines/app-unasked.js";
import { type ConditionTimes, conditionTimes } from "../../../machines/app-view.js";
import { mintedAtMsOf } from "../../base/ledger-id.js";
import type { AppInstanceRecord, AppRecord } from "../../contracts/app.js";
import { refusal } from "../../contracts/errors.js";
import type { FleetStatus } from "../../contracts/views.js";
import { AppCatalog } from "./app-catalog.js";
import type { AppIntake } from "./app-intake.js";

/** Apps whose alerts a summary names. */
const alertedMax = 5;

/** Where the knowledge is, and of when. */
export interface AppsPlace {
  readonly ledgerId: string;
  nowMs(): number;
}

/** What a coordinator knows of a fleet's apps: what is asked, by the records, and what instances have, by their reports. */
export class KnownApps {
  readonly catalog = new AppCatalog();
  readonly #place: AppsPlace;
  readonly #intake: () => AppIntake;
  readonly #times = new Map<string, ConditionTimes>();
  #listensSinceMs: number | undefined;
  #unasked: ReadonlySet<string> = new Set();

  constructor(place: AppsPlace, intake: () => AppIntake) {
    this.#place = place;
    this.#intake = intake;
  }

  /** From now on it hears what happens. */
  listen(): void {
    this.#listensSinceMs ??= this.#place.nowMs();
  }

  *asked(): Iterable<AskedApp> {
    for (const record of this.catalog.records.values()) yield this.askedOf(record);
  }

  askedOf(record: AppRecord): AskedApp {
    return this.catalog.asked(record, this.#ledgerSinceMs);
  }

  /** @throws RollcallError `UNKNOWN_APP`; `APP_UNASKED` if instances have it all the same */
  record(app: string): AppRecord {
    const record = this.catalog.records.get(app);
    if (record === undefined) throw unknownApp(app, this.unaskedApp(app));
    return record;
  }

  /** There is such an app: it is asked for, or is on some instance all the same. */
  has(app: string): boolean {
    return this.catalog.records.has(app) || this.unaskedApp(app).length > 0;
  }

  /** What is asked, to be compared with what instances have. */
  askedApps(): AskedApps {
    return { records: this.catalog.records, sinceMs: this.#ledgerSinceMs };
  }

  /** Where an app is that no record knows; nowhere if one does. */
  unaskedApp(app: string): readonly UnaskedApp[] {
    return this.catalog.records.has(app) ? [] : unaskedApp(app, this.instances());
  }

  /** Remembers which apps a round of looks has found that nobody asked for. */
  noteUnasked(apps: ReadonlySet<string>): void {
    this.#unasked = apps;
  }

  summary(): NonNullable<FleetStatus["apps"]> {
    const { records } = this.catalog;
    const unasked = [...this.#unasked].filter((app) => !records.has(app)).length;
    const alerts = [...this.catalog.instances.values()].filter(isAlerted);
    const alerted = alertedApps(alerts.map((record) => this.#intake().viewOf(record)));
    return { ...this.catalog.summary(), alerted: alerted.slice(0, alertedMax), unasked };
  }

  get #ledgerSinceMs(): number {
    return mintedAtMsOf(this.#place.ledgerId) ?? 0;
  }

  instances(): AppInstance[] {
    return [...this.catalog.instances.values()].map((record) => this.#intake().viewOf(record));
  }

  /** @throws RollcallError `UNKNOWN_INSTANCE` */
  instance(instance: string): AppInstance {
    const found = this.find(instance);
    if (found === undefined) throw refusal("UNKNOWN_INSTANCE", { instance });
    return found;
  }

  find(instance: string): AppInstance | undefined {
    const record = this.catalog.instances.get(instance);
    return record && this.#intake().viewOf(record);
  }

  /** Remembers since when each condition is what it is. */
  noteConditions(asked: AskedApp, tally: AppTally): void {
    const { app } = asked.record;
    const nowMs = this.#place.nowMs();
    this.#times.set(app, conditionTimes(this.#times.get(app), asked, tally, nowMs, this.listensSinceMs));
  }

  /** Apps that are no more have no conditions. */
  sweep(): void {
    for (const app of this.#times.keys()) if (!this.catalog.records.has(app)) this.#times.delete(app);
  }

  /** As of the newest look. */
  timesOf(app: string): ConditionTimes | undefined {
    return this.#times.get(app);
  }

  get listensSinceMs(): number {
    return this.#listensSinceMs ?? this.#place.nowMs();
  }
}

function isAlerted({ alertedAtMs }: AppInstanceRecord): boolean {
  return Object.keys(alertedAtMs).length > 0;
}
