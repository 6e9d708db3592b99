import { messageOf } from "../base/errors.js";
import type { ControlPlane } from "../contracts/api.js";
import type { ConfigRecord, ReleaseRecord } from "../contracts/deployment.js";
import { refusal } from "../contracts/errors.js";
import { keys } from "../contracts/keys.js";
import type { Release } from "../contracts/release.js";
import type { VersionPair } from "../contracts/version.js";
import { createAppWrites } from "./apps/app-plane.js";
import { DeploymentCommands } from "./deployment-commands.js";
import { knownBy } from "./known-fleet.js";
import type { Leader } from "./leader.js";
import { onceWritten } from "./once-written.js";
import { type AuditPages, createReads, FleetViews } from "./reads.js";
import type { CoordinatorFiles } from "./reconciliation-facts.js";

/** Everything that is asked of a leader as such. */
export type LeaderPlane = Omit<ControlPlane, "coordinators.list">;

/** Answers every endpoint from what a leader knows. Lives and dies with it. */
export function createControlPlane(
  leader: Leader,
  files: Pick<CoordinatorFiles, "remove"> | undefined,
  audit: AuditPages,
): LeaderPlane {
  const { term, rollOuts } = leader;
  const { catalog, writer } = term;
  const commands = new DeploymentCommands(leader);
  const known = knownBy(leader);
  const views = new FleetViews(known);

  /** Who still needs a version: an instance, what it goes back to, or a deployment that is not over. */
  function refuseIfNeeded(what: "Release" | "Configuration", version: string): void {
    const part = what === "Release" ? "release" : "config";
    const names = (pair: VersionPair | null | undefined) => pair?.[part] === version;
    for (const { context } of known.members()) {
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
    for (const { id, spec } of rollOuts.active())
      if (spec[part] === version) throw refusal("VERSION_IN_USE", { what, version, by: `deployment ${id}` });
  }

  /** Gives the room of a removed version's file back, unless another version is made of the very same one. */
  async function dropFile(name: string | undefined): Promise<void> {
    if (name === undefined) return;
    for (const { release } of catalog.releases.values()) if (fileOf(release) === name) return;
    for (const { config } of catalog.configs.values()) if (config.object.name === name) return;
    try {
      await files?.remove(name);
    } catch (error) {
      term.log.warn({ name, error: messageOf(error) }, "the file of a removed version is still in the store");
    }
  }

  return {
    ...createReads(known, audit),
    ...createAppWrites(leader.apps, term),
    "reconciliations.run": (request) => leader.reconciliation.reconcile(request),
    "deployments.create": async (request) => views.deployment(await commands.create(request)),
    "deployments.preview": async (request) => commands.preview(request),
    "deployments.pause": async (request) => views.deployment(await commands.pause(request)),
    "deployments.resume": async (request) => views.deployment(await commands.resume(request)),
    "deployments.abort": async (request) => views.deployment(await commands.abort(request)),
    "deployments.rollback": async (request) => views.deployment(await commands.rollback(request)),
    "deployments.retry": async (request) => views.deployment(await commands.retry(request)),

    "instances.reset": async (request) => {
      const { instance } = request;
      const member = views.memberOf(instance);
      if (member.value.update !== "FAILED") throw refusal("INSTANCE_NOT_FAILED", { instance });
      const deadlineMs = rollOuts.deadlineMsFor(member.context.record);
      await leader.tellMember(
        instance,
        { type: "reset", deadlineMs, origin: commands.originOf(request) },
        ({ value }) => value.update !== "FAILED",
      );
      return views.instance(instance);
    },
    "instances.remove": onceWritten(writer, async (request) => {
      const { instance, by, reason } = request;
      views.memberOf(instance);
      const why = `removed by ${by}${reason === null ? "" : `: ${reason}`}`;
      await leader.remove(instance, why, commands.originOf(request));
      return { instance };
    }),
    "instances.takeover": async (request) => {
      const { instance, agent } = request;
      const deadlineMs = rollOuts.deadlineMsFor(views.memberOf(instance).context.record);
      leader.intake.forget(instance);
      leader.watch.hear(instance);
      await leader.tellMember(
        instance,
        { type: "bind", agent, deadlineMs, origin: commands.originOf(request) },
        (snapshot) => snapshot.context.record.agent === agent,
      );
      return views.instance(instance);
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
          events: [
            {
              kind: "release",
              id: version,
              type: "release.pushed",
              data: { digest },
              ...commands.originOf({ by }),
            },
          ],
        });
      }
      // What was pushed before may still be being written.
      else await writer.flushed();
      return views.release(record);
    },
    "releases.remove": onceWritten(writer, async ({ version, by }) => {
      const { release } = catalog.release(version);
      refuseIfNeeded("Release", version);
      catalog.releases.delete(version);
      await writer.add({
        deletes: [keys.release(version)],
        events: [
          { kind: "release", id: version, type: "release.removed", data: {}, ...commands.originOf({ by }) },
        ],
      });
      await dropFile(fileOf(release));
      return { version };
    }),

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
          events: [
            {
              kind: "config",
              id: version,
              type: "config.pushed",
              data: { digest: config.object.digest },
              ...commands.originOf({ by }),
            },
          ],
        });
      }
      // What was pushed before may still be being written.
      else await writer.flushed();
      return views.config(record);
    },
    "configs.remove": onceWritten(writer, async ({ version, by }) => {
      const { config } = catalog.config(version);
      refuseIfNeeded("Configuration", version);
      catalog.configs.delete(version);
      await writer.add({
        deletes: [keys.config(version)],
        events: [
          { kind: "config", id: version, type: "config.removed", data: {}, ...commands.originOf({ by }) },
        ],
      });
      await dropFile(config.object.name);
      return { version };
    }),
  };
}

/** The name of a release's file in the store; a git repository has none there. */
function fileOf({ source }: Release): string | undefined {
  return source.kind === "artifact" ? source.object.name : undefined;
}
