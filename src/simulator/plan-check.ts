import { contradictionsIn } from "../contracts/rollout-lint.js";
import { matches, parseSelector } from "../contracts/selector.js";
import { type RehearsalPlan, strategiesOf } from "./plan.js";

/**
 * Refuses a plan that cannot go well, alternatives included, by the rules that a real roll-out is held to.
 * @throws RollcallError `BAD_DEADLINE`, `CONTRADICTORY_ROLLOUT`, `NO_MATCHING_INSTANCES`, `BAD_SELECTOR`
 */
export function refuseContradictions(plan: RehearsalPlan): void {
  for (const strategy of strategiesOf(plan)) {
    const selector = parseSelector(strategy.selector);
    const matched = plan.fleet
      .filter(({ labels }) => matches(selector, labels))
      .reduce((sum, { instances }) => sum + instances, 0);
    const [contradiction] = contradictionsIn({ ...strategy, matched, healthCheck: plan.healthCheck });
    if (contradiction !== undefined) throw contradiction;
  }
}
