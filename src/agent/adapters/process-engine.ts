import { join } from "node:path";
import { z } from "zod";
import type { Clock, Timer } from "../../base/ports.js";
import type { FailureCause } from "../../contracts/app-status.js";
import { type AppEngine, AppError, type AppToRun } from "../app-engine.js";
import type { ProcessExit, Processes, ProcessIdentity } from "../ports.js";
import { appFolder, jsonOfApp } from "./app-folder.js";

export interface ProcessEngineOptions {
  /** Below it lie the apps: an app's source, else `<app>/<version>`, each a folder with an `app.json`. */
  readonly folder: string;
  /** `close` ends what they do in the background, where there is such a thing. */
  readonly processes: Processes & { close?(): void };
  readonly clock: Clock;
  /** A process that is up for so long is enabled. Default 1,000. */
  readonly settleMs?: number;
}

const defaultSettleMs = 1_000;

const appManifestSchema = z.strictObject({
  start: z.union([z.string().min(1).max(4_096), z.array(z.string().min(1).max(4_096)).min(1).max(64)]),
  env: z.record(z.string().max(128), z.string().max(4_096)).default({}),
  stop: z
    .strictObject({
      signal: z.enum(["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP"]).default("SIGTERM"),
      graceMs: z.int().min(0).max(25_000).default(5_000),
    })
    .default({ signal: "SIGTERM", graceMs: 5_000 }),
});
type AppManifest = z.infer<typeof appManifestSchema>;

/** By the exit codes of sysexits.h: what a process may say of why it does not run. */
const causesOfExitCodes: Readonly<Record<number, FailureCause>> = { 77: "license", 78: "settings" };

interface Running {
  readonly identity: ProcessIdentity;
  readonly stop: AppManifest["stop"];
}

/**
 * Runs apps as processes, each a group of its own. The folder of an app has an `app.json` with `start`, and if need be `env` and `stop`
 * (`signal`, `graceMs`); the process finds its settings as JSON in `ROLLCALL_APP_SETTINGS`, its name and version in `ROLLCALL_APP` and
 * `ROLLCALL_APP_VERSION`. One that exits with 78 has invalid settings, with 77 an invalid licence.
 * What an earlier life of this program has left running is ended before an app is anything else.
 */
export function createProcessEngine(options: ProcessEngineOptions): AppEngine {
  return new ProcessEngine(options);
}

class ProcessEngine implements AppEngine {
  readonly #options: ProcessEngineOptions;
  readonly #running = new Map<string, Running>();
  #tell: (app: string, why: unknown) => void = () => undefined;

  constructor(options: ProcessEngineOptions) {
    this.#options = options;
  }

  async install(app: AppToRun): Promise<void> {
    await this.#manifestOf(app);
  }

  async initialize(app: AppToRun): Promise<void> {
    await this.#manifestOf(app);
  }

  async enable(app: AppToRun, signal: AbortSignal): Promise<void> {
    const { cwd, manifest } = await this.#manifestOf(app);
    const { start: command, stop } = manifest;
    await this.#end(app.app, stop);
    if (signal.aborted) throw new Error("it is not wanted any more");
    const env = { ...manifest.env, ...aboutApp(app) };
    const identity = await this.#options.processes
      .start({ instance: app.app, generation: 1, command, cwd, env })
      .catch((thrown: unknown) => {
        throw new AppError("installation", thrown instanceof Error ? thrown.message : String(thrown));
      });
    this.#running.set(app.app, { identity, stop });
    await this.#settled(app.app, identity, signal);
  }

  async disable(app: AppToRun): Promise<void> {
    await this.#end(app.app, { signal: "SIGTERM", graceMs: 5_000 });
  }

  async uninstall(app: AppToRun): Promise<void> {
    await this.disable(app);
  }

  onEnded(listener: (app: string, why: unknown) => void): void {
    this.#tell = listener;
  }

  close(): void {
    this.#options.processes.close?.();
  }

  /** Resolves when it has been up for long enough; from then on its end is told. */
  #settled(app: string, identity: ProcessIdentity, signal: AbortSignal): Promise<void> {
    const { clock, processes, settleMs = defaultSettleMs } = this.#options;
    return new Promise((resolve, reject) => {
      let isUp = false;
      const up = (): void => {
        isUp = true;
        resolve();
      };
      const timer: Timer = clock.setTimer(settleMs, up);
      const stop = (): void => reject(new Error("it is not wanted any more"));
      signal.addEventListener("abort", stop, { once: true });
      if (signal.aborted) stop();
      processes.onExit(identity, (exit) => {
        timer.cancel();
        void this.#whyEnded(app, exit).then((why) => {
          if (!isUp) reject(why);
          else if (this.#running.get(app)?.identity === identity) this.#tell(app, why);
        });
      });
    });
  }

  async #whyEnded(app: string, { code, signal }: ProcessExit): Promise<AppError> {
    const how = signal === null ? `exit code ${code ?? "unknown"}` : `signal ${signal}`;
    const tail = await this.#options.processes.tail(app).catch(() => "");
    const said = tail === "" ? "it has written nothing" : tail;
    return new AppError(causesOfExitCodes[code ?? 0] ?? "error", `its process ended with ${how}: ${said}`);
  }

  async #end(app: string, stop: AppManifest["stop"]): Promise<void> {
    const { processes } = this.#options;
    const known = this.#running.get(app);
    this.#running.delete(app);
    if (known !== undefined) await processes.stop(known.identity, known.stop);
    for (const { instance, identity } of await processes.owned())
      if (instance === app) await processes.stop(identity, stop);
  }

  async #manifestOf(app: AppToRun): Promise<{ readonly cwd: string; readonly manifest: AppManifest }> {
    const cwd = await appFolder(this.#options.folder, app);
    const found = appManifestSchema.safeParse(await jsonOfApp(join(cwd, "app.json")));
    if (!found.success)
      throw new AppError(
        "installation",
        `the app.json in ${cwd} is not valid: ${z.prettifyError(found.error)}`,
      );
    return { cwd, manifest: found.data };
  }
}

function aboutApp({ app, version, settings }: AppToRun): Readonly<Record<string, string>> {
  return {
    ROLLCALL_APP: app,
    ROLLCALL_APP_VERSION: version,
    ROLLCALL_APP_SETTINGS: JSON.stringify(settings),
  };
}
