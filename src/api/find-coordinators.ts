import { z } from "zod";
import type { Bus } from "../base/ports.js";
import type { ControlPlane } from "../contracts/api.js";
import type { CoordinatorView } from "../contracts/views.js";
import { serviceName } from "./discovery.js";

const coordinatorsMax = 100;
const answersWithinMs = 400;

/** What a coordinator says of itself in the metadata of its service. */
export interface CoordinatorMetadata {
  readonly fleet: string;
  readonly role: string;
  readonly epoch: string;
  /** The host that it runs on. */
  readonly host: string;
  /** When its service was started, by its own clock, epoch milliseconds. */
  readonly started: string;
}

const pingSchema = z.object({
  id: z.string().max(128),
  version: z.string().max(64),
  metadata: z.object({
    fleet: z.string(),
    role: z.enum(["leading", "following"]),
    epoch: z.coerce.number(),
    host: z.string().max(256).default("?"),
    started: z.coerce.number().default(0),
  }),
});

/** Every coordinator of a fleet that answers to the service protocol within a moment, by name. */
export async function coordinatorsOf(bus: Bus, fleet: string): Promise<CoordinatorView[]> {
  const subject = `$SRV.PING.${serviceName}`;
  const answers = await bus.requestMany(subject, "", { timeoutMs: answersWithinMs, max: coordinatorsMax });
  return answers.flatMap(({ data }) => viewOf(data, fleet)).sort(byId);
}

/** The same plane, whose list of coordinators holds not only the one that was asked. */
export function listingAllCoordinators(plane: ControlPlane, bus: Bus, fleet: string): ControlPlane {
  return {
    ...plane,
    "coordinators.list": async (request) => {
      const [reply, found] = await Promise.all([
        plane["coordinators.list"](request),
        coordinatorsOf(bus, fleet),
      ]);
      const known = new Set(reply.items.map(({ id }) => id));
      const others = found.filter(({ id }) => !known.has(id));
      return { ...reply, items: [...reply.items, ...others].sort(byId) };
    },
  };
}

/** Any service may answer under this name, and those of other fleets do. */
function viewOf(data: Uint8Array, fleet: string): CoordinatorView[] {
  const parsed = pingSchema.safeParse(parseJson(data));
  if (!parsed.success || parsed.data.metadata.fleet !== fleet) return [];
  const { id, version, metadata } = parsed.data;
  const { role, epoch, host, started } = metadata;
  return [{ id, role, epoch: role === "leading" ? epoch : null, sinceMs: started, version, node: host }];
}

function parseJson(data: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(data));
  } catch {
    return undefined;
  }
}

function byId(one: CoordinatorView, other: CoordinatorView): number {
  return one.id < other.id ? -1 : 1;
}
