import type { RollcallError } from "../base/errors.js";
import type { Subscription } from "../base/ports.js";

/** The NATS server of a data folder, kept running until `stop`. */
export interface RunningNats {
  /** `nats://127.0.0.1:<port>`; the same over restarts, and from one start to the next unless another program took the port. */
  readonly url: string;
  readonly user: string;
  readonly password: string;
  /** Of the process that runs now. */
  readonly pid: number;
  /** True if an earlier run of Rollcall had left it running. */
  readonly adopted: boolean;
  /** How often it was started again since. */
  readonly restarts: number;
  /** Ends the server orderly; everything acknowledged is on the disk, here and after any other end. */
  stop(): Promise<void>;
  /** Told once, when the server did not stay up and is not started again any more: `NATS_START_FAILED`. */
  onExit(listener: (why: RollcallError) => void): Subscription;
}
