import { type InstanceState, type Report, reportSchema } from "../contracts/instance.js";

/** What an instance has said before, in reports that were checked. */
type Checked = Pick<Report, "instance" | "agent" | "incarnation" | "digest" | "ledgerId">;

/** The format of reports that are as the program works with them. */
export const formatNow = reportSchema.shape.format.value;

/** Of a report without the whole state. */
const fieldsOfShortReport = Object.keys(reportSchema.shape).length - 1;

/**
 * Whether the schema would take this, seen without it: it says what reports that were checked have said, but for its numbers.
 * So does nearly every report of a calm fleet, and the schema costs more than all the rest.
 */
export function isCheckedAlready(
  parsed: unknown,
  heard: Checked,
  state: InstanceState | undefined,
): parsed is Report {
  const content = parsed as Partial<Record<keyof Report, unknown>>;
  return (
    content.format === formatNow &&
    content.instance === heard.instance &&
    content.agent === heard.agent &&
    content.incarnation === heard.incarnation &&
    content.digest === heard.digest &&
    content.ledgerId === heard.ledgerId &&
    isCount(content.seq) &&
    isCount(content.observedGeneration) &&
    isCount(content.healthyForMs) &&
    isCount(content.phaseAgeMs) &&
    hasCheckedState(content, state)
  );
}

function hasCheckedState(content: { readonly state?: unknown }, state: InstanceState | undefined): boolean {
  const fields = Object.keys(content).length;
  if (content.state === undefined) return fields === fieldsOfShortReport;
  return fields === fieldsOfShortReport + 1 && state !== undefined && isSameJson(content.state, state);
}

function isSameJson(one: unknown, other: unknown): boolean {
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null)
    return one === other;
  const names = Object.keys(one) as (keyof typeof one)[];
  return (
    Array.isArray(one) === Array.isArray(other) &&
    names.length === Object.keys(other).length &&
    names.every((name) => Object.hasOwn(other, name) && isSameJson(one[name], other[name]))
  );
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
