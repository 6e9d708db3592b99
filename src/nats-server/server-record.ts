import { randomBytes } from "node:crypto";
import { z } from "zod";
import { readJsonFile, writeFileAtomic } from "../base-node/atomic-file.js";
import { findFreePort } from "../base-node/free-port.js";
import { refusal } from "../contracts/errors.js";

/**
 * `nats.json` in the data folder: what is kept of the server from one start to the next, and who it is while it
 * runs. Readable by its owner only, for it holds the password.
 */
const serverRecordSchema = z.object({
  format: z.literal(1),
  port: z.int().min(1).max(65_535),
  serverName: z.string().min(1).max(64),
  user: z.string().min(1).max(64),
  password: z.string().min(16).max(128),
  /** What JetStream may store. Kept, for streams may have reserved parts of it. */
  storeBytesMax: z.int().min(1),
  /** The process that was started last; `null` after an orderly end. */
  server: z
    .object({ pid: z.int().min(1), startTime: z.string().max(64), bootId: z.string().max(64) })
    .nullable(),
});
export type ServerRecord = z.infer<typeof serverRecordSchema>;

/**
 * @returns `undefined` on the first start
 * @throws RollcallError `NATS_START_FAILED` when the file is not what it should be
 */
export async function readServerRecord(path: string, log: string): Promise<ServerRecord | undefined> {
  const content = await readJsonFile(path);
  if (content === undefined) return undefined;
  const parsed = serverRecordSchema.safeParse(content);
  if (parsed.success) return parsed.data;
  throw refusal(
    "NATS_START_FAILED",
    {
      problem: `${path} is not valid (${z.prettifyError(parsed.error)}): remove it to begin with new credentials`,
      log,
    },
    parsed.error,
  );
}

export async function writeServerRecord(path: string, record: ServerRecord): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(record, undefined, 2)}\n`, 0o600);
}

/** The record of a server that never ran: a free port, a name and a password of its own. */
export async function newServerRecord(storeBytesMax: number): Promise<ServerRecord> {
  return {
    format: 1,
    port: await findFreePort(),
    serverName: `rollcall-${randomBytes(6).toString("hex")}`,
    user: "rollcall",
    password: randomBytes(24).toString("base64url"),
    storeBytesMax,
    server: null,
  };
}
