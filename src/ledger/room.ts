import { refusal } from "../contracts/errors.js";
import type { StoreUsage } from "./store.js";

/** Kept free of ordinary batches, so that leases are renewed and things removed when the store is full. */
const reserveMaxBytes = 4 * 1_048_576;
/** On a small store the reserve is this share of it. */
const reserveShare = 1 / 8;

/** What a room asks of the store. */
export interface RoomPorts {
  readonly usage: () => Promise<StoreUsage>;
  /** Makes room where that costs nobody anything. */
  readonly tidy: () => Promise<void>;
}

/**
 * Keeps a reserve in the store. It asks the store only when what was written since could have used it up:
 * a write replaces the one before it under its key, so that the sum of sizes is an upper bound.
 */
export class Room {
  readonly #fleet: string;
  readonly #ports: RoomPorts;
  #atMostBytes = Number.POSITIVE_INFINITY;
  #maxBytes = 0;

  constructor(fleet: string, ports: RoomPorts) {
    this.#fleet = fleet;
    this.#ports = ports;
  }

  /** Counts a batch that is about to be written. @throws RollcallError `LEDGER_FULL`, `LEDGER_UNAVAILABLE` */
  async take(bytes: number, { onlyRemoves }: { onlyRemoves: boolean }): Promise<void> {
    if (!this.#fits(bytes, onlyRemoves)) await this.#measure();
    if (!this.#fits(bytes, onlyRemoves)) {
      await this.#ports.tidy();
      await this.#measure();
    }
    if (!this.#fits(bytes, onlyRemoves)) {
      const problem = `${this.#atMostBytes} of ${this.#maxBytes} bytes are used, ${this.#reserveBytes} are kept in reserve`;
      throw refusal("LEDGER_FULL", { fleet: this.#fleet, problem });
    }
    this.#atMostBytes += bytes;
  }

  /** The store said otherwise: ask it before the next batch. */
  forget(): void {
    this.#atMostBytes = Number.POSITIVE_INFINITY;
  }

  get #reserveBytes(): number {
    return Math.floor(Math.min(reserveMaxBytes, this.#maxBytes * reserveShare));
  }

  #fits(bytes: number, onlyRemoves: boolean): boolean {
    const reserveBytes = onlyRemoves ? this.#reserveBytes / 4 : this.#reserveBytes;
    return this.#atMostBytes + bytes <= this.#maxBytes - reserveBytes;
  }

  async #measure(): Promise<void> {
    const { usedBytes, maxBytes } = await this.#ports.usage();
    this.#atMostBytes = usedBytes;
    this.#maxBytes = maxBytes;
  }
}
