import type { ConfigRecord, ReleaseRecord } from "../../contracts/deployment.js";
import { manifestSchema } from "../../contracts/release.js";

/** Versions as a replay has them: names. What is in them the log does not say, and nobody builds them. */

const digest = `sha256:${"0".repeat(64)}`;
const pushed = { by: "replay", atMs: 0, reason: null };

export function releaseRecord(version: string): ReleaseRecord {
  const manifest = manifestSchema.parse({
    start: "replayed",
    // Whether its checks fit its deadlines was decided when it was made.
    healthCheck: { type: "tcp", intervalMs: 50, timeoutMs: 50 },
  });
  const source = { kind: "artifact", object: { name: version, digest, sizeBytes: 1 } } as const;
  return { format: 1, release: { version, source, manifest }, digest, pushed };
}

export function configRecord(version: string): ConfigRecord {
  return { format: 1, config: { version, object: { name: version, digest, sizeBytes: 1 } }, pushed };
}
