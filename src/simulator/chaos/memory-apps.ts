import { type AppEngine, AppError, type AppToRun } from "../../agent/app-engine.js";
import type { Clock } from "../../base/ports.js";
import type { Dice } from "./dice.js";
import type { AppTemper } from "./life-plan.js";

type Verb = "install" | "initialize" | "enable" | "disable" | "uninstall";

/** What becomes of one version of an app on one instance, drawn once. */
type Fate = "well" | "license" | "compiler" | "settings" | "flaky" | "hangs";

/** How long a call takes at most. */
const callMaxMs = 400;

export interface MemoryAppsOptions {
  readonly apps: readonly AppTemper[];
  readonly dice: Dice;
  /** A version of an app runs from now on. */
  readonly onEnabled: (app: AppToRun) => void;
}

/** The apps of one process, in memory: what is installed outlives it, what runs does not. */
export class MemoryApps implements AppEngine {
  /** What runs, by app: its version. */
  readonly running = new Map<string, string>();
  readonly installed = new Map<string, string>();
  readonly #tempers: ReadonlyMap<string, AppTemper>;
  readonly #dice: Dice;
  readonly #onEnabled: (app: AppToRun) => void;
  readonly #fates = new Map<string, Fate>();
  #clock: Clock;
  #isCalm = false;
  #ended: (app: string, why: unknown) => void = () => undefined;

  constructor(clock: Clock, { apps, dice, onEnabled }: MemoryAppsOptions) {
    this.#clock = clock;
    this.#tempers = new Map(apps.map((temper) => [temper.app, temper]));
    this.#dice = dice;
    this.#onEnabled = onEnabled;
  }

  install(app: AppToRun, signal: AbortSignal): Promise<void> {
    return this.#call("install", app, signal, () => this.installed.set(app.app, app.version));
  }
  initialize(app: AppToRun, signal: AbortSignal): Promise<void> {
    return this.#call("initialize", app, signal, () => undefined);
  }
  enable(app: AppToRun, signal: AbortSignal): Promise<void> {
    return this.#call("enable", app, signal, () => {
      this.running.set(app.app, app.version);
      this.#onEnabled(app);
    });
  }
  disable(app: AppToRun, signal: AbortSignal): Promise<void> {
    return this.#call("disable", app, signal, () => this.running.delete(app.app));
  }
  uninstall(app: AppToRun, signal: AbortSignal): Promise<void> {
    return this.#call("uninstall", app, signal, () => this.installed.delete(app.app));
  }
  onEnded(listener: (app: string, why: unknown) => void): void {
    this.#ended = listener;
  }

  /** Another process has taken the place of the one before it, with a clock of its own. */
  begin(clock: Clock): void {
    this.running.clear();
    this.#ended = () => undefined;
    this.#clock = clock;
  }

  /** An app ends by itself, if it runs. @returns whether it did */
  end(app: string): boolean {
    if (!this.running.delete(app)) return false;
    this.#ended(app, new Error("it ended by itself"));
    return true;
  }

  /** Nothing fails from now on but what fails each time. */
  calm(): void {
    this.#isCalm = true;
  }

  #call(verb: Verb, app: AppToRun, signal: AbortSignal, act: () => void): Promise<void> {
    const thrown = this.#failureOf(verb, app);
    const tookMs = this.#dice.int(1, callMaxMs);
    return new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(new Error("told to stop")), { once: true });
      if (thrown === "hangs") return;
      this.#clock.setTimer(tookMs, () => {
        if (signal.aborted) return;
        if (thrown === undefined) {
          act();
          resolve();
        } else reject(thrown);
      });
    });
  }

  #failureOf(verb: Verb, app: AppToRun): AppError | "hangs" | undefined {
    const fate = this.#fateOf(app);
    switch (fate) {
      case "compiler":
      case "settings":
        return verb === "initialize" ? new AppError(fate, "so it is here") : undefined;
      case "license":
        return verb === "enable" ? new AppError(fate, "it has expired") : undefined;
      case "flaky":
        if (this.#isCalm || this.#dice.chance(0.25)) return undefined;
        return new AppError(this.#dice.pick(["installation", "error"]), "this time");
      case "hangs":
        return this.#isCalm || this.#dice.chance(0.7) ? undefined : "hangs";
      case "well":
        return undefined;
    }
  }

  #fateOf({ app, version }: AppToRun): Fate {
    const key = `${app} ${version}`;
    const found = this.#fates.get(key) ?? this.#drawFate(app);
    this.#fates.set(key, found);
    return found;
  }

  #drawFate(app: string): Fate {
    const temper = this.#tempers.get(app);
    const at = this.#dice.unit();
    const cause = this.#dice.pick(["license", "compiler", "settings"] as const);
    if (temper === undefined) return "well";
    const { broken, flaky, hangs } = temper;
    if (at < broken) return cause;
    if (at < broken + flaky) return "flaky";
    return at < broken + flaky + hangs ? "hangs" : "well";
  }
}
