import { eventSentence, shortType } from "../../contracts/event-words.js";
import { unescapeToken } from "../../contracts/names.js";
import { type AuditEvent, ledgerOf } from "../../ledger/event-chain.js";

/** An event of the audit log, taken apart; one that was recorded or one of the replay. */
export interface RecordedEvent {
  /** `instance.told` */
  readonly type: string;
  readonly id: string;
  readonly atMs: number;
  readonly ledger: string;
  readonly epoch: number;
  readonly sequence: number;
  /** Empty in events of the first format. */
  readonly actor: string;
  readonly cause: string;
  readonly generation: number;
  readonly data: unknown;
  /** What people read. */
  readonly sentence: string;
  /** Where it stands in its file, from 1. */
  readonly line: number;
}

/** @param line where it stands in its file; 0 for one that stands in none */
export function takenApart(event: AuditEvent, line = 0): RecordedEvent {
  const { actor = "", cause = "", generation = 0, epoch, sequence } = event;
  const data: unknown = JSON.parse(event.body);
  const [, token = ""] = event.subject.split("/");
  return {
    type: shortType(event.type),
    id: unescapeToken(token) ?? token,
    atMs: Date.parse(event.time),
    ledger: ledgerOf(event),
    epoch,
    sequence,
    actor,
    cause,
    generation,
    data,
    sentence: eventSentence(event.type, data),
    line,
  };
}

/** The deployment of whose step this is a part; `undefined` if it follows from something else. */
export function stepOf({ cause }: Pick<RecordedEvent, "cause">): string | undefined {
  return /^deployment:([^/]+)\/\d+$/.exec(cause)?.[1];
}

/** A person or program asked for it. */
export function isAskedFor({ actor }: Pick<RecordedEvent, "actor">): boolean {
  return actor.startsWith("user:");
}

/** Whose request it was. */
export function askedBy({ actor }: Pick<RecordedEvent, "actor">): string {
  return actor.slice(actor.indexOf(":") + 1);
}
