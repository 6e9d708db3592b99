import type { AppRecord, DesiredStatus, InitStatus } from "./app.js";
import type { AppState } from "./app-report.js";

/** What went wrong, as an engine tells it. */
export type FailureCause = "compiler" | "license" | "settings" | "installation" | "error";

/** What an app came to that failed, and what the reason is called. */
export const failureMeanings = {
  compiler: { initStatus: "compiler_error_disabled", code: "APP_COMPILER_ERROR", permanent: true },
  license: { initStatus: "invalid_license_disabled", code: "APP_LICENSE_INVALID", permanent: true },
  settings: { initStatus: "invalid_settings_disabled", code: "APP_SETTINGS_INVALID", permanent: true },
  installation: {
    initStatus: "invalid_installation_disabled",
    code: "APP_INSTALLATION_INVALID",
    permanent: false,
  },
  error: { initStatus: "error_disabled", code: "APP_FAILED", permanent: false },
} as const satisfies Record<FailureCause, { initStatus: InitStatus; code: string; permanent: boolean }>;

/** It runs. */
export function isEnabled(status: InitStatus): boolean {
  return status === "auto_enabled" || status === "manually_enabled";
}

/** On its way, or not heard of yet. */
function isUnderWay(status: InitStatus): boolean {
  return status === "unknown" || status === "constructed" || status === "initialized";
}

/** Whether an instance has an app as asked; `undefined` if it has never reported it. */
export function isInSync(
  desired: Pick<AppRecord, "generation" | "desiredStatus">,
  state: Pick<AppState, "generation" | "initStatus" | "installed"> | undefined,
): boolean {
  // What it never had it need not uninstall.
  if (state === undefined) return desired.desiredStatus === "uninstalled";
  if (state.generation !== desired.generation) return false;
  switch (desired.desiredStatus) {
    case "enabled":
      return isEnabled(state.initStatus);
    case "disabled":
      return !isEnabled(state.initStatus) && state.initStatus !== "unknown";
    case "uninstalled":
      return !state.installed;
  }
}

const failures = [
  "compiler_error_disabled",
  "invalid_license_disabled",
  "invalid_installation_disabled",
  "invalid_settings_disabled",
  "error_disabled",
] as const satisfies readonly InitStatus[];

/** The first that any instance has is the answer. */
const legacyOrder: Readonly<Record<"wanted" | "unwanted" | "underWay", readonly InitStatus[]>> = {
  wanted: [...failures, "manually_disabled", "disabled", "manually_enabled", "auto_enabled"],
  unwanted: ["manually_enabled", "auto_enabled", ...failures, "disabled", "manually_disabled"],
  underWay: ["initialized", "constructed", "unknown"],
};

/**
 * The single status of old, for clients that know no other: one value for all instances that are heard, which docs/apps.md explains.
 *
 * @param statuses of the instances that are not silent
 */
export function legacyStatusOf(
  desired: Pick<AppRecord, "desiredStatus" | "legacyStatus">,
  statuses: Iterable<InitStatus>,
): InitStatus {
  const found = new Set(statuses);
  const settled = [...found].some((status) => !isUnderWay(status));
  const wanted = desired.desiredStatus === "enabled" ? "wanted" : "unwanted";
  const order = legacyOrder[settled ? wanted : "underWay"];
  return order.find((status) => found.has(status)) ?? desired.legacyStatus ?? "unknown";
}

/** What each value of the single status of old says of what administrators want. */
export const desiredOfLegacy: Readonly<
  Record<
    InitStatus,
    { readonly desiredStatus: Exclude<DesiredStatus, "uninstalled">; readonly assumed: boolean }
  >
> = {
  auto_enabled: { desiredStatus: "enabled", assumed: false },
  manually_enabled: { desiredStatus: "enabled", assumed: false },
  // The system has switched these off; nobody asked for it.
  compiler_error_disabled: { desiredStatus: "enabled", assumed: false },
  error_disabled: { desiredStatus: "enabled", assumed: false },
  invalid_license_disabled: { desiredStatus: "enabled", assumed: false },
  invalid_settings_disabled: { desiredStatus: "enabled", assumed: false },
  invalid_installation_disabled: { desiredStatus: "enabled", assumed: false },
  manually_disabled: { desiredStatus: "disabled", assumed: false },
  disabled: { desiredStatus: "disabled", assumed: false },
  // Nobody is known to have enabled these.
  constructed: { desiredStatus: "disabled", assumed: true },
  initialized: { desiredStatus: "disabled", assumed: true },
  unknown: { desiredStatus: "disabled", assumed: true },
};

/** The code of the alert that an app has not been in sync on an instance for long. */
export const appMismatchCode = "APP_MISMATCH";

/** The code of the alert, and of the refusal, about an app that instances have and no record asks for. */
export const appUnaskedCode = "APP_UNASKED";

/**
 * Where it is told what to do about an alert, a reason's code or an init status of an app.
 *
 * @example troubleshootingOf("APP_FAILED") === "docs/troubleshooting.md#app_failed"
 */
export function troubleshootingOf(code: string): string {
  return `docs/troubleshooting.md#${code.toLowerCase()}`;
}
