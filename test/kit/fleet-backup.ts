import { restoreBackup } from "../../src/backup/restore.js";
import { snapshotOf } from "../../src/backup/snapshot.js";
import type { LedgerSource } from "../../src/backup/source.js";
import type { OpenBackup } from "../../src/backup/verify.js";
import { createMemoryObjects } from "../../src/ledger/memory-objects.js";
import type { Store } from "../../src/ledger/store.js";
import type { LedgerParts } from "../../src/ledger/store-ledger.js";
import { type CoordinatorsWorld, fleet } from "./coordinators-world.js";

const part = { file: "records.ndjson", sizeBytes: 0, sha256: "0".repeat(64) };
let tools = 0;

/** Another process that reaches the ledger of a fleet in virtual time. */
export function ledgerPartsIn(world: CoordinatorsWorld): LedgerParts {
  const bus = world.hub.connect(`tool-${++tools}`);
  return { ...world.store.parts({ fleet, bus }), clock: world.clock };
}

/** A backup as it would be read from its file, of a fleet in virtual time. */
export async function backUp(world: CoordinatorsWorld): Promise<OpenBackup> {
  const source: LedgerSource = {
    fleet,
    store: ledgerPartsIn(world).store,
    async *events() {
      yield* world.store.events(fleet);
    },
    objects: createMemoryObjects(),
  };
  const snapshot = await world.during(snapshotOf(source));
  const { ledgerId, revision, epoch, head, entries } = snapshot;
  const manifest: OpenBackup["manifest"] = {
    format: 1,
    rollcall: "test",
    fleet,
    ledgerId,
    revision,
    epoch,
    takenAtMs: world.clock.nowMs(),
    head,
    counts: { deployments: 0, instances: 0, releases: 0, configs: 0, others: 0, events: 0, files: 0 },
    withFiles: false,
    records: part,
    events: part,
    files: [],
  };
  return { manifest, entries, events: world.store.events(fleet), findings: [], pathOf: () => "" };
}

/** The same, of a process that reaches the store no more after so many of its batches were written. */
export function cutOffAfter(batches: number, parts: LedgerParts): LedgerParts {
  const { store } = parts;
  const reaching = store.write.bind(store);
  let left = batches;
  let isCutOff = false;
  const write: Store["write"] = async (batch, timeoutMs) => {
    // What only takes the lease has no id.
    if (batch.messageId !== undefined) isCutOff ||= left-- === 0;
    if (isCutOff) return { kind: "unanswered", problem: "a fault of the test" };
    return await reaching(batch, timeoutMs);
  };
  return { ...parts, store: Object.assign(store, { write }) };
}

/** Restores it, as `rollcall ledger restore --force` does. */
export function restore(
  world: CoordinatorsWorld,
  backup: OpenBackup,
  { force = true, parts = ledgerPartsIn(world) }: { force?: boolean; parts?: LedgerParts } = {},
) {
  return world.during(
    restoreBackup(parts, createMemoryObjects(), backup, {
      file: "backup.tar.gz",
      by: "anna",
      holder: `restore-${tools}`,
      force,
      saveFirst: async () => "before.tar.gz",
    }),
  );
}
