import type { LedgerSource } from "../backup/source.js";
import type { TakenBackup } from "../backup/take.js";
import { AuditLog } from "../ledger/audit-log.js";
import { findNatsStore } from "../ledger/nats-ledger.js";
import { openNatsObjects } from "../ledger/nats-objects.js";
import type { Cli } from "./cli.js";
import type { Session } from "./session.js";

/** What a backup of a fleet is taken from. @throws RollcallError `NO_LEDGER` */
export async function ledgerSourceOf(
  { bus, log }: Pick<Session, "bus" | "log">,
  fleet: string,
  cli: Cli,
): Promise<LedgerSource> {
  const { clock } = cli.io;
  return {
    fleet,
    store: await findNatsStore({ fleet, bus, clock }),
    async *events() {
      for await (const { event } of new AuditLog({ fleet, bus, clock }).read()) yield event;
    },
    objects: openNatsObjects({ fleet, bus, clock, log }),
  };
}

/** A backup as `--json` tells it. */
export function backupSummaryOf({ file, sizeBytes, sha256, manifest }: TakenBackup) {
  const { fleet, ledgerId, revision, takenAtMs, counts, withFiles } = manifest;
  return { file, sizeBytes, sha256, fleet, ledgerId, revision, takenAtMs, counts, withFiles };
}
