import { groupMembers, identify, isAlive } from "../../base-node/process-identity.js";
import type { OwnedProcess, ProcessIdentity } from "../ports.js";
import { findMarked, type MarkedProcess } from "./process-marks.js";
import type { ProcessRecord } from "./process-records.js";

/** The generation of what remains of a service whose own process has ended: nothing to adopt, only to stop. */
const remainsGeneration = 0;

/**
 * What is alive of everything that was ever started, one entry a start: the service's own process; or, if that has ended
 * but something that it started lives on, one of those with generation 0, to be stopped. From the records, and from the marks in
 * environments for what was started the moment before a crash or left its process group.
 *
 * @returns also the records of which nothing is alive, and those that were not written
 */
export function findOwned(
  owner: string,
  records: readonly ProcessRecord[],
): {
  readonly found: OwnedProcess[];
  readonly gone: ProcessRecord[];
  readonly missing: ProcessRecord[];
} {
  const found: OwnedProcess[] = [];
  const missing: ProcessRecord[] = [];
  const gone: ProcessRecord[] = [];
  const marked = findMarked(owner).filter(({ marks }) => marks.service !== undefined);
  const starts = groupByStart(marked);
  for (const record of records) {
    const survivors = starts.get(record.start) ?? [];
    starts.delete(record.start);
    const { instance, generation, identity } = record;
    if (isAlive(identity)) {
      const port = survivors.find((one) => one.identity.pid === identity.pid)?.marks.port ?? null;
      found.push({ instance, generation, port, identity });
      continue;
    }
    const remains = survivors[0]?.identity ?? identifyFirst(groupMembers(identity));
    if (remains === undefined) gone.push(record);
    else found.push({ instance, generation: remainsGeneration, port: null, identity: remains });
  }
  for (const [start, survivors] of starts) {
    for (const process of unrecorded(survivors)) {
      found.push(process);
      const { instance, generation, identity } = process;
      if (generation !== remainsGeneration)
        missing.push({ format: 1, instance, generation, start, identity });
    }
  }
  return { found, gone, missing };
}

/** A start that the agent had no time to write down: its first process is the service's own, if it leads its group. */
function unrecorded(survivors: readonly MarkedProcess[]): OwnedProcess[] {
  const leader = survivors.find(({ identity }) => groupMembers(identity).includes(identity.pid));
  const one = leader ?? survivors[0];
  if (one?.marks.service === undefined) return [];
  const { service, port } = one.marks;
  const generation = leader === undefined ? remainsGeneration : service.generation;
  return [{ instance: service.instance, generation, port, identity: one.identity }];
}

function groupByStart(marked: readonly MarkedProcess[]): Map<string, MarkedProcess[]> {
  const starts = new Map<string, MarkedProcess[]>();
  for (const one of marked) {
    const same = starts.get(one.marks.start);
    if (same === undefined) starts.set(one.marks.start, [one]);
    else same.push(one);
  }
  return starts;
}

function identifyFirst(pids: readonly number[]): ProcessIdentity | undefined {
  for (const pid of pids) {
    const identity = identify(pid);
    if (identity !== undefined) return identity;
  }
  return undefined;
}
