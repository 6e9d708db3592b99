import type { EventType, FleetEvent, Happening } from "../contracts/event-types.js";
import type { Origin } from "../contracts/origin.js";

/** What a machine notes of its object. */
interface Note<Kind extends string> {
  readonly what: Happening<Kind>;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Objects whose records machines keep. */
type Kind = "deployment" | "instance";

/**
 * The events that explain a change of an object's record. A change of which its machine noted nothing is said to be one: the audit log
 * has no gaps.
 */
export function explained<K extends Kind>(
  object: { readonly kind: K; readonly id: string; readonly generation: number },
  notes: readonly Note<K>[],
  originOf: (what: Happening<K>) => Origin,
): readonly [FleetEvent, ...FleetEvent[]] {
  const { kind, id, generation } = object;
  const unnoted: Note<K> = { what: "changed" as Happening<K>, data: {} };
  const [first = unnoted, ...rest] = notes;
  const eventOf = ({ what, data }: Note<K>): FleetEvent => ({
    kind,
    id,
    type: `${kind}.${what}` as EventType,
    data,
    generation,
    ...originOf(what),
  });
  return [eventOf(first), ...rest.map(eventOf)];
}
