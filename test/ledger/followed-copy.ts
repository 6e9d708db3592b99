import type { RollcallError } from "../../src/base/errors.js";
import type { LedgerEntry, LedgerFollower } from "../../src/base/ports.js";

/** A copy of a ledger by what its follower was told, and the story of that. */
export class FollowedCopy implements LedgerFollower {
  readonly entries = new Map<string, LedgerEntry>();
  readonly problems: RollcallError[] = [];
  revision = 0;
  begun = 0;
  inSteps = 0;
  isInStep = false;
  ordered = true;

  began(): void {
    this.begun++;
    this.entries.clear();
    this.revision = 0;
    this.isInStep = false;
  }

  entry(entry: LedgerEntry): void {
    this.ordered &&= entry.revision > this.revision;
    this.revision = entry.revision;
    if (entry.value === undefined) this.entries.delete(entry.key);
    else this.entries.set(entry.key, entry);
  }

  inStep(): void {
    this.inSteps++;
    this.isInStep = true;
  }

  failed(problem: RollcallError): void {
    this.problems.push(problem);
    this.isInStep = false;
  }

  value(key: string): unknown {
    return this.entries.get(key)?.value;
  }
}
