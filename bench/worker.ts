import { answerCalls, type Calls } from "./kit/processes.js";

/** The processes that benchmarks start, by role. */
const roles: Readonly<Record<string, () => Promise<Calls>>> = {
  actors: async () => (await import("./workers/actors.js")).createActorCalls(),
  agents: async () => (await import("./workers/agents.js")).createAgentCalls(),
  "app-instances": async () => (await import("./workers/app-instances.js")).createAppInstancesCalls(),
  "app-puppets": async () => (await import("./workers/app-puppets.js")).createAppPuppetsCalls(),
  "bare-writer": async () => (await import("./workers/bare-writer.js")).createBareWriterCalls(),
  coordinator: async () => (await import("./workers/coordinator.js")).createCoordinatorCalls(),
  publisher: async () => (await import("./workers/publisher.js")).createPublisherCalls(),
  puppets: async () => (await import("./workers/puppets.js")).createPuppetCalls(),
  simulator: async () => (await import("./workers/simulator.js")).createSimulatorCalls(),
  subscriber: async () => (await import("./workers/subscriber.js")).createSubscriberCalls(),
};

const role = roles[process.argv[2] ?? ""];
if (role === undefined) throw new Error(`there is no role ${process.argv[2]}`);
answerCalls(await role());
