import type { Log } from "../../src/base/ports.js";
import type { Actor, ActorSpec } from "../../src/runtime/actor.js";
import { createActorHost, type InspectableHost } from "../../src/runtime/actor-host.js";
import type { HostLimits } from "../../src/runtime/limits.js";
import { createSeededRandom } from "../../src/runtime/random.js";
import { createVirtualClock, type VirtualClock } from "../../src/runtime/virtual-clock.js";
import { type CounterCommand, counterMachine } from "./counter-machine.js";

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

export type CounterSpec = Partial<ActorSpec<typeof counterMachine>>;

export interface Counter {
  readonly actor: Actor<typeof counterMachine>;
  /** What it said and was performed. */
  readonly said: string[];
}

export function spawnCounter(host: InspectableHost, spec: CounterSpec = {}): Counter {
  const said: string[] = [];
  const actor = host.spawn({
    kind: "counter",
    id: "c1",
    machine: counterMachine,
    perform: ({ what }: CounterCommand) => {
      said.push(what);
    },
    ...spec,
  });
  return { actor, said };
}
