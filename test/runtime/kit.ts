import type { Log } from "../../src/base/ports.js";
import { createActorHost, type InspectableHost } from "../../src/runtime/actor-host.js";
import type { HostLimits } from "../../src/runtime/limits.js";
import { createSeededRandom } from "../../src/runtime/random.js";
import { createVirtualClock, type VirtualClock } from "../../src/runtime/virtual-clock.js";

/** A log that keeps what was said. */
export interface KeptLog extends Log {
  readonly lines: { level: string; facts: object; sentence: string }[];
}

export function keptLog(): KeptLog {
  const lines: KeptLog["lines"] = [];
  const at = (level: string) => (facts: object, sentence: string) => {
    lines.push({ level, facts, sentence });
  };
  const log: KeptLog = {
    lines,
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: () => log,
  };
  return log;
}

export interface World {
  readonly host: InspectableHost;
  readonly clock: VirtualClock;
  readonly log: KeptLog;
}

/** A host in virtual time. */
export function createWorld(limits: Partial<HostLimits> = {}): World {
  const clock = createVirtualClock();
  const log = keptLog();
  const host = createActorHost({ node: "here", clock, random: createSeededRandom(1), log, limits });
  return { host, clock, log };
}
