import { type Slot, slots } from "../../machines/instance-facts.js";
import { messageOf } from "../base/errors.js";
import type { Log, RecordStore } from "../base/ports.js";
import type { Complaints } from "./complaints.js";
import type { InstanceJournals } from "./instance-runner.js";
import {
  type InstanceJournal,
  journalFormat,
  journalKinds,
  type ProcessJournal,
  processKey,
  readJournal,
} from "./journal.js";
import { isSameProcess, type OwnedProcess, type Processes } from "./ports.js";

/** How long a process that nobody knows has to end before it is killed. */
const reapGraceMs = 5_000;

type Reading = { readonly records: RecordStore; readonly complaints: Complaints };

/**
 * What was written of each instance when this data folder's agent last ran. What cannot be read is said, and made of what
 * can; the desired state heals the rest.
 *
 * @throws RollcallError `LEDGER_NEWER` when a newer Rollcall wrote it
 */
export async function readJournals({ records, complaints }: Reading): Promise<Map<string, InstanceJournals>> {
  const journals = new Map<
    string,
    {
      instance: InstanceJournals["instance"];
      processes: Partial<Record<Slot, NonNullable<InstanceJournals["processes"]["a"]>>>;
    }
  >();
  const of = (instance: string) => {
    const found = journals.get(instance) ?? { instance: undefined, processes: {} };
    journals.set(instance, found);
    return found;
  };
  const unreadable = (kind: string, id: string): void =>
    complaints.add(
      "journalUnreadable",
      id,
      { kind },
      "a record of this agent cannot be read; what it told of begins anew",
    );
  for (const { id, record } of await records.load(journalKinds.instance)) {
    const journal = readJournal("instance", id, record);
    if (journal === undefined) unreadable(journalKinds.instance, id);
    else of(journal.instance).instance = journal;
  }
  for (const { id, record } of await records.load(journalKinds.process)) {
    const journal = readJournal("process", id, record);
    if (journal === undefined) unreadable(journalKinds.process, id);
    else of(journal.instance).processes[journal.slot] = journal;
  }
  for (const [id, found] of journals) found.instance ??= journalFrom(id, Object.values(found.processes));
  return journals;
}

/**
 * An instance whose record was lost goes on with what its processes were started for: the older one, if there are two, since the
 * other had still to prove itself. `undefined` if none was to run.
 */
function journalFrom(instance: string, processes: readonly ProcessJournal[]): InstanceJournal | undefined {
  const placed = processes.flatMap(({ slot, wanted }) => (wanted === null ? [] : [{ slot, launch: wanted }]));
  const [active] = placed.sort((one, other) => one.launch.generation - other.launch.generation);
  if (active === undefined) return undefined;
  const { ledgerId, generation, release, config } = active.launch;
  return {
    format: journalFormat,
    instance,
    accepted: null,
    retired: [],
    epoch: 0,
    epochLedgerId: null,
    wanted: null,
    target: { ledgerId, generation, run: { release, config }, minHealthyMs: release.manifest.minHealthyMs },
    stage: "ACTIVE",
    active,
    published: true,
    previous: null,
    candidate: null,
    failure: null,
  };
}

/**
 * Adopts each process that was started just before the agent's end, when its record said only that it was about to be: the record
 * is completed.
 *
 * @returns the journals with what was adopted, and the processes that are nobody's: of an instance that this agent no longer
 *   has, of a launch that nobody wants any more, or left behind by a process that has ended
 * @throws RollcallError `DISK_FULL`
 */
export async function adopt(
  owned: readonly OwnedProcess[],
  journals: ReadonlyMap<string, InstanceJournals>,
  records: RecordStore,
): Promise<{
  readonly journals: ReadonlyMap<string, InstanceJournals>;
  readonly strangers: readonly OwnedProcess[];
}> {
  const adopted = new Map(journals);
  const strangers: OwnedProcess[] = [];
  for (const process of owned) {
    const { instance, processes } = { instance: undefined, processes: {}, ...adopted.get(process.instance) };
    if (slots.some((slot) => isKnown(process, processes[slot]))) continue;
    const begun = slots.map((slot) => processes[slot]).find((journal) => isStartOf(process, journal));
    if (begun === undefined) {
      strangers.push(process);
      continue;
    }
    const completed: ProcessJournal = { ...begun, state: "running", identity: process.identity };
    await records.save(journalKinds.process, processKey(begun.instance, begun.slot), completed);
    adopted.set(process.instance, { instance, processes: { ...processes, [begun.slot]: completed } });
  }
  return { journals: adopted, strangers };
}

function isKnown({ generation, identity }: OwnedProcess, journal: ProcessJournal | undefined): boolean {
  return generation !== 0 && isSameProcess(identity, journal?.identity);
}

function isStartOf({ generation, port }: OwnedProcess, journal: ProcessJournal | undefined): boolean {
  return (
    journal?.state === "starting" && journal.launch?.generation === generation && journal.launch.port === port
  );
}

/** Ends processes that should not run, all at once; what cannot be ended is said and left. */
export async function reap(which: readonly OwnedProcess[], processes: Processes, log: Log): Promise<void> {
  await Promise.all(
    which.map(async ({ instance, identity }) => {
      log.warn({ instance, pid: identity.pid }, "a process of this agent that should not run is ended");
      try {
        await processes.stop(identity, { signal: "SIGTERM", graceMs: reapGraceMs });
      } catch (error) {
        log.error(
          { instance, pid: identity.pid, error: messageOf(error) },
          "a process that should not run could not be ended",
        );
      }
    }),
  );
}
