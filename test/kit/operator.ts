import type { Client } from "../../src/api/client-types.js";
import { isPassing } from "../../src/api/retry.js";
import { RollcallError } from "../../src/base/errors.js";
import type { RequestOf } from "../../src/contracts/api.js";
import type { DeploymentView } from "../../src/contracts/views.js";
import type { FleetWorld } from "./fleet.js";

type Verb = "pause" | "resume" | "abort" | "rollback" | "retry";

/** How a request is refused that was carried out already, when it is repeated because nobody answered it. */
const doneAlready = ["ALREADY_FINISHED", "NOT_PAUSED"];

const overMaxMs = 900_000;

/** Somebody who wants something done, and asks again until it is, whoever leads. */
export class Operator {
  readonly #world: FleetWorld;
  readonly #client: Client;
  readonly #name: string;
  #requests = 0;

  constructor(world: FleetWorld, name = "operator") {
    this.#world = world;
    this.#name = name;
    this.#client = world.client(name, 0);
  }

  async deploy(request: RequestOf<"deployments.create">): Promise<string> {
    const requestKey = this.#key();
    const asked = { batch: 1, failureThreshold: 2, ...request, requestKey };
    return (await this.#insist(() => this.#client.deployments.create(asked))).id;
  }

  async retry(deployment: string): Promise<string> {
    const requestKey = this.#key();
    return (await this.#insist(() => this.#client.deployments.retry({ deployment, requestKey }))).id;
  }

  /** Has something done to a deployment; that it is done already is as good. */
  async act(verb: Exclude<Verb, "retry">, deployment: string): Promise<void> {
    const isDone = (error: unknown) => error instanceof RollcallError && doneAlready.includes(error.code);
    let asked = 0;
    await this.#insist(async () => {
      try {
        await this.#client.deployments[verb]({ deployment, by: "anna" });
      } catch (error) {
        if (asked === 0 || !isDone(error)) throw error;
      } finally {
        asked++;
      }
    });
  }

  /** Waits until a deployment is over, and its rollback, if it has one. */
  async ended(deployment: string): Promise<DeploymentView[]> {
    const untilMs = this.#world.clock.nowMs() + overMaxMs;
    for (;;) {
      const { deployment: view } = await this.#insist(() => this.#client.deployments.get({ deployment }));
      if (view.outcome !== null)
        return view.rolledBackBy === null ? [view] : [view, ...(await this.ended(view.rolledBackBy))];
      if (this.#world.clock.nowMs() > untilMs) throw new Error(`not over: ${view.why.sentence}`);
      await this.#world.advance(1_000);
    }
  }

  async view(deployment: string): Promise<DeploymentView> {
    return (await this.#insist(() => this.#client.deployments.get({ deployment }))).deployment;
  }

  #key(): string {
    this.#requests++;
    return `${this.#name}-${this.#requests}`;
  }

  async #insist<T>(request: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await this.#world.during(request());
      } catch (error) {
        if (!isPassing(error)) throw error;
        await this.#world.advance(500);
      }
    }
  }
}
