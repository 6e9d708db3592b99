import type { InstanceRecord } from "../src/contracts/deployment.js";
import type { Finding, Inventory } from "../src/contracts/inventory.js";
import { sameVersion, type VersionPair, versionText } from "../src/contracts/version.js";
import type { UpdateState } from "./member-record.js";
import { released, wasTold } from "./member-record.js";

/** What should be against what is, for a whole fleet: what a leader does about it, and what it leaves, and why. Pure. */

/** An instance as its leader knows it. */
export interface KnownInstance {
  readonly record: InstanceRecord;
  readonly update: UpdateState;
  /** The newest that it said; `null` if it is silent, or has said nothing to this leader. */
  readonly said: {
    readonly running: VersionPair | null;
    readonly observedGeneration: number;
    readonly phase: string;
  } | null;
}

export interface KnownRollOut {
  readonly id: string;
  readonly isOver: boolean;
  readonly rollbackOf: string | null;
}

/** A file in the store. */
export interface KnownFile {
  readonly name: string;
  /** `null` where it is not known. */
  readonly ageMs: number | null;
}

export interface FleetFacts {
  /** Whether the ledger comes from a backup, and whether instances act on the word of one before it; left out: neither. */
  readonly ledger?: { readonly isRestored: boolean; readonly hasStrangers: boolean };
  readonly instances: readonly KnownInstance[];
  readonly deployments: readonly KnownRollOut[];
  /** What the ledger holds: generations of desired states by instance, and ids of deployments. */
  readonly desired: ReadonlyMap<string, number>;
  readonly recorded: readonly string[];
  /** The files that releases and configurations name, by what names them; `null`: it has none in the store. */
  readonly named: ReadonlyMap<string, string | null>;
  /** `null`: the store could not be read; `undefined`: this control plane has none. */
  readonly files: readonly KnownFile[] | null | undefined;
  /** Uploads that did not come to their end, older than a day. */
  readonly halfUploads: number;
  readonly inventories: readonly Inventory[];
  readonly unanswered: readonly { readonly instance: string; readonly why: string }[];
}

export type ReconcileAction =
  /** Its desired state is written again, under the same generation. */
  | { readonly type: "tell"; readonly instance: string }
  | { readonly type: "release"; readonly instance: string }
  | { readonly type: "dropDesired"; readonly instance: string }
  | { readonly type: "dropDeployment"; readonly deployment: string }
  | { readonly type: "dropFile"; readonly name: string }
  | { readonly type: "dropUploads" }
  /** The agent that answers for `instance` puts right what it found. */
  | { readonly type: "mend"; readonly instance: string; readonly finding: Finding };

export interface ReconcileItem {
  readonly object: string;
  readonly what: string;
  /** `null`: it is left, for the reason in `why`. */
  readonly action: ReconcileAction | null;
  /** What is done about it, or why nothing is. */
  readonly why: string;
}

/** A file that nobody names is left for so long: whoever pushes stores it before it is registered. */
export const unnamedFileMs = 86_400_000;

const restingPhases: ReadonlySet<string> = new Set(["ACTIVE", "FAILED", "STOPPED"]);

export function planReconciliation(facts: FleetFacts): ReconcileItem[] {
  const owners = ownersIn(facts.deployments);
  const members = new Map(facts.instances.map(({ record }) => [record.id, withoutOrphan(record, owners)]));
  const known: KnownRecords = {
    recordOf: (instance) => members.get(instance),
    rollbackOf: rollbacksIn(facts.deployments),
    isRegistered: (release) => facts.named.has(`release ${release}`),
  };
  return [
    ...facts.instances.flatMap((one) => ofClaim(one, owners)),
    ...facts.instances.flatMap((one) => ofInstance(one, facts)),
    ...ofLedger(facts),
    ...facts.inventories.flatMap((inventory) =>
      inventory.findings.map((finding) => decideFinding(finding, inventory, known)),
    ),
    ...facts.unanswered.map(({ instance, why }) =>
      left(`instance/${instance}`, "what lies on its host was not looked through", why),
    ),
    ...ofStore(facts),
  ];
}

function left(object: string, what: string, why: string): ReconcileItem {
  return { object, what, action: null, why };
}

