import type { Invariant, MakeInvariant, Witness } from "../invariant.js";
import { oneOutcome } from "./one-outcome.js";

const all: readonly MakeInvariant[] = [oneOutcome];

/** Every invariant, for one life. */
export function makeInvariants(witness: Witness): Invariant[] {
  return all.map((make) => make(witness));
}
