import type { Bus, Clock, LedgerReader, Timer } from "../../src/base/ports.js";
import {
  type DesiredInstance,
  desiredInstanceSchema,
  type InstanceState,
  type Labels,
  type Report,
} from "../../src/contracts/instance.js";
import { keys } from "../../src/contracts/keys.js";
import { subjectsOf } from "../../src/contracts/subjects.js";

/** How an instance takes a release: by default it is healthy after 500 ms. */
export interface Behaviour {
  readonly tookMs?: number;
  readonly fails?: boolean;
  /** Never gets anywhere: neither healthy nor failed. */
  readonly hangs?: boolean;
  /** Healthy first, failed this much later. */
  readonly failsAfterMs?: number;
}

/**
 * The other end of the protocol, by hand: an instance that does what it is told in virtual time. For tests of the coordinator
 * alone; the real agent is tested with it elsewhere.
 */
export class FakeAgent {
  readonly instance: string;
  readonly agent: string;
  readonly labels: Labels;
  readonly told: DesiredInstance[] = [];
  behaviour: (desired: DesiredInstance) => Behaviour = () => ({});
  #state: InstanceState;
  #desired: DesiredInstance | undefined;
  #healthySinceMs: number | null = null;
  #seq = 0;
  readonly #incarnation = 1;
  #timer: Timer | undefined;
  #work: Timer | undefined;
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #fleet: string;
  readonly #ledger: LedgerReader;

  constructor(parts: {
    bus: Bus;
    clock: Clock;
    ledger: LedgerReader;
    fleet: string;
    instance: string;
    labels?: Labels;
    agent?: string;
  }) {
    this.#bus = parts.bus;
    this.#clock = parts.clock;
    this.#fleet = parts.fleet;
    this.#ledger = parts.ledger;
    this.instance = parts.instance;
    this.agent = parts.agent ?? `agent-of-${parts.instance}`;
    this.labels = parts.labels ?? {};
    this.#state = {
      labels: this.labels,
      health: "UNKNOWN",
      reason: null,
      running: null,
      phase: "STOPPED",
      progress: 0,
      note: "",
      port: null,
      pid: null,
      restarts: 0,
      agentVersion: "test",
    };
  }

  get running(): string | null {
    return this.#state.running?.release ?? null;
  }

  start(): void {
    const key = keys.desiredInstance(this.instance);
    this.#ledger.watch(key, (entry) => this.#take(entry.value));
    void this.read();
    this.#bus.subscribe(subjectsOf(this.#fleet).ask(this.instance, "report"), () => this.report());
    this.#beat();
  }

  async read(): Promise<void> {
    this.#take((await this.#ledger.get(keys.desiredInstance(this.instance)))?.value);
  }

  /** As if the process had ended: no reports any more. */
  stop(): void {
    this.#timer?.cancel();
    this.#work?.cancel();
  }

  fail(message: string): void {
    this.#healthySinceMs = null;
    this.#set({ health: "FAILED", reason: { code: "PROCESS_EXITED", message } });
  }

  report(): void {
    const now = this.#clock.monotonicMs();
    const report: Report = {
      format: 1,
      instance: this.instance,
      agent: this.agent,
      incarnation: String(this.#incarnation),
      seq: this.#seq++,
      observedGeneration: this.#desired?.generation ?? 0,
      ledgerId: this.#desired?.ledgerId ?? null,
      digest: `d${JSON.stringify(this.#state).length}-${this.#state.phase}-${this.#state.running?.release}-${this.#state.health}`,
      healthyForMs: this.#healthySinceMs === null ? 0 : Math.round(now - this.#healthySinceMs),
      phaseAgeMs: 0,
      state: this.#state,
    };
    this.#bus.publish(subjectsOf(this.#fleet).health(this.instance), JSON.stringify(report));
  }

  #beat(): void {
    this.report();
    this.#timer = this.#clock.setTimer(2_000, () => this.#beat());
  }

  #set(change: Partial<InstanceState>): void {
    this.#state = { ...this.#state, ...change };
    this.report();
  }

  #take(value: unknown): void {
    const parsed = desiredInstanceSchema.safeParse(value);
    if (!parsed.success || parsed.data.agent !== this.agent) return;
    const desired = parsed.data;
    if (desired.generation <= (this.#desired?.generation ?? 0)) return;
    this.#desired = desired;
    this.told.push(desired);
    this.#work?.cancel();
    this.#healthySinceMs = null;
    if (desired.run === null) {
      this.#set({ phase: "STOPPED", running: null, health: "UNKNOWN", reason: null });
      return;
    }
    this.#set({ phase: "PULLING_SOURCE", progress: 50, health: "UNKNOWN", reason: null });
    const behaviour = this.behaviour(desired);
    if (behaviour.hangs) return;
    this.#work = this.#clock.setTimer(behaviour.tookMs ?? 500, () => this.#done(desired, behaviour));
  }

  #done(desired: DesiredInstance, behaviour: Behaviour): void {
    if (behaviour.fails) {
      this.#set({
        phase: "FAILED",
        health: "FAILED",
        reason: { code: "HEALTH_CHECK_FAILED", message: "no answer" },
      });
      return;
    }
    this.#healthySinceMs = this.#clock.monotonicMs();
    const { run } = desired;
    this.#set({
      phase: "ACTIVE",
      progress: 100,
      health: "HEALTHY",
      reason: null,
      running: run && { release: run.release.version, config: run.config?.version ?? null },
    });
    this.#work = this.#clock.setTimer(desired.minHealthyMs, () => {
      this.report();
      if (behaviour.failsAfterMs !== undefined)
        this.#work = this.#clock.setTimer(behaviour.failsAfterMs, () => this.fail("it ended"));
    });
  }
}
