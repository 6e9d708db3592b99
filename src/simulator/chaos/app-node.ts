import type { AppToRun } from "../../agent/app-engine.js";
import { type AppAgent, createAppAgent } from "../../agent/apps/app-agent.js";
import { MemoryRecords } from "../../agent/memory/records.js";
import type { MemoryBus } from "../../bus/memory-connection.js";
import { currentFormats } from "../../contracts/record-formats.js";
import type { ActorHost } from "../../runtime/actor.js";
import type { SeededRandom } from "../../runtime/random.js";
import { NodeClock } from "../node-clock.js";
import type { SimulatedWorld } from "../world.js";
import { Dice } from "./dice.js";
import type { AppTemper } from "./life-plan.js";
import { MemoryApps } from "./memory-apps.js";
import { nextFormats } from "./next-formats.js";
import { beginProcess } from "./node-process.js";

/** The longest that a call of an engine may take here: short, so that what hangs is not all there is of a life. */
const limitsMs = { install: 10_000, initialize: 5_000, enable: 5_000, disable: 5_000, uninstall: 10_000 };

export interface AppNodeOptions {
  readonly id: string;
  readonly driftPpm: number;
  /** Its program is made with the next version. */
  readonly isNext: boolean;
  readonly apps: readonly AppTemper[];
  /** An app runs there from now on. */
  readonly onEnabled: (node: AppNode, app: AppToRun) => void;
  readonly onHost: (host: ActorHost) => void;
}

/** A process with apps in it, as a user's is: it comes and goes, what is installed and written down stays. */
export class AppNode {
  readonly id: string;
  readonly engine: MemoryApps;
  readonly records: MemoryRecords;
  isNext: boolean;
  readonly #world: SimulatedWorld;
  readonly #options: AppNodeOptions;
  readonly #random: SeededRandom;
  #clock: NodeClock;
  #bus: MemoryBus | undefined;
  #agent: AppAgent | undefined;
  #starts = 0;

  constructor(world: SimulatedWorld, options: AppNodeOptions) {
    const { id, apps, driftPpm, isNext, onEnabled } = options;
    this.id = id;
    this.isNext = isNext;
    this.#world = world;
    this.#options = options;
    this.#random = world.random.fork(`apps/${id}`);
    this.#clock = new NodeClock(world.clock, { driftPpm });
    this.records = new MemoryRecords(world.clock, 2);
    const dice = new Dice(this.#random.fork("fates"));
    this.engine = new MemoryApps(this.#clock, { apps, dice, onEnabled: (app) => onEnabled(this, app) });
  }

  get agent(): AppAgent | undefined {
    return this.#agent;
  }

  get clock(): NodeClock {
    return this.#clock;
  }

  /** Of its connection now; undefined while it does not run. */
  get busName(): string | undefined {
    return this.#bus?.name;
  }

  /** Starts the process; without effect while it runs. @throws RollcallError as its beginning would fail */
  async start(): Promise<void> {
    if (this.#bus !== undefined) return;
    const { driftPpm, onHost } = this.#options;
    const name = `apps-${this.id}-${++this.#starts}`;
    const process = beginProcess(this.#world, name, { random: this.#random, driftPpm });
    this.#clock = process.clock;
    this.#bus = process.bus;
    this.engine.begin(process.clock);
    onHost(process.host);
    const agent = createAppAgent(
      { ...process, engine: this.engine, records: this.records },
      {
        fleet: this.#world.fleet,
        instance: this.id,
        agentVersion: "1.0.0",
        limitsMs,
        formats: this.isNext ? nextFormats : currentFormats,
      },
    );
    this.#agent = agent;
    await agent.start();
  }

  /** As by SIGKILL. */
  kill(): void {
    this.#clock.die();
    this.records.crash();
    this.engine.running.clear();
    void this.#bus?.close();
    this.#bus = undefined;
    this.#agent = undefined;
  }

  /** It ends in order; with `leave` the control plane is told that it does not come back. */
  async stop(options: { readonly leave?: boolean } = {}): Promise<void> {
    const bus = this.#bus;
    await this.#agent?.stop(options);
    if (this.#bus === bus) this.kill();
  }
}
