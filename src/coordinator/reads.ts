import { byAge } from "../../machines/deployment-order.js";
import { byName } from "../base/name-order.js";
import { type ControlPlane, type EndpointName, endpoints, instancesPageMax } from "../contracts/api.js";
import type { ConfigRecord, DeploymentRecord, ReleaseRecord } from "../contracts/deployment.js";
import { refusal } from "../contracts/errors.js";
import { matches, parseSelector } from "../contracts/selector.js";
import type { VersionPair } from "../contracts/version.js";
import type {
  ConfigView,
  DeploymentView,
  FleetStatus,
  InstanceView,
  ReleaseView,
  StuckView,
} from "../contracts/views.js";
import { createAppReads } from "./apps/app-reads.js";
import { undoneIn } from "./history.js";
import type { KnownFleet } from "./known-fleet.js";
import { isKnownVersion, ledgerView } from "./ledger-view.js";
import type { MemberState } from "./members.js";
import {
  configView,
  deploymentView,
  instanceView,
  releaseView,
  stuckDeployment,
  stuckPhase,
  usageOf,
} from "./views.js";

type ReadName = {
  [E in EndpointName]: (typeof endpoints)[E]["kind"] extends "read" ? E : never;
}[EndpointName];
/** What is answered from knowledge of the fleet. */
export type Reads = Pick<ControlPlane, Exclude<ReadName, "coordinators.list">>;

export function isRead(name: EndpointName): name is keyof Reads {
  return endpoints[name].kind === "read" && name !== "coordinators.list";
}

/** What people see of a fleet, made from what is known of it at the moment in which they ask. */
export class FleetViews {
  readonly #known: KnownFleet;

  constructor(known: KnownFleet) {
    this.#known = known;
  }

  /** @throws RollcallError `UNKNOWN_INSTANCE` */
  memberOf(instance: string): MemberState {
    const member = this.#known.member(instance);
    if (member === undefined) throw refusal("UNKNOWN_INSTANCE", { instance });
    return member;
  }

  /** @throws RollcallError `UNKNOWN_INSTANCE` */
  instance(instance: string): InstanceView {
    return this.#viewOf(this.memberOf(instance));
  }

  /** @throws RollcallError `UNKNOWN_DEPLOYMENT` */
  deployment(id: string): DeploymentView {
    return this.deployments([id])[0] as DeploymentView;
  }

  /** @throws RollcallError `UNKNOWN_DEPLOYMENT` */
  deployments(ids: readonly string[]): DeploymentView[] {
    const undone = undoneIn(this.#known.deployments());
    return ids.map((id) => this.#deployment(id, undone.get(id) ?? null));
  }

  #deployment(id: string, rolledBackBy: string | null): DeploymentView {
    const known = this.#known.deployment(id);
    if (known === undefined) throw refusal("UNKNOWN_DEPLOYMENT", { deployment: id });
    const { state, observed, isWritten } = known;
    const nowMs = this.#known.nowMs();
    return deploymentView(state, {
      nowMs,
      rolledBackBy,
      isWritten,
      observed,
      about: (instance) => this.#about(instance),
    });
  }

  #about(instance: string) {
    const state = this.#known.member(instance)?.context.seen?.state;
    return {
      phase: state?.phase ?? null,
      note: state?.note ?? "",
      reportAgeMs: this.#known.reportAgeMs(instance),
    };
  }

  #viewOf(member: MemberState): InstanceView {
    return instanceView(member, this.#known.reportAgeMs(member.context.record.id));
  }

