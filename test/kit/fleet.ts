import type { ReplyOf, RequestOf } from "../../src/contracts/api.js";
import type { DesiredInstance, Labels } from "../../src/contracts/instance.js";
import { parseKey } from "../../src/contracts/keys.js";
import type { Formats } from "../../src/contracts/record-formats.js";
import { matches, parseSelector } from "../../src/contracts/selector.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import type { DeploymentView } from "../../src/contracts/views.js";
import { openLedgerReader } from "../../src/ledger/ledger-reader.js";
import { nextFormats } from "../../src/simulator/chaos/next-formats.js";
import { type CoordinatorsOptions, CoordinatorsWorld, fleet, leaseMs } from "./coordinators-world.js";
import { type Behaviour, FakeAgent } from "./fake-agent.js";

/** A desired state as the ledger sent it to whoever listens; `undefined` when it was deleted. */
export interface SeenDesire {
  readonly instance: string;
  readonly desired: DesiredInstance | undefined;
  readonly revision: number;
  readonly atMs: number;
}

export type Deploy = Partial<RequestOf<"deployments.create">>;

/** A whole fleet in virtual time: coordinators, and instances that do what they are told. */
export class FleetWorld extends CoordinatorsWorld {
  readonly agents = new Map<string, FakeAgent>();
  /** Every desired state that was written, in this order. */
  readonly desires: SeenDesire[] = [];

  constructor(options: CoordinatorsOptions = {}) {
    super(options);
    const { clock, hub } = this;
    const witness = hub.connect("witness");
    openLedgerReader(witness, fleet).watch("desired.instance.>", ({ key, value, revision }) => {
      // Faults double and delay what the witness hears too.
      const at = this.desires.findLastIndex((seen) => seen.revision <= revision);
      if (this.desires[at]?.revision === revision) return;
      const instance = parseKey(key)?.[1] ?? "";
      const desired =
        value === undefined ? undefined : nextFormats["desired.instance"].readAt({ fleet, key }, value);
      this.desires.splice(at + 1, 0, { instance, desired, revision, atMs: clock.nowMs() });
    });
  }

  /** A fleet that is ready: a coordinator, `web-1` to `web-<instances>` with `tier=web`, and releases v1 to v3. */
  static async ready(
    instances = 6,
    options: { releases?: readonly string[]; formats?: Formats } & CoordinatorsOptions = {},
  ): Promise<FleetWorld> {
    const world = new FleetWorld(options);
    await world.startCoordinator("c1", leaseMs, options.formats);
    for (let n = 1; n <= instances; n++) world.addAgent(`web-${n}`, { tier: "web" });
    await world.advance(2_500);
    for (const version of options.releases ?? ["v1", "v2", "v3"]) await world.pushRelease(version);
    return world;
  }

  addAgent(instance: string, labels: Labels = {}, agent?: string, formats?: Formats): FakeAgent {
    const bus = this.hub.connect(`agent-${instance}${agent === undefined ? "" : `-${agent}`}`);
    const made = new FakeAgent({
      bus,
      clock: this.clock,
      ledger: openLedgerReader(bus, fleet),
      fleet,
      instance,
      labels,
      ...(agent === undefined ? {} : { agent }),
      ...(formats === undefined ? {} : { formats }),
    });
    if (agent === undefined) this.agents.set(instance, made);
    made.start();
    return made;
  }

  agent(instance: string): FakeAgent {
    const found = this.agents.get(instance);
    if (found === undefined) throw new Error(`there is no agent of ${instance}`);
    return found;
  }

  /** Gives an instance other labels, and lets the coordinator hear of them. */
  async relabel(instance: string, labels: Labels): Promise<void> {
    const agent = this.agent(instance);
    agent.labels = labels;
    agent.set({ labels });
    await this.advance(20);
  }

