import { type Agent, type AgentStop, createAgent } from "../../agent/agent.js";
import type { Behaviour } from "../../agent/memory/behaviour.js";
import { createMemoryHost, type MemoryHost } from "../../agent/memory/memory-host.js";
import type { MemoryBus } from "../../bus/memory-connection.js";
import type { Labels } from "../../contracts/instance.js";
import { currentFormats } from "../../contracts/record-formats.js";
import type { ActorHost } from "../../runtime/actor.js";
import type { SeededRandom } from "../../runtime/random.js";
import { NodeClock } from "../node-clock.js";
import type { SimulatedWorld } from "../world.js";
import { Dice } from "./dice.js";
import type { Effect } from "./effect.js";
import type { Temper } from "./life-plan.js";
import { nextFormats } from "./next-formats.js";
import { beginProcess } from "./node-process.js";

export interface AgentNodeOptions {
  readonly id: string;
  readonly labels: Labels;
  readonly driftPpm: number;
  /** The agent is of the next version. */
  readonly isNext: boolean;
  /** Of which machine under this name: 1, unless it was replaced or is there twice. */
  readonly machine: number;
  readonly releases: readonly Temper[];
  readonly onEffect: (effect: Effect) => void;
  /** Told of what runs the actors of each agent that starts here. */
  readonly onHost: (host: ActorHost) => void;
}

/** A host with one instance, and its agent, which comes and goes while the disk and the processes stay. */
export class AgentNode {
  readonly id: string;
  readonly host: MemoryHost;
  labels: Labels;
  readonly #world: SimulatedWorld;
  readonly #driftPpm: number;
  readonly #random: SeededRandom;
  readonly #onHost: (host: ActorHost) => void;
  readonly #processName: string;
  isNext: boolean;
  #clock: NodeClock;
  #bus: MemoryBus | undefined;
  #agent: Agent | undefined;
  #started: Promise<void> = Promise.resolve();
  #starts = 0;

  constructor(world: SimulatedWorld, options: AgentNodeOptions) {
    const { id, labels, driftPpm, releases, onHost, machine } = options;
    this.id = id;
    this.isNext = options.isNext;
    this.#processName = machine === 1 ? id : `${id}-machine-${machine}`;
    this.#onHost = onHost;
    this.labels = labels;
    this.#world = world;
    this.#driftPpm = driftPpm;
    this.#random = world.random.fork(`agent/${this.#processName}`);
    this.#clock = new NodeClock(world.clock, { driftPpm });
    const fates = new Dice(this.#random.fork("fates"));
    this.host = createMemoryHost({
      clock: world.clock,
      random: this.#random.fork("host"),
      saveMs: 2,
      behaviours: new Map(releases.map((release) => [release.version, behaviourOf(release, fates)])),
    });
    this.#note(options.onEffect);
  }

  /** Says what is done on this host. */
  #note(onEffect: (effect: Effect) => void): void {
    const { processes, files } = this.host;
    const { clock } = this.#world;
    const { id: instance } = this;
    const note = (effect: Pick<Effect, "what" | "release" | "generation" | "port">) =>
      onEffect({ atMs: clock.nowMs(), instance, by: this.busName ?? "nobody", ...effect });
    const start = processes.start.bind(processes);
    processes.start = (asked) => {
      const { generation, env } = asked;
      const release = env.ROLLCALL_RELEASE ?? null;
      note({ what: "start", release, generation, port: Number(env.PORT) });
      return start(asked);
    };
    const stop = processes.stop.bind(processes);
    processes.stop = (identity, options) => {
      const found = processes.living.find((living) => living.identity.pid === identity.pid);
      const { release = null, generation = 0, port = null } = found ?? {};
      note({ what: "stop", release, generation, port });
      return stop(identity, options);
    };
    const activate = files.activate.bind(files);
    files.activate = (work) => {
      const { generation, release } = work;
      note({ what: "activate", release: release.version, generation, port: null });
      return activate(work);
    };
  }

  get agent(): Agent | undefined {
    return this.#agent;
  }

  /** Undefined until its agent has read or minted it. */
  get agentId(): string | undefined {
    return this.#agent?.agentId || undefined;
  }

  get clock(): NodeClock {
    return this.#clock;
  }

  /** Of its connection now; undefined while no agent runs. */
  get busName(): string | undefined {
    return this.#bus?.name;
  }

  /** Starts an agent on this host; without effect while one runs. @throws RollcallError as the command would end */
  async start(): Promise<void> {
    if (this.#bus !== undefined) return;
    const name = `agent-${this.#processName}-${++this.#starts}`;
    const process = beginProcess(this.#world, name, { random: this.#random, driftPpm: this.#driftPpm });
    this.#clock = process.clock;
    this.#bus = process.bus;
    this.#onHost(process.host);
    const { files, processes, probes, records } = this.host;
    const agent = createAgent(
      { ...process, files, processes, probes, records },
      {
        fleet: this.#world.fleet,
        agentVersion: "1.0.0",
        formats: this.isNext ? nextFormats : currentFormats,
        instances: [{ id: this.id, labels: this.labels }],
      },
    );
    this.#agent = agent;
    this.#started = agent.start();
    await this.#started;
  }

  /** As by SIGKILL: the processes that it started go on. */
  kill(): void {
    this.#clock.die();
    this.host.crash();
    void this.#bus?.close();
    this.#bus = undefined;
    this.#agent = undefined;
  }

  /** The machine goes down: nothing runs any more. */
  reboot(): void {
    this.kill();
    this.host.processes.reboot();
  }

  /** What runs stays up from now on, and stays as healthy as it is. */
  calm(): void {
    const { behaviours, processes } = this.host;
    processes.steady();
    for (const [version, { exitsAfterMs, unhealthyAfterMs, ...steady }] of behaviours)
      if (exitsAfterMs !== undefined || unhealthyAfterMs !== undefined) behaviours.set(version, steady);
  }

  /**
   * As by SIGTERM: it ends in order, once it has begun, and what it started goes on; with `--leave` that ends too, and its instance is
   * taken out of the fleet. Where no agent runs there is nobody to do that.
   */
  async stop(options: AgentStop = {}): Promise<void> {
    const bus = this.#bus;
    await this.#started;
    await this.#agent?.stop(options);
    if (this.#bus === bus) this.kill();
  }
}

/** What becomes of a release on one instance, drawn once: a bad one is bad here each time. */
function behaviourOf(temper: Temper, dice: Dice): Behaviour {
  const at = dice.unit();
  const afterMs = dice.int(200, 8_000);
  let sum = 0;
  const falls = (share: number) => {
    const is = at >= sum && at < sum + share;
    sum += share;
    return is;
  };
  const slow = { slowMs: Math.round(temper.slowMs * dice.unit()) };
  if (falls(temper.fails))
    return { ...slow, failsIn: dice.pick(["pull", "build", "copy", "activate"]), code: "BUILD_FAILED" };
  if (falls(temper.hangs)) return { ...slow, hangsIn: dice.pick(["pull", "build"]) };
  if (falls(temper.unhealthy)) return { ...slow, unhealthy: true };
  if (falls(temper.sickens)) return { ...slow, unhealthyAfterMs: afterMs };
  if (falls(temper.crashes)) return { ...slow, exitsAfterMs: afterMs };
  if (falls(temper.flaky))
    return dice.chance(0.5)
      ? { ...slow, failsIn: dice.pick(["pull", "build", "activate"]), code: "BUILD_FAILED", failsTimes: 1 }
      : { ...slow, exitsAfterMs: afterMs, exitsTimes: dice.int(1, 4) };
  return slow;
}
