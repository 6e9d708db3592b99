import type { Clock, Subscription, Timer } from "../../base/ports.js";
import { refusal } from "../../contracts/errors.js";
import {
  isSameProcess,
  type ProcessExit,
  type Processes,
  type ProcessIdentity,
  type ProcessStart,
} from "../ports.js";
import type { Behaviours } from "./behaviour.js";

/** A process as it runs in memory. */
export interface MemoryProcess {
  readonly identity: ProcessIdentity;
  readonly instance: string;
  readonly generation: number;
  readonly release: string;
  readonly port: number;
  readonly startedAtMs: number;
}

interface Living extends MemoryProcess {
  readonly exits: Set<(exit: ProcessExit) => void>;
  end: Timer | undefined;
}

const firstPort = 20_000;
const lastPort = 59_999;

/** The processes of a host, in memory. They outlive the agent, as processes do. */
export class MemoryProcesses implements Processes {
  readonly #clock: Clock;
  readonly #behaviours: Behaviours;
  readonly #living = new Map<number, Living>();
  readonly #exited = new Map<string, number>();
  readonly #taken = new Set<number>();
  /** Of each instance, the last that has ended. */
  readonly #ended = new Map<string, { readonly process: MemoryProcess; readonly atMs: number }>();
  #pid = 1_000;
  #port = firstPort;
  #boot = 1;

  readonly #startMs: number;

  /** `startMs`: how long it takes until a process that runs already is identified. */
  constructor(clock: Clock, behaviours: Behaviours, startMs: number) {
    this.#clock = clock;
    this.#behaviours = behaviours;
    this.#startMs = startMs;
  }

  /** What runs now. */
  get living(): readonly MemoryProcess[] {
    return [...this.#living.values()];
  }

  livingOf(instance: string): readonly MemoryProcess[] {
    return this.living.filter((process) => process.instance === instance);
  }

  /** The last process of an instance that has ended, and when, in monotonic time. */
  lastEnded(instance: string): { readonly process: MemoryProcess; readonly atMs: number } | undefined {
    return this.#ended.get(instance);
  }

  /** The process that listens on a port. */
  onPort(port: number): MemoryProcess | undefined {
    return this.living.find((process) => process.port === port);
  }

  /** Another program listens on the port. */
  occupy(port: number): void {
    this.#taken.add(port);
  }

  /** Ends a process as if by itself. */
  crash(pid: number, exit: ProcessExit = { code: null, signal: "SIGKILL" }): void {
    const process = this.#living.get(pid);
    if (process !== undefined) this.#end(process, exit);
  }

  /** What runs now ends no more by itself. */
  steady(): void {
    for (const { end } of this.#living.values()) end?.cancel();
  }

  /** The host starts again: nothing runs any more, and nobody is told. */
  reboot(): void {
    this.#boot++;
    for (const { end, exits } of this.#living.values()) {
      end?.cancel();
      exits.clear();
    }
    this.#living.clear();
  }

  async start({ instance, generation, env }: ProcessStart): Promise<ProcessIdentity> {
    await Promise.resolve();
    const port = Number(env.PORT);
    const release = env.ROLLCALL_RELEASE ?? "";
    const behaviour = this.#behaviours.get(release) ?? {};
    if (behaviour.failsToStart === true)
      throw refusal("START_FAILED", { version: release, problem: "the behaviour of the release in memory" });
    const identity = {
      pid: this.#pid++,
      startTime: String(this.#clock.monotonicMs()),
      bootId: `boot-${this.#boot}`,
    };
    const startedAtMs = this.#clock.monotonicMs();
    const process: Living = {
      identity,
      instance,
      generation,
      release,
      port,
      startedAtMs,
      exits: new Set(),
      end: undefined,
    };
    this.#living.set(identity.pid, process);
    if (this.onPort(port) !== process) this.#endSoon(process, 10);
    else if (
      behaviour.exitsAfterMs !== undefined &&
      this.#exitsNow(`${instance} ${release}`, behaviour.exitsTimes)
    )
      this.#endSoon(process, behaviour.exitsAfterMs);
    if (this.#startMs > 0) await new Promise<void>((resolve) => this.#clock.setTimer(this.#startMs, resolve));
    return identity;
  }

  isAlive(identity: ProcessIdentity): boolean {
    return this.#find(identity) !== undefined;
  }

  onExit(identity: ProcessIdentity, ended: (exit: ProcessExit) => void): Subscription {
    const process = this.#find(identity);
    let open = true;
    const tell = (exit: ProcessExit): void => {
      if (open) ended(exit);
    };
    if (process === undefined) this.#clock.setTimer(0, () => tell({ code: null, signal: null }));
    else process.exits.add(tell);
    return {
      unsubscribe: () => {
        open = false;
        process?.exits.delete(tell);
      },
    };
  }

  stop(identity: ProcessIdentity, { graceMs }: { signal: string; graceMs: number }): Promise<void> {
    const process = this.#find(identity);
    if (process === undefined) return Promise.resolve();
    const behaviour = this.#behaviours.get(process.release);
    const tookMs = Math.min(behaviour?.endsAfterMs ?? 20, graceMs);
    return new Promise((resolve) => {
      this.#clock.setTimer(tookMs, () => {
        const killed = tookMs >= graceMs;
        if (this.#find(identity) !== undefined)
          this.#end(process, { code: killed ? null : 0, signal: killed ? "SIGKILL" : null });
        resolve();
      });
    });
  }

  async tail(instance: string): Promise<string> {
    return `the last words of ${instance}`;
  }

  async owned() {
    return this.living.map(({ instance, generation, port, identity }) => ({
      instance,
      generation,
      port,
      identity,
    }));
  }

  async freePort(instance: string, wanted?: number): Promise<number> {
    if (wanted !== undefined) {
      if (this.#isTaken(wanted)) throw refusal("PORT_IN_USE", { port: wanted, instance });
      return wanted;
    }
    for (let tried = firstPort; tried <= lastPort; tried++) {
      const port = this.#port;
      this.#port = port === lastPort ? firstPort : port + 1;
      if (!this.#isTaken(port)) return port;
    }
    throw refusal("NO_FREE_PORT", { problem: "all are taken" });
  }

  #isTaken(port: number): boolean {
    return this.#taken.has(port) || this.onPort(port) !== undefined;
  }

  #exitsNow(key: string, times: number | undefined): boolean {
    const exited = this.#exited.get(key) ?? 0;
    this.#exited.set(key, exited + 1);
    return times === undefined || exited < times;
  }

  #endSoon(process: Living, inMs: number): void {
    process.end = this.#clock.setTimer(inMs, () => this.#end(process, { code: 1, signal: null }));
  }

  #end(process: Living, exit: ProcessExit): void {
    process.end?.cancel();
    this.#living.delete(process.identity.pid);
    this.#ended.set(process.instance, { process, atMs: this.#clock.monotonicMs() });
    for (const tell of [...process.exits]) tell(exit);
    process.exits.clear();
  }

  #find(identity: ProcessIdentity): Living | undefined {
    const process = this.#living.get(identity.pid);
    return isSameProcess(identity, process?.identity) ? process : undefined;
  }
}
