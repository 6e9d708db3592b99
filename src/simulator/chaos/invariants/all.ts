import type { Invariant, MakeInvariant, Witness } from "../invariant.js";
import { acknowledged } from "./acknowledged.js";
import { appInstances } from "./app-instances.js";
import { appsAsked } from "./apps-asked.js";
import { appsReached } from "./apps-reached.js";
import { askedOnce } from "./asked-once.js";
import { audit } from "./audit.js";
import { batchBound } from "./batch-bound.js";
import { bounds } from "./bounds.js";
import { deadlines } from "./deadlines.js";
import { desiredStates } from "./desired-states.js";
import { doneOnce } from "./done-once.js";
import { exactWayBack } from "./exact-way-back.js";
import { failuresCount } from "./failures-count.js";
import { fencing } from "./fencing.js";
import { formats } from "./formats.js";
import { generations } from "./generations.js";
import { landmarks } from "./landmarks.js";
import { nothingAbortedStarts } from "./nothing-aborted-starts.js";
import { oneOutcome } from "./one-outcome.js";
import { onlyOwnerTells } from "./only-owner-tells.js";
import { realSuccess } from "./real-success.js";
import { resources } from "./resources.js";
import { silenceFailsNobody } from "./silence-fails-nobody.js";
import { staleRequests } from "./stale-requests.js";
import { standingTellsNobody } from "./standing-tells-nobody.js";
import { tombstones } from "./tombstones.js";

const all: readonly MakeInvariant[] = [
  acknowledged,
  appInstances,
  appsAsked,
  appsReached,
  askedOnce,
  audit,
  batchBound,
  bounds,
  deadlines,
  desiredStates,
  doneOnce,
  exactWayBack,
  failuresCount,
  fencing,
  formats,
  generations,
  landmarks,
  nothingAbortedStarts,
  oneOutcome,
  onlyOwnerTells,
  realSuccess,
  resources,
  silenceFailsNobody,
  staleRequests,
  standingTellsNobody,
  tombstones,
];

/** Every invariant, for one life. */
export function makeInvariants(witness: Witness): Invariant[] {
  return all.map((make) => make(witness));
}
