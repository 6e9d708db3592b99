import { type DesiredInstance, desiredInstanceSchema, type Report } from "../../src/contracts/instance.js";
import { instanceOfSubject } from "../../src/contracts/subjects.js";
import { type Client, connectNatsBus, createClient, type NatsBus, subjectsOf } from "../../src/index.js";
import type { NatsAccess } from "./nats.js";
import { stoppedReport } from "./reports.js";
import { until } from "./until.js";

const reportEveryMs = 2_000;

/** A desired state as it came in. */
export interface Told {
  readonly desired: DesiredInstance;
  readonly atMs: number;
}

/**
 * Instances that speak as real agents do (every 2 s, each at a time of its own, at once when something changed and when they are
 * asked) and are well on what they are told as soon as they may be.
 */
export class ObedientFleet {
  readonly client: Client;
  readonly #bus: NatsBus;
  readonly #health: (instance: string) => string;
  readonly #reports = new Map<string, Report>();
  readonly #timers: NodeJS.Timeout[] = [];
  /** Told and not yet well on it. */
  readonly #working = new Map<string, DesiredInstance>();
  #eager = true;
  #onTold: (told: Told) => void = () => undefined;

  private constructor(bus: NatsBus, fleet: string) {
    this.#bus = bus;
    this.client = createClient({ bus, fleet });
    const subjects = subjectsOf(fleet);
    this.#health = subjects.health;
    bus.subscribe(subjects.desired("desired.instance.*"), ({ data }) => {
      const atMs = performance.now();
      const desired = desiredInstanceSchema.parse(JSON.parse(new TextDecoder().decode(data)));
      this.#working.set(desired.instance, desired);
      if (this.#eager) this.#finish(desired.instance);
      this.#onTold({ desired, atMs });
    });
    bus.subscribe(subjects.ask("*", "report"), ({ subject }) =>
      this.#report(instanceOfSubject(subject) ?? "", {}),
    );
  }

  static async start(access: NatsAccess, fleet: string, instances: number): Promise<ObedientFleet> {
    const { url, user, password } = access;
    const bus = await connectNatsBus({ servers: url, user, pass: password });
    const made = new ObedientFleet(bus, fleet);
    for (let index = 0; index < instances; index++)
      made.#add(`web-${index}`, (index / instances) * reportEveryMs);
    await until(
      "all instances have joined",
      async () => (await made.client.status.get()).instances.total === instances,
    );
    return made;
  }

  #add(instance: string, afterMs: number): void {
    this.#reports.set(instance, stoppedReport(instance, { all: "y" }));
    this.#timers.push(
      setTimeout(() => {
        this.#report(instance, {});
        this.#timers.push(setInterval(() => this.#report(instance, {}), reportEveryMs));
      }, afterMs),
    );
  }

  /** Whether what is told is done at once; otherwise `finishAll` does it. */
  set eager(eager: boolean) {
    this.#eager = eager;
    if (eager) this.finishAll();
  }

  /** Whoever was told something is well on it now. */
  finishAll(): void {
    for (const instance of [...this.#working.keys()]) this.#finish(instance);
  }

  /** The next desired state of which this holds. */
  nextTold(holds: (desired: DesiredInstance) => boolean): Promise<Told> {
    return new Promise((resolve) => {
      this.#onTold = (told) => {
        if (holds(told.desired)) resolve(told);
      };
    });
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#bus.close();
  }

  #finish(instance: string): void {
    const desired = this.#working.get(instance);
    const before = this.#reports.get(instance);
    this.#working.delete(instance);
    if (desired === undefined || before?.state === undefined) return;
    const running = { release: desired.run?.release.version ?? "", config: null };
    this.#report(instance, {
      observedGeneration: desired.generation,
      ledgerId: desired.ledgerId,
      digest: `well-${running.release}`,
      healthyForMs: 3_600_000,
      state: { ...before.state, health: "HEALTHY", phase: "ACTIVE", progress: 100, running },
    });
  }

  #report(instance: string, change: Partial<Report>): void {
    const before = this.#reports.get(instance);
    if (before === undefined) return;
    const next = { ...before, ...change, seq: before.seq + 1 };
    this.#reports.set(instance, next);
    this.#bus.publish(this.#health(instance), JSON.stringify(next));
  }
}
