import type { Invariant, MakeInvariant, Witness } from "../invariant.js";
import { acknowledged } from "./acknowledged.js";
import { audit } from "./audit.js";
import { bounds } from "./bounds.js";
import { desiredStates } from "./desired-states.js";
import { fencing } from "./fencing.js";
import { formats } from "./formats.js";
import { generations } from "./generations.js";
import { oneOutcome } from "./one-outcome.js";
import { resources } from "./resources.js";

const all: readonly MakeInvariant[] = [
  acknowledged,
  audit,
  bounds,
  desiredStates,
  fencing,
  formats,
  generations,
  oneOutcome,
  resources,
];

/** Every invariant, for one life. */
export function makeInvariants(witness: Witness): Invariant[] {
  return all.map((make) => make(witness));
}
