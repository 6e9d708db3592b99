import { createHash } from "node:crypto";
import type { Passing } from "../../bus/memory-bus.js";
import type { Effect } from "./effect.js";
import type { Commit } from "./ledger-mirror.js";

/** Notes from one look at the hash to the next. */
const stretch = 500;

/** What the hash was at a moment. */
export interface Waypoint {
  readonly atMs: number;
  readonly digest: string;
}

/** A running hash of everything that happens in a life: two lives of one plan have the same, or something in them was not drawn. */
export class Trace {
  readonly #hash = createHash("sha256");
  /** The hash now and then, so that two lives can be asked when they parted. */
  readonly waypoints: Waypoint[] = [];
  #length = 0;

  /** What was noted so far. */
  get length(): number {
    return this.#length;
  }

  sent(atMs: number, { from, to, subject, data }: Passing): void {
    this.#note(atMs, `${from} ${subject} ${to.join()} ${data.length}`);
    this.#hash.update(data);
  }

  stored({ atMs, from, revision }: Commit): void {
    this.#note(atMs, `${from} stores ${revision}`);
  }

  done({ atMs, instance, what, release, generation }: Effect): void {
    this.#note(atMs, `${instance} ${what} ${release} ${generation}`);
  }

  digest(): string {
    return this.#hash.copy().digest("hex").slice(0, 16);
  }

  #note(atMs: number, line: string): void {
    if (this.#length % stretch === 0) this.waypoints.push({ atMs, digest: this.digest() });
    this.#length++;
    this.#hash.update(`${atMs} ${line}`);
  }
}
