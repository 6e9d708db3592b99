/** What taking a number of messages cost. */
export interface Metered {
  /** From the first message to the end of the work that the last one gave. */
  readonly wallMs: number;
  /** Processor time of the process. */
  readonly cpuMs: number;
}

/** Messages after which a consumer says how many it has taken, so that the publisher never runs far ahead. */
const creditEvery = 1_000;

/** Where a consumer says so. */
export function creditSubject(fleet: string): string {
  return `bench.taken.${fleet}`;
}

/** Counts the messages that a process takes, and what a known number of them costs. */
export class Meter {
  readonly #onCredit: (taken: number) => void;
  readonly #settled: () => Promise<void>;
  #taken = 0;
  #count = Number.POSITIVE_INFINITY;
  #firstAtMs = 0;
  #cpu = process.cpuUsage();
  #done: (metered: Metered) => void = () => undefined;

  /** @param settled resolves when the work that the messages gave is done */
  constructor(onCredit: (taken: number) => void, settled: () => Promise<void>) {
    this.#onCredit = onCredit;
    this.#settled = settled;
  }

  /** Resolves when so many messages from now on have been taken. */
  measure(count: number): Promise<Metered> {
    this.#taken = 0;
    this.#count = count;
    this.#cpu = process.cpuUsage();
    return new Promise((resolve) => {
      this.#done = resolve;
    });
  }

  /** A message was taken. */
  note(): void {
    this.#taken++;
    if (this.#taken === 1) this.#firstAtMs = performance.now();
    if (this.#taken % creditEvery === 0) this.#onCredit(this.#taken);
    if (this.#taken === this.#count) void this.#end();
  }

  async #end(): Promise<void> {
    await this.#settled();
    this.#done({ wallMs: performance.now() - this.#firstAtMs, cpuMs: cpuMsSince(this.#cpu) });
  }
}

/** Processor time of this process since a reading of `process.cpuUsage()`. */
export function cpuMsSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1_000;
}
