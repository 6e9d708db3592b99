import type { DeploymentRecord } from "../../contracts/deployment.js";

/** How long a deployment has run by its own clock, which stands still with it. */
export function ranMs({ clock }: Pick<DeploymentRecord, "clock">, atMs: number): number {
  return clock.ranMs + (clock.runningSinceMs === null ? 0 : Math.max(0, atMs - clock.runningSinceMs));
}
