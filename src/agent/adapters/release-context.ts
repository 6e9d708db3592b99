import { join } from "node:path";
import type { Clock, Log, Objects, Random } from "../../base/ports.js";
import type { Commands } from "./commands.js";
import type { Layout } from "./layout.js";
import type { ReleaseLimits } from "./limits.js";

/** What every part of the release files works with. */
export interface ReleaseContext {
  readonly layout: Layout;
  readonly limits: ReleaseLimits;
  readonly objects: Pick<Objects, "get">;
  readonly commands: Commands;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Folders whose files were all compared with their digests, or written, in this life of the agent. */
  readonly verified: Set<string>;
}

/** A name in the scratch folder that was never used. */
export function scratchName({ layout, random }: ReleaseContext): string {
  return join(layout.scratch, random.id());
}
