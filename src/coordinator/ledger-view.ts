import { mintedAtMsOf } from "../base/ledger-id.js";
import { sameVersion, type VersionPair, versionText } from "../contracts/version.js";
import type { LedgerView } from "../contracts/views.js";
import type { KnownFleet } from "./known-fleet.js";
import type { MemberState } from "./members.js";

/** Versions that a sentence names; the rest are counted. */
const namedMax = 3;

/** What the inventory says of the ledger: instances that know more than it does, or listen to another one. */
interface Strangeness {
  /** They act on the word of a ledger before this one. */
  earlier: number;
  /** They act on the word of a newer one. */
  newer: number;
  /** They act on a later word of this very ledger than it knows. */
  ahead: number;
  /** They run a version of which there is no record. */
  unknown: Map<string, number>;
  /** They run something else than this ledger wants there. */
  different: number;
}

/** Which ledger a fleet has, and what the instances know that it does not. */
export function ledgerView(known: KnownFleet): LedgerView {
  const { ledgerId, restoredFrom } = known.ledger();
  const strangeness: Strangeness = { earlier: 0, newer: 0, ahead: 0, unknown: new Map(), different: 0 };
  for (const member of known.members()) count(known, member, strangeness);
  const unknownVersions = [...strangeness.unknown.values()].reduce((sum, instances) => sum + instances, 0);
  const sinceMs = mintedAtMsOf(ledgerId) ?? null;
  return {
    id: ledgerId,
    sinceMs,
    restoredFrom,
    strangers: strangeness.earlier + strangeness.newer + strangeness.ahead,
    unknownVersions,
    notice: noticeOf(strangeness, { sinceMs, takenAtMs: restoredFrom?.takenAtMs ?? null }),
  };
}

/** There is a record of everything that an instance runs. */
export function isKnownVersion({ catalog }: KnownFleet, version: VersionPair | null): boolean {
  if (version === null) return true;
  return (
    catalog.releases.has(version.release) && (version.config === null || catalog.configs.has(version.config))
  );
}

function count(known: KnownFleet, { context: { record, seen } }: MemberState, into: Strangeness): void {
  if (seen === null) return;
  const { running } = seen.state;
  if (running !== null && !isKnownVersion(known, running)) {
    const name = versionText(running);
    into.unknown.set(name, (into.unknown.get(name) ?? 0) + 1);
  }
  if (seen.ledger === "newer") into.newer++;
  else if (seen.ledger === "earlier") {
    into.earlier++;
    if (!sameVersion(running, record.desired)) into.different++;
  } else if (seen.observedGeneration > record.generation) into.ahead++;
}

function noticeOf(
  { earlier, newer, ahead, unknown, different }: Strangeness,
  { sinceMs, takenAtMs }: { readonly sinceMs: number | null; readonly takenAtMs: number | null },
): string | null {
  if (newer > 0)
    return `${instances(newer, "listens", "listen")} to a ledger that is newer than this one, and to this one no more: an old ledger was put back, or made by a clock that is slow. Set the clocks right, then take a backup of this ledger and restore it.`;
  if (ahead > 0)
    return `${instances(ahead, "has", "have")} acted on more than this ledger knows: its store was put back to an earlier state. Take a backup of it and restore it, so that they listen to it again.`;
  if (earlier === 0) return null;
  const keep = "They keep what they run until something is deployed there.";
  const runUnknown =
    unknown.size === 0 ? "" : `, and versions that no record knows run (${namesOf(unknown)})`;
  if (takenAtMs !== null)
    return `The ledger was restored from the backup of ${timeText(takenAtMs)}: ${instances(earlier, "acts", "act")} on what was asked before the restore, ${different} of them run something else than the backup wants${runUnknown}. ${keep}`;
  return `The ledger is new${sinceMs === null ? "" : ` since ${timeText(sinceMs)}`}, and what the one before it knew is lost: ${instances(earlier, "acts", "act")} on what that one asked${runUnknown}. ${keep}`;
}

function instances(count: number, one: string, many: string): string {
  return count === 1 ? `1 instance ${one}` : `${count} instances ${many}`;
}

function namesOf(unknown: ReadonlyMap<string, number>): string {
  const named = [...unknown].slice(0, namedMax).map(([name, instances]) => `${name}: ${instances}`);
  const others = unknown.size - named.length;
  return others > 0 ? `${named.join(", ")} and ${others} more` : named.join(", ");
}

function timeText(atMs: number): string {
  return new Date(atMs).toISOString();
}
