import { messageOf } from "../../base/errors.js";
import type { ActorHost } from "../../runtime/actor.js";
import type { SimulatedWorld } from "../world.js";
import { AppNode } from "./app-node.js";
import type { LifePlan } from "./life-plan.js";

/** The processes with apps of a life, as whoever runs them starts and ends them. */
export class AppFleet {
  readonly nodes = new Map<string, AppNode>();
  readonly #world: SimulatedWorld;
  readonly #plan: LifePlan;
  /** Told of each app that begins to run. */
  onEnabled: (node: AppNode, app: { readonly app: string; readonly version: string }) => void = () =>
    undefined;

  constructor(world: SimulatedWorld, plan: LifePlan) {
    this.#world = world;
    this.#plan = plan;
  }

  /** @param onHost told of what runs the actors of each */
  start(onHost: (host: ActorHost) => void): void {
    const { appInstances, apps } = this.#plan;
    for (const { id, driftPpm, isNext, startsAtMs } of appInstances) {
      const onEnabled: AppFleet["onEnabled"] = (node, app) => this.onEnabled(node, app);
      const node = new AppNode(this.#world, { id, driftPpm, isNext, apps, onHost, onEnabled });
      this.nodes.set(id, node);
      if (startsAtMs > 0) this.#world.clock.setTimer(startsAtMs, () => this.startNode(node));
      else this.startNode(node);
    }
  }

  at(nth: number): AppNode | undefined {
    return [...this.nodes.values()][nth % Math.max(1, this.nodes.size)];
  }

  startNode(node: AppNode): void {
    node.start().catch((error: unknown) => this.#fail(node, error, "an instance with apps did not start"));
  }

  /** As by SIGTERM. @returns what starts it again: if it has not ended by then, it is killed */
  stop(node: AppNode, options: { readonly leave?: boolean } = {}): () => void {
    const { busName } = node;
    node
      .stop(options)
      .catch((error: unknown) => this.#fail(node, error, "an instance with apps could not end"));
    return () => {
      if (node.busName === busName) node.kill();
      this.startNode(node);
    };
  }

  /** It starts again as the next version. */
  upgrade(node: AppNode): void {
    node.kill();
    node.isNext = true;
    this.startNode(node);
  }

  /** One of the apps that run there ends by itself. @returns whether one did */
  end(node: AppNode, nth: number): boolean {
    const running = [...node.engine.running.keys()];
    const app = running[nth % Math.max(1, running.length)];
    return app !== undefined && node.engine.end(app);
  }

  /** Nothing fails any more but what fails each time. */
  calm(): void {
    for (const { engine } of this.nodes.values()) engine.calm();
  }

  #fail({ id }: AppNode, error: unknown, sentence: string): void {
    this.#world.log.error({ instance: id, problem: messageOf(error) }, sentence);
  }
}
