import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Clock, Random, Timer } from "../../base/ports.js";
import { groupMembers, isAlive, killGroup } from "../../base-node/process-identity.js";
import type { Command } from "../../contracts/release.js";
import type { ProcessIdentity } from "../ports.js";
import { childEnvironment } from "./child-environment.js";
import { systemCodeOf } from "./disk-errors.js";
import { OutputTail } from "./output-tail.js";
import { oneLine } from "./printable.js";
import {
  findMarked,
  groupMembersOf,
  identifyChild,
  isAgentAlive,
  type MarkedProcess,
  markVariables,
} from "./process-marks.js";
import { argumentsOf } from "./shell-command.js";
import { delay, within } from "./waiting.js";

/** How a command ended. */
export type CommandEnd =
  | { readonly kind: "ended"; readonly code: number | null; readonly signal: string | null }
  | { readonly kind: "timeout" }
  | { readonly kind: "cancelled" }
  /** It could not be run at all: no such program, no such folder. */
  | { readonly kind: "unstartable"; readonly error: Error };

export interface CommandResult {
  readonly end: CommandEnd;
  /** The last that it printed, at most 2 KiB. */
  readonly tail: string;
}

export interface CommandOptions {
  readonly command: Command;
  readonly cwd: string;
  /** On top of the passed variables of `childEnvironment`. */
  readonly env: Readonly<Record<string, string>>;
  /** Names of further variables to pass from the agent's environment. */
  readonly alsoPass?: readonly string[];
  readonly timeoutMs: number;
  /** Between SIGTERM and SIGKILL for a command that is not wanted any more; 1 s unless told, 0 for SIGKILL at once. */
  readonly killGraceMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** Also ends what left the process group (a build's daemons). Not for a command whose purpose is to start something. */
  readonly endEscaped?: boolean;
  onOutput?(chunk: Buffer, from: "stdout" | "stderr"): void;
}

interface CommandsOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Whose the commands are, see `ownerOf`. */
  readonly owner: string;
}

const defaultKillGraceMs = 1_000;
const pollMs = 20;
/** How long output is still read after the group has ended, if something that left the group holds the pipe. */
const drainMs = 1_000;

/** Runs programs to their end: each in a process group of its own of which nothing is left when `run` resolves. */
export class Commands {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #owner: string;

  constructor(options: CommandsOptions) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#owner = options.owner;
  }

  /** Runs a command until it ends, its time is up or the signal fires. Never throws for what the command does. */
  async run(options: CommandOptions): Promise<CommandResult> {
    if (options.signal?.aborted === true) return { end: { kind: "cancelled" }, tail: "" };
    const start = this.#random.id();
    const [program, ...args] = argumentsOf(options.command);
    const env = childEnvironment({ ...options.env, ...markVariables(this.#owner, start) }, options.alsoPass);
    let child: ChildProcess;
    try {
      child = spawn(program, args, {
        cwd: options.cwd,
        env,
        detached: true,
        stdio: ["ignore", "pipe", "pipe"],
      });
    } catch (thrown) {
      // What the system refuses at once: too many arguments, no memory, a zero byte in a name.
      return {
        end: { kind: "unstartable", error: thrown instanceof Error ? thrown : new Error(String(thrown)) },
        tail: "",
      };
    }
    const tail = new OutputTail();
    for (const from of ["stdout", "stderr"] as const) {
      child[from]?.on("data", (chunk: Buffer) => {
        tail.add(chunk);
        options.onOutput?.(chunk, from);
      });
    }
    const end = await this.#end(child, options);
    if (options.endEscaped === true) await this.#endMarked(({ marks }) => marks.start === start);
    await this.#drained(child);
    return { end, tail: tail.text() };
  }

  /** Ends the commands of earlier runs of this agent that died before it could. */
  async endLeftovers(): Promise<void> {
    await this.#endMarked(({ marks }) => marks.service === undefined && !isAgentAlive(marks));
  }

  #end(child: ChildProcess, options: CommandOptions): Promise<CommandEnd> {
    const identity = child.pid === undefined ? undefined : identifyChild(child.pid);
    const { killGraceMs = defaultKillGraceMs } = options;
    return new Promise((resolve, reject) => {
      let stopped: "timeout" | "cancelled" | undefined;
      let grace: Timer | undefined;
      const stop = (why: "timeout" | "cancelled") => {
        if (stopped !== undefined || identity === undefined) return;
        stopped = why;
        killGroup(identity, killGraceMs === 0 ? "SIGKILL" : "SIGTERM");
        killGroup(identity, "SIGCONT");
        grace = this.#clock.setTimer(killGraceMs, () => killGroup(identity, "SIGKILL"));
      };
      const cancel = () => stop("cancelled");
      const timeout = this.#clock.setTimer(options.timeoutMs, () => stop("timeout"));
      options.signal?.addEventListener("abort", cancel, { once: true });
      const settle = (end: CommandEnd) => {
        timeout.cancel();
        grace?.cancel();
        options.signal?.removeEventListener("abort", cancel);
        const gone = identity === undefined ? Promise.resolve() : this.#endGroup(identity);
        gone.then(() => resolve(stopped === undefined ? end : { kind: stopped }), reject);
      };
      child.on("error", (error) => settle({ kind: "unstartable", error }));
      child.once("exit", (code, signal) => settle({ kind: "ended", code, signal }));
    });
  }

  /** What the leader left behind in its group. */
  async #endGroup(identity: ProcessIdentity): Promise<void> {
    while (groupMembers(identity).length > 0) {
      killGroup(identity, "SIGKILL");
      await delay(this.#clock, pollMs);
    }
  }

  async #endMarked(which: (found: MarkedProcess) => boolean): Promise<void> {
    for (;;) {
      const left = findMarked(this.#owner).filter(which);
      if (left.length === 0) return;
      // With its group: what a build has started may have cleared its own environment.
      const groups = left.flatMap(({ identity }) => groupMembersOf(identity));
      for (const { identity } of left) if (isAlive(identity)) killOne(identity.pid);
      for (const pid of groups) killOne(pid);
      await delay(this.#clock, pollMs);
    }
  }

  async #drained(child: ChildProcess): Promise<void> {
    const streams = [child.stdout, child.stderr].filter((stream) => stream !== null && stream !== undefined);
    const closed = streams.map((stream) => (stream.closed ? undefined : once(stream, "close")));
    await within(this.#clock, drainMs, Promise.all(closed));
    for (const stream of streams) stream.destroy();
  }
}

function killOne(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (thrown) {
    // It ended between the look and the signal.
    if (systemCodeOf(thrown) !== "ESRCH") throw thrown;
  }
}

/** How a command ended, for people. */
export function endText(end: CommandEnd): string {
  if (end.kind === "unstartable") return oneLine(end.error.message);
  if (end.kind !== "ended") return end.kind;
  return end.signal === null ? `exit code ${end.code}` : `signal ${end.signal}`;
}
