import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { type PackedRelease, packRelease } from "../agent/adapters/pack.js";
import { checkName } from "../api/request.js";
import type { ReplyOf } from "../contracts/api.js";
import { refusal } from "../contracts/errors.js";
import type { ReleaseSource } from "../contracts/release.js";
import { openNatsObjects } from "../ledger/nats-objects.js";
import type { Cli } from "./cli.js";
import type { Session } from "./session.js";

/** Sources that name a container image. */
const imagePattern = /^(docker|image|oci):/;

/**
 * Uploads a configuration's file, if it is not in the store, and registers it.
 * @throws RollcallError what the file system, the store and the control plane refuse with
 */
export async function pushConfig(
  session: Session,
  cli: Cli,
  { version, file }: { version: string; file: string },
): Promise<ReplyOf<"configs.push">> {
  checkName("version", "The version", version);
  const content = await readFile(resolve(cli.io.cwd, file));
  const digest = `sha256:${createHash("sha256").update(content).digest("hex")}`;
  const object = { name: digest, digest, sizeBytes: content.length };
  await upload(session, cli, object, async function* () {
    yield content;
  });
  return session.client.configs.push({ config: { version, object }, by: cli.requester });
}

/**
 * Packs and checks a release, uploads it, if it is not in the store, and registers it.
 * @throws RollcallError what packing, the store and the control plane refuse with
 */
export async function pushRelease(
  session: Session,
  cli: Cli,
  { version, source }: { version: string; source: string },
): Promise<ReplyOf<"releases.push">> {
  checkName("version", "The version", version);
  if (imagePattern.test(source)) throw refusal("NO_CONTAINER_ENGINE");
  const { clock, random, cwd } = cli.io;
  const where = source.startsWith("git+") ? source : resolve(cwd, source);
  const packed = await packRelease(where, { clock, random, version });
  try {
    const { source: packedSource, digest } = await stored(session, cli, packed);
    const release = { version, source: packedSource, manifest: packed.manifest };
    return await session.client.releases.push({ release, digest, by: cli.requester });
  } finally {
    await packed.close();
  }
}

async function stored(
  session: Session,
  cli: Cli,
  { source }: PackedRelease,
): Promise<{ source: ReleaseSource; digest: string }> {
  if (source.kind === "git") return { source, digest: `git:${source.commit}` };
  const { digest, sizeBytes } = source;
  const object = { name: digest, digest, sizeBytes };
  await upload(session, cli, object, () => source.chunks());
  return { source: { kind: "artifact", object }, digest };
}

/** Files are named by what they hold: one that is there need not be sent. */
async function upload(
  { bus, target }: Session,
  cli: Cli,
  { name }: { readonly name: string },
  chunks: () => AsyncIterable<Uint8Array>,
): Promise<void> {
  const objects = openNatsObjects({ fleet: target.fleet, bus, clock: cli.io.clock });
  const known = await objects.list();
  if (!known.some((object) => object.name === name)) await objects.put(name, chunks());
}
