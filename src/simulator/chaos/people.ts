import { createClient } from "../../api/client.js";
import type { Client } from "../../api/client-types.js";
import { messageOf, RollcallError } from "../../base/errors.js";
import type { EndpointName, ReplyOf, RequestOf } from "../../contracts/api.js";
import type { SimulatedWorld } from "../world.js";
import { Administrators } from "./administrators.js";
import type { AgentNode } from "./agent-node.js";
import type { LedgerMirror } from "./ledger-mirror.js";
import type { Happening, HappeningOf, LifePlan } from "./life-plan.js";

/** Something that was asked of the control plane, and what came of it. */
export interface Asked {
  readonly endpoint: EndpointName;
  readonly request: unknown;
  readonly atMs: number;
  /** `undefined`: there is no answer yet. */
  answer: { readonly reply: unknown } | { readonly code: string } | undefined;
}

export type Wish = Extract<
  Happening,
  { do: "deploy" | "act" | "reset" | "remove" | "relabel" | "misuse" | "reconcile" | "app" | "appForget" }
>;

const digestOf = (version: string) => `sha256:${Buffer.from(version).toString("hex").padEnd(64, "0")}`;

/** Those who run the fleet, by the client that programs of users have. */
export class People {
  readonly asked: Asked[] = [];
  /** Told of each answer. */
  onAnswered: (asked: Asked) => void = () => undefined;
  readonly #plan: LifePlan;
  readonly #client: Client;
  readonly #world: SimulatedWorld;
  readonly #ledger: LedgerMirror;
  readonly #administrators: Administrators;
  #requests = 0;

