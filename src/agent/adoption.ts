import type { Slot } from "../../machines/instance-facts.js";
import { messageOf } from "../base/errors.js";
import type { Log, RecordStore } from "../base/ports.js";
import type { Complaints } from "./complaints.js";
import type { InstanceJournals } from "./instance-runner.js";
import {
  type InstanceJournal,
  journalFormat,
  journalKinds,
  type ProcessJournal,
  readJournal,
} from "./journal.js";
import type { Processes, ProcessIdentity } from "./ports.js";

/** How long a process that nobody knows has to end before it is killed. */
const reapGraceMs = 5_000;

/** A process whose record was lost. */
export type Owned = Awaited<ReturnType<Processes["owned"]>>[number];

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
 * The processes of which no record knows: started just before an end of the agent, or for an instance that it no longer
 * has. Generation 0 stands for what is left of a process that has ended.
 */
export function unknownOf(
  owned: readonly Owned[],
  journals: ReadonlyMap<string, InstanceJournals>,
): readonly Owned[] {
  return owned.filter(({ instance, generation, identity }) => {
    const { a, b } = journals.get(instance)?.processes ?? {};
    return generation === 0 || (!isSame(identity, a?.identity) && !isSame(identity, b?.identity));
  });
}

/** Ends processes that should not run, all at once; what cannot be ended is said and left. */
export async function reap(which: readonly Owned[], processes: Processes, log: Log): Promise<void> {
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

function isSame(one: ProcessIdentity, other: ProcessIdentity | null | undefined): boolean {
  return one.pid === other?.pid && one.startTime === other.startTime && one.bootId === other.bootId;
}
