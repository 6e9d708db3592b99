import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/** What a process is known by beyond its number, which may belong to another one tomorrow. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it started: the kernel's ticks since the boot, or the words of `ps` where there is no `/proc`. Only ever compared. */
  readonly startTime: string;
  /** Of the boot that it started in; empty where the system has none, which is then never compared. */
  readonly bootId: string;
}

interface ProcessFacts {
  readonly state: string;
  readonly group: number;
  readonly session: number;
  readonly startTime: string;
}

const hasProc = process.platform === "linux";
const psTimeoutMs = 2_000;
const bootId = hasProc ? readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim() : "";

/**
 * The identity of a process that runs now; `undefined` for one that ended, also while it is a zombie.
 * Without `/proc` (macOS) it asks `ps`, whose start times are whole seconds: a number that is given again within
 * the second in which its first owner started cannot be told apart there.
 */
export function identify(pid: number): ProcessIdentity | undefined {
  const facts = factsOf(pid);
  if (facts === undefined || isDead(facts)) return undefined;
  return { pid, startTime: facts.startTime, bootId };
}

/** This process. */
export function identifySelf(): ProcessIdentity {
  const self = identify(process.pid);
  if (self === undefined)
    throw new Error(`process ${process.pid} cannot be identified: neither /proc nor ps tells of it`);
  return self;
}

/** Whether exactly that process still runs. A zombie does not. */
export function isAlive(identity: ProcessIdentity): boolean {
  const now = identify(identity.pid);
  return now !== undefined && now.startTime === identity.startTime && now.bootId === identity.bootId;
}

/**
 * The members of the process group that `identity` leads or led, zombies left out, as long as the group can be
 * told from a stranger's: the leader was started detached (it has a session of its own), in this boot, and its number is
 * not another process's now (the kernel gives no number away that a group still goes by). Without `/proc`:
 * the leader, while it lives.
 */
export function groupMembers(identity: ProcessIdentity): number[] {
  if (!hasProc) return isAlive(identity) ? [identity.pid] : [];
  if (identity.bootId !== bootId) return [];
  const leader = factsOf(identity.pid);
  if (leader !== undefined && leader.startTime !== identity.startTime) return [];
  return allPids().filter((pid) => {
    const facts = factsOf(pid);
    return (
      facts !== undefined && facts.group === identity.pid && facts.session === identity.pid && !isDead(facts)
    );
  });
}

/**
 * Sends a signal to the whole process group of a process that was started detached, also to what is left of it after
 * its leader ended, and never to a stranger's.
 *
 * @returns whether there was anybody to signal
 */
export function killGroup(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(identity) && groupMembers(identity).length === 0) return false;
  try {
    process.kill(-identity.pid, signal);
    return true;
  } catch (error) {
    // ESRCH: it ended between the look and the signal.
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}

/** The processes of this host that were started with this very argument, this process left out. */
export function findByArgument(argument: string): ProcessIdentity[] {
  const found = hasProc
    ? allPids().filter((pid) => readProc(pid, "cmdline")?.split("\0").includes(argument))
    : psList()
        .filter(({ command }) => command.split(" ").includes(argument))
        .map(({ pid }) => pid);
  return found
    .filter((pid) => pid !== process.pid)
    .map(identify)
    .filter((identity) => identity !== undefined);
}

function isDead(facts: ProcessFacts): boolean {
  return facts.state === "Z" || facts.state === "X";
}

function factsOf(pid: number): ProcessFacts | undefined {
  if (!hasProc) return factsFromPs(pid);
  const stat = readProc(pid, "stat");
  if (stat === undefined) return undefined;
  // The second field is the program's name in parentheses and may itself hold spaces and parentheses.
  const [state = "", , group, session, ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const startTime = rest[21 - 6];
  if (startTime === undefined) return undefined;
  return { state, group: Number(group), session: Number(session), startTime };
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Gone, gone while reading, or another user's: nobody that this process could act on.
    if (code === "ENOENT" || code === "ESRCH" || code === "EACCES" || code === "EPERM") return undefined;
    throw error;
  }
}

function allPids(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function factsFromPs(pid: number): ProcessFacts | undefined {
  const line = ps(["-o", "state=,pgid=,sess=,lstart=", "-p", String(pid)]).trim();
  const [, state = "", group, session, startTime = ""] = /^(\S+)\s+(\d+)\s+(\S+)\s+(.+)$/.exec(line) ?? [];
  if (startTime === "") return undefined;
  return { state: state.charAt(0), group: Number(group), session: Number(session), startTime };
}

function psList(): { pid: number; command: string }[] {
  return ps(["-axo", "pid=,command="])
    .split("\n")
    .map((line) => /^\s*(\d+)\s+(.*)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, pid, command = ""]) => ({ pid: Number(pid), command }));
}

function ps(args: string[]): string {
  try {
    return execFileSync("ps", args, {
      encoding: "utf8",
      timeout: psTimeoutMs,
      env: { ...process.env, LC_ALL: "C" },
    });
  } catch (error) {
    // Exit code 1: no such process.
    if ((error as { status?: number }).status === 1) return "";
    throw error;
  }
}
