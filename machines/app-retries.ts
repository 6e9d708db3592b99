import { causeOf } from "./app-look.js";
import { type AppInstance, type AskedApp, isMismatch, type Mismatch, standingOf } from "./app-standing.js";

/** What `apps.reconcile` does: who is told to try what again, and what is told anew. Pure; the control plane asks and counts. */

export interface AppRetries {
  /** Pairs that are not in sync. */
  readonly found: number;
  /** Apps that nobody was told of under this ledger, and are to be told as they stand. */
  readonly tell: readonly string[];
  /** By instance: the apps that it is to try again. */
  readonly retry: ReadonlyMap<string, readonly string[]>;
  /** Instances that are behind the list, and are to read it. */
  readonly read: readonly string[];
  /** Pairs that are at it anyway. */
  readonly left: number;
  /** Mismatches by their cause. */
  readonly byCause: ReadonlyMap<string, number>;
}

/** What is asked about: `null` for all. */
export interface RetryScope {
  readonly app: string | null;
  readonly instance: string | null;
}

export function planRetries(
  apps: readonly AskedApp[],
  instances: readonly AppInstance[],
  scope: RetryScope,
): AppRetries {
  const asked = apps.filter(({ record }) => scope.app === null || record.app === scope.app);
  const asks = instances.filter(({ instance }) => scope.instance === null || instance === scope.instance);
  const found = asks.flatMap((one) => mismatchesOn(one, asked));
  const retry = new Map<string, string[]>();
  const byCause = new Map<string, number>();
  for (const { app, instance, standing, cause } of found) {
    byCause.set(cause, (byCause.get(cause) ?? 0) + 1);
    if (standing !== "retrying" && standing !== "stopped") continue;
    retry.set(instance, [...(retry.get(instance) ?? []), app]);
  }
  const behind = found.filter(({ standing }) => standing === "unobserved");
  return {
    found: found.length,
    // Telling is to all instances: not what somebody means who asks about one.
    tell: scope.instance === null ? asked.filter(isToBeTold).map(({ record }) => record.app) : [],
    retry,
    read: [...new Set(behind.map(({ instance }) => instance))],
    left: behind.length + found.filter(({ standing }) => standing === "working").length,
    byCause,
  };
}

function isToBeTold({ told }: AskedApp): boolean {
  return told === null;
}

interface Found {
  readonly app: string;
  readonly instance: string;
  readonly standing: Mismatch;
  readonly cause: string;
}

function mismatchesOn(one: AppInstance, apps: readonly AskedApp[]): Found[] {
  return apps.flatMap((asked): Found[] => {
    const standing = standingOf(asked, one);
    if (!isMismatch(standing)) return [];
    const cause = causeOf(asked, one, standing);
    return [{ app: asked.record.app, instance: one.instance, standing, cause }];
  });
}
