import type { Clock, Random, Subscription } from "../base/ports.js";
import { createRealRandom } from "../runtime/random.js";
import { createRealClock } from "../runtime/real-clock.js";

/** The world of one run of the command line. */
export interface CliIo {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly clock: Clock;
  readonly random: Random;
  /** Calls `handle` on Ctrl-C instead of ending the process. */
  onInterrupt(handle: () => void): Subscription;
}

/** The process that this code runs in. */
export function processIo(): CliIo {
  return {
    env: process.env,
    cwd: process.cwd(),
    stdout: process.stdout,
    stderr: process.stderr,
    clock: createRealClock(),
    random: createRealRandom(),
    onInterrupt(handle) {
      process.on("SIGINT", handle);
      // Not before its turn is over: what restores the cursor ends the process if nobody else listens, and is called next.
      return { unsubscribe: () => void setImmediate(() => process.off("SIGINT", handle)) };
    },
  };
}