/** Deployments whose claims hold: those under way, and those that a rollback under way takes over. */
function ownersIn(deployments: readonly KnownRollOut[]): ReadonlySet<string> {
  const active = deployments.filter(({ isOver }) => !isOver);
  return new Set(active.flatMap(({ id, rollbackOf }) => (rollbackOf === null ? [id] : [id, rollbackOf])));
}

/** Its record as it is once a claim that holds no more is ended, which is done first. */
function withoutOrphan(record: InstanceRecord, owners: ReadonlySet<string>): InstanceRecord {
  if (record.claim === null || owners.has(record.claim.deployment)) return record;
  return released(record, { completed: false, undoes: false }, false);
}

function ofClaim({ record }: KnownInstance, owners: ReadonlySet<string>): ReconcileItem[] {
  const { id, claim } = record;
  if (claim === null || owners.has(claim.deployment)) return [];
  const what = `${id} is claimed by ${claim.deployment}, which is over or unknown`;
  const action = { type: "release", instance: id } as const;
  return [
    { object: `instance/${id}`, what, action, why: "the claim is ended, so that others can deploy to it" },
  ];
}

function ofInstance({ record, update, said }: KnownInstance, facts: FleetFacts): ReconcileItem[] {
  const { id, desired, generation } = record;
  const object = `instance/${id}`;
  if (!wasTold(record)) return [];
  const written = facts.desired.get(id);
  const isMissing = written === undefined || written < generation;
  if (written === undefined && facts.ledger?.isRestored === true)
    return [
      left(
        object,
        `${id} has no desired state since the ledger was restored`,
        "it keeps what it runs until something is deployed there",
      ),
    ];
  const gap = isMissing ? "its desired state is missing in the ledger" : gapOf(record, said);
  if (gap === null) return [];
  const what = `${id} should run ${versionText(desired)}; ${gap}`;
  if (desired !== null && !facts.named.has(`release ${desired.release}`))
    return [left(object, what, `release ${desired.release} is not registered any more: push it again`)];
  if (!isMissing) {
    if (said === null) return [left(object, what, "it is told as soon as it is heard of")];
    if (update === "IN_PROGRESS" || update === "NEEDING_UPDATE")
      return [left(object, what, `deployment ${ownerOf(record)} is at it`)];
    if (update === "FAILED") return [left(object, what, `it has failed: rollcall instances reset ${id}`)];
    if (!restingPhases.has(said.phase)) return [left(object, what, `it is at it itself, in ${said.phase}`)];
  }
  const action = { type: "tell", instance: id } as const;
  return [{ object, what, action, why: `it is told again, as generation ${generation}` }];
}

/** What is between what it was told and what it says; `null`: nothing. */
function gapOf({ desired, generation }: InstanceRecord, said: KnownInstance["said"]): string | null {
  if (said === null) return "nothing was heard of it";
  if (said.observedGeneration < generation)
    return `it has acted on generation ${said.observedGeneration} of ${generation}`;
  return sameVersion(said.running, desired) ? null : `it runs ${versionText(said.running)}`;
}

function ownerOf({ claim, owed, last }: InstanceRecord): string {
  return claim?.deployment ?? owed?.deployment ?? last?.deployment ?? "?";
}

function ofLedger({ instances, deployments, desired, recorded }: FleetFacts): ReconcileItem[] {
  const members = new Set(instances.map(({ record }) => record.id));
  const known = new Set(deployments.map(({ id }) => id));
  return [
    ...[...desired.keys()]
      .filter((instance) => !members.has(instance))
      .map(
        (instance): ReconcileItem => ({
          object: `instance/${instance}`,
          what: `a desired state of ${instance}, which is not in the fleet`,
          action: { type: "dropDesired", instance },
          why: "it is removed; an agent that runs the instance keeps what it runs",
        }),
      ),
    ...recorded
      .filter((deployment) => !known.has(deployment))
      .map(
        (deployment): ReconcileItem => ({
          object: `deployment/${deployment}`,
          what: `the record of ${deployment}, which had to make room for newer ones`,
          action: { type: "dropDeployment", deployment },
          why: "it is removed; the audit log keeps its events",
        }),
      ),
  ];
}

/** What of a leader's records decides about what an agent found. */
export interface KnownRecords {
  recordOf(instance: string): InstanceRecord | undefined;
  /** The deployment that a rollback takes back; `null` of one that is none. */
  rollbackOf(deployment: string): string | null;
  isRegistered(release: string): boolean;
}

