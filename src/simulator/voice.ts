import type { Bus } from "../base/ports.js";
import type { InstanceState, Labels, Report } from "../contracts/instance.js";

/** The changing part of what an instance says of itself. */
export type Standing = Pick<InstanceState, "health" | "reason" | "running" | "phase" | "progress">;

/** What else is in a report. */
export interface Said {
  readonly agent: string;
  readonly observedGeneration: number;
  readonly healthyForMs: number;
}

const wholeEvery = 10;

/** How an instance without an agent speaks: the reports that an agent would send for it. */
export class Voice {
  readonly #bus: Bus;
  readonly #subject: string;
  readonly #instance: string;
  readonly #labels: Labels;
  readonly #ledgerId: string;
  #seq = 0;
  #sentDigest: string | undefined;

  /** @param parts `subject`: of the reports of this very instance */
  constructor(parts: { bus: Bus; subject: string; instance: string; labels: Labels; ledgerId: string }) {
    this.#bus = parts.bus;
    this.#subject = parts.subject;
    this.#instance = parts.instance;
    this.#labels = parts.labels;
    this.#ledgerId = parts.ledgerId;
  }

  /** @param whole with the whole state, even if nothing of it is new */
  report(standing: Standing, said: Said, whole: boolean): void {
    const { health, phase, progress, running, reason } = standing;
    const digest = `${phase} ${progress} ${health} ${running?.release ?? ""} ${reason?.code ?? ""}`;
    const seq = this.#seq++;
    const withState = whole || digest !== this.#sentDigest || seq % wholeEvery === 0;
    this.#sentDigest = digest;
    const report: Report = {
      format: 1,
      instance: this.#instance,
      incarnation: "1",
      seq,
      ledgerId: this.#ledgerId,
      digest,
      phaseAgeMs: 0,
      ...said,
      ...(withState && { state: this.#stateOf(standing) }),
    };
    this.#bus.publish(this.#subject, JSON.stringify(report));
  }

  #stateOf(standing: Standing): InstanceState {
    return {
      labels: this.#labels,
      ...standing,
      note: "",
      port: null,
      pid: null,
      restarts: 0,
      agentVersion: "simulated",
    };
  }
}
