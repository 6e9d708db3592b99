import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lineOf } from "../ledger/cloud-event.js";
import type { Finding } from "../simulator/chaos/chaos-run.js";
import { type Entry, keepDiary } from "../simulator/chaos/diary.js";
import { live } from "../simulator/chaos/life.js";
import { pictureOf } from "../simulator/chaos/picture.js";
import { usageError } from "./usage-error.js";

/**
 * Writes each life that failed to a folder of its own: `plan.json`, and of those that were made smaller the audit log and a picture too.
 * @returns the folders, in the order of the findings
 */
export async function writeFindings(findings: readonly Finding[], out: string): Promise<string[]> {
  const folders: string[] = [];
  for (const finding of findings) {
    const { failure, report, shrunk, plan } = finding;
    const folder = join(out, `${report.seed}-${failure.id}`);
    const files: Record<string, string> = {
      "plan.json": `${JSON.stringify(shrunk?.plan ?? plan, null, 2)}\n`,
    };
    if (shrunk !== undefined) {
      const diary: Entry[] = [];
      const { events, failure: again } = await live(shrunk.plan, { watchers: [keepDiary(diary)] });
      files["trace.ndjson"] = events.map((event) => `${lineOf(event)}\n`).join("");
      files["picture.txt"] = pictureOf(shrunk.plan, diary, again);
    }
    try {
      mkdirSync(folder, { recursive: true });
      for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    } catch (error) {
      throw usageError(`The folder ${folder} cannot be written: ${(error as NodeJS.ErrnoException).code}.`);
    }
    folders.push(folder);
  }
  return folders;
}
