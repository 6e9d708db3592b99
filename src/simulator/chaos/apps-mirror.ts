import type { AppRecord, DesiredApp } from "../../contracts/app.js";
import { parseKey } from "../../contracts/keys.js";
import { nextFormats } from "./next-formats.js";

const place = { fleet: "default", key: "" };

/** The newest records of apps as the store holds them. */
export class AppsMirror {
  readonly records = new Map<string, AppRecord>();
  /** What instances were told. */
  readonly told = new Map<string, DesiredApp>();
  /** Instances that the control plane knows. */
  readonly instances = new Set<string>();
  /** Every generation of an app that was ever stored. */
  readonly #all = new Map<string, AppRecord>();

  take(key: string, value: unknown): void {
    const [kind, id] = parseKey(key) ?? [key, ""];
    if (kind === "app") {
      if (value === undefined) this.records.delete(id);
      else this.#put(nextFormats.app.readAt({ ...place, key }, value));
    }
    if (kind === "desired.app") {
      if (value === undefined) this.told.delete(id);
      else this.told.set(id, nextFormats["desired.app"].readAt({ ...place, key }, value));
    }
    if (kind !== "app-instance") return;
    if (value === undefined) this.instances.delete(id);
    else this.instances.add(id);
  }

  clear(): void {
    this.records.clear();
    this.told.clear();
    this.instances.clear();
    this.#all.clear();
  }

  /** An app as it was asked in a generation. */
  at(app: string, generation: number): AppRecord | undefined {
    return this.#all.get(`${app} ${generation}`);
  }

  #put(record: AppRecord): void {
    this.records.set(record.app, record);
    this.#all.set(`${record.app} ${record.generation}`, record);
  }
}
