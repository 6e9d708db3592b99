import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { checkName } from "../api/request.js";
import type { ReplyOf } from "../contracts/api.js";
import type { Cli } from "./cli.js";
import type { Session } from "./session.js";
import { usageError } from "./usage-error.js";

/** @throws RollcallError */
export async function pushConfig(
  session: Session,
  cli: Cli,
  { version, file }: { version: string; file: string },
): Promise<ReplyOf<"configs.push">> {
  checkName("version", "The version", version);
  const content = await readFile(resolve(cli.io.cwd, file));
  const digest = `sha256:${createHash("sha256").update(content).digest("hex")}`;
  const object = { name: digest, digest, sizeBytes: content.length };
  return session.client.configs.push({ config: { version, object }, by: cli.requester });
}

/** @throws RollcallError */
export async function pushRelease(
  _session: Session,
  _cli: Cli,
  { version, source }: { version: string; source: string },
): Promise<ReplyOf<"releases.push">> {
  checkName("version", "The version", version);
  throw usageError(`${source} cannot be pushed yet.`);
}
