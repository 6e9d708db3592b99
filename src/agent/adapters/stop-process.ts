import { constants } from "node:os";
import type { Clock, Log } from "../../base/ports.js";
import { groupMembers, isAlive, killGroup } from "../../base-node/process-identity.js";
import type { ProcessIdentity } from "../ports.js";
import { systemCodeOf } from "./disk-errors.js";
import { findMarked, groupMembersOf, readMarked } from "./process-marks.js";
import { delay } from "./waiting.js";

interface StopOptions {
  readonly signal: string;
  readonly graceMs: number;
  /** The mark of the start, if it is known; see `ProcessMarks`. */
  readonly start: string | undefined;
  readonly owner: string;
  readonly clock: Clock;
  readonly log: Log;
}

const firstPollMs = 10;
const lastPollMs = 200;
/** A process that SIGKILL does not end hangs in the kernel, on a dead disk for example: said once, waited for on. */
const hangingMs = 10_000;

/**
 * Ends everything that one start of a service has become: its process group, and what left the group but still has the
 * marks of the start. First by the signal, after the grace time by SIGKILL. Resolves when nothing of it is left.
 */
export async function stopProcess(identity: ProcessIdentity, options: StopOptions): Promise<void> {
  const { clock, graceMs } = options;
  const start = options.start ?? (isAlive(identity) ? readMarked(identity.pid)?.marks.start : undefined);
  const sinceMs = clock.monotonicMs();
  const signal = isSignal(options.signal) ? options.signal : "SIGTERM";
  const signalled = new Set<number>();
  let wasSaid = false;
  for (let pollMs = firstPollMs; ; pollMs = Math.min(lastPollMs, pollMs * 1.5)) {
    const ageMs = clock.monotonicMs() - sinceMs;
    const isOver = ageMs >= graceMs;
    // While the leader takes its time there is nobody else to look for.
    const left =
      !isOver && signalled.has(identity.pid) && isAlive(identity)
        ? new Set([identity.pid])
        : leftOf(identity, start, options.owner);
    if (left.size === 0) return;
    for (const pid of left) {
      if (!isOver && signalled.has(pid)) continue;
      signalled.add(pid);
      sendTo(pid, isOver ? "SIGKILL" : signal);
      // A stopped process takes its signal only when it goes on.
      sendTo(pid, "SIGCONT");
    }
    if (isOver) killGroup(identity, "SIGKILL");
    if (ageMs > graceMs + hangingMs && !wasSaid) {
      wasSaid = true;
      options.log.warn(
        { pids: [...left], pid: identity.pid },
        "processes do not end even by SIGKILL: waiting for them",
      );
    }
    const untilOverMs = graceMs - ageMs;
    await delay(clock, isOver ? pollMs : Math.min(pollMs, Math.max(1, untilOverMs)));
  }
}

/** Every living process of a start: looked up anew each time, since processes start others while they are being stopped. */
function leftOf(identity: ProcessIdentity, start: string | undefined, owner: string): Set<number> {
  const left = new Set(groupMembers(identity));
  // While the leader lives, what escaped can wait: the look at every process is the dear one.
  if (isAlive(identity)) {
    left.add(identity.pid);
    for (const pid of groupMembersOf(identity)) left.add(pid);
    return left;
  }
  if (left.size > 0 || start === undefined) return left;
  for (const found of findMarked(owner)) if (found.marks.start === start) left.add(found.identity.pid);
  return left;
}

function sendTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (thrown) {
    // It ended between the look and the signal.
    if (systemCodeOf(thrown) !== "ESRCH") throw thrown;
  }
}

function isSignal(name: string): name is NodeJS.Signals {
  return Object.hasOwn(constants.signals, name);
}
