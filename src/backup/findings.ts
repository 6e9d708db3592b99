import { messageOf, RollcallError } from "../base/errors.js";
import type { LedgerEntry, StoredObject } from "../base/ports.js";
import type {
  ConfigRecord,
  DeploymentRecord,
  InstanceRecord,
  ReleaseRecord,
} from "../contracts/deployment.js";
import { keys, ledgerKeys, parseKey } from "../contracts/keys.js";
import { currentFormats, type Formats } from "../contracts/record-formats.js";
import { type VersionPair, versionText } from "../contracts/version.js";
import type { AuditEvent, ChainHead } from "../ledger/event-chain.js";
import { chainVerifier } from "../ledger/event-chain.js";

/**
 * Something that is wrong with a ledger or a backup. `unreadable`: nobody can lead over it; `unknown`: perhaps of a newer
 * Rollcall; `dangling`: it leads nowhere; `chain`: the audit log was changed, or a part of it is missing.
 */
export interface Finding {
  readonly kind: "unreadable" | "unknown" | "dangling" | "chain";
  /** A key, an event or a file. */
  readonly where: string;
  readonly problem: string;
}

/** What is looked through. */
export interface Contents {
  readonly fleet: string;
  readonly ledgerId: string;
  readonly head: ChainHead | null;
  readonly entries: readonly LedgerEntry[];
  readonly events: readonly AuditEvent[];
  /** `undefined`: they are not looked at. */
  readonly files: readonly Pick<StoredObject, "name" | "digest">[] | undefined;
}

/** Keys that belong to no object of the fleet. */
const ownKeys: ReadonlySet<string> = new Set([...ledgerKeys, keys.formats, keys.reconciliation]);

interface Records {
  readonly deployments: Map<string, DeploymentRecord>;
  readonly instances: Map<string, InstanceRecord>;
  readonly releases: Map<string, ReleaseRecord>;
  readonly configs: Map<string, ConfigRecord>;
}

/** Everything that is wrong with what a ledger or a backup holds: what does not parse, what leads nowhere, what breaks the chain. */
export function findingsIn(contents: Contents): Finding[] {
  const records: Records = {
    deployments: new Map(),
    instances: new Map(),
    releases: new Map(),
    configs: new Map(),
  };
  const unreadable = contents.entries.flatMap((entry) => read(entry, contents.fleet, records));
  return [
    ...unreadable,
    ...[...records.instances.values()].flatMap((record) => ofInstance(record, records)),
    ...[...records.deployments.values()].flatMap((record) => ofDeployment(record, records)),
    ...(contents.files === undefined ? [] : ofFiles(records, contents.files)),
    ...ofChain(contents),
  ];
}

function read({ key, value }: LedgerEntry, fleet: string, records: Records): Finding[] {
  const [kind = "", name = ""] = parseKey(key) ?? [];
  const place = { fleet, key };
  try {
    if (kind === "deployment") records.deployments.set(name, currentFormats.deployment.readAt(place, value));
    else if (kind === "instance") records.instances.set(name, currentFormats.instance.readAt(place, value));
    else if (kind === "release") records.releases.set(name, currentFormats.release.readAt(place, value));
    else if (kind === "config") records.configs.set(name, currentFormats.config.readAt(place, value));
    else if (Object.hasOwn(currentFormats, kind)) currentFormats[kind as keyof Formats].readAt(place, value);
    else if (!ownKeys.has(key))
      return [{ kind: "unknown", where: key, problem: "it is of no kind that this Rollcall knows" }];
    return [];
  } catch (thrown) {
    if (!(thrown instanceof RollcallError)) throw thrown;
    return [{ kind: "unreadable", where: key, problem: messageOf(thrown) }];
  }
}

function ofInstance(record: InstanceRecord, records: Records): Finding[] {
  const where = keys.instance(record.id);
  const claimed = record.claim?.deployment;
  const wanted: readonly (readonly [what: string, version: VersionPair | null | undefined])[] = [
    ["it is to run", record.desired],
    ["its stable version is", record.stable],
    ["its deployment wants", record.claim?.target],
    ["it is owed", record.owed?.target],
  ];
  return [
    ...(claimed !== undefined && !records.deployments.has(claimed)
      ? [{ kind: "dangling" as const, where, problem: `deployment ${claimed} owns it, and is not there` }]
      : []),
    ...wanted.flatMap(([what, version]) =>
      version && isMissing(version, records)
        ? [
            {
              kind: "dangling" as const,
              where,
              problem: `${what} ${versionText(version)}, which is not there`,
            },
          ]
        : [],
    ),
  ];
}

/** Of a deployment that is over the versions may be removed. */
function ofDeployment({ id, stage, spec }: DeploymentRecord, { releases, configs }: Records): Finding[] {
  if (stage === "finished") return [];
  const where = keys.deployment(id);
  return [
    ...(spec.release !== null && !releases.has(spec.release)
      ? [
          {
            kind: "dangling" as const,
            where,
            problem: `it rolls out release ${spec.release}, which is not there`,
          },
        ]
      : []),
    ...(spec.config !== null && !configs.has(spec.config)
      ? [
          {
            kind: "dangling" as const,
            where,
            problem: `it rolls out configuration ${spec.config}, which is not there`,
          },
        ]
      : []),
  ];
}

function isMissing({ release, config }: VersionPair, { releases, configs }: Records): boolean {
  return !releases.has(release) || (config !== null && !configs.has(config));
}

function ofFiles({ releases, configs }: Records, files: NonNullable<Contents["files"]>): Finding[] {
  const digests = new Map(files.map(({ name, digest }) => [name, digest]));
  const wanted = [
    ...[...releases.values()].flatMap(({ release: { version, source } }) =>
      source.kind === "artifact" ? [{ where: keys.release(version), object: source.object }] : [],
    ),
    ...[...configs.values()].map(({ config }) => ({
      where: keys.config(config.version),
      object: config.object,
    })),
  ];
  return wanted.flatMap(({ where, object }) => {
    const found = digests.get(object.name);
    if (found === object.digest) return [];
    const problem =
      found === undefined
        ? `its file ${object.name} is not there`
        : `its file ${object.name} has the digest ${found} instead of ${object.digest}`;
    return [{ kind: "dangling", where, problem }];
  });
}

function ofChain({ ledgerId, head, events }: Contents): Finding[] {
  const verify = chainVerifier();
  const findings = events.flatMap((event) => {
    const problem = verify(event);
    return problem === undefined ? [] : [{ kind: "chain" as const, where: `event ${event.id}`, problem }];
  });
  const last = events.findLast(({ id, sequence }) => id === `${ledgerId}-${sequence}`);
  if (head !== null && last?.hash !== head.hash)
    findings.push({
      kind: "chain",
      where: keys.eventHead,
      problem: `the audit log should end with event ${head.sequence}, but ${last === undefined ? "holds none of this ledger" : `ends with event ${last.sequence}${last.sequence === head.sequence ? " of another hash" : ""}`}`,
    });
  return findings;
}
