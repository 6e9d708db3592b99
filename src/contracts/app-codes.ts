import type { Meaning } from "./error-meaning.js";

/** The codes of apps, a part of `errorCodes`. */
export const appCodes = {
  GENERATION_MISMATCH: {
    retry: "never",
    status: 409,
    sentence:
      "App {app} is at generation {found}, not {expected}: {by} has changed {changed} since ({reason}). Look at it by rollcall apps show {app}, and ask again with the new generation.",
  },
  UNKNOWN_APP: {
    retry: "never",
    status: 404,
    sentence: "There is no app {app}: see rollcall apps ls, or add it by rollcall apps add {app} VERSION.",
  },
  APP_UNASKED: {
    retry: "never",
    status: 409,
    sentence:
      "Nobody asked for app {app} in this ledger, yet it is on {holders}: keep it by rollcall apps adopt {app}, or remove it everywhere by rollcall apps uninstall {app}.",
  },
  APP_VERSIONS_DIFFER: {
    retry: "never",
    status: 409,
    sentence:
      "App {app} is not the same everywhere: {one} has version {version}, {other} has {otherVersion}. Say whose is to be kept, by rollcall apps adopt {app} --instance {one}.",
  },
  APP_NOT_EXPLAINED: {
    retry: "later",
    status: 409,
    sentence:
      "{instance} did not say what it has of app {app} ({problem}): ask another by --instance, or say it yourself by rollcall apps add {app} VERSION --enable.",
  },
  APP_EXISTS: {
    retry: "never",
    status: 409,
    sentence:
      "App {app} is there already, {desiredStatus}: change its version or settings by rollcall apps set {app}, or uninstall it first.",
  },
  APP_UNINSTALLED: {
    retry: "never",
    status: 409,
    sentence: "App {app} is uninstalled: bring it back by rollcall apps add {app} VERSION.",
  },
  TOO_MANY_APPS: {
    retry: "later",
    status: 409,
    sentence:
      "The fleet has {max} apps, and cannot have more: uninstall one; its place is free when every instance has confirmed that.",
  },
  APP_COMPILER_ERROR: {
    retry: "never",
    status: 422,
    sentence: "App {app} does not compile: {problem}. Set a version that does.",
  },
  APP_LICENSE_INVALID: {
    retry: "never",
    status: 422,
    sentence:
      "The licence of app {app} is not valid: {problem}. Renew it, then run rollcall apps reconcile --app {app}.",
  },
  APP_SETTINGS_INVALID: {
    retry: "never",
    status: 422,
    sentence: "The settings of app {app} are not valid: {problem}. Change them by rollcall apps set {app}.",
  },
  APP_INSTALLATION_INVALID: {
    retry: "later",
    status: 422,
    sentence: "App {app} could not be installed: {problem}.",
  },
  APP_FAILED: {
    retry: "later",
    status: 422,
    sentence: "App {app} failed: {problem}.",
  },
  APP_TIMEOUT: {
    retry: "later",
    status: 504,
    sentence: "{verb} of app {app} did not end within {limitMs}.",
  },
  APP_ENDED: {
    retry: "later",
    status: 422,
    sentence: "App {app} ended by itself: {problem}.",
  },
} as const satisfies Record<string, Meaning>;
