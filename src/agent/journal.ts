import type { SnapshotFrom } from "xstate";
import { z } from "zod";
import type { instanceMachine } from "../../machines/instance.js";
import { freshInstance, type InstanceContext, type Placed, slots } from "../../machines/instance-facts.js";
import { type InstanceStanding, stageOf, standingOf } from "../../machines/instance-standing.js";
import type { Fault, ProcessContext, processMachine } from "../../machines/process.js";
import type { RecordStore } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import { RecordFormats, storedAs } from "../contracts/formats.js";
import { desiredInstanceSchema, phaseSchema } from "../contracts/instance.js";
import { idSchema } from "../contracts/names.js";
import { configSchema, releaseSchema } from "../contracts/release.js";
import { versionPairSchema } from "../contracts/version.js";

/**
 * What of an agent, its instances and their processes survives, and how a machine's state is made of it and
 * it of a machine's state. Written before the work that it tells of begins; a phase that was begun begins again.
 */

/** The format that is written: nobody but this agent reads it. A newer one is refused, never downgraded. */
export const journalFormat = 1;

export const journalKinds = { agent: "agent", instance: "instance", process: "process" } as const;
export const agentJournalId = "agent";

const run = { release: releaseSchema, config: configSchema.nullable() };
const ledgerId = z.string().min(1).max(64);
const generation = z.int().min(1);

const faultSchema = z.strictObject({
  code: z.string().max(64),
  message: z.string().max(4_096).optional(),
  details: z.record(z.string(), z.unknown()).optional(),
});

const launchSchema = z.strictObject({ ledgerId, generation, ...run, port: z.int().min(1).max(65_535) });
const slotSchema = z.enum(["a", "b"]);
const placedSchema = z.strictObject({ slot: slotSchema, launch: launchSchema });

const agentJournalSchema = z.strictObject({ format: z.literal(journalFormat), agentId: idSchema });

const instanceJournalSchema = z.strictObject({
  format: z.literal(journalFormat),
  instance: idSchema,
  accepted: z.strictObject({ ledgerId, revision: z.int().min(0) }).nullable(),
  retired: z.array(ledgerId).max(8),
  epoch: z.int().min(0),
  epochLedgerId: ledgerId.nullable().default(null),
  /** The newest desired state that was accepted. */
  wanted: desiredInstanceSchema.nullable(),
  /** What is acted on. */
  target: z
    .strictObject({ ledgerId, generation, run: z.strictObject(run).nullable(), minHealthyMs: z.int().min(0) })
    .nullable(),
  /** Where the work stands: the phase, or one of its two last steps that people see as the phase before. */
  stage: z.enum([...phaseSchema.options, "SWITCHING", "STOPPING"]),
  active: placedSchema.nullable(),
  published: z.boolean(),
  previous: versionPairSchema.nullable(),
  candidate: placedSchema.nullable(),
  failure: faultSchema.nullable(),
});
export type InstanceJournal = z.infer<typeof instanceJournalSchema>;

const processJournalSchema = z.strictObject({
  format: z.literal(journalFormat),
  instance: idSchema,
  slot: slotSchema,
  state: z.enum(["stopped", "starting", "running", "backoff", "stopping", "failed"]),
  wanted: launchSchema.nullable(),
  launch: launchSchema.nullable(),
  identity: z
    .strictObject({ pid: z.int().min(1), startTime: z.string().max(64), bootId: z.string().max(64) })
    .nullable(),
  restarts: z.int().min(0),
  streak: z.int().min(0),
  fault: faultSchema.nullable(),
});
export type ProcessJournal = z.infer<typeof processJournalSchema>;

/** The formats of each kind of journal. */
const journalFormats = {
  agent: new RecordFormats([storedAs(agentJournalSchema)]),
  instance: new RecordFormats([storedAs(instanceJournalSchema)]),
  process: new RecordFormats([storedAs(processJournalSchema)]),
};
type Journals = {
  [K in keyof typeof journalFormats]: (typeof journalFormats)[K] extends RecordFormats<infer T> ? T : never;
};

