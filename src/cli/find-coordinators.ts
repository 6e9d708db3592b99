import { z } from "zod";
import { serviceName } from "../api/discovery.js";
import type { Bus } from "../base/ports.js";

const coordinatorsMax = 100;
const answersWithinMs = 500;

const pingSchema = z.object({
  id: z.string(),
  version: z.string(),
  metadata: z.object({ fleet: z.string() }),
});

/** A coordinator that answered to the service protocol. */
export interface FoundCoordinator {
  readonly id: string;
  readonly version: string;
}

/** Every coordinator of a fleet that answers within half a second, by name. */
export async function coordinatorsOf(bus: Bus, fleet: string): Promise<FoundCoordinator[]> {
  const subject = `$SRV.PING.${serviceName}`;
  const answers = await bus.requestMany(subject, "", { timeoutMs: answersWithinMs, max: coordinatorsMax });
  return answers
    .flatMap(({ data }) => {
      const parsed = pingSchema.safeParse(parseJson(data));
      return parsed.success && parsed.data.metadata.fleet === fleet
        ? [{ id: parsed.data.id, version: parsed.data.version }]
        : [];
    })
    .toSorted((one, other) => one.id.localeCompare(other.id));
}

/** Any service may answer under this name. */
function parseJson(data: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(data));
  } catch {
    return undefined;
  }
}
