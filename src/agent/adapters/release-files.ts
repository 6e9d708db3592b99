import { utimes } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { Clock, Log, Objects, Random } from "../../base/ports.js";
import type { Command } from "../../contracts/release.js";
import type { ActiveRelease, DiskSurvey, PhaseWork, ReleaseFiles, SurveyedRelease } from "../ports.js";
import { Activator } from "./activation.js";
import { Commands } from "./commands.js";
import { ifThere, onDisk } from "./disk-errors.js";
import { removeAllDrafts } from "./drafts.js";
import { clear, makeFolder, removeFolder } from "./durable.js";
import { completenessOf, copyRelease } from "./instance-release.js";
import { layoutOf } from "./layout.js";
import { defaultReleaseLimits, type ReleaseLimits } from "./limits.js";
import { ownerOf } from "./process-marks.js";
import { pruneInstance } from "./prune.js";
import { Publisher, type PublisherOptions } from "./publisher.js";
import { digestOf, pullObject } from "./pull-object.js";
import { ReleaseCache } from "./release-cache.js";
import { type ReleaseContext, scratchName } from "./release-context.js";
import { defaultRoutesFile } from "./route-files.js";
import { instancesOnDisk, removeRelease, surveyInstance } from "./survey.js";
import { pointAt } from "./symlinks.js";
import { Turns } from "./turns.js";

export interface ReleaseFilesOptions {
  /** The agent's folder, locked for this process by whoever made it. */
  readonly dataDir: string;
  readonly objects: Pick<Objects, "get">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly limits?: Partial<ReleaseLimits>;
  /** Where the routes of all instances of this host are published; `routes.json` in the data folder unless told. */
  readonly routesFile?: string;
  /** Run after each change of the routes file, in the data folder, with `ROLLCALL_ROUTES_FILE` in its environment. */
  readonly reloadCommand?: Command;
}

/** All publishing of this host takes turns under this name; no instance can have it. */
const publishing = " publishing";

/**
 * The releases of this host's instances in real folders:
 *
 *     cache/<digest or commit>/          packed and built files, shared by the instances
 *     instances/<id>/releases/<version>  the working folder of a release; current, next: links to one
 *     instances/<id>/configs/<version>   configuration files
 *     instances/<id>/logs/               what the service prints
 *     routes.json                        the published routes of all instances
 *     scratch/                           what is being made
 *
 * Each method may be killed at any point and run again. What bears its final name is whole, or is listed as whole in a file that is
 * written after it; everything else is made anew.
 */
export function createReleaseFiles(options: ReleaseFilesOptions): ReleaseFiles {
  const layout = layoutOf(resolve(options.dataDir));
  const { clock, random, log, objects } = options;
  const limits = { ...defaultReleaseLimits, ...options.limits };
  const commands = new Commands({ clock, random, owner: ownerOf(layout.dataDir) });
  const verified = new Set<string>();
  const context: ReleaseContext = { layout, limits, objects, commands, clock, random, log, verified };
  const routesFile = resolve(options.routesFile ?? defaultRoutesFile(layout));
  return new RealReleaseFiles(context, { routesFile, reloadCommand: options.reloadCommand });
}

class RealReleaseFiles implements ReleaseFiles {
  readonly #context: ReleaseContext;
  readonly #cache: ReleaseCache;
  readonly #activator: Activator;
  readonly #publisher: Publisher;
  readonly #routesFile: string;
  readonly #turns = new Turns();
  #cleaned: Promise<void> | undefined;

  constructor(context: ReleaseContext, publishing: PublisherOptions) {
    this.#context = context;
    this.#routesFile = publishing.routesFile;
    this.#cache = new ReleaseCache(context);
    this.#publisher = new Publisher(context, publishing);
    this.#activator = new Activator(context, this.#publisher);
  }

