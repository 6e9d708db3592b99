import { Worker } from "node:worker_threads";
import type { Clock, Timer } from "../../base/ports.js";
import { failureMeanings } from "../../contracts/app-status.js";
import { AppError } from "../app-engine.js";
import type { ModuleAnswer, ModuleAsk, ModuleFailure, ModuleThread } from "./module-worker.js";

/** A thread can load only what is built, also of sources that run as they are. */
const isBuilt = import.meta.url.endsWith(".js");
const builtFolder = isBuilt ? "./" : "../../../dist/src/agent/adapters/";
const script = new URL(`${builtFolder}module-worker.js`, import.meta.url);

export interface AppThreadOptions extends ModuleThread {
  readonly clock: Clock;
  readonly memoryMaxMb: number;
  /** Between two looks whether an enabled app still answers, and how long it may take to. */
  readonly pingEveryMs: number;
  readonly pingMaxMs: number;
  /** It has ended by itself, or was ended because it does not answer any more. */
  ended(why: Error): void;
}

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (why: Error) => void;
}

/** One app in a thread of its own: what it does to itself, it does to nobody else. */
export class AppThread {
  readonly #options: AppThreadOptions;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #gone: Promise<void>;
  #number = 0;
  #isWatched = false;
  #ping: Timer | undefined;
  #why: Error | undefined;

  constructor(options: AppThreadOptions) {
    this.#options = options;
    const { app, version, url, settings, memoryMaxMb } = options;
    this.#worker = new Worker(script, {
      workerData: { app, version, url, settings } satisfies ModuleThread,
      resourceLimits: { maxOldGenerationSizeMb: memoryMaxMb },
      name: `app ${app}`,
    });
    this.#worker.on("message", (answer: ModuleAnswer) => this.#answered(answer));
    this.#worker.on("error", (error: Error) => {
      this.#why ??= error;
    });
    this.#gone = new Promise((resolve) => {
      this.#worker.once("exit", (code) => {
        this.#end(this.#why ?? new Error(`its thread ended with exit code ${code}`));
        resolve();
      });
    });
  }

  /** @throws AppError what the app threw; Error it ended, or was told to */
  async ask(verb: ModuleAsk["verb"], signal: AbortSignal): Promise<void> {
    const stop = (): void => void this.terminate(new Error(`it was ended in the middle of ${verb}`));
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    try {
      await this.#send(verb);
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  /** From now on its end is told, and it has to answer now and then. */
  watch(): void {
    this.#isWatched = true;
    this.#armPing();
  }

  /** From now on its end is expected. */
  unwatch(): void {
    this.#isWatched = false;
    this.#ping?.cancel();
  }

  /** Ends the thread, whatever it does. */
  async terminate(why: Error): Promise<void> {
    this.#why ??= why;
    await this.#worker.terminate();
    await this.#gone;
  }

  #send(verb: ModuleAsk["verb"]): Promise<void> {
    if (this.#why !== undefined) return Promise.reject(this.#why);
    const number = ++this.#number;
    return new Promise((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
      this.#worker.postMessage({ number, verb } satisfies ModuleAsk);
    });
  }

  #answered({ number, failed }: ModuleAnswer): void {
    const waiting = this.#waiting.get(number);
    this.#waiting.delete(number);
    if (failed === null) waiting?.resolve();
    else waiting?.reject(errorOf(failed));
  }

  #end(why: Error): void {
    this.#why ??= why;
    this.#ping?.cancel();
    for (const { reject } of this.#waiting.values()) reject(why);
    this.#waiting.clear();
    if (this.#isWatched) this.#options.ended(why);
    this.#isWatched = false;
  }

  #armPing(): void {
    const { clock, pingEveryMs } = this.#options;
    this.#ping = clock.setTimer(pingEveryMs, () => void this.#look());
  }

  async #look(): Promise<void> {
    const { clock, pingMaxMs } = this.#options;
    const why = new Error(`it has not answered for ${pingMaxMs} ms, an endless loop perhaps, and was ended`);
    const limit = clock.setTimer(pingMaxMs, () => void this.terminate(why));
    try {
      await this.#send("ping");
      if (this.#isWatched) this.#armPing();
    } catch {
      // Its end is told where it is noticed.
    } finally {
      limit.cancel();
    }
  }
}

function errorOf({ failure, permanent, message }: ModuleFailure): AppError {
  const cause = failureCauses.find((one) => one === failure) ?? "error";
  return new AppError(cause, message, permanent === undefined ? {} : { permanent });
}

const failureCauses = Object.keys(failureMeanings) as (keyof typeof failureMeanings)[];
