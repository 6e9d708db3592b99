import type { Bus, Clock, Leadership, Log, Random, RestoredFrom } from "../base/ports.js";
import type { Origin } from "../contracts/origin.js";
import type { subjectsOf } from "../contracts/subjects.js";
import type { ActorHost } from "../runtime/actor.js";
import type { Catalog } from "./catalog.js";
import type { ClaimIndex } from "./claim-index.js";
import type { Counters } from "./counters.js";
import type { FleetFormats } from "./fleet-formats.js";
import type { Writer } from "./writer.js";

/** What every part of a leader shares for as long as it leads. */
export interface Term {
  readonly fleet: string;
  readonly ledgerId: string;
  /** `null` for a ledger that began empty. */
  readonly restoredFrom: RestoredFrom | null;
  readonly leadership: Leadership;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly bus: Bus;
  readonly host: ActorHost;
  readonly subjects: ReturnType<typeof subjectsOf>;
  readonly catalog: Catalog;
  readonly index: ClaimIndex;
  readonly writer: Writer;
  readonly formats: FleetFormats;
  readonly counters: Counters;
  /** Ends the term: what is known may differ from the ledger, and is read anew. Without effect once it has ended. */
  fail(error: unknown): void;
  /** Ledger time now. */
  nowMs(): number;
  /** Of what a leader does because it leads. */
  readonly ownOrigin: Origin;
}