  constructor(world: SimulatedWorld, plan: LifePlan, ledger: LedgerMirror) {
    const { clock, log, hub, fleet } = world;
    this.#plan = plan;
    this.#world = world;
    this.#ledger = ledger;
    const random = world.random.fork("people");
    this.#administrators = new Administrators(plan, ledger, (endpoint, request) =>
      this.#later(endpoint, request),
    );
    this.#client = createClient({ bus: hub.connect("people"), fleet, clock, random, log });
  }

  /** Registers all releases and configurations; resolves when they are. */
  async pushReleases(): Promise<void> {
    for (const version of this.#plan.configs)
      await this.#ask("configs.push", {
        config: { version, object: { name: version, digest: digestOf(version), sizeBytes: 1 } },
        by: "anna",
      });
    for (const { version, minHealthyMs, deadlineMs } of this.#plan.releases) {
      const digest = digestOf(version);
      await this.#ask("releases.push", {
        release: {
          version,
          source: { kind: "artifact", object: { name: version, digest, sizeBytes: 1 } },
          manifest: {
            start: "node server.js",
            healthCheck: {
              type: "http",
              path: "/health",
              intervalMs: 1_000,
              timeoutMs: 500,
              retries: 2,
              startPeriodMs: 5_000,
            },
            minHealthyMs,
            deadlineMs,
          },
        },
        digest,
        by: "anna",
      });
    }
  }

  /** Asks for what the plan says; the answer comes when it comes. */
  wish(wish: Wish): void {
    switch (wish.do) {
      case "deploy":
        this.#deploy(wish);
        break;
      case "act":
        this.#act(wish);
        break;
      case "reset":
      case "remove": {
        const instance = this.#instance(wish.instance);
        if (instance === undefined) return;
        this.#later(`instances.${wish.do}`, { instance, by: "anna" });
        break;
      }
      case "reconcile":
        this.#later("reconciliations.run", { dryRun: wish.dryRun, by: "anna" });
        break;
      case "misuse":
        this.#misuse(wish);
        break;
      case "app":
        this.#administrators.wish(wish);
        break;
      case "appForget":
        this.#administrators.forget(wish);
        break;
      case "relabel":
        break;
    }
  }

  /** Does what waits for people: because they have stopped it, too many instances are silent, or another machine has a name. */
  letGo(agents: ReadonlyMap<string, AgentNode>): void {
    this.takeOver(agents);
    this.#administrators.tellAnew();
    for (const { id, paused, held, outcome } of this.#ledger.deployments.values())
      if (outcome === null && (paused !== null || held !== null))
        this.#later("deployments.resume", { deployment: id, force: true, by: "anna" });
  }

  /** Moves instances to the agents that run in their names, where those are others than the ledger knows. */
  takeOver(agents: ReadonlyMap<string, AgentNode>): void {
    for (const [instance, { agentId: agent }] of agents) {
      const owner = this.#ledger.instances.get(instance)?.agent;
      if (agent !== undefined && owner !== undefined && owner !== agent)
        this.#later("instances.takeover", { instance, agent, by: "anna" });
    }
  }

  #deploy({ do: _, atMs: __, release, config, ...wished }: HappeningOf<"deploy">): void {
    const { releases, configs } = this.#plan;
    this.#later("deployments.create", {
      ...wished,
      release: release === null ? null : (releases[release % releases.length]?.version ?? null),
      config: config === null ? null : (configs[config % configs.length] ?? null),
      by: "anna",
      requestKey: `wish-${++this.#requests}`,
    });
  }

  #act({ verb, deployment: nth }: HappeningOf<"act">): void {
    const known = [...this.#ledger.deployments.keys()];
    const deployment = known.at(-1 - (nth % Math.max(1, known.length)));
    if (deployment === undefined) return;
    const request = { deployment, by: "anna" };
    if (verb === "force") this.#later("deployments.resume", { ...request, force: true });
    else if (verb === "retry")
      this.#later("deployments.retry", { ...request, requestKey: `wish-${++this.#requests}` });
    else this.#later(`deployments.${verb}`, request);
  }

  #misuse({ what }: HappeningOf<"misuse">): void {
    const create = { release: "v1", selector: null, batch: 1, failureThreshold: 1, by: "mallory" } as const;
    switch (what) {
      case "noSuchRelease":
        this.#later("deployments.create", { ...create, release: "never" });
        break;
      case "noMatch":
        this.#later("deployments.create", { ...create, selector: "tier=none" });
        break;
      case "batchZero":
        this.#later("deployments.create", { ...create, batch: 0 });
        break;
      case "thresholdAboveFleet":
        this.#later("deployments.create", { ...create, failureThreshold: 100_000 });
        break;
      case "badSelector":
        this.#later("deployments.create", { ...create, selector: "==" });
        break;
      case "noSuchDeployment":
        this.#later("deployments.pause", { deployment: "never", by: "mallory" });
        break;
      case "removeUsedRelease":
        this.#later("releases.remove", { version: "v1", by: "mallory" });
        break;
      case "nothing":
        this.#later("deployments.create", { ...create, release: null });
        break;
      case "noSuchConfig":
        this.#later("deployments.create", { ...create, config: "never" });
        break;
      case "badBatch":
        this.#later("deployments.create", { ...create, batch: "0%" });
        break;
      case "deadlineBelowHealth":
        this.#later("deployments.create", { ...create, minHealthyMs: 60_000, deadlineMs: 1_000 });
        break;
      case "rollbackOfNothing":
        this.#later("deployments.rollback", { deployment: "d99999", by: "mallory" });
        break;
      case "retryOfNothing":
        this.#later("deployments.retry", { deployment: "d99999", by: "mallory" });
        break;
      case "noSuchInstance":
        this.#later("instances.reset", { instance: "never", by: "mallory" });
        break;
      case "otherFilesForRelease":
        this.#later("configs.push", {
          config: { version: "conf1", object: { name: "x", digest: digestOf("other"), sizeBytes: 1 } },
          by: "mallory",
        });
        break;
    }
  }

  #instance(nth: number): string | undefined {
    const known = [...this.#ledger.instances.keys()];
    return known[nth % Math.max(1, known.length)];
  }

  #later<E extends EndpointName>(endpoint: E, request: RequestOf<E>): void {
    // How it ended is kept in `asked`.
    void this.#ask(endpoint, request).catch(() => undefined);
  }

  async #ask<E extends EndpointName>(endpoint: E, request: RequestOf<E>): Promise<ReplyOf<E>> {
    const asked: Asked = { endpoint, request, atMs: this.#world.clock.nowMs(), answer: undefined };
    this.asked.push(asked);
    try {
      const reply = await (this.#client.call as (e: E, r: RequestOf<E>) => Promise<ReplyOf<E>>)(
        endpoint,
        request,
      );
      asked.answer = { reply };
      this.onAnswered(asked);
      return reply;
    } catch (error) {
      if (error instanceof RollcallError) {
        asked.answer = { code: error.code };
        this.onAnswered(asked);
      } else this.#world.log.error({ error: messageOf(error) }, "a client threw what is no refusal");
      throw error;
    }
  }
}
