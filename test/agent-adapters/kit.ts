import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { Header, type types } from "tar";
import { createReleaseFiles, type ReleaseFilesOptions } from "../../src/agent/adapters/release-files.js";
import type { PhaseWork, ReleaseFiles } from "../../src/agent/ports.js";
import { RollcallError } from "../../src/base/errors.js";
import type { Objects, StoredObject } from "../../src/base/ports.js";
import { refusal } from "../../src/contracts/errors.js";
import { type Config, type Manifest, manifestSchema, type Release } from "../../src/contracts/release.js";
import { createRealRandom } from "../../src/runtime/random.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { quietLog } from "../kit/quiet-log.js";

export const clock = createRealClock();
export const random = createRealRandom();

/** One entry of an archive made by hand; nothing is checked. */
export interface RawEntry {
  readonly path: string;
  readonly type?: types.EntryTypeName;
  readonly content?: string | Buffer;
  readonly linkpath?: string;
  readonly mode?: number;
}

/** The bytes of a .tar with just these entries, however harmful. */
export function tarOf(entries: readonly RawEntry[]): Buffer {
  const blocks: Buffer[] = [];
  for (const { path, type = "File", content = "", linkpath, mode = 0o644 } of entries) {
    const data = Buffer.from(content);
    const block = Buffer.alloc(512);
    const header = new Header({
      path,
      type,
      mode,
      size: data.length,
      mtime: new Date(0),
      ...(linkpath !== undefined && { linkpath }),
    });
    header.encode(block, 0);
    const padding = Buffer.alloc((512 - (data.length % 512)) % 512);
    blocks.push(block, data, padding);
  }
  return Buffer.concat([...blocks, Buffer.alloc(1_024)]);
}

function archiveOf(files: Readonly<Record<string, string>>): Buffer {
  return gzipSync(tarOf(Object.entries(files).map(([path, content]) => ({ path, content }))));
}

/** Stored files that live in memory, and how often each was asked for. */
export interface TestObjects extends Objects {
  readonly asked: string[];
  add(name: string, content: Buffer | string): StoredObject;
  /** Called before each chunk. */
  beforeChunk: (() => Promise<void>) | undefined;
  chunkBytes: number;
}

export function testObjects(): TestObjects {
  const stored = new Map<string, Buffer>();
  const objectOf = (name: string, content: Buffer): StoredObject => ({
    name,
    digest: digestOf(content),
    sizeBytes: content.length,
  });
  const objects: TestObjects = {
    asked: [],
    beforeChunk: undefined,
    chunkBytes: 64 * 1_024,
    add(name, content) {
      const bytes = Buffer.from(content);
      stored.set(name, bytes);
      return objectOf(name, bytes);
    },
    async put(name, chunks) {
      const parts: Uint8Array[] = [];
      for await (const chunk of chunks) parts.push(chunk);
      return objects.add(name, Buffer.concat(parts));
    },
    async *get(name) {
      objects.asked.push(name);
      const content = stored.get(name);
      if (content === undefined) throw refusal("OBJECT_NOT_FOUND", { name });
      for (let at = 0; at < content.length; at += objects.chunkBytes) {
        await objects.beforeChunk?.();
        yield content.subarray(at, at + objects.chunkBytes);
      }
    },
    async remove(name) {
      stored.delete(name);
    },
    async list() {
      return [...stored].map(([name, content]) => objectOf(name, content));
    },
    sweep: async () => 0,
  };
  return objects;
}

export function digestOf(content: Buffer | string): string {
  return `sha256:${createHash("sha256").update(content).digest("hex")}`;
}

export function manifestOf(also: Partial<Manifest> = {}): Manifest {
  return manifestSchema.parse({ start: "node server.js", healthCheck: { type: "tcp" }, ...also });
}

export function artifactRelease(
  objects: TestObjects,
  version: string,
  files: Record<string, string>,
  also: Partial<Manifest> = {},
): Release {
  const object = objects.add(`release-${version}`, archiveOf(files));
  return { version, source: { kind: "artifact", object }, manifest: manifestOf(also) };
}

