import { createHash } from "node:crypto";
import { isNewerLedger } from "../../src/base/ledger-id.js";
import type { Bus, Clock, LedgerReader, Subscription, Timer } from "../../src/base/ports.js";
import type { DesiredInstance, InstanceState, Labels, Report } from "../../src/contracts/instance.js";
import { keys } from "../../src/contracts/keys.js";
import { currentFormats, type Formats } from "../../src/contracts/record-formats.js";
import { subjectsOf } from "../../src/contracts/subjects.js";

/** How an instance takes a release: by default it is healthy after 500 ms. */
export interface Behaviour {
  readonly tookMs?: number;
  readonly fails?: boolean;
  /** Never gets anywhere: neither healthy nor failed. */
  readonly hangs?: boolean;
  /** Healthy first, failed this much later. */
  readonly failsAfterMs?: number;
  /** Serves, and says itself that something is wrong. */
  readonly degraded?: boolean;
}

export interface FakeAgentParts {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly ledger: LedgerReader;
  readonly fleet: string;
  readonly instance: string;
  readonly labels?: Labels;
  readonly agent?: string;
  readonly formats?: Formats;
}

interface Desired {
  readonly state: DesiredInstance;
  readonly revision: number;
}

/** As the real agent orders them. */
function isNewer(one: Desired, other: Desired): boolean {
  const newer = isNewerLedger(one.state.ledgerId, other.state.ledgerId);
  return one.state.ledgerId === other.state.ledgerId ? one.revision > other.revision : newer !== false;
}

/** Each so manieth report carries the whole state, changed or not; the real agent's number. */
const wholeEvery = 10;
/** Between two readings of a desired state whose change may have been missed. */
const pollMs = 30_000;

/**
 * The other end of the protocol, by hand: an instance that does what it is told in virtual time. For tests of the coordinator
 * alone; the real agent is tested with it elsewhere.
 */
export class FakeAgent {
  readonly instance: string;
  readonly agent: string;
  labels: Labels;
  /** Everything that it was told and acted on. */
  readonly told: DesiredInstance[] = [];
  /** What it did: `begin v2 #3` (told by the third generation), `up v2`, `stop`, `fail v2`. */
  readonly effects: string[] = [];
  /** Desired states of a format newer than it reads. */
  unread = 0;
  behaviour: (desired: DesiredInstance) => Behaviour = () => ({});
  intervalMs = 2_000;
  /** Of its reports: the newest that it knows, until it is asked for an older one. */
  reportFormat: number;
  #state: InstanceState;
  #desired: Desired | undefined;
  #healthySinceMs: number | null = null;
  #movedAtMs = 0;
  #seq = 0;
  #incarnation = 0;
  #sentDigest: string | undefined;
  readonly #formats: Formats;
  #beats: Timer | undefined;
  #work: Timer | undefined;
  #poll: Timer | undefined;
  #listening: Subscription[] = [];
  readonly #parts: FakeAgentParts;

