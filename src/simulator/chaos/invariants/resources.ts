import type { AgentNode } from "../agent-node.js";
import { type MakeInvariant, Violation } from "../invariant.js";

/** S12 and S13. */
export const resources: MakeInvariant = (witness) => ({
  id: "S12",
  says: "no two processes share a port, and at rest an instance has the one process that it says it runs, with its routes, and none besides",
  done({ instance, what, release, port }) {
    const host = witness.agents.get(instance)?.host;
    if (host === undefined) return;
    if (what === "start" && port !== null) {
      const other = host.processes.onPort(port);
      if (other !== undefined)
        throw new Violation(
          `${instance} starts ${release} on port ${port}, which ${other.release} of ${other.instance} has`,
        );
    }
    if (what === "activate" && release !== null && host.behaviours.get(release)?.unhealthy === true)
      throw new Violation(`${instance} makes ${release} active, which never was healthy there`);
  },
  atRest() {
    for (const node of witness.agents.values()) checkHost(node);
    for (const { id, host } of witness.gone)
      for (const { release, port } of host.processes.living)
        throw new Violation(`${id} has left, and ${release} still runs there on port ${port}`);
  },
});

function checkHost({ id, agent, host }: AgentNode): void {
  const state = agent?.stateOf(id);
  if (state === undefined) throw new Violation(`the agent of ${id} does not run`);
  const { living } = host.processes;
  const [only] = living;
  if (living.length > 1 || (living.length === 1) !== (state.running !== null))
    throw new Violation(
      `${id} says that it runs ${state.running?.release ?? "nothing"}, and there run ${living.map(({ release, port }) => `${release} on ${port}`).join(", ") || "none"}`,
    );
  if (only === undefined || state.running === null) return;
  if (only.release !== state.running.release || only.port !== state.port)
    throw new Violation(
      `${id} says that it runs ${state.running.release} on ${state.port}, and ${only.release} runs on ${only.port}`,
    );
  const { published, current } = host.files.disk(id);
  if (published?.release !== only.release || published.port !== only.port || current !== only.release)
    throw new Violation(
      `the routes of ${id} lead to ${published?.release} on ${published?.port}, its link to ${current}, and ${only.release} runs on ${only.port}`,
    );
}
