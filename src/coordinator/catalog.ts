import type { ConfigRecord, ReleaseRecord } from "../contracts/deployment.js";
import { refusal } from "../contracts/errors.js";
import type { DesiredInstance } from "../contracts/instance.js";
import type { ReconciliationRecord } from "../contracts/reconciliation.js";
import type { VersionPair } from "../contracts/version.js";
import type { FleetRecord } from "./fleet-records.js";

/** The releases and configurations that were pushed, and the last reconciliation, as a coordinator knows them. */
export class Catalog {
  readonly releases = new Map<string, ReleaseRecord>();
  readonly configs = new Map<string, ConfigRecord>();
  /** The last one; `null` if there was none. */
  reconciliation: ReconciliationRecord | null = null;

  clear(): void {
    this.releases.clear();
    this.configs.clear();
    this.reconciliation = null;
  }

  put(found: Extract<FleetRecord, { readonly kind: "release" | "config" | "reconciliation" }>): void {
    if (found.kind === "reconciliation") this.reconciliation = found.record;
    else if (found.kind === "release") this.releases.set(found.record.release.version, found.record);
    else this.configs.set(found.record.config.version, found.record);
  }

  /** @throws RollcallError `UNKNOWN_RELEASE` */
  release(version: string): ReleaseRecord {
    const record = this.releases.get(version);
    if (record === undefined) throw refusal("UNKNOWN_RELEASE", { version });
    return record;
  }

  /** @throws RollcallError `UNKNOWN_CONFIG` */
  config(version: string): ConfigRecord {
    const record = this.configs.get(version);
    if (record === undefined) throw refusal("UNKNOWN_CONFIG", { version });
    return record;
  }

  /** What an instance is told to run, with everything that it needs to get there; `null` to stop. */
  runOf(version: VersionPair | null): DesiredInstance["run"] {
    if (version === null) return null;
    return {
      release: this.release(version.release).release,
      config: version.config === null ? null : this.config(version.config).config,
    };
  }
}