  /** The instances that a deployment owns or, when it is over, was the last to tell something; what matters first if there are many. */
  instancesOf(deployment: string): InstanceView[] {
    const chosen = [...this.#known.members()].filter(({ context: { record } }) =>
      record.claim === null ? record.last?.deployment === deployment : record.claim.deployment === deployment,
    );
    const urgency = ({ value }: MemberState) =>
      value.update === "FAILED" ? 0 : value.update === "IN_PROGRESS" ? 1 : 2;
    const shown =
      chosen.length <= instancesPageMax
        ? chosen
        : chosen.sort((one, other) => urgency(one) - urgency(other)).slice(0, instancesPageMax);
    return shown.map((member) => this.#viewOf(member)).sort((one, other) => byName(one.id, other.id));
  }

  /** The instances that a selector chooses, by name, those after `after`. */
  instances(selector: string | null, after: string | null, limit: number) {
    const parsed = parseSelector(selector);
    const names: string[] = [];
    for (const { context } of this.#known.members()) {
      const { id, labels } = context.record;
      if (matches(parsed, labels) && (after === null || byName(id, after) > 0)) names.push(id);
    }
    const page = names.sort(byName).slice(0, limit);
    return {
      items: page.map((name) => this.instance(name)),
      next: names.length > limit ? (page.at(-1) ?? null) : null,
    };
  }

  releases(records: readonly ReleaseRecord[]): ReleaseView[] {
    const usage = this.#usageOf((pair) => pair.release);
    return records.map((record) => releaseView(record, usage(record.release.version)));
  }

  configs(records: readonly ConfigRecord[]): ConfigView[] {
    const usage = this.#usageOf((pair) => pair.config);
    return records.map((record) => configView(record, usage(record.config.version)));
  }

  release(record: ReleaseRecord): ReleaseView {
    return this.releases([record])[0] as ReleaseView;
  }

  config(record: ConfigRecord): ConfigView {
    return this.configs([record])[0] as ConfigView;
  }

  #usageOf(partOf: (pair: VersionPair) => string | null) {
    return usageOf(this.#known.members(), partOf);
  }

  status(): FleetStatus {
    const instances = { total: 0, UNKNOWN: 0, HEALTHY: 0, DEGRADED: 0, FAILED: 0 };
    const versions = new Map<string, { version: VersionPair | null; instances: number }>();
    for (const { value, context } of this.#known.members()) {
      instances.total++;
      instances[value.status]++;
      const version = context.seen?.state.running ?? null;
      const key = JSON.stringify(version);
      versions.set(key, { version, instances: (versions.get(key)?.instances ?? 0) + 1 });
    }
    const records = [...this.#known.deployments()].sort(byAge);
    const active = records.filter(({ id, stage }) => stage !== "finished" || !this.#isWritten(id)).reverse();
    const newest = records[0];
    return {
      fleet: this.#known.fleet,
      leader: this.#known.leader(),
      epoch: this.#known.epoch(),
      ledgerNowMs: this.#known.nowMs(),
      instances,
      versions: [...versions.values()]
        .sort((one, other) => other.instances - one.instances)
        .map((row) => (isKnownVersion(this.#known, row.version) ? row : { ...row, unrecorded: true })),
      ledger: ledgerView(this.#known),
      stuck: this.stuck().length,
      broken: this.#known.broken(),
      apps: this.#known.apps.summary(),
      reconciliation: this.#known.catalog.reconciliation,
      active: this.deployments(active.map(({ id }) => id)),
      latest: newest === undefined ? null : this.deployment(newest.id),
    };
  }

  /** What does not move now, deployments first. */
  stuck(): StuckView[] {
    const known = this.#known;
    const deployments = [...known.deployments()].filter(({ stuckAtMs }) => stuckAtMs !== null);
    return [
      ...this.deployments(deployments.map(({ id }) => id)).map((view, at) =>
        stuckDeployment(view, deployments[at]?.stuckAtMs ?? null),
      ),
      ...[...known.members()].flatMap((member) => stuckPhase(member) ?? []),
    ];
  }

  /** An outcome that the ledger does not have yet is none. */
  #isWritten(id: string): boolean {
    return this.#known.deployment(id)?.isWritten ?? true;
  }
}

/** Reads the audit log: the answer to `events.list`. */
export type AuditPages = ControlPlane["events.list"];

/** Answers every read from what is known of a fleet, by the leader or by a follower. */
export function createReads(known: KnownFleet, audit: AuditPages): Reads {
  const { catalog } = known;
  const views = new FleetViews(known);
  const listed = <T>(items: T[]) => ({ items, asOf: known.asOfMs(), epoch: known.epoch() });
  const newestFirst = <T extends { readonly pushed: { readonly atMs: number } }>(records: Iterable<T>) =>
    [...records].sort((one, other) => other.pushed.atMs - one.pushed.atMs);
  const newest = (limit: number): DeploymentRecord[] => [...known.deployments()].sort(byAge).slice(0, limit);

  return {
    ...createAppReads(known.apps, known, audit),
    "deployments.list": async ({ limit }) => listed(views.deployments(newest(limit).map(({ id }) => id))),
    "deployments.get": async ({ deployment, instances }) => ({
      deployment: views.deployment(deployment),
      instances: instances ? views.instancesOf(deployment) : [],
      asOf: known.asOfMs(),
      epoch: known.epoch(),
    }),
    "deployments.stuck": async ({ limit }) => listed(views.stuck().slice(0, limit)),
    "deployments.why": async ({ deployment }) => views.deployment(deployment).why,
    "instances.list": async ({ selector, after, limit }) => {
      const { items, next } = views.instances(selector, after, limit);
      return { ...listed(items), next };
    },
    "instances.get": async ({ instance }) => views.instance(instance),
    "releases.list": async () => listed(views.releases(newestFirst(catalog.releases.values()))),
    "configs.list": async () => listed(views.configs(newestFirst(catalog.configs.values()))),
    "events.list": async (request) => audit(request),
    "status.get": async () => views.status(),
  };
}