/**
 * Reads a record back.
 *
 * @throws RollcallError `LEDGER_NEWER` when a newer Rollcall wrote it; `undefined` for one that nobody can read
 */
export function readJournal<K extends keyof Journals>(
  kind: K,
  id: string,
  found: unknown,
): Journals[K] | undefined {
  const formats: RecordFormats<unknown> = journalFormats[kind];
  const read = formats.read(found);
  if ("newer" in read)
    throw refusal("LEDGER_NEWER", { key: `${kind}/${id}`, found: read.newer, known: formats.newest });
  return "record" in read ? (read.record as Journals[K]) : undefined;
}

/** The record of an instance's state. */
export function instanceJournalOf(snapshot: SnapshotFrom<typeof instanceMachine>): InstanceJournal {
  const {
    instance,
    accepted,
    retired,
    epoch,
    epochLedgerId,
    wanted,
    target,
    active,
    published,
    previous,
    candidate,
    failure,
  } = snapshot.context;
  return {
    format: journalFormat,
    instance,
    accepted,
    retired: [...retired],
    epoch,
    epochLedgerId,
    wanted,
    target,
    stage: stageOf(snapshot.value as InstanceStanding),
    active,
    published,
    previous,
    candidate,
    failure: plainFault(failure),
  };
}

/** The state in which an instance is taken up again: nothing has been heard of its processes yet. */
export function instanceFromJournal(journal: InstanceJournal) {
  const { format: _, stage, failure, ...kept } = journal;
  const fresh = freshInstance(journal.instance);
  const unheard = { ...fresh.processes.a, status: "unknown" } as const;
  const context: InstanceContext = {
    ...fresh,
    ...kept,
    failure: ofPlainFault(failure),
    processes: { a: unheard, b: unheard },
    reached: stage === "ACTIVE" || stage === "STOPPED",
  };
  return { value: standingOf(stage) as SnapshotFrom<typeof instanceMachine>["value"], context };
}

/** The record of a process's state. */
export function processJournalOf(snapshot: SnapshotFrom<typeof processMachine>): ProcessJournal {
  const { instance, slot, wanted, launch, identity, restarts, streak, fault } = snapshot.context;
  const state = typeof snapshot.value === "string" ? snapshot.value : "stopping";
  return {
    format: journalFormat,
    instance,
    slot: slotSchema.parse(slot),
    state,
    wanted,
    launch,
    identity,
    restarts,
    streak,
    fault: plainFault(fault),
  };
}

/** The state in which a process is taken up again, before it is known whether it still runs. */
export function processFromJournal(journal: ProcessJournal) {
  const { format: _, state, fault, ...kept } = journal;
  const context: ProcessContext = { ...kept, fault: ofPlainFault(fault), order: 0, run: 0, unit: 0 };
  return { value: state === "stopping" ? ({ stopping: "ending" } as const) : state, context };
}

/** The key of a process's record. */
export function processKey(instance: string, slot: Placed["slot"]): string {
  return `${instance}.${slot}`;
}

/** Nothing is remembered of an instance any more, nor of its processes. */
export async function removeJournals(records: RecordStore, instance: string): Promise<void> {
  await records.remove(journalKinds.instance, instance);
  for (const slot of slots) await records.remove(journalKinds.process, processKey(instance, slot));
}

function plainFault(fault: Fault | null): InstanceJournal["failure"] {
  return fault === null ? null : { ...fault, ...(fault.details && { details: { ...fault.details } }) };
}

function ofPlainFault(fault: InstanceJournal["failure"]): Fault | null {
  if (fault === null) return null;
  const { code, message, details } = fault;
  return { code, ...(message !== undefined && { message }), ...(details !== undefined && { details }) };
}
