import { mkdirSync } from "node:fs";
import {
  createModuleEngine as createModuleEngineOf,
  type ModuleEngineOptions as ModuleParts,
} from "../agent/adapters/module-engine.js";
import {
  createProcessEngine as createProcessEngineOf,
  type ProcessEngineOptions as ProcessParts,
} from "../agent/adapters/process-engine.js";
import { createProcesses } from "../agent/adapters/processes.js";
import type { AppEngine } from "../agent/app-engine.js";
import type { Clock, Log } from "../base/ports.js";
import { createRealRandom } from "../runtime/random.js";
import { createRealClock } from "../runtime/real-clock.js";
import { silentLog } from "./silent-log.js";

export interface ModuleEngineOptions extends Omit<ModuleParts, "clock" | "log"> {
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** Default: nobody reads it. */
  readonly log?: Log;
}

/**
 * An engine for apps that are ES modules, each in a worker thread of its own: what one does to itself (a crash, an endless loop, too much
 * memory) it does to nobody else. A module exports any of `initialize`, `enable` and `disable`; each gets `{ app, version, settings }`.
 *
 * @example const engine = createModuleEngine({ folder: "apps" });
 */
export function createModuleEngine(options: ModuleEngineOptions): AppEngine {
  return createModuleEngineOf({ clock: createRealClock(), log: silentLog, ...options });
}

export interface ProcessEngineOptions extends Omit<ProcessParts, "clock" | "processes"> {
  /** A folder of this process alone, for what is known of the processes, and for their output. */
  readonly data: string;
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** Default: nobody reads it. */
  readonly log?: Log;
}

/**
 * An engine for apps that are processes, each started by the command in its `app.json`.
 *
 * @example const engine = createProcessEngine({ folder: "apps", data: ".rollcall/apps" });
 */
export function createProcessEngine({
  data,
  clock = createRealClock(),
  log = silentLog,
  ...options
}: ProcessEngineOptions): AppEngine {
  mkdirSync(data, { recursive: true });
  const processes = createProcesses({ dataDir: data, clock, random: createRealRandom(), log });
  return createProcessEngineOf({ ...options, clock, processes });
}
