/**
 * Where a decision comes from; part of its event in the audit log.
 *
 * `actor`: who asked for it or brought it about.
 * - `user:<name>` a person or program, by a request
 * - `agent:<id>` an agent, by a report
 * - `rule:<name>` a rule of the control plane, `rule:rollout`
 * - `coordinator:<name>` a coordinator, for itself
 *
 * `cause`: what led to it, something that can be looked up.
 * - `request:<key>` the key of a request, or the id that the control plane gave one without a key
 * - `report:<instance>/<incarnation>/<seq>` a report of an instance
 * - `deployment:<id>/<step>` a step of a deployment: its event carries the same `step`, under the same epoch
 * - `deployment:<id>` a deployment that has events of its own
 * - `clock:<what>` time that has passed: a deadline, a silence
 * - `epoch:<n>` the leadership under which it was decided
 */
export interface Origin {
  readonly actor: string;
  readonly cause: string;
}

/** An attribute is one line of a message's headers, which have a limit. */
const attributeCharactersMax = 200;

function attribute(kind: string, name: string): string {
  return `${kind}:${name}`.slice(0, attributeCharactersMax);
}

export function byUser(name: string, requestKey: string): Origin {
  return { actor: attribute("user", name), cause: attribute("request", requestKey) };
}

export function byReport(report: {
  readonly instance: string;
  readonly agent: string;
  readonly incarnation: string;
  readonly seq: number;
}): Origin {
  const { instance, agent, incarnation, seq } = report;
  return {
    actor: attribute("agent", agent),
    cause: attribute("report", `${instance}/${incarnation}/${seq}`),
  };
}

/** @param step its number within the epoch; left out for what follows from the deployment as a whole */
export function byRule(rule: string, deployment: string, step?: number): Origin {
  const name = step === undefined ? deployment : `${deployment}/${step}`;
  return { actor: attribute("rule", rule), cause: attribute("deployment", name) };
}

export function byClock(rule: string, what: string): Origin {
  return { actor: attribute("rule", rule), cause: attribute("clock", what) };
}

export function byCoordinator(name: string, epoch: number): Origin {
  return { actor: attribute("coordinator", name), cause: attribute("epoch", String(epoch)) };
}
