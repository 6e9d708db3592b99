import { z } from "zod";
import type { AuditEvent } from "./event-chain.js";

/** An event as one line of JSON: a CloudEvent in structured mode, with what Rollcall adds beside the standard's attributes. */
const cloudEventSchema = z.object({
  specversion: z.literal("1.0"),
  id: z.string().min(1),
  source: z.string(),
  type: z.string(),
  subject: z.string(),
  time: z.string(),
  epoch: z.int(),
  sequence: z.int().min(1),
  actor: z.string().optional(),
  cause: z.string().optional(),
  generation: z.int().optional(),
  previous: z.string(),
  hash: z.string(),
  data: z.json(),
});

/** One line, without its end. The data stands last, and as it was written: its hash is of that very text. */
export function lineOf(event: AuditEvent): string {
  const { id, source, type, subject, time, epoch, sequence, actor, cause, generation } = event;
  const { previous, hash, body } = event;
  const standard = {
    specversion: "1.0",
    id,
    source,
    type,
    subject,
    time,
    datacontenttype: "application/json",
  };
  const own = { epoch, sequence, actor, cause, generation, previous, hash };
  return `${JSON.stringify({ ...standard, ...own }).slice(0, -1)},"data":${body}}`;
}

/** The event of a line; `undefined` if it is none. */
export function eventOfLine(line: string): AuditEvent | undefined {
  let content: unknown;
  try {
    content = JSON.parse(line);
  } catch {
    return undefined;
  }
  const parsed = cloudEventSchema.safeParse(content);
  if (!parsed.success) return undefined;
  const { specversion: _, data, actor, cause, generation, ...event } = parsed.data;
  return {
    ...event,
    ...(actor === undefined ? {} : { actor }),
    ...(cause === undefined ? {} : { cause }),
    ...(generation === undefined ? {} : { generation }),
    body: JSON.stringify(data),
  };
}
