import type { Finding } from "../src/contracts/inventory.js";

/** What an agent finds on its host, and what of it it puts right by itself. Pure. */

/** An instance of this agent, and what lies on the disk of it. */
export interface InstanceSurvey {
  readonly instance: string;
  /** Nothing of it is on its way; of one that is, the disk is left alone. */
  readonly settled: boolean;
  readonly active: string | null;
  /** What the agent's own record needs. */
  readonly keep: readonly string[];
  /** The active release is what it was told, so that its phases can bring the files again. */
  readonly repairable: boolean;
  /** That was done for it already: something on this host, the service itself perhaps, takes files away. */
  readonly repaired: boolean;
  readonly link: "right" | "missing" | "wrong";
  readonly routes: "right" | "wrong";
  readonly whole: boolean;
  /** `complete`: the list of its files is beside it. */
  readonly releases: readonly { readonly version: string; readonly complete: boolean }[];
}

/** A folder of an instance that this agent does not run. */
export interface StraySurvey {
  readonly instance: string;
  /** A record of it is left here: it may be started again. */
  readonly known: boolean;
}

/** A living process with this agent's marks. `unsure`: its slot is on the way to something. */
export interface ProcessSurvey {
  readonly instance: string;
  readonly pid: number;
  readonly startTime: string;
  readonly standing: "known" | "unknown" | "unsure";
}

export interface HostSurvey {
  readonly instances: readonly InstanceSurvey[];
  readonly strays: readonly StraySurvey[];
  readonly processes: readonly ProcessSurvey[];
}

/** Processes first: what they hold is free then. */
export function findingsOf({ instances, strays, processes }: HostSurvey): Finding[] {
  return [
    ...processes.filter(({ standing }) => standing === "unknown").map(zombie),
    ...instances.filter(({ settled }) => settled).flatMap(ofInstance),
    ...strays.map(stray),
  ];
}

function zombie({ instance, pid, startTime }: ProcessSurvey): Finding {
  return {
    key: `process ${pid} ${startTime}`,
    kind: "process",
    instance,
    release: null,
    what: `process ${pid} has the marks of this agent, and no record owns it`,
    verdict: "mend",
  };
}

function stray({ instance, known }: StraySurvey): Finding {
  const why = known ? "a record of it is left" : "nothing else is known of it";
  return {
    key: `folder ${instance}`,
    kind: "folder",
    instance,
    release: null,
    what: `the folder of ${instance}, which this agent does not run; ${why}`,
    verdict: known ? "ask" : "mend",
  };
}

function ofInstance(survey: InstanceSurvey): Finding[] {
  const { instance, active, link, routes, whole, repairable, repaired, keep, releases } = survey;
  const found: Finding[] = [];
  const add = (kind: Finding["kind"], release: string | null, what: string, verdict: Finding["verdict"]) => {
    const of = release === null || kind !== "release" ? "" : ` ${release}`;
    found.push({ key: `${kind}${of} of ${instance}`, kind, instance, release, what, verdict });
  };
  if (active !== null) {
    if (!whole)
      add(
        "files",
        active,
        `the folder of release ${active} of ${instance}, which is active, is not whole${repaired ? " again" : ""}`,
        // Each repair starts the service anew: not once an hour for a file that it removes by itself.
        repairable && !repaired ? "mend" : "keep",
      );
    if (link !== "right")
      add("link", active, `the link current of ${instance} is ${link}; ${active} is active`, "mend");
    if (routes === "wrong")
      add("routes", active, `the published routes of ${instance} are not those of ${active}`, "mend");
  }
  for (const { version, complete } of releases) {
    if (keep.includes(version) || version === active) continue;
    const what = complete
      ? `release ${version} of ${instance}, which its agent does not need`
      : `the folder of release ${version} of ${instance}, which was never complete`;
    add("release", version, what, complete ? "ask" : "mend");
  }
  return found;
}
