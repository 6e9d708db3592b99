import { z } from "zod";
import { idSchema } from "./names.js";

/** In answers: the revision of the ledger that they show. In requests: the newest that the client has seen in any answer. */
export const revisionHeader = "Rollcall-Revision";

/** In writes: the same for every sending of a request, so that it is carried out once. */
export const requestHeader = "Rollcall-Request";

/** A place in the history of one ledger; revisions of different ledgers do not compare. */
export interface LedgerPlace {
  readonly ledgerId: string;
  readonly revision: number;
}

/** In an answer that comes from a follower's copy of the fleet; one of the leader has none. */
export const copySchema = z.object({
  /** Whose copy it is. */
  of: idSchema,
  /** Since it was last known to have all that the ledger has, milliseconds. */
  ageMs: z.number(),
  /** Of the ledger, that it shows. */
  revision: z.number(),
  /** Who leads; `null` if nobody does. */
  leader: z.string().nullable(),
});
export type Copy = z.infer<typeof copySchema>;

/** For the reply of every read. */
export const copied = { copy: copySchema.optional() };

/** Where an answer comes from. */
export interface AnswerSource extends LedgerPlace {
  readonly copy: Copy | null;
}

export function placeText({ ledgerId, revision }: LedgerPlace): string {
  return `${ledgerId} ${revision}`;
}

/** What a header says; `undefined` if it says nothing that is understood. */
export function placeIn(header: string | undefined): LedgerPlace | undefined {
  const [, ledgerId = "", revision = ""] = /^(\S{1,64}) (\d{1,15})$/.exec(header ?? "") ?? [];
  return ledgerId === "" ? undefined : { ledgerId, revision: Number(revision) };
}

/** The newer of two places; of two ledgers the one that was met last. */
export function newerPlace(before: LedgerPlace | undefined, met: LedgerPlace): LedgerPlace {
  return before !== undefined && before.ledgerId === met.ledgerId && before.revision > met.revision
    ? before
    : met;
}
