import type { LedgerBatch } from "../../src/base/ports.js";
import { formatOf } from "../../src/contracts/formats.js";
import { parseKey } from "../../src/contracts/keys.js";
import { currentFormats, type Formats, rangesOf } from "../../src/contracts/record-formats.js";
import type { FleetWorld } from "./fleet.js";
import { onBatches } from "./on-batches.js";

const kinds: readonly string[] = Object.keys(currentFormats);

/**
 * Sees every batch that the ledger takes, in whatever version's formats it is, and holds against it what must be true
 * during an upgrade: everything is in the format that is agreed on, agents are told nothing that they cannot read, and what is
 * agreed on was read by every coordinator that was there.
 */
export class WrittenFormats {
  readonly #world: FleetWorld;
  /** What is agreed on, as it was written last. */
  agreed: Readonly<Record<string, number>> = {};
  /** Batches by the coordinator that wrote them. */
  readonly batches = new Map<string, number>();
  readonly #problems: string[] = [];

  constructor(world: FleetWorld) {
    this.#world = world;
    world.checks.push(() => {
      if (this.#problems.length > 0) throw new Error(this.#problems.join("; "));
    });
    onBatches(world, (batch, { holder }) => this.#take(holder, batch));
  }

  of(kind: string): number {
    return this.agreed[kind] ?? 1;
  }

  #take(holder: string, { puts }: LedgerBatch): void {
    this.batches.set(holder, (this.batches.get(holder) ?? 0) + 1);
    for (const { key, value } of puts) {
      if (key === "formats") this.#takeAgreement((value as { written: Record<string, number> }).written);
      const [kind = "", name = ""] = parseKey(key) ?? [];
      if (!kinds.includes(kind)) continue;
      const format = formatOf(value) ?? 0;
      const wanted = this.of(kind);
      if (kind !== "desired.instance" && format !== wanted)
        this.#problems.push(`${holder} has written ${key} in format ${format} instead of ${wanted}`);
      if (kind === "desired.instance" && format > Math.min(wanted, this.#readBy(name)))
        this.#problems.push(`${holder} tells ${name} in format ${format}`);
    }
  }

  #takeAgreement(written: Record<string, number>): void {
    for (const [kind, format] of Object.entries(written)) {
      if (format < this.of(kind)) this.#problems.push(`${kind} is taken back to format ${format}`);
      for (const [name, formats] of this.#world.knownFormats())
        if (format > this.of(kind) && format > newestOf(formats, kind))
          this.#problems.push(`${kind} is written in format ${format} while ${name} is about`);
    }
    this.agreed = written;
  }

  #readBy(instance: string): number {
    return this.#world.agents.get(instance)?.state.desiredFormat ?? 1;
  }
}

function newestOf(formats: Formats, kind: string): number {
  return rangesOf(formats)[kind]?.[1] ?? 1;
}
