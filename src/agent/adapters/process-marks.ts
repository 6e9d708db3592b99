import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { groupMembers, identify, identifySelf, isAlive } from "../../base-node/process-identity.js";
import type { ProcessIdentity } from "../ports.js";
import { systemCodeOf } from "./disk-errors.js";

/**
 * What the agent writes into the environment of every program that it starts. The environment is inherited and outlives
 * the agent, so survivors of a crash are found by it, also those that left their process group.
 */
export interface ProcessMarks {
  /** The data folder of the agent. */
  readonly owner: string;
  /** The agent's own process, as text. */
  readonly agent: string;
  /** One start of one program. */
  readonly start: string;
  /** Of a service; absent for a build, git, check or reload command. */
  readonly service?: { readonly instance: string; readonly generation: number };
  /** What it was told to listen on. */
  readonly port: number | null;
}

export interface MarkedProcess {
  readonly identity: ProcessIdentity;
  readonly marks: ProcessMarks;
}

/**
 * The name of a data folder in marks. It depends on where the folder is, so that a copied folder is another one: its
 * agent must not take the processes of the original for its own.
 */
export function ownerOf(dataDir: string): string {
  mkdirSync(dataDir, { recursive: true });
  return createHash("sha256").update(realpathSync(dataDir)).digest("hex").slice(0, 32);
}

/** The marks as variables of an environment. */
export function markVariables(
  owner: string,
  start: string,
  service?: ProcessMarks["service"],
): Record<string, string> {
  const self = identifySelf();
  return {
    ROLLCALL_OWNER: owner,
    ROLLCALL_AGENT_PROCESS: `${self.pid} ${self.startTime} ${self.bootId}`,
    ROLLCALL_START: start,
    ROLLCALL_ROLE: service === undefined ? "command" : "service",
    ...(service === undefined
      ? {}
      : { ROLLCALL_INSTANCE: service.instance, ROLLCALL_GENERATION: String(service.generation) }),
  };
}

/**
 * The identity of a child that was started just now and is not yet reaped, also when it has ended already. Where there is no
 * `/proc` such a one has none any more.
 */
export function identifyChild(pid: number): ProcessIdentity | undefined {
  const living = identify(pid);
  if (living !== undefined) return living;
  const startTime = statOf(pid)?.[startTimeField];
  return startTime === undefined ? undefined : { pid, startTime, bootId: identifySelf().bootId };
}

/** Whether the agent that started a marked process still runs. */
export function isAgentAlive(marks: ProcessMarks): boolean {
  const [pid, startTime = "", bootId = ""] = marks.agent.split(" ");
  return isAlive({ pid: Number(pid), startTime, bootId });
}

/** Every living process with this owner's marks, this process left out. None where there is no `/proc`. */
export function findMarked(owner: string): MarkedProcess[] {
  if (process.platform !== "linux") return [];
  const found: MarkedProcess[] = [];
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const marked = readMarked(pid);
    if (marked?.marks.owner === owner) found.push(marked);
  }
  return found;
}

/** The marks of one process; `undefined` if it is gone, another user's, or has none. */
export function readMarked(pid: number): MarkedProcess | undefined {
  const identity = identify(pid);
  const environment = readEnvironment(pid);
  const owner = environment?.get("ROLLCALL_OWNER");
  const agent = environment?.get("ROLLCALL_AGENT_PROCESS");
  const start = environment?.get("ROLLCALL_START");
  if (environment === undefined || owner === undefined || agent === undefined || start === undefined)
    return undefined;
  // Still the same one after its environment was read: its number was not given to another in between.
  if (identity === undefined || !isAlive(identity)) return undefined;
  // A check command has the service's own variables, these included.
  const isService = environment.get("ROLLCALL_ROLE") === "service";
  const instance = environment.get("ROLLCALL_INSTANCE") ?? "";
  const generation = Number(environment.get("ROLLCALL_GENERATION"));
  const service = isService && Number.isInteger(generation) ? { service: { instance, generation } } : {};
  const port = Number(environment.get("PORT"));
  return { identity, marks: { owner, agent, start, ...service, port: port > 0 ? port : null } };
}

/**
 * All of the process group that a marked process is in, if it has one of its own: each program that the agent starts leads one, and
 * what it starts in turn belongs to it, also when it has cleared its environment.
 */
export function groupMembersOf(member: ProcessIdentity): number[] {
  const group = groupOf(member.pid);
  if (group === undefined || group === groupOf(process.pid)) return [];
  const leader = identify(group) ?? { pid: group, startTime: "unknown", bootId: member.bootId };
  return groupMembers(leader);
}

/** The process group of a process. */
function groupOf(pid: number): number | undefined {
  const group = statOf(pid)?.[groupField];
  return group === undefined ? undefined : Number(group);
}

/** Places in the answer of `statOf`. */
const groupField = 2;
const startTimeField = 19;

/** The fields of `/proc/<pid>/stat` from the state on: the name before it may hold spaces and parentheses. */
function statOf(pid: number): string[] | undefined {
  const stat = readProc(pid, "stat");
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
}

function readEnvironment(pid: number): Map<string, string> | undefined {
  const text = readProc(pid, "environ");
  if (text?.includes("ROLLCALL_OWNER=") !== true) return undefined;
  return new Map(
    text.split("\0").map((line) => {
      const equals = line.indexOf("=");
      return [line.slice(0, Math.max(0, equals)), line.slice(equals + 1)];
    }),
  );
}

function readProc(pid: number, file: string): string | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch (thrown) {
    // Gone, gone while reading, or another user's.
    if (["ENOENT", "ESRCH", "EACCES", "EPERM"].includes(systemCodeOf(thrown) ?? "")) return undefined;
    throw thrown;
  }
}