function rollbacksIn(deployments: readonly KnownRollOut[]): KnownRecords["rollbackOf"] {
  const rollbacks = new Map(deployments.map(({ id, rollbackOf }) => [id, rollbackOf]));
  return (deployment) => rollbacks.get(deployment) ?? null;
}

/** Whether a thing that an agent found may go; what it puts right by itself it may anyway. */
export function decideFinding(
  finding: Finding,
  { instance, agent }: Pick<Inventory, "instance" | "agent">,
  known: KnownRecords,
): ReconcileItem {
  const { what, verdict } = finding;
  const object = `instance/${finding.instance}`;
  const mend = (why: string): ReconcileItem => ({
    object,
    what,
    action: { type: "mend", instance, finding },
    why,
  });
  if (verdict === "mend") return mend("its agent puts it right");
  if (verdict === "keep")
    return left(
      object,
      what,
      "its agent does not bring it again by itself: look at the host, then deploy the release again",
    );
  const record = known.recordOf(finding.instance);
  if (finding.kind === "folder") {
    if (record?.agent !== agent) return mend("it is removed: the instance is not this agent's");
    return left(
      object,
      what,
      `the fleet counts it to this agent: start the agent with it, or take it out by rollcall instances rm ${finding.instance}`,
    );
  }
  const needed = record === undefined ? null : neededFor(finding.release ?? "", record, known);
  if (needed !== null) return left(object, what, needed);
  if (known.isRegistered(finding.release ?? ""))
    return left(object, what, `release ${finding.release} is registered, and may be wanted again`);
  return mend("it is removed: nobody needs the release, and it is not registered any more");
}

/** Why an instance needs a release, or may yet; `null` if it does not. */
export function neededFor(
  release: string,
  { id, desired, stable, claim, last, owed }: InstanceRecord,
  { rollbackOf }: Pick<KnownRecords, "rollbackOf">,
): string | null {
  const names = (pair: VersionPair | null | undefined) => pair?.release === release;
  if (claim !== null) {
    if (names(claim.target))
      return rollbackOf(claim.deployment) === null
        ? `release ${release} is what deployment ${claim.deployment} brings`
        : `release ${release} is what rollback ${claim.deployment} goes back to`;
    if (names(claim.before))
      return `release ${release} is what a rollback of ${claim.deployment} would go back to`;
  }
  if (names(desired)) return `release ${release} is what ${id} should run`;
  if (names(stable)) return `release ${release} is the stable one of ${id}`;
  if (names(owed?.target)) return `release ${release} is what ${owed?.deployment} still owes ${id}`;
  if (names(last?.before))
    return `release ${release} is what a rollback of ${last?.deployment} would go back to`;
  return null;
}

function ofStore({ named, files, halfUploads, ledger }: FleetFacts): ReconcileItem[] {
  if (files === undefined) return [];
  if (files === null) return [left("store", "the files of releases", "the store could not be read")];
  const there = new Set(files.map(({ name }) => name));
  const wanted = new Set(named.values());
  const missing = [...named].flatMap(([by, name]) =>
    name === null || there.has(name)
      ? []
      : [
          left(
            `file/${name}`,
            `the file of ${by} is missing in the store`,
            "it cannot be made again here: push the same version again",
          ),
        ],
  );
  const unnamed = files
    .filter(({ name }) => !wanted.has(name))
    .map(({ name, ageMs }): ReconcileItem => {
      const what = `the file ${name}, which no release or configuration names`;
      if (ledger?.hasStrangers === true)
        return left(
          `file/${name}`,
          what,
          "instances act on what a ledger before this one asked, which may have named it",
        );
      return ageMs !== null && ageMs >= unnamedFileMs
        ? { object: `file/${name}`, what, action: { type: "dropFile", name }, why: "it is removed" }
        : left(`file/${name}`, what, "it is younger than a day: it may be about to be registered");
    });
  if (halfUploads === 0) return [...missing, ...unnamed];
  const uploads = halfUploads === 1 ? "1 half upload" : `${halfUploads} half uploads`;
  return [
    ...missing,
    ...unnamed,
    {
      object: "store",
      what: `${uploads}, older than a day`,
      action: { type: "dropUploads" },
      why: "removed",
    },
  ];
}
