import type { AppContent } from "../contracts/app.js";
import { type FailureCause, failureMeanings } from "../contracts/app-status.js";

/** An app as an engine gets it: its version, where its files are, its settings. */
export interface AppToRun extends AppContent {
  readonly app: string;
}

/**
 * Loads and runs apps. Each call is safe to repeat, and resolves when what it says is so. It fails by throwing, an {@link AppError}
 * to say the cause. There is never more than one call of an app that was not given up.
 *
 * `signal` fires when the time limit has passed or something else is asked: the call is to end soon, and from then on must have no effect.
 *
 * @example
 * const engine: AppEngine = {
 *   install: async ({ app, version }) => download(app, version),
 *   initialize: async ({ app, settings }) => load(app, settings),
 *   enable: async ({ app }) => apps.get(app)?.start(),
 *   disable: async ({ app }) => apps.get(app)?.stop(),
 *   uninstall: async ({ app }) => remove(app),
 * };
 */
export interface AppEngine {
  /** This version is here, in the place of any other. */
  install(app: AppToRun, signal: AbortSignal): Promise<void>;
  /** It is loaded and its settings are checked; it does nothing yet. */
  initialize(app: AppToRun, signal: AbortSignal): Promise<void>;
  /** It runs. */
  enable(app: AppToRun, signal: AbortSignal): Promise<void>;
  /** Nothing of it runs, whatever was before; to run again it is initialized first. */
  disable(app: AppToRun, signal: AbortSignal): Promise<void>;
  /** Nothing of it is left here. */
  uninstall(app: AppToRun, signal: AbortSignal): Promise<void>;
  /** Tells of each app that has ended by itself while it was enabled. Called once. */
  onEnded?(listener: (app: string, why: unknown) => void): void;
  /** Nothing is asked of it any more. */
  close?(): void;
}

/**
 * Why a call of an engine has failed. What else is thrown is of the cause `error`.
 *
 * @example throw new AppError("license", "it has expired on 2030-01-01");
 */
export class AppError extends Error {
  override readonly name = "AppError";
  readonly failure: FailureCause;
  /** Whether to try the same again is of no use; by default so for `compiler`, `license` and `settings`. */
  readonly permanent: boolean;

  constructor(
    failure: FailureCause,
    message: string,
    options: { readonly permanent?: boolean; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.failure = failure;
    this.permanent = options.permanent ?? failureMeanings[failure].permanent;
  }
}
