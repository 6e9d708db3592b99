import { open } from "node:fs/promises";
import { refusal } from "../contracts/errors.js";
import { eventOfLine } from "./cloud-event.js";
import type { AuditEvent } from "./event-chain.js";

/** An event of a file, and its line there, from 1. */
export interface AuditLine {
  readonly event: AuditEvent;
  readonly line: number;
}

/**
 * The events of an audit file, oldest first. A last line that is no event is left out: its writer has not ended it.
 *
 * @throws RollcallError `AUDIT_BROKEN` for a line before it that is no event; what the file system says
 */
export async function* readAuditLines(path: string): AsyncGenerator<AuditLine> {
  const file = await open(path);
  try {
    let number = 0;
    let torn: number | undefined;
    for await (const line of file.readLines()) {
      number++;
      if (torn !== undefined)
        throw refusal("AUDIT_BROKEN", { problem: `line ${torn} of ${path} is no event` });
      const event = eventOfLine(line);
      if (event === undefined) torn = number;
      else yield { event, line: number };
    }
  } finally {
    await file.close();
  }
}

/** The same without the lines. @throws as {@link readAuditLines} */
export async function* readAuditFile(path: string): AsyncGenerator<AuditEvent> {
  for await (const { event } of readAuditLines(path)) yield event;
}
