import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { type PackedRelease, packRelease } from "../agent/adapters/pack.js";
import { checkName } from "../api/request.js";
import { messageOf, RollcallError } from "../base/errors.js";
import type { ReplyOf } from "../contracts/api.js";
import { refusal } from "../contracts/errors.js";
import type { ReleaseSource } from "../contracts/release.js";
import { openNatsObjects } from "../ledger/nats-objects.js";
import type { Cli } from "./cli.js";
import type { Session } from "./session.js";
import { usageError } from "./usage-error.js";

/** Every agent holds its configuration in memory, and hands it to the service as a whole. */
const configBytesMax = 1_048_576;
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
  const content = await readConfig(resolve(cli.io.cwd, file));
  const digest = `sha256:${createHash("sha256").update(content).digest("hex")}`;
  const object = { name: digest, digest, sizeBytes: content.length };
  await upload(session, cli, object, async function* () {
    yield content;
  });
  return session.client.configs.push({ config: { version, object }, by: cli.requester });
}

async function readConfig(path: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(path);
    if (size > configBytesMax)
      throw usageError(
        `${path} has ${size} bytes, more than the ${configBytesMax} of a configuration: put what is large into the release.`,
      );
    return await readFile(path);
  } catch (thrown) {
    if (thrown instanceof RollcallError) throw thrown;
    throw usageError(`${path} cannot be read (${messageOf(thrown)}): give the path of a file.`);
  }
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
  const packed = await packRelease(where, { clock, random, version, leaveOut: [session.target.dataDir] });
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
  { bus, target, log }: Session,
  cli: Cli,
  { name }: { readonly name: string },
  chunks: () => AsyncIterable<Uint8Array>,
): Promise<void> {
  const objects = openNatsObjects({ fleet: target.fleet, bus, clock: cli.io.clock, log });
  const known = await objects.list();
  if (!known.some((object) => object.name === name)) await objects.put(name, chunks());
}
