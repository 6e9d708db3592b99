import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";
import { extract } from "tar";
import type { Environment } from "./cache-folder.js";
import { versionOfBinary } from "./version.js";

/** The version that everything here was tried with. */
const version = "2.15.1";
const defaultReleases = "https://github.com/nats-io/nats-server/releases/download";
/** The archive of 2.15 has about 7 MB. */
const archiveBytesMax = 100 * 1024 * 1024;
const listBytesMax = 1024 * 1024;
const timeoutMs = 300_000;
const workPrefix = ".release-";

/** Node's words for processors, and the release's. */
const processors: Readonly<Record<string, string>> = {
  x64: "amd64",
  arm64: "arm64",
  arm: "arm7",
  s390x: "s390x",
};
const systems: Readonly<Record<string, string>> = { linux: "linux", darwin: "darwin", freebsd: "freebsd" };

/**
 * Downloads the official release for this system and processor, checks it against the release's list of
 * checksums, and puts the server into `<folder>/bin`. `$ROLLCALL_NATS_RELEASES` names another place that is laid out like the
 * official one: `<base>/v<version>/nats-server-v<version>-<system>-<processor>.tar.gz` and `<base>/v<version>/SHA256SUMS`.
 * The tests run against a local web server; the official place was not reached by them.
 *
 * @returns the path of the server
 * @throws Error that says what was not right
 */
export async function fetchRelease(options: {
  folder: string;
  env: Environment;
  platform?: string;
  arch?: string;
}): Promise<string> {
  const { folder, env, platform = process.platform, arch = process.arch } = options;
  const system = systems[platform];
  const processor = processors[arch];
  if (system === undefined || processor === undefined)
    throw new Error(`there is none for ${platform} on ${arch}`);
  const name = `nats-server-v${version}-${system}-${processor}`;
  const base = `${(env.ROLLCALL_NATS_RELEASES || defaultReleases).replace(/\/+$/, "")}/v${version}`;
  const signal = AbortSignal.timeout(timeoutMs);

  await mkdir(join(folder, "bin"), { recursive: true });
  await clearOldWork(folder);
  const work = await mkdtemp(join(folder, workPrefix));
  try {
    const archive = join(work, "archive.tar.gz");
    const expected = checksumOf(`${name}.tar.gz`, await textOf(`${base}/SHA256SUMS`, signal));
    const found = await download(`${base}/${name}.tar.gz`, archive, signal);
    if (found !== expected)
      throw new Error(`the checksum of ${name}.tar.gz is ${found} instead of ${expected}`);
    return await install(archive, name, work, join(folder, "bin", "nats-server"));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Removes what runs left that were killed, when it is too old to be of one that is under way. */
async function clearOldWork(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(workPrefix)) continue;
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > 2 * timeoutMs) {
      await rm(path, { recursive: true, force: true });
    }
  }
}

/** Unpacks the one file that is wanted, sees that it runs here, and puts it in place by rename. */
async function install(archive: string, name: string, work: string, path: string): Promise<string> {
  await extract({ file: archive, cwd: work, strict: true }, [`${name}/nats-server`]);
  const server = join(work, name, "nats-server");
  await chmod(server, 0o755);
  await versionOfBinary(server);
  await rename(server, path);
  return path;
}

/** The line of a file in a list such as `sha256sum` writes. */
function checksumOf(file: string, list: string): string {
  for (const line of list.split("\n")) {
    const [, checksum, name] = /^([0-9a-fA-F]{64}) [ *](\S+)$/.exec(line.trim()) ?? [];
    if (name === file && checksum !== undefined) return checksum.toLowerCase();
  }
  throw new Error(`the list of checksums has no entry for ${file}`);
}

async function textOf(url: string, signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = [];
  await receive(url, listBytesMax, signal, async (body) => {
    for await (const chunk of body) chunks.push(chunk as Buffer);
  });
  return Buffer.concat(chunks).toString("utf8");
}

/** @returns the SHA-256 of what was stored */
async function download(url: string, path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  const tap = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  await receive(url, archiveBytesMax, signal, (body) => pipeline(body, tap, createWriteStream(path)));
  return hash.digest("hex");
}

async function receive(
  url: string,
  bytesMax: number,
  signal: AbortSignal,
  take: (body: Readable) => Promise<void>,
): Promise<void> {
  try {
    const response = await fetch(url, { signal });
    if (!response.ok || response.body === null) throw new Error(`HTTP ${response.status}`);
    await take(Readable.from(bounded(response.body, bytesMax)));
  } catch (error) {
    throw new Error(`${url} could not be had`, { cause: error });
  }
}

async function* bounded(body: ReadableStream<Uint8Array>, bytesMax: number): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) throw new Error(`larger than ${bytesMax} bytes`);
    yield Buffer.from(chunk);
  }
}
