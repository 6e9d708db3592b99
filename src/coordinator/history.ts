import { byAge } from "../../machines/deployment-order.js";
import type { DeploymentRecord } from "../contracts/deployment.js";

/** Finished deployments that are kept at hand; the event stream keeps the others. */
const finishedMax = 1_000;

/** The deployments that are over, and what they come to together. */
export class History {
  readonly #finished = new Map<string, DeploymentRecord>();

  find(id: string): DeploymentRecord | undefined {
    return this.#finished.get(id);
  }

  records(): Iterable<DeploymentRecord> {
    return this.#finished.values();
  }

  /** @returns the id of the one that had to make room, if there were too many */
  keep(record: DeploymentRecord): string | undefined {
    this.#finished.set(record.id, record);
    if (this.#finished.size <= finishedMax) return undefined;
    const oldest = [...this.#finished.values()].reduce((one, other) =>
      (one.finishedAtMs ?? 0) <= (other.finishedAtMs ?? 0) ? one : other,
    );
    this.#finished.delete(oldest.id);
    return oldest.id;
  }
}

/** Deployments that were rolled back, or are being, by the newest rollback. One that was aborted undoes nothing. */
export function undoneIn(records: Iterable<DeploymentRecord>): ReadonlyMap<string, string> {
  const undone = new Map<string, DeploymentRecord>();
  for (const record of records) {
    if (record.rollbackOf === null || record.outcome === "aborted") continue;
    const other = undone.get(record.rollbackOf);
    if (other === undefined || byAge(record, other) < 0) undone.set(record.rollbackOf, record);
  }
  return new Map([...undone].map(([of, { id }]) => [of, id]));
}

/** Completed deployments that were not rolled back, the oldest first: what they brought is what the fleet has. */
export function standingIn(records: readonly DeploymentRecord[]): readonly DeploymentRecord[] {
  const undone = undoneIn(records);
  return records
    .filter(({ id, ending }) => ending?.outcome === "completed" && !undone.has(id))
    .sort(byAge)
    .reverse();
}
