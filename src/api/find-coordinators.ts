import { z } from "zod";
import type { Bus } from "../base/ports.js";
import { type FormatRanges, formatRangesSchema } from "../contracts/record-formats.js";
import { type CoordinatorView, coordinatorViewSchema } from "../contracts/views.js";
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
  /** What it reads, as JSON. */
  readonly formats: string;
  /** Empty if nothing is wrong. */
  readonly problem: string;
  /** Its exact role, and since when it has it, epoch milliseconds. */
  readonly state: string;
  readonly since: string;
  /** How it is doing, for people. */
  readonly doing: string;
}

const roleSchema = coordinatorViewSchema.shape.role;

const pingSchema = z.object({
  id: z.string().max(128),
  version: z.string().max(64),
  metadata: z.object({
    fleet: z.string(),
    role: z.enum(["leading", "following"]),
    epoch: z.coerce.number(),
    host: z.string().max(256).default("?"),
    started: z.coerce.number().default(0),
    problem: z.string().max(4_096).default(""),
    state: roleSchema.optional().catch(undefined),
    since: z.coerce.number().optional().catch(undefined),
    doing: z.string().max(4_096).default(""),
  }),
});

/** Less than is needed to list it: a coordinator of another version is one too. */
const peerSchema = z.object({
  id: z.string(),
  metadata: z.object({ fleet: z.string(), formats: z.string().default("") }),
});

/** Every coordinator of a fleet that answers to the service protocol within a moment. */
export async function coordinatorsOf(bus: Bus, fleet: string): Promise<CoordinatorView[]> {
  return (await pinged(bus)).flatMap((answer) => viewOf(answer, fleet));
}

/** What each of them reads; nothing beyond the first formats if it does not say so in a way that is understood here. */
export async function formatsOfCoordinators(
  bus: Bus,
  fleet: string,
): Promise<{ readonly id: string; readonly formats: FormatRanges }[]> {
  return (await pinged(bus)).flatMap((answer) => {
    const parsed = peerSchema.safeParse(answer);
    if (!parsed.success || parsed.data.metadata.fleet !== fleet) return [];
    const formats = formatRangesSchema.safeParse(parseJson(parsed.data.metadata.formats));
    return [{ id: parsed.data.id, formats: formats.success ? formats.data : {} }];
  });
}

async function pinged(bus: Bus): Promise<unknown[]> {
  const subject = `$SRV.PING.${serviceName}`;
  const answers = await bus.requestMany(subject, "", { timeoutMs: answersWithinMs, max: coordinatorsMax });
  return answers.map(({ data }) => parseJson(new TextDecoder().decode(data)));
}

/** Any service may answer under this name, and those of other fleets do. */
function viewOf(answer: unknown, fleet: string): CoordinatorView[] {
  const parsed = pingSchema.safeParse(answer);
  if (!parsed.success || parsed.data.metadata.fleet !== fleet) return [];
  const { id, version, metadata } = parsed.data;
  const { role, epoch, host, started, problem, state = role, since = started, doing } = metadata;
  return [
    {
      id,
      role: state,
      epoch: role === "leading" ? epoch : null,
      sinceMs: since,
      renewedAtMs: null,
      doing,
      version,
      node: host,
      problem: problem === "" ? null : problem,
    },
  ];
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
