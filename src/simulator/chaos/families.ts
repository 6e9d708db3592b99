import type { Happening, LifePlan } from "./life-plan.js";

/** Kinds of faults, each of which is absent from a good share of the lives. */
export const families = [
  "messages",
  "partitions",
  "pauses",
  "crashes",
  "upgrades",
  "clocks",
  "ledger",
  "disks",
  "processes",
  "machines",
  "membership",
  "apps",
] as const;
export type Family = (typeof families)[number];

/** The kinds of faults that happen in a life, in the order of the list. */
export function familiesOf({ happenings }: LifePlan): Family[] {
  const there = new Set(happenings.map(familyOf));
  return families.filter((family) => there.has(family));
}

/** Undefined for what people do. */
function familyOf(happening: Happening): Family | undefined {
  switch (happening.do) {
    case "messages":
    case "ledger":
      return happening.do;
    case "replaceLedger":
      return "ledger";
    case "agents":
      return "partitions";
    case "clockStep":
      return "clocks";
    case "crash":
    case "sick":
      return "processes";
    case "appNode":
    case "appEnds":
      return "apps";
    case "join":
    case "leave":
    case "remove":
    case "newHost":
    case "double":
      return "membership";
    case "coordinator":
    case "agent":
      return families.find((family) => ways[family]?.includes(happening.how));
    default:
      return undefined;
  }
}

const ways: Partial<Record<Family, readonly string[]>> = {
  partitions: ["cut", "deaf", "mute"],
  pauses: ["stall"],
  crashes: ["kill", "stop"],
  upgrades: ["upgrade"],
  disks: ["diskFull"],
  machines: ["reboot"],
};