export function configOf(objects: TestObjects, version: string, content: string): Config {
  return { version, object: objects.add(`config-${version}`, content) };
}

export interface TestWork extends PhaseWork {
  readonly abort: AbortController;
  readonly notes: { percent: number; note: string }[];
}

export function workOn(instance: string, release: Release, config: Config | null = null): TestWork {
  const abort = new AbortController();
  const notes: { percent: number; note: string }[] = [];
  return {
    instance,
    generation: 1,
    release,
    config,
    signal: abort.signal,
    abort,
    notes,
    progress: (percent, note) => void notes.push({ percent, note }),
  };
}

export function releaseFiles(
  dataDir: string,
  objects: Objects,
  also: Partial<ReleaseFilesOptions> = {},
): ReleaseFiles {
  return createReleaseFiles({ dataDir, objects, clock, random, log: quietLog, ...also });
}

/** Every phase of applying a release, as the agent goes through them. */
export async function applyRelease(files: ReleaseFiles, work: PhaseWork, port = 8_080): Promise<void> {
  await files.pull(work);
  await files.build(work);
  await files.copy(work);
  await files.prepareNext(work);
  await files.stageRoutes(work, { instance: work.instance, port, routes: work.release.manifest.routes });
  await files.activate(work);
}

export function instanceFolder(dataDir: string, instance: string): string {
  return join(dataDir, "instances", instance);
}

/** What `current` points at, as the version that the folder is named after; `undefined` if there is none. */
export function currentOf(dataDir: string, instance: string, link = "current"): string | undefined {
  const path = join(instanceFolder(dataDir, instance), link);
  try {
    return readlinkSync(path).split("/").at(-1);
  } catch {
    return undefined;
  }
}

/** Every file below a folder with its content. */
export function filesBelow(folder: string): Record<string, string> {
  const found: Record<string, string> = {};
  if (!existsSync(folder)) return found;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) found[path.slice(folder.length + 1)] = readFileSync(path, "utf8");
  }
  return found;
}

export function routesOf(
  dataDir: string,
): { host?: string; path: string; instance: string; target: string }[] {
  const path = join(dataDir, "routes.json");
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).routes : [];
}

export function writeFiles(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
}

/** The code with which a promise was refused; whatever else it was is thrown on. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  return (await refusalOf(work)).code;
}

export async function refusalOf(work: Promise<unknown>): Promise<RollcallError> {
  try {
    await work;
  } catch (thrown) {
    if (thrown instanceof RollcallError) return thrown;
    throw thrown;
  }
  throw new Error("it was not refused");
}

/** A deferred value. */
export function deferred(): { readonly promise: Promise<void>; resolve(): void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve: () => resolve() };
}

export const hasGit = spawnSync("git", ["--version"]).status === 0;
if (!hasGit) process.stderr.write("tests with git repositories are left out: there is no git program here\n");

/** Runs git in a folder, as a person with a name. */
export function git(cwd: string, ...args: string[]): string {
  const identity = [
    "-c",
    "user.name=Test",
    "-c",
    "user.email=test@example.org",
    "-c",
    "init.defaultBranch=main",
    "-c",
    "commit.gpgsign=false",
  ];
  return execFileSync("git", [...identity, ...args], {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  }).trim();
}

/** A repository with one commit of these files; returns the commit. */
export function makeRepository(folder: string, files: Readonly<Record<string, string>>): string {
  mkdirSync(folder, { recursive: true });
  git(folder, "init", "--quiet");
  return commitFiles(folder, files);
}

export function commitFiles(folder: string, files: Readonly<Record<string, string>>): string {
  writeFiles(folder, files);
  git(folder, "add", "--all");
  git(folder, "commit", "--quiet", "-m", "a change");
  return git(folder, "rev-parse", "HEAD");
}

/** Whether a process of that number runs; a zombie does not. */
export function runs(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !/^\)? ?[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 1).trim());
  } catch {
    return false;
  }
}
