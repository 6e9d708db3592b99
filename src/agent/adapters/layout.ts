import { createHash } from "node:crypto";
import { join } from "node:path";
import { escapeToken } from "../../contracts/names.js";
import type { Release } from "../../contracts/release.js";

/** Where everything of an agent's releases lies below its data folder. */
export interface Layout {
  readonly dataDir: string;
  readonly cache: string;
  readonly instances: string;
  /** Folders and files that are being made, or wait to be removed. What an ended agent left here is of no use. */
  readonly scratch: string;
  /** There while a published change of the routes was not followed by a successful reload. */
  readonly reloadPending: string;
  /** A folder of the cache: what one release was made from and what was built of it. */
  cached(release: Release): CachePlaces;
  instance(id: string): InstancePlaces;
}

export interface CachePlaces {
  /** Equal for releases of the same content. */
  readonly key: string;
  readonly folder: string;
  /** The packed files, as .tar or .tar.gz; complete once `pulled` says so. */
  readonly archive: string;
  readonly pulled: string;
  /** Equal for releases that are built the same way. */
  readonly buildKey: string;
  readonly build: string;
  /** Names the folder below `build` that holds the built files; absent until they are complete. */
  readonly built: string;
  readonly buildLog: string;
}

export interface InstancePlaces {
  readonly folder: string;
  readonly releases: string;
  readonly configs: string;
  readonly logs: string;
  readonly log: string;
  readonly current: string;
  readonly next: string;
  /** What is active, with its routes, and what is to be. */
  readonly published: string;
  readonly staged: string;
  /** What was current and published before an activation that is not over. */
  readonly activation: string;
  readonly copies: string;
  release(version: string): string;
  /** What the release folder must hold to be complete; absent until it does. */
  copied(version: string): string;
  config(version: string): string;
}

export function layoutOf(dataDir: string): Layout {
  const cache = join(dataDir, "cache");
  const instances = join(dataDir, "instances");
  return {
    dataDir,
    cache,
    instances,
    scratch: join(dataDir, "scratch"),
    reloadPending: join(dataDir, "reload-pending"),
    cached: (release) => cachePlaces(cache, release),
    instance: (id) => instancePlaces(join(instances, escapeToken(id))),
  };
}

function cachePlaces(cache: string, release: Release): CachePlaces {
  const key = sourceKey(release);
  const folder = join(cache, key);
  const { build: how, env } = release.manifest;
  const buildKey = createHash("sha256")
    .update(JSON.stringify([how?.command ?? null, how === undefined ? {} : env]))
    .digest("hex")
    .slice(0, 16);
  const build = join(folder, buildKey);
  return {
    key,
    folder,
    archive: join(folder, "archive"),
    pulled: join(folder, "pulled.json"),
    buildKey,
    build,
    built: join(build, "built.json"),
    buildLog: join(build, "build.log"),
  };
}

function sourceKey({ source }: Release): string {
  if (source.kind === "artifact") return source.object.digest.replace(":", "-");
  if (source.kind === "git") return `git-${source.commit}`;
  return `image-${escapeToken(source.image)}`.slice(0, 255);
}

function instancePlaces(folder: string): InstancePlaces {
  const releases = join(folder, "releases");
  const configs = join(folder, "configs");
  const logs = join(folder, "logs");
  const copies = join(folder, "copies");
  return {
    folder,
    releases,
    configs,
    logs,
    log: join(logs, "service.log"),
    current: join(folder, "current"),
    next: join(folder, "next"),
    published: join(folder, "published.json"),
    staged: join(folder, "staged.json"),
    activation: join(folder, "activation.json"),
    copies,
    release: (version) => join(releases, escapeToken(version)),
    copied: (version) => join(copies, `${escapeToken(version)}.json`),
    config: (version) => join(configs, escapeToken(version)),
  };
}
