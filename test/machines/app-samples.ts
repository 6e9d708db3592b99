import type { AppInstance, AskedApp } from "../../machines/app-standing.js";
import type { AppRecord, DesiredApp, DesiredStatus } from "../../src/contracts/app.js";
import type { AppState } from "../../src/contracts/app-report.js";

/** What is asked of an app, under a generation. */
export function desiredApp(
  generation: number,
  desiredStatus: DesiredStatus,
  change: Partial<DesiredApp> & { readonly version?: string; readonly settings?: object } = {},
): DesiredApp {
  const { version = "1.0.0", settings = {}, ...rest } = change;
  return {
    format: 1,
    ledgerId: "m1000000000000-a",
    epoch: 1,
    app: "mail",
    generation,
    appsGeneration: generation,
    desiredStatus,
    content: { version, source: null, settings: { ...settings } },
    ...rest,
  };
}

/** When tests of the control plane's view are, in ledger time. */
export const viewNowMs = 1_893_456_000_000;

/** An app of the fleet, told to all a minute ago. */
export function askedApp(
  desiredStatus: DesiredStatus,
  change: Partial<AppRecord> = {},
  told: AskedApp["told"] = { appsGeneration: 7, atMs: viewNowMs - 60_000 },
): AskedApp {
  const mark = { by: "ann", atMs: viewNowMs - 60_000, reason: null };
  const record: AppRecord = {
    format: 1,
    app: "mail",
    generation: 3,
    desiredStatus,
    content: { version: "1.0.0", source: null, settings: {} },
    added: mark,
    changed: mark,
    changedIn: { desiredStatus: 3, version: 1, source: 1, settings: 1 },
    requests: [],
    legacyStatus: null,
    ...change,
  };
  return { record, told };
}

/** What an instance says of an app, which runs there as asked unless it says otherwise. */
export function appState(change: Partial<AppState> = {}): AppState {
  return {
    app: "mail",
    generation: 3,
    initStatus: "manually_enabled",
    installed: true,
    version: "1.0.0",
    reason: null,
    sinceMs: viewNowMs - 50_000,
    mismatchSinceMs: null,
    attempts: 0,
    nextAttemptAtMs: null,
    stopped: false,
    ...change,
  };
}

/** One that has failed twice, and is tried again in 4 s. */
export function failedApp(change: Partial<AppState> = {}): AppState {
  return appState({
    initStatus: "error_disabled",
    reason: { code: "APP_FAILED", message: "App mail failed: it threw." },
    mismatchSinceMs: viewNowMs - 20_000,
    attempts: 2,
    nextAttemptAtMs: viewNowMs + 4_000,
    ...change,
  });
}

/** An instance that is heard and has heard everything. */
export function appInstance(
  states: readonly AppState[] = [],
  change: Partial<Omit<AppInstance, "states">> = {},
): AppInstance {
  return {
    instance: "web-1",
    hearing: "heard",
    reportAgeMs: 1_500,
    joinedAtMs: viewNowMs - 86_400_000,
    heardSinceMs: viewNowMs - 3_600_000,
    heardGeneration: 7,
    clockOffsetMs: 0,
    alertedAtMs: {},
    ...change,
    states: new Map(states.map((state) => [state.app, state])),
  };
}