  constructor(parts: FakeAgentParts) {
    this.#parts = parts;
    this.#formats = parts.formats ?? currentFormats;
    this.reportFormat = this.#formats.report.newest;
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
      desiredFormat: this.#formats["desired.instance"].newest,
    };
  }

  get running(): string | null {
    return this.#state.running?.release ?? null;
  }

  get state(): InstanceState {
    return this.#state;
  }

  /** The newest thing that it was told. */
  get desired(): DesiredInstance | undefined {
    return this.#desired?.state;
  }

  /** The releases that it was told, in this order; `null` for "stop". */
  get story(): (string | null)[] {
    return this.told.map(({ run }) => run?.release.version ?? null);
  }

  get started(): boolean {
    return this.#beats !== undefined;
  }

  start(): void {
    const { bus, fleet, ledger } = this.#parts;
    this.#incarnation++;
    this.reportFormat = this.#formats.report.newest;
    this.#seq = 0;
    this.#sentDigest = undefined;
    this.#listening = [
      ledger.watch(keys.desiredInstance(this.instance), ({ value, revision }) => this.#take(value, revision)),
      bus.subscribe(subjectsOf(fleet).ask(this.instance, "report"), ({ data }) => {
        const asked = JSON.parse(new TextDecoder().decode(data)) as {
          intervalMs?: number;
          generation?: number;
          reportFormat?: number;
        };
        if ((asked.generation ?? 0) > (this.#desired?.state.generation ?? 0)) this.read();
        if (asked.intervalMs !== undefined) this.intervalMs = asked.intervalMs;
        if (asked.reportFormat !== undefined)
          this.reportFormat = Math.min(this.#formats.report.newest, asked.reportFormat);
        this.report({ whole: true });
      }),
      bus.onStatus((status) => {
        if (status === "reconnected") this.read();
      }),
    ];
    this.read();
    this.#beat();
  }

  /** As if the process had ended: no reports any more. What it ran goes on. */
  stop(): void {
    for (const timer of [this.#beats, this.#work, this.#poll]) timer?.cancel();
    this.#beats = undefined;
    for (const subscription of this.#listening) subscription.unsubscribe();
    this.#listening = [];
  }

  /** A new process of the same agent, which reads its desired state and begins anew what was under way. */
  restart(): void {
    this.stop();
    const under = this.#desired;
    this.start();
    if (under !== undefined && this.#isUnderWay) this.#begin(under.state);
  }

  /** Reads its desired state, now and then again. */
  read(): void {
    const { ledger, clock } = this.#parts;
    this.#poll?.cancel();
    this.#poll = clock.setTimer(pollMs, () => this.read());
    ledger.get(keys.desiredInstance(this.instance)).then(
      (entry) => {
        if (entry !== undefined && this.started) this.#take(entry.value, entry.revision);
      },
      // Cut off: the next reading says it.
      () => undefined,
    );
  }

  /** What hangs goes on, and ends well. */
  proceed(): void {
    const under = this.#desired;
    if (under !== undefined && this.#isUnderWay) this.#done(under.state, {});
  }

  fail(message: string): void {
    this.#healthySinceMs = null;
    this.set({ health: "FAILED", reason: { code: "PROCESS_EXITED", message } });
  }

  recover(): void {
    this.#healthySinceMs = this.#parts.clock.monotonicMs();
    this.set({ health: "HEALTHY", reason: null });
  }

  set(change: Partial<InstanceState>): void {
    this.#state = { ...this.#state, ...change };
    this.#movedAtMs = this.#parts.clock.monotonicMs();
    this.report();
  }

  /** What it would say now. */
  next(options: { whole?: boolean } = {}): Report {
    const now = this.#parts.clock.monotonicMs();
    const digest = createHash("sha256").update(JSON.stringify(this.#state)).digest("base64url").slice(0, 20);
    const seq = this.#seq++;
    const whole = options.whole === true || digest !== this.#sentDigest || seq % wholeEvery === 0;
    this.#sentDigest = digest;
    return {
      format: 1,
      instance: this.instance,
      agent: this.agent,
      incarnation: `n${this.#incarnation}`,
      seq,
      observedGeneration: this.#desired?.state.generation ?? 0,
      ledgerId: this.#desired?.state.ledgerId ?? null,
      digest,
      healthyForMs: this.#healthySinceMs === null ? 0 : Math.round(now - this.#healthySinceMs),
      phaseAgeMs: Math.round(now - this.#movedAtMs),
      ...(whole ? { state: this.#state } : {}),
    };
  }

  report(options: { whole?: boolean } = {}): void {
    if (this.started) this.publish(this.#formats.report.write(this.next(options), this.reportFormat));
  }

  publish(report: unknown): void {
    const { bus, fleet } = this.#parts;
    bus.publish(subjectsOf(fleet).health(this.instance), JSON.stringify(report));
  }

  get #isUnderWay(): boolean {
    return (
      this.#state.phase !== "ACTIVE" && this.#state.phase !== "STOPPED" && this.#state.phase !== "FAILED"
    );
  }

  #beat(): void {
    this.#beats = this.#parts.clock.setTimer(this.intervalMs, () => this.#beat());
    this.report();
  }

  #take(value: unknown, revision: number): void {
    const read = this.#formats["desired.instance"].read(value);
    if ("newer" in read) this.unread++;
    if (!("record" in read) || read.record.agent !== this.agent) return;
    const desired = read.record;
    const known = this.#desired;
    if (known !== undefined && !isNewer({ state: desired, revision }, known)) return;
    this.#desired = { state: desired, revision };
    if (known?.state.ledgerId === desired.ledgerId && known.state.generation === desired.generation) return;
    this.told.push(desired);
    this.#begin(desired);
  }

  #begin(desired: DesiredInstance): void {
    const { run } = desired;
    this.#work?.cancel();
    const { running, health } = this.#state;
    const isSame =
      run !== null &&
      running?.release === run.release.version &&
      running.config === (run.config?.version ?? null);
    if (isSame && health === "HEALTHY") {
      // There is nothing to do; how long it has been healthy goes on.
      this.report();
      this.#soak(desired);
      return;
    }
    this.#healthySinceMs = null;
    this.effects.push(run === null ? "stop" : `begin ${run.release.version} #${desired.generation}`);
    if (run === null) {
      this.set({ phase: "STOPPED", running: null, health: "UNKNOWN", reason: null });
      return;
    }
    this.set({ phase: "PULLING_SOURCE", progress: 50, health: "UNKNOWN", reason: null });
    const behaviour = this.behaviour(desired);
    if (behaviour.hangs) return;
    this.#work = this.#parts.clock.setTimer(behaviour.tookMs ?? 500, () => this.#done(desired, behaviour));
  }

  #done(desired: DesiredInstance, behaviour: Behaviour): void {
    this.effects.push(`${behaviour.fails ? "fail" : "up"} ${desired.run?.release.version}`);
    if (behaviour.fails) {
      const reason = { code: "HEALTH_CHECK_FAILED", message: "no answer" };
      this.set({ phase: "FAILED", progress: 0, health: "FAILED", reason });
      return;
    }
    const { run } = desired;
    this.#healthySinceMs = behaviour.degraded ? null : this.#parts.clock.monotonicMs();
    this.set({
      phase: "ACTIVE",
      progress: 100,
      health: behaviour.degraded ? "DEGRADED" : "HEALTHY",
      reason: behaviour.degraded ? { code: "DEGRADED", message: "one backend is missing" } : null,
      running: run && { release: run.release.version, config: run.config?.version ?? null },
    });
    if (!behaviour.degraded) this.#soak(desired, behaviour.failsAfterMs);
  }

  /** The coordinator waits for the moment at which it has been healthy for long enough. */
  #soak({ minHealthyMs }: DesiredInstance, failsAfterMs?: number): void {
    this.#work = this.#parts.clock.setTimer(minHealthyMs, () => {
      this.report();
      if (failsAfterMs !== undefined)
        this.#work = this.#parts.clock.setTimer(failsAfterMs, () => this.fail("it ended"));
    });
  }
}
