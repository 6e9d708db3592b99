import type { Clock } from "../../base/ports.js";
import type { HealthCheck } from "../../contracts/release.js";
import type { ProbeResult, Probes } from "../ports.js";
import type { Behaviours } from "./behaviour.js";
import type { MemoryProcesses } from "./processes.js";

/** How long an answer takes. */
const answerMs = 5;

/** Health checks of processes in memory. */
export class MemoryProbes implements Probes {
  readonly #clock: Clock;
  readonly #processes: MemoryProcesses;
  readonly #behaviours: Behaviours;
  #checked = 0;
  #failing = false;

  constructor(clock: Clock, processes: MemoryProcesses, behaviours: Behaviours) {
    this.#clock = clock;
    this.#processes = processes;
    this.#behaviours = behaviours;
  }

  get checked(): number {
    return this.#checked;
  }

  /** No service on this host answers as it should, or they do again. */
  setFailing(failing: boolean): void {
    this.#failing = failing;
  }

  check(_: HealthCheck, { port }: { port: number }): Promise<ProbeResult> {
    this.#checked++;
    return new Promise((resolve) => {
      this.#clock.setTimer(answerMs, () => resolve(this.#look(port)));
    });
  }

  #look(port: number): ProbeResult {
    const process = this.#processes.onPort(port);
    if (process === undefined) return { verdict: "unhealthy", detail: "connection refused" };
    if (this.#failing) return { verdict: "unhealthy", detail: "HTTP 503" };
    const behaviour = this.#behaviours.get(process.release) ?? {};
    const upMs = this.#clock.monotonicMs() - process.startedAtMs;
    if (behaviour.unhealthy === true) return { verdict: "unhealthy", detail: "HTTP 500" };
    if (upMs < (behaviour.healthyAfterMs ?? 0)) return { verdict: "unhealthy", detail: "HTTP 503" };
    if (upMs >= (behaviour.unhealthyAfterMs ?? Number.POSITIVE_INFINITY))
      return { verdict: "unhealthy", detail: "HTTP 500" };
    if (behaviour.flaps !== undefined && isDown(upMs, behaviour.flaps))
      return { verdict: "unhealthy", detail: "HTTP 503" };
    if (behaviour.degraded === true)
      return { verdict: "degraded", detail: "the service says that it is degraded" };
    return { verdict: "healthy", detail: "HTTP 200" };
  }
}

function isDown(atMs: number, { upMs, downMs }: { readonly upMs: number; readonly downMs: number }): boolean {
  return atMs % (upMs + downMs) >= upMs;
}
