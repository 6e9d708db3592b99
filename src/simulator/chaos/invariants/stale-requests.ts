import { instanceOfSubject } from "../../../contracts/subjects.js";
import type { AgentNode } from "../agent-node.js";
import { type MakeInvariant, Violation } from "../invariant.js";

/** An agent as it was before it took a request. */
interface Before {
  readonly node: AgentNode;
  readonly subject: string;
  readonly refused: number;
  readonly text: string;
}

/** S3, of what comes of a request that is refused. */
export const staleRequests: MakeInvariant = ({ agents }) => {
  let asked: Before | undefined;
  let refused: Before | undefined;

  return {
    id: "S3",
    says: "a request of an epoch that is over changes nothing of the agent that refuses it, of its files, its records and its processes",
    taking({ subject }, by) {
      const node = subject.includes(".ask.") ? agents.get(instanceOfSubject(subject) ?? "") : undefined;
      asked =
        node?.busName === by && node.agent !== undefined
          ? { node, subject, refused: refusedBy(node), text: textOf(node) }
          : undefined;
    },
    taken() {
      if (asked !== undefined && refusedBy(asked.node) > asked.refused) refused = asked;
      asked = undefined;
    },
    // Whatever a message leads to at once has happened before anything else does.
    each() {
      if (refused === undefined) return;
      const { node, subject, text } = refused;
      refused = undefined;
      const now = textOf(node);
      if (now !== text)
        throw new Violation(
          `${node.id} has refused ${subject}, of an epoch that is over, and has changed: before ${text}, now ${now}`,
        );
    },
  };
};

function refusedBy({ agent }: AgentNode): number {
  return agent?.stats.complaints.askStale ?? 0;
}

/** All that it is, has and does. */
function textOf({ id, agent, host }: AgentNode): string {
  const { files, processes, records } = host;
  const disk = Object.entries(files.disk(id)).map(([name, on]) => [name, on instanceof Set ? [...on] : on]);
  return JSON.stringify({
    state: agent?.stateOf(id),
    reports: agent?.stats.reportsSent,
    disk,
    steps: files.steps.length,
    processes: processes.living.map(({ identity }) => identity.pid),
    records: [records.saved, records.refused, records.underWay],
  });
}
