import type { Witness } from "./invariant.js";
import type { Commit } from "./ledger-mirror.js";
import type { Happening, HappeningOf } from "./life-plan.js";

/** A write that nobody answers is given up after so long: until then nothing is decided that depends on it. */
const commitMs = 20_000;

/** Messages whose loss or delay disturbs it. */
const disturbing: ReadonlySet<HappeningOf<"messages">["of"]> = new Set(["health", "ledger", "all"]);

/**
 * Since when whoever leads could hear, decide and write as if nothing were wrong. What strikes other coordinators, agents and hosts is no
 * disturbance: with that a leader has to cope.
 */
export class Undisturbed {
  readonly #witness: Pick<Witness, "nowMs" | "reconnectedAtMs">;
  #leader: string | undefined;
  #ledSinceMs = 0;
  #untilMs = Number.NEGATIVE_INFINITY;

  constructor(witness: Pick<Witness, "nowMs" | "reconnectedAtMs">) {
    this.#witness = witness;
  }

  /** By its connection; undefined before the first one. */
  get leader(): string | undefined {
    return this.#leader;
  }

  /** For how long. */
  get forMs(): number {
    const sinceMs = Math.max(
      this.#ledSinceMs,
      this.#untilMs,
      this.#witness.reconnectedAtMs(this.#leader ?? "") ?? 0,
    );
    return this.#leader === undefined ? 0 : this.#witness.nowMs() - sinceMs;
  }

  happens(happening: Happening, struck: readonly string[]): void {
    if (happening.do === "coordinator" && struck.includes(this.#leader ?? "")) this.#until(happening.forMs);
    else if (happening.do === "messages" && disturbing.has(happening.of))
      this.#until(happening.forMs + happening.ms + commitMs);
    else if (happening.do === "ledger") this.#until(happening.forMs + happening.ms + commitMs);
  }

  committed({ from, others, atMs }: Commit): void {
    if (!others.some(({ key }) => key === "epoch")) return;
    this.#leader = from;
    this.#ledSinceMs = atMs;
  }

  #until(inMs: number): void {
    this.#untilMs = Math.max(this.#untilMs, this.#witness.nowMs() + inMs);
  }
}
