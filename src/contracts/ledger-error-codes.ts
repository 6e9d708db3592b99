import type { Meaning } from "./error-meaning.js";

/** The codes of the ledger and its backups. */
export const ledgerErrorCodes = {
  LEDGER_UNAVAILABLE: {
    retry: "later",
    status: 503,
    sentence:
      "The ledger of fleet {fleet} cannot be reached: {problem}. Check the NATS server; nothing acknowledged is lost.",
  },
  LEDGER_FULL: {
    retry: "later",
    status: 507,
    sentence: "The ledger of fleet {fleet} is full ({problem}): give JetStream more room.",
  },
  LEDGER_CORRUPT: {
    retry: "never",
    status: 500,
    sentence:
      "The ledger of fleet {fleet} holds something unreadable under {key}: {problem}. Restore it from a backup.",
  },
  AUDIT_BROKEN: {
    retry: "never",
    status: 409,
    sentence:
      "The audit log is not whole: {problem}. Somebody or something has changed it: compare it with a copy (--audit-file) and find out who had the rights.",
  },
  LEDGER_NEWER: {
    retry: "never",
    status: 500,
    sentence:
      "The record {key} has format {found}, newer than {known} that this Rollcall knows: upgrade this Rollcall; nothing was changed.",
  },
  LEDGER_OLDER: {
    retry: "never",
    status: 500,
    sentence:
      "The record {key} has format {found}, older than {known}, the oldest that this Rollcall reads: run a version between the two first; nothing was changed.",
  },
  LEDGER_HALF_RESTORED: {
    retry: "later",
    status: 409,
    sentence:
      "The ledger of fleet {fleet} is only half restored, and nobody may lead over it: finish it by rollcall ledger restore FILE, with the same backup or another one.",
  },
  LEDGER_IN_USE: {
    retry: "later",
    status: 409,
    sentence:
      "Coordinator {holder} leads fleet {fleet}: stop every coordinator of the fleet first, then restore its ledger.",
  },
  LEDGER_NOT_EMPTY: {
    retry: "never",
    status: 409,
    sentence:
      "The ledger of fleet {fleet} holds {count} records already: give --force to put the backup in their place; what is there now is backed up beside it first.",
  },
  NO_LEDGER: {
    retry: "never",
    status: 404,
    sentence:
      "There is no ledger of fleet {fleet} on this NATS server: name another fleet by --fleet, or another server by --nats.",
  },
  BAD_BACKUP: {
    retry: "never",
    status: 422,
    sentence: "{file} cannot be restored: {problem}. Take another backup; nothing was changed.",
  },
  BACKUP_OF_ANOTHER_FLEET: {
    retry: "never",
    status: 409,
    sentence:
      "{file} is a backup of fleet {found}, not of {fleet}: give --fleet {found}, or --as {fleet} if that is what you want.",
  },
  BATCH_TOO_LARGE: {
    retry: "never",
    status: 500,
    sentence:
      "A batch of {count} messages is more than {max}: this is a defect of Rollcall, please report it.",
  },
} as const satisfies Record<string, Meaning>;
