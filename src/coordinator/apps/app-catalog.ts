import type { AppsNow } from "../../../machines/app-change.js";
import type { AskedApp } from "../../../machines/app-standing.js";
import type { AppInstanceRecord, AppList, AppRecord } from "../../contracts/app.js";
import { refusal } from "../../contracts/errors.js";
import type { FleetStatus } from "../../contracts/views.js";
import type { FleetAppRecord } from "../fleet-records.js";

/** The records of a fleet's apps, and of the instances that have some, as a coordinator knows them. */
export class AppCatalog implements AppsNow {
  readonly records = new Map<string, AppRecord>();
  readonly instances = new Map<string, AppInstanceRecord>();
  readonly #toldAtMs = new Map<string, number>();
  #list: AppList | undefined;
  #toldFormat = 1;

  clear(): void {
    this.records.clear();
    this.instances.clear();
  }

  put(found: FleetAppRecord): void {
    switch (found.kind) {
      case "app":
        this.records.set(found.record.app, found.record);
        break;
      case "app-instance":
        this.instances.set(found.record.instance, found.record);
        break;
      case "desired":
        this.#list = found.record;
        this.#noteFormat(found.format);
        break;
      case "desired.app":
        this.#toldAtMs.set(found.app, found.atMs);
        this.#noteFormat(found.format);
    }
  }

  /** Instances are told of an app, by a list that has it, in a format. */
  tell(app: string, list: AppList, { atMs, format }: { atMs: number; format: number }): void {
    this.#list = list;
    this.#toldAtMs.set(app, atMs);
    this.#noteFormat(format);
  }

  /** The newest format in which anything is told now. */
  get toldFormat(): number {
    return this.#toldFormat;
  }

  /** Everything is told anew from now on: what was told before in a newer format counts no more. */
  tellAllAgain(): void {
    this.#toldFormat = 1;
  }

  #noteFormat(format: number): void {
    this.#toldFormat = Math.max(this.#toldFormat, format);
  }

  /** What instances were told; `undefined` while nothing is known of it. */
  get list(): AppList | undefined {
    return this.#list;
  }

  /** What was told in another ledger does not count. */
  forgetTold(): void {
    this.#list = undefined;
    this.#toldAtMs.clear();
    this.#toldFormat = 1;
  }

  /** How many there are, and of how many it is alerted that they are not as asked. */
  summary(): NonNullable<FleetStatus["apps"]> {
    const apps = [...this.records.values()].filter(({ desiredStatus }) => desiredStatus !== "uninstalled");
    let alerts = 0;
    for (const { alertedAtMs } of this.instances.values()) alerts += Object.keys(alertedAtMs).length;
    return { apps: apps.length, instances: this.instances.size, alerts };
  }

  /** A tombstone is cleared. */
  remove(app: string): void {
    this.records.delete(app);
    this.#toldAtMs.delete(app);
  }

  /** @throws RollcallError `UNKNOWN_APP` */
  record(app: string): AppRecord {
    const record = this.records.get(app);
    if (record === undefined) throw refusal("UNKNOWN_APP", { app });
    return record;
  }

  /** An app with what its instances were told of it. @param sinceMs of the ledger: nothing was told before */
  asked(record: AppRecord, sinceMs: number): AskedApp {
    const { app, changed } = record;
    if (this.#list === undefined || !Object.hasOwn(this.#list.apps, app)) return { record, told: null };
    // Who follows the ledger does not see when.
    const atMs = this.#toldAtMs.get(app) ?? Math.max(changed.atMs, sinceMs);
    return { record, told: { appsGeneration: this.#list.generation, atMs } };
  }
}
