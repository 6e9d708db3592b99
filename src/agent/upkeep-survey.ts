import { neededOf } from "../../machines/instance-facts.js";
import { type InstanceStanding, stageOf } from "../../machines/instance-standing.js";
import type { HostSurvey, InstanceSurvey, ProcessSurvey } from "../../machines/upkeep-plan.js";
import type { InstanceRunner } from "./instance-runner.js";
import { journalKinds } from "./journal.js";
import type { AgentParts } from "./parts.js";
import { isSameProcess, type OwnedProcess, type ProcessIdentity } from "./ports.js";

/** The instances of an agent by their ids; `undefined` for one that is about to be taken up again. */
export type Runners = ReadonlyMap<string, InstanceRunner | undefined>;

/** A process with this agent's marks, and whether a record owns it. */
export type Sighted = ProcessSurvey & { readonly identity: ProcessIdentity };

/** Nothing of it is on its way: its files and links are what its record says, or are broken. */
export function isSettled({ snapshot }: InstanceRunner): boolean {
  const standing = snapshot.value as InstanceStanding;
  const stage = stageOf(standing);
  if (stage !== "FAILED") return stage === "ACTIVE" || stage === "STOPPED";
  return typeof standing.update === "object" && standing.update.FAILED === "resting";
}

/** How an instance's disk is, seen from its record. */
export async function surveyInstance(
  { files }: Pick<AgentParts, "files">,
  runner: InstanceRunner,
): Promise<InstanceSurvey> {
  const { instance, snapshot } = runner;
  const { active } = snapshot.context;
  const launch = active?.launch ?? null;
  const settled = isSettled(runner);
  const disk = await files.survey(
    instance,
    launch === null || !snapshot.context.published
      ? null
      : { release: launch.release, config: launch.config?.version ?? null, port: launch.port },
  );
  return {
    instance,
    // It may have set off meanwhile.
    settled: settled && isSettled(runner),
    active: launch?.release.version ?? null,
    keep: neededOf(runner.snapshot.context),
    repairable: stageOf(snapshot.value as InstanceStanding) === "ACTIVE",
    repaired: runner.isRepaired,
    ...disk,
  };
}

/** The living processes with this agent's marks. */
export async function surveyProcesses(
  { processes }: Pick<AgentParts, "processes">,
  runners: Runners,
): Promise<Sighted[]> {
  const owned = await processes.owned();
  return owned.map((one) => ({
    instance: one.instance,
    pid: one.identity.pid,
    startTime: one.identity.startTime,
    identity: one.identity,
    standing: runners.has(one.instance) ? standingOf(one, runners.get(one.instance)) : "unknown",
  }));
}

function standingOf({ identity }: OwnedProcess, runner: InstanceRunner | undefined): Sighted["standing"] {
  if (runner === undefined) return "unsure";
  const slots = runner.slots;
  if (slots.some(({ identity: held }) => isSameProcess(identity, held))) return "known";
  // One that is being started or ended has no record yet, or none any more.
  return slots.every(({ isSure }) => isSure) ? "unknown" : "unsure";
}

/** Everything on the host, one instance after the other. */
export async function surveyHost(parts: AgentParts, runners: Runners): Promise<HostSurvey> {
  const instances: InstanceSurvey[] = [];
  for (const runner of runners.values())
    if (runner !== undefined) instances.push(await surveyInstance(parts, runner));
  return {
    instances,
    strays: await surveyStrays(parts, runners),
    processes: await surveyProcesses(parts, runners),
  };
}

/** Folders of instances that this agent does not run. */
export async function surveyStrays(
  { files, records }: Pick<AgentParts, "files" | "records">,
  runners: Runners,
): Promise<HostSurvey["strays"]> {
  const known = new Set((await records.load(journalKinds.instance)).map(({ id }) => id));
  const folders = await files.instances();
  return folders
    .filter((instance) => !runners.has(instance))
    .map((instance) => ({ instance, known: known.has(instance) }));
}
