import { refusal } from "./errors.js";
import type { Labels } from "./instance.js";

/** One condition of a selector. */
export interface Condition {
  readonly label: string;
  readonly equals: boolean;
  readonly value: string;
}

/** A parsed selector: every condition must hold; `all` has none. */
export type Selector = readonly Condition[];

const condition = /^\s*([A-Za-z0-9][A-Za-z0-9._/-]{0,62})\s*(!=|==?)\s*([A-Za-z0-9._/-]{0,63})\s*$/;
const conditionsMax = 16;

/**
 * Reads `k=v` and `k!=v`, joined by commas (and). `null` selects everything.
 *
 * @throws RollcallError `BAD_SELECTOR`
 * @example parseSelector("tier=web,zone!=b")
 */
export function parseSelector(text: string | null): Selector {
  if (text === null) return [];
  const parts = text.split(",");
  if (parts.length > conditionsMax) throw refusal("BAD_SELECTOR", { given: text });
  return parts.map((part) => {
    const found = condition.exec(part);
    if (found === null) throw refusal("BAD_SELECTOR", { given: text });
    const [, label = "", operator, value = ""] = found;
    return { label, equals: operator !== "!=", value };
  });
}

/** A label that is missing equals nothing, and differs from everything. */
export function matches(selector: Selector, labels: Labels): boolean {
  return selector.every(({ label, equals, value }) => (labels[label] === value) === equals);
}
