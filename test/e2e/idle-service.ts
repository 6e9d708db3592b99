import { existsSync, readFileSync } from "node:fs";
import { makeService } from "./service.js";

/**
 * A service that costs next to nothing, so that a host can run sixty: it notes its start in a file and sleeps. Healthy, unless
 * its release has no file `ok`.
 */
export function makeIdleService(options: {
  readonly journal: string;
  readonly healthy?: boolean;
  readonly minHealthyMs?: number;
  readonly build?: string;
  /** Each check is a process of its own. */
  readonly checkEveryMs?: number;
}): string {
  const { journal, healthy = true, minHealthyMs = 500, build, checkEveryMs = 250 } = options;
  return makeService({
    manifest: {
      start: ["sh", "-c", `echo "$ROLLCALL_INSTANCE $ROLLCALL_RELEASE" >> '${journal}'; exec sleep 86400`],
      healthCheck: {
        type: "command",
        command: ["test", "-f", "ok"],
        intervalMs: checkEveryMs,
        timeoutMs: 20_000,
        retries: 2,
        startPeriodMs: 100,
      },
      minHealthyMs,
      deadlineMs: 90_000,
      stop: { signal: "SIGTERM", graceMs: 3_000 },
      ...(build === undefined ? {} : { build: { command: build } }),
    },
    files: healthy ? { ok: "yes" } : {},
  });
}

/** Every start that such services have noted, `web-1 v2`, in no order that matters. */
export function startsIn(journal: string): string[] {
  if (!existsSync(journal)) return [];
  return readFileSync(journal, "utf8").trimEnd().split("\n").sort();
}
