import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { messageOf } from "../base/errors.js";
import { readJsonFile, writeFileAtomic } from "../base-node/atomic-file.js";
import { idSchema } from "../contracts/names.js";
import { usageError } from "./usage-error.js";

const contextSchema = z.object({
  format: z.literal(1),
  /** Of the NATS server, without credentials. */
  url: z.string().min(1).max(2_048),
  user: z.string().max(256).nullable(),
  password: z.string().max(1_024).nullable(),
  fleet: idSchema,
  /** The `rollcall up` that wrote it, and the NATS server that it started; `null` if it uses another's. */
  pid: z.int().min(1),
  natsPid: z.int().min(1).nullable(),
  startedAtMs: z.int(),
});

/** What `rollcall up` leaves in its data folder, so that the other commands find it. */
export type Context = z.infer<typeof contextSchema>;

export function contextPath(dataDir: string): string {
  return join(dataDir, "context.json");
}

/**
 * The context of a data folder; `undefined` if there is none.
 * @throws RollcallError `USAGE` when the file is there but cannot be used
 */
export async function readContext(dataDir: string): Promise<Context | undefined> {
  const path = contextPath(dataDir);
  const content = await readJsonFile(path).catch((thrown: unknown) => {
    if (((thrown as Error).cause as NodeJS.ErrnoException | undefined)?.code === "EACCES")
      throw usageError(`${path} is another user's: ask as the one who ran rollcall up, or give --nats URL.`);
    throw unusable(path, messageOf(thrown));
  });
  if (content === undefined) return undefined;
  const parsed = contextSchema.safeParse(content);
  if (!parsed.success) throw unusable(path, "it is not of the format that this Rollcall writes");
  return parsed.data;
}

/** Readable by its owner alone: it holds the credentials. */
export async function writeContext(dataDir: string, context: Context): Promise<void> {
  await mkdir(dataDir, { recursive: true });
  await writeFileAtomic(
    contextPath(dataDir),
    `${JSON.stringify(contextSchema.parse(context), null, 2)}\n`,
    0o600,
  );
}

function unusable(path: string, problem: string) {
  return usageError(`${path} cannot be used (${problem}): run rollcall up again there, or give --nats URL.`);
}
