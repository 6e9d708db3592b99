/**
 * What a leader has found and done since it leads; numbers that only grow. Whoever asks the actor `reconciliation` for its state is
 * told. They begin anew with each leader: the audit log has it all.
 */
export interface Counters {
  /** Deployments that were found not to move. */
  stuckDeployments: number;
  /** Phases that their agents have marked failed because they did not move. */
  stuckPhases: number;
  zombiesFound: number;
  zombiesRemoved: number;
  linksRepaired: number;
  reconciliations: number;
  /** Alerts that an app is not as asked on an instance. */
  appAlerts: number;
  /** Apps that instances were asked to try again, and do; and instances that did not answer. */
  appRetries: number;
  appsUnreachable: number;
}

export function freshCounters(): Counters {
  return {
    stuckDeployments: 0,
    stuckPhases: 0,
    zombiesFound: 0,
    zombiesRemoved: 0,
    linksRepaired: 0,
    reconciliations: 0,
    appAlerts: 0,
    appRetries: 0,
    appsUnreachable: 0,
  };
}
