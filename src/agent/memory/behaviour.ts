import type { ErrorCode } from "../../contracts/errors.js";

/** Work that a release may fail or hang in. */
export type WorkStep =
  | "pull"
  | "build"
  | "copy"
  | "prepareNext"
  | "stageRoutes"
  | "activate"
  | "withdrawRoutes";

/** How a release behaves in memory. Without any of it, everything takes its time and ends well. */
export interface Behaviour {
  /** This step fails, with this code. */
  readonly failsIn?: WorkStep;
  readonly code?: ErrorCode;
  /** The step fails so often, then it ends well. */
  readonly failsTimes?: number;
  /** This step never ends by itself. */
  readonly hangsIn?: WorkStep;
  /** This step takes long, and says the same so often, after so long each time, before it ends well. */
  readonly tickerIn?: WorkStep;
  readonly everyMs?: number;
  readonly ticks?: number;
  /** Added to each step. */
  readonly slowMs?: number;
  /** The health check never succeeds. */
  readonly unhealthy?: boolean;
  /** The service says that something is wrong with it. */
  readonly degraded?: boolean;
  /** The health check fails until the process has run for so long. */
  readonly healthyAfterMs?: number;
  /** The health check fails once the process has run for so long. */
  readonly unhealthyAfterMs?: number;
  /** The health check succeeds for so long after the start, then fails for so long, and so on. */
  readonly flaps?: { readonly upMs: number; readonly downMs: number };
  /** The process does not start at all. */
  readonly failsToStart?: boolean;
  /** The process ends by itself after so long. */
  readonly exitsAfterMs?: number;
  /** So often; then it stays up. */
  readonly exitsTimes?: number;
  /** The process takes so long to end when asked to, or is killed after its grace time. */
  readonly endsAfterMs?: number;
}

/** How the releases of a host behave, by version; may be changed while it runs. */
export type Behaviours = Map<string, Behaviour>;
