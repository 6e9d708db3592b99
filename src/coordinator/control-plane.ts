import { messageOf } from "../base/errors.js";
import type { Objects } from "../base/ports.js";
import { type ControlPlane, instancesPageMax } from "../contracts/api.js";
import type { ConfigRecord, ReleaseRecord } from "../contracts/deployment.js";
import { refusal } from "../contracts/errors.js";
import { keys } from "../contracts/keys.js";
import type { Release } from "../contracts/release.js";
import { matches, parseSelector } from "../contracts/selector.js";
import type { VersionPair } from "../contracts/version.js";
import type { CoordinatorView, DeploymentView, FleetStatus, InstanceView } from "../contracts/views.js";
import { DeploymentCommands } from "./deployment-commands.js";
import type { Leader } from "./leader.js";
import type { MemberActor, MemberSnapshot } from "./members.js";
import { byAge } from "./order.js";
import { configView, deploymentView, instanceView, releaseView, usageOf } from "./views.js";

/** What the control plane does to the store of files: whoever pushes may add to it, and nobody else may remove. */
export type CoordinatorFiles = Pick<Objects, "remove">;

const defaultDeadlineMs = 900_000;

/** Answers every endpoint from what a leader knows. Lives and dies with it. */
export function createControlPlane(
  leader: Leader,
  self: () => CoordinatorView,
  files: CoordinatorFiles,
): ControlPlane {
  const { term, members, rollOuts } = leader;
  const { catalog, writer } = term;
  const commands = new DeploymentCommands(leader);
  const listed = <T>(items: T[]) => ({ items, asOf: term.nowMs(), epoch: term.leadership.epoch });

  function snapshots(): MemberSnapshot[] {
    return [...members.all().values()].map((member) => member.snapshot());
  }
  function memberOf(instance: string): MemberActor {
    const member = members.find(instance);
    if (member === undefined) throw refusal("UNKNOWN_INSTANCE", { instance });
    return member;
  }
  /** For what it is told without a deployment of its own: as long as the last one gave it. */
  function deadlineMsOf({ context: { record } }: MemberSnapshot): number {
    const deployment = record.claim?.deployment ?? record.owed?.deployment ?? record.last?.deployment;
    return rollOuts.record(deployment ?? "")?.spec.deadlineMs ?? defaultDeadlineMs;
  }
  function viewOfInstance(snapshot: MemberSnapshot): InstanceView {
    return instanceView(snapshot, leader.reportAgeMs(snapshot.context.record.id));
  }
  function about(instance: string) {
    const state = members.find(instance)?.snapshot().context.seen?.state;
    return {
      phase: state?.phase ?? null,
      note: state?.note ?? "",
      reportAgeMs: leader.reportAgeMs(instance),
    };
  }
  function viewOf(deployment: string): DeploymentView {
    return viewsOf([deployment])[0] as DeploymentView;
  }
  function viewsOf(deployments: readonly string[]): DeploymentView[] {
    const undone = rollOuts.undone();
    return deployments.map((deployment) => viewWith(deployment, undone.get(deployment) ?? null));
  }
  function viewWith(deployment: string, rolledBackBy: string | null): DeploymentView {
    const snapshot = rollOuts.snapshot(deployment);
    if (snapshot === undefined) throw refusal("UNKNOWN_DEPLOYMENT", { deployment });
    return deploymentView(snapshot, {
      nowMs: term.nowMs(),
      rolledBackBy,
      isWritten: rollOuts.isWritten(deployment),
      observed: rollOuts.observed(deployment) ?? null,
      about,
    });
  }
  /** The instances that a deployment owns or, when it is over, was the last to tell something; what matters first if there are many. */
  function instancesOf(deployment: string): InstanceView[] {
    const chosen = snapshots().filter(({ context: { record } }) =>
      record.claim === null ? record.last?.deployment === deployment : record.claim.deployment === deployment,
    );
    const urgency = ({ value }: MemberSnapshot) =>
      value.update === "FAILED" ? 0 : value.update === "IN_PROGRESS" ? 1 : 2;
    const shown =
      chosen.length <= instancesPageMax
        ? chosen
        : chosen.sort((one, other) => urgency(one) - urgency(other)).slice(0, instancesPageMax);
    return shown.map(viewOfInstance).sort((one, other) => byName(one.id, other.id));
  }
  const releaseUsage = () => usageOf(snapshots(), (pair) => pair.release);
  const configUsage = () => usageOf(snapshots(), (pair) => pair.config);

  /** Who still needs a version: an instance, what it goes back to, or a deployment that is not over. */
  function refuseIfNeeded(what: "Release" | "Configuration", version: string): void {
    const part = what === "Release" ? "release" : "config";
    const names = (pair: VersionPair | null | undefined) => pair?.[part] === version;
    for (const { context } of snapshots()) {
      const { record, seen } = context;
      const needed =
        names(record.desired) ||
        names(record.stable) ||
        names(record.owed?.target) ||
        names(record.last?.before) ||
        names(record.claim?.before) ||
        names(record.claim?.target) ||
        names(seen?.state.running);
      if (needed) throw refusal("VERSION_IN_USE", { what, version, by: `instance ${record.id}` });
    }
    for (const id of rollOuts.activeIds())
      if (rollOuts.record(id)?.spec[part] === version)
        throw refusal("VERSION_IN_USE", { what, version, by: `deployment ${id}` });
  }

  /** Gives the room of a removed version's file back, unless another version is made of the very same one. */
  async function dropFile(name: string | undefined): Promise<void> {
    if (name === undefined) return;
    for (const { release } of catalog.releases.values()) if (fileOf(release) === name) return;
    for (const { config } of catalog.configs.values()) if (config.object.name === name) return;
    try {
      await files.remove(name);
    } catch (error) {
      term.log.warn({ name, error: messageOf(error) }, "the file of a removed version is still in the store");
    }
  }

  return {
    "deployments.create": async (request) => viewOf(await commands.create(request)),
    "deployments.list": async ({ limit }) =>
      listed(
        viewsOf(
          [...rollOuts.records()]
            .sort(byAge)
            .slice(0, limit)
            .map(({ id }) => id),
        ),
      ),
    "deployments.get": async ({ deployment, instances }) => ({
      deployment: viewOf(deployment),
      instances: instances ? instancesOf(deployment) : [],
      asOf: term.nowMs(),
      epoch: term.leadership.epoch,
    }),
    "deployments.why": async ({ deployment }) => viewOf(deployment).why,
    "deployments.pause": async (request) => viewOf(await commands.pause(request)),
    "deployments.resume": async (request) => viewOf(await commands.resume(request)),
    "deployments.abort": async (request) => viewOf(await commands.abort(request)),
    "deployments.rollback": async (request) => viewOf(await commands.rollback(request)),
    "deployments.retry": async (request) => viewOf(await commands.retry(request)),

    "instances.list": async ({ selector, after, limit }) => {
      const parsed = parseSelector(selector);
      const names = [...members.records()]
        .filter(({ id, labels }) => matches(parsed, labels) && (after === null || byName(id, after) > 0))
        .map(({ id }) => id)
        .sort(byName);
      const page = names.slice(0, limit).map((name) => viewOfInstance(memberOf(name).snapshot()));
      return { ...listed(page), next: names.length > limit ? (page.at(-1)?.id ?? null) : null };
    },
    "instances.get": async ({ instance }) => viewOfInstance(memberOf(instance).snapshot()),
    "instances.reset": async ({ instance }) => {
      const member = memberOf(instance);
      if (member.snapshot().value.update !== "FAILED") throw refusal("INSTANCE_NOT_FAILED", { instance });
      const deadlineMs = deadlineMsOf(member.snapshot());
      await leader.tellMember(
        instance,
        { type: "reset", deadlineMs },
        ({ value }) => value.update !== "FAILED",
      );
      return viewOfInstance(memberOf(instance).snapshot());
    },
    "instances.remove": async ({ instance, by, reason }) => {
      memberOf(instance);
      await leader.remove(instance, `removed by ${by}${reason === null ? "" : `: ${reason}`}`);
      return { instance };
    },
    "instances.takeover": async ({ instance, agent }) => {
      const deadlineMs = deadlineMsOf(memberOf(instance).snapshot());
      leader.intake.forget(instance);
      leader.watch.hear(instance);
      await leader.tellMember(
        instance,
        { type: "bind", agent, deadlineMs },
        (snapshot) => snapshot.context.record.agent === agent,
      );
      return viewOfInstance(memberOf(instance).snapshot());
    },

    "releases.push": async ({ release, digest, by }) => {
      const { version } = release;
      if (release.source.kind === "image") throw refusal("NO_CONTAINER_ENGINE");
      const known = catalog.releases.get(version);
      if (known !== undefined && known.digest !== digest)
        throw refusal("VERSION_EXISTS", { what: "Release", version });
      const record: ReleaseRecord = known ?? {
        format: 1,
        release,
        digest,
        pushed: { by, atMs: term.nowMs(), reason: null },
      };
      if (known === undefined) {
        catalog.releases.set(version, record);
        await writer.add({
          puts: [{ key: keys.release(version), value: record }],
          events: [{ kind: "release", id: version, type: "release.pushed", data: { by, digest } }],
        });
      }
      return releaseView(record, releaseUsage()(version));
    },
    "releases.list": async () => {
      const usage = releaseUsage();
      return listed(
        [...catalog.releases.values()]
          .sort((one, other) => other.pushed.atMs - one.pushed.atMs)
          .map((record) => releaseView(record, usage(record.release.version))),
      );
    },
    "releases.remove": async ({ version, by }) => {
      const { release } = catalog.release(version);
      refuseIfNeeded("Release", version);
      catalog.releases.delete(version);
      await writer.add({
        deletes: [keys.release(version)],
        events: [{ kind: "release", id: version, type: "release.removed", data: { by } }],
      });
      await dropFile(fileOf(release));
      return { version };
    },

    "configs.push": async ({ config, by }) => {
      const { version } = config;
      const known = catalog.configs.get(version);
      if (known !== undefined && known.config.object.digest !== config.object.digest)
        throw refusal("VERSION_EXISTS", { what: "Configuration", version });
      const record: ConfigRecord = known ?? {
        format: 1,
        config,
        pushed: { by, atMs: term.nowMs(), reason: null },
      };
      if (known === undefined) {
        catalog.configs.set(version, record);
        await writer.add({
          puts: [{ key: keys.config(version), value: record }],
          events: [{ kind: "config", id: version, type: "config.pushed", data: { by } }],
        });
      }
      return configView(record, configUsage()(version));
    },
    "configs.list": async () => {
      const usage = configUsage();
      return listed(
        [...catalog.configs.values()]
          .sort((one, other) => other.pushed.atMs - one.pushed.atMs)
          .map((record) => configView(record, usage(record.config.version))),
      );
    },
    "configs.remove": async ({ version, by }) => {
      const { config } = catalog.config(version);
      refuseIfNeeded("Configuration", version);
      catalog.configs.delete(version);
      await writer.add({
        deletes: [keys.config(version)],
        events: [{ kind: "config", id: version, type: "config.removed", data: { by } }],
      });
      await dropFile(config.object.name);
      return { version };
    },

    "coordinators.list": async () => listed([self()]),
    "status.get": async () => statusOf(),
  };

  function statusOf(): FleetStatus {
    const instances = { total: 0, UNKNOWN: 0, HEALTHY: 0, DEGRADED: 0, FAILED: 0 };
    const versions = new Map<string, { version: VersionPair | null; instances: number }>();
    for (const { value, context } of snapshots()) {
      instances.total++;
      instances[value.status]++;
      const version = context.seen?.state.running ?? null;
      const key = JSON.stringify(version);
      versions.set(key, { version, instances: (versions.get(key)?.instances ?? 0) + 1 });
    }
    const newest = [...rollOuts.records()].sort(byAge)[0];
    return {
      fleet: term.fleet,
      leader: term.leadership.holder,
      epoch: term.leadership.epoch,
      ledgerNowMs: term.nowMs(),
      instances,
      versions: [...versions.values()].sort((one, other) => other.instances - one.instances),
      active: viewsOf(rollOuts.activeIds()),
      latest: newest === undefined ? null : viewOf(newest.id),
    };
  }
}

/** The name of a release's file in the store; a git repository has none there. */
function fileOf({ source }: Release): string | undefined {
  return source.kind === "artifact" ? source.object.name : undefined;
}

const collator = new Intl.Collator("en", { numeric: true });

/** `web-2` before `web-10`; names that differ only in leading zeros still have an order. */
function byName(one: string, other: string): number {
  return collator.compare(one, other) || (one < other ? -1 : one > other ? 1 : 0);
}
