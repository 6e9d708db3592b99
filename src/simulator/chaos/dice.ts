import { assert } from "../../base/assert.js";
import type { Random } from "../../base/ports.js";

/** Draws from a stream of randomness. */
export class Dice {
  readonly #random: Pick<Random, "unit">;

  constructor(random: Pick<Random, "unit">) {
    this.#random = random;
  }

  unit(): number {
    return this.#random.unit();
  }

  /** True in that share of the throws. */
  chance(share: number): boolean {
    return this.#random.unit() < share;
  }

  /** A whole number, both ends included. */
  int(from: number, to: number): number {
    return from + Math.floor(this.#random.unit() * (to - from + 1));
  }

  pick<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.#random.unit() * items.length)];
    assert(item !== undefined, "there is something to pick from");
    return item;
  }

  /** Each item as often as its weight. */
  weighted<T>(items: readonly (readonly [weight: number, item: T])[]): T {
    let at = this.#random.unit() * items.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, item] of items) {
      at -= weight;
      if (at < 0) return item;
    }
    return this.pick(items)[1];
  }
}

/** A way to be cut off, mostly from everything. */
export function cutOf(dice: Dice): "cut" | "deaf" | "mute" {
  return dice.weighted([
    [3, "cut"],
    [1, "deaf"],
    [1, "mute"],
  ]);
}
