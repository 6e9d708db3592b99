import { createAgent } from "../../src/agent/agent.js";
import { createMemoryHost } from "../../src/agent/memory/memory-host.js";
import { connectNatsBus } from "../../src/bus/nats-bus.js";
import { openLedgerReader } from "../../src/ledger/ledger-reader.js";
import { createSeededRandom } from "../../src/runtime/random.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import type { NatsAccess } from "../kit/nats.js";
import type { Calls } from "../kit/processes.js";
import { stderrLog } from "../kit/stderr-log.js";

/** One agent process with many instances whose work takes no time. */
export interface AgentCalls extends Calls {
  start(options: { access: NatsAccess; fleet: string; name: string; instances: number }): Promise<void>;
}

const atOnce = { minMs: 0, maxMs: 0 };

export function createAgentCalls(): AgentCalls {
  return {
    start: async ({ access, fleet, name, instances }) => {
      const clock = createRealClock();
      const random = createSeededRandom(name);
      const bus = await connectNatsBus({
        servers: access.url,
        user: access.user,
        pass: access.password,
        name,
        clock,
        log: stderrLog,
      });
      const stepTimes = {
        pull: atOnce,
        build: atOnce,
        copy: atOnce,
        prepareNext: atOnce,
        stageRoutes: atOnce,
        activate: atOnce,
        withdrawRoutes: atOnce,
      };
      const host = createMemoryHost({ clock, random, stepTimes });
      const agent = createAgent(
        { clock, random, log: stderrLog, bus, ledger: openLedgerReader(bus, fleet), ...host },
        {
          fleet,
          agentVersion: "0.0.0",
          instances: Array.from({ length: instances }, (_, at) => ({
            id: `${name}-${at}`,
            labels: { tier: "web" },
          })),
        },
      );
      await agent.start();
    },
  };
}