  async recover(): Promise<void> {
    await onDisk(this.#context.layout.dataDir, undefined, () => this.#cleanOnce());
  }

  async pull(work: PhaseWork): Promise<void> {
    await this.#inTurn(work.instance, work.signal, async () => {
      await this.#pullConfig(work);
      if (!(await this.#isComplete(work))) await this.#cache.pull(work.release, work);
      work.progress(100, "the files are here");
    });
  }

  async build(work: PhaseWork): Promise<void> {
    await this.#inTurn(work.instance, work.signal, async () => {
      if (!(await this.#isComplete(work))) await this.#cache.build(work.release, work);
      work.progress(100, "built");
    });
  }

  async copy(work: PhaseWork): Promise<void> {
    await this.#inTurn(work.instance, work.signal, () => this.#copy(work));
  }

  async prepareNext(work: PhaseWork): Promise<void> {
    await this.#inTurn(work.instance, work.signal, async () => {
      await this.#copy(work);
      const places = this.#context.layout.instance(work.instance);
      await pointAt(places.next, places.release(work.release.version), scratchName(this.#context));
    });
  }

  async stageRoutes(...[work, target]: Parameters<ReleaseFiles["stageRoutes"]>): Promise<void> {
    await this.#inTurn(work.instance, work.signal, () => this.#activator.stage(work, target));
  }

  async activate(work: PhaseWork): Promise<void> {
    await this.#publishing(work.instance, work.signal, () => this.#activator.activate(work));
    await this.#noteUseOfConfig(work);
  }

  async abandon(instance: string): Promise<void> {
    await this.#publishing(instance, undefined, () => this.#activator.abandon(instance));
  }

  async restore(instance: string, active: ActiveRelease): Promise<void> {
    await this.#publishing(instance, undefined, () => this.#activator.restore(instance, active));
  }

  async withdrawRoutes(instance: string): Promise<void> {
    await this.#publishing(instance, undefined, () => this.#activator.withdraw(instance));
  }

  async prune(instance: string, keep: readonly string[], keepMax: number): Promise<void> {
    await this.#inTurn(instance, undefined, () => pruneInstance(this.#context, instance, keep, keepMax));
    await this.#inTurn(" cache", undefined, () => this.#cache.prune());
  }

  async survey(instance: string, active: SurveyedRelease | null): Promise<DiskSurvey> {
    return await this.#turns.run(instance, undefined, () =>
      surveyInstance(this.#context, this.#publisher, instance, active),
    );
  }

  async instances(): Promise<readonly string[]> {
    return await instancesOnDisk(this.#context);
  }

  async removeRelease(instance: string, version: string): Promise<boolean> {
    let removed = false;
    await this.#inTurn(instance, undefined, async () => {
      removed = await removeRelease(this.#context, instance, version);
    });
    return removed;
  }

  async removeInstance(instance: string): Promise<void> {
    await this.#publishing(instance, undefined, async () => {
      const { folder } = this.#context.layout.instance(instance);
      await removeFolder(folder, scratchName(this.#context));
      await this.#publisher.publish(undefined);
    });
  }

  places(
    instance: string,
    release: string,
    config: string | null,
  ): { cwd: string; configFile: string | null } {
    const places = this.#context.layout.instance(instance);
    return { cwd: places.release(release), configFile: config === null ? null : places.config(config) };
  }

  async #isComplete(work: PhaseWork): Promise<boolean> {
    const looking = { signal: work.signal, digests: true };
    return (await completenessOf(this.#context, work.instance, work.release, looking)) === "complete";
  }

  async #copy(work: PhaseWork): Promise<void> {
    if (!(await this.#isComplete(work)))
      await this.#cache.useBuilt(work.release, work, (built) => copyRelease(this.#context, work, built));
    work.progress(100, "copied");
  }

  async #pullConfig({ instance, config, signal }: PhaseWork): Promise<void> {
    if (config === null) return;
    const path = this.#context.layout.instance(instance).config(config.version);
    if ((await digestOf(path, signal)) !== config.object.digest) {
      await makeFolder(dirname(path));
      const temporary = scratchName(this.#context);
      await pullObject(this.#context.objects, config.object, path, temporary, { signal, mode: 0o600 });
    }
  }

  /** So that the configurations that were active last are the last to be pruned. */
  async #noteUseOfConfig({ instance, config }: PhaseWork): Promise<void> {
    if (config === null) return;
    const now = new Date(this.#context.clock.nowMs());
    await ifThere(utimes(this.#context.layout.instance(instance).config(config.version), now, now));
  }

  async #publishing(
    instance: string,
    signal: AbortSignal | undefined,
    work: () => Promise<void>,
  ): Promise<void> {
    await this.#inTurn(instance, signal, () => this.#turns.run(publishing, signal, work));
  }

  async #inTurn(instance: string, signal: AbortSignal | undefined, work: () => Promise<void>): Promise<void> {
    await onDisk(this.#context.layout.dataDir, signal, async () => {
      await this.#cleanOnce();
      await this.#turns.run(instance, signal, work);
    });
  }

  async #cleanOnce(): Promise<void> {
    this.#cleaned ??= this.#clean();
    try {
      await this.#cleaned;
    } catch (thrown) {
      this.#cleaned = undefined;
      throw thrown;
    }
  }

  /** What an ended agent left: commands that still run, and files that nobody goes on with. */
  async #clean(): Promise<void> {
    const { commands, layout } = this.#context;
    await commands.endLeftovers();
    await clear(layout.scratch);
    await makeFolder(layout.scratch);
    await makeFolder(layout.instances);
    await removeAllDrafts(layout, this.#routesFile);
  }
}
