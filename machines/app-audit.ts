import type { AppInstanceRecord } from "../src/contracts/app.js";
import { appChangesKeptMax, auditedLogsMax } from "../src/contracts/app-limits.js";
import type { AppChange, AppReport } from "../src/contracts/app-report.js";

/*
 * Which changes of init statuses go into the audit log: each once, in its order, whoever leads. An instance numbers them within a log; its record
 * says how far each log is written. Pure.
 */

type Audited = AppInstanceRecord["audited"];

/** What is written of what an instance has said. */
export interface Auditing {
  readonly changes: readonly AppChange[];
  /** Changes before the first of them that the instance keeps no more. */
  readonly missed: number;
  readonly audited: Audited;
}

/** @returns `undefined` if nothing can be written: it is all there, or something before it has to be asked for */
export function auditingOf(
  audited: Audited,
  { changes: { log, number: newest }, recent = [] }: Pick<AppReport, "changes" | "recent">,
): Auditing | undefined {
  const written = writtenOf(audited, log);
  const found = recent.filter(({ number }) => number > written && number <= newest);
  const [first] = found;
  if (first === undefined) return undefined;
  const missed = first.number - written - 1;
  // What it keeps begins with this one.
  if (missed > 0 && first.number > newest - appChangesKeptMax + 1) return undefined;
  const gap = found.findIndex(({ number }, at) => number !== first.number + at);
  const changes = gap < 0 ? found : found.slice(0, gap);
  const entry = { log, number: first.number + changes.length - 1 };
  const others = audited.filter((one) => one.log !== log);
  return { changes, missed, audited: [entry, ...others].slice(0, auditedLogsMax) };
}

/** Behind which change an instance is to say what happened; `undefined` if all of it is written. */
export function toAskAfter(
  audited: Audited,
  { log, number }: AppReport["changes"],
): AppReport["changes"] | undefined {
  const written = writtenOf(audited, log);
  return written < number ? { log, number: written } : undefined;
}

function writtenOf(audited: Audited, log: string): number {
  return audited.find((one) => one.log === log)?.number ?? 0;
}
