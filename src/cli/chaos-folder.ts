import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lineOf } from "../ledger/cloud-event.js";
import type { Finding } from "../simulator/chaos/chaos-run.js";
import { type Entry, keepDiary } from "../simulator/chaos/diary.js";
import { live } from "../simulator/chaos/life.js";
import type { LifePlan } from "../simulator/chaos/life-plan.js";
import { pictureOf } from "../simulator/chaos/picture.js";
import { usageError } from "./usage-error.js";

/** Writes a life that failed to a folder of its own: `plan.json`. @returns the folder */
export function writePlan({ failure, report, plan }: Finding, out: string): string {
  const folder = join(out, `${report.seed}-${failure.id}`);
  writeFiles(folder, { "plan.json": planText(plan) });
  return folder;
}

/**
 * Writes each life that failed to a folder of its own: `plan.json`, and of those that were made smaller the audit log and a picture too.
 * @returns the folders, in the order of the findings
 */
export async function writeFindings(findings: readonly Finding[], out: string): Promise<string[]> {
  const folders: string[] = [];
  for (const finding of findings) {
    const folder = writePlan(finding, out);
    folders.push(folder);
    const plan = finding.shrunk?.plan;
    if (plan === undefined) continue;
    const diary: Entry[] = [];
    const { events, failure: again } = await live(plan, { watchers: [keepDiary(diary)] });
    writeFiles(folder, {
      "plan.json": planText(plan),
      "trace.ndjson": events.map((event) => `${lineOf(event)}\n`).join(""),
      "picture.txt": pictureOf(plan, diary, again),
    });
  }
  return folders;
}

function planText(plan: LifePlan): string {
  return `${JSON.stringify(plan, null, 2)}\n`;
}

function writeFiles(folder: string, files: Readonly<Record<string, string>>): void {
  try {
    mkdirSync(folder, { recursive: true });
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  } catch (error) {
    throw usageError(`The folder ${folder} cannot be written: ${(error as NodeJS.ErrnoException).code}.`);
  }
}
