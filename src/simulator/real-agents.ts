import { createAgent } from "../agent/agent.js";
import type { Behaviour } from "../agent/memory/behaviour.js";
import { createMemoryHost, type MemoryHost } from "../agent/memory/memory-host.js";
import { desiredInstanceSchema } from "../contracts/instance.js";
import { openLedgerReader } from "../ledger/ledger-reader.js";
import type { Crew, CrewControl, CrewParts } from "./crew.js";
import { fateOf } from "./fate.js";
import { type Member, newVersion, oldVersion } from "./members.js";

/** Between the stop of one process and the first answer of the next, in memory. */
const swapMs = 25;
/** Of a step that the update time does not name. */
const noTime = { minMs: 0, maxMs: 0 };

interface RealAgent {
  readonly member: Member;
  readonly host: MemoryHost;
  readonly bus: string;
  /** All of the update time is in the build. */
  readonly build: { minMs: number; maxMs: number };
  updates: number;
}

/** Instances with real agents, `createAgent` over hosts in memory: dear, and what stand-ins are compared with. */
export class RealAgents implements Crew {
  readonly #parts: CrewParts;
  readonly #agents = new Map<string, RealAgent>();
  #begun = false;

  constructor(parts: CrewParts) {
    this.#parts = parts;
  }

  async start({ rollOut }: CrewControl): Promise<void> {
    const { world, members } = this.#parts;
    // It hears of each command before the agent that carries it out.
    openLedgerReader(world.hub.connect("fates"), world.fleet).watch("desired.>", ({ value }) => {
      const desired = desiredInstanceSchema.safeParse(value);
      if (!desired.success) return;
      const version = desired.data.run?.release.version ?? null;
      const agent = this.#agents.get(desired.data.instance);
      if (agent !== undefined && version !== null) this.#meetFate(agent, version);
    });
    for (const member of members) await this.#add(member);
    await world.clock.advance(5_000);
    await rollOut(oldVersion);
    this.#begun = true;
  }

  async #add(member: Member): Promise<void> {
    const { world, listener } = this.#parts;
    const { clock, fleet, log } = world;
    const name = `agent-${member.id}`;
    const random = world.random.fork(name);
    const build = { ...noTime };
    const host = createMemoryHost({
      clock,
      random,
      stepTimes: {
        pull: noTime,
        build,
        copy: noTime,
        prepareNext: noTime,
        stageRoutes: noTime,
        activate: noTime,
        withdrawRoutes: noTime,
      },
    });
    const start = host.processes.start.bind(host.processes);
    host.processes.start = (process) => {
      if (process.env.ROLLCALL_RELEASE === newVersion) listener.onRan(member.id);
      return start(process);
    };
    const bus = world.hub.connect(name);
    this.#agents.set(member.id, { member, host, bus: name, build, updates: 0 });
    const agent = createAgent(
      { clock, random, log, bus, ledger: openLedgerReader(bus, fleet), ...host },
      { fleet, agentVersion: "simulated", instances: [member] },
    );
    await world.during(agent.start());
  }

  #meetFate(agent: RealAgent, version: string): void {
    if (!this.#begun) return;
    const { plan, fates, world } = this.#parts;
    const { host, build, member, bus } = agent;
    // What it runs already is not updated again.
    if (host.files.disk(member.id).current === version) return;
    const isNew = version === newVersion;
    const fate = fateOf(plan, fates, { instance: member.id, nth: ++agent.updates, isNew });
    const buildMs =
      fate.failure === "build" ? fate.buildMs : Math.max(0, Math.max(swapMs, fate.updateMs) - swapMs);
    build.minMs = buildMs;
    build.maxMs = buildMs;
    const behaviour: Behaviour = {
      ...(fate.failure === "build" && { failsIn: "build", code: "BUILD_FAILED" }),
      ...(fate.failure === "hangs" && { hangsIn: "build" }),
      ...(fate.failure === "unhealthy" && { unhealthy: true }),
      ...(fate.failure === "flaps" && { exitsAfterMs: fate.flapsAfterMs }),
    };
    host.behaviours.set(version, behaviour);
    if (fate.silentAfterMs !== null)
      world.clock.setTimer(fate.silentAfterMs, () => world.hub.disconnect(bus));
  }
}
