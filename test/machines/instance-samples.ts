import type { Launch } from "../../machines/process.js";
import { type Manifest, manifestSchema, type Release } from "../../src/contracts/release.js";

/** Plain samples for the tests of the agent's machines. */

export function releaseOf(version: string, change: Partial<Manifest> = {}): Release {
  const manifest = manifestSchema.parse({
    start: "run",
    healthCheck: { type: "tcp", retries: 2 },
    ...change,
  });
  const object = { name: version, digest: `sha256:${"0".repeat(64)}`, sizeBytes: 1 };
  return { version, source: { kind: "artifact", object }, manifest };
}

export function launchOf(version: string, change: Partial<Manifest> = {}): Launch {
  return {
    ledgerId: "l1",
    generation: Number(version.slice(1)),
    release: releaseOf(version, change),
    config: null,
    port: 20_000 + Number(version.slice(1)),
  };
}

export const identity = { pid: 1_000, startTime: "1", bootId: "boot" };