  /** How every agent takes a release, by its version. */
  behave(
    behaviours: Readonly<Record<string, Behaviour>>,
    instances: Iterable<string> = this.agents.keys(),
  ): void {
    for (const instance of instances)
      this.agent(instance).behaviour = ({ run }) => behaviours[run?.release.version ?? ""] ?? {};
  }

  /** Begins a roll-out to everything with `tier=web`, two at a time, that fails with the second failure. */
  async deploy(release: string | null, more: Deploy = {}): Promise<DeploymentView> {
    const { selector = "tier=web" } = more;
    const chosen = parseSelector(selector);
    const matching = [...this.agents.values()].filter(({ labels }) => matches(chosen, labels)).length;
    return this.call("deployments.create", {
      release,
      selector,
      batch: 2,
      // A threshold above the fleet is refused.
      failureThreshold: Math.max(1, Math.min(2, matching)),
      ...more,
    });
  }

  /** A roll-out from beginning to end. */
  async rolledOut(release: string | null, more: Deploy = {}): Promise<DeploymentView> {
    return this.finished((await this.deploy(release, more)).id);
  }

  async pushRelease(version: string, manifest: Record<string, unknown> = {}): Promise<void> {
    const digest = `sha256:${Buffer.from(version).toString("hex").padEnd(64, "0")}`;
    const health = { type: "http", path: "/health", intervalMs: 500, timeoutMs: 200 } as const;
    await this.call("releases.push", {
      release: {
        version,
        source: { kind: "artifact", object: { name: version, digest, sizeBytes: 1 } },
        manifest: {
          start: "node server.js",
          healthCheck: health,
          minHealthyMs: 1_000,
          deadlineMs: 60_000,
          ...manifest,
        },
      },
      digest,
      by: "test",
    });
  }

  async pushConfig(version: string): Promise<void> {
    const digest = `sha256:${Buffer.from(version).toString("hex").padEnd(64, "0")}`;
    await this.call("configs.push", {
      config: { version, object: { name: version, digest, sizeBytes: 1 } },
      by: "test",
    });
  }

  async view(deployment: string): Promise<DeploymentView> {
    return (await this.call("deployments.get", { deployment })).deployment;
  }

  async instance(instance: string): Promise<ReplyOf<"instances.get">> {
    return this.call("instances.get", { instance });
  }

  /** Lets time pass until the deployment is over. */
  async finished(deployment: string, limitMs = 3_600_000): Promise<DeploymentView> {
    const untilMs = this.clock.nowMs() + limitMs;
    for (;;) {
      if (this.leaderName() === undefined) await this.untilLed();
      const view = await this.view(deployment).catch(() => undefined);
      if (view !== undefined && view.outcome !== null) return view;
      if (this.clock.nowMs() > untilMs) throw new Error(`not over: ${view?.why.sentence}`);
      await this.advance(250);
    }
  }

  running(): Record<string, string | null> {
    return Object.fromEntries([...this.agents].map(([instance, agent]) => [instance, agent.running]));
  }

  /** The releases that some agent runs. */
  versions(): (string | null)[] {
    return [...new Set(Object.values(this.running()))];
  }

  /** Which instances were ever told this release. */
  toldOf(release: string): string[] {
    return [...this.agents.values()]
      .filter(({ story }) => story.includes(release))
      .map(({ instance }) => instance);
  }

  /** The generations that an instance was ever told, with their releases, as the ledger sent them. */
  desiresOf(instance: string): { readonly generation: number; readonly release: string | null }[] {
    return this.desires.flatMap((seen) =>
      seen.instance === instance && seen.desired !== undefined
        ? [{ generation: seen.desired.generation, release: seen.desired.run?.release.version ?? null }]
        : [],
    );
  }

  /** Says something as an instance, through a connection of its own. */
  say(from: string, instance: string, data: Uint8Array | string): void {
    const bus = this.hub.connect(from);
    bus.publish(subjectsOf(fleet).health(instance), data);
    void bus.close();
  }
}
