import type { LedgerEvent } from "../../../src/base/ports.js";
import type { DeploymentRecord, InstanceRecord } from "../../../src/contracts/deployment.js";
import type { DesiredInstance } from "../../../src/contracts/instance.js";
import { keys } from "../../../src/contracts/keys.js";
import type { AgentNode } from "../../../src/simulator/chaos/agent-node.js";
import type { MakeInvariant } from "../../../src/simulator/chaos/invariant.js";
import { StagedFleet } from "./staged-fleet.js";

/** What of a fleet's records a batch puts. */
interface Batch {
  readonly deployments?: readonly DeploymentRecord[];
  readonly instances?: readonly InstanceRecord[];
  readonly desired?: readonly DesiredInstance[];
  readonly left?: readonly string[];
  readonly events?: readonly LedgerEvent[];
}

/** A staged fleet of which a test says how a roll-out goes, led by `c1`. */
export class RollingFleet extends StagedFleet {
  constructor(make: MakeInvariant) {
    super(make, true);
    this.lead("c1");
  }

  /** @throws Violation */
  store({ deployments = [], instances = [], desired = [], left = [], events = [] }: Batch): void {
    const puts = [
      ...deployments.map((record) => [keys.deployment(record.id), record]),
      ...instances.map((record) => [keys.instance(record.id), record]),
      ...desired.map((record) => [keys.desiredInstance(record.instance), record]),
    ];
    const deletes = left.flatMap((id) => [keys.instance(id), keys.desiredInstance(id)]);
    this.write({ events, puts: Object.fromEntries(puts), deletes });
  }

  /** What runs on the host of an instance, and what its agent says of it. */
  host(
    instance: string,
    {
      current,
      running,
      ended,
      stoodMs = 0,
    }: {
      current: string | null;
      running: readonly (readonly [release: string, upMs: number])[];
      /** A process that was up for so long, and ended so long ago. */
      ended?: { release: string; upMs: number; agoMs: number };
      /** The agent stood still for so long until now. */
      stoodMs?: number;
    },
  ): void {
    const living = running.map(([release, upMs]) => ({
      instance,
      release,
      generation: 1,
      startedAtMs: this.nowMs - upMs,
    }));
    const lastEnded = ended && {
      atMs: this.nowMs - ended.agoMs,
      process: { release: ended.release, startedAtMs: this.nowMs - ended.agoMs - ended.upMs },
    };
    const state = {
      phase: "ACTIVE",
      health: "HEALTHY",
      running: current === null ? null : { release: current, config: null },
    };
    this.agents.set(instance, {
      busName: `agent-${instance}-1`,
      agent: { stateOf: () => state },
      host: {
        processes: { living, livingOf: () => living, lastEnded: () => lastEnded },
        files: { disk: () => ({ current }) },
        records: { refused: 0 },
      },
      clock: { stood: { fromMs: this.nowMs - stoodMs, untilMs: this.nowMs } },
    } as unknown as AgentNode);
  }
}

/** An event about a deployment or an instance, as its type says. */
export function event(
  type: string,
  id: string,
  { cause = "clock:deadline", ...data }: Readonly<Record<string, unknown>> & { readonly cause?: string } = {},
): LedgerEvent {
  return { kind: type.split(".")[0] ?? "", id, type, data, actor: "rule:rollout", cause, generation: 1 };
}
