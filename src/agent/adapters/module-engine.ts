import { execFile } from "node:child_process";
import { access } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { messageOf } from "../../base/errors.js";
import type { Clock, Log } from "../../base/ports.js";
import { type AppEngine, AppError, type AppToRun } from "../app-engine.js";
import { appFolder, jsonOfApp } from "./app-folder.js";
import { AppThread } from "./app-thread.js";
import { ifThere } from "./disk-errors.js";

export interface ModuleEngineOptions {
  /** Below it lie the apps: an app's source, else `<app>/<version>`. */
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Of each app's heap. Default 256. */
  readonly memoryMaxMb?: number;
  /** An enabled app is asked every so often whether it still answers. Default 5,000. */
  readonly pingEveryMs?: number;
  /** One that does not answer for so long is ended and reported: its event loop is blocked. Default 10,000. */
  readonly pingMaxMs?: number;
  /** How long an app may take to disable itself before its thread is ended. Default 5,000. */
  readonly graceMs?: number;
}

const defaults = { memoryMaxMb: 256, pingEveryMs: 5_000, pingMaxMs: 10_000, graceMs: 5_000 };
const checkMaxMs = 5_000;

const packageSchema = z.object({ main: z.string().optional(), exports: z.string().optional() });

/**
 * Runs apps that are ES modules, each in a worker thread of its own. A module exports any of
 * `initialize`, `enable` and `disable`, each gets `{ app, version, settings }`. What it throws may name the cause of its failure:
 * `Object.assign(new Error("expired"), { failure: "license" })`. An error of syntax is a `compiler` error.
 *
 * The module is `exports` or `main` of the folder's package.json, else `index.mjs`, else `index.js`.
 * The files are not the engine's: uninstalled means that nothing of it is loaded.
 */
export function createModuleEngine(options: ModuleEngineOptions): AppEngine {
  return new ModuleEngine(options);
}

class ModuleEngine implements AppEngine {
  readonly #options: Required<ModuleEngineOptions>;
  readonly #threads = new Map<string, AppThread>();
  #tell: (app: string, why: unknown) => void = () => undefined;

  constructor(options: ModuleEngineOptions) {
    this.#options = { ...defaults, ...options };
  }

  async install(app: AppToRun): Promise<void> {
    await this.#entryOf(app);
  }

  async initialize(app: AppToRun, signal: AbortSignal): Promise<void> {
    await this.#drop(app.app);
    const entry = await this.#entryOf(app);
    if (signal.aborted) throw new Error("it is not wanted any more");
    const thread: AppThread = new AppThread({
      ...this.#options,
      app: app.app,
      version: app.version,
      settings: app.settings,
      url: pathToFileURL(entry).href,
      ended: (why) => {
        if (this.#threads.get(app.app) === thread) this.#tell(app.app, why);
      },
    });
    this.#threads.set(app.app, thread);
    try {
      await thread.ask("initialize", signal);
    } catch (thrown) {
      if (!(thrown instanceof AppError) || thrown.failure !== "compiler") throw thrown;
      throw new AppError("compiler", `${thrown.message}${await placeOf(entry)}`, { cause: thrown });
    }
  }

  async enable({ app }: AppToRun, signal: AbortSignal): Promise<void> {
    const thread = this.#threads.get(app);
    if (thread === undefined) throw new Error("it is not initialized");
    await thread.ask("enable", signal);
    thread.watch();
  }

  async disable({ app }: AppToRun, signal: AbortSignal): Promise<void> {
    const thread = this.#threads.get(app);
    if (thread === undefined) return;
    thread.unwatch();
    const { clock, graceMs, log } = this.#options;
    const grace = new AbortController();
    const limit = clock.setTimer(graceMs, () => grace.abort());
    try {
      await thread.ask("disable", AbortSignal.any([signal, grace.signal]));
    } catch (error) {
      log.warn(
        { app, error: messageOf(error) },
        "an app did not disable itself; its thread is ended all the same",
      );
    } finally {
      limit.cancel();
    }
    await this.#drop(app);
  }

  async uninstall({ app }: AppToRun): Promise<void> {
    await this.#drop(app);
  }

  onEnded(listener: (app: string, why: unknown) => void): void {
    this.#tell = listener;
  }

  async #drop(app: string): Promise<void> {
    const thread = this.#threads.get(app);
    this.#threads.delete(app);
    thread?.unwatch();
    await thread?.terminate(new Error("it was ended"));
  }

  async #entryOf(app: AppToRun): Promise<string> {
    const folder = await appFolder(this.#options.folder, app);
    const about = packageSchema.safeParse((await jsonOfApp(join(folder, "package.json"))) ?? {});
    const named = about.data?.exports ?? about.data?.main;
    for (const name of named === undefined ? ["index.mjs", "index.js"] : [named]) {
      const path = join(folder, name);
      if ((await ifThere(access(path).then(() => true))) === true) return path;
    }
    throw new AppError("installation", `${folder} has no module ${named ?? "index.mjs or index.js"}`);
  }
}

/** Where the error of syntax is, which a module that is imported does not say; nothing if it is in another file. */
function placeOf(entry: string): Promise<string> {
  return new Promise((resolve) => {
    execFile(process.execPath, ["--check", entry], { timeout: checkMaxMs }, (_, __, stderr) => {
      const [place] = /^.*:\d+$/m.exec(stderr) ?? [];
      resolve(place === undefined ? "" : ` (${place})`);
    });
  });
}
