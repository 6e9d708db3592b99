import type { AppEngine, AppToRun } from "../../src/agent/app-engine.js";
import type { VirtualClock } from "../../src/runtime/virtual-clock.js";

type Verb = "install" | "initialize" | "enable" | "disable" | "uninstall";
/** What a call comes to: `hang` never ends unless told to stop, `deaf` not even then. */
export type Fate = "ok" | "hang" | "deaf" | Error;

/** An engine that does what a test says; what really runs is looked up in it. */
export class FakeEngine implements AppEngine {
  /** What runs, by app: its version. */
  readonly running = new Map<string, string>();
  readonly files = new Map<string, string>();
  readonly calls: string[] = [];
  /** By `app verb`, what the calls come to; the first of a list for the next one. */
  readonly fates = new Map<string, Fate | Fate[]>();
  callMs = 5;
  #ended: (app: string, why: unknown) => void = () => undefined;
  readonly #clock: VirtualClock;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  install(app: AppToRun, signal: AbortSignal): Promise<void> {
    return this.#call("install", app, signal, () => this.files.set(app.app, app.version));
  }
  initialize(app: AppToRun, signal: AbortSignal): Promise<void> {
    return this.#call("initialize", app, signal, () => undefined);
  }
  enable(app: AppToRun, signal: AbortSignal): Promise<void> {
    return this.#call("enable", app, signal, () => this.running.set(app.app, app.version));
  }
  disable(app: AppToRun, signal: AbortSignal): Promise<void> {
    return this.#call("disable", app, signal, () => this.running.delete(app.app));
  }
  uninstall(app: AppToRun, signal: AbortSignal): Promise<void> {
    return this.#call("uninstall", app, signal, () => this.files.delete(app.app));
  }
  onEnded(listener: (app: string, why: unknown) => void): void {
    this.#ended = listener;
  }

  /** The app ends by itself. */
  crash(app: string): void {
    this.running.delete(app);
    this.#ended(app, new Error("it crashed"));
  }

  /** The process of the instance is gone, and all threads with it. */
  die(): void {
    this.running.clear();
  }

  #call(verb: Verb, { app }: AppToRun, signal: AbortSignal, act: () => void): Promise<void> {
    this.calls.push(`${verb} ${app}`);
    const set = this.fates.get(`${app} ${verb}`);
    const fate = (Array.isArray(set) ? set.shift() : set) ?? "ok";
    return new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => {
        if (fate !== "deaf") reject(new Error("told to stop"));
      });
      if (fate === "hang" || fate === "deaf") return;
      this.#clock.setTimer(this.callMs, () => {
        if (signal.aborted) return;
        if (fate === "ok") act();
        if (fate === "ok") resolve();
        else reject(fate);
      });
    });
  }
}
