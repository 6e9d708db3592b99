import { readdir, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { refusal } from "../../contracts/errors.js";
import type { Release } from "../../contracts/release.js";
import { type Built, buildRelease, findBuilt } from "./build-release.js";
import { ifThere } from "./disk-errors.js";
import { removeFolder } from "./durable.js";
import { pullSource } from "./pull-source.js";
import { type ReleaseContext, scratchName } from "./release-context.js";
import { SharedWork, type Waiter } from "./shared-work.js";

/** Builds of a release in a row that come to nothing because something else removes their files. */
const buildTriesMax = 3;

/**
 * The packed and built files of releases, shared by the instances of a host: what several want at the same time is pulled
 * and built once. A cache: what was removed is brought again when it is wanted.
 */
export class ReleaseCache {
  readonly #context: ReleaseContext;
  readonly #work = new SharedWork();
  /** How many use a folder of the cache now. */
  readonly #users = new Map<string, number>();
  /** Folders that are being removed; whoever wants one waits, and then makes it anew. */
  readonly #removals = new Map<string, Promise<void>>();

  constructor(context: ReleaseContext) {
    this.#context = context;
  }

  /** The packed files are here. @throws as `pullSource` */
  async pull(release: Release, waiter: Waiter): Promise<void> {
    await this.#using(release, async () => {
      if ((await findBuilt(this.#context, release, waiter.signal)) === undefined)
        await this.#pulled(release, waiter);
    });
  }

  /** The built files are here; pulls first if need be. @throws as `pullSource` and `buildRelease` */
  async build(release: Release, waiter: Waiter): Promise<void> {
    await this.#using(release, () => this.#built(release, waiter));
  }

  /** Does something with the built files, which are not removed meanwhile; builds first if need be. */
  async useBuilt(release: Release, waiter: Waiter, use: (built: Built) => Promise<void>): Promise<void> {
    await this.#using(release, async () => use(await this.#built(release, waiter)));
  }

  /** Removes what was not used for the longest time, down to `cacheReleasesMax`. */
  async prune(): Promise<void> {
    const { layout, limits } = this.#context;
    const usedAt: { key: string; usedAtMs: number }[] = [];
    for (const key of (await ifThere(readdir(layout.cache))) ?? []) {
      const stats = await ifThere(stat(join(layout.cache, key)));
      if (stats?.isDirectory() === true) usedAt.push({ key, usedAtMs: stats.mtimeMs });
    }
    usedAt.sort((one, other) => other.usedAtMs - one.usedAtMs);
    for (const { key } of usedAt.slice(limits.cacheReleasesMax))
      if (!this.#users.has(key)) await this.#remove(key);
  }

  async #remove(key: string): Promise<void> {
    const removal = removeFolder(join(this.#context.layout.cache, key), scratchName(this.#context));
    this.#removals.set(key, removal);
    try {
      await removal;
    } finally {
      this.#removals.delete(key);
    }
  }

  async #pulled(release: Release, waiter: Waiter): Promise<void> {
    const { key } = this.#context.layout.cached(release);
    await this.#work.run(`pull ${key}`, waiter, (shared) => pullSource(this.#context, release, shared));
  }

  async #built(release: Release, waiter: Waiter): Promise<Built> {
    const { key, buildKey } = this.#context.layout.cached(release);
    for (let tries = 0; ; tries++) {
      const built = await findBuilt(this.#context, release, waiter.signal);
      if (built !== undefined) return built;
      if (tries === buildTriesMax)
        throw refusal("BUILD_FAILED", {
          version: release.version,
          how: "files that vanish at once",
          output: key,
        });
      await this.#work.run(`build ${key} ${buildKey}`, waiter, async (shared) => {
        // Somebody else's build may have ended since.
        if ((await findBuilt(this.#context, release, shared.signal)) !== undefined) return;
        await this.#pulled(release, { signal: shared.signal, progress: () => shared.progress(0, "pulling") });
        await buildRelease(this.#context, release, shared);
      });
    }
  }

  async #using<T>(release: Release, work: () => Promise<T>): Promise<T> {
    const { key, folder } = this.#context.layout.cached(release);
    this.#users.set(key, (this.#users.get(key) ?? 0) + 1);
    try {
      await this.#removals.get(key);
      return await work();
    } finally {
      const left = (this.#users.get(key) ?? 1) - 1;
      if (left > 0) this.#users.set(key, left);
      else this.#users.delete(key);
      await this.#touch(folder);
    }
  }

  async #touch(folder: string): Promise<void> {
    const now = new Date(this.#context.clock.nowMs());
    await ifThere(utimes(folder, now, now));
  }
}
