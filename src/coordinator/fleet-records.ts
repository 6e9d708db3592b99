import type { LedgerEntry } from "../base/ports.js";
import type { AppInstanceRecord, AppList, AppRecord } from "../contracts/app.js";
import type {
  ConfigRecord,
  DeploymentRecord,
  InstanceRecord,
  ReleaseRecord,
} from "../contracts/deployment.js";
import { formatOf } from "../contracts/formats.js";
import { keys, parseKey } from "../contracts/keys.js";
import { type ReconciliationRecord, reconciliationRecordSchema } from "../contracts/reconciliation.js";
import type { Formats } from "../contracts/record-formats.js";

/** A record of a fleet, as the ledger holds it. */
export type FleetRecord =
  | { readonly kind: "release"; readonly record: ReleaseRecord }
  | { readonly kind: "config"; readonly record: ConfigRecord }
  | { readonly kind: "instance"; readonly record: InstanceRecord }
  | { readonly kind: "deployment"; readonly record: DeploymentRecord }
  | { readonly kind: "reconciliation"; readonly record: ReconciliationRecord }
  | FleetAppRecord;

/** The same of its apps. What instances were told is seen by who reads the ledger, not by who follows it. */
export type FleetAppRecord =
  | { readonly kind: "app"; readonly record: AppRecord }
  | { readonly kind: "app-instance"; readonly record: AppInstanceRecord }
  | { readonly kind: "desired"; readonly record: AppList; readonly format: number }
  /** When its instances were told of an app, and in which format. */
  | { readonly kind: "desired.app"; readonly app: string; readonly atMs: number; readonly format: number };

export function isOfApps(found: FleetRecord): found is FleetAppRecord {
  const { kind } = found;
  return kind === "app" || kind === "app-instance" || kind === "desired" || kind === "desired.app";
}

/**
 * The record in an entry; `undefined` if it is none of a fleet's.
 * @throws RollcallError `LEDGER_CORRUPT`, `LEDGER_NEWER`
 */
export function fleetRecordIn(
  { fleet, known }: { readonly fleet: string; readonly known: Formats },
  { key, value, writtenAtMs }: LedgerEntry,
): FleetRecord | undefined {
  if (key === keys.reconciliation) {
    // It is for people: what cannot be read of it is not missed.
    const parsed = reconciliationRecordSchema.safeParse(value);
    return parsed.success ? { kind: "reconciliation", record: parsed.data } : undefined;
  }
  const [kind, name = ""] = parseKey(key) ?? [];
  const place = { fleet, key };
  switch (kind) {
    case "release":
      return { kind, record: known.release.readAt(place, value) };
    case "config":
      return { kind, record: known.config.readAt(place, value) };
    case "instance":
      return { kind, record: known.instance.readAt(place, value) };
    case "deployment":
      return { kind, record: known.deployment.readAt(place, value) };
    case "app":
      return { kind, record: known.app.readAt(place, value) };
    case "app-instance":
      return { kind, record: known["app-instance"].readAt(place, value) };
    case "desired":
      return { kind, record: known.desired.readAt(place, value), format: formatOf(value) ?? 1 };
    case "desired.app":
      return { kind, app: name, atMs: writtenAtMs, format: formatOf(value) ?? 1 };
    default:
      return undefined;
  }
}
