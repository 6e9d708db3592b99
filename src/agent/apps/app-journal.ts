import type { SnapshotFrom } from "xstate";
import { z } from "zod";
import { retiredMax } from "../../../machines/accepted.js";
import type { appMachine } from "../../../machines/app.js";
import { type AppContext, type CallLimits, freshApp, verbs } from "../../../machines/app-facts.js";
import {
  appContentSchema,
  desiredStatusSchema,
  type InitStatus,
  initStatusSchema,
} from "../../contracts/app.js";
import { refusal } from "../../contracts/errors.js";
import { RecordFormats, storedAs } from "../../contracts/formats.js";
import { idSchema } from "../../contracts/names.js";

/** What of an app survives the process that it runs in: what was asked, and what may be left of it. Written before a call is made. */

export const appJournalKind = "app";
const appJournalFormat = 1;

const ledgerId = z.string().min(1).max(64);
const generation = z.int().min(1);

const appJournalSchema = z.strictObject({
  format: z.literal(appJournalFormat),
  app: idSchema,
  accepted: z.strictObject({ ledgerId, revision: z.int().min(0) }).nullable(),
  retired: z.array(ledgerId).max(retiredMax),
  wanted: z
    .strictObject({ generation, desiredStatus: desiredStatusSchema, content: appContentSchema })
    .nullable(),
  unlisted: z.boolean(),
  dropped: z.boolean(),
  mayRun: z.boolean(),
  mayBeHere: z.boolean(),
  /** The call that was under way. */
  call: z.strictObject({ verb: z.enum(verbs), generation }).nullable(),
  attempts: z.int().min(0),
  /** The newest status that is in the log of changes. */
  status: initStatusSchema,
  mismatchSinceMs: z.int().nullable(),
});
export type AppJournal = z.infer<typeof appJournalSchema>;

const journalFormats = new RecordFormats<AppJournal>([storedAs(appJournalSchema)]);

/** What is kept beside the machine's state: what was said of it. */
export interface AppMarks {
  readonly status: InitStatus;
  readonly mismatchSinceMs: number | null;
}

/** @throws RollcallError `LEDGER_NEWER` when a newer Rollcall wrote it; `undefined` for one that nobody can read */
export function readAppJournal(id: string, found: unknown): AppJournal | undefined {
  const read = journalFormats.read(found);
  if ("newer" in read)
    throw refusal("LEDGER_NEWER", {
      key: `${appJournalKind}/${id}`,
      found: read.newer,
      known: journalFormats.newest,
    });
  return "record" in read ? read.record : undefined;
}

export function appJournalOf(
  { context }: SnapshotFrom<typeof appMachine>,
  { status, mismatchSinceMs }: AppMarks,
): AppJournal {
  const { app, accepted, retired, wanted, unlisted, dropped, mayRun, mayBeHere, call, attempts } = context;
  return {
    format: appJournalFormat,
    app,
    accepted,
    retired: [...retired],
    wanted,
    unlisted,
    dropped,
    mayRun,
    mayBeHere,
    call: call === null ? null : { verb: call.verb, generation: call.generation },
    attempts,
    status,
    mismatchSinceMs,
  };
}

/** The state in which an app is taken up again, before it is known what is asked now. */
export function appFromJournal(journal: AppJournal, limitsMs: CallLimits) {
  const { format: _, status: __, mismatchSinceMs: ___, call, wanted, ...kept } = journal;
  const context: AppContext = {
    ...freshApp(journal.app, limitsMs),
    ...kept,
    wanted,
    call: call === null || wanted === null ? null : { ...call, content: wanted.content },
  };
  return { value: "asleep" as const, context };
}

/** The key of an app's record: one folder may serve several instances. */
export function appJournalId(instance: string, app: string): string {
  return `${instance}.${app}`;
}

/** The app that a key is of; `undefined` if it is another instance's. */
export function appOfJournalId(instance: string, id: string): string | undefined {
  return id.startsWith(`${instance}.`) ? id.slice(instance.length + 1) : undefined;
}
